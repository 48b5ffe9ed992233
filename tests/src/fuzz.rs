//! What must hold for every parser of outside bytes, whatever the bytes: no panic, and what is accepted is understood the same
//! way when it is written down and read again. `tests/fuzz` runs these under libFuzzer, `tests/it/fuzz.rs` on mutated seeds.

mod bodies;
mod events;
mod fit;
mod json;
mod messages;
mod models;
mod seeds;
mod storage;
mod texts;

use std::fmt::Debug;
use std::path::Path;

use weir_proto::{DecodeLimits, Error, InferRequest, Parameter, Parameters, Tensor};

pub use bodies::{v1_request, v2_request};
pub use events::event;
pub use fit::fit;
pub use json::json;
pub use messages::{mesh, oip_request, oip_response};
pub use models::{
    ask, background, lightgbm, model_archive, onnx, onnx_graph, open, pickle, pmml, saved_model, worker,
    xgboost,
};
pub use storage::{archive, storage_config, store_list};
pub use texts::{batching, document, manifest, model_config, models_json, warmup_requests};

/// Every parser of outside bytes.
pub static TARGETS: &[Target] = &[
    Target { name: "json", check: json, seeds: seeds::jsons },
    Target { name: "v1_request", check: v1_request, seeds: seeds::v1_requests },
    Target { name: "v2_request", check: v2_request, seeds: seeds::v2_requests },
    Target { name: "oip_request", check: oip_request, seeds: seeds::oip_requests },
    Target { name: "oip_response", check: oip_response, seeds: seeds::oip_responses },
    Target { name: "mesh", check: mesh, seeds: seeds::calls },
    Target { name: "fit", check: fit, seeds: seeds::iris_requests },
    Target { name: "document", check: document, seeds: seeds::documents },
    Target { name: "manifest", check: manifest, seeds: seeds::manifests },
    Target { name: "pickle", check: pickle, seeds: seeds::pickles },
    Target { name: "pmml", check: pmml, seeds: seeds::pmmls },
    Target { name: "xgboost", check: xgboost, seeds: seeds::xgboosts },
    Target { name: "lightgbm", check: lightgbm, seeds: seeds::lightgbms },
    Target { name: "background", check: background, seeds: seeds::backgrounds },
    Target { name: "saved_model", check: saved_model, seeds: seeds::saved_models },
    Target { name: "onnx", check: onnx, seeds: seeds::onnxes },
    Target { name: "onnx_graph", check: onnx_graph, seeds: seeds::onnx_graphs },
    Target { name: "event", check: event, seeds: events::seeds },
    Target { name: "worker", check: worker, seeds: seeds::worker_messages },
    Target { name: "model_archive", check: model_archive, seeds: seeds::model_archives },
    Target { name: "model_config", check: model_config, seeds: seeds::model_configs },
    Target { name: "models_json", check: models_json, seeds: seeds::models_jsons },
    Target { name: "warmup_requests", check: warmup_requests, seeds: seeds::warmups },
    Target { name: "batching", check: batching, seeds: seeds::batchings },
    Target { name: "archive", check: archive, seeds: storage::archives },
    Target { name: "store_list", check: store_list, seeds: storage::store_lists },
    Target { name: "storage_config", check: storage_config, seeds: storage::storage_configs },
];

/// A parser and what must hold for it.
pub struct Target {
    /// Its name, which is also that of its binary in `tests/fuzz`.
    pub name: &'static str,
    /// Panics when what must hold does not; returns whether the bytes were accepted.
    pub check: fn(&[u8]) -> bool,
    /// Small samples to begin with, most of them valid.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Writes the seeds of a target to its corpus, where libFuzzer begins.
///
/// # Panics
/// When there is no such target, or the corpus cannot be written.
pub fn plant(name: &str) {
    let target = TARGETS.iter().find(|it| it.name == name).expect("every binary has a target");
    let corpus = repository().join("tests/fuzz/corpus").join(name);
    std::fs::create_dir_all(&corpus).expect("the corpus can be written");
    for (index, seed) in (target.seeds)().into_iter().enumerate() {
        std::fs::write(corpus.join(format!("seed-{index}")), seed).expect("the corpus can be written");
    }
}

/// Every tensor has as many elements as its shape says.
fn assert_whole(tensors: &[Tensor]) {
    for it in tensors {
        assert_eq!(weir_proto::tensor::elements(&it.shape), Some(it.data.len()), "tensor `{}`", it.name);
    }
}

/// What is accepted is whole, costs no more than so many times its bytes, and is the same under tight limits or refused by them.
fn assert_bounded(
    request: &InferRequest,
    bytes: usize,
    decode: impl FnOnce(&DecodeLimits) -> Result<InferRequest, Error>,
) {
    assert_whole(&request.inputs);
    let limits = DecodeLimits { elements: 16, ..DecodeLimits::default() };
    if let Ok(tight) = decode(&limits) {
        assert!(tight.inputs.iter().all(|it| it.data.len() <= limits.elements));
        assert_same(&tight, request);
        // Examples take from their context what has no bytes of its own, up to the limit.
        let most = 64 * (bytes + limits.elements) + 1024;
        assert!(size(&tight) <= most, "{} bytes became {}, more than {most}", bytes, size(&tight));
    }
}

/// The bytes that a request takes in memory, about.
fn size(request: &InferRequest) -> usize {
    let tensors: usize = request.inputs.iter().map(size_of_tensor).sum();
    let outputs = request.outputs.iter();
    let outputs: usize =
        outputs.map(|it| size_of_val(it) + it.name.len() + size_of_parameters(&it.parameters)).sum();
    size_of_val(request) + request.id.len() + size_of_parameters(&request.parameters) + tensors + outputs
}

fn size_of_tensor(tensor: &Tensor) -> usize {
    let data = weir_proto::for_each_data!(
        &tensor.data,
        numbers => size_of_val(&**numbers),
        strings => strings.iter().map(|it| size_of_val(it) + it.len()).sum()
    );
    let shape = size_of_val(tensor.shape.as_slice());
    size_of_val(tensor) + tensor.name.len() + shape + data + size_of_parameters(&tensor.parameters)
}

fn size_of_parameters(parameters: &Parameters) -> usize {
    let text = |it: &Parameter| if let Parameter::String(it) = it { it.len() } else { 0 };
    parameters.0.iter().map(|it| size_of_val(it) + it.0.len() + text(&it.1)).sum()
}

/// Compares by what is shown, for which NaN is NaN.
#[track_caller]
fn assert_same<T: Debug>(left: &T, right: &T) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository")
}
