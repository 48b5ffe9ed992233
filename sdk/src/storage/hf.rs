//! `hf://owner/model[:revision]`: the Hugging Face Hub, by its HTTP API. What it says of each file's hash is verified.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK};
use serde_json::Value;
use url::Url;

use super::client::{Access, Ask, Client, Headers};
use super::list::{Content, Digest, Listing, Object, Ranges};
use super::place::{Place, escaped, escaped_path, relative, shown};
use super::settings::Settings;
use super::tls::Tls;
use super::{Source, StorageError};
use crate::BoxFuture;

const PAGES: usize = 1000;

/// Models of the Hugging Face Hub.
pub(super) struct Hf;

impl Source for Hf {
    fn schemes(&self) -> &'static [&'static str] {
        &["hf"]
    }

    fn list<'a>(
        &'a self,
        place: &'a Place,
        settings: &'a Settings,
    ) -> BoxFuture<'a, Result<Listing, StorageError>> {
        Box::pin(list(place, settings))
    }
}

async fn list(place: &Place, settings: &Settings) -> Result<Listing, StorageError> {
    let (model, revision) = model_of(place)?;
    let endpoint = settings.var("HF_ENDPOINT").unwrap_or("https://huggingface.co").trim_end_matches('/');
    let address = |path: &str| {
        Url::parse(&format!("{endpoint}/{path}"))
            .map_err(|error| StorageError::Settings(format!("variable HF_ENDPOINT is no address: {error}")))
    };
    let access: Arc<dyn Access> = Arc::new(Headers(token_of(settings)?));
    let client = Arc::new(Client::new(settings, &Tls::of(settings))?);
    let name = escaped_path(model);
    // The commit that the revision stands for now: everything is asked of this one.
    let url = address(&format!("api/models/{name}/revision/{}", escaped(revision)))?;
    let (_, info) = client.json(&Ask::get(url.clone()), access.as_ref()).await?;
    let commit =
        info.get("sha").and_then(Value::as_str).filter(|it| it.chars().all(|it| it.is_ascii_hexdigit()));
    let commit = commit
        .ok_or_else(|| StorageError::answer(shown(url.as_str()), "its answer names no commit"))?
        .to_owned();
    let mut objects = Vec::new();
    let mut next = Some(address(&format!("api/models/{name}/tree/{commit}?recursive=true"))?);
    for _ in 0..PAGES {
        let Some(url) = next.take() else { return Ok(Listing { objects, access, client }) };
        let (headers, page) = client.json(&Ask::get(url.clone()), access.as_ref()).await?;
        let told = |reason: &str| StorageError::answer(shown(url.as_str()), reason);
        for entry in page.as_array().ok_or_else(|| told("its answer is no list of files"))? {
            if entry.get("type").and_then(Value::as_str) != Some("file") {
                continue;
            }
            let found = file(entry).ok_or_else(|| told("a file of its list has no path, size or hash"))?;
            let path =
                relative(found.0).map_err(|reason| place.refused(format!("of a file in it, {reason}")))?;
            let url = address(&format!("{name}/resolve/{commit}/{}", escaped_path(&path)))?;
            objects.push(Object {
                path,
                length: Some(found.1),
                tag: found.2.wanted().to_owned(),
                etag: None,
                digest: Some(found.2),
                url,
                ranges: Ranges::Header,
                content: Content::File,
            });
        }
        next = next_page(&url, &headers);
    }
    Err(place.refused(format!("its list has more than {PAGES} pages")))
}

/// The two parts of a model's name as they are written, and the revision.
fn model_of(place: &Place) -> Result<(&str, &str), StorageError> {
    let (model, revision) = place.rest().split_once(':').unwrap_or((place.rest(), "main"));
    let parts: Vec<_> = model.split('/').collect();
    let is_name = |it: &&str| {
        !it.is_empty()
            && !matches!(*it, "." | "..")
            && it.chars().all(|it| it.is_ascii_alphanumeric() || "-_.".contains(it))
    };
    if parts.len() != 2 || !parts.iter().all(is_name) || revision.is_empty() {
        return Err(place.refused("expected `hf://owner/model` or `hf://owner/model:revision`"));
    }
    Ok((model, revision))
}

/// Path, length and hash of a file: SHA-256 of large ones, git's own of the others.
fn file(entry: &Value) -> Option<(&str, u64, Digest)> {
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_ascii_lowercase);
    let path = entry.get("path")?.as_str()?;
    let length = entry.get("size")?.as_u64()?;
    let digest = match entry.get("lfs") {
        Some(lfs) if lfs.is_object() => {
            Digest::Sha256(text(lfs, "oid")?.trim_start_matches("sha256:").to_owned())
        }
        Some(_) | None => Digest::Git(text(entry, "oid")?),
    };
    Some((path, length, digest))
}

fn token_of(settings: &Settings) -> Result<HeaderMap, StorageError> {
    let mut headers = HeaderMap::new();
    if let Some(token) = settings.first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            StorageError::Settings("variable HF_TOKEN is no token: it has control characters".to_owned())
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// The address of the next page, which has to be of the same host (RFC 8288).
pub(super) fn next_page(url: &Url, headers: &HeaderMap) -> Option<Url> {
    let links = headers.get(LINK)?.to_str().ok()?;
    let link = links.split(',').find(|it| it.contains("rel=\"next\""))?;
    let address = link.split_once('<')?.1.split_once('>')?.0;
    url.join(address).ok().filter(|it| it.origin() == url.origin())
}
