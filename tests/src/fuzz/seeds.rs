//! What fuzzing begins with: small samples, most of them valid.

use weir_proto::oip::{self, Contents};
use weir_proto::{DecodeLimits, InferRequest, InferResponse, v2};

use super::repository;

pub(super) fn v1_requests() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"inputs": {"a": [[1, 2.5]], "b_bytes": [{"b64": "//4="}, "x"], "c": true}}"#,
        r#"{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "x", "data": {"instances": [{"b64": "eA=="}]}}"#,
        r#"{"instances": [[6.8, 2.8, 4.8, 1.4], [6, 3.4, -4.5e-3, null]]}"#,
        r#"{"instances": [{"a": 1, "b": "x\n\u00e9"}, {"b": "y", "a": 2.5}], "parameters": {"k": true, "n": [1]}}"#,
        r#"{"inputs": [[[1], [2]], [[3], [9007199254740993]]], "signature_name": "s", "x": [{}]}"#,
        r#"{"instances": [true, false]}"#,
        r#"{"instances": [[], []], "parameters": {"a": 18446744073709551615, "b": 0.5}}"#,
    ])
}

pub(super) fn v2_requests() -> Vec<Vec<u8>> {
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
    let requests = v2_requests().into_iter().filter_map(decode);
    requests.map(|it| oip::encode_request("iris", "2", it).to_vec()).chain(typed_request()).collect()
}

pub(super) fn oip_responses() -> Vec<Vec<u8>> {
    let requests = v2_requests().into_iter().filter_map(decode);
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

pub(super) fn manifests() -> Vec<Vec<u8>> {
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

pub(super) fn pickles() -> Vec<Vec<u8>> {
    let mut seeds = files("deploy/samples/models/iris", &["joblib"]);
    seeds.extend(files("predictor/testdata/sklearn", &["joblib", "pkl"]));
    seeds
}

pub(super) fn xgboosts() -> Vec<Vec<u8>> {
    files("predictor/testdata/xgboost", &["json", "ubj"])
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
