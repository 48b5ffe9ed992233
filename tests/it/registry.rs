//! What every entry of a registry must keep, whoever adds it: found by its name, refusing what it cannot read, written down.

use std::collections::BTreeSet;

use weir_explainer::method::{EXPLAINERS, MethodSpec};
use weir_predictor::runtime::{LoadOptions, RUNTIMES};
use weir_router::filter::FILTERS;
use weir_sdk::storage::SOURCES;
use weir_transformer::step::STEPS;

use crate::harness::root;

fn all_different<'a>(names: impl IntoIterator<Item = &'a str>) {
    let names: Vec<_> = names.into_iter().collect();
    let set: BTreeSet<_> = names.iter().collect();
    assert_eq!(set.len(), names.len(), "{names:?}");
    assert!(!names.is_empty() && !names.contains(&""));
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

#[test]
fn names_are_unique() {
    all_different(RUNTIMES.iter().map(|it| it.name()));
    all_different(SOURCES.iter().flat_map(|it| it.schemes()).copied());
    all_different(STEPS.iter().map(|it| it.name()));
    all_different(EXPLAINERS.iter().flat_map(|it| it.aliases().iter().copied().chain([it.name()])));
    all_different(FILTERS.iter().map(|it| it.name()));
}

#[test]
fn a_runtime_refuses_what_it_cannot_read_and_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for runtime in RUNTIMES {
        for extension in runtime.extensions() {
            let file = folder.path().join(format!("model.{extension}"));
            let refuse = |bytes: &[u8]| {
                std::fs::write(&file, bytes).unwrap();
                let refused =
                    runtime.load(&file, &LoadOptions::default()).map(|_| ()).unwrap_err().to_string();
                assert!(refused.contains(&format!("model.{extension}")), "{}: {refused}", runtime.name());
            };
            refuse(b"");
            refuse(b"\0");
            refuse(b"this is no model");
            refuse(&[0xff; 4096]);
            refuse("{".repeat(100_000).as_bytes());
            refuse(&[0x80, 0x04, 0x95, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        }
        let absent = folder.path().join("absent.joblib");
        assert!(runtime.load(&absent, &LoadOptions::default()).is_err());
    }
}

#[test]
fn an_explainer_without_its_data_says_what_it_lacks() {
    for method in EXPLAINERS {
        let refused = method.build(&MethodSpec::default()).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("storageUri"), "{}: {refused}", method.name());
    }
}

#[test]
fn every_entry_is_written_down() {
    let steps = document("steps.md");
    assert!(STEPS.iter().all(|it| steps.contains(&format!("`{}`", it.name()))));
    let explain = document("explain.md");
    assert!(EXPLAINERS.iter().all(|it| explain.contains(it.name())));
    let manifest = document("manifest.md");
    assert!(RUNTIMES.iter().all(|it| manifest.contains(&format!("`{}`", it.name()))));
    assert!(SOURCES.iter().flat_map(|it| it.schemes()).all(|it| manifest.contains(&format!("`{it}://"))));
}
