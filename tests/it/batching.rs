//! Requests of several callers in one prediction: over every protocol each gets its own rows, order, headers, id and error. And
//! however many models a process has, no more compute at once than there are cores.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use weir_proto::generated::inference::model_infer_request::InferInputTensor;
use weir_proto::generated::inference::{ModelInferRequest, ModelInferResponse};
use weir_sdk::host::{BatchOptions, Loaded, ModelHost, ModelOptions};
use weir_sdk::{
    Batching, Code, Data, DataType, Env, Error, Model, Pool, Process, Running, ServerFlags, Service,
    Signature, Sockets, Tensor, TensorSpec,
};

use crate::flags::Predictor;
use crate::grpc::Client;
use crate::harness::{Answer, client, get, manifest, mesh, post_with, root, shared, wait_for};

const LATE: Duration = Duration::from_secs(20);
/// Longer than any client here waits.
const HOUR: Duration = Duration::from_secs(3600);

/// What a [`Doubler`] was asked, and how far it may go.
#[derive(Clone)]
struct Watch {
    /// The first value of each row of each prediction.
    asked: Arc<Mutex<Vec<Vec<f32>>>>,
    /// A prediction goes on with a permit.
    go: Arc<Semaphore>,
    /// Cores that compute now, and the most there were.
    busy: Arc<(AtomicUsize, AtomicUsize)>,
}

impl Watch {
    fn new(permits: usize) -> Self {
        Self { asked: Arc::default(), go: Arc::new(Semaphore::new(permits)), busy: Arc::default() }
    }

    fn asked(&self) -> Vec<Vec<f32>> {
        self.asked.lock().unwrap().clone()
    }

    fn most(&self) -> usize {
        self.busy.1.load(Ordering::SeqCst)
    }
}

/// Doubles its rows, of two numbers each. A row with a negative number is refused.
struct Doubler {
    signature: Signature,
    watch: Watch,
    batching: Batching,
    threads: usize,
}

impl Doubler {
    fn new(watch: &Watch, batching: Batching, threads: usize) -> Self {
        let spec = |name: &str| TensorSpec::new(name, DataType::Fp32, [-1, 2]);
        let signature = Signature {
            platform: "doubler".to_owned(),
            inputs: vec![spec("x")],
            outputs: vec![spec("y")],
            ..Signature::default()
        };
        Self { signature, watch: watch.clone(), batching, threads }
    }
}

impl Model for Doubler {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], _: &[usize]) -> Result<Vec<Tensor>, Error> {
        let (busy, most) = &*self.watch.busy;
        let now = busy.fetch_add(self.threads, Ordering::SeqCst) + self.threads;
        most.fetch_max(now, Ordering::SeqCst);
        let Data::Fp32(values) = &inputs[0].data else { panic!("of another type") };
        self.watch.asked.lock().unwrap().push(values.iter().step_by(2).copied().collect());
        while self.watch.go.try_acquire().map(|it| it.forget()).is_err() {
            std::thread::yield_now();
        }
        busy.fetch_sub(self.threads, Ordering::SeqCst);
        if let Some(wrong) = values.iter().find(|it| **it < 0.0) {
            return Err(Error::new(Code::InvalidInput, format!("{wrong} is below nought")));
        }
        let doubled: Vec<f32> = values.iter().map(|it| it * 2.0).collect();
        Ok(vec![Tensor::new("y", inputs[0].shape.clone(), Data::Fp32(doubled.into()))])
    }

    fn cost(&self, _: usize) -> Duration {
        Duration::from_millis(1)
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn batching(&self) -> Batching {
        self.batching
    }
}

/// Serves a doubler as `m` in that pool.
async fn serve(doubler: Doubler, batching: BatchOptions, pool: &Pool) -> Running {
    let process = Process::default();
    let options = ModelOptions { batching, threads: 8, process: process.clone(), ..ModelOptions::new("m") };
    let model = Mutex::new(Some(doubler));
    let load = move || Ok(Loaded::unversioned(Box::new(model.lock().unwrap().take().unwrap())));
    let host = ModelHost::new(options, Box::new(load));
    host.load().unwrap();
    let flags = ServerFlags::loopback();
    let sockets = Sockets::bind(&flags, &Env::default()).await.unwrap();
    Service { handle: host, flags, background: None, process }.start_beside(sockets, pool)
}

fn asked_for(most_rows: usize, latency: Duration) -> BatchOptions {
    BatchOptions { asked: Some(true), most_rows, latency, ..BatchOptions::default() }
}

async fn v1(running: &Running, rows: Value, id: &str) -> Answer {
    let url = format!("http://{}/v1/models/m:predict", running.http);
    post_with(&url, json!({ "instances": rows }).to_string(), &[("x-request-id", id)]).await
}

async fn v2(running: &Running, data: Value, rows: usize, id: &str) -> Answer {
    let url = format!("http://{}/v2/models/m/infer", running.http);
    let input = json!({"name": "x", "datatype": "FP32", "shape": [rows, 2], "data": data});
    post_with(&url, json!({"id": id, "inputs": [input]}).to_string(), &[("x-request-id", id)]).await
}

/// Binary in, binary out: the numbers that come back.
async fn binary(running: &Running, row: [f32; 2]) -> Vec<f32> {
    let raw: Vec<u8> = row.iter().flat_map(|it| it.to_le_bytes()).collect();
    let parameters = json!({ "binary_data_size": raw.len() });
    let input = json!({"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": parameters});
    let head = json!({"inputs": [input], "parameters": {"binary_data_output": true}}).to_string();
    let url = format!("http://{}/v2/models/m/infer", running.http);
    let request = client().post(url).header("inference-header-content-length", head.len());
    let answer = request.body([head.as_bytes(), &raw].concat()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let head: usize = answer.headers()["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    let body = answer.bytes().await.unwrap();
    body[head..].chunks(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect()
}

async fn grpc(running: &Running, row: [f32; 2], id: &str) -> Result<ModelInferResponse, tonic::Status> {
    let input = InferInputTensor {
        name: "x".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 2],
        parameters: HashMap::new(),
        contents: None,
    };
    let raw: Vec<u8> = row.iter().flat_map(|it| it.to_le_bytes()).collect();
    let request = ModelInferRequest {
        model_name: "m".to_owned(),
        id: id.to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![raw.into()],
        ..ModelInferRequest::default()
    };
    Client::connect(running.grpc).await.ask("ModelInfer", request).await
}

async fn metrics(running: &Running) -> String {
    get(&format!("http://{}/metrics", running.admin.unwrap())).await.unwrap().text
}

/// Waits until so many requests are in flight.
async fn in_flight(running: &Running, count: usize) {
    let line = format!("weir_requests_in_flight {count}\n");
    wait_for(LATE, || async { metrics(running).await.contains(&line) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_in_one_batch_and_each_gets_its_own() {
    let watch = Watch::new(1);
    // Nobody asks this model to gather of itself; whoever runs it does.
    let model = Doubler::new(&watch, Batching::Even, 1);
    let running = serve(model, asked_for(6, HOUR), &Pool::default()).await;
    let (first, second, third, fourth, fifth) = tokio::join!(
        v1(&running, json!([[1, 1.5]]), "one"),
        v2(&running, json!([2, 2.5, 3, 3.5]), 2, "two"),
        binary(&running, [4.0, 4.5]),
        grpc(&running, [5.0, 5.5], "five"),
        v1(&running, json!([[6, 6.5]]), "six"),
    );
    // There was one permit only: all six rows came at once.
    let mut asked = watch.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    asked[0].sort_by(f32::total_cmp);
    assert_eq!(asked[0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(first.json()["predictions"], json!([[2.0, 3.0]]));
    assert_eq!(fifth.json()["predictions"], json!([[12.0, 13.0]]));
    let told = second.json();
    assert_eq!((&told["outputs"][0]["shape"], &told["id"]), (&json!([2, 2]), &json!("two")), "{told}");
    assert_eq!(told["outputs"][0]["data"], json!([4.0, 5.0, 6.0, 7.0]));
    for (answer, id) in [(&first, "one"), (&second, "two"), (&fifth, "six")] {
        assert_eq!((answer.status, answer.header("x-request-id")), (200, Some(id)));
    }
    assert_eq!(third, [8.0, 9.0]);
    let fourth = fourth.unwrap();
    let raw: Vec<u8> = [10.0_f32, 11.0].iter().flat_map(|it| it.to_le_bytes()).collect();
    assert_eq!((fourth.id.as_str(), &fourth.raw_output_contents[0][..]), ("five", &raw[..]));
    let told = metrics(&running).await;
    for line in [
        "weir_batch_rows_sum{model_name=\"m\"} 6.0",
        "weir_batch_requests_sum{model_name=\"m\"} 5.0",
        "weir_batch_requests_count{model_name=\"m\"} 1",
        "weir_queue_seconds_count{model_name=\"m\"} 5",
    ] {
        assert!(told.contains(line), "`{line}` is not in\n{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_costs_its_own_request() {
    let watch = Watch::new(100);
    let model = Doubler::new(&watch, Batching::Gains, 1);
    let running = serve(model, asked_for(4, HOUR), &Pool::default()).await;
    let (good, bad, worse, also) = tokio::join!(
        v1(&running, json!([[1, 1]]), "good"),
        v1(&running, json!([[-2, 1]]), "bad"),
        grpc(&running, [-3.0, 1.0], "worse"),
        grpc(&running, [4.0, 4.0], "also"),
    );
    assert_eq!((good.status, good.json()["predictions"].clone()), (200, json!([[2.0, 2.0]])));
    assert_eq!(bad.status, 400, "{}", bad.text);
    assert!(bad.text.contains("-2 is below nought"), "{}", bad.text);
    assert_eq!(bad.header("x-request-id"), Some("bad"));
    let worse = worse.unwrap_err();
    assert_eq!((worse.code(), worse.message()), (tonic::Code::InvalidArgument, "-3 is below nought"));
    assert_eq!(also.unwrap().id, "also");
    assert_eq!(watch.asked().iter().map(Vec::len).collect::<Vec<_>>(), [4, 1, 1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_is_not_computed_and_who_waits_goes_together_unasked() {
    let watch = Watch::new(0);
    let model = Doubler::new(&watch, Batching::Gains, 1);
    let running = Arc::new(serve(model, BatchOptions::default(), &Pool::new(1)).await);
    let ask = |value: f32| {
        let running = Arc::clone(&running);
        tokio::spawn(async move { v1(&running, json!([[value, 0]]), "r").await })
    };
    // One that is alone is asked for at once, though a batch may have 32 rows.
    let first = ask(1.0);
    wait_for(LATE, || async { watch.asked() == [[1.0]] }).await;
    let leaver = ask(2.0);
    in_flight(&running, 2).await;
    leaver.abort();
    in_flight(&running, 1).await;
    let others = [ask(3.0), ask(4.0)];
    in_flight(&running, 3).await;
    watch.go.add_permits(2);
    for answer in [first].into_iter().chain(others) {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    let mut asked = watch.asked();
    asked[1].sort_by(f32::total_cmp);
    assert_eq!(asked, [vec![1.0], vec![3.0, 4.0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_independent_rows_is_never_gathered() {
    let watch = Watch::new(100);
    let model = Doubler::new(&watch, Batching::Never, 1);
    let running = serve(model, asked_for(2, HOUR), &Pool::new(1)).await;
    let (a, b) = tokio::join!(v1(&running, json!([[1, 0]]), "a"), v1(&running, json!([[2, 0]]), "b"));
    assert_eq!((a.status, b.status), (200, 200));
    assert_eq!(watch.asked().iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_models_compute_on_the_cores_there_are() {
    let (pool, watch) = (Pool::new(2), Watch::new(0));
    let off = || BatchOptions { asked: Some(false), ..BatchOptions::default() };
    let mut models = Vec::new();
    // One of them has a library that splits its work over both cores.
    for threads in [1, 1, 2, 1] {
        let model = Doubler::new(&watch, Batching::Gains, threads);
        models.push(Arc::new(serve(model, off(), &pool).await));
    }
    let mut asked = Vec::new();
    for running in &models {
        for row in 0..4 {
            let running = Arc::clone(running);
            asked.push(tokio::spawn(async move { v1(&running, json!([[row, 0]]), "r").await }));
        }
    }
    for running in &models {
        in_flight(running, 4).await;
    }
    for _ in 0..asked.len() {
        watch.go.add_permits(1);
        tokio::task::yield_now().await;
    }
    for answer in asked {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    assert_eq!((watch.asked().len(), watch.most(), pool.busy()), (16, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifests_batcher_works_through_the_whole_chain() {
    let spec = format!(
        "  predictor:
    batcher: {{maxBatchSize: 4, maxLatency: 600000}}
    sklearn: {{storageUri: {}}}
  transformer:
    steps:
      - scale:
          mean: [5.843333333333335, 3.057333333333334, 3.7580000000000027, 1.199333333333334]
          scale: [0.8253012917851409, 0.43441096773549437, 1.7594040657753032, 0.7596926279021594]
      - labels: {{output: predict, names: [setosa, versicolor, virginica]}}",
        root().join("deploy/samples/models/iris").display()
    );
    let (_folder, file) = manifest("iris", &spec);
    let mesh = mesh(&file).await;
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    let ask = |rows: &str, id: &'static str| {
        let (url, body) = (url.clone(), format!("{{\"instances\": {rows}}}"));
        async move { post_with(&url, body, &[("x-request-id", id)]).await }
    };
    // One of three columns is refused by the transformer, and waits for nobody.
    let wrong = ask("[[1, 2, 3]]", "wrong").await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    // Three alone would wait ten minutes.
    let (setosa, both, versicolor) = tokio::join!(
        ask("[[5.1, 3.5, 1.4, 0.2]]", "a"),
        ask("[[6.8, 2.8, 4.8, 1.4], [7.7, 3.8, 6.7, 2.2]]", "b"),
        ask("[[6.8, 2.8, 4.8, 1.4]]", "c"),
    );
    assert_eq!(setosa.json()["predictions"], json!(["setosa"]), "{}", setosa.text);
    assert_eq!(both.json()["predictions"], json!(["versicolor", "virginica"]), "{}", both.text);
    assert_eq!(versicolor.json()["predictions"], json!(["versicolor"]), "{}", versicolor.text);
    for (answer, id) in [(&setosa, "a"), (&both, "b"), (&versicolor, "c")] {
        assert_eq!(answer.header("x-request-id"), Some(id));
    }
    let (_, predictor) = mesh.components().find(|(name, _)| name.starts_with("predictor")).unwrap();
    let told = metrics(predictor).await;
    assert!(told.contains("weir_batch_rows_sum{model_name=\"iris\"} 4.0"), "{told}");
    assert!(told.contains("weir_batch_requests_count{model_name=\"iris\"} 1"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tensorflow_servings_parameters_are_heeded_and_what_will_not_happen_is_logged() {
    let Some(folder) = shared("models/onnx/triton-simple") else { return };
    let parameters = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        parameters.path(),
        "max_batch_size { value: 3 }\nbatch_timeout_micros { value: 600000000 }\n",
    )
    .unwrap();
    let file = format!("--batching_parameters_file={}", parameters.path().display());
    let start = |model: String, file: String| async move {
        let args = ["--model_name=m", "--port=0", "--rest_api_port=0", "--enable_batching", &file, &model];
        Predictor::start(&args, &[]).await
    };
    // Its first dimension is open, and goes to the sum as it comes.
    let predictor = start(format!("--model_dir={}", folder.display()), file.clone()).await;
    let input = |name: &str, value: i32| json!({"name": name, "datatype": "INT32", "shape": [1, 16], "data": vec![value; 16]});
    let url = format!("{}/v2/models/m/infer", predictor.url);
    let ask = |value: i32| {
        let body = json!({"inputs": [input("INPUT0", value), input("INPUT1", 1)]}).to_string();
        post_with(&url, body, &[])
    };
    let (a, b, c) = tokio::join!(ask(1), ask(2), ask(3));
    for (answer, sum) in [(a, 2), (b, 3), (c, 4)] {
        assert_eq!(answer.json()["outputs"][0]["data"], json!(vec![sum; 16]), "{}", answer.text);
    }
    assert!(predictor.log().contains("requests are put together"), "{}", predictor.log());
    // Of this one's input not even the number of sizes is known.
    let unranked = root().join("predictor/testdata/onnxruntime/unranked.onnx");
    let predictor = start(format!("--model_dir={}", unranked.display()), file).await;
    assert!(predictor.log().contains("requests are not put together"), "{}", predictor.log());
}
