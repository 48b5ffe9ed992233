//! What the download of models is told: flags, and where these are silent variables of the environment, KServe's among them.

use std::path::PathBuf;
use std::time::Duration;

use super::StorageError;
use super::patterns::Patterns;
use super::policy::Policy;
use super::spec::Places;
use crate::Env;
use crate::flags::truth;

/// The flags of storage, of every service that fetches something.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StorageFlags {
    /// The folder that fetched models are kept in [default: $WEIR_STORAGE_CACHE, or weir/models in the user's cache]
    #[arg(long = "storage_cache", help_heading = HEADING)]
    cache: Option<PathBuf>,
    /// The bytes it may take; models that nobody uses go first [default: $WEIR_STORAGE_CACHE_BYTES, or 64 GiB]
    #[arg(long = "storage_cache_bytes", help_heading = HEADING)]
    cache_bytes: Option<u64>,
    /// The schemes that models may be fetched by, separated by commas [default: $WEIR_STORAGE_ALLOW_SCHEMES, or all]
    #[arg(long = "storage_allow_schemes", help_heading = HEADING)]
    allow_schemes: Option<String>,
    /// The hosts that may be asked, `*` for any part of a name [default: $WEIR_STORAGE_ALLOW_HOSTS, or all]
    #[arg(long = "storage_allow_hosts", help_heading = HEADING)]
    allow_hosts: Option<String>,
    /// Whether link-local addresses and metadata services may be asked [default: $WEIR_STORAGE_ALLOW_LINK_LOCAL, or false]
    #[arg(long = "storage_allow_link_local", num_args = 0..=1, default_missing_value = "true",
          value_parser = crate::flags::switch, help_heading = HEADING)]
    allow_link_local: Option<bool>,
    /// Connections that a download reads by at once [default: $WEIR_STORAGE_CONNECTIONS, or 16]
    #[arg(long = "storage_connections", help_heading = HEADING)]
    connections: Option<usize>,
    /// The bytes a model may have, unpacked too [default: $WEIR_STORAGE_MAX_BYTES, or 1 TiB]
    #[arg(long = "storage_max_bytes", help_heading = HEADING)]
    max_bytes: Option<u64>,
    /// The folders that claims of `pvc://` stand for, such as `models=/srv/models`; may be given several times
    /// [default: $WEIR_PVC]
    #[arg(long = "pvc", value_delimiter = ',', action = clap::ArgAction::Append, help_heading = HEADING)]
    pvc: Vec<String>,
    /// A storage spec as JSON: `{"key": ..., "path": ..., "parameters": {...}}`, completed by $STORAGE_CONFIG
    #[arg(long = "storage_spec", help_heading = HEADING)]
    pub(super) spec: Option<String>,
    /// Several places as JSON, each with the folder it shall be in: `[{"uri": ..., "mountPath": ...}]`
    #[arg(long = "storage_uris", value_parser = super::spec::places, help_heading = HEADING)]
    pub(super) uris: Option<Places>,
}

const HEADING: &str = "Where models come from";

/// What the download of models is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The environment, in which credentials are looked for.
    pub env: Env,
    /// Whom it may talk to.
    pub policy: Policy,
    /// Which files are wanted.
    pub patterns: Patterns,
    /// The folder of the cache.
    pub cache: PathBuf,
    /// How many bytes the cache may take.
    pub cache_bytes: u64,
    /// What a model may be.
    pub limits: Limits,
    /// How it is read.
    pub transfer: Transfer,
    /// The folders that claims stand for.
    pub pvc: Vec<(String, PathBuf)>,
}

/// What a model may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files of a model.
    pub files: usize,
    /// Bytes of a model.
    pub bytes: u64,
    /// How many times its own size an archive may open to.
    pub ratio: u64,
}

/// How a model is read.
#[derive(Debug, Clone, Copy)]
pub struct Transfer {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of one ranged read.
    pub chunk: u64,
    /// Attempts in a row that may bring nothing.
    pub attempts: u32,
    /// The wait before the second attempt; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait, also where a store asks for more.
    pub longest_wait: Duration,
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long a store may say nothing.
    pub silence: Duration,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            connections: 16,
            chunk: 8 << 20,
            attempts: 6,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(20),
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 100_000, bytes: 1 << 40, ratio: 200 }
    }
}

impl Settings {
    /// Reads flags and environment.
    ///
    /// # Errors
    /// [`StorageError::Settings`] when one of them makes no sense.
    pub fn of(flags: &StorageFlags, env: &Env) -> Result<Self, StorageError> {
        let number = |flag: Option<u64>, name: &str, usual: u64| match (flag, env.get(name)) {
            (Some(told), _) => Ok(told),
            (None, Some(text)) => text.trim().parse().map_err(|_| {
                StorageError::Settings(format!("variable {name} is `{text}`, expected a whole number"))
            }),
            (None, None) => Ok(usual),
        };
        let names = |flag: &Option<String>, name: &str| {
            let text = flag.as_deref().or_else(|| env.get(name)).unwrap_or_default();
            let each = text.split(',').map(|it| it.trim().to_ascii_lowercase());
            each.filter(|it| !it.is_empty()).collect::<Vec<_>>()
        };
        let link_local = match (flags.allow_link_local, env.get("WEIR_STORAGE_ALLOW_LINK_LOCAL")) {
            (Some(told), _) => told,
            (None, Some(text)) => truth(text).ok_or_else(|| {
                StorageError::Settings(format!(
                    "variable WEIR_STORAGE_ALLOW_LINK_LOCAL is `{text}`, expected true or false"
                ))
            })?,
            (None, None) => false,
        };
        let usual = Transfer::default();
        let seconds = |name: &str, usual: Duration| {
            number(None, name, usual.as_secs()).map(|it| Duration::from_secs(it.clamp(1, 3600)))
        };
        let connections = number(flags.connections.map(|it| it as u64), "WEIR_STORAGE_CONNECTIONS", 16)?;
        let transfer = Transfer {
            connections: usize::try_from(connections.clamp(1, 256)).unwrap_or(usual.connections),
            // KServe's names for the same.
            connect: seconds("S3_CONNECT_TIMEOUT", usual.connect)?,
            silence: seconds("S3_READ_TIMEOUT", usual.silence)?,
            attempts: u32::try_from(
                number(None, "WEIR_STORAGE_ATTEMPTS", u64::from(usual.attempts))?.clamp(1, 100),
            )
            .unwrap_or(usual.attempts),
            ..usual
        };
        let limits = Limits {
            bytes: number(flags.max_bytes, "WEIR_STORAGE_MAX_BYTES", Limits::default().bytes)?,
            ratio: number(None, "WEIR_STORAGE_MAX_RATIO", Limits::default().ratio)?,
            ..Limits::default()
        };
        let pvc = match (flags.pvc.is_empty(), env.get("WEIR_PVC")) {
            (false, _) => flags.pvc.clone(),
            (true, Some(text)) => text.split(',').map(str::to_owned).collect(),
            (true, None) => Vec::new(),
        };
        let patterns = Patterns::read(
            env.get("STORAGE_ALLOW_PATTERNS").unwrap_or_default(),
            env.get("STORAGE_IGNORE_PATTERNS").unwrap_or_default(),
        );
        Ok(Self {
            policy: Policy {
                schemes: names(&flags.allow_schemes, "WEIR_STORAGE_ALLOW_SCHEMES"),
                hosts: names(&flags.allow_hosts, "WEIR_STORAGE_ALLOW_HOSTS"),
                link_local,
                named: Vec::new(),
            },
            patterns: patterns.map_err(|error| {
                StorageError::Settings(format!(
                    "variable STORAGE_ALLOW_PATTERNS or STORAGE_IGNORE_PATTERNS: {error}"
                ))
            })?,
            cache: flags.cache.clone().unwrap_or_else(|| cache_of(env)),
            cache_bytes: number(flags.cache_bytes, "WEIR_STORAGE_CACHE_BYTES", 64 << 30)?,
            limits,
            transfer,
            pvc: pvc.iter().map(|it| claim(it)).collect::<Result<_, _>>()?,
            env: env.clone(),
        })
    }

    /// A variable that is there and not empty.
    pub(super) fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(str::trim).filter(|it| !it.is_empty())
    }

    /// The first of several variables that is there.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|it| self.var(it))
    }

    /// A variable that is a truth.
    ///
    /// # Errors
    /// [`StorageError::Settings`] when it is none.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, StorageError> {
        self.var(name)
            .map(|text| {
                truth(text).ok_or_else(|| {
                    StorageError::Settings(format!("variable {name} is `{text}`, expected true or false"))
                })
            })
            .transpose()
    }
}

fn cache_of(env: &Env) -> PathBuf {
    let told = |name: &str| env.get(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    told("WEIR_STORAGE_CACHE")
        .or_else(|| told("XDG_CACHE_HOME").map(|it| it.join("weir/models")))
        .or_else(|| told("HOME").map(|it| it.join(".cache/weir/models")))
        .unwrap_or_else(|| std::env::temp_dir().join("weir/models"))
}

fn claim(text: &str) -> Result<(String, PathBuf), StorageError> {
    match text.split_once('=').map(|(claim, folder)| (claim.trim(), folder.trim())) {
        Some((claim, folder)) if !claim.is_empty() && !folder.is_empty() => {
            Ok((claim.to_owned(), PathBuf::from(folder)))
        }
        Some(_) | None => Err(StorageError::Settings(format!(
            "`{text}` is no claim and folder, expected such as `--pvc models=/srv/models`"
        ))),
    }
}
