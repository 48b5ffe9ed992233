//! What a source says is in a model: files, each with its address and with what tells its versions apart.

use std::sync::Arc;

use ring::digest;
use url::Url;

use super::StorageError;
use super::client::{Access, Client};
use super::place::{Place, relative};
use super::settings::Settings;

/// A file of a model, where a store has it.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Its path in the model.
    pub(super) path: String,
    /// Its bytes, where the store says how many.
    pub(super) length: Option<u64>,
    /// What is another one when the file is: an etag, a digest, a date. Empty where a store tells nothing.
    pub(super) tag: String,
    /// The `etag` that answers must have, without quotes.
    pub(super) etag: Option<String>,
    /// What the bytes must hash to.
    pub(super) digest: Option<Digest>,
    pub(super) url: Url,
    pub(super) ranges: Ranges,
    pub(super) content: Content,
}

/// How a part of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ranges {
    /// By the header `range`.
    Header,
    /// By `offset` and `length` in the query, as WebHDFS does.
    Query,
    /// Not at all.
    None,
}

/// What becomes of a file once it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// It stays as it is.
    File,
    /// It is a layer of an image, of which `models/` is taken.
    Layer,
}

/// What the bytes of a file must hash to, in small hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Digest {
    /// SHA-256 of the bytes.
    Sha256(String),
    /// SHA-1 of git's `blob LENGTH\0` and the bytes.
    Git(String),
}

impl Digest {
    /// A hash that has begun.
    pub(super) fn begin(&self, length: u64) -> digest::Context {
        match self {
            Self::Sha256(_) => digest::Context::new(&digest::SHA256),
            Self::Git(_) => {
                let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {length}\0").as_bytes());
                context
            }
        }
    }

    /// The digits wanted.
    pub(super) fn wanted(&self) -> &str {
        let (Self::Sha256(wanted) | Self::Git(wanted)) = self;
        wanted
    }
}

/// Bytes as small hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 as digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The files of a model, and how their store is talked to.
pub struct Listing {
    pub(super) objects: Vec<Object>,
    pub(super) access: Arc<dyn Access>,
    pub(super) client: Arc<Client>,
}

/// What a store's list says of one file.
pub(super) struct Listed {
    /// Its whole key.
    pub(super) key: String,
    pub(super) length: u64,
    pub(super) etag: String,
}

/// Chooses from a store's list what is the model: the object of exactly that key, or all below it.
///
/// # Errors
/// [`StorageError::Refused`] when there is none, or a key is no path.
pub(super) fn below(
    place: &Place,
    prefix: &str,
    listed: Vec<Listed>,
    url: impl Fn(&str) -> Result<Url, StorageError>,
) -> Result<Vec<Object>, StorageError> {
    let object = |path: String, it: Listed| {
        let etag = bare_etag(&it.etag).to_owned();
        Ok(Object {
            path,
            length: Some(it.length),
            tag: etag.clone(),
            etag: (!etag.is_empty()).then_some(etag),
            digest: None,
            url: url(&it.key)?,
            ranges: Ranges::Header,
            content: Content::File,
        })
    };
    let is_folder = |it: &Listed, next: Option<&Listed>| {
        // Some tools mark a folder by an empty object of its name.
        it.key.ends_with('/')
            || (it.length == 0 && next.is_some_and(|next| next.key.starts_with(&format!("{}/", it.key))))
    };
    let folder = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let mut objects = Vec::new();
    let mut rest = listed.into_iter().peekable();
    let mut exact = None;
    while let Some(it) = rest.next() {
        if is_folder(&it, rest.peek()) {
            continue;
        }
        if it.key == prefix {
            exact = Some(it);
        } else if let Some(path) = it.key.strip_prefix(&folder) {
            let path =
                relative(path).map_err(|reason| place.refused(format!("of an object in it, {reason}")))?;
            objects.push(object(path, it)?);
        }
    }
    match exact {
        Some(it) => {
            let name = prefix.rsplit('/').next().unwrap_or(prefix);
            let path = relative(name).map_err(|reason| place.refused(reason))?;
            Ok(vec![object(path, it)?])
        }
        None if objects.is_empty() => Err(place.nothing()),
        None => Ok(objects),
    }
}

/// An etag without its quotes and without the mark of weak ones.
pub(super) fn bare_etag(text: &str) -> &str {
    text.trim().trim_start_matches("W/").trim_matches('"')
}

/// What may be downloaded of a list: files that are wanted, each name once, within the limits.
///
/// # Errors
/// [`StorageError::Refused`].
pub(super) fn admitted(
    place: &Place,
    objects: Vec<Object>,
    settings: &Settings,
) -> Result<Vec<Object>, StorageError> {
    let mut objects: Vec<_> = objects
        .into_iter()
        .filter(|it| it.content != Content::File || settings.patterns.want(&it.path))
        .collect();
    if objects.is_empty() {
        return Err(place.refused("no file of it passes STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS"));
    }
    let limits = &settings.limits;
    if objects.len() > limits.files {
        return Err(place.refused(format!("it has {} files, the most are {}", objects.len(), limits.files)));
    }
    let bytes = objects.iter().filter_map(|it| it.length).fold(0_u64, u64::saturating_add);
    if bytes > limits.bytes {
        let reason = format!("it has {bytes} bytes, the most are {} (--storage_max_bytes)", limits.bytes);
        return Err(place.refused(reason));
    }
    if objects.iter().all(|it| it.content == Content::File) {
        objects.sort_by(|a, b| a.path.cmp(&b.path));
    }
    let mut names: Vec<_> = objects.iter().map(|it| it.path.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        let inside = pair[1].strip_prefix(pair[0]).is_some_and(|it| it.is_empty() || it.starts_with('/'));
        if inside {
            return Err(
                place.refused(format!("it has `{}` both as a file and as another or a folder", pair[0]))
            );
        }
    }
    Ok(objects)
}
