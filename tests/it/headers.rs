//! Which headers travel: through every hop and no further than a route lets them, and none back to the client.

use std::sync::{Arc, Mutex};

use prost::Message;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use weir_proto::generated::inference::{ModelInferRequest, ModelInferResponse};
use weir_sdk::{
    BoxFuture, Call, Env, Error, Handle, HeaderList, Launch, Limits, Metadata, Metrics, ModelStatus, Origin,
    Payload, Running, Server, ServerFlags, Sockets, Travellers, Verb,
};

use crate::harness::{Answer, get, manifest, post_with, root, wait_for, weir};

const BODY: &str = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a client sends beside its body.
const SENT: [(&str, &str); 18] = [
    ("x-request-id", "id-7"),
    ("traceparent", TRACE),
    ("tracestate", "a=1"),
    ("tracestate", "b=2"),
    ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
    ("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7"),
    ("x-b3-spanid", "e457b5a2e4d86bd1"),
    ("x-b3-parentspanid", "05e3ac9a4f6e3b90"),
    ("x-b3-sampled", "1"),
    ("authorization", "Bearer secret"),
    ("cookie", "session=1"),
    ("x-tenant-id", "7"),
    ("x-tenant-name", "seven"),
    ("x-other", "no"),
    ("x-weir-explaining", "1"),
    ("x-weir-secret", "1"),
    ("proxy-authorization", "Basic x"),
    ("forwarded", "for=1.2.3.4"),
];
const TRACES: [&str; 8] = [
    "b3",
    "traceparent",
    "tracestate",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-request-id",
];

/// A call, as a service heard it.
#[derive(Debug, Clone)]
struct Heard {
    component: Origin,
    verb: Verb,
    model: String,
    explaining: bool,
    headers: Vec<(String, String)>,
}

impl Heard {
    /// The names of the headers, each once.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(it, _)| it == name).map(|(_, value)| value.as_str()).collect()
    }
}

type Log = Arc<Mutex<Vec<Heard>>>;

/// A service that notes what it hears, and answers as the one behind it.
struct Recorder {
    inner: Arc<dyn Handle>,
    log: Log,
}

impl Handle for Recorder {
    fn component(&self) -> Origin {
        self.inner.component()
    }

    fn verbs(&self) -> &[Verb] {
        self.inner.verbs()
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Payload, Error>> {
        let headers = call.context.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        self.log.lock().unwrap().push(Heard {
            component: self.component(),
            verb: call.verb,
            model: call.model.clone(),
            explaining: call.context.explaining,
            headers: headers.collect(),
        });
        self.inner.call(call)
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>> {
        self.inner.models()
    }

    fn metadata<'a>(&'a self, model: &'a str, version: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        self.inner.metadata(model, version)
    }
}

/// A router, and behind it two models with all that a service may have: `open` lets more travel, `shut` less.
struct Chain {
    router: Running,
    _others: Vec<Running>,
    log: Log,
}

impl Chain {
    async fn start() -> Self {
        let log = Log::default();
        let flags = ServerFlags::loopback();
        let door = Sockets::bind(&flags, &Env::default()).await.unwrap();
        let (mut others, mut routes) = (Vec::new(), Vec::new());
        for (name, headers) in [
            ("open", "propagate_headers: \"Authorization, x-tenant-*\", drop_headers: x-tenant-name"),
            ("shut", "drop_headers: \"tracestate, b3, x-b3-*\""),
        ] {
            let samples = root().join("deploy/samples/models");
            let launches = [
                ("predictor", vec![format!("--model_dir={}/iris", samples.display())]),
                ("transformer", vec!["--steps=[{labels: {output: predict, names: [a, b, c]}}]".to_owned()]),
                (
                    "explainer",
                    vec![
                        "--config={output: predict_proba}".to_owned(),
                        format!("--storage_uri={}/iris-explainer", samples.display()),
                        format!("--predictor_host={}", door.http_addr()),
                        "--propagate_headers=authorization,x-tenant-*".to_owned(),
                    ],
                ),
            ];
            let mut hosts = Vec::new();
            for (kind, mut args) in launches {
                args.push(format!("--model_name={name}"));
                let running = recorded(kind, args, &log).await;
                hosts.push(format!("{kind}: \"{}\"", running.http));
                others.push(running);
            }
            routes.push(format!("{{name: {name}, {headers}, {}}}", hosts.join(", ")));
        }
        let args = vec![format!("--routes=[{}]", routes.join(", "))];
        let service = weir_router::build(&Launch { args, env: Env::default() }).unwrap();
        let chain = Self { router: service.start(door), _others: others, log };
        let ready = chain.url("/v2/health/ready");
        wait_for(std::time::Duration::from_secs(20), || async {
            get(&ready).await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        chain
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.router.http)
    }

    fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

/// Starts a service that hears every header there is and notes it.
async fn recorded(kind: &str, args: Vec<String>, log: &Log) -> Running {
    let launch = Launch { args, env: Env::default() };
    let service = match kind {
        "predictor" => weir_predictor::build(&launch),
        "transformer" => weir_transformer::build(&launch),
        _ => weir_explainer::build(&launch),
    };
    let service = service.unwrap();
    let sockets = Sockets::bind(&ServerFlags::loopback(), &Env::default()).await.unwrap();
    // An explainer asks on with what its own flags let through; the others are the last to hear a header.
    let travellers = if kind == "explainer" {
        (&service.flags).into()
    } else {
        let propagate = HeaderList::to_propagate("*, authorization, cookie").unwrap();
        Travellers { propagate, ..Travellers::default() }
    };
    let recorder = Recorder { inner: service.handle, log: Arc::clone(log) };
    if let Some(work) = service.background {
        tokio::task::spawn_blocking(work);
    }
    Server::new(Arc::new(recorder), Limits::default(), Metrics::new()).propagating(travellers).start(sockets)
}

/// The answer has no header of the request but the request's id.
fn echoes_nothing(answer: &Answer) {
    let names: Vec<_> = answer.headers.keys().map(|it| it.as_str()).collect();
    for (name, _) in SENT.iter().filter(|(name, _)| *name != "x-request-id") {
        assert!(!names.contains(name), "{name} comes back with {names:?}");
    }
    let known = ["content-type", "content-length", "date", "x-request-id", "x-error-origin"];
    assert!(names.iter().all(|it| known.contains(it)), "{names:?}");
    if answer.status == 200 {
        assert_eq!(answer.header("x-request-id"), Some("id-7"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_travel_through_every_hop_as_far_as_their_route_lets_them() {
    let chain = Chain::start().await;
    let mut open = TRACES.to_vec();
    open.extend(["authorization", "x-tenant-id"]);
    open.sort_unstable();
    let shut = vec!["traceparent", "x-request-id"];
    for (model, wanted) in [("open", &open), ("shut", &shut)] {
        for (path, body, explains) in [
            (format!("/v1/models/{model}:predict"), BODY, false),
            (format!("/v1/models/{model}:explain"), BODY, true),
            (
                format!("/v2/models/{model}/infer"),
                r#"{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [6.8, 2.8, 4.8, 1.4]}]}"#,
                false,
            ),
        ] {
            let answer = post_with(&chain.url(&path), body, &SENT).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            echoes_nothing(&answer);
            let heard = chain.heard();
            let predictor = heard.iter().filter(|it| it.component == Origin::Predictor).count();
            assert!(predictor > 0 && heard.len() > 1, "{path}: {heard:?}");
            for it in &heard {
                assert_eq!(it.model, model);
                assert_eq!(&it.names(), wanted, "{path}: {it:?}");
                assert_eq!(it.values("x-request-id"), ["id-7"]);
                assert_eq!(it.values("traceparent"), [TRACE]);
                let states: &[&str] = if model == "open" { &["a=1", "b=2"] } else { &[] };
                assert_eq!(it.values("tracestate"), states);
                // What the client says of itself does not count: only the explainer's own questions are marked.
                let asked = explains && it.verb != Verb::Explain;
                assert_eq!(it.explaining, asked, "{path}: {it:?}");
            }
        }
        // What fails tells no more than what succeeds.
        let bad = post_with(&chain.url(&format!("/v1/models/{model}:predict")), "{", &SENT).await;
        assert_eq!(bad.status, 400, "{}", bad.text);
        echoes_nothing(&bad);
        chain.heard();
    }
    let unknown = post_with(&chain.url("/v1/models/nope:predict"), BODY, &SENT).await;
    assert_eq!(unknown.status, 404);
    echoes_nothing(&unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_grpc_headers_travel_alike_and_none_comes_back() {
    let chain = Chain::start().await;
    let channel = tonic::transport::Endpoint::from_shared(chain.url("")).unwrap().connect().await.unwrap();
    let mut client = Grpc::new(channel);
    for (model, good) in [("open", true), ("nope", false)] {
        client.ready().await.unwrap();
        let mut request = tonic::Request::new(request(model));
        for (name, value) in SENT.iter().filter(|(name, _)| *name != "x-weir-secret") {
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        let path = "/inference.GRPCInferenceService/ModelInfer".parse().unwrap();
        let codec: ProstCodec<ModelInferRequest, ModelInferResponse> = ProstCodec::default();
        let outcome = client.unary(request, path, codec).await;
        assert_eq!(outcome.is_ok(), good, "{outcome:?}");
        let told = match &outcome {
            Ok(answer) => answer.metadata(),
            Err(status) => status.metadata(),
        };
        let names: Vec<_> = told.clone().into_headers().keys().map(ToString::to_string).collect();
        for (name, _) in SENT.iter().filter(|(name, _)| *name != "x-request-id") {
            assert!(!names.iter().any(|it| it == name), "{name} comes back with {names:?}");
        }
    }
    let heard = chain.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    for it in heard {
        assert!(!it.explaining && it.values("authorization") == ["Bearer secret"], "{it:?}");
        assert_eq!((it.values("cookie").len(), it.values("tracestate")), (0, vec!["a=1", "b=2"]));
    }
}

fn request(model: &str) -> ModelInferRequest {
    let mut body = Vec::new();
    let input = weir_proto::generated::inference::model_infer_request::InferInputTensor {
        name: "input-0".to_owned(),
        datatype: "FP64".to_owned(),
        shape: vec![1, 4],
        ..Default::default()
    };
    let raw: Vec<u8> = [6.8_f64, 2.8, 4.8, 1.4].iter().flat_map(|it| it.to_le_bytes()).collect();
    let message = ModelInferRequest {
        model_name: model.to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![raw.into()],
        ..ModelInferRequest::default()
    };
    message.encode(&mut body).unwrap();
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_it_explains_is_counted_all_the_same() {
    let mesh = crate::harness::mesh("deploy/samples/iris.yaml").await;
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    assert_eq!(post_with(&url, BODY, &[("x-weir-explaining", "1")]).await.status, 200);
    let scraped = get(&format!("http://{}/metrics", mesh.router().admin.unwrap())).await.unwrap().text;
    let line = "weir_requests_total{model_name=\"iris\",verb=\"infer\",protocol=\"v1\",code=\"ok\"} 1";
    assert!(scraped.contains(line), "`{line}` is not in\n{scraped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifests_annotations_reach_its_route_and_its_components() {
    let samples = root().join("deploy/samples/models");
    let spec = format!("  predictor: {{sklearn: {{storageUri: {}/iris}}}}", samples.display());
    let (_folder, file) = manifest("iris", &spec);
    let text = std::fs::read_to_string(&file).unwrap();
    let annotated = |name: &str, value: &str| {
        let metadata = format!("{{name: iris, annotations: {{other/x: 1, {name}: \"{value}\"}}}}");
        std::fs::write(&file, text.replace("{name: iris}", &metadata)).unwrap();
    };
    annotated("serving.weir.dev/propagate-headers", "authorization, x-tenant-*");
    let plan = weir::Plan::of_files(std::slice::from_ref(&file)).unwrap();
    let service = &plan.services[0];
    assert_eq!(service.propagate_headers.to_string(), "authorization,x-tenant-*");
    let args = &service.revisions[0].components[0].launch.args;
    assert!(args.contains(&"--propagate_headers=authorization,x-tenant-*".to_owned()), "{args:?}");
    let mesh = crate::harness::mesh(&file).await;
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    assert_eq!(post_with(&url, BODY, &SENT).await.status, 200);

    for (name, value, part) in [
        ("serving.weir.dev/propagate-headers", "te", "`te` never travels"),
        ("serving.weir.dev/drop-headers", "a b", "`a b` is no header's name"),
        ("serving.weir.dev/drop-heders", "b3", "unknown annotation; known are"),
    ] {
        annotated(name, value);
        let out = weir().args(["validate", "-f"]).arg(&file).output().unwrap();
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{told}");
        assert!(told.contains(":3:") && told.contains(name) && told.contains(part), "{told}");
    }
}
