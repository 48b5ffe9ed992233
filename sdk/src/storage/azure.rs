//! `https://ACCOUNT.blob.core.windows.net/container/path`, `az://container/path`, `abfs://container@account.../path`: Azure's blobs.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use url::Url;

use super::client::{Access, Ask, Client, Headers};
use super::list::{Listed, Listing, below};
use super::place::{Place, escaped, escaped_path, shown, unescaped};
use super::settings::Settings;
use super::sigv4::{Time, hmac_sha256};
use super::tls::Tls;
use super::token::Bearer;
use super::{Source, StorageError, xml};
use crate::BoxFuture;

/// The version of the API: the first with everything that is used here.
const VERSION: &str = "2021-08-06";
const PAGES: usize = 1000;
/// The clouds that Azure has blobs in.
const HOSTS: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.usgovcloudapi.net",
    ".blob.storage.azure.net",
];

/// Containers of Azure's blobs.
pub(super) struct Azure;

impl Source for Azure {
    fn schemes(&self) -> &'static [&'static str] {
        &["az", "azure", "abfs", "abfss"]
    }

    fn takes(&self, place: &Place) -> bool {
        let is_blob = || {
            let host = place.rest().split(['/', '?', ':']).next().unwrap_or_default().to_ascii_lowercase();
            HOSTS.iter().any(|it| host.ends_with(it))
        };
        self.schemes().contains(&place.scheme.as_str()) || (place.scheme == "https" && is_blob())
    }

    fn list<'a>(
        &'a self,
        place: &'a Place,
        settings: &'a Settings,
    ) -> BoxFuture<'a, Result<Listing, StorageError>> {
        Box::pin(list(place, settings))
    }
}

/// A container, and what of it is wanted.
struct Container {
    account: String,
    /// Its address, with a slash at its end.
    base: Url,
    prefix: String,
    /// What an address that is shared by its signature has in its query.
    signature: Option<String>,
}

async fn list(place: &Place, settings: &Settings) -> Result<Listing, StorageError> {
    let container = container_of(place, settings)?;
    let client = Arc::new(Client::new(settings, &Tls::of(settings))?);
    let access = access_of(place, &container, settings)?;
    let with_signature = |url: &mut Url, query: &str| {
        let parts = [query, container.signature.as_deref().unwrap_or_default()];
        let query = parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("&");
        url.set_query(Some(&query).filter(|it| !it.is_empty()).map(String::as_str));
    };
    let mut listed = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..PAGES {
        let mut url = container.base.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let marker = next.as_deref().map(|it| format!("&marker={}", escaped(it))).unwrap_or_default();
        let query = format!("restype=container&comp=list&prefix={}{marker}", escaped(&container.prefix));
        with_signature(&mut url, &query);
        let (_, body) = client.document(&Ask::get(url.clone()), access.as_ref()).await?;
        let told = |reason: String| StorageError::answer(shown(url.as_str()), reason);
        let page =
            xml::page(&body).map_err(|reason| told(format!("its list is not understood: {reason}")))?;
        listed.extend(page.files.into_iter().map(|(key, length, etag)| Listed { key, length, etag }));
        if page.next.is_none() {
            let url = |key: &str| {
                let mut url = super::s3::address(place, &container.base, key)?;
                with_signature(&mut url, "");
                Ok(url)
            };
            let objects = below(place, &container.prefix, listed, url)?;
            return Ok(Listing { objects, access, client });
        }
        if page.next == next {
            return Err(told("its list has no end".to_owned()));
        }
        next = page.next;
    }
    Err(place.refused(format!("its list has more than {PAGES} pages")))
}

fn container_of(place: &Place, settings: &Settings) -> Result<Container, StorageError> {
    const ACCOUNT: [&str; 3] = ["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"];
    let (account, host, path, signature) = if place.scheme == "https" {
        let url = place.url()?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let account = host.split('.').next().unwrap_or_default().to_owned();
        let signature = url.query().map(str::to_owned);
        (account, host, unescaped(url.path()), signature)
    } else {
        let (authority, path) = place.container()?;
        let (container, named) = match authority.split_once('@') {
            Some((container, host)) => {
                (container, Some(host.split('.').next().unwrap_or_default().to_owned()))
            }
            None => (authority, settings.first(&ACCOUNT).map(str::to_owned)),
        };
        let account = named.ok_or_else(|| {
            place.refused(format!(
                "it names no account; set {}, or write `abfs://container@account.dfs.core.windows.net/path`",
                ACCOUNT[0]
            ))
        })?;
        (account.clone(), format!("{account}{}", HOSTS[0]), format!("/{container}/{path}"), None)
    };
    let (container, prefix) =
        path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
    if container.is_empty() {
        return Err(place.refused("expected `https://ACCOUNT.blob.core.windows.net/container/path`"));
    }
    // Of an emulator, or of a store that is compatible; it ends in the account.
    let endpoint =
        settings.first(&["AZURE_SERVICE_URL", "AZURE_STORAGE_ENDPOINT", "AZURITE_BLOB_STORAGE_URL"]);
    let endpoint =
        endpoint.map_or_else(|| format!("https://{host}"), |it| it.trim_end_matches('/').to_owned());
    let base = Url::parse(&format!("{endpoint}/{}/", escaped_path(container)))
        .map_err(|error| place.refused(format!("its endpoint is no address: {error}")))?;
    let signature = signature.or_else(|| {
        settings.first(&["AZURE_STORAGE_SAS_TOKEN"]).map(|it| it.trim_start_matches('?').to_owned())
    });
    Ok(Container { account, base, prefix: prefix.trim_matches('/').to_owned(), signature })
}

fn access_of(
    place: &Place,
    container: &Container,
    settings: &Settings,
) -> Result<Arc<dyn Access>, StorageError> {
    let version = HeaderValue::from_static(VERSION);
    let anybody = || -> Arc<dyn Access> {
        let headers = [(HeaderName::from_static("x-ms-version"), HeaderValue::from_static(VERSION))];
        Arc::new(Headers(headers.into_iter().collect()))
    };
    if container.signature.is_some() || settings.truth("AZURE_SKIP_SIGNATURE")? == Some(true) {
        return Ok(anybody());
    }
    if let Some(key) =
        settings.first(&["AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"])
    {
        let key = STANDARD.decode(key).map_err(|_| {
            StorageError::Settings(
                "variable AZURE_STORAGE_ACCESS_KEY is no account key, which is in base64".to_owned(),
            )
        })?;
        return Ok(Arc::new(SharedKey { account: container.account.clone(), key }));
    }
    let var =
        |name: &str| settings.first(&[&format!("AZURE_{name}"), &format!("AZ_{name}")]).map(str::to_owned);
    if let (Some(tenant), Some(client)) = (var("TENANT_ID"), var("CLIENT_ID")) {
        let secret = var("CLIENT_SECRET");
        let file = var("FEDERATED_TOKEN_FILE");
        if secret.is_some() || file.is_some() {
            let authority =
                var("AUTHORITY_HOST").unwrap_or_else(|| "https://login.microsoftonline.com".to_owned());
            let text = format!("{}/{}/oauth2/v2.0/token", authority.trim_end_matches('/'), escaped(&tenant));
            let url = Url::parse(&text)
                .map_err(|error| StorageError::Settings(format!("variable AZURE_AUTHORITY_HOST: {error}")))?;
            let question = move || token_question(&url, &client, secret.as_deref(), file.as_deref());
            return Ok(Arc::new(Bearer::new(Box::new(question), vec![("x-ms-version", version)])));
        }
    }
    tracing::info!(
        "{}: no credentials are set (AZURE_STORAGE_ACCESS_KEY and others), it is read as anybody may",
        place.shown()
    );
    Ok(anybody())
}

/// The request for a token, for a secret or for the token of a workload's own.
fn token_question(
    url: &Url,
    client: &str,
    secret: Option<&str>,
    file: Option<&str>,
) -> Result<Ask, StorageError> {
    let scope = ("scope", "https://storage.azure.com/.default");
    let common = [("grant_type", "client_credentials"), ("client_id", client), scope];
    if let Some(secret) = secret {
        return Ok(Ask::form(url.clone(), &[&common[..], &[("client_secret", secret)]].concat()));
    }
    let path = file.unwrap_or_default();
    let token = std::fs::read_to_string(path).map_err(|error| StorageError::disk(path, &error))?;
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let more = [("client_assertion_type", kind), ("client_assertion", token.trim())];
    Ok(Ask::form(url.clone(), &[&common[..], &more].concat()))
}

/// The key of an account: <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>.
struct SharedKey {
    account: String,
    key: Vec<u8>,
}

impl Access for SharedKey {
    fn authorize<'a>(
        &'a self,
        request: &'a mut Parts,
        _: &'a Client,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        self.sign(request, &Time::of(SystemTime::now()).http());
        Box::pin(std::future::ready(Ok(())))
    }
}

impl SharedKey {
    fn sign(&self, request: &mut Parts, date: &str) {
        let mut add = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers.insert(HeaderName::from_static(name), value);
            }
        };
        add("x-ms-date", date);
        add("x-ms-version", VERSION);
        let header =
            |name: &str| request.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
        // Encoding, language, length, MD5, type, date, the four of conditions, and the range, each on a line.
        let lines = format!(
            "{}\n\n\n\n\n\n\n\n{}\n{}\n\n{}\n",
            request.method,
            header("if-match"),
            header("if-none-match"),
            header("range")
        );
        let mut resource = format!("/{}{}", self.account, request.uri.path());
        let mut pairs: Vec<_> =
            url::form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes()).collect();
        pairs.sort();
        for (name, value) in pairs {
            resource.push_str(&format!("\n{}:{value}", name.to_ascii_lowercase()));
        }
        let text = format!("{lines}x-ms-date:{date}\nx-ms-version:{VERSION}\n{resource}");
        let signature = STANDARD.encode(hmac_sha256(&self.key, text.as_bytes()));
        let value = format!("SharedKey {}:{signature}", self.account);
        if let Ok(mut value) = HeaderValue::from_str(&value) {
            value.set_sensitive(true);
            request.headers.insert("authorization", value);
        }
    }
}
