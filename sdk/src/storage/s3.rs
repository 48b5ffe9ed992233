//! `s3://bucket/path`: AWS, and stores that are compatible with it by their endpoint.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::request::Parts;
use tokio::sync::Mutex;
use url::Url;

use super::client::{Access, Anonymous, Ask, Client};
use super::list::{Listed, Listing, below};
use super::place::{Place, escaped, escaped_path, shown};
use super::settings::Settings;
use super::sigv4::{Keys, sign};
use super::tls::Tls;
use super::{Source, StorageError, xml};
use crate::BoxFuture;

/// The most pages of a list; each has up to 1000 objects.
const PAGES: usize = 1000;
/// Keys that are borrowed are asked for anew so long before they end.
const EARLY: Duration = Duration::from_secs(300);

/// Buckets of S3.
pub(super) struct S3;

impl Source for S3 {
    fn schemes(&self) -> &'static [&'static str] {
        &["s3", "s3a"]
    }

    fn named(&self, settings: &Settings) -> Vec<String> {
        // Of EKS and ECS: who sets it wants it to be asked.
        let uri = settings.var("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        uri.and_then(|it| Url::parse(it).ok()?.host_str().map(str::to_owned)).into_iter().collect()
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
    let (bucket, prefix) = place.container()?;
    let mut tls = Tls::of(settings);
    tls.unverified = settings.truth("S3_VERIFY_SSL")? == Some(false);
    let client = Arc::new(Client::new(settings, &tls)?);
    let mut region = settings.first(&["AWS_DEFAULT_REGION", "AWS_REGION"]).unwrap_or("us-east-1").to_owned();
    let keys = keys_of(place, settings)?;
    loop {
        let base = base_of(place, settings, bucket, &region)?;
        let access: Arc<dyn Access> = match &keys {
            Some(source) => Arc::new(Signed { region: region.clone(), source: Arc::clone(source) }),
            None => Arc::new(Anonymous),
        };
        match pages(place, &client, access.as_ref(), &base, prefix).await? {
            Pages::Listed(listed) => {
                let url = |key: &str| address(place, &base, key);
                return Ok(Listing { objects: below(place, prefix, listed, url)?, access, client });
            }
            Pages::Elsewhere(found) if found != region => region = found,
            Pages::Elsewhere(_) => {
                return Err(StorageError::answer(
                    shown(base.as_str()),
                    "it sends to the region that was asked",
                ));
            }
        }
    }
}

/// What a list came to.
pub(super) enum Pages {
    /// All that is there.
    Listed(Vec<Listed>),
    /// The bucket is in another region.
    Elsewhere(String),
}

/// Reads a list to its end.
///
/// # Errors
/// [`StorageError`].
pub(super) async fn pages(
    place: &Place,
    client: &Client,
    access: &dyn Access,
    base: &Url,
    prefix: &str,
) -> Result<Pages, StorageError> {
    let mut listed = Vec::new();
    let mut next: Option<String> = None;
    for page in 0..PAGES {
        let mut url = base.clone();
        let token =
            next.as_deref().map(|it| format!("continuation-token={}&", escaped(it))).unwrap_or_default();
        url.set_query(Some(&format!("{token}list-type=2&prefix={}", escaped(prefix))));
        let ask = Ask::get(url.clone());
        let body = match client.document(&ask, access).await {
            Ok((_, body)) => body,
            Err(error) => {
                let region = if page == 0 { region_elsewhere(client, &ask, access).await } else { None };
                return region.map(Pages::Elsewhere).ok_or(error);
            }
        };
        let read = xml::page(&body).map_err(|reason| {
            StorageError::answer(shown(url.as_str()), format!("its list is not understood: {reason}"))
        })?;
        listed.extend(read.files.into_iter().map(|(key, length, etag)| Listed { key, length, etag }));
        match read.next {
            None => return Ok(Pages::Listed(listed)),
            following if following == next => {
                return Err(StorageError::answer(shown(url.as_str()), "its list has no end"));
            }
            following => next = following,
        }
    }
    Err(place.refused(format!("its list has more than {PAGES} pages")))
}

/// S3 names the region of a bucket to whoever asks another one.
async fn region_elsewhere(client: &Client, ask: &Ask, access: &dyn Access) -> Option<String> {
    let answer = client.send(ask, access).await.ok()?;
    if !matches!(answer.status().as_u16(), 301 | 307 | 400) {
        return None;
    }
    let region = answer.headers().get("x-amz-bucket-region")?.to_str().ok()?;
    region.chars().all(|it| it.is_ascii_alphanumeric() || it == '-').then(|| region.to_owned())
}

/// The address of a bucket, with a slash at its end.
fn base_of(place: &Place, settings: &Settings, bucket: &str, region: &str) -> Result<Url, StorageError> {
    let endpoint =
        settings.first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT", "AWS_ENDPOINT"]);
    let virtual_host = settings.truth("S3_USER_VIRTUAL_BUCKET")?;
    // A certificate of `*.s3...` fits no name with more dots.
    let fits_a_name =
        !bucket.contains('.') && bucket.chars().all(|it| it.is_ascii_alphanumeric() || it == '-');
    let text = match endpoint {
        Some(endpoint) => {
            let https = settings.truth("S3_USE_HTTPS")?.unwrap_or(true);
            let whole = match endpoint.contains("://") {
                true => endpoint.to_owned(),
                false => format!("{}://{endpoint}", if https { "https" } else { "http" }),
            };
            let whole = whole.trim_end_matches('/');
            match whole.split_once("://") {
                Some((scheme, host)) if virtual_host == Some(true) && fits_a_name => {
                    format!("{scheme}://{bucket}.{host}/")
                }
                Some(_) | None => format!("{whole}/{}/", escaped(bucket)),
            }
        }
        None if settings.truth("S3_USE_ACCELERATE")? == Some(true) && fits_a_name => {
            format!("https://{bucket}.s3-accelerate.amazonaws.com/")
        }
        None if fits_a_name && virtual_host != Some(false) => {
            format!("https://{bucket}.s3.{region}.amazonaws.com/")
        }
        None => format!("https://s3.{region}.amazonaws.com/{}/", escaped(bucket)),
    };
    Url::parse(&text).map_err(|error| place.refused(format!("its endpoint is no address: {error}")))
}

/// The address of an object.
pub(super) fn address(place: &Place, base: &Url, key: &str) -> Result<Url, StorageError> {
    let mut url = base.clone();
    let wrong = || place.refused("a key of it is no path that an address can have");
    url.set_path(&format!("{}{}", base.path(), escaped_path(key)));
    // Whoever writes `..` into a key would have it resolved.
    if url.path().ends_with(&escaped_path(key)) { Ok(url) } else { Err(wrong()) }
}

/// Who has the keys.
enum KeySource {
    Known(Keys),
    /// They are borrowed, with what is known of how.
    Borrowed {
        how: Borrow,
        keys: Mutex<Option<(Keys, Instant)>>,
    },
}

enum Borrow {
    /// From AWS's token service, for a token in a file (IRSA).
    WebIdentity { role: String, token_file: String, endpoint: Url },
    /// From an address that the environment names (EKS Pod Identity, ECS).
    Container { url: Url, token: Option<String>, token_file: Option<String> },
}

/// The keys that the environment tells; none where the bucket is read as anybody may.
fn keys_of(place: &Place, settings: &Settings) -> Result<Option<Arc<KeySource>>, StorageError> {
    if settings.truth("awsAnonymousCredential")? == Some(true)
        || settings.truth("AWS_SKIP_SIGNATURE")? == Some(true)
    {
        return Ok(None);
    }
    if let (Some(id), Some(secret)) =
        (settings.var("AWS_ACCESS_KEY_ID"), settings.var("AWS_SECRET_ACCESS_KEY"))
    {
        let token = settings.var("AWS_SESSION_TOKEN").map(str::to_owned);
        let keys = Keys { id: id.to_owned(), secret: secret.to_owned(), token };
        return Ok(Some(Arc::new(KeySource::Known(keys))));
    }
    let borrowed = |how| Ok(Some(Arc::new(KeySource::Borrowed { how, keys: Mutex::new(None) })));
    let address = |text: &str| {
        Url::parse(text).map_err(|error| StorageError::Settings(format!("`{text}` is no address: {error}")))
    };
    if let (Some(role), Some(file)) =
        (settings.var("AWS_ROLE_ARN"), settings.var("AWS_WEB_IDENTITY_TOKEN_FILE"))
    {
        let region = settings.first(&["AWS_DEFAULT_REGION", "AWS_REGION"]).unwrap_or("us-east-1");
        let usual = format!("https://sts.{region}.amazonaws.com/");
        let endpoint = address(settings.var("AWS_ENDPOINT_URL_STS").unwrap_or(&usual))?;
        return borrowed(Borrow::WebIdentity {
            role: role.to_owned(),
            token_file: file.to_owned(),
            endpoint,
        });
    }
    if let Some(url) = settings.var("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        let owned = |name: &str| settings.var(name).map(str::to_owned);
        return borrowed(Borrow::Container {
            url: address(url)?,
            token: owned("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            token_file: owned("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        });
    }
    tracing::info!(
        "{}: no credentials are set (AWS_ACCESS_KEY_ID and others), it is read as anybody may",
        place.shown()
    );
    Ok(None)
}

struct Signed {
    region: String,
    source: Arc<KeySource>,
}

impl Access for Signed {
    fn authorize<'a>(
        &'a self,
        request: &'a mut Parts,
        client: &'a Client,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            let keys = self.source.keys(client).await?;
            sign(request, &keys, &self.region, SystemTime::now());
            Ok(())
        })
    }
}

impl KeySource {
    async fn keys(&self, client: &Client) -> Result<Keys, StorageError> {
        match self {
            Self::Known(keys) => Ok(keys.clone()),
            Self::Borrowed { how, keys } => {
                let mut known = keys.lock().await;
                if let Some((keys, until)) = known.as_ref()
                    && *until > Instant::now()
                {
                    return Ok(keys.clone());
                }
                let keys = how.ask(client).await?;
                // Both last an hour or more; what is signed is fetched in less, and asked for anew after half of it.
                *known =
                    Some((keys.clone(), Instant::now() + Duration::from_secs(1800).saturating_sub(EARLY)));
                Ok(keys)
            }
        }
    }
}

impl Borrow {
    async fn ask(&self, client: &Client) -> Result<Keys, StorageError> {
        let file = |path: &str| {
            std::fs::read_to_string(path)
                .map(|it| it.trim().to_owned())
                .map_err(|error| StorageError::disk(path, &error))
        };
        match self {
            Self::WebIdentity { role, token_file, endpoint } => {
                let token = file(token_file)?;
                let fields = [
                    ("Action", "AssumeRoleWithWebIdentity"),
                    ("Version", "2011-06-15"),
                    ("RoleSessionName", "weir"),
                    ("RoleArn", role),
                    ("WebIdentityToken", &token),
                ];
                let (_, body) = client.document(&Ask::form(endpoint.clone(), &fields), &Anonymous).await?;
                let text = String::from_utf8_lossy(&body);
                let within = |name: &str| {
                    let (_, rest) = text.split_once(&format!("<{name}>"))?;
                    Some(rest.split('<').next()?.trim().to_owned())
                };
                keys(endpoint, within("AccessKeyId"), within("SecretAccessKey"), within("SessionToken"))
            }
            Self::Container { url, token, token_file } => {
                let token = match (token, token_file) {
                    (Some(token), _) => Some(token.clone()),
                    (None, Some(path)) => Some(file(path)?),
                    (None, None) => None,
                };
                let ask = Ask::get(url.clone());
                let ask = match &token {
                    Some(token) => ask.with("authorization", token),
                    None => ask,
                };
                let (_, value) = client.json(&ask, &Anonymous).await?;
                let text = |name: &str| value.get(name).and_then(|it| it.as_str()).map(str::to_owned);
                keys(url, text("AccessKeyId"), text("SecretAccessKey"), text("Token"))
            }
        }
    }
}

fn keys(
    url: &Url,
    id: Option<String>,
    secret: Option<String>,
    token: Option<String>,
) -> Result<Keys, StorageError> {
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Keys { id, secret, token }),
        _ => Err(StorageError::answer(shown(url.as_str()), "its answer has no keys")),
    }
}
