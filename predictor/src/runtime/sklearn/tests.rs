//! Golden answers of scikit-learn itself (`testdata/sklearn/make.py`), real files of other people, and hostile bytes.

use std::path::{Path, PathBuf};

use weir_proto::{Code, Data, DecodeLimits, Form, Tensor, v1};
use weir_sdk::Model;

use super::Sklearn;
use crate::runtime::{LoadError, LoadOptions, Runtime};

fn crate_path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn load(file: &Path) -> Box<dyn Model> {
    Sklearn.load(file, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Writes the bytes to a file of their own and loads it.
fn load_bytes(name: &str, bytes: &[u8]) -> Result<Box<dyn Model>, LoadError> {
    let file = std::env::temp_dir().join(format!("weir-sklearn-{}-{name}", std::process::id()));
    std::fs::write(&file, bytes).unwrap();
    let model = Sklearn.load(&file, &LoadOptions::default());
    std::fs::remove_file(&file).unwrap();
    model
}

/// Answers with every output of the model.
fn ask(model: &dyn Model, rows: &[Vec<f64>]) -> Result<Vec<Tensor>, weir_proto::Error> {
    let outputs: Vec<usize> = (0..model.signature().outputs.len()).collect();
    let input = Tensor::fp64("input-0", [rows.len(), rows[0].len()], rows.concat());
    model.predict(&[input], &outputs)
}

/// The rows asked, and the lines each output answers with.
struct Golden {
    input: Vec<Vec<f64>>,
    outputs: Vec<(String, Vec<String>)>,
}

fn golden(file: &Path) -> Golden {
    let text = std::fs::read_to_string(format!("{}.txt", file.display())).unwrap();
    let mut golden = Golden { input: Vec::new(), outputs: Vec::new() };
    for line in text.lines() {
        let (name, values) = line.split_once(' ').unwrap();
        match golden.outputs.iter_mut().find(|(other, _)| other == name) {
            _ if name == "input" => golden.input.push(numbers(values)),
            Some((_, lines)) => lines.push(values.to_owned()),
            None => golden.outputs.push((name.to_owned(), vec![values.to_owned()])),
        }
    }
    golden
}

fn numbers(line: &str) -> Vec<f64> {
    line.split(' ').map(|it| it.parse().unwrap()).collect()
}

/// Python's `str` of each label.
fn labels(data: &Data) -> Vec<String> {
    match data {
        Data::Bool(it) => it.iter().map(|&v| if v == 1 { "True" } else { "False" }.to_owned()).collect(),
        Data::Int64(it) => it.iter().map(i64::to_string).collect(),
        Data::Fp64(it) => it.iter().map(|it| format!("{it:?}")).collect(),
        Data::Bytes(it) => it.iter().map(|it| String::from_utf8(it.to_vec()).unwrap()).collect(),
        other => panic!("labels of {}", other.datatype()),
    }
}

/// Equal, or nearly: probabilities and scores within 1e-9, relative to scores beyond one.
fn close(got: f64, want: f64) -> bool {
    (got.is_nan() && want.is_nan()) || (got - want).abs() <= 1e-9 * want.abs().max(1.0)
}

fn check_golden(file: &Path) {
    let golden = golden(file);
    let model = load(file);
    let whole = ask(&*model, &golden.input).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for (name, _) in &golden.outputs {
        assert!(whole.iter().any(|it| &it.name == name), "{} has no {name}", file.display());
    }
    for tensor in &whole {
        let what = format!("{} of {}", tensor.name, file.display());
        let Some((_, lines)) = golden.outputs.iter().find(|(name, _)| name == &tensor.name) else {
            let untold = ["0.20", "explain", "python2-0.18", "python2-0.20"]
                .iter()
                .any(|folder| file.parent().unwrap().ends_with(folder));
            assert!(untold && tensor.name == "decision_function", "scikit-learn has no {what}");
            continue;
        };
        if tensor.name == "predict" {
            assert_eq!(&labels(&tensor.data), lines, "{what}");
            continue;
        }
        let want: Vec<f64> = lines.iter().flat_map(|line| numbers(line)).collect();
        let got = tensor.data.to_f64().unwrap();
        let same = got.len() == want.len() && got.iter().zip(&want).all(|(&got, &want)| close(got, want));
        assert!(same, "{what}:\n got {got:?}\nwant {want:?}");
    }
    check_rows_alone(&*model, &golden.input, &whole, file);
}

/// A row answers the same alone as among others, and as its signature says.
fn check_rows_alone(model: &dyn Model, rows: &[Vec<f64>], whole: &[Tensor], file: &Path) {
    for (at, row) in rows.iter().enumerate() {
        let alone = ask(model, std::slice::from_ref(row)).unwrap();
        for ((alone, whole), spec) in alone.iter().zip(whole).zip(&model.signature().outputs) {
            assert_eq!((alone.datatype(), alone.rows()), (spec.datatype, 1), "{}", file.display());
            let inner: Vec<i64> = alone.shape[1..].iter().map(|&size| i64::try_from(size).unwrap()).collect();
            assert_eq!(inner, spec.shape[1..], "{} of {}", spec.name, file.display());
            let width = whole.row_len();
            let part = match &whole.data {
                Data::Fp64(it) => Data::Fp64(it[at * width..][..width].to_vec().into()),
                Data::Int64(it) => Data::Int64(vec![it[at]].into()),
                Data::Bool(it) => Data::Bool(vec![it[at]].into()),
                Data::Bytes(it) => Data::Bytes(vec![it[at].clone()]),
                other => panic!("{}", other.datatype()),
            };
            assert_eq!(
                format!("{:?}", alone.data),
                format!("{part:?}"),
                "row {at} of {} of {}",
                spec.name,
                file.display()
            );
        }
    }
}

#[test]
fn answers_are_scikit_learns() {
    let mut checked = 0;
    for folder in ["0.20", "0.24", "1.1", "1.5", "1.9", "explain", "forms", "python2-0.18", "python2-0.20"] {
        for entry in std::fs::read_dir(crate_path("testdata/sklearn").join(folder)).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|it| it != "txt") {
                check_golden(&file);
                checked += 1;
            }
        }
    }
    assert!(checked >= 95, "only {checked} golden files");
}

#[test]
fn the_signature_tells_what_the_file_tells() {
    let model = load(&crate_path("testdata/sklearn/1.5/columns.joblib"));
    let signature = model.signature();
    assert_eq!(signature.platform, "sklearn_joblib");
    assert_eq!(signature.columns, ["sepal length", "sepal width", "petal length", "petal width"]);
    assert_eq!(signature.inputs[0].shape, [-1, 4]);
    assert_eq!(signature.default_outputs, 1);

    let file = crate_path("testdata/sklearn/1.5/svc_proba_ovo.p4.pkl");
    let model = Sklearn.load(&file, &LoadOptions { predict_proba: true, ..LoadOptions::default() }).unwrap();
    let outputs: Vec<_> =
        model.signature().outputs.iter().map(|it| (it.name.as_str(), it.shape.as_slice())).collect();
    let want: [(&str, &[i64]); 3] =
        [("predict_proba", &[-1, 3]), ("predict", &[-1]), ("decision_function", &[-1, 3])];
    assert_eq!(outputs, want);
    assert_eq!(model.signature().platform, "sklearn_pickle");
}

#[test]
fn values_scikit_learn_refuses_are_refused() {
    let check = |name: &str, row: &[f64], want: &str| {
        let model = load(&crate_path("testdata/sklearn/1.5").join(name));
        let sound = vec![1.0; row.len()];
        let error = ask(&*model, &[sound, row.to_vec()]).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (Code::InvalidInput, want), "{name}");
    };
    let nan = "input contains NaN in row 1, column 2; the model takes finite numbers only";
    check("svc_rbf.joblib", &[1.0, 2.0, f64::NAN, 3.0], nan);
    check("logistic_binary.joblib", &[1.0, 2.0, f64::NAN, 3.0], nan);
    check("pipeline_svc.joblib", &[1.0, 2.0, f64::NAN, 3.0], nan);
    let infinity =
        "input contains infinity in row 1, column 0; the model takes finite or missing numbers only";
    check("scaler.joblib", &[f64::NEG_INFINITY, 2.0, 1.0, 3.0], infinity);
    let large = "input contains 1e39, which is too large for its 32-bit floats, in row 1, column 0; \
                 the model takes finite or missing numbers only";
    check("forest_edges.joblib", &[1e39], large);
}

#[test]
fn other_peoples_files_are_served() {
    for name in ["kserve-iris-svc", "kfserving-iris-svc"] {
        let file = crate_path("../../shared/models/sklearn").join(name).join("model.joblib");
        if !file.exists() {
            println!("skipped: there is no {}", file.display());
            continue;
        }
        let answer = ask(&*load(&file), &[vec![6.8, 2.8, 4.8, 1.4], vec![6.0, 3.4, 4.5, 1.6]]).unwrap();
        assert_eq!(answer[0].data, Data::Int64(vec![1, 1].into()), "{name}");
    }
}

/// Named columns of numbers and texts, in an order of their own, as KServe's example sends them. scikit-learn 1.1.3 and 1.9.1
/// both answer with these numbers.
#[test]
fn the_mixed_types_of_another_pipeline_are_served() {
    let file = crate_path("../../shared/models/sklearn/kserve-mixedtype-pipeline/model.joblib");
    if !file.exists() {
        println!("skipped: there is no {}", file.display());
        return;
    }
    let body = br#"{"instances": [
        {"GarageArea": 548, "MSZoning": "RL", "LotArea": 8450, "LotShape": "Reg", "Utilities": "AllPub", "YrSold": 2008,
            "Neighborhood": "CollgCr", "OverallQual": 7, "YearBuilt": 2003, "SaleType": "WD"},
        {"GarageArea": 0, "MSZoning": "RM", "LotArea": 5100, "LotShape": "IR1", "Utilities": "AllPub", "YrSold": 2010,
            "Neighborhood": "OldTown", "OverallQual": 5, "YearBuilt": 1925, "SaleType": "COD"},
        {"GarageArea": 836.5, "MSZoning": "XX", "LotArea": null, "LotShape": "IR2", "Utilities": "NoSeWa", "YrSold": 2006,
            "Neighborhood": "Sawyer", "OverallQual": 8, "YearBuilt": 1999, "SaleType": "New"}]}"#;
    let model = load(&file);
    let (mut request, _) = v1::decode_request(body, Form::default(), &DecodeLimits::default()).unwrap();
    let inputs = model.signature().bind(&mut request).unwrap();
    let answer = model.predict(&inputs, &[0]).unwrap();
    let want = [12.202_832_815_138_274, 11.552_260_837_658_434, 8.187_743_138_697_773];
    let got = answer[0].data.to_f64().unwrap();
    assert!(got.len() == 3 && got.iter().zip(want).all(|(&got, want)| close(got, want)), "{got:?}");
}

fn refused(name: &str, bytes: &[u8], want: &str) {
    let error = load_bytes(name, bytes).err().unwrap_or_else(|| panic!("{name} was loaded")).to_string();
    let text = error.split_once(": ").unwrap().1;
    assert!(text.contains(want), "{name}: `{text}` does not tell `{want}`");
}

#[test]
fn code_in_a_file_is_named_and_never_run() {
    let witness = std::env::temp_dir().join(format!("weir-sklearn-{}-witness", std::process::id()));
    let command = format!("touch {}", witness.display());
    let old = format!("cposix\nsystem\n(S'{command}'\ntR.");
    refused("evil.pkl", old.as_bytes(), "posix.system is not supported");
    let mut new = b"\x80\x04\x95\0\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c".to_vec();
    new.push(u8::try_from(command.len()).unwrap());
    new.extend_from_slice(command.as_bytes());
    new.extend_from_slice(b"\x94\x85\x94R\x94.");
    refused("evil.joblib", &new, "posix.system is not supported");
    assert!(!witness.exists());
}

#[test]
fn what_is_not_served_is_named_with_its_place() {
    let pipeline = |step: &str| {
        format!(
            "csklearn.pipeline\nPipeline\n)R(S'steps'\n((S'scaler'\nS'passthrough'\nt(S'clf'\n{step}tldb."
        )
    };
    let process = pipeline("csklearn.gaussian_process._gpc\nGaussianProcessClassifier\n)R");
    let want = "sklearn.gaussian_process._gpc.GaussianProcessClassifier (step 2 (clf) of sklearn.pipeline.Pipeline) is not \
                supported; this build does not evaluate it (docs/sklearn.md lists what it does); convert the model to ONNX";
    refused("process.pkl", process.as_bytes(), want);
    refused("idle.pkl", pipeline("N").as_bytes(), "a sklearn.pipeline.Pipeline without a fitted step");
    refused(
        "unfitted.pkl",
        pipeline("csklearn.svm._classes\nSVC\n)R").as_bytes(),
        "has no `classes_`; was it fitted",
    );
    refused("dict.pkl", b"}.", "a dict is not supported");
    let model = "csklearn.svm._classes\nSVC\n)R}b";
    let held = "that holds sklearn.svm._classes.SVC as";
    refused("bundle.pkl", format!("(S'clf'\n{model}d.").as_bytes(), &format!("a dict {held} `clf`"));
    refused("pair.pkl", format!("(N{model}t.").as_bytes(), &format!("a tuple {held} member 1"));
    let apart =
        "csklearn.externals.joblib.numpy_pickle\nNDArrayWrapper\n)R(S'filename'\nS'm.pkl_01.npy'\ndb.";
    refused(
        "apart.pkl",
        apart.as_bytes(),
        "a model of joblib before 0.10, whose arrays are in files of their own, such as m.pkl_01.npy,",
    );
    refused(
        "class.pkl",
        b"csklearn.svm._classes\nSVC\n.",
        "the name sklearn.svm._classes.SVC is not supported",
    );
    refused("gzip.joblib", b"\x1f\x8b\x08", "the gzip stream is broken or cut short");
    refused("zlib.joblib", b"\x78\x9c", "the zlib stream is broken or cut short");
    refused("next.pkl", b"\x80\x06.", "pickle protocol 6");
}

#[test]
fn structures_that_lead_nowhere_end() {
    // A pipeline that is its own step.
    let circle = b"csklearn.pipeline\nPipeline\n)Rp0\n(S'steps'\n((S'a'\ng0\ntldb.";
    refused("circle.pkl", circle, "or more than 24 deep, is not supported");
    // A list in itself, a deep tower of tuples, a memo far away, a mark without end.
    refused("list.pkl", b"]p0\ng0\na.", "a list is not supported");
    refused("tower.pkl", &[b")".as_slice(), &b"\x85".repeat(60_000), b"."].concat(), "a tuple");
    refused("memo.pkl", b"Nr\xff\xff\xff\xff.", "place 4294967295 of the memo");
    refused("marks.pkl", &b"(".repeat(100_000), "1 bytes are expected here and 0 are left");
    refused("stack.pkl", b"N(R.", "the opcode before finds too little on the stack");
    refused("empty.pkl", b"", "is the file cut short");
    // An array that says it is larger than the file.
    let array = b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\ntRtR.";
    refused("scalar.pkl", array, "numpy.core.multiarray.scalar is not supported");
}

/// Every prefix of a file is refused as cut short.
#[test]
fn truncated_files_are_refused() {
    for name in [
        "1.5/svc_five.joblib",
        "1.5/forest.joblib",
        "1.1/forest.p4.pkl",
        "1.5/order.p0.pkl",
        "0.20/pipeline.p2.pkl",
        "forms/zlib.joblib",
        "forms/gzip.joblib",
        "forms/bz2.joblib",
        "forms/xz.joblib",
        "forms/lzma.joblib",
        "forms/lz4.joblib",
        "forms/zfile.joblib",
    ] {
        let bytes = std::fs::read(crate_path("testdata/sklearn").join(name)).unwrap();
        // Of a compressed file so much must be there that one sees how it is compressed.
        let least = if name.starts_with("forms") { 6 } else { 0 };
        // The end mark of lz4, four bytes, says nothing that the end of the pickle does not.
        let most = if name.ends_with("lz4.joblib") { bytes.len() - 4 } else { bytes.len() };
        for length in (least..most).rev().step_by(61).chain(least..16) {
            let refusal = super::read(&bytes[..length])
                .err()
                .unwrap_or_else(|| panic!("{length} bytes of {name} were loaded"));
            assert!(format!("{refusal:?}").contains("cut short"), "{length} bytes of {name}: {refusal:?}");
        }
    }
}

/// A flipped bit may still leave a model, with another number in it; what it may not do is panic, hang or take memory.
#[test]
fn flipped_bits_never_panic() {
    for name in [
        "1.5/svc_break_ties.joblib",
        "1.5/forest_binary.p4.pkl",
        "1.5/pipeline_svc.joblib",
        "1.5/order.p0.pkl",
        "1.1/bagging.joblib",
        "1.9/boosting.joblib",
        "1.9/histogram.p4.pkl",
        "1.9/isolation.joblib",
        "1.9/stacking.joblib",
        "1.9/near_balls.p4.pkl",
        "1.9/near_boxes.joblib",
        "1.9/target.joblib",
        "1.9/code.joblib",
    ] {
        let sound = std::fs::read(crate_path("testdata/sklearn").join(name)).unwrap();
        for at in (0..sound.len()).step_by(3) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            if let Ok(steps) = super::read(&bytes) {
                let width = steps.features().unwrap();
                let model = super::model::Estimator::new(steps, "joblib", false);
                let _ = ask(&model, &[vec![0.5; width], vec![-1.5; width]]);
            }
        }
    }
}

/// A small file may not ask for more memory than a small file may have, nor for more time.
#[test]
fn what_a_file_asks_for_is_bounded() {
    let want = "would take more memory than";
    // Two million lists, and names that are looked for in a state of a million names.
    refused("lists.pkl", &b"]".repeat(2_000_000), want);
    let text = "x".repeat(100_000);
    let names = format!("(lp0\n0S'{text}'\np1\n0g0\n({}l.", "g1\n".repeat(10_000));
    refused("list.pkl", names.as_bytes(), "a list is not supported");
    let vocabulary = format!(
        "csklearn.feature_extraction.text\nCountVectorizer\n)R(S'analyzer'\nS'char'\nS'ngram_range'\n(I1\nI1\nt\
         S'{text}'\np1\n0S'vocabulary_'\n({}ddb.",
        (0..100_000).map(|at| format!("g1\nI{at}\n")).collect::<String>()
    );
    refused("vocabulary.pkl", vocabulary.as_bytes(), want);
    let state = format!("(S'steps'\n]{}dp9\n0", "S'x'\nN".repeat(200_000));
    let models = "(S'a'\ncsklearn.pipeline\nPipeline\n)Rg9\nbt".repeat(10_000);
    let shared = format!("{state}csklearn.pipeline\nPipeline\n)R(S'steps'\n({models}ldb.");
    refused("shared.pkl", shared.as_bytes(), want);
}
