//! `hdfs://path` and `webhdfs://path`: HDFS by its REST API. Where it is, and who asks, stands in KServe's secret: a folder of files
//! that are named like the variables here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::client::{Access, Ask, Client, Headers};
use super::https::headers_from;
use super::list::{Content, Listing, Object, Ranges};
use super::place::{Place, escaped_path, relative, shown};
use super::settings::Settings;
use super::tls::Tls;
use super::{Source, StorageError};
use crate::BoxFuture;

const SECRETS: &str = "/var/secrets/kserve-hdfscreds";
/// The deepest folder of a model, and the most folders.
const DEEPEST: usize = 16;
const FOLDERS: usize = 10_000;

/// Folders of HDFS.
pub(super) struct WebHdfs;

impl Source for WebHdfs {
    fn schemes(&self) -> &'static [&'static str] {
        &["webhdfs", "hdfs"]
    }

    fn list<'a>(
        &'a self,
        place: &'a Place,
        settings: &'a Settings,
    ) -> BoxFuture<'a, Result<Listing, StorageError>> {
        Box::pin(list(place, settings))
    }
}

/// Where the files are, and who asks for them.
struct Cluster<'a> {
    settings: &'a Settings,
    secrets: PathBuf,
}

impl Cluster<'_> {
    /// A value of the secret, or of the variable of its name.
    fn value(&self, name: &str) -> Option<String> {
        let file = std::fs::read_to_string(self.secrets.join(name)).ok().map(|it| it.trim().to_owned());
        file.or_else(|| self.settings.var(name).map(str::to_owned)).filter(|it| !it.is_empty())
    }

    /// A value that is a file: one in the secret's folder, or where the variable says.
    fn file(&self, name: &str) -> Option<PathBuf> {
        let inside = self.secrets.join(name);
        if inside.is_file() { Some(inside) } else { self.settings.var(name).map(PathBuf::from) }
    }

    fn tls(&self) -> Tls {
        let usual = Tls::of(self.settings);
        Tls {
            authorities: self.file("TLS_CA").or(usual.authorities),
            identity: self.file("TLS_CERT").zip(self.file("TLS_KEY")),
            unverified: self.value("TLS_SKIP_VERIFY").is_some_and(|it| it.eq_ignore_ascii_case("true")),
        }
    }
}

async fn list(place: &Place, settings: &Settings) -> Result<Listing, StorageError> {
    let secrets = settings.var("HDFS_SECRET_DIR").unwrap_or(SECRETS);
    let cluster = Cluster { settings, secrets: Path::new(secrets).to_owned() };
    if cluster.value("KERBEROS_PRINCIPAL").is_some() {
        return Err(
            place.refused("Kerberos is not spoken; expected USER_PROXY, HEADERS or a client's certificate")
        );
    }
    let (node, path) = node_of(place, &cluster)?;
    let headers = match cluster.value("HEADERS") {
        Some(text) => headers_from(&text)
            .map_err(|reason| StorageError::Settings(format!("HEADERS of HDFS: {reason}")))?,
        None => HeaderMap::new(),
    };
    let access: Arc<dyn Access> = Arc::new(Headers(headers));
    let client = Arc::new(Client::new(settings, &cluster.tls())?);
    let user = cluster.value("USER_PROXY");
    let url = |path: &str, operation: &str| {
        let mut url = node.clone();
        url.set_path(&format!("/webhdfs/v1{}", escaped_path(path)));
        url.query_pairs_mut().append_pair("op", operation);
        if let Some(user) = &user {
            url.query_pairs_mut().append_pair("user.name", user);
        }
        url
    };
    let mut objects = Vec::new();
    let mut folders = vec![(String::new(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        seen += 1;
        if depth > DEEPEST || seen > FOLDERS {
            return Err(place.refused(format!(
                "it has more than {FOLDERS} folders, or they are nested deeper than {DEEPEST}"
            )));
        }
        let here = if folder.is_empty() { path.clone() } else { format!("{path}/{folder}") };
        let ask = Ask::get(url(&here, "LISTSTATUS"));
        let (_, answer) = client.json(&ask, access.as_ref()).await?;
        for status in
            statuses(&answer).map_err(|reason| StorageError::answer(shown(ask.url.as_str()), reason))?
        {
            // A file, listed, is one entry without a name.
            let (name, full) = if status.name.is_empty() {
                let name = path.rsplit('/').next().unwrap_or_default();
                (name.to_owned(), here.clone())
            } else {
                let name =
                    if folder.is_empty() { status.name.clone() } else { format!("{folder}/{}", status.name) };
                let full = format!("{path}/{name}");
                (name, full)
            };
            let name =
                relative(&name).map_err(|reason| place.refused(format!("of a file in it, {reason}")))?;
            if status.is_folder {
                folders.push((name, depth + 1));
                continue;
            }
            objects.push(Object {
                path: name,
                length: Some(status.length),
                tag: status.modified,
                etag: None,
                digest: None,
                url: url(&full, "OPEN"),
                ranges: Ranges::Query,
                content: Content::File,
            });
            if objects.len() > settings.limits.files {
                return Err(place.refused(format!("it has more than {} files", settings.limits.files)));
            }
        }
    }
    if objects.is_empty() {
        return Err(place.nothing());
    }
    Ok(Listing { objects, access, client })
}

/// The node that knows the names, and the path there. KServe's URIs have no host; where no secret names the node, it may stand in
/// the URI with its port.
fn node_of(place: &Place, cluster: &Cluster<'_>) -> Result<(Url, String), StorageError> {
    let rest = place.rest().trim_matches('/');
    let read = |text: &str| {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        Url::parse(&text).map_err(|error| place.refused(format!("HDFS_NAMENODE is no address: {error}")))
    };
    let (node, path) = match cluster.value("HDFS_NAMENODE") {
        // Of several the first; KServe's client asks them in turn.
        Some(nodes) => (read(nodes.split([',', ';']).next().unwrap_or_default().trim())?, rest),
        None => match rest.split_once('/') {
            Some((host, path)) if host.contains(':') => (read(host)?, path),
            Some(_) | None => {
                return Err(place.refused(format!(
                    "where is HDFS? set HDFS_NAMENODE, in {} or as a variable, or write `webhdfs://host:port/path`",
                    cluster.secrets.display()
                )));
            }
        },
    };
    let root = cluster.value("HDFS_ROOTPATH").unwrap_or_default();
    let path = relative(path).map_err(|reason| place.refused(reason))?;
    Ok((node, format!("{}/{path}", root.trim_end_matches('/'))))
}

struct Status {
    name: String,
    is_folder: bool,
    length: u64,
    modified: String,
}

fn statuses(answer: &Value) -> Result<Vec<Status>, String> {
    let list = answer.pointer("/FileStatuses/FileStatus").and_then(Value::as_array);
    let list = list.ok_or("its answer has no list `FileStatuses`")?;
    let status = |it: &Value| {
        Some(Status {
            name: it.get("pathSuffix")?.as_str()?.to_owned(),
            is_folder: match it.get("type")?.as_str()? {
                "DIRECTORY" => true,
                "FILE" => false,
                _ => return None,
            },
            length: it.get("length")?.as_u64()?,
            modified: it.get("modificationTime").map(Value::to_string).unwrap_or_default(),
        })
    };
    let wrong = "an entry of its list is neither a file nor a folder, or has no length";
    list.iter().map(status).collect::<Option<_>>().ok_or_else(|| wrong.to_owned())
}
