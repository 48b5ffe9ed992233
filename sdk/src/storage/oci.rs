//! `oci://registry/repository:tag`: images, by a registry's HTTP API; and `oci:///folder:tag`: an image layout on this machine's disk.
//! Of an image's layers what is below `models/` is the model, as KServe has it; of an artifact its titled files are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::client::{Access, Anonymous, Ask, Client, DOCUMENT};
use super::list::{Content, Digest, Listing, Object, Ranges, sha256};
use super::place::{Place, relative, shown};
use super::settings::Settings;
use super::tls::Tls;
use super::{Source, StorageError};
use crate::BoxFuture;

const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                        application/vnd.docker.distribution.manifest.v2+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json";
const TITLE: &str = "org.opencontainers.image.title";
const LAYERS: usize = 512;
const LASTS: Duration = Duration::from_secs(45);

/// Images of a registry or of a folder.
pub(super) struct Oci;

impl Source for Oci {
    fn schemes(&self) -> &'static [&'static str] {
        &["oci", "oci+native", "oci+modelcar", "oci+fetch"]
    }

    fn list<'a>(
        &'a self,
        place: &'a Place,
        settings: &'a Settings,
    ) -> BoxFuture<'a, Result<Listing, StorageError>> {
        Box::pin(async move {
            if place.rest().starts_with('/') {
                layout(place, settings)
            } else {
                registry(place, settings).await
            }
        })
    }
}

/// The image of a registry.
async fn registry(place: &Place, settings: &Settings) -> Result<Listing, StorageError> {
    let (host, rest) = place.container()?;
    let (repository, reference) = reference(rest);
    let is_name = |it: &str| it.chars().all(|it| it.is_ascii_alphanumeric() || "-_./:".contains(it));
    if repository.is_empty() || !is_name(repository) || !is_name(reference) || repository.contains("..") {
        return Err(place.refused("expected `oci://registry/repository:tag` or `...@sha256:digest`"));
    }
    let in_clear = settings.truth("KSERVE_OCI_INSECURE_REGISTRY")? == Some(true);
    // Docker's own is known by two names.
    let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
    let base = format!("{}://{host}/v2/{repository}", if in_clear { "http" } else { "https" });
    let address = |path: &str| {
        Url::parse(&format!("{base}/{path}"))
            .map_err(|error| place.refused(format!("it is no address: {error}")))
    };
    let access: Arc<dyn Access> = Arc::new(Registry {
        login: login_of(place, settings, host)?,
        scope: format!("repository:{repository}:pull"),
        token: Mutex::default(),
    });
    let client = Arc::new(Client::new(settings, &Tls::of(settings))?);
    let mut wanted = reference.to_owned();
    for _ in 0..3 {
        let ask = Ask::get(address(&format!("manifests/{wanted}"))?).with("accept", ACCEPTED);
        let (_, body) = client.document(&ask, access.as_ref()).await?;
        let told = |reason: String| StorageError::answer(shown(ask.url.as_str()), reason);
        verify(&wanted, &body).map_err(told)?;
        match read(&body).map_err(told)? {
            Manifest::Index(digest) => wanted = digest,
            Manifest::Image(layers) => {
                let objects = layers.into_iter().enumerate().map(|(at, layer)| {
                    let url = address(&format!("blobs/{}", layer.digest))?;
                    layer.object(at, url).map_err(|reason| place.refused(reason))
                });
                return Ok(Listing { objects: objects.collect::<Result<_, _>>()?, access, client });
            }
        }
    }
    Err(place.refused("its index leads to an index, and that to another"))
}

/// The image of a folder. Its blobs are files, which are read as a store's would be.
fn layout(place: &Place, settings: &Settings) -> Result<Listing, StorageError> {
    let (folder, tag) = match place.rest().rsplit_once(':') {
        Some((folder, tag)) if !tag.contains('/') => (folder, Some(tag)),
        Some(_) | None => (place.rest(), None),
    };
    let folder = Path::new(folder);
    let told = |reason: String| place.refused(reason);
    let index = document(&folder.join("index.json")).map_err(told)?;
    let index: Value = serde_json::from_slice(&index)
        .map_err(|error| told(format!("its index.json is no JSON: {error}")))?;
    let manifests = index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |it: &Value| {
        it.pointer("/annotations/org.opencontainers.image.ref.name")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let chosen = manifests.iter().find(|it| tag.is_none_or(|tag| name(it).as_deref() == Some(tag)));
    let chosen = chosen
        .and_then(|it| it.get("digest")?.as_str())
        .ok_or_else(|| told("its index.json has no manifest of that tag".to_owned()))?;
    let mut wanted = chosen.to_owned();
    for _ in 0..3 {
        let body = document(&blob(folder, &wanted).map_err(told)?).map_err(told)?;
        verify(&wanted, &body).map_err(told)?;
        match read(&body).map_err(told)? {
            Manifest::Index(digest) => wanted = digest,
            Manifest::Image(layers) => {
                let objects = layers.into_iter().enumerate().map(|(at, layer)| {
                    let path = blob(folder, &layer.digest).map_err(told)?;
                    let url = Url::from_file_path(path.canonicalize().unwrap_or(path))
                        .map_err(|()| told("its folder is no path".to_owned()))?;
                    layer.object(at, url).map_err(told)
                });
                let client = Arc::new(Client::new(settings, &Tls::of(settings))?);
                let objects = objects.collect::<Result<_, _>>()?;
                return Ok(Listing { objects, access: Arc::new(Anonymous), client });
            }
        }
    }
    Err(told("its index leads to an index, and that to another".to_owned()))
}

fn document(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{}: {error}; expected an image layout", path.display());
    let length = path.metadata().map_err(told)?.len();
    if length > DOCUMENT as u64 {
        return Err(format!("{} has {length} bytes, the most are {DOCUMENT}", path.display()));
    }
    std::fs::read(path).map_err(told)
}

fn blob(folder: &Path, digest: &str) -> Result<PathBuf, String> {
    let hash = sha256_of(digest)?;
    Ok(folder.join("blobs/sha256").join(hash))
}

fn sha256_of(digest: &str) -> Result<&str, String> {
    let hash = digest
        .strip_prefix("sha256:")
        .filter(|it| it.len() == 64 && it.chars().all(|it| matches!(it, '0'..='9' | 'a'..='f')));
    hash.ok_or_else(|| {
        format!(
            "`{}` is no digest; expected `sha256:` and 64 digits",
            super::place::excerpt(digest, 80).escape_debug()
        )
    })
}

/// A document that is named by its digest has to have it.
fn verify(reference: &str, body: &[u8]) -> Result<(), String> {
    match reference.contains(':') {
        true if sha256(body) != sha256_of(reference)? => {
            Err(format!("the manifest is not that of {reference}"))
        }
        _ => Ok(()),
    }
}

/// Repository and tag or digest.
fn reference(rest: &str) -> (&str, &str) {
    if let Some((repository, digest)) = rest.split_once('@') {
        // A tag before a digest says nothing more.
        return (repository.rsplit_once(':').map_or(repository, |it| it.0), digest);
    }
    rest.rsplit_once(':').unwrap_or((rest, "latest"))
}

enum Manifest {
    /// The digest of the manifest for this machine.
    Index(String),
    Image(Vec<Layer>),
}

struct Layer {
    digest: String,
    length: u64,
    title: Option<String>,
}

impl Layer {
    fn object(self, at: usize, url: Url) -> Result<Object, String> {
        let hash = sha256_of(&self.digest)?.to_owned();
        let (path, content) = match &self.title {
            Some(title) => (relative(title)?, Content::File),
            None => (format!(".layer-{at:03}"), Content::Layer),
        };
        Ok(Object {
            path,
            length: Some(self.length),
            tag: self.digest,
            etag: None,
            digest: Some(Digest::Sha256(hash)),
            url,
            ranges: Ranges::Header,
            content,
        })
    }
}

/// Reads a manifest, or chooses of an index the one for this machine.
fn read(body: &[u8]) -> Result<Manifest, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("its manifest is no JSON: {error}"))?;
    let text = |it: &Value, place: &str| it.pointer(place).and_then(Value::as_str).map(str::to_owned);
    if let Some(manifests) = value.get("manifests").and_then(Value::as_array) {
        let wanted = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let fits = |it: &&Value| {
            text(it, "/platform/os").as_deref() == Some("linux")
                && text(it, "/platform/architecture").as_deref() == Some(wanted)
        };
        // A model's image may be for no machine in particular.
        let chosen = manifests
            .iter()
            .find(fits)
            .or_else(|| manifests.first().filter(|it| it.get("platform").is_none()));
        let digest = chosen.and_then(|it| text(it, "/digest"));
        return digest
            .map(Manifest::Index)
            .ok_or_else(|| format!("its index has no manifest for linux/{wanted}"));
    }
    let layers = value.get("layers").and_then(Value::as_array).ok_or("its manifest has no `layers`")?;
    if layers.is_empty() || layers.len() > LAYERS {
        return Err(format!("its manifest has {} layers, expected 1 to {LAYERS}", layers.len()));
    }
    let layer = |it: &Value| {
        Some(Layer {
            digest: text(it, "/digest")?,
            length: it.get("size")?.as_u64()?,
            title: it
                .get("annotations")
                .and_then(|it| it.get(TITLE))
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
    };
    let layers = layers.iter().map(layer).collect::<Option<_>>();
    layers.map(Manifest::Image).ok_or_else(|| "a layer of its manifest has no digest or size".to_owned())
}

/// The login of a registry, as Docker keeps it: `user:password` in base64.
fn login_of(place: &Place, settings: &Settings, host: &str) -> Result<Option<String>, StorageError> {
    let told = settings.var("KSERVE_OCI_DOCKER_CONFIG").map(PathBuf::from);
    let docker = settings.var("DOCKER_CONFIG").map(|it| Path::new(it).join("config.json"));
    let Some(path) = told
        .or_else(|| Some(PathBuf::from("/mnt/oci-fetch-auth/config.json")).filter(|it| it.exists()))
        .or(docker)
    else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(&path).map_err(|error| StorageError::disk(&path, &error))?;
    let wrong = || place.refused(format!("{} is no configuration of Docker's", path.display()));
    let value: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
    let auths: BTreeMap<String, Value> = match value.get("auths") {
        Some(auths) => serde_json::from_value(auths.clone()).map_err(|_| wrong())?,
        None => return Ok(None),
    };
    let bare = |it: &str| {
        it.trim_start_matches("https://")
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let found = auths.iter().find(|(name, _)| {
        bare(name) == host || (host == "registry-1.docker.io" && bare(name) == "index.docker.io")
    });
    let Some((_, entry)) = found else { return Ok(None) };
    let field = |name: &str| entry.get(name).and_then(Value::as_str);
    Ok(match (field("auth"), field("username"), field("password")) {
        (Some(auth), _, _) if !auth.is_empty() => Some(auth.to_owned()),
        (_, Some(user), Some(password)) => Some(STANDARD.encode(format!("{user}:{password}"))),
        _ => None,
    })
}

/// Asks a registry how it wants to be shown who asks, and does so: <https://distribution.github.io/distribution/spec/auth/token/>.
struct Registry {
    login: Option<String>,
    scope: String,
    /// What is shown, and until when: tokens last a minute where nothing is said.
    token: Mutex<Option<(Option<HeaderValue>, Instant)>>,
}

impl Access for Registry {
    fn authorize<'a>(
        &'a self,
        request: &'a mut Parts,
        client: &'a Client,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            let mut known = self.token.lock().await;
            if known.as_ref().is_none_or(|(_, until)| *until < Instant::now()) {
                let root = request.uri.to_string();
                let root = Url::parse(&root).and_then(|it| it.join("/v2/"));
                let root =
                    root.map_err(|error| StorageError::Settings(format!("a registry's address: {error}")))?;
                *known = Some((self.token(&root, client).await?, Instant::now() + LASTS));
            }
            if let Some((Some(value), _)) = known.as_ref() {
                request.headers.insert(AUTHORIZATION, value.clone());
            }
            Ok(())
        })
    }
}

impl Registry {
    async fn token(&self, root: &Url, client: &Client) -> Result<Option<HeaderValue>, StorageError> {
        let secret = |text: String| {
            HeaderValue::from_str(&text).ok().map(|mut it| {
                it.set_sensitive(true);
                it
            })
        };
        let told = |reason: &str| StorageError::answer(shown(root.as_str()), reason);
        let answer = client.send(&Ask::get(root.clone()), &Anonymous).await?;
        if answer.status() != http::StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let challenge =
            answer.headers().get(WWW_AUTHENTICATE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let basic = self.login.as_deref().map(|it| format!("Basic {it}"));
        if challenge.to_ascii_lowercase().starts_with("basic") {
            let basic = basic.ok_or_else(|| {
                told("it wants a login; name a file of Docker's by KSERVE_OCI_DOCKER_CONFIG")
            })?;
            return Ok(secret(basic));
        }
        let realm = parameter(challenge, "realm").and_then(|it| Url::parse(&it).ok());
        let mut realm = realm.ok_or_else(|| told("it wants a token and does not say from whom"))?;
        if let Some(service) = parameter(challenge, "service") {
            realm.query_pairs_mut().append_pair("service", &service);
        }
        realm.query_pairs_mut().append_pair("scope", &self.scope);
        if root.scheme() == "https" && realm.scheme() != "https" {
            return Err(told("it wants a login to be sent in the clear"));
        }
        let ask = Ask::get(realm);
        let ask = match &basic {
            Some(basic) => ask.with("authorization", basic),
            None => ask,
        };
        let (_, answer) = client.json(&ask, &Anonymous).await?;
        let token = ["token", "access_token"].iter().find_map(|it| answer.get(it)?.as_str());
        let token =
            token.ok_or_else(|| StorageError::answer(shown(ask.url.as_str()), "its answer has no token"))?;
        Ok(secret(format!("Bearer {token}")))
    }
}

/// A parameter of a challenge: `name="value"`.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    rest.split('"').next().map(str::to_owned)
}
