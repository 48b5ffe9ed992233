//! What the forms share: the fields every component may have, percentages, and methods under their legacy keys.

use super::container::RUN_BY_KUBERNETES;
use super::{Batcher, Explainer};
use crate::document::{Fields, Node};

/// Fields of KServe's component that steer its autoscaler, its sidecars and its rollout.
pub(super) const EXTENSION: &[&str] = &[
    "minReplicas",
    "maxReplicas",
    "scaleTarget",
    "scaleMetric",
    "scaleMetricType",
    "autoScaling",
    "containerConcurrency",
    "logger",
    "deploymentStrategy",
];

/// The same of KFServing's.
pub(super) const LEGACY_EXTENSION: &[&str] =
    &["serviceAccountName", "minReplicas", "maxReplicas", "parallelism", "logger"];

/// The fields of a pod besides its containers.
pub(super) const POD: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "hostnameOverride",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

/// Returns a field that is a percentage.
pub(super) fn percent(fields: &Fields<'_>, name: &str) -> Option<u8> {
    fields.integer_in(name, 0..=100).and_then(|it| u8::try_from(it).ok())
}

/// Reads how a predictor's requests are put together.
pub(super) fn batcher(fields: &Fields<'_>) -> Option<Batcher> {
    let batcher = fields.fields("batcher")?;
    let number = |name, range| batcher.integer_in(name, range).and_then(|it| u32::try_from(it).ok());
    let read = Batcher {
        max_batch_size: number("maxBatchSize", 1..=1 << 20),
        max_latency_ms: number("maxLatency", 0..=600_000),
        at: batcher.at(),
    };
    batcher.ignored(&["timeout"]);
    batcher.finish();
    Some(read)
}

/// Checks that one of the fields that say what a component is was given. `choices` are those to offer when none was.
pub(super) fn exactly_one(fields: &Fields<'_>, given: &[&str], choices: &[&str]) {
    let quoted = |names: &[&str]| {
        let quote = |it: &&str| if it.contains('`') { (*it).to_owned() } else { format!("`{it}`") };
        names.iter().map(quote).collect::<Vec<_>>().join(", ")
    };
    match given {
        [_] => {}
        [] => fields.problems().error(
            fields.at(),
            fields.path(),
            format!("says nothing of what it is; expected exactly one of {}", quoted(choices)),
        ),
        [_, second, ..] => {
            fields.error(second, format!("expected exactly one, got {}; keep one", quoted(given)))
        }
    }
}

/// Reads `storageUri` and `config` of a method.
pub(super) fn method_options(fields: &Fields<'_>) -> (Option<String>, Option<Node>) {
    let storage_uri = fields.string("storageUri").map(str::to_owned);
    let config = fields.fields("config").and_then(|_| fields.node("config")).cloned();
    (storage_uri, config)
}

/// Reads an explainer under its legacy key: a container of KServe's that is told its method by `type`.
pub(super) fn legacy_method(fields: Fields<'_>) -> Option<Explainer> {
    let at = fields.at();
    let method = fields.required_string("type").map(str::to_owned);
    let (storage_uri, config) = method_options(&fields);
    fields.accepted(&["name"]);
    fields.ignored(&["runtimeVersion", "image", "command", "args", "env", "ports"]);
    fields.ignored(RUN_BY_KUBERNETES);
    fields.finish();
    Some(Explainer::Method { method: method?, storage_uri, config, at })
}
