//! Golden answers to the bit, as `predictor/testdata/golden` writes them for whole frameworks' libraries: beside a model stands
//! `NAME.answers`, a line a question.

use std::path::{Path, PathBuf};

use serde_json::Value;
use weir_predictor::runtime::LoadError;
use weir_sdk::proto::{DataType, InferRequest, Tensor};
use weir_sdk::{Data, Model};

/// Golden models of a framework, and the library of it that made their answers, which the file `mark` beside them names;
/// `None`, with the reason printed, where there are none. `what` says which models made by what.
pub(crate) fn golden(mark: &str, what: &str) -> Option<(PathBuf, String)> {
    let found = std::env::var_os("WEIR_GOLDEN").and_then(|folder| {
        let entries = Path::new(&folder).read_dir().ok()?.flatten().map(|it| it.path());
        let made = entries.filter(|it| it.join(mark).is_file()).max()?;
        let library = std::fs::read_to_string(made.join(mark)).ok()?;
        Path::new(&library).exists().then_some((made, library))
    });
    if found.is_none() {
        println!("skipped: WEIR_GOLDEN names no folder of golden {what}");
    }
    found
}

/// Asks for the first output from eight threads at once, each so many times: every answer is that to one alone.
pub(crate) fn side_by_side(model: &dyn Model, input: &Tensor, times: usize) {
    let ask = || model.predict(std::slice::from_ref(input), &[0]).unwrap();
    let alone = ask();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..times).for_each(|_| assert_eq!(ask(), alone, "{}", input.name)));
        }
    });
}

/// Asks every question in the folder, and returns how many there were. Each begins with a signature's name, empty where the
/// model has but one.
pub(crate) fn check(folder: &Path, load: impl Fn(&str) -> Result<Box<dyn Model>, LoadError>) -> usize {
    let mut asked = 0;
    for file in folder.read_dir().unwrap().map(|it| it.unwrap().path()) {
        if file.extension().is_none_or(|it| it != "answers") {
            continue;
        }
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let model = load(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let (signature, sides) = line.split_once('\t').unwrap();
            let sides: Value = serde_json::from_str(sides).unwrap();
            let chosen = if signature.is_empty() { Some(&*model) } else { model.under(signature) };
            let chosen = chosen.unwrap_or_else(|| panic!("{name} has no {signature}"));
            let answers = ask(chosen, &sides["inputs"]);
            let wanted = tensors(&sides["outputs"]);
            assert_eq!(answers.len(), wanted.len(), "{name}/{signature}");
            for want in wanted {
                let got = answers.iter().find(|it| it.name == want.name).unwrap();
                let kinds = ((got.datatype(), &got.shape), (want.datatype(), &want.shape));
                assert_eq!(kinds.0, kinds.1, "{name}/{}", want.name);
                let (got, want_raw) = (got.data.clone().into_raw(), want.data.into_raw());
                assert!(got == want_raw, "{name}/{signature}/{}: {got:?}, expected {want_raw:?}", want.name);
            }
            asked += 1;
        }
    }
    asked
}

fn ask(model: &dyn Model, inputs: &Value) -> Vec<Tensor> {
    let mut request = InferRequest::of(tensors(inputs));
    let bound = model.signature().bind(&mut request).unwrap();
    let all: Vec<_> = (0..model.signature().outputs.len()).collect();
    model.predict(&bound, &all).unwrap()
}

pub(crate) fn tensors(side: &Value) -> Vec<Tensor> {
    let tensor = |(name, it): (&String, &Value)| {
        let shape: Vec<usize> = serde_json::from_value(it["shape"].clone()).unwrap();
        let datatype = DataType::parse(it["datatype"].as_str().unwrap()).unwrap();
        let data = match &it["data"] {
            Value::String(hex) => {
                let count = shape.iter().product();
                Data::from_raw(datatype, bytes(hex).into(), count, name).unwrap()
            }
            texts => {
                let texts = texts.as_array().unwrap().iter();
                Data::Bytes(texts.map(|it| bytes(it.as_str().unwrap()).into()).collect())
            }
        };
        Tensor::new(name.clone(), shape, data)
    };
    side.as_object().unwrap().iter().map(tensor).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}
