//! ONNX models on the engine that is built in: the answers of ONNX Runtime, and what is refused.

use std::path::{Path, PathBuf};

use serde_json::Value;
use weir_predictor::runtime::LoadOptions;
use weir_predictor::runtime::onnx::Engine;
use weir_sdk::proto::v1;
use weir_sdk::{Batching, DecodeLimits, Form, InferRequest, Model, Tensor};

use crate::answers::tensors;
use crate::harness::{root, shared};

/// The folders of golden ONNX models; none, with the reason printed, where there are none.
fn golden() -> Vec<PathBuf> {
    let folder = std::env::var_os("WEIR_GOLDEN").map(PathBuf::from);
    let entries = folder.iter().filter_map(|it| it.read_dir().ok()).flatten().flatten().map(|it| it.path());
    let named = |it: &PathBuf| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with("onnx-"));
    let found: Vec<_> = entries.filter(named).collect();
    if found.is_empty() {
        println!(
            "skipped: WEIR_GOLDEN names no folder of golden ONNX models; predictor/testdata/golden/make.py makes them"
        );
    }
    found
}

fn embedded() -> LoadOptions {
    LoadOptions { onnx_engine: Engine::Embedded, ..LoadOptions::default() }
}

/// What only ONNX Runtime computes: numbers of half precision.
const REFUSED: [&str; 1] = ["half"];

#[test]
fn every_golden_model_answers_as_onnx_runtime_on_the_embedded_engine() {
    let (mut models, mut asked, mut wrong) = (0, 0, Vec::new());
    let folders = golden();
    for folder in &folders {
        let mut files: Vec<_> = folder.read_dir().unwrap().map(|it| it.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|it| it.extension().is_some_and(|it| it == "answers")) {
            models += 1;
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            if REFUSED.contains(&name.as_str()) {
                let refused = weir_predictor::load(&file.with_extension("onnx"), None, &embedded());
                let text = refused.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(text.contains("is not supported"), "{name}: {text}");
                continue;
            }
            match check(file) {
                Ok(count) => asked += count,
                Err(text) => wrong.push(format!("{name}: {text}")),
            }
        }
    }
    println!("{models} golden ONNX models, {asked} questions, {} models wrong", wrong.len());
    assert!(folders.is_empty() || models >= 25, "only {models} models");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Asks a model what its file of answers asks, and returns how many questions that were.
fn check(answers: &Path) -> Result<usize, String> {
    let model = weir_predictor::load(&answers.with_extension("onnx"), None, &embedded());
    let model = model.map_err(|error| error.to_string())?;
    let mut asked = 0;
    let name = answers.file_stem().unwrap().to_string_lossy();
    // The scores of this one are what is left of sums forty times their size.
    let tolerance = if name == "one-class" { 1e-4 } else { 1e-5 };
    for line in std::fs::read_to_string(answers).unwrap().lines() {
        let sides: Value = serde_json::from_str(line.split_once('\t').unwrap().1).unwrap();
        for got in ask(&*model, &sides["inputs"])? {
            let wanted = tensors(&sides["outputs"]);
            let want = wanted.iter().find(|it| it.name == got.name).ok_or("an output too many")?;
            same(&got, want, tolerance).map_err(|text| format!("{}: {text}", got.name))?;
        }
        asked += 1;
    }
    Ok(asked)
}

fn ask(model: &dyn Model, inputs: &Value) -> Result<Vec<Tensor>, String> {
    let mut request = InferRequest::of(tensors(inputs));
    let bound = model.signature().bind(&mut request).map_err(|error| error.message)?;
    let all: Vec<_> = (0..model.signature().outputs.len()).collect();
    model.predict(&bound, &all).map_err(|error| error.message)
}

/// Numbers may be off by a hundred-thousandth, as those of singles summed in another order are; all else is equal.
fn same(got: &Tensor, want: &Tensor, tolerance: f64) -> Result<(), String> {
    if (got.datatype(), &got.shape) != (want.datatype(), &want.shape) {
        return Err(format!(
            "{} {:?}, expected {} {:?}",
            got.datatype(),
            got.shape,
            want.datatype(),
            want.shape
        ));
    }
    let float = got.datatype().name().starts_with("FP");
    let (Some(a), Some(b)) = (got.data.to_f64().filter(|_| float), want.data.to_f64()) else {
        return if got.data == want.data {
            Ok(())
        } else {
            Err(format!("{:?}, expected {:?}", got.data, want.data))
        };
    };
    for (at, (a, b)) in a.iter().zip(&b).enumerate() {
        // Near nought the error is that of a difference of larger numbers.
        let close = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(0.1);
        if !close {
            return Err(format!("value {at} is {a:?}, expected {b:?}"));
        }
    }
    Ok(())
}

/// A file of one operator out of those that the predictor's own tests go through.
fn case(name: &str) -> Vec<u8> {
    let cases = std::fs::read_to_string(root().join("predictor/testdata/onnx/operators.txt")).unwrap();
    let line = cases.lines().find(|it| it.starts_with(&format!("{name}\t"))).unwrap();
    let told: Value = serde_json::from_str(line.split_once('\t').unwrap().1).unwrap();
    let hex = told["model"].as_str().unwrap();
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Replaces bytes by as many others, the only time they are there.
fn changed(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = file.windows(from.len()).position(|it| it == from.as_bytes()).unwrap();
    let mut file = file.to_vec();
    file[at..at + to.len()].copy_from_slice(to.as_bytes());
    file
}

fn load(bytes: &[u8]) -> Result<Box<dyn Model>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    std::fs::write(&file, bytes).unwrap();
    let loaded = weir_predictor::load(&file, None, &embedded());
    loaded.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn what_is_not_known_is_refused_by_its_name_and_that_of_its_node() {
    let refusal = |bytes: &[u8]| load(bytes).err().unwrap();
    let unknown = changed(&case("Softsign"), "Softsign", "Softsine");
    let text = refusal(&unknown);
    assert!(text.starts_with("model.onnx: operator Softsine of node `it`"), "{text}");
    assert!(text.ends_with("or let ONNX Runtime compute it: leave out --onnx_engine=embedded"), "{text}");
    let text = refusal(&changed(&case("Flatten-axis"), "axis", "axle"));
    assert!(text.contains("its attribute `axle` of node `it` (Flatten) is not supported"), "{text}");
    let text = refusal(&changed(&case("TreeEnsembleRegressor-SUM-1"), "BRANCH_LEQ", "BRANCH_LEO"));
    assert!(text.contains("the mode `BRANCH_LEO` of node `it` (ai.onnx.ml.TreeEnsembleRegressor)"), "{text}");
    for (bytes, want) in
        [(&b""[..], "holds no graph"), (b"\x3a\x02\x0a\0\x42\x02\x10\x12", "0 inputs and 0 outputs")]
    {
        let text = refusal(bytes);
        assert!(text.contains(want), "{text}");
    }
}

#[test]
fn constants_in_other_files_are_read_from_the_models_own_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(folder.path().join("secret.bin"), [0_u8; 64]).unwrap();
    std::fs::write(inner.join("weights.bin"), 2.5_f32.to_le_bytes()).unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret.bin"), inner.join("link.bin")).unwrap();
    let load = |location: &str, offset: &str| {
        std::fs::write(inner.join("model.onnx"), beside(location, offset)).unwrap();
        weir_predictor::load(&inner, None, &embedded()).map_err(|error| error.to_string())
    };
    let model = load("weights.bin", "0").unwrap();
    let x = Tensor::new("x", [2], weir_sdk::Data::Fp32(vec![1.0, 2.0].into()));
    let answer = model.predict(&[x], &[0]).unwrap();
    assert_eq!(answer[0].data, weir_sdk::Data::Fp32(vec![2.5, 5.0].into()));
    for (location, offset, want) in [
        ("../secret.bin", "0", "expected one in the model's own folder"),
        ("/etc/passwd", "0", "expected one in the model's own folder"),
        ("link.bin", "0", "expected one in the model's own folder"),
        ("absent.bin", "0", "No such file"),
        ("weights.bin", "1", "needs 4 bytes of `weights.bin` from byte 1, which has 4"),
        ("weights.bin", "18446744073709551615", "needs 4 bytes"),
    ] {
        let text = load(location, offset).err().unwrap();
        assert!(text.contains(want) && text.contains("constant `w`"), "{location}: {text}");
    }
}

/// A model that multiplies by one number, which lies in another file.
fn beside(location: &str, offset: &str) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        let head = if length < 128 { vec![length] } else { vec![length, 1] };
        [&[number << 3 | 2], head.as_slice(), bytes].concat()
    }
    let entry =
        |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    let weight = [
        vec![8, 1, 16, 1, 14 << 3, 1],
        field(8, b"w"),
        entry("location", location),
        entry("offset", offset),
        entry("length", "4"),
    ];
    let port = |name: &str| {
        let shape = field(2, &field(1, &field(2, b"n")));
        [field(1, name.as_bytes()), field(2, &field(1, &[vec![8, 1], shape].concat()))].concat()
    };
    let node = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Mul")].concat();
    let graph = [field(1, &node), field(5, &weight.concat()), field(11, &port("x")), field(12, &port("y"))];
    [field(7, &graph.concat()), field(8, &[16, 18])].concat()
}

#[test]
fn a_table_takes_rows_as_objects_and_tells_its_classes() {
    let Some(folder) = golden().pop() else { return };
    let model = weir_predictor::load(&folder.join("mixed-forest.onnx"), None, &embedded()).unwrap();
    let signature = model.signature();
    assert_eq!(signature.platform, "weir_onnx");
    assert_eq!(signature.outputs[1].labels, ["0", "1"]);
    assert_eq!(
        (signature.outputs[1].name.as_str(), model.batching()),
        ("output_probability", Batching::Even)
    );
    let body = br#"{"instances": [{"age": 30, "fare": 7.5, "class": 3, "sex": "female", "port": "S"},
        {"sex": "male", "port": "C", "class": 1, "fare": 80, "age": 55.5}]}"#;
    let decoded = v1::decode_request(body, Form::default(), &DecodeLimits::default()).unwrap();
    let mut request = decoded.0;
    let bound = signature.bind(&mut request).unwrap();
    let answers = model.predict(&bound, &[1, 0]).unwrap();
    assert_eq!(
        (answers[0].shape.as_slice(), answers[1].shape.as_slice()),
        ([2, 2].as_slice(), [2].as_slice())
    );
    let net = weir_predictor::load(&folder.join("net-cifar.onnx"), None, &embedded()).unwrap();
    assert_eq!(net.batching(), Batching::Gains);
    assert!(net.memory().unwrap() > 4 * 60_000 && model.memory().unwrap() > 1000);
}

#[test]
fn tritons_simple_model_is_computed_without_a_library() {
    let Some(file) = shared("models/onnx/triton-simple/model.onnx") else { return };
    let model = weir_predictor::load(&file, None, &embedded()).unwrap();
    let numbers =
        |name: &str, values: Vec<i32>| Tensor::new(name, [1, 16], weir_sdk::Data::Int32(values.into()));
    let inputs = [numbers("INPUT0", (0..16).collect()), numbers("INPUT1", vec![1; 16])];
    let answers = model.predict(&inputs, &[0, 1]).unwrap();
    assert_eq!(answers[0].data, weir_sdk::Data::Int32((1..17).collect::<Vec<_>>().into()));
    assert_eq!(answers[1].data, weir_sdk::Data::Int32((-1..15).collect::<Vec<_>>().into()));
}
