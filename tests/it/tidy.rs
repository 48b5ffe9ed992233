//! The rules of the house, as far as a machine can read them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::root;

/// Who may name whom. An arrow that is not here needs a reason, and a line here.
const ARROWS: [(&str, &[&str]); 9] = [
    ("weir-proto", &[]),
    ("weir-sdk", &["weir-proto"]),
    ("weir-native", &[]),
    ("weir-predictor", &["weir-native", "weir-proto", "weir-sdk"]),
    ("weir-transformer", &["weir-proto", "weir-sdk"]),
    ("weir-explainer", &["weir-proto", "weir-sdk"]),
    ("weir-router", &["weir-proto", "weir-sdk"]),
    (
        "weir",
        &["weir-explainer", "weir-predictor", "weir-proto", "weir-router", "weir-sdk", "weir-transformer"],
    ),
    (
        "weir-tests",
        &[
            "weir",
            "weir-explainer",
            "weir-predictor",
            "weir-proto",
            "weir-router",
            "weir-sdk",
            "weir-transformer",
        ],
    ),
];

fn metadata() -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The workspace's packages, each with the names of all it depends on.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let names = package["dependencies"].as_array().unwrap().iter();
        let names = names.map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        (package["name"].as_str().unwrap().to_owned(), names)
    });
    packages.collect()
}

#[test]
fn nothing_points_up_or_sideways() {
    let allowed: BTreeMap<_, BTreeSet<_>> = ARROWS
        .iter()
        .map(|(from, to)| ((*from).to_owned(), to.iter().map(|it| (*it).to_owned()).collect()))
        .collect();
    let members: BTreeSet<String> = allowed.keys().cloned().collect();
    for (package, dependencies) in dependencies() {
        let inside: BTreeSet<_> = dependencies.intersection(&members).cloned().collect();
        let Some(allowed) = allowed.get(&package) else {
            panic!("package {package} is not in the picture of arrows")
        };
        let wrong: Vec<_> = inside.difference(allowed).collect();
        assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
    }
}

#[test]
fn only_the_sdk_names_axum_and_tonic_and_proto_does_no_io() {
    for (package, dependencies) in dependencies() {
        if !matches!(package.as_str(), "weir-sdk" | "weir-tests") {
            for web in ["axum", "tonic", "hyper", "reqwest", "http"] {
                assert!(!dependencies.contains(web), "{package} depends on {web}; only weir-sdk may");
            }
        }
        if package == "weir-proto" {
            for forbidden in ["tokio", "tracing"] {
                assert!(!dependencies.contains(forbidden), "weir-proto depends on {forbidden}");
            }
        }
    }
    for file in rust_files(&root().join("proto/src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in ["std::fs", "std::net", ".await;", ".await?", "async fn"] {
            assert!(
                !code.contains(word),
                "{} has `{word}`; proto does no I/O and never awaits",
                file.display()
            );
        }
    }
}

#[test]
fn a_file_has_at_most_600_lines_without_its_tests() {
    let mut long = Vec::new();
    for file in rust_files(&root()) {
        if file.components().any(|it| it.as_os_str() == "generated") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.split("#[cfg(test)]").next().unwrap().lines().count();
        if lines > 600 {
            long.push(format!("{} has {lines} lines", file.display()));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn only_the_crate_that_opens_libraries_is_unsafe() {
    let native = root().join("predictor/native");
    let word = ["allow(", "unsafe_code"].concat();
    let wrong: Vec<_> = rust_files(&root())
        .into_iter()
        .filter(|it| !it.starts_with(&native) && std::fs::read_to_string(it).unwrap().contains(&word))
        .collect();
    assert!(wrong.is_empty(), "unsafe code is for predictor/native alone: {wrong:?}");
}

#[test]
fn every_file_says_first_what_it_is() {
    let silent: Vec<_> = rust_files(&root())
        .into_iter()
        .filter(|it| !it.components().any(|part| part.as_os_str() == "generated"))
        .filter(|it| !std::fs::read_to_string(it).unwrap().contains("//! "))
        .collect();
    assert!(silent.is_empty(), "no `//!` at the head of {silent:?}");
}

#[test]
fn generated_code_is_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let proto = root().join("proto/proto");
    let files =
        protox::compile(["inference.proto", "health.proto", "reflection.proto", "mesh.proto"], [&proto])
            .unwrap();
    prost_build::Config::new().bytes(["."]).out_dir(folder.path()).compile_fds(files).unwrap();
    // What reflection tells clients of.
    let public = ["inference.proto", "health.proto", "reflection.proto", "reflection_v1alpha.proto"];
    let public = protox::compile(public, [&proto]).unwrap();
    std::fs::write(folder.path().join("descriptors.bin"), prost::Message::encode_to_vec(&public)).unwrap();
    for name in
        ["inference.rs", "grpc.health.v1.rs", "grpc.reflection.v1.rs", "weir.mesh.v1.rs", "descriptors.bin"]
    {
        let fresh = std::fs::read(folder.path().join(name)).unwrap();
        let kept = root().join("proto/src/generated").join(name);
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&kept, &fresh).unwrap();
        }
        let stale = std::fs::read(&kept).unwrap() != fresh;
        assert!(!stale, "{} is stale: run the tests once with UPDATE_GENERATED=1", kept.display());
    }
}

#[test]
fn there_is_one_version_of_everything_that_matters() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for name in [
        "axum",
        "bytes",
        "http",
        "hyper",
        "prost",
        "reqwest",
        "thiserror",
        "tokio",
        "tonic",
        "tower",
        "tracing",
    ] {
        let count = lock.matches(&format!("name = \"{name}\"\n")).count();
        assert_eq!(count, 1, "{count} versions of {name} in Cargo.lock");
    }
}

/// Every Rust file of the project.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    files
}
