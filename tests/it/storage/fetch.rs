//! The subcommand `fetch`, in the place of KServe's init container, and services that fetch what a manifest names.

use super::server::{Answer, Server, tree};
use crate::harness::{get, manifest, post, root, wait_for, weir};

fn fetch(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = weir().arg("storage-initializer").args(args).envs(env.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn pairs_of_places_and_folders_are_filled_in_turn() {
    let server = Server::start(|asked| Answer::file(asked, asked.path().as_bytes(), "e"));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (one, two, three) = (at("one"), at("two"), at("three"));
    // A folder that is there, as a mounted one is, with something in it.
    std::fs::create_dir(&two).unwrap();
    std::fs::write(at("two/kept"), b"kept").unwrap();
    let local = root().join("deploy/samples/models/iris");
    let args =
        [&server.url("/a.bin"), &one, &server.url("/b.bin"), &two, &local.display().to_string(), &three];
    let (code, text) = fetch(&args.map(String::as_str), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1 of 1 files") && text.contains(", done"), "{text}");
    assert_eq!(
        tree(one.as_ref()).into_iter().collect::<Vec<_>>(),
        [("a.bin".to_owned(), b"/a.bin".to_vec())]
    );
    assert_eq!(tree(two.as_ref()).into_keys().collect::<Vec<_>>(), ["b.bin", "kept"]);
    assert_eq!(tree(three.as_ref()), tree(&local));
    let left = folder.path().read_dir().unwrap().count();
    assert_eq!(left, 3, "work is left beside them");
}

#[tokio::test]
async fn what_makes_no_sense_is_told() {
    for (args, env, wanted, part) in [
        (&["s3://b/m"][..], &[][..], 64, "DIR"),
        (&["s3://b/m", "d", "s3://b/n"], &[], 64, "pairs of a URI and a folder"),
        (&["gcs://b/m", "/tmp/weir-none"], &[], 1, "unknown scheme `gcs`; this build knows `file://`"),
        (&["pvc://claim/m", "/tmp/weir-none"], &[], 1, "--pvc=claim=FOLDER"),
        (
            &["s3://b/m", "/tmp/weir-none"],
            &[("WEIR_STORAGE_MAX_BYTES", "much")],
            64,
            "WEIR_STORAGE_MAX_BYTES is `much`",
        ),
        (&["s3://b/m", "/tmp/weir-none", "--pvc=x"], &[], 64, "no claim and folder"),
        (&["/nowhere/m", "/tmp/weir-none"], &[], 1, "does not exist"),
    ] {
        let (code, text) = fetch(args, env);
        assert_eq!(code, Some(wanted), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
    assert!(!std::path::Path::new("/tmp/weir-none").exists());
}

#[tokio::test]
async fn a_claim_is_the_folder_that_a_flag_names() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("m").display().to_string();
    let models = root().join("deploy/samples/models");
    let claim = format!("--pvc=models={}", models.display());
    let (code, text) = fetch(&["pvc://models/iris", &into, &claim], &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(tree(into.as_ref()), tree(&models.join("iris")));
    let (code, text) = fetch(&["pvc://models/../..", &into, &claim], &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("leads out of the folder"), "{text}");
}

#[tokio::test]
async fn a_service_of_a_manifest_fetches_its_model() {
    let iris = tree(&root().join("deploy/samples/models/iris"));
    let server = Server::start(move |asked| match iris.get(asked.path().trim_start_matches("/models/")) {
        Some(bytes) => Answer::file(asked, bytes, "e"),
        None => Answer::of(404, ""),
    });
    let cache = tempfile::tempdir().unwrap();
    let args = format!("args: [--storage_cache={}]", cache.path().display());
    let uri = server.url("/models/model.joblib");
    let local = root().join("deploy/samples/models/iris");
    let mut answers = Vec::new();
    for place in [
        format!("sklearn: {{storageUri: {}}}", local.display()),
        format!("sklearn: {{storageUri: '{uri}', {args}}}"),
        format!("sklearn: {{{args}}}, storageUris: [{{uri: '{uri}'}}]"),
    ] {
        let (_folder, file) = manifest("iris", &format!("  predictor: {{{place}}}"));
        let mesh = crate::harness::mesh(&file).await;
        let url = format!("http://{}/v1/models/iris:predict", mesh.http());
        let answer = post(&url, r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#).await;
        assert_eq!(answer.status, 200, "{place}: {}", answer.text);
        answers.push(answer.text);
    }
    assert!(answers.iter().all(|it| it == &answers[0]), "{answers:?}");
    // One that is not there is told to whoever asks, and the service runs on.
    let uri = server.url("/models/none.joblib");
    let (_folder, file) =
        manifest("iris", &format!("  predictor: {{sklearn: {{storageUri: '{uri}', {args}}}}}"));
    let mesh = crate::harness::unready_mesh(&file).await;
    let url = format!("http://{}/v2/models/iris/ready", mesh.http());
    wait_for(std::time::Duration::from_secs(20), || async {
        get(&url).await.is_ok_and(|it| it.status == 503 && it.text.contains("404"))
    })
    .await;
}

#[tokio::test]
async fn a_manifest_with_remote_places_is_valid_without_the_network() {
    for spec in [
        "  predictor: {sklearn: {storageUri: gs://bucket/m}}",
        "  predictor: {model: {modelFormat: {name: sklearn}, storage: {key: k, path: m, parameters: {type: s3, bucket: b}}}}",
        "  predictor: {sklearn: {}, storageUris: [{uri: s3://b/m}, {uri: hf://a/b, mountPath: /mnt/models/more}]}",
    ] {
        let (_folder, file) = manifest("m", spec);
        let output: std::process::Output = weir().args(["validate", "-f"]).arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{spec}: {text}");
        assert!(!text.contains("storage"), "{spec}: {text}");
    }
}
