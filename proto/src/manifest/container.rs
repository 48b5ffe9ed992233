//! Containers: which of a pod's serves, and what of one can be run.

use super::Container;
use crate::document::{Fields, Node};

/// The container that serves, in KServe and in KFServing.
const SERVING: [&str; 2] = ["kserve-container", "kfserving-container"];
/// The transformer that stands in the predictor's pod.
const BESIDE: &str = "transformer-container";

/// The fields of a container that only mean something in a pod.
pub(super) const RUN_BY_KUBERNETES: &[&str] = &[
    "envFrom",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "restartPolicyRules",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

impl Container {
    /// Reads a container.
    pub(super) fn read(fields: Fields<'_>) -> Option<Self> {
        let at = fields.at();
        let name = fields.string("name").unwrap_or(SERVING[0]).to_owned();
        let image = fields.required_string("image").map(str::to_owned);
        let command = fields.strings("command").unwrap_or_default();
        let args = fields.strings("args").unwrap_or_default();
        let env = environment(&fields);
        let ports = ports(&fields);
        fields.ignored(RUN_BY_KUBERNETES);
        fields.finish();
        let storage_uri =
            env.iter().rev().find(|(name, _)| name == "STORAGE_URI").map(|(_, uri)| uri.clone());
        Some(Self { name, image: image?, command, args, env, storage_uri, ports, at })
    }
}

/// Reads the variables of `env`; one that takes its value from elsewhere in the cluster is a warning and left out.
pub(super) fn environment(fields: &Fields<'_>) -> Vec<(String, String)> {
    fields.maps("env").unwrap_or_default().into_iter().filter_map(variable).collect()
}

fn variable(fields: Fields<'_>) -> Option<(String, String)> {
    let name = fields.required_string("name");
    if name.is_some_and(|it| it.contains(['=', '\0'])) {
        fields.error("name", "a variable's name has no `=` and no null character");
    }
    let value = fields.string("value");
    if fields.has("valueFrom") {
        fields.warning("valueFrom", "has no effect here, so the variable is not set; give a `value`");
    } else if !fields.has("value") {
        fields.error("value", "is missing; an empty value is written \"\"");
    }
    fields.finish();
    Some((name?.to_owned(), value?.to_owned()))
}

fn ports(fields: &Fields<'_>) -> Vec<u16> {
    let port = |it: Fields<'_>| {
        it.require("containerPort");
        let port = it.integer_in("containerPort", 1..=65535);
        it.accepted(&["name", "protocol"]);
        it.ignored(&["hostIP", "hostPort"]);
        it.finish();
        port.and_then(|it| u16::try_from(it).ok())
    };
    fields.maps("ports").unwrap_or_default().into_iter().filter_map(port).collect()
}

/// The containers of a pod, by what they do.
#[derive(Default)]
pub(super) struct Containers {
    serves: bool,
    server: Option<Container>,
    beside: Option<Container>,
}

impl Containers {
    /// Reads `containers`. The one that serves has one of the usual names; where nothing else serves (`custom`) it may have
    /// any, and is then the first, as in KServe. Beside it a predictor's transformer may stand. Others are warnings.
    pub(super) fn read(fields: &Fields<'_>, custom: bool) -> Self {
        let items = fields.list("containers").unwrap_or_default();
        let serving = serving(items, custom);
        let mut read = Self { serves: serving.is_some(), ..Self::default() };
        for (at, item) in fields.maps("containers").unwrap_or_default().into_iter().enumerate() {
            let beside = item.node("name").and_then(Node::as_str) == Some(BESIDE);
            if serving == Some(at) {
                read.server = Container::read(item);
            } else if beside && read.beside.is_none() {
                read.beside = Container::read(item);
            } else {
                let message = "has no effect here: of several containers only the one that serves is run";
                fields.problems().warning(item.at(), item.path(), message);
            }
        }
        read
    }

    /// Returns whether one of them serves, even if it cannot be read.
    pub(super) fn serves(&self) -> bool {
        self.serves
    }

    /// Returns the container that serves, and the transformer beside it.
    pub(super) fn split(self) -> (Option<Container>, Option<Container>) {
        (self.server, self.beside)
    }
}

fn serving(items: &[Node], custom: bool) -> Option<usize> {
    let name = |it: &Node| it.get("name").and_then(Node::as_str).unwrap_or_default().to_owned();
    let usual = items.iter().position(|it| SERVING.contains(&name(it).as_str()));
    usual.or_else(|| {
        let first = items.iter().position(|it| name(it) != BESIDE).or((!items.is_empty()).then_some(0));
        first.filter(|_| custom)
    })
}
