//! What reading a model takes of the heap: no more than four times its file, beside the file's own bytes and a little that no
//! file needs more than. Every byte is counted that a thread holds at one time, both copies of what is moved among them.

use std::io::{Read, Write};
use std::path::PathBuf;

use weir_tests::fuzz;

/// What any file may take beyond its size: room that is made before it is known how much is needed.
const ALLOWANCE: u64 = 1 << 20;

/// What a decompressor may take beside: bzip2 turns blocks of 900 kB back by a table of four times as much.
const DECOMPRESSOR: u64 = 4 << 20;

/// Returns how many bytes of the heap a call holds at most, of the thread that it is called on.
pub(crate) fn taken(call: impl FnOnce()) -> u64 {
    allocation_counter::measure(call).bytes_max
}

/// Returns what reading a file may take: its own bytes, those that it opens to where it is compressed, four times as many, and
/// [`ALLOWANCE`].
pub(crate) fn limit(data: &[u8]) -> u64 {
    let stored = data.len() as u64;
    match opened(data) {
        Some(opened) => stored + 5 * opened.max(stored) + ALLOWANCE + DECOMPRESSOR,
        None => 5 * stored + ALLOWANCE,
    }
}

/// Returns how many bytes a compressed file opens to, up to where it is broken.
fn opened(data: &[u8]) -> Option<u64> {
    const WINDOW_KIB: u32 = 80 << 10;
    let count = |mut stream: Box<dyn Read + '_>| {
        let mut count = 0;
        let mut buffer = [0; 1 << 16];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            count += read as u64;
        }
        count
    };
    let zlib = |data| count(Box::new(flate2::read::ZlibDecoder::new(data)));
    Some(match data {
        [0x78, ..] => zlib(data),
        [b'Z', b'F', ..] => zlib(data.get(21..).map_or(&[], |it| it.strip_prefix(b" ").unwrap_or(it))),
        [0x1f, 0x8b, ..] => count(Box::new(flate2::read::MultiGzDecoder::new(data))),
        [b'B', b'Z', b'h', ..] => count(Box::new(bzip2_rs::DecoderReader::new(data))),
        [0xfd, b'7', b'z', ..] => {
            count(Box::new(lzma_rust2::XzReader::new_mem_limit(data, true, WINDOW_KIB)))
        }
        [0x5d, 0, 0, ..] => {
            lzma_rust2::LzmaReader::new_mem_limit(data, WINDOW_KIB, None).map_or(0, |it| count(Box::new(it)))
        }
        [4, 0x22, 0x4d, 0x18, ..] => count(Box::new(lz4_flex::frame::FrameDecoder::new(data))),
        _ => return None,
    })
}

/// The folders of golden models of a framework, where `WEIR_GOLDEN` leads to some.
pub(crate) fn golden(framework: &str) -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("WEIR_GOLDEN").map(PathBuf::from) else { return Vec::new() };
    let is_its = |it: &PathBuf| {
        it.file_name().is_some_and(|it| it.to_string_lossy().starts_with(&format!("{framework}-")))
    };
    let mut folders: Vec<_> =
        folder.read_dir().unwrap().map(|it| it.unwrap().path()).filter(is_its).collect();
    folders.sort();
    folders
}

/// Loads a model and returns why it was refused, when it was.
#[track_caller]
fn check(name: &str, runtime: &str, data: &[u8]) -> Option<String> {
    let runtime = weir_predictor::find(runtime).unwrap();
    let mut opened = None;
    let taken = taken(|| opened = Some(fuzz::open(runtime, "model", data).map(drop)));
    let limit = limit(data);
    let factor = taken.saturating_sub(data.len() as u64) as f64 / data.len() as f64;
    println!("{name}: {} bytes took {factor:.2} times as much", data.len());
    assert!(taken <= limit, "{name}: {} bytes took {taken}, more than {limit}", data.len());
    opened.unwrap().err().map(|error| error.to_string())
}

/// Makes a list or dict of `count` things in batches of a thousand, as Python does. `end` is the opcode that appends a batch.
fn batches(count: usize, begin: u8, end: u8, mut write: impl FnMut(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![begin, 0x94];
    for first in (0..count).step_by(1000) {
        out.push(b'(');
        (first..count.min(first + 1000)).for_each(|at| write(at, &mut out));
        out.push(end);
    }
    out
}

/// A short string and its place in the memo.
fn push_text(text: &str, out: &mut Vec<u8>) {
    out.extend([&[0x8c, text.len() as u8], text.as_bytes(), &[0x94]].concat());
}

/// Four letters that no other number has.
fn word(number: usize) -> String {
    (0..4).rev().map(|at| char::from(b'a' + (number / 26_usize.pow(at) % 26) as u8)).collect()
}

/// An array of strings.
fn strings(count: usize, text: fn(usize) -> String) -> Vec<u8> {
    let list = batches(count, b']', b'e', |at, out| push_text(&text(at), out));
    let head = format!(
        "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I{count}\ntcnumpy\ndtype\n(S'O8'\ntR\
         (I3\nS'|'\nNNNI-1\nI-1\nI63\ntbI00\n"
    );
    [head.as_bytes(), &list, b"tb"].concat()
}

/// An object of a class with those attributes.
fn object(class: &str, attributes: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = [b"\x80\x04c", class.as_bytes(), b"\n)\x81}("].concat();
    for (name, value) in attributes {
        push_text(name, &mut out);
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b"ub.");
    out
}

/// Those that take most for their size: many short texts.
#[test]
fn large_models_take_four_times_their_file() {
    const COUNT: usize = 150_000;
    let terms = batches(COUNT, b'}', b'u', |at, out| {
        push_text(&word(at), out);
        out.push(b'J');
        out.extend_from_slice(&((COUNT - 1 - at) as u32).to_le_bytes());
    });
    let counts = object(
        "sklearn.feature_extraction.text\nCountVectorizer",
        &[
            ("analyzer", b"\x8c\x04word"),
            ("token_pattern", b"\x8c\x03\\w+"),
            ("ngram_range", b"K\x01K\x01\x86"),
            ("vocabulary_", &terms),
        ],
    );
    assert_eq!(check("a vocabulary", "sklearn", &counts), None);
    let categories = [&b"]("[..], &strings(COUNT, word), b"e"].concat();
    let encoder = object("sklearn.preprocessing._encoders\nOrdinalEncoder", &[("categories_", &categories)]);
    assert_eq!(check("categories", "sklearn", &encoder), None);
    let labels = object("sklearn.preprocessing._label\nLabelEncoder", &[("classes_", &strings(COUNT, word))]);
    assert_eq!(check("labels", "sklearn", &labels), None);
    let names: Vec<String> = (0..60_000).map(|at| format!("f{at}")).collect();
    let text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx={}\nobjective=regression\n\
         feature_names={}\n\nTree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=1\n\nend of trees\n",
        names.len() - 1,
        names.join(" ")
    );
    assert_eq!(check("names of LightGBM", "lightgbm", text.as_bytes()), None);
    let set: Vec<String> = (0..COUNT).map(word).collect();
    let tree = format!(
        "<PMML version=\"4.4\"><DataDictionary><DataField name=\"c\" optype=\"categorical\" dataType=\"string\"/>\
         <DataField name=\"y\" optype=\"continuous\" dataType=\"double\"/></DataDictionary>\
         <TreeModel functionName=\"regression\" splitCharacteristic=\"multiSplit\"><MiningSchema>\
         <MiningField name=\"y\" usageType=\"target\"/><MiningField name=\"c\"/></MiningSchema><Node score=\"1\"><True/>\
         <Node score=\"2\"><SimpleSetPredicate field=\"c\" booleanOperator=\"isIn\"><Array type=\"string\">{}</Array>\
         </SimpleSetPredicate></Node></Node></TreeModel></PMML>",
        set.join(" ")
    );
    assert_eq!(check("a set of PMML", "pmml", tree.as_bytes()), None);
}

/// Every golden model there is.
#[test]
fn golden_models_take_four_times_their_file() {
    let mut count = 0;
    for framework in ["sklearn", "xgboost", "lightgbm"] {
        let runtime = weir_predictor::find(framework).unwrap();
        for folder in golden(framework) {
            for golden in folder.read_dir().unwrap().map(|it| it.unwrap().path()) {
                if golden.extension().is_none_or(|it| it != "golden") {
                    continue;
                }
                let model = golden.with_extension("");
                let taken = taken(|| drop(runtime.load(&model, &Default::default()).unwrap()));
                let limit = limit(&std::fs::read(&model).unwrap());
                assert!(taken <= limit, "{} took {taken}, more than {limit}", model.display());
                count += 1;
            }
        }
    }
    if count == 0 {
        println!("skipped: WEIR_GOLDEN names no folder of golden files");
    }
}

const DEEP: usize = 300_000;

#[test]
fn pickles_that_want_memory_get_none() {
    let towers = |head: &[u8], tower: &[u8], tail: &[u8]| [head, &tower.repeat(DEEP), tail].concat();
    let dense = "would take more memory than";
    for (name, data, want) in [
        ("marks", towers(b"", b"(", b"."), "a mark is expected|too little|is the file cut short"),
        ("lists", towers(b"", b"]", b"."), dense),
        ("dicts", towers(b"", b"}", b"."), dense),
        ("tuples", towers(b")", b"\x85", b"."), dense),
        ("pairs", towers(b")", b"2\x86", b"."), dense),
        ("a memo", towers(b"N", b"\x94", b"."), "None is not supported"),
        ("a memo of lists", towers(b"", b"]\x94", b"."), dense),
        ("a memo from its end", towers(b"N", b"r\xf0\xff\x0f\0", b"."), "None is not supported"),
        ("objects", towers(b"", b"N)R", b"."), dense),
        ("a list in itself", towers(b"]p0\n", b"g0\na", b"."), "a list is not supported"),
        ("integers", towers(b"](", b"K\x01", b"e."), "a list"),
        ("large integers", towers(b"](", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"e."), "a list"),
        ("a long integer", b"\x8b\xff\xff\xff\x7f\x01.".to_vec(), "is the file cut short"),
        ("a long text", b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.".to_vec(), "is the file cut short"),
        ("strings with escapes", towers(b"](", b"V\\u00e9\n", b"e."), "a list"),
    ] {
        let met = check(name, "sklearn", &data).unwrap();
        assert!(want.split('|').any(|it| met.contains(it)), "{name}: `{met}` does not tell `{want}`");
    }
}

#[test]
fn files_that_open_to_much_are_cut() {
    const SIZE: usize = 70 << 20;
    let zeros = vec![0; SIZE];
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&zeros).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&zeros).unwrap();
    let xz = bytes(XZ).repeat(SIZE >> 20);
    for (name, data) in [
        ("zlib", zlib.finish().unwrap()),
        ("gzip", gzip.finish().unwrap()),
        ("lz4", lz4.finish().unwrap()),
        ("bzip2", bytes(BZIP2)),
        ("xz", xz),
    ] {
        let met = check(name, "sklearn", &data).unwrap();
        assert!(met.contains("the limit") || met.contains("no pickle has opcode 0x00"), "{name}: {met}");
    }
}

/// Seventy mebibytes of zeros, as `bzip2` writes them.
const BZIP2: &str = "425a68393141592653590e09e2df015f8e4000c0000008200030804d4642a025a90a809731415926535933f2afee00d2a3c100c00040000008200030cc0529a6a84912d811244bc5dc914e14240bf85a9400";
/// A mebibyte of zeros, as `xz` writes it.
const XZ: &str = "fd377a585a000004e6d6b446020021011c00000010cf58ccefffff00d95d00006ffdffffa3b7ff473e481572396151b89228\
    e6a38607f9eee41e82d32fc53a3c014bb17ec98a8a4d2fa30dd97fa6e38c231153e05918c5758ae277f8b6947f0c6ac0de74\
    4964e2e95c53b204d8f7440cab5f0d6d46e9e5c37688b79657acb64de1691d6ffb4b88106c42cb883f5c008fd04eaf262894\
    711f3d8f24e1709ea7235fec28cb85d195988a7e2a91f22775f719c006984d98fdd8afd5900fc42553f8f591363105a5b0ee\
    6fc1704d470cd19111aaad601dbaceb127185c5986e9665258bee976ac59e4e55b0508f9c7daadfcfb522af7e49525000000\
    0000c2f6ba3ea2706b600001f5018080400079977f47b1c467fb020000000004595a";

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().as_chunks::<2>().0;
    digits.iter().map(|it| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap()).collect()
}

#[test]
fn documents_that_want_memory_get_none() {
    let pmml = |inner: &str| {
        format!(
            "<PMML version=\"4.4\"><DataDictionary><DataField name=\"x\" optype=\"continuous\" dataType=\"double\"/>\
             </DataDictionary>{inner}</PMML>"
        )
    };
    // Each function calls the one before twice.
    let functions: String = (1..25)
        .map(|at| {
            let call = format!("<Apply function=\"f{}\"><FieldRef field=\"p\"/></Apply>", at - 1);
            format!(
                "<DefineFunction name=\"f{at}\"><ParameterField name=\"p\"/><Apply function=\"+\">{call}{call}</Apply>\
                 </DefineFunction>"
            )
        })
        .collect();
    let laughs = format!(
        "<TransformationDictionary><DefineFunction name=\"f0\"><ParameterField name=\"p\"/><FieldRef field=\"p\"/>\
         </DefineFunction>{functions}<DerivedField name=\"d\" optype=\"continuous\" dataType=\"double\">\
         <Apply function=\"f24\"><FieldRef field=\"x\"/></Apply></DerivedField></TransformationDictionary>\
         <RegressionModel functionName=\"regression\"><MiningSchema><MiningField name=\"x\"/></MiningSchema>\
         <RegressionTable intercept=\"1\"><NumericPredictor name=\"d\" coefficient=\"1\"/></RegressionTable></RegressionModel>"
    );
    let entities = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><PMML version=\"4.2\">&b;</PMML>";
    let learner = |inner: &str| format!("{{\"learner\":{{{inner}}},\"version\":[3,2,0]}}");
    let numbers = format!(
        "\"gradient_booster\":{{\"name\":\"gbtree\",\"model\":{{\"trees\":[{{\"default_left\":[{}0]}}]}}}}",
        "0,".repeat(DEEP)
    );
    let ubjson =
        |inner: &[u8]| [b"{L\0\0\0\0\0\0\0\x07learner{L\0\0\0\0\0\0\0\x0dfeature_names", inner].concat();
    let lightgbm = |inner: &str| format!("{{\"name\":\"tree\",\"version\":\"v4\",{inner}}}");
    for (name, runtime, data, want) in [
        ("elements", "pmml", pmml(&"<a/>".repeat(DEEP)).into_bytes(), "holds no model"),
        (
            "a tower",
            "pmml",
            pmml(&("<a>".repeat(DEEP) + &"</a>".repeat(DEEP))).into_bytes(),
            "holds no model",
        ),
        ("an open tower", "pmml", "<a>".repeat(DEEP).into_bytes(), "the XML is broken"),
        (
            "references",
            "pmml",
            pmml(&format!("<a b=\"{}\"/>", "&lt;".repeat(DEEP))).into_bytes(),
            "holds no model",
        ),
        ("entities", "pmml", entities.into(), "a document type"),
        ("calls of calls", "pmml", pmml(&laughs).into_bytes(), "would take more memory"),
        ("arrays in arrays", "xgboost", learner(&format!("\"a\":{}", "[".repeat(DEEP))).into_bytes(), "deep"),
        (
            "names",
            "xgboost",
            learner(&format!("\"feature_names\":[{}\"\"]", "\"\",".repeat(DEEP))).into_bytes(),
            "missing|names",
        ),
        ("numbers", "xgboost", learner(&numbers).into_bytes(), ""),
        ("a count", "xgboost", ubjson(b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff"), "bytes are left"),
        ("texts of nothing", "xgboost", ubjson(&[&b"["[..], &b"SU\0".repeat(DEEP), b"]}}"].concat()), ""),
        (
            "trees",
            "lightgbm",
            lightgbm(&format!("\"tree_info\":[{}", "{\"tree_structure\":".repeat(DEEP))).into_bytes(),
            "",
        ),
        (
            "children",
            "lightgbm",
            lightgbm(&format!("\"tree_info\":[{{\"tree_structure\":{}", "{\"left_child\":".repeat(DEEP)))
                .into_bytes(),
            "deep",
        ),
        (
            "leaves",
            "lightgbm",
            format!("tree\nversion=v4\n\nTree=0\nnum_leaves=1\nleaf_value={}\n", "1 ".repeat(DEEP))
                .into_bytes(),
            "num_leaves",
        ),
    ] {
        let met = check(name, runtime, &data).unwrap();
        assert!(want.split('|').any(|it| met.contains(it)), "{name}: `{met}` does not tell `{want}`");
    }
}
