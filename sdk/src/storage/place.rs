//! A `storageUri`, taken apart, and how it is shown: without passwords and without its query, which may be a signature.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use super::StorageError;

/// The longest URI that is read.
const LONGEST: usize = 8 << 10;
/// The longest path of a file in a model, and the longest part of one: what Linux takes.
const LONGEST_PATH: usize = 1024;
const LONGEST_NAME: usize = 255;

/// What a signature leaves as it is in a path's part (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// A `storageUri`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    raw: String,
    /// Its scheme in small letters; `file` for plain paths.
    pub(super) scheme: String,
}

impl Place {
    /// Reads a URI. A text without `://` is a path.
    ///
    /// # Errors
    /// [`StorageError::Refused`] when it is too long or has control characters.
    pub fn read(uri: &str) -> Result<Self, StorageError> {
        if uri.len() > LONGEST {
            let reason = format!("it has {} bytes, the most are {LONGEST}", uri.len());
            return Err(StorageError::refused(format!("{}...", excerpt(&shown(uri), 64)), reason));
        }
        if uri.is_empty() || uri.contains(|it: char| it.is_control()) {
            return Err(StorageError::refused(
                shown(uri).replace(|it: char| it.is_control(), "?"),
                "expected a URI such as `s3://bucket/model`, without control characters",
            ));
        }
        let scheme = uri.split_once("://").map_or("file", |(scheme, _)| scheme);
        Ok(Self { raw: uri.to_owned(), scheme: scheme.to_ascii_lowercase() })
    }

    /// What stands behind `://`, or the path as a whole.
    pub(super) fn rest(&self) -> &str {
        self.raw.split_once("://").map_or(&self.raw, |(_, rest)| rest)
    }

    /// The two parts of `scheme://container/path`; neither is decoded, for these schemes have no escapes.
    ///
    /// # Errors
    /// [`StorageError::Refused`] when there is no container.
    pub(super) fn container(&self) -> Result<(&str, &str), StorageError> {
        let (container, path) = self.rest().split_once('/').unwrap_or((self.rest(), ""));
        if container.is_empty() || container.contains(['?', '#', '\\']) {
            return Err(self.refused(format!("expected `{}://container/path`", self.scheme)));
        }
        Ok((container, path.trim_matches('/')))
    }

    /// The URI as an address of HTTP.
    ///
    /// # Errors
    /// [`StorageError::Refused`] when it is none.
    pub(super) fn url(&self) -> Result<Url, StorageError> {
        Url::parse(&self.raw).map_err(|error| self.refused(format!("it is no address: {error}")))
    }

    /// The URI without what may be secret.
    pub fn shown(&self) -> String {
        shown(&self.raw)
    }

    /// The URI without its query: what a cache knows it by, since signatures come and go.
    pub(super) fn without_query(&self) -> &str {
        if matches!(self.scheme.as_str(), "http" | "https") {
            self.raw.split(['?', '#']).next().unwrap_or_default()
        } else {
            &self.raw
        }
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> StorageError {
        StorageError::refused(self.shown(), reason)
    }

    /// Nothing lies where the URI says.
    pub(super) fn nothing(&self) -> StorageError {
        // KServe's words, which people look for.
        self.refused(format!("failed to fetch model; no model found in {}", self.shown()))
    }
}

/// An address without password and query.
pub(super) fn shown(uri: &str) -> String {
    let (address, query) = match uri.split_once('?') {
        Some((address, _)) => (address, "?..."),
        None => (uri, ""),
    };
    let address = match address.split_once("://") {
        Some((scheme, rest)) if matches!(scheme, "http" | "https") => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            format!("{scheme}://{}{path}", host.rsplit_once('@').map_or(host, |(_, host)| host))
        }
        Some(_) | None => address.to_owned(),
    };
    format!("{}{query}", excerpt(&address, 512))
}

/// The beginning of a text, not longer than so many bytes.
pub(super) fn excerpt(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A part of a path or a query, escaped as signatures want it.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A path, escaped but for its slashes.
pub(super) fn escaped_path(path: &str) -> String {
    utf8_percent_encode(path, RESERVED_IN_PATH).to_string()
}

/// A path with its escapes read.
pub(super) fn unescaped(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Takes a name out of a list or an archive as a path below a folder: with no way out of it, and no name the system refuses.
///
/// # Errors
/// What is wrong with the name.
pub(super) fn relative(name: &str) -> Result<String, String> {
    let shown = excerpt(name, 64).escape_debug();
    if name.len() > LONGEST_PATH {
        return Err(format!("the name `{shown}...` has {} bytes, the most are {LONGEST_PATH}", name.len()));
    }
    if name.starts_with('/') {
        return Err(format!("`{shown}` is an absolute path"));
    }
    if name.contains(|it: char| it.is_control() || it == '\\') {
        return Err(format!("the name `{shown}` has a backslash or a control character"));
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(format!("`{shown}` leads out of the folder by `..`")),
            part if part.len() > LONGEST_NAME => {
                let shown = excerpt(part, 64).escape_debug();
                return Err(format!(
                    "the name `{shown}...` has {} bytes, the most are {LONGEST_NAME}",
                    part.len()
                ));
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(format!("`{shown}` names no file"));
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_secret() {
        for (uri, wanted) in [
            ("https://a.blob.core.windows.net/c/m?sv=1&sig=abc", "https://a.blob.core.windows.net/c/m?..."),
            ("https://user:word@host/m.zip", "https://host/m.zip"),
            ("s3://bucket/m", "s3://bucket/m"),
        ] {
            assert_eq!(Place::read(uri).unwrap().shown(), wanted);
        }
    }

    #[test]
    fn a_name_stays_below_its_folder() {
        assert_eq!(relative("./a//b/c.txt").unwrap(), "a/b/c.txt");
        for name in
            ["/etc/passwd", "../a", "a/../../b", "", ".", "a\\b", "a\0b", &"n".repeat(4000), &"n".repeat(300)]
        {
            assert!(relative(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_container_and_a_path() {
        let place = Place::read("S3://bucket/a/b/").unwrap();
        assert_eq!((place.scheme.as_str(), place.container().unwrap()), ("s3", ("bucket", "a/b")));
        assert!(Place::read("s3:///a").unwrap().container().is_err());
        assert!(Place::read(&"a".repeat(9000)).is_err());
    }
}
