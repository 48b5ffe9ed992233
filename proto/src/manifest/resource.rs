//! The head that every Kubernetes resource has: which kind it is, which form, and its name.

use std::collections::HashMap;

use super::{Annotation, InferenceService, Manifest, trained, v1alpha2, v1beta1};
use crate::document::{self, Fields, Node, Problems, Value, excerpt};

const KIND: &str = "InferenceService";
const BETA: [&str; 2] = ["serving.kserve.io/v1beta1", "serving.kubeflow.org/v1beta1"];
/// A model of a service that is there already.
const TRAINED: (&str, [&str; 3]) = (
    "TrainedModel",
    ["serving.kserve.io/v1alpha1", "serving.kubeflow.org/v1alpha1", "serving.kubeflow.org/v1beta1"],
);
const ALPHA: [&str; 2] = ["serving.kserve.io/v1alpha2", "serving.kubeflow.org/v1alpha2"];

/// How Weir's own annotations begin.
const OWN: &str = "serving.weir.dev/";
const ANNOTATIONS: [&str; 2] = ["serving.weir.dev/propagate-headers", "serving.weir.dev/drop-headers"];

const MAX_LABEL: usize = 63;

/// KServe's other kinds; what else claims to be of its groups is a typing error.
const OTHER_KINDS: &[&str] = &[
    "ClusterServingRuntime",
    "ClusterStorageContainer",
    "InferenceGraph",
    "LLMInferenceService",
    "LLMInferenceServiceConfig",
    "LocalModelCache",
    "LocalModelNamespaceCache",
    "LocalModelNode",
    "LocalModelNodeGroup",
    "ServingRuntime",
];

/// The fields of `metadata` besides name and namespace.
const OBJECT_META: &[&str] = &[
    "annotations",
    "clusterName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Reads the services of a text, and the models beside them.
pub(super) fn read(text: &str, problems: &Problems) -> Manifest {
    let documents = document::parse(text, problems);
    let mut services = Services::default();
    for document in &documents {
        match list(document) {
            Some(items) => {
                for (at, item) in items.iter().enumerate() {
                    services.read(item, &format!("items[{at}]"), problems);
                }
            }
            None => services.read(document, "", problems),
        }
    }
    services.read
}

/// Returns the items of a `List`, which is what `kubectl get -o yaml` writes.
fn list(document: &Node) -> Option<&[Node]> {
    let is = |field, text| document.get(field).and_then(Node::as_str) == Some(text);
    match document.get("items").map(|it| &it.value) {
        Some(document::Value::List(items)) if is("kind", "List") && is("apiVersion", "v1") => Some(items),
        _ => None,
    }
}

#[derive(Default)]
struct Services {
    read: Manifest,
    /// The line of each namespace and name, by kind.
    lines: HashMap<(&'static str, String, String), usize>,
}

impl Services {
    fn read(&mut self, node: &Node, path: &str, problems: &Problems) {
        let Some(fields) = Fields::of(node, path, problems) else { return };
        let head = (fields.required_string("apiVersion"), fields.required_string("kind"));
        fields.accepted(&["metadata", "spec", "status"]);
        let (Some(version), Some(kind)) = head else { return fields.finish() };
        let Some(form) = form(&fields, version, kind) else { return };
        let metadata = fields.required_fields("metadata");
        let [propagate_headers, drop_headers] = metadata.as_ref().map(annotations).unwrap_or_default();
        let (kind, what) = if form == Form::Trained { (TRAINED.0, "model") } else { (KIND, "service") };
        let name = metadata.and_then(|it| self.name(it, kind, what));
        let spec = fields.required_fields("spec");
        let revisions = match form {
            Form::Trained => {
                let model = spec.and_then(|it| trained::model(it, name.map(|it| it.1), node.at));
                self.read.models.extend(model);
                return fields.finish();
            }
            Form::Beta => spec.and_then(v1beta1::revisions),
            Form::Alpha => spec.and_then(v1alpha2::revisions),
        };
        fields.finish();
        if let (Some((namespace, name)), Some(revisions)) = (name, revisions) {
            let at = node.at;
            self.read.services.push(InferenceService {
                name,
                namespace,
                at,
                propagate_headers,
                drop_headers,
                revisions,
            });
        }
    }

    /// Returns namespace and name, unless one of its kind before has them.
    fn name(&mut self, metadata: Fields<'_>, kind: &'static str, what: &str) -> Option<(String, String)> {
        let name = label(&metadata, "name");
        let namespace = metadata.has("namespace").then(|| label(&metadata, "namespace"));
        let namespace = namespace.flatten().unwrap_or_else(|| "default".to_owned());
        metadata.accepted(OBJECT_META);
        let at = metadata.position("name");
        let (path, problems) = (metadata.path_of("name"), metadata.problems());
        metadata.finish();
        let (namespace, name) = (namespace, name?);
        let key = (kind, namespace.clone(), name.clone());
        if let Some(first) = self.lines.get(&key) {
            let message = format!("namespace `{namespace}` has a {what} `{name}` already, in line {first}");
            problems.error(at, path, message);
            return None;
        }
        self.lines.insert(key, at.line);
        Some((namespace, name))
    }
}

/// Reads Weir's own annotations, in the order of [`ANNOTATIONS`]; everybody else's are not looked at.
fn annotations(metadata: &Fields<'_>) -> [Option<Annotation>; 2] {
    let mut found = [None, None];
    let Some(Value::Map(entries)) = metadata.node("annotations").map(|it| &it.value) else { return found };
    for entry in entries.iter().filter(|it| it.key.starts_with(OWN)) {
        let problem = match (ANNOTATIONS.iter().position(|it| *it == entry.key), entry.value.as_str()) {
            (Some(at), Some(value)) => {
                let (name, value) = (ANNOTATIONS[at], value.to_owned());
                found[at] = Some(Annotation { name, value, at: entry.value.at });
                continue;
            }
            (Some(_), None) => format!("expected a string, met {}", entry.value.kind()),
            (None, _) => format!("unknown annotation; known are `{}`", ANNOTATIONS.join("`, `")),
        };
        let path = format!("{}.{}", metadata.path_of("annotations"), excerpt(&entry.key));
        metadata.problems().error(entry.value.at, path, problem);
    }
    found
}

/// Reads a name that has to be there and to be a label after RFC 1123, as names in Kubernetes are.
pub(super) fn label(fields: &Fields<'_>, field: &str) -> Option<String> {
    let name = fields.required_string(field)?;
    let letter = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().last()];
    let fits = name.len() <= MAX_LABEL
        && ends.into_iter().all(|it| it.is_some_and(letter))
        && name.bytes().all(|it| letter(it) || it == b'-');
    if !fits {
        let name = excerpt(name);
        fields.error(
            field,
            format!("`{name}` is no name; names have {MAX_LABEL} of a-z, 0-9 and `-` at most, and no `-` at an end"),
        );
    }
    fits.then(|| name.to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Beta,
    Alpha,
    /// A TrainedModel.
    Trained,
}

/// Returns the form of an InferenceService or a TrainedModel; `None`, with a problem that says why, when it is none.
fn form(fields: &Fields<'_>, version: &str, kind: &str) -> Option<Form> {
    if kind == KIND {
        let form = if ALPHA.contains(&version) { Form::Alpha } else { Form::Beta };
        if matches!(form, Form::Alpha) || BETA.contains(&version) {
            return Some(form);
        }
        let known = BETA.iter().chain(&ALPHA).map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
        fields.error("apiVersion", format!("unknown version `{}`; known are {known}", excerpt(version)));
    } else if kind == TRAINED.0 {
        if TRAINED.1.contains(&version) {
            return Some(Form::Trained);
        }
        let known = TRAINED.1.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
        fields.error("apiVersion", format!("unknown version `{}`; known are {known}", excerpt(version)));
    } else if is_kserve(version) && !OTHER_KINDS.contains(&kind) {
        fields.error("kind", format!("unknown kind `{}`; known is `{KIND}`", excerpt(kind)));
    } else {
        fields.warning("kind", format!("ignored: `{}` is not an InferenceService", excerpt(kind)));
    }
    None
}

fn is_kserve(version: &str) -> bool {
    let group = |version: &str| version.split('/').next().map(str::to_owned);
    BETA.iter().any(|known| group(known) == group(version))
}
