//! Texts that people write.

use weir_proto::document::{self, Problems, Severity};
use weir_proto::manifest;

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
    let (services, problems) = manifest::parse("fuzz", text);
    if problems.iter().any(|it| it.severity == Severity::Error) {
        return false;
    }
    for service in &services {
        assert!(!service.name.is_empty());
        assert_eq!(service.revisions.iter().map(|it| u32::from(it.weight)).sum::<u32>(), 100, "{service:?}");
    }
    !services.is_empty()
}
