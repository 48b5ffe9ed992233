//! Models: a format, a place, and what the server of them is told.

use super::ModelSpec;
use super::container::{RUN_BY_KUBERNETES, environment};
use crate::document::{Entry, Fields, Node, Value, excerpt};

const PROTOCOLS: [&str; 4] = ["v1", "v2", "grpc-v1", "grpc-v2"];

/// Reads `model`, which names its format.
pub(super) fn named(fields: Fields<'_>) -> Option<ModelSpec> {
    let format = fields.required_fields("modelFormat").map(|it| {
        let read = (it.required_string("name").map(str::to_owned), it.string("version").map(str::to_owned));
        it.finish();
        read
    });
    let runtime = fields.string("runtime").map(str::to_owned);
    let spec = shared(fields, Vec::new());
    let (format, format_version) = format?;
    Some(ModelSpec { format: format?, format_version, runtime, ..spec })
}

/// Reads a legacy key, which is the format.
pub(super) fn framework(fields: Fields<'_>, format: &str) -> Option<ModelSpec> {
    // KFServing passed these two on to its servers as arguments.
    let mut args = Vec::new();
    if format == "xgboost" {
        args.extend(fields.integer("nthread").map(|it| format!("--nthread={it}")));
    }
    if format == "pytorch" {
        args.extend(fields.string("modelClassName").map(|it| format!("--model_class_name={it}")));
    }
    // Only `python` means something here: these keys have no runtime with KServe, and old manifests need one for a class's weights.
    let runtime = fields.string("runtime").map(str::to_owned);
    let spec = shared(fields, args);
    Some(ModelSpec { format: format.to_owned(), runtime, ..spec })
}

/// Reads what both have, and ends the reading. `args` come before those that are written.
fn shared(fields: Fields<'_>, mut args: Vec<String>) -> ModelSpec {
    let storage_uri = fields.string("storageUri").map(str::to_owned);
    let storage_spec = if storage_uri.is_some() {
        fields.ignored(&["storage"]);
        None
    } else {
        fields.fields("storage").and_then(storage).and_then(|()| fields.node("storage")).map(Node::to_json)
    };
    let protocol_version = fields.string("protocolVersion").map(str::to_owned);
    if let Some(unknown) = protocol_version.as_deref().filter(|it| !PROTOCOLS.contains(it)) {
        let known = PROTOCOLS.join(", ");
        fields
            .error("protocolVersion", format!("unknown protocol `{}`; known are {known}", excerpt(unknown)));
    }
    args.extend(fields.strings("args").unwrap_or_default());
    let env = environment(&fields);
    let at = fields.at();
    fields.accepted(&["name"]);
    fields.ignored(&["runtimeVersion", "confidential", "image", "command", "ports"]);
    fields.ignored(RUN_BY_KUBERNETES);
    let asks_for_gpu = fields.node("resources").is_some_and(asks_for_gpu);
    fields.finish();
    ModelSpec {
        format: String::new(),
        format_version: None,
        storage_uri,
        storage_spec,
        storage_uris: Vec::new(),
        protocol_version,
        runtime: None,
        args,
        env,
        asks_for_gpu,
        at,
    }
}

/// Whether resources ask for GPUs, by whatever vendor's name for them, such as `nvidia.com/gpu`.
fn asks_for_gpu(resources: &Node) -> bool {
    let none = |count: &Value| *count == Value::Int(0) || *count == Value::String("0".to_owned());
    let asks = |it: &Entry| it.key.ends_with("/gpu") && !none(&it.value.value);
    ["limits", "requests"].iter().filter_map(|it| resources.get(it)).any(|it| match &it.value {
        Value::Map(entries) => entries.iter().any(asks),
        _ => false,
    })
}

/// Checks a place that is written in parts. What is missing of it a secret tells, where the model is loaded.
fn storage(fields: Fields<'_>) -> Option<()> {
    let path = fields.required_string("path").map(|_| ());
    fields.string("key");
    if let Some(parameters) = fields.fields("parameters") {
        parameters.string("type");
        parameters.string("bucket");
        // What else there may be is the store's: nothing says that it is unknown.
    }
    fields.ignored(&["schemaPath"]);
    fields.finish();
    path
}

/// Reads several places: `storageUris: [{uri, mountPath}]`.
pub(super) fn places(fields: &Fields<'_>) -> Vec<(String, String)> {
    let place = |it: Fields<'_>| {
        let uri = it.required_string("uri").map(str::to_owned);
        let folder = it.string("mountPath").unwrap_or("/mnt/models").to_owned();
        it.finish();
        Some((uri?, folder))
    };
    fields.maps("storageUris").unwrap_or_default().into_iter().filter_map(place).collect()
}
