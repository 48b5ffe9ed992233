//! A model that another server holds: a predictor answers for it as it would itself, whoever that server is.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use weir_proto::generated::inference::model_infer_request::InferInputTensor;
use weir_proto::generated::inference::{ModelInferRequest, ModelInferResponse};
use weir_sdk::{
    BoxFuture, Call, Code, Env, Error, Face, Handle, InferResponse, Launch, Limits, Metadata, Metrics,
    ModelStatus, Origin, Payload, Running, Server, ServerFlags, Sockets, Verb,
};

use crate::clients::python;
use crate::harness::{get, manifest, mesh, post, post_with, root, wait_for};

const LATE: Duration = Duration::from_secs(20);
const IRIS: &str = r#"{"instances": [[6.8, 2.8, 4.8, 1.4], [5.1, 3.5, 1.4, 0.2]]}"#;

/// A predictor with these flags, once it is ready, or once it listens.
async fn predictor(args: &[String], until_ready: bool) -> Running {
    let launch = Launch { args: args.to_vec(), env: Env::default() };
    let mut service = weir_predictor::build(&launch).unwrap();
    service.flags = ServerFlags::loopback();
    let sockets = Sockets::bind(&service.flags, &Env::default()).await.unwrap();
    let running = service.start(sockets);
    let url = format!("http://{}/v2/health/ready", running.http);
    if until_ready {
        wait_for(LATE, || async { get(&url).await.is_ok_and(|it| it.status == 200) }).await;
    }
    running
}

fn standing_for(port: u16, name: &str, there: &str) -> Vec<String> {
    let flags =
        ["--model_name", name, "--upstream", &format!("grpc://127.0.0.1:{port}"), "--upstream_model", there];
    flags.map(str::to_owned).to_vec()
}

fn iris() -> Vec<String> {
    let folder = root().join("deploy/samples/models/iris").display().to_string();
    vec!["--model_name=iris".to_owned(), "--model_format=sklearn".to_owned(), format!("--model_dir={folder}")]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_for_a_weir_answers_as_that_one_over_every_protocol() {
    let behind = predictor(&iris(), true).await;
    let front = predictor(&standing_for(behind.http.port(), "flowers", "iris"), true).await;
    let (here, there) = (format!("http://{}", front.http), format!("http://{}", behind.http));
    let v1 = post(&format!("{here}/v1/models/flowers:predict"), IRIS).await;
    assert_eq!(v1.json(), post(&format!("{there}/v1/models/iris:predict"), IRIS).await.json(), "{}", v1.text);
    let body = json!({"id": "7", "inputs": [{"name": "input-0", "datatype": "FP64", "shape": [1, 4], "data": [6.8, 2.8, 4.8, 1.4]}]});
    let mut answers = Vec::new();
    for (base, name) in [(&here, "flowers"), (&there, "iris")] {
        let answer = post(&format!("{base}/v2/models/{name}/infer"), body.to_string()).await.json();
        assert_eq!(
            (answer["model_name"].as_str(), answer["id"].as_str()),
            (Some(name), Some("7")),
            "{answer}"
        );
        let told = get(&format!("{base}/v2/models/{name}")).await.unwrap().json();
        answers.push((
            answer["outputs"].clone(),
            told["inputs"].clone(),
            told["outputs"].clone(),
            told["platform"].clone(),
        ));
    }
    assert_eq!(answers[0], answers[1]);
    // What the upstream refuses keeps its status and text, and is the upstream's.
    let wrong =
        r#"{"inputs": [{"name": "input-0", "datatype": "FP64", "shape": [1, 3], "data": [1, 2, 3]}]}"#;
    let here_said = post(&format!("{here}/v2/models/flowers/infer"), wrong).await;
    let there_said = post(&format!("{there}/v2/models/iris/infer"), wrong).await;
    assert_eq!((here_said.status, &here_said.text), (there_said.status, &there_said.text));
    assert_eq!((here_said.status, here_said.header("x-error-origin")), (400, Some("upstream")));
    let answer = post(&format!("{here}/v1/models/flowers:classify"), r#"{"examples": [{"x": 1}]}"#).await;
    assert_eq!(answer.status, 501, "{}", answer.text);
    let answer = post(&format!("{here}/v2/models/flowers/versions/9/infer"), body.to_string()).await;
    assert_eq!((answer.status, answer.header("x-error-origin")), (404, Some("upstream")), "{}", answer.text);
    let answer = get(&format!("{here}/v2/models/iris")).await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_when_the_upstream_is() {
    let behind = predictor(&iris(), true).await;
    let port = behind.http.port();
    let front = predictor(&standing_for(port, "iris", "iris"), true).await;
    let url = format!("http://{}/v2/health/ready", front.http);
    drop(behind);
    wait_for(LATE, || async { get(&url).await.is_ok_and(|it| it.status == 503) }).await;
    let answer = post(&format!("http://{}/v1/models/iris:predict", front.http), IRIS).await;
    assert_eq!((answer.status, answer.header("x-error-origin")), (503, Some("upstream")), "{}", answer.text);
    let absent = predictor(&standing_for(port, "iris", "other"), false).await;
    let answer = get(&format!("http://{}/v2/models/iris/ready", absent.http)).await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text);
}

/// A server that notes what it hears, and answers nothing in time.
struct Slow(Mutex<Vec<(String, bool)>>);

impl Handle for Slow {
    fn component(&self) -> Origin {
        Origin::Predictor
    }

    fn verbs(&self) -> &[Verb] {
        &[Verb::Infer]
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Payload, Error>> {
        let trace = call.context.headers.iter().find(|(name, _)| name == "traceparent");
        let trace = trace.map(|(_, value)| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let bounded = call.context.deadline.is_some_and(|it| it < Instant::now() + Duration::from_secs(5));
        self.0.lock().unwrap().push((trace, bounded));
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Payload::of_response(Face::Tensors, InferResponse::default(), call.payload.form)
        })
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>> {
        Box::pin(std::future::ready(vec![ModelStatus::ready("slow", "1")]))
    }

    fn metadata<'a>(&'a self, model: &'a str, _: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        let told = Metadata { name: model.to_owned(), versions: vec!["1".to_owned()], ..Metadata::default() };
        Box::pin(std::future::ready(Ok(told)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_left_and_the_trace_travel() {
    let slow = Arc::new(Slow(Mutex::default()));
    let sockets = Sockets::bind(&ServerFlags::loopback(), &Env::default()).await.unwrap();
    let handle: Arc<dyn Handle> = slow.clone();
    let behind = Server::new(handle, Limits::default(), Metrics::new()).start(sockets);
    let front = predictor(&standing_for(behind.http.port(), "slow", "slow"), true).await;
    let body = r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}"#;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("traceparent", trace), ("x-request-timeout-ms", "200")];
    let answer = post_with(&format!("http://{}/v2/models/slow/infer", front.http), body, &headers).await;
    assert_eq!(answer.status, Code::Deadline.http(), "{}", answer.text);
    let heard = slow.0.lock().unwrap().clone();
    assert_eq!(heard, [(trace.to_owned(), true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_the_kind_triton_names_its_server() {
    let behind = predictor(&iris(), true).await;
    let spec = format!(
        "  predictor: {{triton: {{storageUri: 'gs://bucket/models', args: [--upstream=127.0.0.1:{}]}}}}",
        behind.http.port()
    );
    let (_folder, file) = manifest("iris", &spec);
    let mesh = mesh(&file).await;
    let answer = post(&format!("http://{}/v1/models/iris:predict", mesh.http()), IRIS).await;
    let wanted = post(&format!("http://{}/v1/models/iris:predict", behind.http), IRIS).await;
    assert_eq!(answer.json(), wanted.json(), "{}", answer.text);
    // Without one it is told what is missing.
    let runtime = weir_predictor::find("triton").unwrap();
    assert!(runtime.engine(&Env::default()).unwrap_err().contains("--upstream=HOST:PORT"));
}

/// KServe's Python server, its port and what it writes. Dropping it ends it.
struct KServe(Child, u16, tempfile::NamedTempFile);

impl KServe {
    fn start(python: std::path::PathBuf) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut child = Command::new(python)
            .arg(root().join("tests/clients/kserve_server.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        // It may log there: somebody reads on.
        std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
        let port = line.trim().parse().unwrap_or_else(|_| panic!("expected a port, met `{line}`"));
        Self(child, port, log)
    }
}

impl Drop for KServe {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
        if std::thread::panicking() {
            println!("it wrote: {}", std::fs::read_to_string(self.2.path()).unwrap_or_default());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kserves_python_server_is_stood_for() {
    let Some(python) = python() else { return };
    let server = KServe::start(python);
    let front = predictor(&standing_for(server.1, "scaled", "scale"), false).await;
    let url = format!("http://{}", front.http);
    // It imports for a while.
    wait_for(Duration::from_secs(120), || async {
        get(&format!("{url}/v2/health/ready")).await.is_ok_and(|it| it.status == 200)
    })
    .await;
    let told = get(&format!("{url}/v2/models/scaled")).await.unwrap().json();
    assert_eq!(told["inputs"][0], json!({"name": "x", "datatype": "FP32", "shape": [-1, 2]}), "{told}");
    let body = |x: f32| {
        json!({"inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [x, 2.0]},
            {"name": "words", "datatype": "BYTES", "shape": [2], "data": ["ab", "c"]}]})
    };
    let infer = format!("{url}/v2/models/scaled/infer");
    let answer = post(&infer, body(1.0).to_string()).await.json();
    assert_eq!(answer["outputs"][0]["data"], json!([3.0, 5.0]), "{answer}");
    assert_eq!(answer["outputs"][1]["data"], json!(["AB", "C"]), "{answer}");
    let answer = post(&infer, body(13.0).to_string()).await;
    assert!(answer.status == 400 && answer.text.contains("thirteen is not scaled"), "{}", answer.text);
    assert_eq!(answer.header("x-error-origin"), Some("upstream"));
    let columns = r#"{"instances": [{"x": [1.0, 2.0], "words": "q"}, {"x": [3, 4], "words": "r"}]}"#;
    let answer = post(&format!("{url}/v1/models/scaled:predict"), columns).await.json();
    assert_eq!(answer["predictions"][1], json!({"y": [7.0, 9.0], "upper": "R"}), "{answer}");
    check_grpc(&front).await;
}

/// Raw contents in and out.
async fn check_grpc(front: &Running) {
    let input = |name: &str, datatype: &str, shape: &[i64]| InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    };
    let numbers: Vec<u8> = [0.5_f32, -1.0].iter().flat_map(|it| it.to_le_bytes()).collect();
    let message = ModelInferRequest {
        model_name: "scaled".to_owned(),
        inputs: vec![input("x", "FP32", &[1, 2]), input("words", "BYTES", &[1])],
        raw_input_contents: vec![numbers.into(), b"\x02\0\0\0hi".to_vec().into()],
        ..ModelInferRequest::default()
    };
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", front.http)).unwrap();
    let mut client = Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/inference.GRPCInferenceService/ModelInfer");
    let codec: ProstCodec<ModelInferRequest, ModelInferResponse> = ProstCodec::default();
    let answer = client.unary(tonic::Request::new(message), path, codec).await.unwrap().into_inner();
    let wanted: Vec<u8> = [2.0_f32, -1.0].iter().flat_map(|it| it.to_le_bytes()).collect();
    assert_eq!(answer.raw_output_contents, [wanted, b"\x02\0\0\0HI".to_vec()]);
    assert_eq!(answer.model_name, "scaled");
}
