//! The form `v1alpha2`, KFServing's first: two whole endpoints, `default` and `canary`, and one percentage.

use super::component::{self, LEGACY_EXTENSION};
use super::{Container, Explainer, Predictor, Revision, Serving, Transformer, model};
use crate::document::Fields;

/// The keys of a predictor, each of which names its format.
const FRAMEWORKS: &[&str] = &["sklearn", "xgboost", "onnx", "tensorflow", "pytorch", "tensorrt", "triton"];

/// Reads a `spec`.
pub(super) fn revisions(spec: Fields<'_>) -> Option<Vec<Revision>> {
    let default = spec.required_fields("default").and_then(endpoint);
    let canary = spec.fields("canary").map(endpoint);
    let percent = component::percent(&spec, "canaryTrafficPercent").unwrap_or(0);
    if percent > 0 && canary.is_none() {
        spec.error(
            "canaryTrafficPercent",
            format!("gives {percent} percent to a canary, but `canary` is missing"),
        );
    }
    spec.finish();

    let weight = if canary.is_some() { percent } else { 0 };
    let mut revisions = vec![default?.revision("default", 100 - weight)];
    if let Some(endpoint) = canary {
        revisions.push(endpoint?.revision("canary", weight));
    }
    Some(revisions)
}

struct Endpoint {
    predictor: Predictor,
    transformer: Option<Transformer>,
    explainer: Option<Explainer>,
}

impl Endpoint {
    fn revision(self, name: &str, weight: u8) -> Revision {
        let Self { predictor, transformer, explainer } = self;
        Revision { name: name.to_owned(), weight, predictor, transformer, explainer }
    }
}

fn endpoint(fields: Fields<'_>) -> Option<Endpoint> {
    let predictor = fields.required_fields("predictor").and_then(predictor);
    let transformer = fields.fields("transformer").map(transformer);
    let explainer = fields.fields("explainer").map(explainer);
    fields.finish();
    Some(Endpoint {
        predictor: predictor?,
        transformer: transformer.flatten(),
        explainer: explainer.flatten(),
    })
}

fn predictor(fields: Fields<'_>) -> Option<Predictor> {
    let mut given: Vec<_> = FRAMEWORKS.iter().copied().filter(|it| fields.has(it)).collect();
    let framework = given.first().copied();
    given.extend(fields.has("custom").then_some("custom"));
    component::exactly_one(&fields, &given, &["custom", "or a framework such as `sklearn`"]);
    let at = fields.at();
    let model = framework.and_then(|key| model::framework(fields.fields(key)?, key)).map(Serving::Model);
    let serving = model.or_else(|| custom(&fields).map(Serving::Container));
    let batcher = component::batcher(&fields);
    fields.ignored(LEGACY_EXTENSION);
    fields.finish();
    Some(Predictor { serving: serving?, timeout_s: None, batcher, at })
}

fn transformer(fields: Fields<'_>) -> Option<Transformer> {
    fields.require("custom");
    let container = custom(&fields);
    fields.ignored(LEGACY_EXTENSION);
    fields.ignored(&["batcher"]);
    fields.finish();
    container.map(Transformer::Container)
}

fn explainer(fields: Fields<'_>) -> Option<Explainer> {
    const LEGACY: [&str; 2] = ["alibi", "aix"];
    let given: Vec<_> = ["alibi", "aix", "custom"].into_iter().filter(|it| fields.has(it)).collect();
    component::exactly_one(&fields, &given, &["alibi", "aix", "custom"]);
    let method = LEGACY.iter().find_map(|it| component::legacy_method(fields.fields(it)?));
    let explainer = method.or_else(|| custom(&fields).map(Explainer::Container));
    fields.ignored(LEGACY_EXTENSION);
    fields.ignored(&["batcher"]);
    fields.finish();
    explainer
}

fn custom(fields: &Fields<'_>) -> Option<Container> {
    let custom = fields.fields("custom")?;
    let container = custom.required_fields("container").and_then(Container::read);
    custom.finish();
    container
}
