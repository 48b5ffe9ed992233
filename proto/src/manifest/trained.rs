//! TrainedModels: further models of an InferenceService's predictor.

use super::TrainedModel;
use super::resource::label;
use crate::document::{Fields, Position};

/// Reads `spec`, which is all that a TrainedModel says beside its name.
pub(super) fn model(spec: Fields<'_>, name: Option<String>, at: Position) -> Option<TrainedModel> {
    let service = spec.has("inferenceService").then(|| label(&spec, "inferenceService"));
    if service.is_none() {
        spec.require("inferenceService");
    }
    let model = spec.required_fields("model").map(|it| {
        let framework = it.required_string("framework").map(str::to_owned);
        let storage_uri = it.required_string("storageUri").map(str::to_owned);
        let memory = it.string_or_number("memory");
        it.finish();
        (framework, storage_uri, memory)
    });
    spec.finish();
    let (framework, storage_uri, memory) = model?;
    Some(TrainedModel {
        name: name?,
        service: service??,
        framework: framework?,
        storage_uri: storage_uri?,
        memory,
        at,
    })
}
