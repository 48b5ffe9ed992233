//! `https://` and `http://`: TLS, redirects, whom a download may talk to.

use super::server::{Answer, Server, noise, tls, tree};
use super::{locate, locate_in, nothing_left};

#[tokio::test]
async fn a_file_comes_by_tls_and_only_from_whom_it_trusts() {
    let bytes = noise(3 << 20, 1);
    let served = bytes.clone();
    let server = Server::with_tls(move |asked| Answer::file(asked, &served, "e1"));
    let uri = format!("https://localhost:{}/models/model.joblib?token=secret", server.at.port());
    let authority = tls("ca.pem");
    let (_cache, found) = locate(&uri, &[("AWS_CA_BUNDLE", authority.to_str().unwrap())]).await;
    let files = tree(&found.unwrap());
    assert_eq!(files.keys().collect::<Vec<_>>(), ["model.joblib"]);
    assert!(files["model.joblib"] == bytes);

    let (cache, found) = locate(&uri, &[]).await;
    let text = found.unwrap_err().to_string();
    assert!(text.contains("certificate is not trusted") && text.contains("SSL_CERT_FILE"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    nothing_left(cache.path());
}

#[tokio::test]
async fn what_is_there_is_not_fetched_again_and_what_changed_is() {
    let version = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(1));
    let now = std::sync::Arc::clone(&version);
    let server = Server::start(move |asked| {
        let version = now.load(std::sync::atomic::Ordering::SeqCst);
        Answer::file(asked, &noise(500_000, version), &format!("v{version}"))
    });
    let cache = tempfile::tempdir().unwrap();
    let uri = server.url("/m.bin");
    let first = locate_in(cache.path(), &uri, &[]).await.unwrap();
    let sent = server.sent();
    let again = locate_in(cache.path(), &uri, &[]).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(server.sent() - sent, 1, "more than the first byte was asked for");
    version.store(2, std::sync::atomic::Ordering::SeqCst);
    let second = locate_in(cache.path(), &uri, &[]).await.unwrap();
    assert_ne!(first, second);
    assert!(tree(&second)["m.bin"] == noise(500_000, 2));
    // One whose files are not as they were is fetched anew.
    std::fs::write(second.join("m.bin"), b"cut").unwrap();
    let mended = locate_in(cache.path(), &uri, &[]).await.unwrap();
    assert!(tree(&mended)["m.bin"] == noise(500_000, 2));
}

#[tokio::test]
async fn redirects_stay_within_the_rules_and_leave_credentials_behind() {
    let target = Server::start(|asked| Answer::file(asked, b"weights", "e"));
    let there = target.url("/real.bin?X-Amz-Signature=secret");
    let door = Server::start(move |asked| match asked.path() {
        "/m.bin" => Answer::of(302, "").with("location", &there),
        "/meta.bin" => Answer::of(302, "").with("location", "http://169.254.169.254/latest/meta-data/iam"),
        "/named.bin" => {
            Answer::of(307, "").with("location", "http://metadata.google.internal/computeMetadata")
        }
        "/file.bin" => Answer::of(302, "").with("location", "file:///etc/passwd"),
        "/round.bin" => Answer::of(302, "").with("location", "/round.bin"),
        _ => Answer::of(404, ""),
    });
    let headers = r#"{"authorization": "Bearer hidden", "x-tenant": "a"}"#;
    let env = [("127.0.0.1-headers", headers)];
    let (_cache, found) = locate(&door.url("/m.bin"), &env).await;
    assert_eq!(tree(&found.unwrap())["m.bin"], b"weights");
    assert!(door.asked().iter().all(|it| it.header("authorization") == Some("Bearer hidden")));
    assert!(
        target
            .asked()
            .iter()
            .all(|it| it.header("authorization").is_none() && it.header("x-tenant").is_none())
    );

    for (path, parts) in [
        ("/meta.bin", &["169.254.169.254", "metadata", "--storage_allow_link_local"][..]),
        ("/named.bin", &["metadata.google.internal", "--storage_allow_link_local"]),
        ("/file.bin", &["`file` is no scheme of HTTP"]),
        ("/round.bin", &["redirects more than 10 times"]),
        ("/none.bin", &["404"]),
    ] {
        let (cache, found) = locate(&door.url(path), &[]).await;
        let text = found.unwrap_err().to_string();
        assert!(parts.iter().all(|it| text.contains(it)), "{path}: {text}");
        nothing_left(cache.path());
    }
    // A host that is not on the list, whoever names it.
    let other = target.at.port();
    let uri = format!("http://localhost:{other}/m.bin");
    let (_cache, found) = locate(&uri, &[("WEIR_STORAGE_ALLOW_HOSTS", "127.0.0.1, *.example.org")]).await;
    let text = found.unwrap_err().to_string();
    assert!(text.contains("`localhost` is not allowed; allowed are 127.0.0.1, *.example.org"), "{text}");
    let (_cache, found) = locate(&door.url("/m.bin"), &[("WEIR_STORAGE_ALLOW_SCHEMES", "s3,https")]).await;
    assert!(found.unwrap_err().to_string().contains("`http` is not allowed; allowed are s3, https"));
}

#[tokio::test]
async fn from_https_nothing_goes_on_in_the_clear() {
    let clear = Server::start(|asked| Answer::file(asked, b"x", "e"));
    let there = clear.url("/m.bin");
    let door = Server::with_tls(move |_| Answer::of(302, "").with("location", &there));
    let authority = tls("ca.pem");
    let uri = format!("https://127.0.0.1:{}/m.bin", door.at.port());
    let (_cache, found) = locate(&uri, &[("SSL_CERT_FILE", authority.to_str().unwrap())]).await;
    let text = found.unwrap_err().to_string();
    assert!(text.contains("in the clear"), "{text}");
    assert!(clear.asked().is_empty());
}

#[tokio::test]
async fn what_is_no_model_is_refused_with_a_word() {
    let server =
        Server::start(|_| Answer::of(200, "<html>").with("content-type", "text/html; charset=utf-8"));
    for (uri, part) in [
        (server.url("/login"), "web page"),
        (server.url("/folder/"), "no file is named"),
        (server.url("/repo.git"), "git"),
        ("https://a.file.core.windows.net/share/m".to_owned(), "Azure Files"),
        (server.url(&format!("/{}", "n".repeat(4000))), "4000 bytes, the most are"),
        ("http://169.254.169.254/m.bin".to_owned(), "metadata"),
        ("http://[::ffff:a9fe:a9fe]/m.bin".to_owned(), "metadata"),
        ("ftp://host/m".to_owned(), "unknown scheme `ftp`; this build knows `file://`, `pvc://`, `s3://`"),
    ] {
        let (cache, found) = locate(&uri, &[]).await;
        let text = found.unwrap_err().to_string();
        assert!(text.contains(part), "{uri}: {text}");
        nothing_left(cache.path());
    }
}
