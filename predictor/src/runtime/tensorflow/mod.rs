//! TensorFlow's SavedModels, computed by TensorFlow's own library where it is installed. What else TensorFlow and Keras write is
//! told from it, with the line of Python that makes a SavedModel of it.

mod element;
mod model;
mod refusal;
pub mod saved_model;

use std::path::Path;

use weir_native::tensorflow::{Failure, Library, SessionOptions, WANTED};
use weir_sdk::{Env, Model};

use super::{LoadError, LoadOptions, Runtime, search};
use model::SavedModel;
use saved_model::MetaGraph;

/// The runtime of SavedModels.
pub struct Tensorflow;

impl Runtime for Tensorflow {
    fn name(&self) -> &'static str {
        "tensorflow"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["pb", "pbtxt"]
    }

    fn refused_extensions(&self) -> &'static [&'static str] {
        refusal::ENDINGS
    }

    fn recognizes(&self, _head: &[u8]) -> bool {
        // A SavedModel is a folder. Files are read, or refused with advice, where no other format takes them.
        false
    }

    fn recognizes_folder(&self, folder: &Path) -> bool {
        saved_model_in(folder).is_some() || refusal::of_folder(folder).is_some()
    }

    fn engine(&self, env: &Env) -> Result<String, String> {
        let found = WANTED.find(&search(env)).map_err(|error| error.to_string())?;
        Ok(format!("TensorFlow's library at {}", found.display()))
    }

    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        let is_message = |it: &Path| it.file_name().is_some_and(|name| MESSAGES.iter().any(|it| name == *it));
        let folder = match path.parent() {
            Some(parent) if is_message(path) => parent,
            _ => path,
        };
        let Some(file) = saved_model_in(folder) else {
            return Err(refusal::of(path));
        };
        // What the file itself says is looked at first: to open the library takes seconds.
        let graphs = if file.extension().is_some_and(|it| it == "pb") { read(&file)? } else { Vec::new() };
        let tags = tags(&graphs, &file)?;
        let library = Library::of(&options.search());
        let library = library.map_err(|reason| LoadError::Engine { path: folder.to_owned(), reason })?;
        let gpu = options.gpu.told();
        let computed = SessionOptions {
            intra_op: options.threads.intra_op,
            inter_op: options.threads.inter_op,
            gpu,
            gpu_memory_fraction: options.gpu.memory_fraction(),
        };
        let failed = |error: Failure| LoadError::Malformed {
            path: folder.to_owned(),
            reason: format!("TensorFlow {} cannot load it: {}", library.version(), error.message),
        };
        let mut session = library.load(folder, &tags, &computed).map_err(failed)?;
        let gpus = session.gpus().map_err(failed)?;
        if let (Some(gpu), []) = (gpu, gpus.as_slice()) {
            return Err(LoadError::Engine {
                path: folder.to_owned(),
                reason: format!(
                    "GPU {gpu} is asked for, and TensorFlow {} finds none: its library is for processors, or CUDA or the GPU is \
                     not there; get one for CUDA by `pip install tensorflow[and-cuda]`, or leave out --gpu_device",
                    library.version()
                ),
            });
        }
        let told = session.take_meta_graph();
        let graph = match graphs.into_iter().find(|it| it.tags == tags) {
            Some(graph) => graph,
            None => MetaGraph::read(&told)
                .map_err(|reason| LoadError::Malformed { path: file.clone(), reason })?,
        };
        let model = SavedModel::new(session, &graph, options.threads.in_library(), size(folder));
        let model = model.map_err(|reason| LoadError::Malformed { path: file, reason })?;
        let on = if gpus.is_empty() { "the processor".to_owned() } else { gpus.join(", ") };
        tracing::info!(model = options.name, "TensorFlow {} runs it on {on}", library.version());
        Ok(Box::new(model))
    }
}

const MESSAGES: [&str; 2] = ["saved_model.pb", "saved_model.pbtxt"];
/// The tag of a graph that is for serving.
const SERVE: &str = "serve";

fn saved_model_in(folder: &Path) -> Option<std::path::PathBuf> {
    MESSAGES.iter().map(|it| folder.join(it)).find(|it| it.is_file())
}

fn read(file: &Path) -> Result<Vec<MetaGraph>, LoadError> {
    let bytes = std::fs::read(file).map_err(|source| LoadError::Read { path: file.to_owned(), source })?;
    saved_model::graphs(&bytes).map_err(|reason| LoadError::Malformed { path: file.to_owned(), reason })
}

/// The tags of the graph to serve: `serve` alone, else the only graph with it, else the only graph there is.
fn tags(graphs: &[MetaGraph], file: &Path) -> Result<Vec<String>, LoadError> {
    if graphs.is_empty() {
        return Ok(vec![SERVE.to_owned()]);
    }
    let served: Vec<_> = graphs.iter().filter(|it| it.tags.iter().any(|tag| tag == SERVE)).collect();
    let found = match (served.as_slice(), graphs) {
        ([one], _) => Some(*one),
        ([], [one]) => Some(one),
        (several, _) => several.iter().find(|it| it.tags.len() == 1).copied(),
    };
    let Some(one) = found else {
        let tags: Vec<_> = graphs.iter().map(|it| format!("`{}`", it.tags.join(", "))).collect();
        return Err(LoadError::Malformed {
            path: file.to_owned(),
            reason: format!(
                "it holds graphs of the tags {}, expected one of `{SERVE}`; export it again with that tag",
                tags.join(" and ")
            ),
        });
    };
    Ok(one.tags.clone())
}

/// The bytes of the graph and its variables, which is about what it takes.
fn size(folder: &Path) -> u64 {
    let files = [folder.to_owned(), folder.join("variables"), folder.join("assets")];
    let entries = files.iter().filter_map(|it| it.read_dir().ok()).flatten().flatten();
    entries.filter_map(|it| it.metadata().ok()).filter(std::fs::Metadata::is_file).map(|it| it.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(tags: &[&str]) -> MetaGraph {
        MetaGraph { tags: tags.iter().map(|&it| it.to_owned()).collect(), signatures: Vec::new() }
    }

    #[test]
    fn the_graph_for_serving_is_chosen_by_its_tags() {
        let chosen = |graphs: &[&[&str]]| {
            let graphs: Vec<_> = graphs.iter().map(|it| graph(it)).collect();
            tags(&graphs, Path::new("saved_model.pb")).map_err(|error| error.to_string())
        };
        assert_eq!(chosen(&[]).unwrap(), ["serve"]);
        assert_eq!(chosen(&[&["train"], &["serve"]]).unwrap(), ["serve"]);
        assert_eq!(chosen(&[&["serve", "gpu"], &["serve"]]).unwrap(), ["serve"]);
        assert_eq!(chosen(&[&["serve", "gpu"], &["train"]]).unwrap(), ["serve", "gpu"]);
        assert_eq!(chosen(&[&["mine"]]).unwrap(), ["mine"]);
        let text = chosen(&[&["train"], &["eval"]]).unwrap_err();
        assert!(text.contains("the tags `train` and `eval`, expected one of `serve`"), "{text}");
    }
}
