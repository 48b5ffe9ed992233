//! What a file of PyTorch's is, told by the list of its zip archive: TorchScript, an exported program, a pickle; and archives of
//! TorchServe, whose manifest says which of their files is the model.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use weir_proto::document::{Node, Value, parse_one};

use weir_sdk::zip::{Archive, Entry, Source};

/// The most bytes of a manifest or a list of names.
const SMALL: u64 = 4 << 20;
/// The most bytes of a model within an archive.
const MODEL: u64 = 32 << 30;
/// TorchServe's handlers that give a model tensors and answer what it answers.
const PLAIN: [&str; 1] = ["base_handler"];
/// Those that reshape what they are sent: pictures, text.
const RESHAPING: [&str; 5] =
    ["image_classifier", "image_segmenter", "object_detector", "text_classifier", "text_handler"];

/// What a zip of PyTorch's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    TorchScript,
    /// `torch.export`: a graph and weights.
    Exported,
    /// AOTInductor: machine code.
    Compiled,
    /// Weights, or a whole module: a pickle.
    Pickle,
    /// TorchServe's.
    ModelArchive,
    Unknown,
}

/// Tells by the names in an archive; all stand below one folder, except TorchServe's.
pub(super) fn what(entries: &[Entry]) -> What {
    let has = |inner: &str| entries.iter().any(|it| below(&it.name) == inner);
    let begins = |inner: &str| entries.iter().any(|it| below(&it.name).starts_with(inner));
    if entries.iter().any(|it| it.name == "MAR-INF/MANIFEST.json") {
        What::ModelArchive
    } else if begins("data/aotinductor/") {
        What::Compiled
    } else if has("models/model.json") {
        What::Exported
    } else if has("constants.pkl") && begins("code/") {
        What::TorchScript
    } else if has("data.pkl") {
        What::Pickle
    } else {
        What::Unknown
    }
}

fn below(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, rest)| rest)
}

/// A model out of an archive of TorchServe's.
pub(super) struct Packed {
    /// The TorchScript file; it goes when this does.
    pub(super) file: Scratch,
    /// The names of the classes, in the order of their numbers; empty without.
    pub(super) labels: Vec<String>,
}

/// A file that is removed with its last user.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("weir-mar-{}-{count}.pt", std::process::id())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Fails only when it was never written.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Why an archive is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is not what it should be.
    Malformed(String),
    /// It is sound; only its own code can serve it.
    Unsupported(String),
}

impl From<String> for Refused {
    fn from(text: String) -> Self {
        Self::Malformed(text)
    }
}

/// What the manifest of an archive says of its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The file that holds the model.
    pub serialized: String,
}

/// Unpacks the model of an archive into a file of its own; no other of its files is written.
pub(super) fn unpack(mut archive: Archive<File>) -> Result<Packed, Refused> {
    let Manifest { serialized } = manifest(&mut archive)?;
    let entry = named(&archive, &serialized)
        .ok_or_else(|| format!("its manifest names the model `{serialized}`, which is not in it"))?;
    let labels = labels(&mut archive)?;
    let file = Scratch::new();
    let path = file.path();
    let written = File::options().write(true).create_new(true).open(path);
    let mut written = written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    archive.copy(&entry, MODEL, &mut written)?;
    drop(written);
    let inner = Archive::open(path).map(|it| what(it.entries()));
    match inner {
        Ok(What::TorchScript) => Ok(Packed { file, labels }),
        Ok(_) | Err(_) => Err(Refused::Unsupported(format!(
            "`{serialized}` in it, which is no TorchScript but wants its class in Python,"
        ))),
    }
}

/// Reads the manifest of an archive.
///
/// # Errors
/// [`Refused`], also for a model that its own code serves.
pub fn manifest<S: Source>(archive: &mut Archive<S>) -> Result<Manifest, Refused> {
    let entry = named(archive, "MAR-INF/MANIFEST.json")
        .ok_or_else(|| "it has no MAR-INF/MANIFEST.json".to_owned())?;
    let node = json(archive, &entry)?;
    let model = node.get("model").ok_or_else(|| "its manifest has no `model`".to_owned())?;
    let text =
        |name: &str| model.get(name).and_then(Node::as_str).filter(|it| !it.is_empty()).map(str::to_owned);
    if let Some(file) = text("modelFile") {
        return Err(Refused::Unsupported(format!("the class in `{file}`, Python code,")));
    }
    let handler = text("handler").unwrap_or_default();
    if RESHAPING.contains(&handler.as_str()) {
        return Err(Refused::Unsupported(format!(
            "TorchServe's handler `{handler}`, which reshapes what it is sent,"
        )));
    }
    if !PLAIN.contains(&handler.as_str()) {
        return Err(Refused::Unsupported(format!("the handler `{handler}`, Python code,")));
    }
    let serialized =
        text("serializedFile").ok_or_else(|| "its manifest names no `serializedFile`".to_owned())?;
    Ok(Manifest { serialized })
}

/// The names of classes: an object of numbers and names, or of numbers and lists whose last is the name.
fn labels<S: Source>(archive: &mut Archive<S>) -> Result<Vec<String>, Refused> {
    let Some(entry) = named(archive, "index_to_name.json") else { return Ok(Vec::new()) };
    let node = json(archive, &entry)?;
    let name = |at: usize| {
        let value = node.get(&at.to_string())?;
        let last = if let Value::List(items) = &value.value { items.last()? } else { value };
        last.as_str().map(str::to_owned)
    };
    Ok((0..).map_while(name).collect())
}

fn json<S: Source>(archive: &mut Archive<S>, entry: &Entry) -> Result<Node, Refused> {
    let bytes = archive.bytes(entry, SMALL)?;
    let text = String::from_utf8(bytes).map_err(|_| format!("`{}` in it is no UTF-8", entry.name))?;
    parse_one(&text, &entry.name).map_err(|error| Refused::Malformed(error.message))
}

fn named<S: Source>(archive: &Archive<S>, name: &str) -> Option<Entry> {
    archive.entries().iter().find(|it| it.name == name).cloned()
}
