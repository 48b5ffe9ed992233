//! Object stores, by servers that speak their protocols and check who asks: S3, Google's XML API, Azure's blobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{hmac, signature};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use super::server::{Answer, Asked, Server, noise, tls, tree};
use super::{locate, nothing_left};

type Files = BTreeMap<String, Vec<u8>>;

/// What a bucket has: a model, one that is named alike, and marks of folders.
fn bucket() -> Files {
    [
        ("models/iris/", b"".to_vec()),
        ("models/iris/1/model.bin", noise(2_500_000, 1)),
        ("models/iris/1/assets", b"".to_vec()),
        ("models/iris/1/assets/a & b.txt", b"text".to_vec()),
        ("models/iris/empty.txt", b"".to_vec()),
        ("models/iris/\u{e9}+%41.txt", b"name".to_vec()),
        ("models/iris-2/model.bin", b"another".to_vec()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into()
}

/// The files of the model `models/iris`.
#[track_caller]
fn is_iris(files: &Files) {
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["1/assets/a & b.txt", "1/model.bin", "empty.txt", "\u{e9}+%41.txt"]);
    assert!(files["1/model.bin"] == noise(2_500_000, 1));
    assert_eq!(files["\u{e9}+%41.txt"], b"name");
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// S3's and Google's list and objects, two objects a page.
fn s3(asked: &Asked, files: &Files) -> Answer {
    let url = url::Url::parse(&format!("http://h{}", asked.path())).unwrap();
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8().unwrap().into_owned();
    let Some(key) = path.strip_prefix("/bucket/") else {
        return Answer::of(404, "<Error><Code>NoSuchBucket</Code></Error>");
    };
    if !key.is_empty() {
        return match files.get(key) {
            Some(bytes) => Answer::file(asked, bytes, &etag(key)),
            None => Answer::of(404, "<Error><Code>NoSuchKey</Code></Error>"),
        };
    }
    assert_eq!(asked.query("list-type").as_deref(), Some("2"));
    let prefix = asked.query("prefix").unwrap();
    let from = asked.query("continuation-token").unwrap_or_default();
    let found: Vec<_> = files.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > from).collect();
    let mut text = "<?xml version=\"1.0\"?><ListBucketResult>".to_owned();
    for (key, bytes) in found.iter().take(2) {
        text += &format!(
            "<Contents><Key>{}</Key><ETag>&quot;{}&quot;</ETag><Size>{}</Size></Contents>",
            xml(key),
            etag(key),
            bytes.len()
        );
    }
    if found.len() > 2 {
        text += &format!("<NextContinuationToken>{}</NextContinuationToken>", xml(found[1].0));
    }
    Answer::of(200, text + "</ListBucketResult>")
}

fn etag(key: &str) -> String {
    format!("e{}", key.len())
}

#[tokio::test]
async fn s3_lists_pages_and_takes_an_object_or_what_is_below() {
    let server = Server::start(|asked| s3(asked, &bucket()));
    let endpoint = server.url("");
    let anybody = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("awsAnonymousCredential", "true")];
    let (_cache, found) = locate("s3://bucket/models/iris", &anybody).await;
    is_iris(&tree(&found.unwrap()));
    assert!(server.asked().iter().all(|it| it.header("authorization").is_none()));
    let (_cache, found) = locate("s3://bucket/models/iris/1/model.bin", &anybody).await;
    assert_eq!(tree(&found.unwrap()).into_keys().collect::<Vec<_>>(), ["model.bin"]);
    let patterns = [
        anybody[0],
        anybody[1],
        ("STORAGE_ALLOW_PATTERNS", "[\"*.txt\"]"),
        ("STORAGE_IGNORE_PATTERNS", "1/*"),
    ];
    let (_cache, found) = locate("s3://bucket/models/iris/", &patterns).await;
    assert_eq!(tree(&found.unwrap()).into_keys().collect::<Vec<_>>(), ["empty.txt", "\u{e9}+%41.txt"]);
    for (uri, part) in [
        ("s3://bucket/models/none", "no model found in s3://bucket/models/none"),
        ("s3://other/models", "(NoSuchBucket)"),
        ("s3:///models", "expected `s3://container/path`"),
    ] {
        let (cache, found) = locate(uri, &anybody).await;
        let text = found.unwrap_err().to_string();
        assert!(text.contains(part), "{uri}: {text}");
        nothing_left(cache.path());
    }
}

#[tokio::test]
async fn s3_is_signed_for_and_keys_are_borrowed_where_they_are_told() {
    let server = Server::start(|asked| match asked.path() {
        "/sts" => {
            let body = String::from_utf8(asked.body.clone()).unwrap();
            assert!(
                body.contains("Action=AssumeRoleWithWebIdentity") && body.contains("WebIdentityToken=jwt"),
                "{body}"
            );
            Answer::of(
                200,
                "<R><AccessKeyId>IRSA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken></R>",
            )
        }
        "/pod" if asked.header("authorization") == Some("pod-token") => {
            Answer::of(200, r#"{"AccessKeyId": "POD", "SecretAccessKey": "s", "Token": "t"}"#)
        }
        _ => match asked.header("authorization") {
            Some(it) if it.starts_with("AWS4-HMAC-SHA256 Credential=") => s3(asked, &bucket()),
            _ => Answer::of(403, "<Error><Code>AccessDenied</Code></Error>"),
        },
    });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "jwt\n").unwrap();
    let (endpoint, sts, pod) = (server.url(""), server.url("/sts"), server.url("/pod"));
    let endpoint = ("AWS_ENDPOINT_URL", endpoint.as_str());
    let kinds: [(&str, &[(&str, &str)]); 4] = [
        ("KEY/", &[("AWS_ACCESS_KEY_ID", "KEY"), ("AWS_SECRET_ACCESS_KEY", "s")]),
        (
            "IRSA/",
            &[
                ("AWS_ROLE_ARN", "arn"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
                ("AWS_ENDPOINT_URL_STS", &sts),
            ],
        ),
        (
            "POD/",
            &[
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &pod),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token"),
            ],
        ),
        (
            "SPEC/",
            &[(
                "STORAGE_CONFIG",
                r#"{"type": "s3", "bucket": "bucket", "access_key_id": "SPEC", "secret_access_key": "s"}"#,
            )],
        ),
    ];
    for (id, env) in kinds {
        let env: Vec<_> = env.iter().copied().chain([endpoint]).collect();
        let uri =
            if id == "SPEC/" { "<scheme-placeholder>://models/iris" } else { "s3://bucket/models/iris" };
        let (_cache, found) = locate(uri, &env).await;
        is_iris(&tree(&found.unwrap_or_else(|error| panic!("{id}: {error}"))));
        let asked = server.asked().last().unwrap().clone();
        let shown = asked.header("authorization").unwrap();
        assert!(shown.contains(&format!("Credential={id}")), "{shown}");
        assert_eq!(asked.header("x-amz-security-token").is_some(), matches!(id, "IRSA/" | "POD/"));
    }
    // Nobody is asked who was not named: neither a metadata service nor anybody else.
    let before = server.asked().len();
    let (cache, found) = locate("s3://bucket/models/iris", &[endpoint]).await;
    let text = found.unwrap_err().to_string();
    assert!(
        text.contains("403") && text.contains("(AccessDenied)") && text.contains("credentials"),
        "{text}"
    );
    assert_eq!(server.asked().len(), before + 2);
    nothing_left(cache.path());
}

#[tokio::test]
async fn google_is_read_by_anybody_and_by_an_account() {
    let key = PrivatePkcs8KeyDer::from_pem_file(tls("rsa.pem")).unwrap();
    let pair = signature::RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let public = pair.public().as_ref().to_vec();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let here = Arc::clone(&seen);
    let server = Server::start(move |asked| match asked.path() {
        "/token" => {
            let form: BTreeMap<String, String> =
                url::form_urlencoded::parse(&asked.body).into_owned().collect();
            let parts: Vec<_> = form["assertion"].split('.').collect();
            let signed = format!("{}.{}", parts[0], parts[1]);
            signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, &public)
                .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(parts[2]).unwrap())
                .unwrap();
            here.lock().unwrap().push(String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap());
            Answer::of(200, r#"{"access_token": "granted", "expires_in": 3600}"#)
        }
        "/computeMetadata/v1/instance/service-accounts/default/token"
            if asked.header("metadata-flavor") == Some("Google") =>
        {
            Answer::of(200, r#"{"access_token": "granted", "expires_in": 3600}"#)
        }
        _ if asked.header("authorization") == Some("Bearer granted")
            || asked.target.contains("public")
            || asked.path() == "/bucket/public" =>
        {
            s3(asked, &bucket())
        }
        _ => Answer::of(401, "<Error><Code>AuthenticationRequired</Code></Error>"),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    let account = serde_json::json!({
        "type": "service_account", "client_email": "me@project", "private_key_id": "k",
        "private_key": std::fs::read_to_string(tls("rsa.pem")).unwrap(), "token_uri": server.url("/token"),
    });
    std::fs::write(&file, account.to_string()).unwrap();
    let endpoint = server.url("");
    let endpoint = ("STORAGE_EMULATOR_HOST", endpoint.as_str());
    let account = ("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap());
    let (_cache, found) = locate("gs://bucket/models/iris", &[endpoint, account]).await;
    is_iris(&tree(&found.unwrap()));
    let claims = seen.lock().unwrap().clone();
    assert_eq!(claims.len(), 1, "a token for each request");
    assert!(claims[0].contains("me@project") && claims[0].contains("devstorage.read_only"), "{claims:?}");
    // A metadata service is asked where the user names it.
    let host = server.at.to_string();
    let (_cache, found) = locate("gs://bucket/models/iris", &[endpoint, ("GCE_METADATA_HOST", &host)]).await;
    is_iris(&tree(&found.unwrap()));
    let (_cache, found) = locate("gs://bucket/models/iris", &[endpoint]).await;
    assert!(found.unwrap_err().to_string().contains("(AuthenticationRequired)"));
    std::fs::write(&file, r#"{"type": "external_account"}"#).unwrap();
    let (_cache, found) = locate("gs://bucket/m", &[endpoint, account]).await;
    assert!(
        found
            .unwrap_err()
            .to_string()
            .contains("`external_account` are not read; expected `service_account`")
    );
}

/// Azure's list and blobs of the account `acct`, two a page. It checks signatures, of either kind.
fn azure(asked: &Asked, files: &Files, key: &[u8]) -> Answer {
    let denied = || Answer::of(403, "<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code></Error>");
    match asked.header("authorization") {
        Some(shown) if shown.starts_with("SharedKey ") => {
            if shown != format!("SharedKey acct:{}", signature_of(asked, key)) {
                return denied();
            }
        }
        Some("Bearer granted") => {}
        Some(_) => return denied(),
        None if asked.query("sig").as_deref() == Some("s+g/=") => {}
        None if asked.path().starts_with("/acct/public") => {}
        None => return denied(),
    }
    let path = percent_encoding::percent_decode_str(asked.path()).decode_utf8().unwrap().into_owned();
    let path = path.strip_prefix("/acct/").unwrap();
    let (_, name) = path.split_once('/').unwrap_or((path, ""));
    if !name.is_empty() {
        return match files.get(name) {
            Some(bytes) => Answer::file(asked, bytes, &etag(name)),
            None => Answer::of(404, "<Error><Code>BlobNotFound</Code></Error>"),
        };
    }
    assert_eq!(
        (asked.query("restype").as_deref(), asked.query("comp").as_deref()),
        (Some("container"), Some("list"))
    );
    let prefix = asked.query("prefix").unwrap();
    let from = asked.query("marker").unwrap_or_default();
    let found: Vec<_> = files.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > from).collect();
    let mut text = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>".to_owned();
    for (name, bytes) in found.iter().take(2) {
        text += &format!(
            "<Blob><Name>{}</Name><Properties><Content-Length>{}</Content-Length><Etag>{}</Etag></Properties></Blob>",
            xml(name),
            bytes.len(),
            etag(name)
        );
    }
    let next = if found.len() > 2 { xml(found[1].0) } else { String::new() };
    Answer::of(200, format!("{text}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"))
}

/// The signature of a request as Azure's documentation has it: the lines of the method, eleven standard headers, the `x-ms-` ones
/// and the resource.
fn signature_of(asked: &Asked, key: &[u8]) -> String {
    let header = |name: &str| asked.header(name).unwrap_or_default().to_owned();
    let mut lines = vec![asked.method.clone()];
    for name in [
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ] {
        lines.push(header(name));
    }
    lines.extend(
        asked
            .headers
            .iter()
            .filter(|it| it.0.starts_with("x-ms-"))
            .map(|(name, value)| format!("{name}:{value}")),
    );
    lines.push(format!("/acct{}", asked.path()));
    let url = url::Url::parse(&format!("http://h{}", asked.target)).unwrap();
    let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    lines.extend(query.into_iter().map(|(name, value)| format!("{name}:{value}")));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    STANDARD.encode(hmac::sign(&key, lines.join("\n").as_bytes()))
}

#[tokio::test]
async fn azure_is_read_by_a_key_a_token_a_signature_and_by_anybody() {
    let key = b"the key of an account".to_vec();
    let secret = STANDARD.encode(&key);
    let server = Server::start(move |asked| {
        if asked.path() == "/tenant/oauth2/v2.0/token" {
            let body = String::from_utf8(asked.body.clone()).unwrap();
            assert!(body.contains("client_secret=hush") || body.contains("client_assertion=jwt"), "{body}");
            return Answer::of(200, r#"{"access_token": "granted", "expires_in": 3600}"#);
        }
        azure(asked, &bucket(), &key)
    });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "jwt").unwrap();
    let (endpoint, authority) = (server.url("/acct"), server.url(""));
    let endpoint = ("AZURE_SERVICE_URL", endpoint.as_str());
    let oauth =
        [("AZURE_TENANT_ID", "tenant"), ("AZ_CLIENT_ID", "me"), ("AZURE_AUTHORITY_HOST", authority.as_str())];
    let own = "https://acct.blob.core.windows.net/c/models/iris";
    let signed = format!("{own}?sv=2021&sig=s%2Bg%2F%3D");
    for (uri, env) in [
        (own, vec![("AZURE_STORAGE_ACCESS_KEY", secret.as_str())]),
        ("abfs://c@acct.dfs.core.windows.net/models/iris", vec![("AZURE_STORAGE_ACCESS_KEY", &secret)]),
        ("az://c/models/iris", vec![("AZURE_STORAGE_ACCESS_KEY", &secret), ("AZURE_ACCOUNT_NAME", "acct")]),
        (own, oauth.into_iter().chain([("AZURE_CLIENT_SECRET", "hush")]).collect()),
        (own, oauth.into_iter().chain([("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap())]).collect()),
        (&signed, vec![]),
        ("https://acct.blob.core.windows.net/public/models/iris", vec![]),
    ] {
        let env: Vec<_> = env.into_iter().chain([endpoint]).collect();
        let (_cache, found) = locate(uri, &env).await;
        is_iris(&tree(&found.unwrap_or_else(|error| panic!("{uri} {env:?}: {error}"))));
    }
    let (cache, found) = locate(&signed.replace("sig=s", "sig=t"), &[endpoint]).await;
    let text = found.unwrap_err().to_string();
    assert!(text.contains("(AuthenticationFailed)") && !text.contains("sig="), "{text}");
    nothing_left(cache.path());
    let (_cache, found) = locate("az://c/m", &[endpoint]).await;
    assert!(found.unwrap_err().to_string().contains("it names no account"));
}
