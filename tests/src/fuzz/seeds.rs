//! What fuzzing begins with: small samples, most of them valid.

use prost::Message;
use weir_predictor::runtime::python::frame::{Frame, Kind};
use weir_proto::generated::mesh;
use weir_proto::oip::{self, Contents};
use weir_proto::{Data, DecodeLimits, Face, Form, InferRequest, InferResponse, Layout, Method, Tensor, v2};

use super::repository;

pub(super) fn jsons() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        r#"[0, -0, 1.5, -2.5e-3, 9007199254740993, 18446744073709551615, 1e308, 5e-324, 2.2250738585072011e-308]"#,
        r#"["\u00e9\ud83d\ude00\n\/", "é😀", {"a": null, "b": [true, false, NaN, -Infinity]}]"#,
        "16777217 3.4028235677973366e38 1.17549435e-38 7.0064923216240853546186479164495807e-46 123456789012345678901234567890.5e-10",
        "[1,2,3,4,5.25,6,-7,8888888888888888,99999999999999999,0.1,0.30000000000000004,1e23,8.5,9.5]",
    ]);
    seeds.extend(v1_requests());
    seeds
}

pub(super) fn v1_requests() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"inputs": {"a": [[1, 2.5]], "b_bytes": [{"b64": "//4="}, "x"], "c": true}}"#,
        r#"{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "x", "data": {"instances": [{"b64": "eA=="}]}}"#,
        r#"{"instances": [[6.8, 2.8, 4.8, 1.4], [6, 3.4, -4.5e-3, null]]}"#,
        r#"{"instances": [{"a": 1, "b": "x\n\u00e9"}, {"b": "y", "a": 2.5}], "parameters": {"k": true, "n": [1]}}"#,
        r#"{"inputs": [[[1], [2]], [[3], [9007199254740993]]], "signature_name": "s", "x": [{}]}"#,
        r#"{"instances": [true, false]}"#,
        r#"{"signature_name": "s", "context": {"c": [5, null]}, "examples": [{"a": [1, 2], "t": true}, {"a": [3, 4], "t": false, "c": [1, 2]}]}"#,
        r#"{"instances": [[], []], "parameters": {"a": 18446744073709551615, "b": 0.5}}"#,
    ])
}

pub(super) fn v2_requests() -> Vec<Vec<u8>> {
    let mut seeds = vec![mixed()];
    seeds.extend(v2_texts());
    seeds
}

/// Raw tensors behind the JSON and numbers inside it; the byte 0xff parts them.
fn mixed() -> Vec<u8> {
    let json = br#"{"inputs": [
        {"name": "a", "shape": [2], "datatype": "FP16", "parameters": {"binary_data_size": 4}},
        {"name": "b", "shape": [1], "datatype": "INT8", "data": [7]},
        {"name": "c", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 9, "k": 1}},
        {"name": "d", "shape": [1], "datatype": "BYTES", "data": ["eA=="], "parameters": {"content_type": "base64"}}],
        "outputs": [{"name": "y", "parameters": {"binary_data": false}}], "parameters": {"binary_data_output": true}}"#;
    [json, &b"\xff\x00\x3c\x00\x40\x01\0\0\0x\0\0\0\0"[..]].concat()
}

fn v2_texts() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"id": "7", "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2.5], [3, NaN]]}]}"#,
        r#"{"inputs": [{"data": [1, -2], "shape": [2], "name": "i", "datatype": "INT8", "parameters": {"k": 1.5}}],
            "outputs": [{"name": "y", "parameters": {"classification": 3}}], "parameters": {"p": "q"}}"#,
        r#"{"inputs": [{"name": "s", "shape": [1, 2], "datatype": "BYTES", "data": [["a", "\u00e9\""]]},
                       {"name": "b", "shape": [2], "datatype": "BOOL", "data": [true, false]},
                       {"name": "u", "shape": [1], "datatype": "UINT64", "data": [18446744073709551615]}]}"#,
        r#"{"inputs": [{"name": "x", "shape": [0, 4], "datatype": "FP64", "data": []}]}"#,
        // The second shape was taken and the data had been read by the first.
        r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [7], "shape": [2]}]}"#,
    ])
}

/// Requests for the iris sample: as a matrix, as columns, and with a shape that promises more rows than there are.
pub(super) fn iris_requests() -> Vec<Vec<u8>> {
    let columns = |rest: &str| {
        let names = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
        let inputs: Vec<_> = names.iter().map(|it| format!(r#"{{"name":"{it}",{rest}}}"#)).collect();
        format!(r#"{{"inputs":[{}]}}"#, inputs.join(","))
    };
    let mut seeds = texts(&[
        r#"{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [6.8, 2.8, 4.8, 1.4]}]}"#,
        r#"{"inputs": [{"name": "a", "shape": [2], "datatype": "INT64", "data": [1, -128]},
                       {"name": "b", "shape": [1, 2], "datatype": "BYTES", "data": ["x", "y"]}]}"#,
    ]);
    seeds.push(columns(r#""shape":[2],"datatype":"FP32","data":[4.8,NaN]"#).into_bytes());
    seeds.push(columns(r#""shape":[2,1],"datatype":"BYTES","data":["x","y"]"#).into_bytes());
    seeds.push(columns(r#""shape":[1000000000000,0],"datatype":"INT32","data":[]"#).into_bytes());
    seeds
}

fn decode(body: Vec<u8>) -> Option<InferRequest> {
    v2::decode_request(&body.into(), None, "m", &DecodeLimits::default()).ok().map(|(request, _)| request)
}

pub(super) fn oip_requests() -> Vec<Vec<u8>> {
    let requests = v2_texts().into_iter().filter_map(decode);
    requests.map(|it| oip::encode_request("iris", "2", it).to_vec()).chain(typed_request()).collect()
}

pub(super) fn oip_responses() -> Vec<Vec<u8>> {
    let requests = v2_texts().into_iter().filter_map(decode);
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

/// Calls in every face, and answers to them.
pub(super) fn calls() -> Vec<Vec<u8>> {
    let call = |face: Face, want: Face, body: Vec<u8>, json_length: Option<usize>, form: Form| {
        let call = mesh::Call {
            model: "m".to_owned(),
            version: String::new(),
            face: mesh::Face::from(face).into(),
            want: mesh::Face::from(want).into(),
            body: body.into(),
            json_length: json_length.map(|it| it as u64),
            form: form.to_wire(),
        };
        call.encode_to_vec()
    };
    let mut seeds = Vec::new();
    for (at, body) in v1_requests().into_iter().enumerate() {
        let method = if at % 2 == 0 { Method::Predict } else { Method::Classify };
        let form = Form { method, layout: Layout::Columns, tokens: true, ..Form::default() };
        seeds.push(call(Face::V1, Face::V1, body, None, form));
    }
    let cut = mixed().iter().position(|&it| it == 0xff);
    let body: Vec<u8> = mixed().into_iter().filter(|&it| it != 0xff).collect();
    seeds.push(call(Face::V2, Face::V2, body.clone(), cut, Form::default()));
    let outputs = vec![("a".to_owned(), true)];
    seeds.push(call(
        Face::V2,
        Face::V2,
        body,
        Some(0),
        Form { raw: true, binary: true, outputs, ..Form::default() },
    ));
    let messages = oip_requests().into_iter();
    seeds.extend(messages.map(|it| call(Face::Tensors, Face::V2, it, None, Form::default())));
    let answer = |body: Vec<u8>| mesh::Answer {
        face: mesh::Face::Tensors.into(),
        body: body.into(),
        json_length: None,
        form: Form { layout: Layout::Columns, ..Form::default() }.to_wire(),
    };
    seeds.extend(oip_responses().into_iter().map(|it| answer(it).encode_to_vec()));
    seeds
}

/// A request with typed contents: a tensor `x` of shape [2] and datatype FP32. Nothing here encodes such requests.
fn typed_request() -> [Vec<u8>; 1] {
    let contents = [&[0x32, 8][..], &1.5_f32.to_le_bytes(), &2.5_f32.to_le_bytes()].concat();
    let tensor = [b"\x0a\x01x\x12\x04FP32\x1a\x01\x02\x2a", &[contents.len() as u8][..], &contents].concat();
    [[b"\x0a\x04iris\x2a", &[tensor.len() as u8][..], &tensor].concat()]
}

pub(super) fn documents() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        "a: &x [1, 0x1f, -2.5e3, .nan, ~, yes]\nb: {<<: {c: 1}, d: *x}\n--- # two\n? k\n: |\n  text\n  more\n",
        "- 'it''s'\n- \"\\u00e9\\n\"\n- !!str 12\n- >-\n  folded\n  text\n- {a: [], b: {}}\n...\n",
        r#"{"a": [1, 2.0, true, null, "\ud83d\ude00"], "b": {"c": "d"}}"#,
    ]);
    seeds.extend(manifests());
    seeds
}

pub(super) fn model_configs() -> Vec<Vec<u8>> {
    texts(&[
        "model_config_list {\n  config {\n    name: 'a'  # one\n    base_path: \"/m/a\"\n    model_platform: 'tensorflow'\n    \
         model_version_policy { specific { versions: 1 versions: 2 } }\n    version_labels { key: 'stable' value: 1 }\n  }\n}\n",
        "model_config_list: < config: [{name: 'a', base_path: 'x\\n\\x41' 'y'; model_version_policy {latest {num_versions: 2}}}, \
         {name: 'b' base_path: 'z' model_version_policy {all: {}}}] >",
        "a: -1.5e3 b: [1, 2] c { d: true e <f: 'g'> } h: \"\\101\\\\\"",
    ])
}

pub(super) fn models_jsons() -> Vec<Vec<u8>> {
    texts(&[
        r#"[{"modelName": "a", "modelSpec": {"storageUri": "s3://b/a", "framework": "sklearn", "memory": "256Mi"}},
            {"modelSpec": {"memory": 7, "storageUri": "/b", "x": [null]}, "modelName": "b\u00e9"}]"#,
        "[]",
        "null",
    ])
}

pub(super) fn warmups() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[r#"[{"instances": [[1, 2]]}, {"inputs": [{"datatype": "FP32"}]}]"#, "[]"]);
    seeds.extend(v1_requests());
    seeds.extend(v2_texts());
    seeds
}

pub(super) fn manifests() -> Vec<Vec<u8>> {
    let mut seeds = files("deploy/samples", &["yaml"]);
    seeds.extend(texts(&[
        "apiVersion: serving.kserve.io/v1alpha1\nkind: TrainedModel\nmetadata: {name: m1}\nspec: {inferenceService: demo, model: \
         {framework: sklearn, storageUri: \"s3://b/m1\", memory: 256Mi}}\n---\napiVersion: serving.kserve.io/v1beta1\nkind: \
         InferenceService\nmetadata: {name: demo}\nspec: {predictor: {sklearn: {}}}\n",
        "apiVersion: serving.kubeflow.org/v1alpha2\nkind: InferenceService\nmetadata: {name: old, namespace: n}\nspec:\n  \
         default: {predictor: {sklearn: {storageUri: models/iris, resources: {limits: {cpu: 1}}}}}\n  \
         canaryTrafficPercent: 10\n  canary: {predictor: {xgboost: {storageUri: models/b}}}\n",
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: m}\nspec:\n  predictor:\n    \
         timeout: 5\n    containers: [{name: kserve-container, image: r/weir-predictor:1, args: [--model_name, m], \
         env: [{name: STORAGE_URI, value: models/iris}], ports: [{containerPort: 8080}]}]\n",
    ]));
    seeds
}

pub(super) fn pickles() -> Vec<Vec<u8>> {
    let mut seeds = files("deploy/samples/models/iris", &["joblib"]);
    seeds.extend(files("predictor/testdata/sklearn", &["joblib", "pkl"]));
    seeds
}

pub(super) fn pmmls() -> Vec<Vec<u8>> {
    files("predictor/testdata/pmml", &["pmml"])
}

pub(super) fn xgboosts() -> Vec<Vec<u8>> {
    files("predictor/testdata/xgboost", &["json", "ubj", "bst"])
}

pub(super) fn lightgbms() -> Vec<Vec<u8>> {
    files("predictor/testdata/lightgbm", &["txt", "json"])
}

/// An archive of TorchServe's, its files packed and not.
pub(super) fn model_archives() -> Vec<Vec<u8>> {
    files("predictor/testdata/pytorch", &["mar"])
}

/// Messages of Python workers, with and without tensors.
pub(super) fn batchings() -> Vec<Vec<u8>> {
    let wrapped = "max_batch_size { value: 128 } # rows\nbatch_timeout_micros: { value: 0 };\n\
                   max_enqueued_batches{value:1000000}, num_batch_threads { value: 8 }\n";
    let plain = "allowed_batch_sizes: 64\nallowed_batch_sizes : 128\npad_variable_length_inputs: false\n";
    [wrapped, plain, "max_batch_size: 4"].map(|it| it.as_bytes().to_vec()).to_vec()
}

pub(super) fn worker_messages() -> Vec<Vec<u8>> {
    let said =
        Frame::new(Kind::Done).with("platform", "python_kserve").with("json", r#"{"predictions":[1]}"#);
    let mut tensors = Frame::new(Kind::Predict).with("output", "predict");
    tensors.tensors = vec![
        Tensor::new("x", [2, 3], Data::Fp32(vec![1.5, -2.0, 0.0, f32::NAN, 4.0, 5.0].into())),
        Tensor::strings("s", [2], vec!["ab".into(), "".into()]),
        Tensor::new("scalar", [], Data::Bool(vec![1].into())),
    ];
    let written = |it: &Frame| {
        let mut bytes = Vec::new();
        it.write(&mut bytes).expect("a vector takes what is within the limits");
        bytes
    };
    vec![written(&said), written(&tensors)]
}

pub(super) fn saved_models() -> Vec<Vec<u8>> {
    files("predictor/testdata/tensorflow", &["pb"])
}

/// The models of one operator each, and the small ones of ONNX Runtime's tests.
pub(super) fn onnxes() -> Vec<Vec<u8>> {
    let cases = repository().join("predictor/testdata/onnx/operators.txt");
    let cases = std::fs::read_to_string(cases).unwrap_or_default();
    let file = |line: &str| {
        let (_, rest) = line.split_once("\"model\": \"")?;
        let (hex, _) = rest.split_once('"')?;
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()).collect()
    };
    let mut seeds: Vec<Vec<u8>> = cases.lines().filter_map(file).collect();
    seeds.extend(onnx_graphs());
    seeds
}

pub(super) fn onnx_graphs() -> Vec<Vec<u8>> {
    files("predictor/testdata/onnxruntime", &["onnx"])
}

pub(super) fn backgrounds() -> Vec<Vec<u8>> {
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
