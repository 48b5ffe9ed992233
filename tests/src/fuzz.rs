//! What must hold for every parser of outside bytes, whatever the bytes: no panic, and what is accepted is understood the same
//! way when it is written down and read again. `tests/fuzz` runs these under libFuzzer, `tests/it/fuzz.rs` on mutated seeds.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use weir_explainer::background::Background;
use weir_predictor::runtime::sklearn::Sklearn;
use weir_predictor::runtime::xgboost::Xgboost;
use weir_predictor::runtime::{LoadOptions, Runtime};
use weir_proto::document::{self, Problems, Severity};
use weir_proto::oip::{self, Contents};
use weir_proto::{Data, InferRequest, InferResponse, Parameter, Parameters, Tensor, manifest, v1, v2};
use weir_sdk::Model;

/// Every parser of outside bytes.
pub static TARGETS: &[Target] = &[
    Target { name: "v1_request", check: v1_request, seeds: v1_seeds },
    Target { name: "v2_request", check: v2_request, seeds: v2_seeds },
    Target { name: "oip_request", check: oip_request, seeds: oip_request_seeds },
    Target { name: "oip_response", check: oip_response, seeds: oip_response_seeds },
    Target { name: "document", check: document, seeds: document_seeds },
    Target { name: "manifest", check: manifest, seeds: manifest_seeds },
    Target { name: "pickle", check: pickle, seeds: pickle_seeds },
    Target { name: "xgboost", check: xgboost, seeds: xgboost_seeds },
    Target { name: "background", check: background, seeds: background_seeds },
];

/// A parser and what must hold for it.
pub struct Target {
    /// Its name, which is also that of its binary in `tests/fuzz`.
    pub name: &'static str,
    /// Panics when what must hold does not; returns whether the bytes were accepted.
    pub check: fn(&[u8]) -> bool,
    /// Small samples to begin with, most of them valid.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Writes the seeds of a target to its corpus, where libFuzzer begins.
///
/// # Panics
/// When there is no such target, or the corpus cannot be written.
pub fn plant(name: &str) {
    let target = TARGETS.iter().find(|it| it.name == name).expect("every binary has a target");
    let corpus = repository().join("tests/fuzz/corpus").join(name);
    std::fs::create_dir_all(&corpus).expect("the corpus can be written");
    for (index, seed) in (target.seeds)().into_iter().enumerate() {
        std::fs::write(corpus.join(format!("seed-{index}")), seed).expect("the corpus can be written");
    }
}

/// V1 requests: rows come back as they were when an echo answers with them.
pub fn v1_request(data: &[u8]) -> bool {
    let Ok(request) = v1::decode_request(data) else { return false };
    // `[{}]` has rows, but no tensor that could tell how many.
    if request.inputs.is_empty() {
        return true;
    }
    let echo = InferResponse { outputs: request.inputs.clone(), ..InferResponse::default() };
    let answer = v1::encode_response(&echo).expect("what JSON said can be said in JSON");
    let again = [b"{\"instances\"", answer.strip_prefix(b"{\"predictions\"").expect("a V1 answer")].concat();
    let mut again = v1::decode_request(&again).expect("an echoed request is one").inputs;
    let mut inputs = request.inputs;
    if let ([input], [only]) = (inputs.as_mut_slice(), again.as_mut_slice()) {
        // A single column is answered without its name.
        only.name.clone_from(&input.name);
    }
    for tensor in inputs.iter_mut().chain(&mut again) {
        nulls(tensor);
    }
    assert_same(&inputs, &again);
    true
}

/// What is not finite is written as null, which is read as NaN.
fn nulls(tensor: &mut Tensor) {
    if let Data::Fp64(values) = &tensor.data {
        let finite = |&value: &f64| if value.is_finite() { value } else { f64::NAN };
        tensor.data = Data::Fp64(values.iter().map(finite).collect::<Vec<_>>().into());
    }
}

/// V2 requests: the same in JSON and in gRPC.
pub fn v2_request(data: &[u8]) -> bool {
    let Ok(request) = v2::decode_request(data) else { return false };
    grpc_keeps(&request);
    // JSON has no number for what is not finite, and an answer has no list of wanted outputs.
    if is_finite(&request) {
        let echo = InferResponse {
            id: request.id.clone(),
            parameters: request.parameters.clone(),
            outputs: request.inputs.clone(),
            ..InferResponse::default()
        };
        let answer = v2::encode_response(&echo).expect("what JSON said can be said in JSON");
        let text = std::str::from_utf8(&answer).expect("JSON is text");
        // Quotes inside of strings are escaped, and parameters are scalars: the first such key is the list of tensors.
        let again = text.replacen("\"outputs\":[", "\"inputs\":[", 1);
        let again = v2::decode_request(again.as_bytes()).expect("an echoed request is one");
        assert_same(&InferRequest { outputs: Vec::new(), ..request }, &again);
    }
    true
}

fn is_finite(request: &InferRequest) -> bool {
    let scalars =
        |it: &Parameters| !it.0.iter().any(|(_, it)| matches!(it, Parameter::Double(v) if !v.is_finite()));
    let numbers = |it: &Tensor| it.data.to_f64().is_none_or(|values| values.iter().all(|it| it.is_finite()));
    scalars(&request.parameters) && request.inputs.iter().all(|it| scalars(&it.parameters) && numbers(it))
}

/// A request comes back from its gRPC form, and its envelope tells the model.
fn grpc_keeps(request: &InferRequest) {
    let body = oip::encode_request("m", "1", request.clone());
    let envelope = oip::envelope(&body).expect("an encoded request has an envelope");
    assert_eq!((envelope.model.as_str(), envelope.version.as_str()), ("m", "1"));
    let mut want = request.clone();
    // Parameters are a map there: the last of equal keys counts, and there is no order.
    want.parameters = as_map(&want.parameters);
    want.inputs.iter_mut().for_each(|it| it.parameters = as_map(&it.parameters));
    want.outputs.iter_mut().for_each(|it| it.parameters = as_map(&it.parameters));
    assert_same(&want, &oip::decode_request(body).expect("an encoded request can be decoded"));
}

fn as_map(parameters: &Parameters) -> Parameters {
    let map: std::collections::BTreeMap<_, _> = parameters.0.iter().cloned().collect();
    Parameters(map.into_iter().collect())
}

/// gRPC requests, and what a router finds of them without decoding.
pub fn oip_request(data: &[u8]) -> bool {
    let body = Bytes::copy_from_slice(data);
    // It looks at fewer fields than the decoder, so it may accept more.
    let _ = oip::envelope(&body);
    let Ok(request) = oip::decode_request(body) else { return false };
    assert_whole(&request.inputs);
    grpc_keeps(&request);
    true
}

/// gRPC answers: the same with raw and with typed contents.
pub fn oip_response(data: &[u8]) -> bool {
    let Ok(response) = oip::decode_response(Bytes::copy_from_slice(data)) else { return false };
    assert_whole(&response.outputs);
    for contents in [Contents::Raw, Contents::Typed] {
        let body = oip::encode_response(response.clone(), contents);
        assert_same(&response, &oip::decode_response(body).expect("an encoded answer can be decoded"));
    }
    true
}

/// YAML and JSON documents: a document written as JSON is the same document.
pub fn document(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let problems = Problems::new("fuzz");
    let documents = document::parse(text, &problems);
    for node in &documents {
        let json = node.to_json();
        let again =
            document::parse_one(&json, "again").unwrap_or_else(|error| panic!("{}: {json}", error.message));
        assert_eq!(json, again.to_json());
    }
    !problems.has_errors()
}

/// Manifests: one without an error is complete.
pub fn manifest(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (services, problems) = manifest::parse("fuzz", text);
    if problems.iter().any(|it| it.severity == Severity::Error) {
        return false;
    }
    for service in &services {
        assert!(!service.name.is_empty());
        assert_eq!(service.revisions.iter().map(|it| u32::from(it.weight)).sum::<u32>(), 100, "{service:?}");
    }
    !services.is_empty()
}

/// scikit-learn files.
pub fn pickle(data: &[u8]) -> bool {
    load(&Sklearn, "joblib", data)
}

/// XGBoost files.
pub fn xgboost(data: &[u8]) -> bool {
    load(&Xgboost, "bst", data)
}

/// Files of background data: columns of one length, each with a name.
pub fn background(data: &[u8]) -> bool {
    let file = scratch("csv", data);
    let read = Background::read(&file, 100);
    // Fails only when somebody else has removed it.
    let _ = std::fs::remove_file(file);
    let Ok(read) = read else { return false };
    assert_eq!(read.names.len(), read.columns.len());
    let rows = read.columns.first().map_or(0, |it| it.len());
    assert!(rows <= 100 && read.columns.iter().all(|it| it.len() == rows));
    true
}

/// Loads a model and asks it once: what its signature promises must hold.
fn load(runtime: &dyn Runtime, ending: &str, data: &[u8]) -> bool {
    let file = scratch(ending, data);
    let loaded = runtime.load(&file, &LoadOptions::default());
    // Fails only when somebody else has removed it.
    let _ = std::fs::remove_file(file);
    let Ok(model) = loaded else { return false };
    predict(model.as_ref());
    true
}

fn predict(model: &dyn Model) {
    let signature = model.signature();
    let [spec] = signature.inputs.as_slice() else {
        panic!("one input expected, met {:?}", signature.inputs)
    };
    let [rows, features] = spec.shape.as_slice() else {
        panic!("rows of features expected, met {:?}", spec.shape)
    };
    assert_eq!(*rows, -1);
    let features = usize::try_from(*features).expect("a model has a number of features");
    // What a model of many features costs is known before it is asked; here it would only cost time.
    if features > 4096 {
        return;
    }
    for value in [0.0, -1.5, f64::NAN] {
        let mut request = InferRequest::of(vec![Tensor::fp64("", [2, features], vec![value; 2 * features])]);
        let all: Vec<_> = (0..signature.outputs.len()).collect();
        // No model is without features, and an input without values is refused.
        let Ok(inputs) = signature.bind(&mut request) else { return };
        let Ok(outputs) = model.predict(&inputs, &all) else { continue };
        assert_whole(&outputs);
        for (output, spec) in outputs.iter().zip(&signature.outputs) {
            assert_eq!((output.rows(), output.datatype()), (2, spec.datatype), "output `{}`", spec.name);
        }
    }
    let _ = model.cost(usize::MAX);
}

/// Every tensor has as many elements as its shape says.
fn assert_whole(tensors: &[Tensor]) {
    for it in tensors {
        assert_eq!(weir_proto::tensor::elements(&it.shape), Some(it.data.len()), "tensor `{}`", it.name);
    }
}

/// Compares by what is shown, for which NaN is NaN.
#[track_caller]
fn assert_same<T: Debug>(left: &T, right: &T) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
}

/// A file with those bytes, one for each thread.
fn scratch(ending: &str, data: &[u8]) -> PathBuf {
    let name = format!("weir-fuzz-{}-{:?}.{ending}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, data).expect("a temporary file can be written");
    file
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository")
}

fn v1_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"instances": [[6.8, 2.8, 4.8, 1.4], [6, 3.4, -4.5e-3, null]]}"#,
        r#"{"instances": [{"a": 1, "b": "x\n\u00e9"}, {"b": "y", "a": 2.5}], "parameters": {"k": true, "n": [1]}}"#,
        r#"{"inputs": [[[1], [2]], [[3], [9007199254740993]]], "signature_name": {"x": [{}]}}"#,
        r#"{"instances": [true, false]}"#,
        r#"{"instances": [[], []], "parameters": {"a": 18446744073709551615, "b": 0.5}}"#,
    ])
}

fn v2_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"id": "7", "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2.5], [3, NaN]]}]}"#,
        r#"{"inputs": [{"data": [1, -2], "shape": [2], "name": "i", "datatype": "INT8", "parameters": {"k": 1.5}}],
            "outputs": [{"name": "y", "parameters": {"classification": 3}}], "parameters": {"p": "q"}}"#,
        r#"{"inputs": [{"name": "s", "shape": [1, 2], "datatype": "BYTES", "data": [["a", "\u00e9\""]]},
                       {"name": "b", "shape": [2], "datatype": "BOOL", "data": [true, false]},
                       {"name": "u", "shape": [1], "datatype": "UINT64", "data": [18446744073709551615]}]}"#,
        r#"{"inputs": [{"name": "x", "shape": [0, 4], "datatype": "FP64", "data": []}]}"#,
    ])
}

fn oip_request_seeds() -> Vec<Vec<u8>> {
    let requests = v2_seeds().into_iter().filter_map(|it| v2::decode_request(&it).ok());
    requests.map(|it| oip::encode_request("iris", "2", it).to_vec()).chain(typed_seeds()).collect()
}

fn oip_response_seeds() -> Vec<Vec<u8>> {
    let requests = v2_seeds().into_iter().filter_map(|it| v2::decode_request(&it).ok());
    let answers = requests.map(|it| InferResponse {
        model_name: "iris".to_owned(),
        id: it.id,
        parameters: it.parameters,
        outputs: it.inputs,
        ..InferResponse::default()
    });
    let written =
        |it: InferResponse| [Contents::Raw, Contents::Typed].map(|how| oip::encode_response(it.clone(), how));
    answers.flat_map(written).map(|it| it.to_vec()).collect()
}

/// A request with typed contents: a tensor `x` of shape [2] and datatype FP32. Nothing here encodes such requests.
fn typed_seeds() -> [Vec<u8>; 1] {
    let contents = [&[0x32, 8][..], &1.5_f32.to_le_bytes(), &2.5_f32.to_le_bytes()].concat();
    let tensor = [b"\x0a\x01x\x12\x04FP32\x1a\x01\x02\x2a", &[contents.len() as u8][..], &contents].concat();
    [[b"\x0a\x04iris\x2a", &[tensor.len() as u8][..], &tensor].concat()]
}

fn document_seeds() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        "a: &x [1, 0x1f, -2.5e3, .nan, ~, yes]\nb: {<<: {c: 1}, d: *x}\n--- # two\n? k\n: |\n  text\n  more\n",
        "- 'it''s'\n- \"\\u00e9\\n\"\n- !!str 12\n- >-\n  folded\n  text\n- {a: [], b: {}}\n...\n",
        r#"{"a": [1, 2.0, true, null, "\ud83d\ude00"], "b": {"c": "d"}}"#,
    ]);
    seeds.extend(manifest_seeds());
    seeds
}

fn manifest_seeds() -> Vec<Vec<u8>> {
    let mut seeds = files("deploy/samples", &["yaml"]);
    seeds.extend(texts(&[
        "apiVersion: serving.kubeflow.org/v1alpha2\nkind: InferenceService\nmetadata: {name: old, namespace: n}\nspec:\n  \
         default: {predictor: {sklearn: {storageUri: models/iris, resources: {limits: {cpu: 1}}}}}\n  \
         canaryTrafficPercent: 10\n  canary: {predictor: {xgboost: {storageUri: models/b}}}\n",
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: m}\nspec:\n  predictor:\n    \
         timeout: 5\n    containers: [{name: kserve-container, image: r/weir-predictor:1, args: [--model_name, m], \
         env: [{name: STORAGE_URI, value: models/iris}], ports: [{containerPort: 8080}]}]\n",
    ]));
    seeds
}

fn pickle_seeds() -> Vec<Vec<u8>> {
    let mut seeds = files("deploy/samples/models/iris", &["joblib"]);
    seeds.extend(files("predictor/testdata/sklearn", &["joblib", "pkl"]));
    seeds
}

fn xgboost_seeds() -> Vec<Vec<u8>> {
    files("predictor/testdata/xgboost", &["json", "ubj"])
}

fn background_seeds() -> Vec<Vec<u8>> {
    let mut seeds = files("deploy/samples/models", &["csv"]);
    seeds.extend(texts(&["a,b\n1,x\n,\"y, z\"\n", "\u{feff}a;b\r\n1;2\r\n", "a\n\n"]));
    seeds
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|it| it.as_bytes().to_vec()).collect()
}

/// The small files below a folder of the repository, in the order of their names.
fn files(folder: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let mut folders = vec![repository().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.filter_map(|it| Some(it.ok()?.path())) {
            let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if endings.contains(&ending) && path.metadata().is_ok_and(|it| it.len() <= 8 << 10) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.iter().filter_map(|it| std::fs::read(it).ok()).collect()
}
