//! HTTP compression: requests are undone within their limits, answers compressed for whoever accepts it.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use weir::{Mesh, MeshOptions, Plan};
use weir_sdk::ServerFlags;

use crate::harness::{client, get, mesh, post, post_with, root, wait_for};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// An answer as it came over the wire: reqwest undoes no encoding here.
struct Raw {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.to_str().unwrap())
    }

    /// The body with its encoding undone.
    fn plain(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.header("content-encoding") {
            Some("gzip") => GzDecoder::new(&*self.body).read_to_end(&mut out).unwrap(),
            Some("deflate") => ZlibDecoder::new(&*self.body).read_to_end(&mut out).unwrap(),
            Some(other) => panic!("content-encoding: {other}"),
            None => self.body.as_slice().read_to_end(&mut out).unwrap(),
        };
        out
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.plain()).unwrap()
    }
}

async fn send(url: &str, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> Raw {
    let mut request = client().post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Raw { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

const ROW: &str = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;

fn rows(count: usize) -> String {
    json!({ "instances": vec![[6.8, 2.8, 4.8, 1.4]; count] }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_request_is_the_same_request() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    let row = ROW.as_bytes();
    let members = [gzip(&row[..10]), gzip(&row[10..])].concat();
    for (encoding, body) in [
        ("gzip", gzip(row)),
        ("X-GZIP", gzip(row)),
        ("gzip", members),
        ("deflate", zlib(row)),
        ("deflate", raw_deflate(row)),
        ("identity", row.to_vec()),
        ("identity, gzip", gzip(row)),
        ("", row.to_vec()),
    ] {
        let answer = post_with(&url, body, &[("content-encoding", encoding)]).await;
        assert_eq!((answer.status, &*answer.text), (200, r#"{"predictions":["versicolor"]}"#), "{encoding}");
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None));
    }
    // One that is decompressed apart from the threads that move bytes.
    let many = rows(40_000);
    let answer = post_with(&url, zlib(many.as_bytes()), &[("content-encoding", "deflate")]).await;
    assert_eq!(answer.text, post(&url, many).await.text);
    // An event may be compressed as any body may.
    let event = format!(r#"{{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {ROW}}}"#);
    let headers = [("content-encoding", "gzip"), ("content-type", "application/cloudevents+json")];
    let answer = post_with(&url, gzip(event.as_bytes()), &headers).await;
    assert_eq!(answer.json()["data"], json!({"predictions": ["versicolor"]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_undone_is_refused() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    let whole = gzip(ROW.as_bytes());
    let mut corrupt = whole.clone();
    corrupt[20] ^= 0xff;
    for (encoding, body, part) in [
        ("gzip", whole[..whole.len() - 1].to_vec(), "is cut short"),
        ("gzip", whole[..12].to_vec(), "is cut short"),
        ("gzip", Vec::new(), "is cut short"),
        ("gzip", corrupt, "is broken"),
        ("gzip", [&*whole, b"more"].concat(), "gzip"),
        ("gzip", ROW.into(), "is broken"),
        ("gzip", zlib(ROW.as_bytes()), "is broken"),
        ("deflate", zlib(ROW.as_bytes())[..20].to_vec(), "is cut short"),
        ("deflate", [&*zlib(ROW.as_bytes()), b"more"].concat(), "more after its end"),
    ] {
        let answer = post_with(&url, body, &[("content-encoding", encoding)]).await;
        assert_eq!(
            (answer.status, answer.header("x-error-origin")),
            (400, Some("router")),
            "{}",
            answer.text
        );
        assert!(answer.text.contains(part), "{part}: {}", answer.text);
    }
    for encoding in ["br", "zstd", "gzip, deflate", "gzip, gzip"] {
        let answer = post_with(&url, whole.clone(), &[("content-encoding", encoding)]).await;
        assert_eq!(
            (answer.status, answer.header("accept-encoding")),
            (501, Some("gzip, deflate")),
            "{encoding}"
        );
        assert!(answer.json()["error"].as_str().unwrap().starts_with("Unsupported compression type: "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_refused_when_it_passes_the_limit() {
    let plan = Plan::of_files(&[root().join("deploy/samples/iris.yaml")]).unwrap();
    let door = ServerFlags { max_body_bytes: 100_000, ..ServerFlags::loopback() };
    let mesh = Mesh::start(&plan, &MeshOptions { door }).await.unwrap();
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    let zeros = vec![0; 10 << 20];
    for (encoding, bomb) in
        [("gzip", gzip(&zeros)), ("deflate", zlib(&zeros)), ("deflate", raw_deflate(&zeros))]
    {
        assert!(bomb.len() < 20_000, "{}", bomb.len());
        let size = bomb.len().to_string();
        let answer = post_with(&url, bomb, &[("content-encoding", encoding)]).await;
        assert_eq!(
            (answer.status, answer.header("x-error-origin")),
            (413, Some("router")),
            "{}",
            answer.text
        );
        assert!(answer.text.contains("100000") && answer.text.contains(&size), "{}", answer.text);
    }
    // The compressed body has its own limit, which holds before anything is decompressed.
    let answer = post_with(&url, vec![7; 100_001], &[("content-encoding", "gzip")]).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert!(!answer.text.contains("gzip"), "{}", answer.text);
    // And whatever keeps within both is served.
    let most = format!("{ROW}{}", " ".repeat(100_000 - ROW.len()));
    wait_for(std::time::Duration::from_secs(20), || async {
        post_with(&url, gzip(most.as_bytes()), &[("content-encoding", "gzip")]).await.status == 200
    })
    .await;
    let answer = post_with(&url, gzip(format!("{most} ").as_bytes()), &[("content-encoding", "gzip")]).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_compressed_for_whoever_accepts_it() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    // Beyond what is compressed where bytes are moved, too.
    for count in [3000, 40_000] {
        let plain = send(&url, rows(count), &[]).await;
        assert!(plain.body.len() > 16 << 10);
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
        assert_eq!(plain.header("vary"), Some("accept-encoding"));
        for (accepted, encoding) in [
            ("gzip", Some("gzip")),
            ("gzip, deflate, br", Some("gzip")),
            ("deflate", Some("deflate")),
            ("gzip;q=0.2, deflate;q=0.8", Some("deflate")),
            ("*", Some("gzip")),
            ("br", None),
            ("identity", None),
            ("gzip;q=0", None),
        ] {
            let answer = send(&url, rows(count), &[("accept-encoding", accepted)]).await;
            assert_eq!((answer.status, answer.header("content-encoding")), (200, encoding), "{accepted}");
            assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert!(encoding.is_none() || answer.body.len() * 10 < plain.body.len());
            assert!(answer.plain() == plain.body, "{accepted}");
        }
    }
    let short = send(&url, ROW, &[("accept-encoding", "gzip")]).await;
    assert_eq!((short.header("content-encoding"), short.header("vary")), (None, None));
    let forced = send(&url, ROW, &[("accept-encoding", "gzip, identity;q=0")]).await;
    assert_eq!(forced.header("content-encoding"), Some("gzip"));
    assert_eq!(forced.json(), json!({"predictions": ["versicolor"]}));

    // Events, in either mode.
    let binary = ["ce-specversion", "ce-id", "ce-source", "ce-type"].map(|name| (name, "1.0"));
    let headers = [&binary[..], &[("accept-encoding", "gzip")]].concat();
    let event = send(&url, rows(3000), &headers).await;
    assert_eq!(
        (event.header("content-encoding"), event.header("ce-type")),
        (Some("gzip"), Some("io.kserve.inference.response"))
    );
    let body =
        format!(r#"{{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {}}}"#, rows(3000));
    let headers = [("content-type", "application/cloudevents+json"), ("accept-encoding", "deflate")];
    let event = send(&url, body, &headers).await;
    assert_eq!(event.header("content-encoding"), Some("deflate"));
    assert_eq!(event.json()["data"]["predictions"].as_array().unwrap().len(), 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_answers_is_compressed() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let base = format!("http://{}", mesh.http());
    let forced = [("accept-encoding", "gzip, identity;q=0")];
    // An error that repeats much of what it met would be long enough.
    let errors = [
        send(&format!("{base}/v1/models/iris:predict"), "{", &forced).await,
        send(&format!("{base}/v1/models/{}:predict", "n".repeat(20_000)), ROW, &forced).await,
        send(&format!("{base}/v1/models/iris:fly"), ROW, &forced).await,
    ];
    for error in errors {
        assert_eq!(error.header("content-encoding"), None);
        assert!(error.status >= 400 && error.json()["error"].is_string());
    }
    let index = send(&format!("{base}/v2/repository/index"), "", &forced).await;
    assert_eq!((index.status, index.header("content-encoding")), (200, None));
    for path in ["/v2", "/v2/models/iris", "/v1/models/iris", "/v2/health/ready", "/v1/models"] {
        let answer =
            client().get(format!("{base}{path}")).header("accept-encoding", forced[0].1).send().await;
        assert!(!answer.unwrap().headers().contains_key("content-encoding"), "{path}");
    }
    assert_eq!(get(&format!("{base}/v2")).await.unwrap().header("vary"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_tensors_travel_compressed_both_ways() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let alone = crate::events::predictor(weir_sdk::Env::default()).await;
    for (address, count) in [(mesh.http(), 1_usize), (mesh.http(), 2000), (alone.http, 2000)] {
        let url = format!("http://{address}/v2/models/iris/infer");
        let bytes: Vec<u8> =
            [6.8_f64, 2.8, 4.8, 1.4].repeat(count).iter().flat_map(|it| it.to_le_bytes()).collect();
        let head = json!({
            "inputs": [{"name": "x", "shape": [count, 4], "datatype": "FP64", "parameters": {"binary_data_size": bytes.len()}}],
            "outputs": [{"name": "predict_proba", "parameters": {"binary_data": true}}],
        })
        .to_string();
        let length = head.len().to_string();
        let body = [head.as_bytes(), &bytes].concat();
        let told = ("inference-header-content-length", length.as_str());
        let plain = send(&url, body.clone(), &[told]).await;
        assert_eq!(plain.status, 200, "{}", String::from_utf8_lossy(&plain.body));
        let json_length: usize = plain.header(told.0).unwrap().parse().unwrap();
        assert_eq!(plain.body.len() - json_length, count * 3 * 8);
        for (encoding, body) in [("gzip", gzip(&body)), ("deflate", zlib(&body))] {
            let headers = [told, ("content-encoding", encoding), ("accept-encoding", encoding)];
            let answer = send(&url, body, &headers).await;
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            assert_eq!(answer.header("content-encoding"), (count > 1).then_some(encoding));
            // It counts what is there when the encoding is undone.
            assert_eq!(answer.header(told.0), Some(&*json_length.to_string()));
            assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
            assert!(answer.plain()[json_length..] == plain.body[json_length..]);
        }
        // A length beyond the body is beyond what it has decompressed.
        let beyond = (body.len() + 1).to_string();
        let headers = [(told.0, beyond.as_str()), ("content-encoding", "gzip")];
        let refused = send(&url, gzip(&body), &headers).await;
        let text = format!("inference header size should be in range (0, {}), got: {beyond}", body.len());
        assert_eq!((refused.status, refused.json()["error"].as_str().unwrap()), (400, &*text));
    }
}
