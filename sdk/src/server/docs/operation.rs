//! Every path that a component answers, with what it takes and gives: what the document lists and the page shows.

use weir_proto::Code;

use super::example;
use super::facts::{Facts, Offer};
use super::json::Json;
use super::schema;

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Health,
    V1,
    V2,
    Repository,
}

impl Group {
    pub(super) const ALL: [Self; 4] = [Self::Health, Self::V1, Self::V2, Self::Repository];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Health => "Health",
            Self::V1 => "V1",
            Self::V2 => "V2",
            Self::Repository => "Repository",
        }
    }

    pub(super) const fn detail(self) -> &'static str {
        match self {
            Self::Health => "Whether the server lives and answers, and what it is.",
            Self::V1 => {
                "The V1 protocol of KServe and TensorFlow Serving: rows of JSON in, rows of JSON out."
            }
            Self::V2 => "The V2 protocol, the Open Inference Protocol: named tensors in, named tensors out.",
            Self::Repository => "Which models there are; to load and unload them.",
        }
    }
}

/// What a kind of operation takes beside its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Tells something.
    Tell,
    /// Changes the repository.
    Change,
    /// Calls a model: takes an id, a deadline and a trace.
    Call,
    /// The same, and takes and gives raw tensors behind the JSON.
    BinaryCall,
}

/// One method on one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// The path, each name in it percent-encoded; `{version}` stands for itself.
    pub(super) path: String,
    pub(super) group: Group,
    pub(super) kind: Kind,
    /// Where in the facts' models its model is; none for the server's own.
    pub(super) model: Option<usize>,
    pub(super) versioned: bool,
    pub(super) id: String,
    pub(super) summary: &'static str,
    pub(super) detail: &'static str,
    pub(super) request: Option<Request>,
    pub(super) answer: Answer,
    /// The codes it may answer with; the document and the page say what they mean.
    pub(super) codes: &'static [Code],
}

/// A body that is sent.
pub(super) struct Request {
    pub(super) schema: Json,
    pub(super) required: bool,
    pub(super) examples: Vec<(&'static str, Json)>,
}

/// A body that is read.
pub(super) struct Answer {
    pub(super) schema: Json,
    pub(super) example: Option<Json>,
    /// The form in words and dots, for whoever reads and has no example.
    pub(super) form: &'static str,
}

const NO_CODES: &[Code] = &[];
const READY: &[Code] = &[Code::NotReady];
const TOLD: &[Code] =
    &[Code::InvalidInput, Code::NotFound, Code::Inference, Code::Upstream, Code::NotReady, Code::Deadline];
const INDEX: &[Code] = &[Code::InvalidInput, Code::TooLarge, Code::Deadline];
const CHANGE: &[Code] = &[
    Code::InvalidInput,
    Code::NotFound,
    Code::TooLarge,
    Code::Inference,
    Code::Upstream,
    Code::NotReady,
    Code::Deadline,
];
const CALL: &[Code] = &[
    Code::InvalidInput,
    Code::NotFound,
    Code::TooLarge,
    Code::Overloaded,
    Code::Inference,
    Code::Unsupported,
    Code::Upstream,
    Code::NotReady,
    Code::Deadline,
];

/// Returns every operation, grouped.
pub(super) fn all(facts: &Facts) -> Vec<Operation> {
    let mut all = Vec::new();
    health(&mut all);
    all.push(list("v1_models", "/v1/models", Group::V1));
    all.push(list("v2_models", "/v2/models", Group::V2));
    for (at, offer) in facts.models.iter().enumerate() {
        for versioned in [false, true] {
            if versioned && offer.versions.is_empty() {
                continue;
            }
            let place = Place { at, offer, versioned };
            v1(&mut all, &place);
            v2(&mut all, &place);
        }
    }
    repository(&mut all, facts);
    all.sort_by_key(|it| Group::ALL.iter().position(|group| *group == it.group));
    all
}

fn tell(id: &str, path: &str, group: Group, summary: &'static str, answer: &str) -> Operation {
    Operation {
        method: "get",
        path: path.to_owned(),
        group,
        kind: Kind::Tell,
        model: None,
        versioned: false,
        id: id.to_owned(),
        summary,
        detail: "",
        request: None,
        answer: shared_answer(answer),
        codes: NO_CODES,
    }
}

/// An answer of a form that is the same for every model.
fn shared_answer(name: &str) -> Answer {
    Answer { schema: refer(name), example: None, form: form(name) }
}

fn form(schema: &str) -> &'static str {
    match schema {
        "Alive" => r#"{"status": "alive"}"#,
        "Live" => r#"{"live": true}"#,
        "Ready" => r#"{"ready": true}"#,
        "ServerMetadata" => r#"{"name": "weir", "version": "...", "extensions": [...]}"#,
        "ModelList" => r#"{"models": ["<name>", ...]}"#,
        "ModelStatus" => {
            r#"{"name": "<name>", "ready": true, "model_version_status": [{"version": "...", "state": "AVAILABLE", "status": {...}}]}"#
        }
        "ModelReady" => r#"{"name": "<name>", "ready": true}"#,
        "ModelMetadata" => {
            r#"{"name": "<name>", "versions": [...], "platform": "...", "inputs": [{"name": "...", "datatype": "...", "shape": [...]}], "outputs": [...]}"#
        }
        "SignatureDef" => r#"{"model_spec": {...}, "metadata": {"signature_def": {...}}}"#,
        "InferResponse" => {
            r#"{"model_name": "<name>", "model_version": "...", "id": "...", "outputs": [{"name": "...", "datatype": "...", "shape": [...], "data": [...]}]}"#
        }
        "Classification" => r#"{"results": [[["<label>", <score>], ...], ...]}"#,
        "Regression" => r#"{"results": [<number>, ...]}"#,
        "Explanation" => r#"{"meta": {...}, "data": {...}, ...}"#,
        "RepositoryIndex" => r#"[{"name": "<name>", "version": "...", "state": "READY", "reason": ""}, ...]"#,
        "Loaded" => r#"{"name": "<name>", "load": true}"#,
        "Unloaded" => r#"{"name": "<name>", "unload": true}"#,
        _ => "",
    }
}

fn refer(name: &str) -> Json {
    Json::of(|json| json.object(|json| schema::reference(json, name)))
}

fn health(all: &mut Vec<Operation>) {
    let health = |id, path, summary, answer| tell(id, path, Group::Health, summary, answer);
    all.push(health("alive", "/", "Whether the process lives", "Alive"));
    all.push(health("live", "/v2/health/live", "Whether the process lives", "Live"));
    all.push(Operation {
        detail: "503 until every model answers, and while the server drains; the text names what is missing.",
        codes: READY,
        ..health("ready", "/v2/health/ready", "Whether every model answers", "Ready")
    });
    all.push(health("server", "/v2", "Name, version and extensions of the server", "ServerMetadata"));
}

fn list(id: &str, path: &str, group: Group) -> Operation {
    tell(id, path, group, "The names of the models", "ModelList")
}

/// A model, or its versions, as paths name them.
struct Place<'f> {
    at: usize,
    offer: &'f Offer,
    versioned: bool,
}

impl Place<'_> {
    fn operation(&self, group: Group, word: &str, end: &str, summary: &'static str) -> Operation {
        let protocol = if group == Group::V1 { "v1" } else { "v2" };
        let (version, suffix) = if self.versioned { ("/versions/{version}", "_version") } else { ("", "") };
        let path = format!("/{protocol}/models/{}{version}{end}", segment(&self.offer.name));
        let id = format!("{protocol}_{word}_{}{suffix}", self.offer.key.replace('.', "_"));
        Operation {
            model: Some(self.at),
            versioned: self.versioned,
            ..tell(&id, &path, group, summary, "Any")
        }
    }

    fn tells(&self, group: Group, word: &str, end: &str, summary: &'static str, answer: &str) -> Operation {
        Operation { answer: shared_answer(answer), codes: TOLD, ..self.operation(group, word, end, summary) }
    }

    fn calls(&self, group: Group, word: &str, summary: &'static str, bodies: (Request, Answer)) -> Operation {
        let end = if group == Group::V1 { format!(":{word}") } else { format!("/{word}") };
        let kind = if group == Group::V1 { Kind::Call } else { Kind::BinaryCall };
        let (request, answer) = bodies;
        Operation {
            method: "post",
            kind,
            request: Some(request),
            answer,
            codes: CALL,
            ..self.operation(group, word, &end, summary)
        }
    }

    /// A schema of the model's own, under `components`.
    fn own(&self, what: &str) -> Json {
        refer(&format!("{}.{what}", self.offer.key))
    }
}

/// Makes a name one segment of a path. `:` stays, since the verb after it is looked for from the right.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

const RESHAPED: &str = "What clients send is reshaped before the model meets it, and what it answers after: the examples are made from the \
     model's own signature, the form of a request is what the transformer takes.";

fn v1(all: &mut Vec<Operation>, place: &Place<'_>) {
    let offer = place.offer;
    if offer.infers {
        let bodies = (request(place, "V1Request", &v1_examples(offer)), v1_answer(place));
        let detail = if offer.reshaped { RESHAPED } else { "" };
        all.push(Operation { detail, ..place.calls(Group::V1, "predict", "Predict", bodies) });
    }
    let examples = || [("examples", offer.signature.as_ref().and_then(example::examples))];
    if offer.classifies() {
        let bodies = (request(place, "Examples", &examples()), shared_answer("Classification"));
        let detail = "As TensorFlow Serving: a label and a score for each class of each example.";
        all.push(Operation {
            detail,
            ..place.calls(Group::V1, "classify", "Tell the classes of examples", bodies)
        });
    }
    if offer.regresses() {
        let bodies = (request(place, "Examples", &examples()), shared_answer("Regression"));
        let detail = "As TensorFlow Serving: one number for each example.";
        all.push(Operation {
            detail,
            ..place.calls(Group::V1, "regress", "Tell a number for each example", bodies)
        });
    }
    if offer.explains {
        let examples = if offer.has_rows_to_explain() { v1_examples(offer) } else { Vec::new() };
        let bodies = (request(place, "V1Request", &examples), shared_answer("Explanation"));
        all.push(place.calls(Group::V1, "explain", "Tell why the model predicts so", bodies));
    }
    let summary = if place.versioned { "Whether the version answers" } else { "Whether the model answers" };
    all.push(place.tells(Group::V1, "status", "", summary, "ModelStatus"));
    if offer.signature.is_some() {
        let summary = "What the model takes and gives, in TensorFlow Serving's form";
        all.push(place.tells(Group::V1, "metadata", "/metadata", summary, "SignatureDef"));
    }
}

fn v2(all: &mut Vec<Operation>, place: &Place<'_>) {
    let offer = place.offer;
    let examples = || [("tensors", offer.signature.as_ref().and_then(example::tensors))];
    if offer.infers {
        let told = offer.form().and_then(|it| {
            example::answer(it, &offer.name, offer.versions.first().map_or("1", String::as_str))
        });
        let answer = Answer { example: told, ..shared_answer("InferResponse") };
        let bodies = (request(place, "V2Request", &examples()), answer);
        let detail = if offer.reshaped { RESHAPED } else { "" };
        all.push(Operation { detail, ..place.calls(Group::V2, "infer", "Predict", bodies) });
    }
    if offer.explains {
        let examples = examples().into_iter().filter(|_| offer.has_rows_to_explain()).collect::<Vec<_>>();
        let bodies = (request(place, "V2Request", &examples), shared_answer("InferResponse"));
        let detail = "The one output `explanation` is a string that holds the explanation as JSON.";
        all.push(Operation {
            detail,
            ..place.calls(Group::V2, "explain", "Tell why the model predicts so", bodies)
        });
    }
    let summary = if place.versioned { "Whether the version answers" } else { "Whether the model answers" };
    all.push(place.tells(Group::V2, "ready", "/ready", summary, "ModelReady"));
    all.push(place.tells(Group::V2, "status", "/status", "The same, as KFServing called it", "ModelReady"));
    if offer.signature.is_some() {
        let summary = "What the model takes and gives";
        all.push(place.tells(Group::V2, "metadata", "", summary, "ModelMetadata"));
    }
}

fn v1_examples(offer: &Offer) -> Vec<(&'static str, Option<Json>)> {
    let signature = offer.signature.as_ref();
    vec![
        ("instances", signature.and_then(example::instances)),
        // A transformer may take objects of other columns than the model's.
        ("records", offer.form().and_then(example::records)),
        ("inputs", signature.and_then(example::named)),
    ]
}

fn request(place: &Place<'_>, schema: &str, examples: &[(&'static str, Option<Json>)]) -> Request {
    let examples = examples.iter().filter_map(|(name, it)| Some((*name, it.clone()?))).collect();
    Request { schema: place.own(schema), required: true, examples }
}

fn v1_answer(place: &Place<'_>) -> Answer {
    Answer {
        schema: place.own("V1Response"),
        example: place.offer.form().and_then(example::predictions),
        form: r#"{"predictions": [...]}, one entry an example"#,
    }
}

fn repository(all: &mut Vec<Operation>, facts: &Facts) {
    let index = tell(
        "repository_index",
        "/v2/repository/index",
        Group::Repository,
        "Every model and its state",
        "RepositoryIndex",
    );
    all.push(Operation {
        method: "post",
        kind: Kind::Change,
        detail: "A body `{\"ready\": true}` leaves out models that do not answer; it may be empty.",
        request: Some(Request {
            schema: refer("RepositoryIndexRequest"),
            required: false,
            examples: vec![("ready", Json::of(|json| json.object(|json| json.key("ready").truth(true))))],
        }),
        codes: INDEX,
        ..index
    });
    if !facts.repository {
        return;
    }
    for (at, offer) in facts.models.iter().enumerate() {
        all.push(change("load", &offer.name, &offer.key, Some(at)));
        all.push(change("unload", &offer.name, &offer.key, Some(at)));
    }
    for (at, status) in facts.unloaded().enumerate() {
        all.push(change("load", &status.name, &format!("unloaded_{}", at + 1), None));
    }
}

fn change(verb: &str, name: &str, key: &str, model: Option<usize>) -> Operation {
    let path = format!("/v2/repository/models/{}/{verb}", segment(name));
    let (summary, answer) = match verb {
        "load" => ("Load the model, or load it again", "Loaded"),
        _ => ("Unload the model: it is not served any more", "Unloaded"),
    };
    let id = format!("{verb}_{}", key.replace('.', "_"));
    Operation {
        method: "post",
        kind: Kind::Change,
        model,
        codes: CHANGE,
        ..tell(&id, &path, Group::Repository, summary, answer)
    }
}
