//! Ten thousand broken files of each format: bits flipped, ends cut off, huge counts, pieces of one in another, towers of what
//! opens something. A reader answers with an error or with a model that can be asked, and takes no more of the heap than a file
//! of that size is worth.

use std::path::PathBuf;

use weir_predictor::runtime::Runtime;
use weir_tests::fuzz;

use crate::fuzz::{Random, mutate};
use crate::harness::root;
use crate::memory;

/// How many broken files are made of each format.
const COUNT: usize = 10_000;

/// Mutates the files of a folder of `predictor/testdata` with those endings and of at most so many bytes.
fn check(runtime: &'static dyn Runtime, folder: &str, endings: &[&str], largest: u64, towers: &[&[u8]]) {
    let path = root().join("predictor/testdata").join(folder);
    check_seeds(runtime, folder, &seeds(path, endings, largest), endings, towers);
}

fn check_seeds(
    runtime: &'static dyn Runtime,
    folder: &str,
    seeds: &[Vec<u8>],
    endings: &[&str],
    towers: &[&[u8]],
) {
    assert!(seeds.len() >= 4, "only {} small files of {endings:?} in {folder}", seeds.len());
    let mut random = Random(0xbad);
    let (mut models, mut most) = (0, 0.0_f64);
    for seed in seeds.iter().cycle().take(COUNT) {
        let mut data = mutate(seed, seeds, &mut random);
        if random.below(10) == 0 {
            raise(&mut data, towers, &mut random);
        }
        let mut opened = None;
        let taken = memory::taken(|| opened = Some(fuzz::open(runtime, endings[0], &data)));
        let limit = memory::limit(&data);
        assert!(taken <= limit, "{} bytes took {taken}, more than {limit}: {}", data.len(), shown(&data));
        most = most.max(taken as f64 / limit as f64);
        match opened.unwrap() {
            Ok(model) => {
                models += 1;
                fuzz::ask(model.as_ref());
            }
            Err(error) => {
                let text = error.to_string();
                assert!((20..2500).contains(&text.len()), "`{text}` says too little or too much");
            }
        }
    }
    println!(
        "{COUNT} broken files of {endings:?} in {folder}: {models} were still models, {most:.2} of the limit at most"
    );
    assert!(models > 0 && models < COUNT, "{models} of {COUNT} broken files were still models");
}

fn seeds(folder: PathBuf, endings: &[&str], largest: u64) -> Vec<Vec<u8>> {
    let mut folders = vec![folder];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in folder.read_dir().unwrap().map(|it| it.unwrap().path()) {
            let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if endings.contains(&ending) && path.metadata().unwrap().len() <= largest {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|it| std::fs::read(it).unwrap()).collect()
}

/// Puts something that opens, or counts, or repeats into a file many times over.
fn raise(data: &mut Vec<u8>, towers: &[&[u8]], random: &mut Random) {
    let at = random.below(data.len() + 1);
    let tower = towers[random.below(towers.len())].repeat(1 << random.below(14));
    data.splice(at..at, tower);
}

fn shown(data: &[u8]) -> String {
    format!("{:.3000}", data.escape_ascii().to_string())
}

fn runtime(name: &str) -> &'static dyn Runtime {
    weir_predictor::find(name).unwrap()
}

#[test]
fn pickles() {
    let towers: &[&[u8]] =
        &[b"(", b"]", b"}", b")\x85", b"h\0", b"N0", b"\x94", b"(K\x01K\x02d", b"(lp0\n", b"\x8f("];
    const ENDINGS: &[&str] = &["joblib", "pkl"];
    let mut seeds = seeds(root().join("predictor/testdata/sklearn"), ENDINGS, 20_000);
    // Models of every family, where they were made.
    for folder in memory::golden("sklearn") {
        seeds.extend(self::seeds(folder, ENDINGS, 50_000));
    }
    check_seeds(runtime("sklearn"), "sklearn", &seeds, ENDINGS, towers);
}

const JSON: &[&[u8]] =
    &[b"[", b"{\"a\":", b"{\"left_child\":", b"[[],", b"1,", b"\"\",", b"null,", b"\\u0000"];

#[test]
fn xgboost_json() {
    check(runtime("xgboost"), "xgboost", &["json"], 6_000, JSON);
}

#[test]
fn xgboost_ubjson() {
    let towers: &[&[u8]] = &[
        b"[",
        b"{",
        b"{i\x01a",
        b"[$U#l\0\xff\xff\xff",
        b"[$[#i\x7f",
        b"N",
        b"[$d#l\x7f\xff\xff\xff",
        b"Si\0",
    ];
    check(runtime("xgboost"), "xgboost", &["ubj"], 6_000, towers);
}

#[test]
fn xgboost_binary() {
    check(
        runtime("xgboost"),
        "xgboost",
        &["bst"],
        5_000,
        &[b"\0", b"\xff", b"\x7f", b"\x01\0\0\0", b"\xff\xff\xff\x7f"],
    );
}

#[test]
fn lightgbm_text() {
    let towers: &[&[u8]] = &[
        b"Tree=0\n",
        b"num_leaves=2147483647\n",
        b" 1",
        b"=",
        b"\n",
        b"num_cat=99999999\n",
        b"is_linear=1\n",
    ];
    check(runtime("lightgbm"), "lightgbm", &["txt"], 5_000, towers);
}

#[test]
fn lightgbm_json() {
    check(runtime("lightgbm"), "lightgbm", &["json"], 10_000, JSON);
}

#[test]
fn pmml() {
    let towers: &[&[u8]] = &[
        b"<a>",
        b"<Node>",
        b"</a>",
        b"<a/>",
        b"<a b='c'/>",
        b"&lt;",
        b"<!---->",
        b"<![CDATA[]]>",
        b"<a xmlns='b'>",
    ];
    check(runtime("pmml"), "pmml", &["pmml"], 4_000, towers);
}

/// On the interpreter that is built in: where ONNX Runtime is found it would read them instead.
#[test]
fn onnx() {
    let target = fuzz::TARGETS.iter().find(|it| it.name == "onnx").unwrap();
    let seeds = (target.seeds)();
    assert!(seeds.len() > 400, "only {} seeds", seeds.len());
    let towers: &[&[u8]] = &[
        b"\x0a\0",
        b"\x12\0",
        b"\x3a\x02\x0a\0",
        b"\x2a\x00",
        b"\xff",
        b"\x0a\x02\x0a\x00",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    ];
    let mut random = Random(0xbad);
    let (mut models, mut most) = (0, 0);
    for seed in seeds.iter().cycle().take(COUNT) {
        let mut data = mutate(seed, &seeds, &mut random);
        if random.below(10) == 0 {
            raise(&mut data, towers, &mut random);
        }
        let mut held = false;
        let taken = memory::taken(|| held = fuzz::onnx(&data));
        // What the graph makes when it is tried is among it: a tensor of the test's limit has 128 KiB.
        let limit = (4 << 20) + 20 * data.len() as u64;
        assert!(taken <= limit, "{} bytes took {taken}, more than {limit}: {}", data.len(), shown(&data));
        most = most.max(taken);
        models += usize::from(held);
    }
    println!("{COUNT} broken ONNX files: {models} were still models, at most {most} bytes of the heap");
    assert!(models > 0 && models < COUNT, "{models} of {COUNT} broken files were still models");
}
