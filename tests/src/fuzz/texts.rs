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
