//! `https://` and `http://`: one file, which may be an archive.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::client::{Ask, Attempts, Client, Headers};
use super::list::{Content, Listing, Object, bare_etag};
use super::place::{Place, relative, shown, unescaped};
use super::settings::Settings;
use super::tls::Tls;
use super::transfer::Probed;
use super::{Source, StorageError};
use crate::BoxFuture;

/// Files of web servers.
pub(super) struct Https;

impl Source for Https {
    fn schemes(&self) -> &'static [&'static str] {
        &["https", "http"]
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
    let url = place.url()?;
    let host = url.host_str().unwrap_or_default();
    let name = unescaped(url.path().rsplit('/').next().unwrap_or_default());
    if name.ends_with(".git") {
        return Err(
            place.refused("repositories of git are not cloned; expected the address of a file or an archive")
        );
    }
    if host.ends_with(".file.core.windows.net") {
        return Err(place.refused("shares of Azure Files are not read; mount it, or use a blob container"));
    }
    if name.is_empty() {
        return Err(place.refused("no file is named in it; expected such as `https://host/model.zip`"));
    }
    let path = relative(&name).map_err(|reason| place.refused(reason))?;
    let access = Arc::new(Headers(headers_of(settings, host)?));
    let client = Arc::new(Client::new(settings, &Tls::of(settings))?);
    // The first byte tells length, etag, and whether parts can be had; HEAD is refused where an address is signed for GET.
    let ask = Ask::get(url.clone()).with("range", "bytes=0-0");
    let mut attempts = Attempts::new(client.pace);
    let (status, headers) = loop {
        match client.send(&ask, access.as_ref()).await {
            Ok(answer) if answer.status().is_success() => break (answer.status(), answer.headers().clone()),
            // Of an empty file there is no first byte.
            Ok(answer) if answer.status() == http::StatusCode::RANGE_NOT_SATISFIABLE => {
                let whole = client.good(&Ask::get(url.clone()), access.as_ref()).await?;
                break (whole.status(), whole.headers().clone());
            }
            Ok(answer) => {
                let error = client.refusal(&url, answer).await;
                attempts.after(error).await?;
            }
            Err(error) => attempts.after(error).await?,
        }
    };
    if let Some(kind) = headers.get("content-type").and_then(|it| it.to_str().ok())
        && kind.starts_with("text/html")
        && !name.ends_with(".html")
    {
        return Err(StorageError::answer(
            shown(url.as_str()),
            "it answers a web page (text/html), expected a file",
        ));
    }
    let probed = Probed::of(status, &headers);
    let etag = bare_etag(&probed.etag).to_owned();
    let tag = if etag.is_empty() { probed.modified } else { etag.clone() };
    // What an `if-match` may have: weak ones compare to nothing.
    let etag = (!etag.is_empty() && !probed.etag.starts_with("W/")).then_some(etag);
    let object = Object {
        path,
        length: probed.length,
        tag,
        etag,
        digest: None,
        url,
        ranges: probed.ranges,
        content: Content::File,
    };
    Ok(Listing { objects: vec![object], access, client })
}

/// The headers that KServe's secret of a host names, as JSON in the variable `HOST-headers`.
fn headers_of(settings: &Settings, host: &str) -> Result<HeaderMap, StorageError> {
    let name = format!("{host}-headers");
    let Some(text) = settings.var(&name) else { return Ok(HeaderMap::new()) };
    headers_from(text).map_err(|reason| StorageError::Settings(format!("variable {name}: {reason}")))
}

/// Reads a JSON object of headers.
pub(super) fn headers_from(text: &str) -> Result<HeaderMap, String> {
    let object: std::collections::BTreeMap<String, String> = serde_json::from_str(text)
        .map_err(|_| "expected a JSON object of headers and their values".to_owned())?;
    let header = |(name, value): (String, String)| {
        let read = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value));
        match read {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                Ok((name, value))
            }
            _ => Err(format!("`{name}` is no header, or its value none")),
        }
    };
    object.into_iter().map(header).collect()
}
