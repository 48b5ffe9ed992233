//! Requests that are well formed, for services they may not fit: what is accepted fits.

use std::sync::LazyLock;

use bytes::Bytes;
use weir_explainer::method::{self, MethodSpec};
use weir_proto::document;
use weir_proto::{
    Data, DataType, DecodeLimits, InferRequest, InferResponse, Signature, Tensor, TensorSpec, v2,
};
use weir_sdk::explain::Next;
use weir_sdk::{Explain, Transform};
use weir_transformer::step::Steps;

use super::{assert_same, assert_whole, repository};

/// Requests, against signatures of several kinds, the steps of a transformer, and an explainer.
pub fn fit(data: &[u8]) -> bool {
    let data = Bytes::copy_from_slice(data);
    // Each is asked, so none may be short-cut.
    let raw = SIGNATURES.iter().filter(|it| bind_raw(it, data.clone())).count();
    let Ok((request, _)) = v2::decode_request(&data, None, "m", &DecodeLimits::default()) else {
        return raw > 0;
    };
    let bound = SIGNATURES.iter().filter(|it| bind(it, request.clone())).count();
    let reshaped = STEPS.iter().filter(|it| reshape(it, &request)).count();
    let explained = explain(&request);
    bound + reshaped > 0 || explained
}

static SIGNATURES: LazyLock<Vec<Signature>> = LazyLock::new(|| {
    let columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"].map(str::to_owned).to_vec();
    let input = |datatype, shape: &[i64]| TensorSpec::new("input-0", datatype, shape);
    let of = |inputs| Signature { inputs, ..Signature::default() };
    let mut signatures = vec![
        Signature { columns, ..of(vec![input(DataType::Fp64, &[-1, 4])]) },
        of(vec![input(DataType::Fp32, &[-1, 2, -1])]),
        of(vec![TensorSpec::new("a", DataType::Int8, [-1]), TensorSpec::new("b", DataType::Bytes, [-1, 2])]),
        of(vec![input(DataType::Bytes, &[])]),
        of(vec![input(DataType::Fp16, &[-1, 0])]),
        of(vec![input(DataType::Int64, &[i64::MAX, -1])]),
    ];
    // Every type: what is cast to it is of it.
    let types = [
        DataType::Bool,
        DataType::Uint8,
        DataType::Uint16,
        DataType::Uint32,
        DataType::Uint64,
        DataType::Int16,
        DataType::Int32,
        DataType::Bf16,
    ];
    signatures.extend(types.map(|datatype| of(vec![input(datatype, &[-1])])));
    signatures
});

fn bind(signature: &Signature, mut request: InferRequest) -> bool {
    let Ok(bound) = signature.bind(&mut request) else { return false };
    assert_fits(signature, &bound);
    // What fits stays as it is.
    let named = bound
        .iter()
        .zip(&signature.inputs)
        .map(|(it, spec)| Tensor { name: spec.name.clone(), ..it.clone() });
    let named: Vec<_> = named.collect();
    let again = signature.bind(&mut InferRequest::of(named.clone())).expect("what fits is accepted");
    assert_same(&named, &again);
    true
}

fn bind_raw(signature: &Signature, body: Bytes) -> bool {
    let Ok(bound) = signature.bind_raw(body.clone()) else { return false };
    assert_fits(signature, &bound);
    match &bound[0].data {
        Data::Bytes(it) => assert_eq!(it, &[body]),
        numbers => assert_eq!(numbers.clone().into_raw(), body),
    }
    true
}

fn assert_fits(signature: &Signature, bound: &[Tensor]) {
    assert_whole(bound);
    assert_eq!(bound.len(), signature.inputs.len());
    for (tensor, spec) in bound.iter().zip(&signature.inputs) {
        assert_eq!(tensor.datatype(), spec.datatype);
        assert_eq!(tensor.shape.len(), spec.shape.len());
    }
}

static STEPS: LazyLock<[Steps; 2]> = LazyLock::new(|| {
    [
        "[{scale: {mean: [5.8, 3, 3.7, 1.2], scale: [0.8, 0.4, 1.7, 0.7]}}, \
          {labels: {output: x, names: [setosa, versicolor, virginica]}}]",
        "[{encode: {columns: [a, b], categories: {b: [x, y]}, unknown: nan}}]",
    ]
    .map(|text| {
        let node = document::parse_one(text, "steps").expect("the steps above are YAML");
        Steps::build(&node, "steps").unwrap_or_else(|error| panic!("{}", error.message))
    })
});

fn reshape(steps: &Steps, request: &InferRequest) -> bool {
    let mut reshaped = request.clone();
    let accepted = steps.preprocess(&mut reshaped).is_ok();
    if accepted {
        assert_whole(&reshaped.inputs);
    }
    let mut answer = InferResponse { outputs: request.inputs.clone(), ..InferResponse::default() };
    if steps.postprocess(&mut answer).is_ok() {
        assert_whole(&answer.outputs);
    }
    accepted
}

static EXPLAINER: LazyLock<Box<dyn Explain>> = LazyLock::new(|| {
    let config = document::parse_one("{rows: 3, output: y}", "config").expect("the options above are YAML");
    let folder = repository().join("deploy/samples/models/iris-explainer");
    let kernel_shap = method::find("kernel_shap").expect("the method is known");
    let built = kernel_shap.build(&MethodSpec { folder: Some(folder), config: Some(config) });
    built.unwrap_or_else(|error| panic!("{error}"))
});

/// Answers whatever the explainer asks with a constant, until it is done.
fn explain(request: &InferRequest) -> bool {
    let Ok(mut inquiry) = EXPLAINER.begin(request) else { return false };
    let mut answer = None;
    loop {
        match inquiry.next(answer) {
            Ok(Next::Ask(asked)) => {
                assert_whole(&asked.inputs);
                let rows = asked.rows();
                let outputs = vec![Tensor::fp64("y", [rows, 2], vec![0.5; 2 * rows])];
                answer = Some(InferResponse { outputs, ..InferResponse::default() });
            }
            Ok(Next::Done(explanation)) => {
                assert!(!explanation.json.is_empty());
                return true;
            }
            Err(_) => return false,
        }
    }
}
