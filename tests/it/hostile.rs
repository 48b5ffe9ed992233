//! scikit-learn files that mean harm: code to run, time to waste.

use weir_predictor::runtime::sklearn::Sklearn;
use weir_predictor::runtime::{LoadOptions, Runtime};
use weir_tests::fuzz;

use crate::fuzz::{Random, mutate};
use crate::harness::root;

/// Loads the bytes and returns why they were refused.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pkl");
    std::fs::write(&file, bytes).unwrap();
    let loaded = Sklearn.load(&file, &LoadOptions::default());
    let error = loaded.err().unwrap_or_else(|| panic!("loaded: {}", bytes.escape_ascii())).to_string();
    error.replace(&format!("{}: ", file.display()), "")
}

fn check(bytes: &[u8], want: &str) {
    let text = refusal(bytes);
    assert!(
        text.contains(want),
        "`{text}` does not tell `{want}`: {:.2000}",
        bytes.escape_ascii().to_string()
    );
}

/// A logistic regression with these classes and weights.
fn model(classes: &str, coef: &str) -> String {
    format!(
        "csklearn.linear_model._logistic\nLogisticRegression\n)R(S'classes_'\n{classes}S'coef_'\n{coef}S'intercept_'\nNdb."
    )
}

/// An array of Python objects.
fn objects(count: usize, members: &str) -> String {
    format!(
        "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I{count}\ntcnumpy\ndtype\n(S'O8'\ntR\
         (I3\nS'|'\nNNNI-1\nI-1\nI63\ntbI00\n({members}ltb"
    )
}

#[test]
fn code_is_named_and_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("witness");
    let touch = format!("touch {}", witness.display());
    let call = |module: &str, name: &str, how: &str| match how {
        "INST" => format!("(S'{touch}'\ni{module}\n{name}\n"),
        "OBJ" => format!("(c{module}\n{name}\nS'{touch}'\no"),
        "NEWOBJ" => format!("c{module}\n{name}\n(S'{touch}'\nt\u{1}"),
        _ => format!("c{module}\n{name}\n(S'{touch}'\ntR"),
    };
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("__builtin__", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("runpy", "run_path"),
        ("pydoc", "pipepager"),
        ("numpy", "load"),
        ("joblib", "load"),
        ("sklearn.utils", "os.system"),
    ] {
        for how in ["INST", "OBJ", "NEWOBJ", "REDUCE"] {
            // As text has it no byte 0x81.
            let bytes =
                |text: &str| text.bytes().map(|it| if it == 1 { 0x81 } else { it }).collect::<Vec<_>>();
            let call = call(module, name, how);
            let met = format!("{module}.{name}");
            check(&bytes(&format!("{call}.")), &format!("{met} is not supported"));
            check(&bytes(&model(&call, "N")), &met);
            check(&bytes(&model(&objects(1, &call), "N")), "an array of object");
            let inside = format!("csklearn.pipeline\nPipeline\n)R(S'steps'\n((S'a'\n{call}tldb.");
            check(
                &bytes(&inside),
                &format!("{met} (step 1 (a) of sklearn.pipeline.Pipeline) is not supported"),
            );
            // Its state, and a call of what a call gave.
            check(&bytes(&format!("{call}}}b.")), &met);
            check(&bytes(&format!("{call}(tR.")), "an object without a class");
        }
    }
    assert!(!witness.exists());
}

#[test]
fn tricks_of_picklers_lead_nowhere() {
    let reconstructor = "ccopy_reg\n_reconstructor\n(cos\nsystem\nc__builtin__\nobject\nNtR.";
    check(reconstructor.as_bytes(), "os.system is not supported");
    check(
        b"ccopy_reg\n_reconstructor\n(csklearn.svm._classes\nSVC\nc__builtin__\nobject\nNtR.",
        "was it fitted",
    );
    check(b"ccopy_reg\n_reconstructor\n)R.", "an object without a class");
    check(b"Pos.system\n.", "a reference to something outside of the file");
    check(b"S'x'\nQ.", "a reference to something outside of the file");
    check(b"\x80\x02\x82\x01.", "extension codes");
    check(b"\x80\x05\x97.", "buffers are kept outside of the file");
    check(b"\x80\x04\x8c\x08builtins\x8c\x0deval.__call__\x93)R.", "builtins.eval.__call__ is not supported");
    // An array whose class is a function, one of 2^80 elements, and one that says it holds a pickle.
    let array = |class: &str, shape: &str, data: &str| {
        format!(
            "cnumpy.core.multiarray\n_reconstruct\n({class}(I0\ntS'b'\ntR(I1\n({shape}tcnumpy\ndtype\n(S'f8'\ntRI00\nS'{data}'\ntb"
        )
    };
    check(
        model(&array("cos\nsystem\n", "I1\n", ""), "N").as_bytes(),
        "an array of float64 of shape [1] with 0 bytes",
    );
    let large = array("cnumpy\nndarray\n", &"I1048576\n".repeat(4), "");
    check(model(&large, "N").as_bytes(), "with 0 bytes");
    // joblib: elements of objects are a pickle of their own, which holds no further one.
    let wrapper = |rest: &str| {
        format!(
            "cjoblib.numpy_pickle\nNumpyArrayWrapper\n)R(S'dtype'\ncnumpy\ndtype\n(S'O8'\ntRS'shape'\n(I1\ntS'order'\nS'C'\ndb{rest}"
        )
    };
    let inner = wrapper("cos\nsystem\n(S'true'\ntR.");
    check(model(&inner, "N").as_bytes(), "an array is expected, met os.system");
    check((wrapper(&wrapper("N.")) + ".").as_bytes(), "is not supported");
    let wide = "cjoblib.numpy_pickle\nNumpyArrayWrapper\n)R(S'dtype'\ncnumpy\ndtype\n(S'S4000000000'\ntRS'shape'\n(I4000000000\n\
                I4000000000\ntS'order'\nS'C'\ndb.";
    check(wide.as_bytes(), "an array of shape [4000000000, 4000000000]");
    // Each level holds the one before twice.
    let laughs = (1..200).map(|at| format!("(g{}\ng{}\ntp{at}\n0", at - 1, at - 1)).collect::<String>();
    let laughs = format!("(tp0\n0{laughs}g199\n");
    check(format!("{laughs}.").as_bytes(), "a tuple");
    check(model(&laughs, "N").as_bytes(), "with several outputs is not supported");
}

#[test]
fn ten_thousand_broken_saved_models_do_no_harm() {
    let seeds: Vec<_> = root()
        .join("predictor/testdata/tensorflow")
        .read_dir()
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "pb"))
        .map(|it| std::fs::read(it).unwrap())
        .collect();
    let mut random = Random(0xbad);
    let kept = seeds
        .iter()
        .cycle()
        .take(10_000)
        .filter(|seed| fuzz::saved_model(&mutate(seed, &seeds, &mut random)));
    println!("{} of 10000 broken SavedModels could still be read", kept.count());
}
