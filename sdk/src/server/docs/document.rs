//! The OpenAPI document. Version 3.1, whose schemas are JSON Schema as it is: a number or null, exactly one of two keys, integers
//! of 64 bits need no extensions.

use weir_proto::{Code, Origin};

use super::facts::{Facts, Offer};
use super::json::Json;
use super::operation::{self, Group, Kind, Operation};
use super::{schema, shared};

/// Returns the document.
pub(super) fn write(facts: &Facts) -> Vec<u8> {
    let operations = operation::all(facts);
    let mut json = Json::default();
    json.object(|json| {
        json.key("openapi").string("3.1.0");
        json.key("info").object(|json| info(json, facts));
        json.key("servers").list(|json| json.object(|json| json.key("url").string("/")));
        json.key("tags").list(|json| Group::ALL.into_iter().for_each(|it| tag(json, it)));
        json.key("paths").object(|json| paths(json, facts, &operations));
        json.key("components").object(|json| {
            json.key("schemas").object(|json| {
                shared::schemas(json);
                facts.models.iter().for_each(|it| own_schemas(json, it));
            });
            json.key("parameters").object(shared::parameters);
            json.key("headers").object(shared::headers);
            json.key("responses").object(responses);
        });
    });
    json.into_bytes()
}

fn info(json: &mut Json, facts: &Facts) {
    json.key("title").string(&format!("Weir {}", facts.component));
    json.key("version").string(env!("CARGO_PKG_VERSION"));
    let limits = &facts.limits;
    json.key("description").string(&format!(
        "What this {} serves at the moment: the models that answer, and every path of theirs. A body has at most {} bytes and \
         is nested at most {} deep, a tensor has at most {} elements, at most {} requests are served at once. The same port \
         serves `inference.GRPCInferenceService` over gRPC.",
        facts.component, limits.max_body_bytes, limits.decode.depth, limits.decode.elements, limits.max_in_flight
    ));
}

fn tag(json: &mut Json, group: Group) {
    json.object(|json| {
        json.key("name").string(group.name());
        json.key("description").string(group.detail());
    });
}

/// Operations of one path stand together.
fn paths(json: &mut Json, facts: &Facts, operations: &[Operation]) {
    let mut written: Vec<&str> = Vec::new();
    for first in operations {
        if written.contains(&first.path.as_str()) {
            continue;
        }
        written.push(&first.path);
        json.key(&first.path).object(|json| {
            for it in operations.iter().filter(|it| it.path == first.path) {
                json.key(it.method).object(|json| describe(json, facts, it));
            }
        });
    }
}

fn describe(json: &mut Json, facts: &Facts, it: &Operation) {
    json.key("operationId").string(&it.id);
    json.key("tags").strings([it.group.name()]);
    json.key("summary").string(it.summary);
    if !it.detail.is_empty() {
        json.key("description").string(it.detail);
    }
    json.key("parameters").list(|json| {
        if let Some(offer) = it.model.filter(|_| it.versioned).and_then(|at| facts.models.get(at)) {
            json.object(|json| version(json, offer));
        }
        for &name in shared::parameters_of(it.kind) {
            json.object(|json| json.key("$ref").string(&format!("#/components/parameters/{name}")));
        }
    });
    if let Some(request) = &it.request {
        json.key("requestBody").object(|json| body(json, it, request));
    }
    json.key("responses").object(|json| {
        json.key("200").object(|json| answer(json, it));
        for code in it.codes {
            json.key(&code.http().to_string()).object(|json| refer_response(json, code.name()));
        }
        json.key("431").object(|json| refer_response(json, HEADERS));
    });
}

fn version(json: &mut Json, offer: &Offer) {
    json.key("name").string("version");
    json.key("in").string("path");
    json.key("required").truth(true);
    json.key("description").string("The model's version.");
    json.key("schema").object(|json| {
        json.key("type").string("string");
        json.key("enum").strings(offer.versions.iter().map(String::as_str));
    });
}

fn body(json: &mut Json, it: &Operation, request: &operation::Request) {
    json.key("required").truth(request.required);
    json.key("content").object(|json| {
        json.key("application/json").object(|json| {
            json.key("schema").value(&request.schema);
            if !request.examples.is_empty() {
                json.key("examples").object(|json| {
                    for (name, example) in &request.examples {
                        json.key(name).object(|json| json.key("value").value(example));
                    }
                });
            }
        });
        if it.kind == Kind::BinaryCall {
            json.key(BINARY).object(binary);
        }
    });
}

const BINARY: &str = "application/octet-stream";

fn binary(json: &mut Json) {
    json.key("schema").object(|json| {
        json.key("type").string("string");
        json.key("format").string("binary");
        json.key("description").string(
            "JSON as above, of the length that the header `Inference-Header-Content-Length` tells, then the bytes of those \
             inputs that have a parameter `binary_data_size` in place of `data`: little-endian and row-major, in the order of \
             the inputs. With a length of 0 the body is nothing but the bytes of the model's one input.",
        );
    });
}

fn answer(json: &mut Json, it: &Operation) {
    json.key("description").string(it.summary);
    if matches!(it.kind, Kind::Call | Kind::BinaryCall) {
        json.key("headers").object(|json| {
            json.key("x-request-id")
                .object(|json| json.key("$ref").string("#/components/headers/x-request-id"));
        });
    }
    json.key("content").object(|json| {
        json.key("application/json").object(|json| {
            json.key("schema").value(&it.answer.schema);
            if let Some(example) = &it.answer.example {
                json.key("example").value(example);
            }
        });
        if it.kind == Kind::BinaryCall {
            json.key(BINARY).object(|json| {
                json.key("schema").object(|json| {
                    json.key("type").string("string");
                    json.key("format").string("binary");
                    json.key("description").string(
                        "Where outputs were asked for with `binary_data`: JSON of the length that the header \
                         `Inference-Header-Content-Length` tells, then their bytes.",
                    );
                });
            });
        }
    });
}

fn own_schemas(json: &mut Json, offer: &Offer) {
    let mut own = |what: &str, schema: &Json| json.key(&format!("{}.{what}", offer.key)).value(schema);
    if offer.infers || offer.explains {
        own("V1Request", &schema::v1_request(offer));
        own("V2Request", &schema::v2_request(offer));
    }
    if offer.infers {
        own("V1Response", &schema::v1_answer(offer));
    }
    if offer.classifies() || offer.regresses() {
        own("Examples", &schema::examples(offer));
    }
}

/// The name of the one response that is not of the error table.
const HEADERS: &str = "headers_too_large";

fn refer_response(json: &mut Json, name: &str) {
    json.key("$ref").string(&format!("#/components/responses/{name}"));
}

fn responses(json: &mut Json) {
    for code in Code::ALL {
        json.key(code.name()).object(|json| {
            json.key("description").string(shared::meaning(code));
            json.key("headers").object(|json| {
                json.key("x-error-origin")
                    .object(|json| json.key("$ref").string("#/components/headers/x-error-origin"));
                if code == Code::Overloaded {
                    json.key("retry-after")
                        .object(|json| json.key("$ref").string("#/components/headers/retry-after"));
                }
            });
            json.key("content").object(|json| {
                json.key("application/json")
                    .object(|json| json.key("schema").object(|json| schema::reference(json, "Error")));
            });
        });
    }
    json.key(HEADERS).object(|json| json.key("description").string(shared::HEADERS_TOO_LARGE));
}

/// What an answer's `x-error-origin` may say.
pub(super) const ORIGINS: [Origin; 5] =
    [Origin::Router, Origin::Transformer, Origin::Predictor, Origin::Explainer, Origin::Upstream];
