//! The one thing JSON writes that YAML does not read: a character beyond the first 65,536 as two escapes.

use std::borrow::Cow;

/// Rewrites `\ud83d\ude00` as YAML's `\U0001f600` in a text that is JSON, where a backslash stands only between quotes.
/// Python's `json.dumps` writes such pairs; a half of one stays and is an error.
pub(super) fn join_surrogates(text: &str) -> Cow<'_, str> {
    let json = text.trim_start().starts_with(['{', '[', '"']);
    if !json || !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        joined.push_str(&rest[..at]);
        rest = &rest[at..];
        // Two characters at a time, so that the second backslash of `\\u` begins nothing.
        let taken = match pair(rest) {
            Some(letter) => {
                joined.push_str(&format!("\\U{:08x}", u32::from(letter)));
                12
            }
            None => {
                let taken = rest.chars().take(2).map(char::len_utf8).sum();
                joined.push_str(&rest[..taken]);
                taken
            }
        };
        rest = &rest[taken..];
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}

fn pair(text: &str) -> Option<char> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
    };
    char::decode_utf16([unit(0)?, unit(6)?]).next()?.ok().filter(|it| it.len_utf16() == 2)
}
