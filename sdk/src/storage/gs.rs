//! `gs://bucket/path`: Google Cloud Storage, by its XML API, which lists as S3 does.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use super::client::{Access, Anonymous, Ask, Client};
use super::list::{Listing, below};
use super::place::{Place, escaped};
use super::s3::{Pages, address, pages};
use super::settings::Settings;
use super::tls::Tls;
use super::token::Bearer;
use super::{Source, StorageError};
use crate::BoxFuture;

const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_only";

/// Buckets of Google Cloud Storage.
pub(super) struct Gs;

impl Source for Gs {
    fn schemes(&self) -> &'static [&'static str] {
        &["gs"]
    }

    fn named(&self, settings: &Settings) -> Vec<String> {
        // Google's own variable for who has tokens on a machine of theirs.
        let host = settings
            .var("GCE_METADATA_HOST")
            .map(|it| it.split(':').next().unwrap_or(it).to_ascii_lowercase());
        host.into_iter().collect()
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
    let client = Arc::new(Client::new(settings, &Tls::of(settings))?);
    let endpoint = settings.var("STORAGE_EMULATOR_HOST").unwrap_or("https://storage.googleapis.com");
    let endpoint = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
    let base = Url::parse(&format!("{}/{}/", endpoint.trim_end_matches('/'), escaped(bucket)))
        .map_err(|error| place.refused(format!("its endpoint is no address: {error}")))?;
    let access = access_of(place, settings)?;
    match pages(place, &client, access.as_ref(), &base, prefix).await? {
        Pages::Listed(listed) => {
            let url = |key: &str| address(place, &base, key);
            Ok(Listing { objects: below(place, prefix, listed, url)?, access, client })
        }
        Pages::Elsewhere(_) => Err(place.refused("its store sends to a region of another store")),
    }
}

/// Who may read: the account of a file, one that a machine of Google's tells, or anybody.
fn access_of(place: &Place, settings: &Settings) -> Result<Arc<dyn Access>, StorageError> {
    if let Some(path) = settings.var("GOOGLE_APPLICATION_CREDENTIALS") {
        let text = std::fs::read_to_string(path).map_err(|error| StorageError::disk(path, &error))?;
        let account =
            Account::read(&text).map_err(|reason| StorageError::Settings(format!("{path}: {reason}")))?;
        return Ok(Arc::new(Bearer::new(Box::new(move || account.ask()), Vec::new())));
    }
    if let Some(host) = settings.var("GCE_METADATA_HOST") {
        let text = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
        let url = Url::parse(&text)
            .map_err(|error| StorageError::Settings(format!("variable GCE_METADATA_HOST: {error}")))?;
        let question = move || Ok(Ask::get(url.clone()).with("metadata-flavor", "Google"));
        return Ok(Arc::new(Bearer::new(Box::new(question), Vec::new())));
    }
    tracing::info!(
        "{}: no credentials are set (GOOGLE_APPLICATION_CREDENTIALS), it is read as anybody may",
        place.shown()
    );
    Ok(Arc::new(Anonymous))
}

/// What a file of credentials says.
enum Account {
    Service { email: String, key_id: String, key: Box<RsaKeyPair>, url: Url },
    User { id: String, secret: String, refresh: String, url: Url },
}

impl Account {
    fn read(text: &str) -> Result<Self, String> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|_| "expected Google's credentials as JSON".to_owned())?;
        let field = |name: &str| {
            let text = value.get(name).and_then(|it| it.as_str()).map(str::to_owned);
            text.ok_or_else(|| format!("the field `{name}` is missing in Google's credentials"))
        };
        let url = field("token_uri").unwrap_or_else(|_| "https://oauth2.googleapis.com/token".to_owned());
        let url = Url::parse(&url).map_err(|error| format!("`token_uri` is no address: {error}"))?;
        match field("type")?.as_str() {
            "service_account" => {
                let pem = field("private_key")?;
                let wrong = || "`private_key` is no RSA key in PKCS#8 form".to_owned();
                let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong())?;
                let key = Box::new(RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|_| wrong())?);
                let key_id = field("private_key_id").unwrap_or_default();
                Ok(Self::Service { email: field("client_email")?, key_id, key, url })
            }
            "authorized_user" => Ok(Self::User {
                id: field("client_id")?,
                secret: field("client_secret")?,
                refresh: field("refresh_token")?,
                url,
            }),
            other => Err(format!(
                "credentials of the type `{}` are not read; expected `service_account` or `authorized_user`",
                super::place::excerpt(other, 64)
            )),
        }
    }

    /// The request for a token (RFC 7523 for service accounts).
    fn ask(&self) -> Result<Ask, StorageError> {
        match self {
            Self::User { id, secret, refresh, url } => Ok(Ask::form(
                url.clone(),
                &[
                    ("grant_type", "refresh_token"),
                    ("client_id", id),
                    ("client_secret", secret),
                    ("refresh_token", refresh),
                ],
            )),
            Self::Service { email, key_id, key, url } => {
                let now =
                    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
                let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
                let head = part(serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": key_id}));
                let claims = part(serde_json::json!({
                    "iss": email, "scope": SCOPE, "aud": url.as_str(), "iat": now, "exp": now + 3600
                }));
                let text = format!("{head}.{claims}");
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).map_err(
                    |_| StorageError::Settings("the key of Google's credentials does not sign".to_owned()),
                )?;
                let assertion = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                Ok(Ask::form(url.clone(), &[("grant_type", grant), ("assertion", &assertion)]))
            }
        }
    }
}
