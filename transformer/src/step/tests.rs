//! What the module promises, one test a promise.

use weir_proto::document::parse_one;
use weir_proto::{Data, InferRequest, InferResponse, Tensor};
use weir_sdk::Transform;

use super::Steps;

fn build(steps: &str) -> Result<Steps, String> {
    Steps::build(&parse_one(steps, "steps").unwrap(), "steps").map_err(|error| error.message)
}

/// Sends inputs through steps: what comes out, or the error's text.
fn pre(steps: &str, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
    let steps = build(steps).unwrap();
    assert!(steps.implements().preprocess && !steps.implements().postprocess);
    let mut request = InferRequest::of(inputs);
    steps.preprocess(&mut request).map(|()| request.inputs).map_err(|error| {
        assert_eq!(error.code.http(), 400);
        error.message
    })
}

/// Sends outputs through steps.
fn post(steps: &str, outputs: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
    let steps = build(steps).unwrap();
    assert!(!steps.implements().preprocess && steps.implements().postprocess);
    let mut response = InferResponse { outputs, ..InferResponse::default() };
    steps.postprocess(&mut response).map(|()| response.outputs).map_err(|error| {
        assert_eq!(error.code.http(), 500);
        error.message
    })
}

fn text(name: &str, values: &[&'static str]) -> Tensor {
    Tensor::strings(name, [values.len()], values.iter().map(|&it| it.into()).collect())
}

fn ints(name: &str, values: &[i64]) -> Tensor {
    Tensor::new(name, [values.len()], Data::Int64(values.to_vec().into()))
}

fn floats(name: &str, values: &[f64]) -> Tensor {
    Tensor::fp64(name, [values.len()], values.to_vec())
}

#[test]
fn scale_subtracts_the_mean_and_divides() {
    let check = |steps: &str, given: Tensor, want: &[f64]| {
        let (name, shape) = (given.name.clone(), given.shape.clone());
        assert_eq!(pre(steps, vec![given]), Ok(vec![Tensor::fp64(name, shape, want.to_vec())]));
    };
    let both = "[{scale: {mean: [1, 10], scale: [2, 0.5]}}]";
    check(both, Tensor::fp64("x", [2, 2], vec![3.0, 10.0, 1.0, 11.0]), &[1.0, 0.0, 0.0, 2.0]);
    check(both, Tensor::new("x", [1, 2], Data::Int32(vec![5, 9].into())), &[2.0, -2.0]);
    check("[{scale: {mean: [1]}}]", Tensor::new("x", [1, 1], Data::Fp32(vec![1.5].into())), &[0.5]);
    // Rows that came as a list need no names.
    check(
        "[{scale: {scale: [2, 4], columns: [a, b]}}]",
        Tensor::fp64("x", [1, 2], vec![1.0, 2.0]),
        &[0.5, 0.5],
    );
}

#[test]
fn scale_keeps_named_columns_apart_and_leaves_the_others() {
    let steps = "[{scale: {mean: [10, 1], scale: [2, 1], columns: [b, a]}}]";
    let got =
        pre(steps, vec![ints("a", &[1, 3]), text("c", &["u", "v"]), floats("b", &[12.0, f64::NAN])]).unwrap();
    assert_eq!(got[..2], [floats("a", &[0.0, 2.0]), text("c", &["u", "v"])]);
    let b = got[2].data.to_f64().unwrap();
    assert!(b[0] == 1.0 && b[1].is_nan());
}

#[test]
fn scale_tells_what_does_not_fit() {
    let check = |inputs: Vec<Tensor>, want: &str| {
        assert_eq!(pre("[{scale: {mean: [1, 2]}}]", inputs).unwrap_err(), want)
    };
    check(
        vec![Tensor::fp64("x", [1, 3], vec![0.0; 3])],
        "the input has 3 features a row, step `scale` has 2",
    );
    check(vec![floats("x", &[1.0])], "the input has shape [1], step `scale` takes [rows, 2]");
    let strings = Tensor::strings("x", [1, 2], vec!["u".into(), "v".into()]);
    check(vec![strings], "the input has datatype BYTES, step `scale` takes numbers");
    let want = "step `scale` takes one matrix of numbers, the request has the columns `a`, `b`; give the step their names in \
                `columns`, or put `encode` before it";
    check(vec![floats("a", &[1.0]), floats("b", &[1.0])], want);
    let named = "[{scale: {mean: [1, 2], columns: [a, b]}}]";
    let text = pre(named, vec![floats("a", &[1.0]), floats("c", &[1.0])]).unwrap_err();
    assert_eq!(text, "column `b` is missing, which step `scale` needs; the request has `a`, `c`");
}

const ENCODE: &str = "[{encode: {columns: [island, mass, sex], \
                      categories: {island: [Biscoe, Dream], sex: [female, male]}}}]";

#[test]
fn encode_makes_a_matrix_in_the_order_of_its_columns() {
    let inputs = vec![
        text("sex", &["male", "female"]),
        ints("mass", &[3750, 3800]),
        text("extra", &["x", "y"]),
        text("island", &["Dream", "Biscoe"]),
    ];
    let want = Tensor::fp64("", [2, 3], vec![1.0, 3750.0, 1.0, 0.0, 3800.0, 0.0]);
    assert_eq!(pre(ENCODE, inputs), Ok(vec![want]));
    let codes = Tensor::fp64("x", [1, 3], vec![1.0, 3750.0, 1.0]);
    assert_eq!(pre(ENCODE, vec![codes.clone()]), Ok(vec![codes]));
}

#[test]
fn encode_and_scale_follow_each_other() {
    let steps = "[{encode: {columns: [b, a]}}, {scale: {mean: [1, 2], scale: [1, 2]}}]";
    let got = pre(steps, vec![ints("a", &[4]), floats("b", &[1.5])]);
    assert_eq!(got, Ok(vec![Tensor::fp64("", [1, 2], vec![0.5, 1.0])]));
}

#[test]
fn encode_turns_what_it_does_not_know_into_nan_where_told() {
    let steps = "[{encode: {columns: [sex, mass], categories: {sex: [female, male]}, unknown: nan}}]";
    let nan = |inputs: Vec<Tensor>| {
        let matrix = pre(steps, inputs).unwrap()[0].data.to_f64().unwrap();
        matrix.iter().map(|value| value.is_nan()).collect::<Vec<_>>()
    };
    assert_eq!(
        nan(vec![text("sex", &["?", "male"]), floats("mass", &[f64::NAN, 1.0])]),
        [true, true, false, false]
    );
    // A text column of nulls alone comes as numbers.
    assert_eq!(nan(vec![floats("sex", &[f64::NAN]), ints("mass", &[1])]), [true, false]);
}

#[test]
fn encode_tells_row_column_value_and_what_is_known() {
    let check = |inputs: Vec<Tensor>, want: &str| assert_eq!(pre(ENCODE, inputs).unwrap_err(), want);
    let mass = || ints("mass", &[1, 2]);
    let sex = || text("sex", &["male", "male"]);
    check(
        vec![text("island", &["Dream", "Torgersen"]), mass(), sex()],
        "row 1 has `Torgersen` in column `island`; known are `Biscoe`, `Dream`",
    );
    check(
        vec![floats("island", &[f64::NAN, f64::NAN]), mass(), sex()],
        "row 0 has nothing in column `island`; known are `Biscoe`, `Dream`",
    );
    check(
        vec![ints("island", &[1, 2]), mass(), sex()],
        "row 0 has the number 1 in column `island`; known are `Biscoe`, `Dream`",
    );
    check(
        vec![mass(), sex()],
        "column `island` is missing, which step `encode` needs; the request has `mass`, `sex`",
    );
    check(
        vec![text("island", &["Dream", "Dream"]), text("mass", &["big", "small"]), sex()],
        "column `mass` is text, such as `big`, expected a number: step `encode` has no categories for it",
    );
    check(
        vec![text("island", &["Dream", "Dream"]), ints("mass", &[1]), sex()],
        "column `mass` has shape [1], expected one value in each of 2 rows",
    );
    check(
        vec![Tensor::fp64("x", [1, 2], vec![0.0; 2])],
        "the input has 2 features a row, step `encode` has 3 columns: `island`, `mass`, `sex`",
    );
}

#[test]
fn labels_put_names_in_the_place_of_class_numbers() {
    let check = |steps: &str, given: Vec<Tensor>, want: Vec<Tensor>| assert_eq!(post(steps, given), Ok(want));
    let names = "[{labels: {names: [setosa, versicolor, virginica]}}]";
    let want = || text("predict", &["versicolor", "setosa"]);
    check(names, vec![ints("predict", &[1, 0])], vec![want()]);
    check(names, vec![floats("predict", &[1.0, 0.0])], vec![want()]);
    // An explanation asks for probabilities through the same steps.
    let proba = || Tensor::fp64("predict_proba", [2, 3], vec![0.2, 0.7, 0.1, 0.4, 0.4, 0.2]);
    check(names, vec![proba()], vec![proba()]);
    check(names, vec![text("predict", &["x"])], vec![text("predict", &["x"])]);
    let named = "[{labels: {names: [setosa, versicolor, virginica], output: predict}}]";
    check(named, vec![proba(), ints("predict", &[1, 0])], vec![proba(), want()]);
    check(named, vec![ints("other", &[7])], vec![ints("other", &[7])]);
    let argmax = "[{labels: {names: [setosa, versicolor, virginica], argmax: true}}]";
    check(argmax, vec![proba()], vec![text("predict_proba", &["versicolor", "setosa"])]);
}

#[test]
fn labels_tell_what_is_no_class_number() {
    let check = |more: &str, given: Tensor, want: &str| {
        let steps = format!("[{{labels: {{names: [no, yes]{more}}}}}]");
        assert_eq!(post(&steps, vec![given]).unwrap_err(), want);
    };
    let known = "step `labels` has 2 names: `no`, `yes`";
    check("", ints("predict", &[0, 2]), &format!("output `predict` holds class 2 in row 1, {known}"));
    check("", ints("predict", &[-1]), &format!("output `predict` holds class -1 in row 0, {known}"));
    let want = format!("output `y` of datatype FP64 and shape [1] holds no class numbers, {known}");
    check(", output: y", floats("y", &[0.5]), &want);
    let wide = Tensor::fp64("y", [1, 3], vec![0.0; 3]);
    check(", argmax: true", wide, &format!("output `y` has 3 scores a row, {known}"));
}

#[test]
fn every_problem_of_a_list_is_told() {
    let check = |steps: &str, want: &str| assert_eq!(build(steps).map(|_| ()).unwrap_err(), want);
    check("[]", "steps:1:1: error: got no steps; this build knows `encode`, `labels`, `scale`");
    check("{scale: {mean: [1]}}", "steps:1:1: error: got a map, expected a list of steps");
    check(
        "[{scael: {}}, {normalise: {}}]",
        "steps:1:3: error: [0].scael: unknown step; did you mean `scale`?\n\
         steps:1:16: error: [1].normalise: unknown step; this build knows `encode`, `labels`, `scale`",
    );
    check(
        "[{scale: {mean: [1], scale: [1, 2]}}]",
        "steps:1:29: error: [0].scale.scale: has 2 values, `mean` has 1",
    );
    check(
        "[{scale: {scale: [1, 0]}}]",
        "steps:1:18: error: [0].scale.scale: value 1 is 0, expected a finite number other than 0",
    );
    check(
        "[{encode: {columns: [a], categories: {b: [x]}}}]",
        "steps:1:39: error: [0].encode.categories.b: unknown field; known are `a`",
    );
    check(
        "[{labels: {names: [a, a], ouput: y}}]",
        "steps:1:19: error: [0].labels.names: `a` is there twice\n\
         steps:1:27: error: [0].labels.ouput: unknown field; did you mean `output`?",
    );
    check(
        "[{encode: {columns: []}}]",
        "steps:1:21: error: [0].encode.columns: got an empty list, expected at least one name",
    );
    check("[{labels: {}}]", "steps:1:11: error: [0].labels.names: is missing");
}
