//! Lists of headers, as flags and manifests write them: names, or beginnings of names with a `*` behind.

/// Headers by name or by the beginning of their names. Names are lower-case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderList(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Is(String),
    Begins(String),
}

/// What belongs to one connection, to one body, or to Weir itself.
const NEVER: [&str; 13] = [
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-error-origin",
    "x-request-timeout-ms",
];
/// The same, by how the names begin.
const NEVER_BEGIN: [&str; 4] = ["content-", "grpc-", "inference-header-", "x-weir-"];
/// Secrets: nothing but their whole names lets them travel.
const BY_NAME: [&str; 3] = ["authorization", "cookie", "set-cookie"];

impl HeaderList {
    /// Reads a list of headers that shall travel, such as `x-user, x-tenant-*`.
    ///
    /// # Errors
    /// A text, when an entry is no name or names what never travels.
    pub fn to_propagate(text: &str) -> Result<Self, String> {
        let list = Self::read(text)?;
        for pattern in &list.0 {
            let (Pattern::Is(name) | Pattern::Begins(name)) = pattern;
            let never = match pattern {
                Pattern::Is(name) => never_travels(name),
                Pattern::Begins(begin) => NEVER_BEGIN.iter().any(|it| begin.starts_with(it)),
            };
            if never {
                return Err(format!("`{name}` never travels: it belongs to one hop or one body"));
            }
        }
        Ok(list)
    }

    /// Reads a list of headers that shall not travel, such as `tracestate, b3`.
    ///
    /// # Errors
    /// A text, when an entry is no name.
    pub fn to_drop(text: &str) -> Result<Self, String> {
        Self::read(text)
    }

    fn read(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|it| !it.is_empty());
        entries.map(Pattern::read).collect::<Result<_, _>>().map(Self)
    }

    /// Returns whether it names none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the entries of another list.
    pub fn extend(&mut self, other: &Self) {
        for pattern in &other.0 {
            if !self.0.contains(pattern) {
                self.0.push(pattern.clone());
            }
        }
    }

    /// Returns whether every entry of another list is among its own.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|pattern| self.0.contains(pattern))
    }

    /// Returns whether it names a header to be propagated. What never travels is named by no list, and secrets only by their
    /// whole names.
    pub fn lets(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Is(whole) => whole == name,
            Pattern::Begins(begin) => {
                name.starts_with(begin) && !BY_NAME.contains(&name) && !never_travels(name)
            }
        })
    }

    /// Returns whether it names a header to be dropped.
    pub fn drops(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Is(whole) => whole == name,
            Pattern::Begins(begin) => name.starts_with(begin),
        })
    }
}

/// As it is written in a flag.
impl std::fmt::Display for HeaderList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.0.iter().map(|pattern| match pattern {
            Pattern::Is(name) => name.clone(),
            Pattern::Begins(begin) => format!("{begin}*"),
        });
        f.write_str(&entries.collect::<Vec<_>>().join(","))
    }
}

impl Pattern {
    fn read(entry: &str) -> Result<Self, String> {
        let lower = entry.to_ascii_lowercase();
        let (name, begins) = lower.strip_suffix('*').map_or((lower.as_str(), false), |begin| (begin, true));
        let known = name.is_empty() || http::HeaderName::try_from(name).is_ok_and(|_| !name.contains('*'));
        if !known || lower.is_empty() {
            return Err(format!("`{entry}` is no header's name; expected such as `x-user` or `x-tenant-*`"));
        }
        Ok(if begins { Self::Begins(name.to_owned()) } else { Self::Is(name.to_owned()) })
    }
}

fn never_travels(name: &str) -> bool {
    NEVER.contains(&name) || NEVER_BEGIN.iter().any(|it| name.starts_with(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings_are_told_apart() {
        let list = HeaderList::to_propagate("Authorization, x-tenant-*,x-user").unwrap();
        for name in ["authorization", "x-tenant-", "x-tenant-id", "x-user"] {
            assert!(list.lets(name), "{name}");
        }
        for name in ["cookie", "x-user-id", "x-tenan"] {
            assert!(!list.lets(name), "{name}");
        }
        assert_eq!(list.to_string(), "authorization,x-tenant-*,x-user");
    }

    #[test]
    fn what_never_travels_is_refused_by_name_and_passed_over_by_a_star() {
        for text in
            ["te", "Host", "content-type", "content-*", "grpc-timeout", "x-weir-*", "x-weir-explaining"]
        {
            assert!(HeaderList::to_propagate(text).unwrap_err().contains("never travels"), "{text}");
        }
        let all = HeaderList::to_propagate("*").unwrap();
        for name in ["host", "content-length", "x-weir-explaining", "grpc-timeout", "authorization", "cookie"]
        {
            assert!(!all.lets(name), "{name}");
        }
        assert!(all.lets("x-user"));
        for text in ["x user", "a*b", "x-**", "ü"] {
            assert!(HeaderList::to_propagate(text).unwrap_err().contains("no header's name"), "{text}");
        }
        assert!(HeaderList::to_drop("b3, x-b3-*").unwrap().drops("x-b3-traceid"));
    }
}
