//! CloudEvents over V1: an event is answered by an event of its mode.

use serde_json::{Value, json};
use weir::{Mesh, MeshOptions, Plan};
use weir_sdk::{Env, Events, Launch, ServerFlags, Sockets};

use crate::harness::{Answer, Process, mesh, post_with, root};

const BINARY: [(&str, &str); 5] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "36077800-0c23-4f38-a0b4-01f4369f670a"),
    ("ce-source", "https://example.com/event-producer"),
    ("ce-type", "com.example.sampletype1"),
    ("content-type", "application/json"),
];
const ROW: &str = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");

fn structured(data: &Value) -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "/mine", "type": "mine", "time": "2026-01-31T12:00:00.5+01:00",
           "subject": "q", "traceid": "t", "data": data})
}

fn row() -> Value {
    serde_json::from_str(ROW).unwrap()
}

/// The headers of an event that a binary answer is.
fn attributes(answer: &Answer) -> Vec<(&str, &str)> {
    let headers = answer.headers.iter().filter(|(name, _)| name.as_str().starts_with("ce-"));
    let mut all: Vec<_> = headers.map(|(name, it)| (name.as_str(), it.to_str().unwrap())).collect();
    all.sort_unstable();
    all
}

fn assert_fresh(id: &str, time: &str) {
    assert!(id.len() == 36 && id != BINARY[1].1 && id != "1", "{id}");
    assert!(weir_sdk::proto::event::is_timestamp(time) && time.ends_with('Z'), "{time}");
}

/// Starts the iris sample's predictor without the rest of the sample.
pub(crate) async fn predictor(env: Env) -> weir_sdk::Running {
    let folder = root().join("deploy/samples/models/iris").display().to_string();
    let args = ["--model_name", "iris", "--model_format", "sklearn", "--model_dir", &folder];
    let launch = Launch { args: args.map(str::to_owned).to_vec(), env };
    let mut service = weir_predictor::build(&launch).unwrap();
    service.flags = ServerFlags { events: Events::of(&launch.env), ..ServerFlags::loopback() };
    let sockets = Sockets::bind(&service.flags, &Env::default()).await.unwrap();
    let running = service.start(sockets);
    let url = format!("http://{}/v2/health/ready", running.http);
    crate::harness::wait_for(std::time::Duration::from_secs(20), || async {
        crate::harness::get(&url).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_event_is_answered_by_one() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let alone = predictor(Env::default()).await;
    for (address, class) in [(mesh.http(), json!("versicolor")), (alone.http, json!(0))] {
        let url = format!("http://{address}/v1/models/iris:predict");
        let answer = post_with(&url, ROW, &BINARY).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"predictions": [class]})));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let [id, source, version, time, kind] = attributes(&answer).try_into().unwrap();
        assert_eq!(source, ("ce-source", "io.kserve.inference.iris"));
        assert_eq!(version, ("ce-specversion", "1.0"));
        assert_eq!(kind, ("ce-type", "io.kserve.inference.response"));
        assert_fresh(id.1, time.1);
        let again = post_with(&url, ROW, &BINARY).await;
        assert_ne!(again.header("ce-id"), Some(id.1));

        // Without one of the four it is a request like any other.
        for missing in 0..4 {
            let mut headers = BINARY.to_vec();
            headers.remove(missing);
            let plain = post_with(&url, ROW, &headers).await;
            assert_eq!((plain.status, attributes(&plain)), (200, vec![]));
        }
    }
    let explain = format!("http://{}/v1/models/iris:explain", mesh.http());
    let explained = post_with(&explain, ROW, &BINARY).await;
    assert_eq!((explained.status, attributes(&explained).len()), (200, 5), "{}", explained.text);
    // V2 has no events.
    let infer = format!("http://{}/v2/models/iris/infer", mesh.http());
    let body =
        r#"{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [6.8, 2.8, 4.8, 1.4]}]}"#;
    let inferred = post_with(&infer, body, &BINARY).await;
    assert_eq!((inferred.status, attributes(&inferred)), (200, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structured_event_is_answered_by_one() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    let base64 = {
        let mut event = structured(&Value::Null);
        // The row, in base64.
        event["data_base64"] = json!("eyJpbnN0YW5jZXMiOiBbWzYuOCwgMi44LCA0LjgsIDEuNF1dfQ==");
        event
    };
    let mut without_time = structured(&row());
    without_time.as_object_mut().unwrap().remove("time");
    let types = [STRUCTURED.1, "Application/CloudEvents+JSON; charset=utf-8"];
    for event in [structured(&row()), base64, without_time] {
        for content_type in types {
            let answer = post_with(&url, event.to_string(), &[("content-type", content_type)]).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let content_types: Vec<_> = answer.headers.get_all("content-type").iter().collect();
            assert_eq!(content_types, [STRUCTURED.1]);
            assert_eq!(attributes(&answer), vec![]);
            let mut event = answer.json();
            let take = |event: &mut Value, name: &str| event.as_object_mut().unwrap().remove(name).unwrap();
            let (id, time) = (take(&mut event, "id"), take(&mut event, "time"));
            assert_fresh(id.as_str().unwrap(), time.as_str().unwrap());
            let want = json!({"specversion": "1.0", "source": "io.kserve.inference.iris", "type": "io.kserve.inference.response",
                              "datacontenttype": "application/json", "data": {"predictions": ["versicolor"]}});
            assert_eq!(event, want);
        }
    }
    // Sent as something else it is read, and answered as something else.
    for headers in [&[("content-type", "application/json")][..], &[]] {
        let plain = post_with(&url, structured(&row()).to_string(), headers).await;
        assert_eq!((plain.status, plain.json()), (200, json!({"predictions": ["versicolor"]})));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_says_how_events_are_answered() {
    let env = [("CE_TYPE", "my.type"), ("CE_SOURCE", "/my source/é"), ("CE_MERGE", "True")];
    let alone = predictor(env.into_iter().collect()).await;
    let url = format!("http://{}/v1/models/iris:predict", alone.http);
    let more = [
        ("ce-time", "2020-01-01T00:00:00Z"),
        ("ce-subject", "q%20r"),
        ("ce-myextension", "x"),
        ("ce-no-attribute", "x"),
        ("ce-datacontenttype", "text/plain"),
    ];
    let mut headers = BINARY.to_vec();
    headers.extend(more);
    headers[0].1 = "0.3";
    let answer = post_with(&url, ROW, &headers).await;
    let got = attributes(&answer);
    let names: Vec<_> = got.iter().map(|it| it.0).collect();
    assert_eq!(
        names,
        ["ce-id", "ce-myextension", "ce-source", "ce-specversion", "ce-subject", "ce-time", "ce-type"]
    );
    assert_eq!(
        [got[1].1, got[2].1, got[3].1, got[4].1, got[6].1],
        ["x", "/my%20source/%C3%A9", "0.3", "q%20r", "my.type"]
    );
    assert_fresh(got[0].1, got[5].1);

    let answer = post_with(&url, structured(&row()).to_string(), &[STRUCTURED]).await.json();
    let of = |name: &str| answer[name].as_str().unwrap();
    assert_eq!(
        [of("source"), of("type"), of("subject"), of("traceid")],
        ["/my source/é", "my.type", "q", "t"]
    );
    assert_fresh(of("id"), of("time"));
    assert_eq!(answer["data"], json!({"predictions": [0]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_of_a_mesh_has_its_environment_also_as_a_process() {
    let env: Env = [("CE_TYPE", "my.type")].into_iter().collect();
    let plan = Plan::of_files(&[root().join("deploy/samples/iris.yaml")]).unwrap();
    let door = ServerFlags { events: Events::of(&env), ..ServerFlags::loopback() };
    let mesh = Mesh::start(&plan, &MeshOptions { door }).await.unwrap();
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    crate::harness::wait_for(std::time::Duration::from_secs(20), || async {
        post_with(&url, ROW, &BINARY).await.header("ce-type") == Some("my.type")
    })
    .await;

    let args = ["-f", "deploy/samples/iris.yaml", "--separate"];
    let processes = Process::start(&args, &[("CE_TYPE", "my.type"), ("CE_MERGE", "true")]);
    processes.ready().await;
    let answer = post_with(&processes.url("/v1/models/iris:predict"), ROW, &BINARY).await;
    assert_eq!((answer.status, answer.header("ce-type")), (200, Some("my.type")), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_refused_and_errors_are_no_events() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    let binary = |name: &'static str, value: &'static str| {
        let mut headers: Vec<_> = BINARY.into_iter().filter(|it| it.0 != name).collect();
        headers.push((name, value));
        headers
    };
    let changed = |name: &str, value: Value| {
        let mut event = structured(&row());
        event[name] = value;
        event.to_string()
    };
    let exceptions = "Cloud Event Exceptions: ";
    for (headers, body, text) in [
        (binary("ce-specversion", "2.0"), ROW.to_owned(), exceptions),
        (binary("ce-time", "yesterday"), ROW.to_owned(), exceptions),
        (binary("ce-id", ""), ROW.to_owned(), exceptions),
        (BINARY.to_vec(), "\u{1}avro".to_owned(), "Failed to decode or parse binary json cloudevent: "),
        (BINARY.to_vec(), String::new(), "Failed to decode or parse binary json cloudevent: "),
        (BINARY.to_vec(), r#"{"instances": 5}"#.to_owned(), "Expected \"instances\" to be a list"),
        (vec![STRUCTURED], changed("specversion", json!("0.1")), exceptions),
        (vec![STRUCTURED], changed("time", json!(5)), exceptions),
        (vec![STRUCTURED], changed("data", Value::Null), exceptions),
        (vec![STRUCTURED], changed("data_base64", json!("e30=")), exceptions),
        (vec![STRUCTURED], ROW.to_owned(), exceptions),
        (vec![STRUCTURED], "[]".to_owned(), exceptions),
        (vec![STRUCTURED], "{".to_owned(), "Unrecognized request format: "),
        (vec![STRUCTURED], changed("data", json!({"rows": 1})), "Missing 'inputs' or 'instances' key"),
    ] {
        let answer = post_with(&url, body.clone(), &headers).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(answer.json()["error"].as_str().unwrap().starts_with(text), "{body}: {}", answer.text);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(attributes(&answer), vec![], "{body}");
    }
    for other in
        ["application/cloudevents-batch+json", "application/cloudevents+avro", "application/cloudevents"]
    {
        let answer = post_with(&url, "[]", &[("content-type", other)]).await;
        assert_eq!(answer.status, 501, "{}", answer.text);
        assert!(answer.text.contains(other) && answer.text.contains(STRUCTURED.1), "{}", answer.text);
    }
    let unknown = post_with(&url.replace("iris", "nope"), ROW, &BINARY).await;
    assert_eq!((unknown.status, attributes(&unknown)), (404, vec![]));
}
