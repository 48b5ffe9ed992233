//! Emulators that others wrote: moto for S3 and Google's XML API, Azurite for Azure. Where one is not installed the test says so.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::locate;
use super::server::{noise, tree};
use crate::harness::{get, root, wait_for};

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a variable names, or what lies in `target`; `None`, with the reason printed, where there is neither.
fn installed(variable: &str, usual: &str, how: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).filter(|it| !it.is_empty()).map(PathBuf::from);
    let path = named.unwrap_or_else(|| root().join("target").join(usual));
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there; {how}, or name it by {variable}", path.display());
    None
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a script of `tests/storage` to its end.
fn script(python: &Path, name: &str, args: &[&str]) {
    let output =
        Command::new(python).arg(root().join("tests/storage").join(name)).args(args).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn moto_gives_models_of_s3_and_of_google() {
    let how = "`python3 -m venv target/storage-venv && target/storage-venv/bin/pip install -r tests/storage/requirements.txt` makes it";
    let Some(python) = installed("WEIR_STORAGE_PYTHON", "storage-venv/bin/python", how) else { return };
    let port = free_port();
    let mut command = Command::new(python.with_file_name("moto_server"));
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let _moto = Running(command.spawn().unwrap());
    let endpoint = format!("http://127.0.0.1:{port}");
    wait_for(Duration::from_secs(60), || async {
        get(&format!("{endpoint}/moto-api/")).await.is_ok_and(|it| it.status == 200)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let big = noise(9 << 20, 3);
    std::fs::create_dir(folder.path().join("1")).unwrap();
    std::fs::write(folder.path().join("1/model.bin"), &big).unwrap();
    std::fs::write(folder.path().join("a & b+c.txt"), b"text").unwrap();
    script(&python, "put_s3.py", &[&endpoint, "bucket", "models/iris", folder.path().to_str().unwrap()]);
    let keys = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ];
    let endpoints = ("AWS_ENDPOINT_URL", endpoint.as_str());
    let signed: Vec<_> = keys.into_iter().chain([endpoints]).collect();
    let anybody = vec![("awsAnonymousCredential", "true"), endpoints];
    let google = vec![("STORAGE_EMULATOR_HOST", endpoint.as_str())];
    for (uri, env) in [
        ("s3://bucket/models/iris", &signed),
        ("s3://bucket/models/iris", &anybody),
        ("gs://bucket/models/iris", &google),
    ] {
        let (_cache, found) = locate(uri, env).await;
        let files = tree(&found.unwrap_or_else(|error| panic!("{uri} {env:?}: {error}")));
        assert_eq!(files.keys().collect::<Vec<_>>(), ["1/model.bin", "a & b+c.txt"], "{uri}");
        assert!(files["1/model.bin"] == big, "{uri}");
    }
    let (_cache, found) = locate("s3://none/models", &signed).await;
    assert!(found.unwrap_err().to_string().contains("(NoSuchBucket)"));
}

#[tokio::test]
async fn azurite_gives_a_model() {
    let how = "`mkdir -p target/azurite && cp tests/storage/package.json target/azurite && (cd target/azurite && npm install)` makes it";
    let Some(azurite) = installed("WEIR_STORAGE_AZURITE", "azurite/node_modules/.bin/azurite-blob", how)
    else {
        return;
    };
    let how = "`python3 -m venv target/storage-venv && target/storage-venv/bin/pip install -r tests/storage/requirements.txt` makes it";
    let Some(python) = installed("WEIR_STORAGE_PYTHON", "storage-venv/bin/python", how) else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().to_string();
    let mut command = Command::new(azurite);
    command
        .args(["--blobPort", &port, "--skipApiVersionCheck", "--location"])
        .arg(folder.path().join("data"));
    let _azurite = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let endpoint = format!("http://127.0.0.1:{port}/devstoreaccount1");
    wait_for(Duration::from_secs(60), || async { get(&format!("{endpoint}?comp=list")).await.is_ok() }).await;
    // The key that every Azurite has; Microsoft's documentation of it tells it.
    let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    let files = folder.path().join("files");
    std::fs::create_dir_all(files.join("1")).unwrap();
    let big = noise(9 << 20, 3);
    std::fs::write(files.join("1/model.bin"), &big).unwrap();
    std::fs::write(files.join("a & b+c.txt"), b"text").unwrap();
    script(&python, "put_azure.py", &[&endpoint, key, "models", "iris", files.to_str().unwrap()]);
    let env = [("AZURE_SERVICE_URL", endpoint.as_str()), ("AZURE_STORAGE_ACCESS_KEY", key)];
    let (_cache, found) = locate("https://devstoreaccount1.blob.core.windows.net/models/iris", &env).await;
    let found = tree(&found.unwrap());
    assert_eq!(found.keys().collect::<Vec<_>>(), ["1/model.bin", "a & b+c.txt"]);
    assert!(found["1/model.bin"] == big);
    // Private: not for anybody.
    let (_cache, found) =
        locate("https://devstoreaccount1.blob.core.windows.net/models/iris", &env[..1]).await;
    assert!(found.unwrap_err().to_string().contains("credentials"));
}
