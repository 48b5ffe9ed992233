//! Against the framework's own answers (`testdata/lightgbm/make.py`), bit for bit, and against damaged files.

use std::path::{Path, PathBuf};

use super::*;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lightgbm")
}

fn load(bytes: &[u8]) -> Booster {
    read(bytes).unwrap_or_else(|fault| panic!("{fault:?}"))
}

fn model(file: &str) -> Booster {
    load(&std::fs::read(testdata().join(file)).unwrap())
}

/// The outputs `predict` and `raw_score` for these rows, flat.
fn predict(model: &Booster, rows: &[f64]) -> [Vec<f64>; 2] {
    let shape = [rows.len() / model.features, model.features];
    let outputs =
        model.predict(&[Tensor::new("x", shape, Data::Fp64(rows.to_vec().into()))], &[0, 1]).unwrap();
    let [first, second] = <[Tensor; 2]>::try_from(outputs).unwrap();
    [first, second].map(|tensor| match tensor.data {
        Data::Fp64(values) => values.to_vec(),
        other => panic!("{other:?}"),
    })
}

/// The bits of numbers. NaN is NaN: which one it is, the processor chooses.
fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| if value.is_nan() { u64::MAX } else { value.to_bits() }).collect()
}

/// Inputs, raw scores and predictions, each flat, and the number of rows.
fn golden(file: &Path) -> ([Vec<f64>; 3], usize) {
    let mut parts = [const { Vec::new() }; 3];
    let text = std::fs::read_to_string(file).unwrap();
    for line in text.lines() {
        for (part, numbers) in parts.iter_mut().zip(line.split(';')) {
            part.extend(numbers.split(' ').map(|it| f64::from_bits(u64::from_str_radix(it, 16).unwrap())));
        }
    }
    (parts, text.lines().count())
}

#[test]
fn answers_are_the_frameworks_to_the_last_bit() {
    let (mut texts, mut dumps) = (0, 0);
    for folder in ["3.3.5", "4.7.0"] {
        for entry in std::fs::read_dir(testdata().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().unwrap().to_str().unwrap() {
                "txt" => texts += 1,
                "json" => dumps += 1,
                _ => continue,
            }
            let ([rows, scores, predictions], count) = golden(&path.with_extension("answers"));
            let model = load(&std::fs::read(&path).unwrap());
            let [predicted, score] = predict(&model, &rows);
            assert_eq!(bits(&score), bits(&scores), "raw scores of {}", path.display());
            assert_eq!(bits(&predicted), bits(&predictions), "predictions of {}", path.display());
            // A row alone takes another path than a row among many.
            for (at, row) in rows.chunks(model.features).enumerate() {
                let outputs = scores.len() / count;
                assert_eq!(bits(&predict(&model, row)[1]), bits(&scores[at * outputs..][..outputs]));
            }
            // As do rows beyond the first block.
            assert_eq!(bits(&predict(&model, &rows.repeat(5))[0]), bits(&predictions.repeat(5)));
        }
    }
    assert_eq!((texts, dumps), (50, 16));
}

#[test]
fn answers_off_by_one_bit_are_noticed() {
    let text = std::fs::read_to_string(testdata().join("4.7.0/sigmoid.txt")).unwrap();
    let ([rows, _, predictions], _) = golden(&testdata().join("4.7.0/sigmoid.answers"));
    let exact = predict(&load(text.as_bytes()), &rows);
    assert_eq!(bits(&exact[0]), bits(&predictions));
    // The next number after the sigmoid that the file has.
    let next = predict(&load(text.replace("sigmoid:12.3456", "sigmoid:12.34560000000001").as_bytes()), &rows);
    assert_ne!(bits(&next[0]), bits(&predictions));
}

#[test]
fn the_signature_tells_columns_classes_and_format() {
    let named = model("4.7.0/binary.txt");
    assert_eq!(named.signature().platform, "lightgbm_text");
    assert_eq!(named.signature().columns, ["age", "fare", "größe", "class", "sibsp"]);
    assert_eq!(model("3.3.5/binary.json").signature().columns, named.signature().columns);
    assert_eq!(named.signature().inputs, [TensorSpec::new("input-0", DataType::Fp64, [-1, 5])]);
    let output =
        TensorSpec::new("predict", DataType::Fp64, [-1]).with_labels(vec!["0".to_owned(), "1".to_owned()]);
    assert_eq!(named.signature().outputs[0], output);
    assert_eq!(named.signature().default_outputs, 1);
    let classes = model("4.7.0/multiclass.json");
    assert_eq!(classes.signature().platform, "lightgbm_json");
    assert_eq!(classes.signature().columns[4], "Column_4");
    let labels = ["0", "1", "2"].map(str::to_owned).to_vec();
    let output = TensorSpec::new("predict", DataType::Fp64, [-1, 3]).with_labels(labels);
    assert_eq!(classes.signature().outputs[0], output);
    assert_eq!(classes.signature().outputs[1], TensorSpec::new("raw_score", DataType::Fp64, [-1, 3]));
    assert_eq!(model("4.7.0/cross-entropy.txt").signature().outputs[0].labels.len(), 0);
    let two = Tensor::new("x", [2, 5], Data::Fp64(vec![0.5; 10].into()));
    let shapes = classes.predict(&[two], &[1, 0]).unwrap().into_iter().map(|it| (it.name, it.shape));
    let wanted = [("raw_score".to_owned(), vec![2, 3]), ("predict".to_owned(), vec![2, 3])];
    assert_eq!(shapes.collect::<Vec<_>>(), wanted);
}

/// A model of one tree: up to 0.5 it answers 1, above 2, or 3 where the second feature is above 0; NaN goes left.
fn small() -> String {
    let tree = "Tree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 1\nsplit_gain=1 1\nthreshold=0.5 0\n\
                decision_type=10 10\nleft_child=-1 -2\nright_child=1 -3\nleaf_value=1 2 3\nshrinkage=1\n";
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n\
         objective=regression\nfeature_names=a b\nfeature_infos=none none\ntree_sizes=9\n\n{tree}\n\nend of trees\n"
    )
}

#[test]
fn line_ends_and_what_follows_the_trees_do_not_matter() {
    let rows = [0.25, 1.0, 0.75, -1.0, 0.75, 1.0, f64::NAN, 1.0];
    for text in
        [small(), small().replace('\n', "\r\n"), format!("{}\nparameters:\n[x: 1]\n\0\u{ff}", small())]
    {
        assert_eq!(predict(&load(text.as_bytes()), &rows)[0], [1.0, 2.0, 3.0, 1.0]);
    }
    // Files until 2.1 go on with the importances at once.
    let old = small().replace("v4", "v2").replace("end of trees", "feature importances:");
    assert_eq!(predict(&load(old.as_bytes()), &rows[..2])[0], [1.0]);
}

#[test]
fn categories_are_found_in_bits_and_in_lists() {
    let dump = |set: &str| {
        format!(
            r#"{{"version": "v4", "num_class": 1, "max_feature_idx": 0, "feature_names": ["a"], "tree_info": [
            {{"tree_structure": {{"split_feature": 0, "threshold": "{set}", "decision_type": "==",
            "default_left": false, "missing_type": "NaN", "left_child": {{"leaf_value": 1}},
            "right_child": {{"leaf_value": 2}}}}}}]}}"#
        )
    };
    let rows = [0.0, -0.5, 1.0, 40.9, 2147483647.0, 2147483648.0, -1.0, f64::NAN, f64::INFINITY];
    let few = predict(&load(dump("0||1||40").as_bytes()), &rows)[0].clone();
    assert_eq!(few, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
    let large = predict(&load(dump("1||2147483647").as_bytes()), &rows)[0].clone();
    assert_eq!(large, [2.0, 2.0, 1.0, 2.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
    assert!(fault(dump("2147483648").as_bytes()).contains("expected ascending categories"));
    assert!(fault(dump("2||1").as_bytes()).contains("expected ascending categories such as `1||2`"));
}

fn fault(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(_) => "none".to_owned(),
        Err(Fault::Malformed(reason)) => reason,
        Err(Fault::Unsupported { what, advice }) => format!("{what} is not supported; {advice}"),
    }
}

/// What a pickled booster holds goes on behind its best iteration.
#[test]
fn iterations_that_do_not_count_are_as_if_they_were_not_in_the_file() {
    for (file, trees, iterations) in [("multiclass", 3, 1), ("binary", 2, 2), ("forest", 1, 1)] {
        let text = std::fs::read_to_string(testdata().join(format!("4.7.0/{file}.txt"))).unwrap();
        let (kept, rest) = text.split_once(&format!("Tree={trees}\n")).unwrap();
        let (_, end) = rest.split_once("end of trees").unwrap();
        let short = |line: &str| match line.strip_prefix("tree_sizes=") {
            Some(sizes) => {
                let sizes: Vec<_> = sizes.split(' ').take(trees).collect();
                format!("tree_sizes={}\n", sizes.join(" "))
            }
            None => format!("{line}\n"),
        };
        let cut: String = kept.lines().map(short).collect::<String>() + "end of trees" + end;
        let whole = from_text(text.as_bytes(), usize::MAX).unwrap();
        let first = from_text(text.as_bytes(), iterations).unwrap();
        let rows: Vec<f64> = (0..whole.features * 9).map(|at| (at * 37 % 41) as f64 / 8.0 - 2.5).collect();
        assert_eq!(bits(&first.answer(&rows)), bits(&load(cut.as_bytes()).answer(&rows)), "{file}");
        assert_ne!(bits(&first.answer(&rows)), bits(&whole.answer(&rows)), "{file}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_by_key_and_place() {
    let table = [
        (
            "tree\nv",
            "trees\nv",
            "its first line is not `tree`, so it is not a model that LightGBM saved; expected",
        ),
        (
            "version=v4",
            "version=v5",
            "the file version `v5` is not supported; write the model with LightGBM 2.1",
        ),
        ("version=v4\n", "", "`version` is missing, so it is not a model that LightGBM 2 or later saved"),
        ("num_class=1", "num_class=x", "line 3: `num_class` holds `x`, expected an integer"),
        ("num_class=1", "num_class=3", "a model of 3 classes and 1 trees an iteration cannot be"),
        ("iteration=1", "iteration=99999", "a model of 1 classes and 99999 trees an iteration cannot be"),
        (
            "label_index",
            "twist",
            "`twist` in line 5 is not supported; it may change what the model answers; write",
        ),
        ("idx=1", "idx=2", "`max_feature_idx` is 2, but `feature_names` names 2 features"),
        ("idx=1", "idx=9223372036854775807", "`max_feature_idx` is 9223372036854775807, but `feature_names`"),
        (
            "=regression",
            "=mine",
            "the objective `mine` is not supported; serve the model from Python, or train",
        ),
        ("=regression", "=binary", "the objective is `binary`, expected a `sigmoid:` and a positive number"),
        (
            "=regression",
            "=multiclass num_class:3",
            "the objective `multiclass num_class:3` is for 3 scores a",
        ),
        ("sizes=9", "sizes=9 9", "`tree_sizes` is about 2 trees, the file has 1"),
        ("end of trees\n", "", "the file ends before `end of trees`; it was cut off"),
        ("end of trees", "end", "line 25: expected `Tree=` or `end of trees`, met `end`"),
        ("shrinkage", "leaf_twist", "`leaf_twist` in line 22 is not supported; it may change what the model"),
        ("split_feature=0 1", "split_feature=0 2", "a tree looks at feature 2, `max_feature_idx` is 1"),
        (
            "split_feature=0 1",
            "split_feature=0 -1",
            "split 1 of tree 0 tests feature -1, expected the number",
        ),
        ("split_feature=0 1\n", "", "tree 0, which begins in line 12, has no `split_feature`"),
        (
            "threshold=0.5 0",
            "threshold=0.5 nan",
            "split 1 of tree 0 has the threshold NaN, expected a number",
        ),
        ("threshold=0.5 0", "threshold=0.5", "line 17: `threshold` ends before it has all its values"),
        (
            "threshold=0.5 0",
            "threshold=0.5 0 0",
            "line 17: `threshold` goes on with `0` after all its values",
        ),
        ("type=10 10", "type=10 14", "line 18: `decision_type` holds 14, with the threshold 0"),
        ("type=10 10", "type=10 1", "line 18: `decision_type` holds 1, with the threshold 0"),
        (
            "leaves=3",
            "leaves=1000000000",
            "line 13: `num_leaves` is 1000000000, but `leaf_value` holds 3 numbers",
        ),
        ("num_cat=0", "num_cat=3", "line 14: `num_cat` is not a number of splits of the tree"),
        (
            "child=1 -3",
            "child=0 -3",
            "split 0 of tree 0 has the children -1 and 0, expected later splits or leaves",
        ),
        (
            "child=1 -3",
            "child=2 -3",
            "split 0 of tree 0 has the children -1 and 2, expected later splits or leaves",
        ),
        ("child=1 -3", "child=-3 -3", "split 1 of tree 0 is the child of none before it"),
        ("child=-1 -2", "child=-3 -2", "split 1 of tree 0 has the children -2 and -3, expected later splits"),
        ("child=-1 -2", "child=-4 -2", "split 0 of tree 0 has the children -4 and 1, expected later splits"),
        ("shrinkage=1", "is_linear=1", "tree 0, which begins in line 12, has no `leaf_const`"),
    ];
    let mut wrong = Vec::new();
    for (from, to, want) in table {
        let text = small();
        assert!(text.contains(from), "{from}");
        let met = fault(text.replacen(from, to, 1).as_bytes());
        if !met.starts_with(want) {
            wrong.push(format!("{from} -> {to}: {met}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let linear = "is_linear=1\nleaf_const=1 1 1\nnum_features=0 4000000000 0\nleaf_features=0\nleaf_coeff=1";
    let met = fault(small().replace("shrinkage=1", linear).as_bytes());
    assert!(met.starts_with("line 25: `leaf_features` and `leaf_coeff` do not hold as many"), "{met}");
    let sets = "num_cat=1\ncat_boundaries=0 2\ncat_threshold=1";
    let met = fault(small().replace("num_cat=0", sets).as_bytes());
    assert_eq!(met, "line 15: `cat_boundaries` goes down, or beyond `cat_threshold`");
    assert_eq!(fault(b""), "the file is empty");
    assert!(
        fault(b"\x80\x04\x95").starts_with("a pickled Python object is not supported; write the model with")
    );
    assert!(fault(b"{}").starts_with("`version` is missing"));
    assert!(fault(b"{\"twist\": 1}").starts_with("`twist` before byte 9 is not supported; it may change"));
    assert!(fault(&[b"{\"a\":".repeat(100_000)].concat()).starts_with("`a` before"));
    let deep = format!("{{\"tree_info\": [{{\"tree_structure\": {}", "{\"left_child\":".repeat(100_000));
    assert!(fault(deep.as_bytes()).ends_with("nested deeper than 512"));
    let lacking = br#"{"tree_info": [{"tree_structure": {"left_child": {"leaf_value": 1}}}]}"#;
    assert!(
        fault(lacking).contains("is no split (`split_feature`, `left_child`, `right_child`) and no leaf")
    );
}

#[test]
fn no_damage_makes_reading_or_walking_panic() {
    let mut accepted = 0;
    for file in
        ["linear-sets.txt", "linear.json", "sets.txt", "sets.json", "forest-multiclass.txt", "lopsided.json"]
    {
        let sound = std::fs::read(testdata().join("4.7.0").join(file)).unwrap();
        let stride = sound.len().div_ceil(120);
        for at in (0..sound.len()).step_by(stride) {
            for flip in [0x01, 0x10, 0x80, 0xff, sound[at] ^ b'9'] {
                let mut damaged = sound.clone();
                damaged[at] ^= flip;
                if let Ok(model) = read(&damaged)
                    && model.features < 1000
                {
                    accepted += 1;
                    predict(&model, &vec![1.5; 14 * model.features]);
                }
            }
            let end = sound.windows(12).position(|it| it == b"end of trees").unwrap_or(sound.len());
            assert!(at >= end || read(&sound[..at]).is_err(), "{file} cut at {at}");
        }
    }
    assert!(accepted > 400, "{accepted} damaged files were accepted, which is too few to show much");
}

#[test]
fn names_of_categories_belong_to_the_columns_that_were_trained_by_category() {
    let text = std::fs::read_to_string(testdata().join("4.7.0/sets.txt")).unwrap();
    let names = |columns: &str, lists: &str| {
        let (head, _) = text.split_once("parameters:").unwrap();
        let text = format!(
            "{head}parameters:\n[categorical_feature: {columns}]\nend of parameters\n\npandas_categorical:{lists}\n"
        );
        read(text.as_bytes()).map(|model| {
            let names =
                |it: &(usize, weir_sdk::proto::Categories)| (it.0, it.1.names().map(str::to_owned).collect());
            model.signature.categories.iter().map(names).collect::<Vec<(usize, Vec<String>)>>()
        })
    };
    let pair = |at: usize, names: &[&str]| (at, names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
    let known = names("0,1", r#"[["a", "\u00f6"], ["c"]]"#).unwrap();
    assert_eq!(known, [pair(0, &["a", "ö"]), pair(1, &["c"])]);
    assert_eq!(names("0,1", r#"[["a", 1], ["c"]]"#).unwrap(), [pair(1, &["c"])]);
    // Nobody knows which columns they are of.
    for (columns, lists) in
        [("0,1", r#"[["a"]]"#), ("", r#"[["a"]]"#), ("name:x", "[[]]"), ("99", "[[]]"), ("0", "null")]
    {
        assert!(names(columns, lists).unwrap().is_empty(), "{columns} {lists}");
    }
    assert!(names("0", "[1]").is_err() && names("0", "[[\"a\"]").is_err());
}
