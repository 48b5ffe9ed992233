//! Patterns of names as Python's `fnmatch` has them: `*`, `?`, `[abc]`, `[!abc]`; `*` also stands for slashes.

/// Which files of a model are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Only these; all where it is empty.
    pub allow: Vec<String>,
    /// Never these.
    pub ignore: Vec<String>,
}

impl Patterns {
    /// Reads the two lists as KServe writes them: a JSON list, or texts between commas.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn read(allow: &str, ignore: &str) -> Result<Self, String> {
        Ok(Self { allow: list(allow)?, ignore: list(ignore)? })
    }

    /// Whether a file of that relative path is wanted.
    pub(super) fn want(&self, path: &str) -> bool {
        let any = |list: &[String]| list.iter().any(|it| matches(it, path));
        (self.allow.is_empty() || any(&self.allow)) && !any(&self.ignore)
    }
}

fn list(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|error| format!("expected a JSON list of patterns: {error}"));
    }
    Ok(text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect())
}

/// Whether a pattern fits a text as a whole. It takes at most the product of both lengths.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stands, and how far the text was when it took nothing.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at + 1, from));
            at += 1;
        } else if let Some(next) = one(&pattern, at, text[from]) {
            at = next;
            from += 1;
        } else if let Some((behind, taken)) = star {
            star = Some((behind, taken + 1));
            (at, from) = (behind, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|it| *it == '*')
}

/// Where the pattern goes on if what stands at `at` fits the character.
fn one(pattern: &[char], at: usize, character: char) -> Option<usize> {
    match *pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => match set(&pattern[at + 1..], character) {
            Some((fits, length)) => fits.then_some(at + 1 + length),
            // Without an end it is the character itself.
            None => (character == '[').then_some(at + 1),
        },
        it => (it == character).then_some(at + 1),
    }
}

/// Whether a set has the character, and how long the set is with its bracket.
fn set(pattern: &[char], character: char) -> Option<(bool, usize)> {
    let negated = pattern.first() == Some(&'!');
    let start = usize::from(negated);
    // A bracket that comes first is one of the set.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|it| *it == ']')?;
    let mut found = false;
    let mut rest = &pattern[start..end];
    while let [low, others @ ..] = rest {
        if let ['-', high, behind @ ..] = others {
            found |= (*low..=*high).contains(&character);
            rest = behind;
        } else {
            found |= *low == character;
            rest = others;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_fnmatch_says() {
        for (pattern, text, fits) in [
            ("*.bin", "a/b.bin", true),
            ("*.bin", "a.bin.txt", false),
            ("model?.json", "model1.json", true),
            ("[a-c]*", "b/x", true),
            ("[!a-c]*", "b/x", false),
            ("[]]", "]", true),
            ("[", "[", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("", "", true),
            ("", "a", false),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
    }

    #[test]
    fn lists_are_json_or_commas() {
        let patterns = Patterns::read(r#"["*.json", "*.bin"]"#, "a*, b*").unwrap();
        assert!(patterns.want("x.json") && !patterns.want("a.json") && !patterns.want("x.txt"));
        assert!(Patterns::read("[1]", "").is_err());
    }
}
