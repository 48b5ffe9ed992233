//! Texts that people write.

use weir_predictor::models::{agent, serving, warmup};
use weir_proto::document::{self, Problems, Severity};
use weir_proto::manifest;
use weir_sdk::text_proto::{Message, Value};

/// YAML and JSON documents: a document written as JSON is the same document.
pub fn document(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let problems = Problems::new("fuzz");
    let documents = document::parse(text, &problems);
    for node in &documents {
        let json = node.to_json();
        let again =
            document::parse_one(&json, "again").unwrap_or_else(|error| panic!("{}: {json}", error.message));
        assert_eq!(json, again.to_json());
    }
    !problems.has_errors()
}

/// TensorFlow Serving's batching parameters: what is read out of them is within its limits.
pub fn batching(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(read) = weir_sdk::host::BatchParameters::read(text) else { return false };
    let counts = [read.most_rows, read.batches, read.threads].into_iter().flatten().chain(read.sizes);
    counts.for_each(|it| assert!((1..=1 << 20).contains(&it), "{it}"));
    assert!(read.latency.is_none_or(|it| it.as_secs() <= 3600), "{:?}", read.latency);
    true
}

/// Manifests: one without an error is complete.
pub fn manifest(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (manifest::Manifest { services, models }, problems) = manifest::parse("fuzz", text);
    if problems.iter().any(|it| it.severity == Severity::Error) {
        return false;
    }
    for service in &services {
        assert!(!service.name.is_empty());
        assert_eq!(service.revisions.iter().map(|it| u32::from(it.weight)).sum::<u32>(), 100, "{service:?}");
    }
    for model in &models {
        assert!(!model.name.is_empty() && !model.service.is_empty(), "{model:?}");
    }
    !services.is_empty()
}

/// Protobuf's text format, and TensorFlow Serving's configuration in it: what is written down again is the same.
pub fn model_config(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(message) = Message::read(text) else {
        assert!(serving::read(text).is_err(), "what is no text of protobuf is no configuration");
        return false;
    };
    let mut again = String::new();
    write_message(&message, &mut again);
    let read = Message::read(&again).unwrap_or_else(|error| panic!("{error}: {again}"));
    // Lines differ, and nothing else does.
    let mut third = String::new();
    write_message(&read, &mut third);
    assert_eq!(again, third);
    let (first, second) = (serving::read(text), serving::read(&again));
    assert_eq!(first.as_ref().ok(), second.as_ref().ok(), "{again}");
    first.is_ok_and(|models| {
        assert!(models.iter().all(|it| !it.name.is_empty() && !it.base_path.is_empty()));
        !models.is_empty()
    })
}

fn write_message(message: &Message, out: &mut String) {
    for field in &message.0 {
        out.push_str(&field.name);
        match &field.value {
            Value::Word(word) => {
                out.push_str(": ");
                out.push_str(word);
            }
            Value::Text(text) => {
                out.push_str(": \"");
                for byte in text.bytes() {
                    out.push_str(&format!("\\x{byte:02x}"));
                }
                out.push('"');
            }
            Value::Message(inner) => {
                out.push_str(" {\n");
                write_message(inner, out);
                out.push('}');
            }
        }
        out.push('\n');
    }
}

/// The list of models of KServe's agent: what is written down again is the same.
pub fn models_json(data: &[u8]) -> bool {
    let Ok(models) = agent::read(data) else { return false };
    let again = agent::write(&models);
    assert_eq!(agent::read(again.as_bytes()).as_ref(), Ok(&models), "{again}");
    assert!(models.iter().all(|it| !it.name.is_empty() && !it.storage_uri.is_empty()));
    true
}

/// Warm-up requests: each is a whole JSON object, which is one request again.
pub fn warmup_requests(data: &[u8]) -> bool {
    let Ok(requests) = warmup::read(data) else { return false };
    for request in &requests {
        let again = warmup::read(&request.body).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((again.len(), again[0].face, &again[0].body), (1, request.face, &request.body));
    }
    true
}
