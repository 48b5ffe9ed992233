//! The Hugging Face Hub, registries and layouts of images, and WebHDFS, by servers that speak their APIs.

use std::collections::BTreeMap;

use ring::digest;
use serde_json::json;

use super::server::{Answer, Server, noise, tree};
use super::{locate, nothing_left};

fn hex(algorithm: &'static digest::Algorithm, bytes: &[u8]) -> String {
    digest::digest(algorithm, bytes).as_ref().iter().map(|it| format!("{it:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&digest::SHA256, bytes)
}

fn git(bytes: &[u8]) -> String {
    let blob = [format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat();
    hex(&digest::SHA1_FOR_LEGACY_USE_ONLY, &blob)
}

#[tokio::test]
async fn the_hub_gives_a_revision_and_what_it_says_of_hashes_is_verified() {
    let weights = noise(2_500_000, 2);
    let config = b"{\"model_type\": \"bert\"}".to_vec();
    let commit = "c".repeat(40);
    let (served, blob) = (weights.clone(), weights.clone());
    let store = Server::start(move |asked| match asked.header("authorization") {
        None => Answer::file(asked, &blob, "of-the-store"),
        Some(_) => Answer::of(400, "a token that is not for me"),
    });
    let elsewhere = store.url("/blob?X-Amz-Signature=secret");
    let tree_of = format!("/api/models/org/bert/tree/{commit}");
    let resolve = format!("/org/bert/resolve/{commit}/");
    let sha = commit.clone();
    let hub = Server::start(move |asked| {
        if asked.header("authorization") != Some("Bearer hf_hush") {
            return Answer::of(401, r#"{"error": "Invalid credentials"}"#);
        }
        let entry = |path: &str, bytes: &[u8]| json!({"type": "file", "path": path, "size": bytes.len(), "oid": git(bytes)});
        match asked.path() {
            "/api/models/org/bert/revision/main" | "/api/models/org/bert/revision/v1%2F2" => {
                Answer::of(200, json!({"sha": sha}).to_string())
            }
            path if path == tree_of && asked.query("cursor").is_none() => {
                let lfs = json!({"type": "file", "path": "onnx/model.onnx", "size": served.len(), "oid": "0",
                                 "lfs": {"oid": sha256(&served), "size": served.len()}});
                let next = format!("<{tree_of}?recursive=true&cursor=x>; rel=\"next\"");
                Answer::of(200, json!([lfs, {"type": "directory", "path": "onnx"}]).to_string())
                    .with("link", &next)
            }
            path if path == tree_of => {
                let wrong = json!({"type": "file", "path": "vocab.txt", "size": 3, "oid": git(b"xyz")});
                Answer::of(200, json!([entry("config.json", &config), wrong]).to_string())
            }
            path if path == format!("{resolve}onnx/model.onnx") => {
                Answer::of(302, "").with("location", &elsewhere)
            }
            path if path == format!("{resolve}config.json") => Answer::file(asked, &config, "w"),
            path if path == format!("{resolve}vocab.txt") => Answer::file(asked, b"abc", "w"),
            _ => Answer::of(404, r#"{"error": "Repository not found"}"#),
        }
    });
    let endpoint = hub.url("");
    let env =
        [("HF_ENDPOINT", endpoint.as_str()), ("HF_TOKEN", "hf_hush"), ("STORAGE_IGNORE_PATTERNS", "vocab*")];
    for uri in ["hf://org/bert", "hf://org/bert:v1/2"] {
        let (_cache, found) = locate(uri, &env).await;
        let files = tree(&found.unwrap_or_else(|error| panic!("{uri}: {error}")));
        assert_eq!(files.keys().collect::<Vec<_>>(), ["config.json", "onnx/model.onnx"]);
        assert!(files["onnx/model.onnx"] == weights);
    }
    for (uri, env, part) in [
        ("hf://org/bert", &env[..2], "its bytes hash to"),
        ("hf://org/bert", &env[..1], "401"),
        ("hf://org/none", &env[..2], "(Repository not found)"),
        ("hf://bert", &env[..2], "expected `hf://owner/model`"),
        ("hf://org/../x", &env[..2], "expected `hf://owner/model`"),
    ] {
        let (cache, found) = locate(uri, env).await;
        let text = found.unwrap_err().to_string();
        assert!(text.contains(part) && !text.contains("hush"), "{uri}: {text}");
        assert!(!cache.path().join("models").exists());
    }
}

/// The layers of an image: files of the system, and the model below `models/`, of which the second takes something away.
fn layers() -> [Vec<u8>; 2] {
    let tar = |files: &[(&str, &[u8])]| {
        let mut archive = Vec::new();
        for (name, bytes) in files {
            let mut head = [0_u8; 512];
            head[..name.len()].copy_from_slice(name.as_bytes());
            head[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
            head[148..156].fill(b' ');
            head[156] = if name.ends_with("sh") { b'2' } else { b'0' };
            let sum: u32 = head.iter().map(|it| u32::from(*it)).sum();
            head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            archive.extend(head);
            archive.extend_from_slice(bytes);
            archive.resize(archive.len().next_multiple_of(512), 0);
        }
        archive.extend([0; 1024]);
        archive
    };
    let first = tar(&[
        ("bin/sh", b""),
        ("etc/passwd", b"root"),
        ("models/old.bin", b"old"),
        ("models/1/m.bin", b"weights"),
    ]);
    let second = tar(&[("./models/.wh.old.bin", b""), ("./models/1/config", b"{}")]);
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut to, &first).unwrap();
    [to.finish().unwrap(), second]
}

/// Index, manifest and blobs of an image, by their digests; the first is the index.
fn image(layers: &[Vec<u8>]) -> (String, BTreeMap<String, Vec<u8>>) {
    let mut blobs = BTreeMap::new();
    let mut put = |bytes: Vec<u8>| {
        let digest = format!("sha256:{}", sha256(&bytes));
        blobs.insert(digest.clone(), bytes);
        digest
    };
    let layers: Vec<_> =
        layers.iter().map(|it| json!({"size": it.len(), "digest": put(it.clone())})).collect();
    let manifest = json!({"schemaVersion": 2, "layers": layers}).to_string().into_bytes();
    let size = manifest.len();
    let digest = put(manifest);
    let other = put(json!({"layers": [{"digest": "sha256:0", "size": 1}]}).to_string().into_bytes());
    let platform = |it: &str| json!({"os": "linux", "architecture": it});
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let index = json!({"schemaVersion": 2, "manifests": [
        {"digest": other, "size": 1, "platform": platform("s390x")},
        {"digest": digest, "size": size, "platform": platform(arch)},
    ]});
    let index = put(index.to_string().into_bytes());
    (index, blobs)
}

#[tokio::test]
async fn an_image_gives_what_is_below_models() {
    let (index, blobs) = image(&layers());
    let served = blobs.clone();
    let tagged = index.clone();
    let address: std::sync::Arc<std::sync::OnceLock<String>> = std::sync::Arc::default();
    let here = std::sync::Arc::clone(&address);
    let registry = Server::start(move |asked| {
        if asked.path() == "/token" {
            // The login of the file of Docker's: `me:hush`.
            let granted = asked.header("authorization") == Some("Basic bWU6aHVzaA==");
            assert_eq!(asked.query("scope").as_deref(), Some("repository:team/iris:pull"));
            return if granted { Answer::of(200, r#"{"token": "granted"}"#) } else { Answer::of(401, "{}") };
        }
        if asked.header("authorization") != Some("Bearer granted") {
            let realm = here.get().unwrap();
            return Answer::of(401, "{}")
                .with("www-authenticate", &format!("Bearer realm=\"{realm}/token\",service=\"registry\""));
        }
        let wanted = asked.path().rsplit('/').next().unwrap();
        let digest = if wanted == "v1" { &tagged } else { wanted };
        match served.get(digest) {
            Some(bytes) => Answer::file(asked, bytes, digest),
            None => Answer::of(404, r#"{"errors": [{"code": "MANIFEST_UNKNOWN"}]}"#),
        }
    });
    address.set(registry.url("")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let auths = json!({"auths": {registry.at.to_string(): {"auth": "bWU6aHVzaA=="}}});
    std::fs::write(&config, auths.to_string()).unwrap();
    let env =
        [("KSERVE_OCI_INSECURE_REGISTRY", "true"), ("KSERVE_OCI_DOCKER_CONFIG", config.to_str().unwrap())];
    let at = registry.at;
    for uri in [format!("oci://{at}/team/iris:v1"), format!("oci+fetch://{at}/team/iris:v1@{index}")] {
        let (_cache, found) = locate(&uri, &env).await;
        let files = tree(&found.unwrap_or_else(|error| panic!("{uri}: {error}")));
        assert_eq!(files.keys().collect::<Vec<_>>(), ["1/config", "1/m.bin"], "{uri}");
        assert_eq!(files["1/m.bin"], b"weights");
    }
    for (uri, env, part) in [
        (format!("oci://{at}/team/iris:v2"), &env[..], "(MANIFEST_UNKNOWN)"),
        (format!("oci://{at}/team/iris:v1"), &env[..1], "401"),
        (format!("oci://{at}/team/../iris:v1"), &env[..], "expected `oci://registry/repository:tag`"),
    ] {
        let (cache, found) = locate(&uri, env).await;
        let text = found.unwrap_err().to_string();
        assert!(text.contains(part), "{uri}: {text}");
        nothing_left(cache.path());
    }

    // The same as a layout on this machine's disk.
    let layout = folder.path().join("layout");
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    for (digest, bytes) in &blobs {
        std::fs::write(layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:")), bytes)
            .unwrap();
    }
    let root =
        json!({"manifests": [{"digest": index, "annotations": {"org.opencontainers.image.ref.name": "v1"}}]});
    std::fs::write(layout.join("index.json"), root.to_string()).unwrap();
    let (_cache, found) = locate(&format!("oci://{}:v1", layout.display()), &[]).await;
    assert_eq!(tree(&found.unwrap()).into_keys().collect::<Vec<_>>(), ["1/config", "1/m.bin"]);
    // A blob that is another one than its name says.
    let layer = blobs.iter().find(|it| it.1 == &layers()[1]).unwrap().0;
    std::fs::write(
        layout.join("blobs/sha256").join(layer.trim_start_matches("sha256:")),
        &layers()[1][..512],
    )
    .unwrap();
    let (cache, found) = locate(&format!("oci://{}", layout.display()), &[]).await;
    let text = found.unwrap_err().to_string();
    assert!(text.contains("its bytes hash to"), "{text}");
    assert!(!cache.path().join("models").exists());
}

#[tokio::test]
async fn hdfs_is_read_by_its_rest_api() {
    let weights = noise(2_500_000, 4);
    let bytes = weights.clone();
    let node = Server::start(move |asked| {
        let (offset, length): (usize, usize) = (
            asked.query("offset").map_or(0, |it| it.parse().unwrap()),
            asked.query("length").map_or(bytes.len(), |it| it.parse().unwrap()),
        );
        Answer::of(200, &bytes[offset..(offset + length).min(bytes.len())])
    });
    let data = node.url("/webhdfs/v1/data");
    let size = weights.len();
    let name_node = Server::start(move |asked| {
        if asked.query("user.name").as_deref() != Some("hive") || asked.header("x-gate") != Some("open") {
            return Answer::of(401, r#"{"RemoteException": {"exception": "AccessControlException"}}"#);
        }
        let status = |name: &str, kind: &str, length: usize| json!({"pathSuffix": name, "type": kind, "length": length, "modificationTime": 1});
        let list =
            |it: serde_json::Value| Answer::of(200, json!({"FileStatuses": {"FileStatus": it}}).to_string());
        match (asked.path(), asked.query("op").as_deref()) {
            ("/webhdfs/v1/root/m", Some("LISTSTATUS")) => {
                list(json!([status("a.bin", "FILE", size), status("sub", "DIRECTORY", 0)]))
            }
            ("/webhdfs/v1/root/m/sub", Some("LISTSTATUS")) => list(json!([status("b c.bin", "FILE", 7)])),
            ("/webhdfs/v1/root/m/a.bin", Some("LISTSTATUS")) => list(json!([status("", "FILE", size)])),
            ("/webhdfs/v1/root/m/a.bin" | "/webhdfs/v1/root/m/sub/b%20c.bin", Some("OPEN")) => {
                let query = asked.target.split_once('?').unwrap().1;
                Answer::of(307, "").with("location", &format!("{data}?{query}"))
            }
            _ => Answer::of(404, r#"{"RemoteException": {"exception": "FileNotFoundException"}}"#),
        }
    });
    let secret = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(secret.path().join(name), text).unwrap();
    put("HDFS_NAMENODE", &name_node.url(""));
    put("USER_PROXY", "hive");
    put("HDFS_ROOTPATH", "/root");
    put("HEADERS", r#"{"x-gate": "open"}"#);
    let env = [("HDFS_SECRET_DIR", secret.path().to_str().unwrap())];
    for scheme in ["webhdfs", "hdfs"] {
        let (_cache, found) = locate(&format!("{scheme}://m"), &env).await;
        let files = tree(&found.unwrap());
        assert_eq!(files.keys().collect::<Vec<_>>(), ["a.bin", "sub/b c.bin"]);
        assert!(files["a.bin"] == weights && files["sub/b c.bin"] == weights[..7]);
    }
    let (_cache, found) = locate("webhdfs://m/a.bin", &env).await;
    assert_eq!(tree(&found.unwrap()).into_keys().collect::<Vec<_>>(), ["a.bin"]);
    assert!(node.asked().iter().all(|it| it.header("x-gate").is_none()));
    let (_cache, found) = locate("webhdfs://none", &env).await;
    assert!(found.unwrap_err().to_string().contains("(FileNotFoundException)"));
    let (_cache, found) = locate("webhdfs://m", &[]).await;
    assert!(found.unwrap_err().to_string().contains("where is HDFS? set HDFS_NAMENODE"));
    put("KERBEROS_PRINCIPAL", "me@REALM");
    let (_cache, found) = locate("webhdfs://m", &env).await;
    assert!(found.unwrap_err().to_string().contains("Kerberos is not spoken"));
}
