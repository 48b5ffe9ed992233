//! Storage specs: a key, a path and parameters in place of a URI. KServe completes them out of a secret, which it hands over in the
//! variable `STORAGE_CONFIG`, and the parameters in `STORAGE_OVERRIDE_CONFIG`.

use serde_json::{Map, Value};

use super::StorageError;
use crate::Env;

/// What stands for the scheme where a secret says which it is.
const PLACEHOLDER: &str = "<scheme-placeholder>://";
/// The longest text that is read.
const LONGEST: usize = 1 << 20;

/// A storage spec.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spec {
    key: String,
    path: String,
    parameters: Map<String, Value>,
}

impl Spec {
    /// Reads a spec as JSON: `{"key": ..., "path": ..., "parameters": {...}}`.
    ///
    /// # Errors
    /// [`StorageError::Settings`].
    pub fn read(text: &str) -> Result<Self, StorageError> {
        let object =
            object(text).map_err(|reason| StorageError::Settings(format!("storage spec: {reason}")))?;
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let parameters = object.get("parameters").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok(Self { key: text("key"), path: text("path"), parameters })
    }

    /// The spec of an environment that has a secret and no spec: the path is in the URI then.
    pub(super) fn of_environment(env: &Env) -> Option<Self> {
        env.get("STORAGE_CONFIG").or_else(|| env.get("STORAGE_OVERRIDE_CONFIG")).map(|_| Self::default())
    }

    /// Whether it says where the model is; else it only completes what a URI says.
    pub(super) fn has_path(&self) -> bool {
        !self.path.is_empty()
    }

    /// The URI that it says.
    ///
    /// # Errors
    /// [`StorageError::Settings`] when type or bucket are told nowhere.
    pub fn uri(&self, env: &Env) -> Result<String, StorageError> {
        let entry = self.entry(env)?;
        let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
        let path = self.path.trim_start_matches('/');
        let missing = |name: &str| {
            StorageError::Settings(format!(
                "the storage spec tells no `{name}`; give `parameters.{name}`, or STORAGE_CONFIG with the secret's entry `{}`",
                if self.key.is_empty() { "default" } else { &self.key }
            ))
        };
        let kind = text("type").ok_or_else(|| missing("type"))?;
        match kind {
            "hdfs" | "webhdfs" => Ok(format!("{kind}://{path}")),
            _ => Ok(format!("{kind}://{}/{path}", text("bucket").ok_or_else(|| missing("bucket"))?)),
        }
    }

    /// A URI whose scheme the secret says.
    ///
    /// # Errors
    /// [`StorageError::Settings`].
    pub(super) fn completed(&self, uri: &str, env: &Env) -> Result<String, StorageError> {
        match uri.strip_prefix(PLACEHOLDER) {
            None => Ok(uri.to_owned()),
            Some(path) => {
                let spec = Self { path: path.to_owned(), ..self.clone() };
                spec.uri(env)
            }
        }
    }

    /// The environment with what the secret and the parameters say.
    ///
    /// # Errors
    /// [`StorageError::Settings`].
    pub(super) fn environment(&self, env: &Env) -> Result<Env, StorageError> {
        let entry = self.entry(env)?;
        let mut all: Vec<(String, String)> =
            env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (field, variable) in NAMES {
            let value = match entry.get(*field) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Bool(it)) => it.to_string(),
                Some(Value::Number(it)) => it.to_string(),
                _ => continue,
            };
            if !value.is_empty() {
                all.push(((*variable).to_owned(), value));
            }
        }
        Ok(all.into_iter().collect())
    }

    /// The secret's entry under the parameters.
    fn entry(&self, env: &Env) -> Result<Map<String, Value>, StorageError> {
        let read = |name: &str| match env.get(name) {
            Some(text) => {
                object(text).map_err(|reason| StorageError::Settings(format!("variable {name}: {reason}")))
            }
            None => Ok(Map::new()),
        };
        let config = read("STORAGE_CONFIG")?;
        let mut entry = if config.contains_key("type") || config.is_empty() {
            config
        } else {
            // The secret as a whole: an entry a key, each JSON by itself.
            let key = if self.key.is_empty() { "default" } else { &self.key };
            let entry = match config.get(key) {
                Some(Value::Object(entry)) => Ok(entry.clone()),
                Some(Value::String(text)) => object(text),
                Some(_) | None => Err(format!("it has no entry `{key}`")),
            };
            entry.map_err(|reason| StorageError::Settings(format!("variable STORAGE_CONFIG: {reason}")))?
        };
        entry.extend(read("STORAGE_OVERRIDE_CONFIG")?);
        entry.extend(self.parameters.clone());
        Ok(entry)
    }
}

/// Several places, each with the folder it shall be in; relative to the one that all are in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(pub(super) Vec<(String, String)>);

/// Reads several places as JSON.
///
/// # Errors
/// What was expected.
pub(super) fn places(text: &str) -> Result<Places, String> {
    let expected = || {
        "expected a JSON list such as `[{\"uri\": \"s3://b/m\", \"mountPath\": \"/mnt/models\"}]`".to_owned()
    };
    let list: Vec<Map<String, Value>> = serde_json::from_str(text).map_err(|_| expected())?;
    let place = |it: &Map<String, Value>| {
        let text = |name: &str| it.get(name).and_then(Value::as_str).map(str::to_owned);
        Some((text("uri")?, text("mountPath").unwrap_or_else(|| "/mnt/models".to_owned())))
    };
    let places: Vec<_> = list.iter().map(place).collect::<Option<_>>().ok_or_else(expected)?;
    let parts =
        |folder: &str| folder.split('/').filter(|it| !it.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let folders: Vec<_> = places.iter().map(|it| parts(&it.1)).collect();
    let shared = folders.iter().skip(1).fold(folders.first().cloned().unwrap_or_default(), |shared, it| {
        shared.into_iter().zip(it).take_while(|(a, b)| a == *b).map(|(a, _)| a).collect()
    });
    let below = folders.iter().map(|it| it[shared.len()..].join("/"));
    Ok(Places(places.iter().map(|it| it.0.clone()).zip(below).collect()))
}

/// Writes several places as [`StorageFlags`](super::StorageFlags) read them.
pub fn places_to_json(places: &[(String, String)]) -> String {
    let place = |(uri, folder): &(String, String)| serde_json::json!({"uri": uri, "mountPath": folder});
    Value::Array(places.iter().map(place).collect()).to_string()
}

/// The fields of a secret's entry, and the variables that mean the same.
const NAMES: &[(&str, &str)] = &[
    ("endpoint_url", "AWS_ENDPOINT_URL"),
    ("access_key_id", "AWS_ACCESS_KEY_ID"),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("region", "AWS_DEFAULT_REGION"),
    ("ca_bundle", "AWS_CA_BUNDLE"),
    ("verify_ssl", "S3_VERIFY_SSL"),
    ("anonymous", "awsAnonymousCredential"),
    ("HDFS_NAMENODE", "HDFS_NAMENODE"),
    ("USER_PROXY", "USER_PROXY"),
    ("HDFS_ROOTPATH", "HDFS_ROOTPATH"),
    ("TLS_CERT", "TLS_CERT"),
    ("TLS_KEY", "TLS_KEY"),
    ("TLS_CA", "TLS_CA"),
    ("TLS_SKIP_VERIFY", "TLS_SKIP_VERIFY"),
    ("HEADERS", "HEADERS"),
    ("KERBEROS_PRINCIPAL", "KERBEROS_PRINCIPAL"),
];

/// Whether a variable says something of storage: `weir run` hands those of its own to the services that fetch.
pub fn is_variable(name: &str) -> bool {
    const PREFIXES: [&str; 10] = [
        "WEIR_STORAGE_",
        "STORAGE_",
        "AWS_",
        "S3_",
        "AZURE_",
        "AZ_",
        "HF_",
        "HDFS_",
        "KSERVE_OCI_",
        "CA_BUNDLE_",
    ];
    const WHOLE: [&str; 17] = [
        "WEIR_PVC",
        "awsAnonymousCredential",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GCE_METADATA_HOST",
        "HUGGING_FACE_HUB_TOKEN",
        "DOCKER_CONFIG",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "USER_PROXY",
        "HTTPS_PROXY",
        "https_proxy",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "XDG_CACHE_HOME",
    ];
    name != "STORAGE_URI"
        && (PREFIXES.iter().any(|it| name.starts_with(it))
            || WHOLE.contains(&name)
            || name == "HOME"
            || name.ends_with("-headers"))
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    if text.len() > LONGEST {
        return Err(format!("it has {} bytes, the most are {LONGEST}", text.len()));
    }
    // What it has may be secret, so nothing of it is told.
    serde_json::from_str(text)
        .map_err(|error| format!("expected a JSON object (line {}, column {})", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_completed_by_the_secret() {
        let secret = r#"{"default": "{\"type\": \"s3\", \"bucket\": \"b\", \"access_key_id\": \"i\", \"region\": \"r\"}",
                         "other": {"type": "s3", "bucket": "c", "anonymous": true, "verify_ssl": 0}}"#;
        let env: Env = [("STORAGE_CONFIG", secret)].into_iter().collect();
        let spec = Spec::read(r#"{"path": "/m", "parameters": {"region": "q"}}"#).unwrap();
        assert_eq!(spec.uri(&env).unwrap(), "s3://b/m");
        let made = spec.environment(&env).unwrap();
        assert_eq!((made.get("AWS_ACCESS_KEY_ID"), made.get("AWS_DEFAULT_REGION")), (Some("i"), Some("q")));
        let spec = Spec::read(r#"{"key": "other", "path": "m"}"#).unwrap();
        assert_eq!(spec.uri(&env).unwrap(), "s3://c/m");
        assert_eq!(spec.environment(&env).unwrap().get("S3_VERIFY_SSL"), Some("0"));
        assert!(Spec::read(r#"{"key": "third", "path": "m"}"#).unwrap().uri(&env).is_err());
        let list =
            [("s3://b/m".to_owned(), "/mnt/models".to_owned()), ("a".to_owned(), "/mnt/models/x".to_owned())];
        let read = places(&places_to_json(&list)).unwrap();
        assert_eq!(read.0, [("s3://b/m".to_owned(), String::new()), ("a".to_owned(), "x".to_owned())]);
        let env: Env = [("STORAGE_CONFIG", r#"{"type": "s3", "bucket": "b"}"#)].into_iter().collect();
        let spec = Spec::of_environment(&env).unwrap();
        assert_eq!(spec.completed("<scheme-placeholder>://m", &env).unwrap(), "s3://b/m");
        let text = Spec::default().uri(&Env::default()).unwrap_err().to_string();
        assert!(text.contains("no `type`") && text.contains("STORAGE_CONFIG"), "{text}");
    }
}
