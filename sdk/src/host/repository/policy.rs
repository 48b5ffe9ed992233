//! Which of a model's versions are served, in TensorFlow Serving's words: the latest few, all, or those that are named.

/// Which versions of a model are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionPolicy {
    /// So many of the highest; never none.
    Latest(usize),
    /// Every one there is.
    All,
    /// Those, where they are there.
    Specific(Vec<u64>),
}

impl Default for VersionPolicy {
    fn default() -> Self {
        Self::Latest(1)
    }
}

impl VersionPolicy {
    /// Reads `latest`, `latest:2`, `all` or `specific:1,3`.
    ///
    /// # Errors
    /// A text for whoever wrote it.
    pub fn read(text: &str) -> Result<Self, String> {
        let read = match text.split_once(':').unwrap_or((text, "")) {
            ("latest", "") => Some(Self::default()),
            ("latest", count) => count.trim().parse().ok().filter(|&it| it > 0).map(Self::Latest),
            ("all", "") => Some(Self::All),
            ("specific", list) => {
                let numbers: Result<Vec<u64>, _> = list.split(',').map(|it| it.trim().parse()).collect();
                numbers.ok().map(Self::Specific)
            }
            _ => None,
        };
        read.ok_or_else(|| {
            "expected `latest`, such as `latest:2`, `all`, or such as `specific:1,3`".to_owned()
        })
    }

    /// Returns those of the versions that are to be served, the highest first.
    pub fn choose(&self, versions: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut chosen: Vec<_> = versions.into_iter().collect();
        chosen.sort_unstable_by_key(|&it| std::cmp::Reverse(it));
        match self {
            Self::Latest(count) => chosen.truncate(*count),
            Self::All => {}
            Self::Specific(wanted) => chosen.retain(|it| wanted.contains(it)),
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_chooses_the_highest_first() {
        let table = [
            ("latest", vec![12]),
            ("latest:2", vec![12, 3]),
            ("latest:9", vec![12, 3, 2, 1]),
            ("all", vec![12, 3, 2, 1]),
            ("specific:1, 3,7", vec![3, 1]),
        ];
        for (text, wanted) in table {
            let policy = VersionPolicy::read(text).unwrap();
            assert_eq!(policy.choose([3, 1, 12, 2]), wanted, "{text}");
        }
        for text in ["", "latest:0", "latest:x", "all:1", "specific:", "specific:-1", "newest"] {
            assert!(VersionPolicy::read(text).is_err(), "{text}");
        }
    }
}
