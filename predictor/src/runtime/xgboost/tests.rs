//! Against the framework's own answers (`testdata/xgboost/make.py`), bit for bit, and against damaged files.

use std::path::{Path, PathBuf};

use weir_sdk::proto::json::Reader;

use super::columns::ABREAST;

use super::*;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/xgboost")
}

/// A file beside the checkout, or `None`, said aloud, where there is none.
fn shared(file: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(file);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        println!("skipped: there is no {}", path.display());
    }
    bytes
}

fn load(bytes: &[u8]) -> Booster {
    read(bytes).unwrap_or_else(|fault| panic!("{fault:?}"))
}

/// The outputs `predict` and `margin` for these rows, flat.
fn predict(model: &Booster, rows: &[f32]) -> [Vec<f32>; 2] {
    let shape = [rows.len() / model.features, model.features];
    let outputs =
        model.predict(&[Tensor::new("x", shape, Data::Fp32(rows.to_vec().into()))], &[0, 1]).unwrap();
    let [first, second] = <[Tensor; 2]>::try_from(outputs).unwrap();
    [first, second].map(|tensor| match tensor.data {
        Data::Fp32(values) => values.to_vec(),
        other => panic!("{other:?}"),
    })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Inputs, margins and predictions, each flat, and the number of rows.
fn golden(file: &Path) -> ([Vec<f32>; 3], usize) {
    let mut parts = [const { Vec::new() }; 3];
    let text = std::fs::read_to_string(file).unwrap();
    for line in text.lines() {
        for (part, numbers) in parts.iter_mut().zip(line.split(';')) {
            part.extend(numbers.split(' ').map(|it| f32::from_bits(u32::from_str_radix(it, 16).unwrap())));
        }
    }
    (parts, text.lines().count())
}

#[test]
fn answers_are_the_frameworks_to_the_last_bit() {
    let mut models = 0;
    for folder in ["0.72.1", "0.82", "0.90", "1.7.6", "2.1.4", "3.0.5", "3.2.0"] {
        for entry in std::fs::read_dir(testdata().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().unwrap() == "txt" {
                continue;
            }
            let ([rows, margins, predictions], count) = golden(&path.with_extension("txt"));
            let model = load(&std::fs::read(&path).unwrap());
            let [predicted, margin] = predict(&model, &rows);
            assert_eq!(bits(&margin), bits(&margins), "margins of {}", path.display());
            assert_eq!(bits(&predicted), bits(&predictions), "predictions of {}", path.display());
            // A row alone takes another path than a row among many.
            for (at, row) in rows.chunks(model.features).enumerate() {
                let outputs = margins.len() / count;
                assert_eq!(bits(&predict(&model, row)[1]), bits(&margins[at * outputs..][..outputs]));
            }
            // As do rows beyond the first block.
            assert_eq!(bits(&predict(&model, &rows.repeat(5))[0]), bits(&predictions.repeat(5)));
            models += 1;
        }
    }
    assert_eq!(models, 81);
}

#[test]
fn a_base_score_off_by_one_bit_is_noticed() {
    let path = testdata().join("3.2.0/gamma.json");
    let ([rows, margins, _], count) = golden(&path.with_extension("txt"));
    let mut model = load(&std::fs::read(&path).unwrap());
    model.base[0] = model.base[0].next_up();
    let differing = predict(&model, &rows)[1].iter().zip(&margins).filter(|(got, want)| got != want).count();
    assert!(differing > count / 3, "{differing} of {count}");
}

#[test]
fn the_signature_tells_columns_classes_and_format() {
    let model = |file: &str| load(&std::fs::read(testdata().join(file)).unwrap());
    let named = model("3.2.0/binary.json");
    assert_eq!(named.signature().platform, "xgboost_json");
    assert_eq!(named.signature().columns, ["age", "fare", "größe", "class", "sibsp"]);
    assert_eq!(named.signature().inputs, [TensorSpec::new("input-0", DataType::Fp32, [-1, 5])]);
    let output =
        TensorSpec::new("predict", DataType::Fp32, [-1]).with_labels(vec!["0".to_owned(), "1".to_owned()]);
    assert_eq!(named.signature().outputs[0], output);
    assert_eq!(named.signature().default_outputs, 1);
    let classes = model("1.7.6/softprob.ubj");
    assert_eq!(classes.signature().platform, "xgboost_ubjson");
    let labels = vec!["0".to_owned(), "1".to_owned(), "2".to_owned()];
    let output = TensorSpec::new("predict", DataType::Fp32, [-1, 3]).with_labels(labels);
    assert_eq!(classes.signature().outputs[0], output);
    let class = model("3.2.0/softmax.json");
    assert_eq!(class.signature().outputs[0], TensorSpec::new("predict", DataType::Fp32, [-1]));
    assert_eq!(class.signature().outputs[1], TensorSpec::new("margin", DataType::Fp32, [-1, 3]));
    let two = Tensor::new("x", [2, 5], Data::Fp32(vec![0.5; 10].into()));
    let shapes: Vec<_> =
        class.predict(&[two], &[1, 0]).unwrap().into_iter().map(|it| (it.name, it.shape)).collect();
    assert_eq!(shapes, [("margin".to_owned(), vec![2, 3]), ("predict".to_owned(), vec![2])]);
}

#[test]
fn infinity_is_refused_and_nan_is_a_missing_value() {
    let model = load(&std::fs::read(testdata().join("3.2.0/binary.json")).unwrap());
    let ask = |values: Vec<f32>| model.predict(&[Tensor::new("x", [2, 5], Data::Fp32(values.into()))], &[0]);
    let mut values = vec![f32::NAN; 10];
    assert!(ask(values.clone()).is_ok());
    values[7] = f32::NEG_INFINITY;
    let error = ask(values).unwrap_err();
    assert_eq!(error.code, weir_sdk::proto::Code::InvalidInput);
    assert!(error.message.contains("in row 1, column 2;"), "{}", error.message);
}

#[test]
fn kserves_iris_examples_answer_class_one() {
    for file in ["kserve-iris-json/model.json", "kserve-iris-legacy-binary/model.bst"] {
        let Some(bytes) = shared(&format!("models/xgboost/{file}")) else { continue };
        let [predicted, _] = predict(&load(&bytes), &[6.8, 2.8, 4.8, 1.4, 6.0, 3.4, 4.5, 1.6]);
        let classes: Vec<_> = match predicted.len() {
            2 => predicted,
            _ => predicted.chunks(3).map(|row| row.iter().position(|it| *it > 0.5).unwrap() as f32).collect(),
        };
        assert_eq!(classes, [1.0, 1.0], "{file}");
    }
}

#[test]
fn a_classifier_of_the_scikit_learn_wrapper_agrees_on_every_instance() {
    let folder = "golden/explain/cases/breast_cancer_xgb";
    let files = ["model.xgb.json", "instances.csv", "predictions.json"]
        .map(|name| shared(&format!("{folder}/{name}")));
    let [Some(model), Some(instances), Some(answers)] = files else { return };
    let text = String::from_utf8(instances).unwrap();
    let rows: Vec<f32> =
        text.lines().skip(1).flat_map(|it| it.split(',')).map(|it| it.parse().unwrap()).collect();
    let [_, margins] = predict(&load(&model), &rows);
    // The file holds 12 decimals, more than tell two singles of this size apart.
    let mut wanted = Vec::new();
    let mut reader = Reader::new(&answers);
    reader.begin_object().unwrap();
    while let Some(key) = reader.next_key().unwrap() {
        if key == "margin" {
            reader.begin_array().unwrap();
            assert!(reader.each_number(|value| wanted.push(value as f32)).unwrap().closed);
        } else {
            reader.skip().unwrap();
        }
    }
    assert!(!wanted.is_empty());
    assert_eq!(bits(&margins), bits(&wanted));
}

/// A model of one tree: right of 0.5 it answers 2, else 1, and a missing value goes left.
fn stump() -> String {
    let tree = r#"{"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
        "split_conditions": [0.5, 1, 2], "default_left": [true, false, false], "tree_param": {"size_leaf_vector": "0"}}"#;
    let booster = format!(r#"{{"name": "gbtree", "model": {{"trees": [{tree}], "tree_info": [0]}}}}"#);
    let params = r#"{"base_score": "0.25", "num_feature": "1"}"#;
    format!(
        r#"{{"version": [1, 0, 2], "learner": {{"gradient_booster": {booster},
        "objective": {{"name": "reg:squarederror"}}, "learner_model_param": {params}}}}}"#
    )
}

#[test]
fn files_of_version_1_0_have_truth_values_and_no_categories() {
    let [values, _] = predict(&load(stump().as_bytes()), &[0.25, 0.5, 0.75, f32::NAN]);
    assert_eq!(values, [1.25, 2.25, 2.25, 1.25]);
}

#[test]
fn newer_files_keep_the_shares_of_dart_in_the_model_and_sort_their_quantiles() {
    let shares = stump().replace(r#""tree_info": [0]"#, r#""tree_info": [0], "weight_drop": [0.5]"#);
    assert_eq!(predict(&load(shares.as_bytes()), &[0.75])[0], [1.25]);
    let three = |version: &str| {
        let text = stump().replace("[1, 0, 2]", version).replace("squarederror", "quantileerror");
        text.replace(r#""0.25", "#, r#""[3,-2,0]", "num_target": "3", "#)
    };
    assert_eq!(predict(&load(three("[3, 4, 1]").as_bytes()), &[0.0])[0], [-2.0, 0.0, 4.0]);
    assert_eq!(predict(&load(three("[3, 3, 0]").as_bytes()), &[0.0])[0], [4.0, -2.0, 0.0]);
}

fn fault(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(_) => "none".to_owned(),
        Err(Fault::Malformed(reason)) => reason,
        Err(Fault::Unsupported { what, advice }) => format!("{what} is not supported; {advice}"),
    }
}

#[test]
fn what_cannot_be_served_is_told_by_name() {
    let legacy = std::fs::read(testdata().join("1.7.6/binary.bst")).unwrap();
    let changed = |at: usize, byte: u8| [&legacy[..at], &[byte], &legacy[at + 1..]].concat();
    let booster = legacy.windows(6).position(|it| it == b"gbtree").unwrap();
    let root = booster + 6 + 160;
    let table = [
        (
            changed(booster + 2, b'x'),
            "the booster is called `gbxree`, expected `gbtree`, `dart` or `gblinear`",
        ),
        (changed(root, 2), "tree 0, which has 2 roots, is not supported; train"),
        (
            changed(root + 20, 2),
            "tree 0, whose leaves are vectors, in the binary format is not supported; write",
        ),
        (changed(root + 7, 0x80), "a model of -2147483"),
        (changed(root + 6, 0x7f), "the nodes of a tree, 166"),
        (changed(141, 0xff), "byte 140: the objective's name has 65295 characters"),
        (legacy[..1000].to_vec(), "the statistics of a tree, 240 bytes from byte 785 on"),
        (b"bs64AAAA".to_vec(), "the binary format in base64 of XGBoost before 0.6 is not supported; decode"),
        (
            stump().replace("reg:squared", "my:").into(),
            "the objective `my:error` is not supported; serve the model from",
        ),
        (
            stump().replace("gbtree", "gbforest").into(),
            "the booster `gbforest` is not supported; train the model with",
        ),
        (
            b"\0\0\0\x3f\x04\0\0\0".to_vec(),
            "the model's parameters, 136 bytes from byte 0 on, run past the end of the file at 8; expected a model in",
        ),
        (
            b"binf\0\0\0\x3f".to_vec(),
            "the model's parameters, 136 bytes from byte 4 on, run past the end of the file at 8; expected a model in",
        ),
        (
            b"\x80\x04\x95".to_vec(),
            "a pickled Python object is not supported; serve it with the runtime `sklearn`",
        ),
        (b" \n".to_vec(), "the file is empty"),
        (b"{}".to_vec(), "there is no `learner` in it, so it is not a model that XGBoost saved"),
    ];
    for (bytes, want) in table {
        let met = fault(&bytes);
        assert!(met.starts_with(want), "{met}\n{want}");
    }
}

#[test]
fn trees_that_are_none_are_refused() {
    let table = [
        (
            "[1, -1, -1]",
            "[0, -1, -1]",
            "node 0 of tree 0 has the children 0 and 2, expected two that no other node has",
        ),
        (
            "[2, -1, -1]",
            "[1, -1, -1]",
            "node 0 of tree 0 has the children 1 and 1, expected two that no other node has",
        ),
        (
            "[2, -1, -1]",
            "[3, -1, -1]",
            "node 0 of tree 0 has the children 1 and 3, expected two that no other node has",
        ),
        ("[2, -1, -1]", "[2, -1]", "the arrays of tree 0 differ in length or are empty"),
        ("[0, 0, 0]", "[1, 0, 0]", "a tree tests feature 1, `num_feature` is 1"),
        (
            "[0, 0, 0]",
            "[-1, 0, 0]",
            "node 0 of tree 0 tests the feature -1, expected a number from 0 to 1073741823",
        ),
        ("[0.5, 1, 2]", "[NaN, 1, 2]", "node 0 of tree 0 has the threshold NaN, expected a number"),
        ("[0.5, 1, 2]", "[0.5, 1e40, 2]", "line 2 column 35: number out of range"),
        (
            "[0.5, 1, 2]",
            "[0.5, 1, 2], \"split_type\": [1, 0, 0]",
            "node 0 of tree 0 splits by categories that the arrays do not",
        ),
        ("\"tree_info\": [0]", "\"tree_info\": [1]", "tree 0 belongs to output 1, the model has 1"),
        ("\"tree_info\": [0]", "\"tree_info\": []", "`tree_info` is about 0 trees, the file has 1"),
        ("\"num_feature\": \"1\"", "\"num_feature\": \"-1\"", "`num_feature` is `-1`, expected a count"),
        ("\"num_feature\": \"1\"", "\"num_target\": \"1\"", "`num_feature` is missing or 0"),
        (
            "\"num_feature\": \"1\"",
            "\"num_class\": \"9999999999\", \"num_feature\": \"1\"",
            "a model of 9999999999 classes and",
        ),
        ("\"0.25\"", "\"[]\"", "`base_score` is `[]`, expected a number or several in brackets"),
        ("\"0.25\"", "\"[1,2]\"", "`base_score` holds 2 numbers for 1 outputs"),
        ("\"0.25\"", "\"nan\"", "`base_score` holds NaN, which `reg:squarederror` has no margin for"),
        ("[true, false, false]", "[1.5, 0, 0]", "line 2 column 59: expected an integer, met `1`"),
        (
            "\"gbtree\"",
            "\"gblinear\"",
            "`weights` holds 0 numbers, expected one for each of 1 outputs and each of 1",
        ),
    ];
    for (from, to, want) in table {
        let text = stump();
        assert!(text.contains(from), "{from}");
        let met = fault(text.replacen(from, to, 1).as_bytes());
        assert!(met.starts_with(want), "{from} -> {to}: {met}");
    }
}

#[test]
fn bombs_are_refused_before_they_take_memory_or_stack() {
    let deep = |begin: &[u8], times: usize, start: &[u8]| [start, &begin.repeat(times)].concat();
    assert!(fault(&deep(b"[", 100_000, b"{\"a\":")).ends_with("nested deeper than 64"));
    assert_eq!(
        fault(&deep(b"[", 100_000, b"{i\x01a")),
        "byte 67: arrays and objects are nested deeper than 64"
    );
    assert_eq!(
        fault(&deep(b"{i\x01a", 100_000, b"")),
        "byte 256: arrays and objects are nested deeper than 64"
    );
    let huge = b"{i\x07version[$l#L\x7f\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(fault(huge), "byte 11: an array of 9223372036854775807 elements, but 0 bytes are left");
    assert_eq!(
        fault(b"{i\x07version[#l\x7f\xff\xff\xffZ"),
        "byte 11: an array of 2147483647 elements, but 1 bytes are left"
    );
    assert_eq!(
        fault(b"{L\x7f\xff\xff\xff\xff\xff\xff\xffab"),
        "byte 10: a string of 9223372036854775807 bytes runs past the end of the file at 12"
    );
    assert_eq!(fault(b"{i\xffa"), "byte 1: expected a length, met `i`");
    assert_eq!(fault(b"{i\x07version[$Z#i\x7f"), "byte 12: expected a type of number, met `Z`");
    // Many nodes that share one long list of categories.
    let shared = stump().replace(
        "[0.5, 1, 2]",
        r#"[0.5, 1, 2], "split_type": [1, 0, 0], "categories": [1, 2], "categories_nodes": [0, 1],
            "categories_segments": [0, 0], "categories_sizes": [2, 2]"#,
    );
    assert_eq!(fault(shared.as_bytes()), "tree 0 counts more categories than it lists");
}

#[test]
fn every_form_of_ubjson_is_read() {
    // Counted and open arrays of marked numbers, in every width, and values to be skipped.
    let text = b"{i\x01aZi\x01bTi\x01cFi\x01dCxi\x01eD\0\0\0\0\0\0\0\0i\x01f{i\x01gSU\x02hi}i\x01h[[$I#i\x02\0\x01\0\x02[#i\x01Z]}";
    let mut reader = ubjson::Reader::new(text);
    source::Source::skip(&mut reader).unwrap();
    source::Source::finish(&mut reader).unwrap();
    let integers = |bytes: &[u8]| source::Source::integers(&mut ubjson::Reader::new(bytes));
    assert_eq!(
        integers(b"[i\xffU\xffI\x01\0l\0\x01\0\0L\0\0\0\0\0\0\x01\0TF]"),
        Ok(vec![-1, 255, 256, 65536, 256, 1, 0])
    );
    assert_eq!(integers(b"[#U\x02i\x01i\x02"), Ok(vec![1, 2]));
    assert_eq!(integers(b"[$U#i\x02\x01\xff"), Ok(vec![1, 255]));
    assert!(integers(b"[$d#i\x01\0\0\0\0").is_err());
    let floats = |bytes: &[u8]| source::Source::floats(&mut ubjson::Reader::new(bytes));
    assert_eq!(floats(b"[d\x3f\x80\0\0i\x02D\x40\x08\0\0\0\0\0\0]"), Ok(vec![1.0, 2.0, 3.0]));
    assert_eq!(floats(b"[$D#i\x01\x40\x08\0\0\0\0\0\0"), Ok(vec![3.0]));
    assert_eq!(floats(b"[$I#i\x01\x01\0"), Ok(vec![256.0]));
}

#[test]
fn no_damage_makes_reading_or_walking_panic() {
    for file in [
        "3.2.0/categorical-sets.ubj",
        "3.2.0/categorical-sets.json",
        "1.7.6/linear.ubj",
        "3.2.0/roots.json",
        "3.2.0/vector-leaves.json",
        "1.7.6/dart.bst",
        "1.7.6/linear.bst",
        "0.90/softprob.bst",
    ] {
        let sound = std::fs::read(testdata().join(file)).unwrap();
        let stride = sound.len().div_ceil(400);
        for at in (0..sound.len()).step_by(stride) {
            assert!(read(&sound[..at]).is_err(), "{file} cut at {at}");
            for flip in [0x01, 0x80, 0xff, sound[at] ^ b'9'] {
                let mut damaged = sound.clone();
                damaged[at] ^= flip;
                if let Ok(model) = read(&damaged)
                    && model.features < 1000
                {
                    predict(&model, &vec![1.5; 9 * model.features]);
                }
            }
        }
    }
}

#[test]
fn models_of_many_features_take_the_same_ways() {
    for name in ["squarederror", "categorical-one-hot", "vector-leaves"] {
        let path = testdata().join(format!("3.2.0/{name}.json"));
        let ([rows, _, predictions], _) = golden(&path.with_extension("txt"));
        let text = std::fs::read_to_string(&path).unwrap();
        let types = r#""feature_types":["q","c","q","q","c"]"#;
        let text = text
            .replace(r#""num_feature":"5""#, r#""num_feature":"200""#)
            .replace(types, r#""feature_types":[]"#);
        let model = load(text.as_bytes());
        assert_eq!(model.features, 200);
        let wide: Vec<f32> = rows.chunks(5).flat_map(|row| row.iter().copied().chain([7.5; 195])).collect();
        assert_eq!(bits(&predict(&model, &wide)[0]), bits(&predictions), "{name}");
        assert_eq!(bits(&predict(&model, &wide[..600])[0])[..3], bits(&predictions)[..3]);
    }
}

/// A chain: left of `i` it answers `i`, and a missing value goes all the way to the right.
fn chain(length: usize) -> String {
    let list = |item: &dyn Fn(usize) -> String| (0..=2 * length).map(item).collect::<Vec<_>>().join(",");
    let split = |at: usize| at.is_multiple_of(2) && at < 2 * length;
    let left = list(&|at| if split(at) { (at + 1).to_string() } else { "-1".to_owned() });
    let right = list(&|at| if split(at) { (at + 2).to_string() } else { "-1".to_owned() });
    let condition = list(&|at| (at / 2).to_string());
    let zeros = list(&|_| "0".to_owned());
    format!(
        r#"{{"left_children": [{left}], "right_children": [{right}], "split_indices": [{zeros}],
        "split_conditions": [{condition}], "default_left": [{zeros}]}}"#
    )
}

#[test]
fn lopsided_trees_are_walked_alone_abreast_and_among_others() {
    let head = r#"{"version": [1, 7, 0], "learner": {"objective": {"name": "reg:squarederror"},
        "learner_model_param": {"base_score": "0", "num_feature": "1"},
        "gradient_booster": {"name": "gbtree", "model": {"trees": "#;
    let values = [-1.0, 0.0, 0.5, 1.0, 38.5, 39.5, 1e9, f32::NAN, 7.25, 6.0, 1.0, -0.0];
    let answer = |length: usize, value: f32| {
        if value.is_nan() { length as f32 } else { (value.floor() + 1.0).clamp(0.0, length as f32) }
    };
    for lengths in [vec![40], vec![40; 9], vec![40, 2, 0, 1, 6, 40, 3, 3, 3], vec![0], vec![9, 10, 11]] {
        let trees: Vec<_> = lengths.iter().map(|&it| chain(it)).collect();
        let info = vec!["0"; lengths.len()].join(",");
        let model = load(format!("{head}[{}], \"tree_info\": [{info}]}}}}}}}}", trees.join(",")).as_bytes());
        let wanted: Vec<f32> =
            values.iter().map(|&value| lengths.iter().map(|&it| answer(it, value)).sum()).collect();
        assert_eq!(predict(&model, &values)[1], wanted, "{lengths:?}");
        assert_eq!(predict(&model, &values[5..8])[1], wanted[5..8], "{lengths:?}");
    }
}

#[test]
fn keys_compare_as_numbers_do() {
    let values = [
        f32::NEG_INFINITY,
        f32::MIN,
        -1.0,
        -1e-45,
        -0.0,
        0.0,
        1e-45,
        f32::MIN_POSITIVE,
        1.0,
        1.0_f32.next_up(),
        f32::MAX,
        f32::INFINITY,
    ];
    for a in values {
        assert!(i32::MIN < columns::key(a) && columns::key(a) < i32::MAX - 1);
        for b in values {
            assert_eq!(columns::key(a) >= columns::key(b), a >= b, "{a} and {b}");
        }
    }
}

#[test]
fn a_booster_out_of_a_pickle_can_stop_at_its_best_round() {
    let path = testdata().join("3.2.0/stopped-early.json");
    let model = std::fs::read_to_string(&path).unwrap();
    let whole = from_bytes(model.as_bytes()).unwrap();
    let best = whole.best_iteration().unwrap();
    let snapshot = format!(
        r#"{{"Config": {{"learner": {{"gradient_booster": {{"gbtree_train_param": {{"num_parallel_tree": "1"}}}}}}}}, "Model": {model}}}"#
    );
    let mut cut = from_bytes(snapshot.as_bytes()).unwrap();
    let row = [0.5; 5];
    assert_eq!(cut.answer(&row, false).unwrap(), whole.answer(&row, false).unwrap());
    let Scorer::Forest(forest) = &cut.scorer else { panic!() };
    assert_eq!(forest.len(), 4);
    cut.truncate(best + 1);
    let Scorer::Forest(forest) = &cut.scorer else { panic!() };
    assert_eq!(
        (forest.len(), cut.features(), cut.outputs(), cut.objective()),
        (best + 1, 5, 1, "reg:squarederror")
    );
    assert_eq!(cut.answer(&[1.0, 1.0, 1.0, f32::INFINITY, 1.0], true), Err((0, 3)));

    // Until 1.5 the model was in the binary format, and its length before it.
    let binary = std::fs::read(testdata().join("1.7.6/binary.bst")).unwrap();
    let length = u64::try_from(binary.len()).unwrap().to_le_bytes();
    let settings = br#"{"learner": {}}"#;
    let old = [&b"CONFIG-offset:"[..], &length, &binary, settings].concat();
    let answers = |bytes: &[u8]| from_bytes(bytes).unwrap().answer(&row, true).unwrap();
    assert_eq!(answers(&old), answers(&binary));
    assert!(from_bytes(&old[..binary.len()]).is_err());
    assert!(from_bytes(&old[..old.len() - 1]).is_err());
}

/// Folds every tree that is small enough for the rows, with these registers.
fn folded(model: &Booster, rows: &[f32], isa: impl rten_simd::Isa) -> Vec<Vec<u32>> {
    let Scorer::Forest(forest) = &model.scorer else { panic!() };
    let (length, groups) = (forest.columns.cells(), rows.len() / model.features / ABREAST);
    let mut cells = vec![[0; ABREAST]; length * groups + columns::NARROW];
    for (rows, cells) in rows.chunks_exact(ABREAST * model.features).zip(cells.chunks_exact_mut(length)) {
        forest.columns.fill(rows, model.features, cells);
    }
    let mut room = vec![[0.0; ABREAST]; forest.room];
    let fold = |tree| {
        let mut leaves = vec![[0.0; ABREAST]; groups];
        let (cells, room, leaves_of) = (&cells[..], &mut room[..], &mut leaves[..]);
        let fold = fold::Fold::<{ walk::BITS }> { forest, tree, cells, length, room, leaves: leaves_of };
        rten_simd::SimdOp::eval(fold, isa);
        bits(leaves.as_flattened())
    };
    let is_folded = |tree: &&walk::Tree| fold::levels(tree.shape, 16) != fold::Levels::None;
    forest.trees.iter().filter(is_folded).map(fold).collect()
}

#[test]
fn registers_of_every_width_fold_trees_alike() {
    let mut trees = 0;
    for folder in ["1.7.6", "3.2.0"] {
        for entry in std::fs::read_dir(testdata().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|it| it != "json" && it != "ubj") {
                continue;
            }
            let model = load(&std::fs::read(&path).unwrap());
            let Scorer::Forest(forest) = &model.scorer else { continue };
            if forest.sets.words() > walk::MAX_WORDS || (!forest.sets.is_empty() && forest.sets.words() == 0)
            {
                continue;
            }
            let rows: Vec<f32> = (0..7 * ABREAST * model.features)
                .map(|at| if at % 11 == 0 { f32::NAN } else { (at * 7919 % 1000) as f32 / 125.0 - 4.0 })
                .collect();
            let narrow = folded(&model, &rows, rten_simd::isa::GenericIsa::new());
            trees += narrow.len();
            #[cfg(target_arch = "x86_64")]
            {
                use rten_simd::isa::{Avx2Isa, Avx512Isa};
                let wider = Avx2Isa::new().map(|isa| folded(&model, &rows, isa));
                let widest = Avx512Isa::new().map(|isa| folded(&model, &rows, isa));
                for wide in [wider, widest].into_iter().flatten() {
                    assert_eq!(wide, narrow, "{}", path.display());
                }
            }
        }
    }
    assert!(trees > 50, "{trees}");
}

#[test]
fn names_of_categories_are_read_unless_they_were_cut_off() {
    let names = |version: &str, cats: &str| {
        let text = stump().replace("[1, 0, 2]", version).replace(
            r#""tree_info": [0]"#,
            &format!(r#""tree_info": [0], "cats": {{"enc": [{cats}], "sorted_idx": [0]}}"#),
        );
        let named = text.replace(r#""objective":"#, r#""feature_names": ["a"], "objective":"#);
        let model = load(named.as_bytes());
        model.signature.categories.iter().flat_map(|it| it.1.names()).map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = r#"{"offsets": [0, 2, 3], "values": [97, 98, 99]}"#;
    assert_eq!(names("[3, 2, 0]", plain), ["ab", "c"]);
    let other = r#"{"offsets": [0, 2, 3], "values": [-61, -74, 99]}"#;
    assert!(names("[3, 2, 0]", other).is_empty());
    assert_eq!(names("[3, 3, 0]", other), ["ö", "c"]);
    for none in [
        r#"{"offsets": [], "values": []}"#,
        r#"{"offsets": [0, 3], "values": [97]}"#,
        r#"{"offsets": [1, 1], "values": [97]}"#,
        r#"{"offsets": [0, 1], "values": [300]}"#,
        r#"{"type": 15, "values": [5000000000]}"#,
        r#"{"type": 15, "values": [10, 20]}"#,
    ] {
        assert!(names("[3, 2, 0]", none).is_empty(), "{none}");
    }
}
