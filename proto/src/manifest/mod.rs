//! InferenceService manifests as users write them for KServe and KFServing: text in, typed services and every problem out.
//!
//! Each form of the manifest is a file: `v1beta1`, `v1alpha2`. Which model formats, steps and methods exist is not known here.

mod component;
mod container;
mod model;
mod resource;
mod trained;
mod v1alpha2;
mod v1beta1;

use crate::document::{Node, Position, Problem, Problems};

/// What a text holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// The services, in the order they were written.
    pub services: Vec<InferenceService>,
    /// Further models of services, which may stand in another text.
    pub models: Vec<TrainedModel>,
}

/// A TrainedModel: a model that the predictor of a service serves beside its own, or in the place of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainedModel {
    /// Its name, by which it is asked.
    pub name: String,
    /// The service whose predictor serves it.
    pub service: String,
    /// The format's name.
    pub framework: String,
    /// Where the files are.
    pub storage_uri: String,
    /// How much memory it is said to take, in Kubernetes' words.
    pub memory: Option<String>,
    /// Where its document begins.
    pub at: Position,
}

/// One InferenceService: the versions of it that share its traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceService {
    /// Its name, a label after RFC 1123.
    pub name: String,
    /// Its namespace; `default` when the manifest names none.
    pub namespace: String,
    /// Where its document begins.
    pub at: Position,
    /// The annotation `serving.weir.dev/propagate-headers`: headers that travel beside those of traces.
    pub propagate_headers: Option<Annotation>,
    /// The annotation `serving.weir.dev/drop-headers`: headers that do not travel.
    pub drop_headers: Option<Annotation>,
    /// The default revision first, then the canaries; the weights sum to 100.
    pub revisions: Vec<Revision>,
}

/// An annotation of Weir's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its whole name.
    pub name: &'static str,
    /// What it says.
    pub value: String,
    /// Where it is written.
    pub at: Position,
}

/// One version of a service, with a share of its traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// `default`, `canary`, or the canary's own name.
    pub name: String,
    /// The percentage of requests it gets; 0 is a dark launch.
    pub weight: u8,
    /// What answers.
    pub predictor: Predictor,
    /// What reshapes requests and answers. In the form `v1beta1` a canary has the transformer of its service.
    pub transformer: Option<Transformer>,
    /// What explains. In the form `v1beta1` a canary has the explainer of its service.
    pub explainer: Option<Explainer>,
}

/// The component that holds the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictor {
    /// A model for one of Weir's runtimes, or somebody's own server.
    pub serving: Serving,
    /// How many seconds a request may take.
    pub timeout_s: Option<u64>,
    /// How its requests are put together; nothing is said of it where there is none.
    pub batcher: Option<Batcher>,
    /// Where it is written.
    pub at: Position,
}

/// How the requests of a predictor are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batcher {
    /// The most rows that go together.
    pub max_batch_size: Option<u32>,
    /// How many milliseconds the first request waits for others.
    pub max_latency_ms: Option<u32>,
    /// Where it is written.
    pub at: Position,
}

/// What stands behind a predictor.
#[derive(Debug, Clone, PartialEq)]
pub enum Serving {
    /// A model file and its format.
    Model(ModelSpec),
    /// A container that speaks one of the protocols.
    Container(Container),
}

/// A model and how to serve it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// The format's name, such as `sklearn`; a legacy key is its own format.
    pub format: String,
    /// The format's version.
    pub format_version: Option<String>,
    /// Where the files are.
    pub storage_uri: Option<String>,
    /// The same in parts, `storage: {key, path, parameters}`, as JSON: a secret may complete it.
    pub storage_spec: Option<String>,
    /// Several places, each with the folder it shall be in.
    pub storage_uris: Vec<(String, String)>,
    /// `v1`, `v2`, `grpc-v1` or `grpc-v2`.
    pub protocol_version: Option<String>,
    /// The runtime the user wants, by name.
    pub runtime: Option<String>,
    /// More arguments for the server.
    pub args: Vec<String>,
    /// Variables of its environment, in the order written.
    pub env: Vec<(String, String)>,
    /// Its resources ask for a GPU.
    pub asks_for_gpu: bool,
    /// Where it is written.
    pub at: Position,
}

impl ModelSpec {
    /// Whether it says where the files are, in whichever way.
    pub fn has_place(&self) -> bool {
        self.storage_uri.is_some() || self.storage_spec.is_some() || !self.storage_uris.is_empty()
    }
}

/// The component that reshapes requests before, and answers after, the predictor.
#[derive(Debug, Clone, PartialEq)]
pub enum Transformer {
    /// Weir's own short form: `transformer: {steps: [...]}`.
    Steps {
        /// The list `steps` as it is written.
        pre_and_post: Node,
        /// Where it is written.
        at: Position,
    },
    /// Somebody's own server.
    Container(Container),
}

/// The component that says why the model answered so.
#[derive(Debug, Clone, PartialEq)]
pub enum Explainer {
    /// A method by name: Weir's own short form `explainer: {method: ...}`, or the legacy keys `alibi`, `aix` and `art`.
    Method {
        /// Its name as it is written.
        method: String,
        /// Where a fitted explainer is stored.
        storage_uri: Option<String>,
        /// The map of its options.
        config: Option<Node>,
        /// Where it is written.
        at: Position,
    },
    /// Somebody's own server.
    Container(Container),
}

/// A container of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Its name; `kserve-container` when none is written.
    pub name: String,
    /// The image's reference.
    pub image: String,
    /// What runs instead of the image's entry point.
    pub command: Vec<String>,
    /// The arguments.
    pub args: Vec<String>,
    /// Variables of its environment, in the order written.
    pub env: Vec<(String, String)>,
    /// The variable `STORAGE_URI`, which asks for a model at `/mnt/models`.
    pub storage_uri: Option<String>,
    /// The ports it listens on, its main one first.
    pub ports: Vec<u16>,
    /// Where it is written.
    pub at: Position,
}

impl Container {
    /// Returns which of Weir's services the image is, `predictor`, `transformer` or `explainer`: its name, without
    /// registry, tag and digest, ends in `weir-` and that word.
    pub fn weir_component(&self) -> Option<&'static str> {
        let name = self.image.split('@').next()?.rsplit('/').next()?.split(':').next()?;
        ["predictor", "transformer", "explainer"]
            .into_iter()
            .find(|component| name.strip_suffix(component).is_some_and(|before| before.ends_with("weir-")))
    }
}

/// Reads every InferenceService and TrainedModel of a text, which may hold several documents or a `List`. `file` is its name in problems.
/// Documents of other kinds are warnings. A service with errors is left out where what is missing has no sensible value,
/// so the services are only worth using when no problem is an error.
pub fn parse(file: &str, text: &str) -> (Manifest, Vec<Problem>) {
    let problems = Problems::new(file);
    let manifest = resource::read(text, &problems);
    (manifest, problems.into_vec())
}

#[cfg(test)]
mod tests;
