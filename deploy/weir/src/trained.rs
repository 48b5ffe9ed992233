//! TrainedModels of a set of manifests: each goes to the predictor of the service that it names.

use std::collections::HashMap;

use weir_predictor::models::agent::{ModelEntry, quantity};
use weir_proto::document::{Problem, Severity};
use weir_proto::manifest::{Manifest, TrainedModel};
use weir_sdk::storage;

use crate::sources::Source;

/// Returns the further models of each service by its name; what is wrong with one goes to the problems.
pub(crate) fn of(
    manifests: &[(&Source, Manifest)],
    problems: &mut Vec<Problem>,
) -> HashMap<String, Vec<ModelEntry>> {
    let services: Vec<_> =
        manifests.iter().flat_map(|(_, it)| &it.services).map(|it| it.name.as_str()).collect();
    let mut taken: Vec<&str> = Vec::new();
    let mut all: HashMap<String, Vec<ModelEntry>> = HashMap::new();
    for (source, manifest) in manifests {
        for model in &manifest.models {
            let placed = if services.contains(&model.name.as_str()) || taken.contains(&model.name.as_str()) {
                let message = format!(
                    "`{}` is the name of another model already; models are routed by name",
                    model.name
                );
                Err(("metadata.name", message))
            } else if services.contains(&model.service.as_str()) {
                entry(source, model)
            } else {
                let message = format!("no InferenceService `{}` is among the manifests", model.service);
                Err(("spec.inferenceService", message))
            };
            match placed {
                Ok(entry) => {
                    taken.push(&model.name);
                    all.entry(model.service.clone()).or_default().push(entry);
                }
                Err((field, message)) => {
                    let (file, at, field) = (source.name.clone(), model.at, field.to_owned());
                    problems.push(Problem { severity: Severity::Error, file, at, field, message });
                }
            }
        }
    }
    all
}

fn entry(source: &Source, model: &TrainedModel) -> Result<ModelEntry, (&'static str, String)> {
    let format = weir_predictor::find(&model.framework);
    format.map_err(|error| ("spec.model.framework", error.to_string()))?;
    let located = storage::resolve(&model.storage_uri, &source.base);
    let located = located.map_err(|error| ("spec.model.storageUri", error.to_string()))?;
    let memory = model.memory.as_deref().map(|text| {
        quantity(text).ok_or_else(|| {
            ("spec.model.memory", format!("`{text}` is no quantity; expected such as `256Mi` or `1G`"))
        })
    });
    Ok(ModelEntry {
        name: model.name.clone(),
        storage_uri: located,
        framework: model.framework.clone(),
        memory: memory.transpose()?,
    })
}
