//! The form `v1beta1`: one predictor, transformer and explainer, and a list of canaries that differ in their predictor.

use super::component::{self, EXTENSION, POD};
use super::container::Containers;
use super::resource::label;
use super::{Explainer, ModelSpec, Predictor, Revision, Serving, Transformer, model};
use crate::document::{Fields, Position};

/// The legacy keys of a predictor, each of which names its format.
const FRAMEWORKS: &[&str] = &[
    "sklearn",
    "xgboost",
    "lightgbm",
    "pmml",
    "onnx",
    "tensorflow",
    "pytorch",
    "triton",
    "paddle",
    "huggingface",
];

/// Reads a `spec`.
pub(super) fn revisions(spec: Fields<'_>) -> Option<Vec<Revision>> {
    let default = spec.required_fields("predictor").and_then(|it| {
        it.ignored(&["name"]);
        predictor(it)
    });
    let transformer = spec.fields("transformer").and_then(transformer);
    let explainer = spec.fields("explainer").and_then(explainer);
    let canaries: Vec<_> = spec.maps("canary").unwrap_or_default().into_iter().filter_map(canary).collect();
    check_canaries(&spec, &canaries);
    if spec.has("transformer") && default.as_ref().is_some_and(|(_, beside)| beside.is_some()) {
        spec.error(
            "transformer",
            "a `transformer-container` stands beside the predictor already; keep one of them",
        );
    }
    spec.finish();

    let given: u8 = canaries.iter().fold(0, |sum, it| sum.saturating_add(it.weight));
    let revision = |name: String, weight, (predictor, beside): Component| Revision {
        name,
        weight,
        predictor,
        transformer: beside.map(Transformer::Container).or_else(|| transformer.clone()),
        explainer: explainer.clone(),
    };
    let mut revisions = vec![revision("default".to_owned(), 100_u8.saturating_sub(given), default?)];
    revisions.extend(canaries.into_iter().map(|it| revision(it.name, it.weight, it.component)));
    Some(revisions)
}

/// A predictor, and the transformer that may stand in its pod.
type Component = (Predictor, Option<super::Container>);

struct Canary {
    name: String,
    name_at: Position,
    name_path: String,
    weight: u8,
    component: Component,
}

fn canary(fields: Fields<'_>) -> Option<Canary> {
    if !fields.has("trafficPercent") {
        fields.warning("trafficPercent", "is missing, so this canary gets no traffic");
    }
    let weight = component::percent(&fields, "trafficPercent");
    let predictor = fields.required_fields("predictor").map(|it| {
        let name = (label(&it, "name"), it.position("name"), it.path_of("name"));
        (name, predictor(it))
    });
    fields.finish();
    let ((name, name_at, name_path), component) = predictor?;
    Some(Canary { name: name?, name_at, name_path, weight: weight.unwrap_or(0), component: component? })
}

fn check_canaries(spec: &Fields<'_>, canaries: &[Canary]) {
    let sum: u32 = canaries.iter().map(|it| u32::from(it.weight)).sum();
    if sum > 100 {
        spec.error("canary", format!("the fields trafficPercent add up to {sum}, expected 100 at most"));
    }
    for (at, canary) in canaries.iter().enumerate() {
        if canary.name == "default" || canaries[..at].iter().any(|it| it.name == canary.name) {
            let message = format!("the name `{}` is taken by another revision", canary.name);
            spec.problems().error(canary.name_at, &canary.name_path, message);
        }
    }
}

fn predictor(fields: Fields<'_>) -> Option<Component> {
    let models: Vec<_> = ["model"].iter().chain(FRAMEWORKS).copied().filter(|it| fields.has(it)).collect();
    let containers = Containers::read(&fields, models.is_empty());
    let mut given = models.clone();
    given.extend(containers.serves().then_some("containers"));
    component::exactly_one(&fields, &given, &["model", "containers", "or a framework such as `sklearn`"]);

    let at = fields.at();
    let model = models.first().and_then(|&key| {
        let spec = fields.fields(key)?;
        if key == "model" { model::named(spec) } else { model::framework(spec, key) }
    });
    let timeout_s = fields.integer_in("timeout", 1..=i64::MAX).and_then(|it| u64::try_from(it).ok());
    if component::percent(&fields, "canaryTrafficPercent").is_some_and(|it| it < 100) {
        fields.warning(
            "canaryTrafficPercent",
            "has no effect here, where no earlier revision runs; list the canary in `spec.canary`",
        );
    }
    let batcher = component::batcher(&fields);
    fields.accepted(&["labels", "annotations"]);
    fields.ignored(EXTENSION);
    fields.ignored(POD);
    fields.ignored(&["storageContainerName", "workerSpec"]);
    let places = match &model {
        Some(_) => model::places(&fields),
        None => {
            fields.ignored(&["storageUris"]);
            Vec::new()
        }
    };
    fields.finish();

    let model = model.map(|it| ModelSpec { storage_uris: places, ..it });
    let (server, transformer) = containers.split();
    let serving = model.map(Serving::Model).or(server.map(Serving::Container))?;
    Some((Predictor { serving, timeout_s, batcher, at }, transformer))
}

fn transformer(fields: Fields<'_>) -> Option<Transformer> {
    let (at, containers) = (fields.at(), Containers::read(&fields, true));
    let given = given(&fields, &["steps", "containers"]);
    component::exactly_one(&fields, &given, &["steps", "containers"]);
    let steps = fields.list("steps").and_then(|_| fields.node("steps")).cloned();
    finish_pod(fields);
    let steps = steps.map(|pre_and_post| Transformer::Steps { pre_and_post, at });
    steps.or_else(|| containers.split().0.map(Transformer::Container))
}

fn explainer(fields: Fields<'_>) -> Option<Explainer> {
    const LEGACY: [&str; 3] = ["alibi", "aix", "art"];
    let (at, containers) = (fields.at(), Containers::read(&fields, true));
    let given = given(&fields, &["method", "containers", "alibi", "aix", "art"]);
    component::exactly_one(&fields, &given, &["method", "containers"]);
    let method = fields.string("method").map(str::to_owned);
    // Beside a container these two would be lost without a word.
    let short = given.is_empty() || given.contains(&"method");
    let (storage_uri, config) = if short { component::method_options(&fields) } else { (None, None) };
    let legacy = LEGACY.iter().find_map(|it| component::legacy_method(fields.fields(it)?));
    finish_pod(fields);
    let method = method.map(|method| Explainer::Method { method, storage_uri, config, at });
    method.or(legacy).or_else(|| containers.split().0.map(Explainer::Container))
}

fn given<'n>(fields: &Fields<'_>, names: &[&'n str]) -> Vec<&'n str> {
    names.iter().copied().filter(|it| fields.has(it)).collect()
}

/// Ends the reading of a component whose own fields are read.
fn finish_pod(fields: Fields<'_>) {
    fields.accepted(&["labels", "annotations"]);
    fields.ignored(&["timeout", "canaryTrafficPercent", "batcher"]);
    fields.ignored(EXTENSION);
    fields.ignored(POD);
    fields.finish();
}
