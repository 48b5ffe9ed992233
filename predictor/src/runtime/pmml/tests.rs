//! Against the answers of the JPMML evaluator (`testdata/pmml/make.py`), and against files that are wrong.

use std::path::{Path, PathBuf};

use weir_sdk::proto::v1;
use weir_sdk::proto::{Data, DataType, DecodeLimits, Form, InferRequest, Tensor, TensorSpec};

use super::*;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pmml")
}

fn decode(rows: &str) -> Result<InferRequest, String> {
    let body = format!("{{\"instances\": {rows}}}");
    let decoded = v1::decode_request(body.as_bytes(), Form::default(), &DecodeLimits::default());
    decoded.map(|(request, _)| request).map_err(|error| error.message)
}

/// Asks for an output by its name, by the way a V1 request goes.
fn ask(model: &dyn Model, rows: &str, output: &str) -> Result<Tensor, String> {
    let mut request = decode(rows)?;
    let signature = model.signature();
    let at = signature.outputs.iter().position(|it| it.name == output);
    let at = at.ok_or_else(|| format!("there is no output `{output}`"))?;
    let inputs = signature.bind(&mut request).map_err(|error| error.message)?;
    let mut outputs = model.predict(&inputs, &[at]).map_err(|error| error.message)?;
    let tensor = outputs.pop().unwrap();
    assert_eq!(tensor.datatype(), signature.outputs[at].datatype);
    Ok(tensor)
}

/// What is wrong with the answers to the rows of a golden file.
fn differences(golden: &Path) -> Result<(), String> {
    let bytes = std::fs::read(golden.with_extension("pmml")).unwrap();
    let model = read(&bytes, false).map_err(|fault| format!("{fault:?}"))?;
    let text = std::fs::read_to_string(golden).unwrap();
    let mut lines = text.lines().map(|line| line.split_once('\t').unwrap());
    let rows = lines.next().unwrap().1;
    // The steps of a float are 1.2e-7, and Java's functions take other steps than C's.
    let is_float = String::from_utf8_lossy(&bytes).contains("x-mathContext=\"float\"");
    let tolerance = if is_float { 1.2e-7 } else { 1e-12 };
    for (output, want) in lines {
        let got = ask(&model, rows, output)?;
        let wanted: serde_json::Value = serde_json::from_str(&want.replace("NaN", "null")).unwrap();
        for (row, want) in wanted.as_array().unwrap().iter().enumerate() {
            same(&got, row, want, tolerance).map_err(|text| format!("{output} of row {row}: {text}"))?;
        }
    }
    Ok(())
}

fn same(got: &Tensor, row: usize, want: &serde_json::Value, tolerance: f64) -> Result<(), String> {
    if let Data::Bytes(texts) = &got.data {
        let want = want.as_str().map_or_else(|| want.to_string().replace("null", ""), str::to_owned);
        return if texts[row] == want { Ok(()) } else { Err(format!("{:?}, expected {want:?}", texts[row])) };
    }
    let got = got.data.to_f64().unwrap()[row];
    let want = want.as_f64().or(want.as_bool().map(|it| f64::from(u8::from(it)))).unwrap_or(f64::NAN);
    let is_same = (got.is_nan() && want.is_nan()) || (got - want).abs() <= tolerance * want.abs().max(1.0);
    if is_same { Ok(()) } else { Err(format!("{got:?}, expected {want:?}")) }
}

#[test]
fn answers_are_those_of_the_evaluator() {
    let mut wrong = Vec::new();
    let mut models = 0;
    for folder in [testdata(), testdata().join("written")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "golden") {
                models += 1;
                if let Err(text) = differences(&path) {
                    wrong.push(format!("{}: {text}", path.file_stem().unwrap().display()));
                }
            }
        }
    }
    assert_eq!(models, 73);
    assert!(wrong.is_empty(), "{} of {models} models are wrong\n{}", wrong.len(), wrong.join("\n"));
}

const IRIS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4">
 <Header/>
 <DataDictionary>
  <DataField name="kind" optype="categorical" dataType="string"><Value value="a"/><Value value="b"/></DataField>
  <DataField name="x" optype="continuous" dataType="double"><Interval closure="closedClosed" leftMargin="0" rightMargin="9"/></DataField>
  <DataField name="colour" optype="categorical" dataType="string"/>
  <DataField name="count" optype="continuous" dataType="integer"/>
 </DataDictionary>
 <TreeModel functionName="classification">
  <MiningSchema>
   <MiningField name="x"/><MiningField name="colour"/><MiningField name="count"/>
   <MiningField name="kind" usageType="target"/>
  </MiningSchema>
  <Output><OutputField name="node" feature="entityId" optype="categorical" dataType="string"/></Output>
  <LOCAL/>
  <Node id="root" score="a"><True/>
   <Node id="left" score="a"><SimplePredicate field="x" operator="lessThan" value="2"/>
    <ScoreDistribution value="a" recordCount="3"/><ScoreDistribution value="b" recordCount="1"/></Node>
   <Node id="right" score="b"><SimplePredicate field="colour" operator="equal" value="red"/></Node>
  </Node>
 </TreeModel>
</PMML>"#;

fn fault(xml: &str) -> String {
    match read(xml.as_bytes(), false) {
        Ok(_) => panic!("this was taken: {xml}"),
        Err(Fault::Malformed(reason)) => reason,
        Err(Fault::Unsupported { what, .. }) => format!("{what} is not supported"),
    }
}

#[test]
fn the_signature_is_a_table_of_columns_with_outputs_by_their_names() {
    let model = read(IRIS.as_bytes(), false).unwrap();
    let signature = model.signature();
    let spec = |name: &str, datatype| TensorSpec::new(name, datatype, [-1]);
    let (texts, numbers) = (DataType::Bytes, DataType::Fp64);
    assert!(signature.table);
    assert_eq!(signature.inputs, [spec("x", numbers), spec("colour", texts), spec("count", numbers)]);
    let labels = vec!["a".to_owned(), "b".to_owned()];
    let probabilities = TensorSpec::new("predict_proba", numbers, [-1, 2]).with_labels(labels);
    assert_eq!(signature.outputs, [spec("kind", texts), spec("node", texts), probabilities.clone()]);
    assert_eq!(signature.default_outputs, 2);
    let rows = r#"[{"x": 1, "colour": "red", "count": 1}, {"colour": "blue", "count": 2, "x": 3}, {"x": 3, "colour": "red", "count": 0}]"#;
    assert_eq!(ask(&model, rows, "kind").unwrap().data, Data::Bytes(vec!["a".into(), "".into(), "b".into()]));
    let scores = ask(&model, r#"[[1, "red", 1], [3, "red", 1]]"#, "predict_proba").unwrap();
    assert_eq!((scores.shape, scores.data), (vec![2, 2], Data::Fp64(vec![0.75, 0.25, 0.0, 1.0].into())));
    let first = read(IRIS.as_bytes(), true).unwrap();
    assert_eq!((&first.signature().outputs[0], first.signature().default_outputs), (&probabilities, 1));
}

#[test]
fn values_that_are_not_valid_are_refused_with_row_and_column() {
    let model = read(IRIS.as_bytes(), false).unwrap();
    let refused = ask(&model, r#"[[1, "red", 1], [12.5, "red", 1]]"#, "kind").unwrap_err();
    assert_eq!(refused, "column `x` holds `12.5` in row 1, which is no valid value of it");
    // The tree does not look at it.
    assert!(ask(&model, r#"[[1, "red", 1.5]]"#, "kind").is_ok());
    let looks = IRIS.replace(r#"field="x" operator="lessThan""#, r#"field="count" operator="lessThan""#);
    let model = read(looks.as_bytes(), false).unwrap();
    let refused = ask(&model, r#"[[1, "red", 1.5]]"#, "kind").unwrap_err();
    assert!(refused.contains("column `count` holds `1.5` in row 0"), "{refused}");
    let refused = ask(&model, r#"[{"x": 1, "colour": "red"}]"#, "kind").unwrap_err();
    assert!(refused.contains("takes the inputs `x`, `colour`, `count`, got"), "{refused}");
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    let with = |from: &str, to: &str| fault(&IRIS.replace(from, to));
    let field = |inner: &str| {
        with(
            "<LOCAL/>",
            &format!(
                "<LocalTransformations><DerivedField name=\"d\" dataType=\"double\">{inner}</DerivedField></LocalTransformations>"
            ),
        )
    };
    assert_eq!(with("TreeModel", "RuleSetModel"), "<RuleSetModel> (line 10, column 2) is not supported");
    assert_eq!(
        with("entityId", "warning"),
        "`feature` `warning` of <OutputField> (line 15, column 11) is not supported"
    );
    for (met, want) in [
        (
            with("operator=\"equal\"", "operator=\"like\""),
            "`operator` `like` of <SimplePredicate> (line 20, column 31)",
        ),
        (with("field=\"colour\"", "field=\"size\""), "names the field `size`, which is not known here"),
        (with("version=\"4.4\"", "version=\"5.0\""), "the version of <PMML>"),
        (with("value=\"2\"", "value=\"two\""), "has the value `two`, expected a number"),
        (with("\"double\"", "\"dateDaysSince[1970]\""), "`dataType` `dateDaysSince[1970]`"),
        (with("classification", "timeSeries"), "`functionName` `timeSeries`"),
        (field("<Aggregate field=\"x\" function=\"sum\"/>"), "<Aggregate> (line 16,"),
        (field("<Apply function=\"erf\"><FieldRef field=\"x\"/></Apply>"), "the function `erf` of <Apply>"),
        (field("<Apply function=\"ln\"/>"), "gives `ln` 0 arguments"),
        (field("<TextIndex textField=\"x\"/>"), "<TextIndex>"),
        (field("<FieldRef field=\"d\"/>"), "field `d` is derived of itself"),
        (fault("<PMML version=\"4.2\"/>"), "has no <DataDictionary>"),
        (fault("<html version=\"4.2\"/>"), "is not the <PMML> that was expected"),
        (fault("{}"), "the XML is broken"),
        (fault("<?xml version='1.0' encoding='Shift_JIS'?><PMML/>"), "the encoding `shift_jis`"),
    ] {
        assert!(met.contains(want), "{met}\nlacks\n{want}");
    }
}

#[test]
fn hostile_files_are_refused_before_they_cost_anything() {
    let deep = |open: &str, close: &str, count: usize| open.repeat(count) + &close.repeat(count);
    let predicate = |inner: String| {
        IRIS.replace("<SimplePredicate field=\"x\" operator=\"lessThan\" value=\"2\"/>", &inner)
    };
    let local = |inner: &str| {
        IRIS.replace("<LOCAL/>", &format!("<LocalTransformations>{inner}</LocalTransformations>"))
    };
    let chain: String = (1..1000)
        .map(|it| {
            format!(
                "<DerivedField name=\"d{it}\" dataType=\"double\"><FieldRef field=\"d{}\"/></DerivedField>",
                it - 1
            )
        })
        .collect();
    let chain = format!(
        "<DerivedField name=\"d0\" dataType=\"double\"><FieldRef field=\"x\"/></DerivedField>{chain}"
    );
    let ring = "<DerivedField name=\"d\" dataType=\"double\"><FieldRef field=\"e\"/></DerivedField>\
                <DerivedField name=\"e\" dataType=\"double\"><FieldRef field=\"d\"/></DerivedField>";
    let recursive = IRIS.replace(
        "<TreeModel",
        "<TransformationDictionary><DefineFunction name=\"f\"><ParameterField name=\"p\"/><Apply function=\"+\">\
         <Apply function=\"f\"><FieldRef field=\"p\"/></Apply><Apply function=\"f\"><FieldRef field=\"p\"/></Apply></Apply>\
         </DefineFunction><DerivedField name=\"d\" dataType=\"double\"><Apply function=\"f\"><FieldRef field=\"x\"/></Apply>\
         </DerivedField></TransformationDictionary><TreeModel",
    );
    let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><PMML version=\"4.2\">&b;</PMML>";
    let attributes: String = (0..100_000).map(|it| format!(" a{it}='>'")).collect();
    let apply = "<DerivedField name=\"d\" dataType=\"double\">".to_owned()
        + &deep("<Apply function=\"abs\">", "</Apply>", 100_000)
        + "</DerivedField>";
    for (met, want) in [
        (
            fault(&predicate(deep(
                "<CompoundPredicate booleanOperator=\"and\">",
                "</CompoundPredicate>",
                100_000,
            ))),
            "deeper than 64 predicates",
        ),
        (fault(&local(&apply)), "deeper than 64 expressions"),
        (fault(&local(&chain)), "derived of more than 200 others"),
        (fault(&local(ring)), "is derived of itself"),
        (fault(&recursive), "deeper than 64 expressions"),
        (fault(laughs), "a document type (DTD)"),
        (fault(&format!("<PMML{attributes}/>")), "<PMML> has more than 256 attributes"),
        (fault(&deep("<a xmlns:x='y'>", "</a>", 100_000)), "is not the <PMML> that was expected"),
        (fault(&IRIS.replace("encoding=\"UTF-8\"", "encoding=\"UTF-8\" ?><!--")), "the XML is broken"),
    ] {
        assert!(met.contains(want), "{met}\nlacks\n{want}");
    }
    // A tree may be deep, for none of it is read by recursion.
    let chain = deep("<Node score=\"b\"><True/>", "</Node>", 50_000);
    let tall = IRIS.replace("<Node id=\"right\"", &format!("{chain}<Node id=\"right\""));
    let model = read(tall.as_bytes(), false).unwrap();
    assert_eq!(ask(&model, r#"[[5, "blue", 1]]"#, "kind").unwrap().data, Data::Bytes(vec!["b".into()]));
}

#[test]
fn texts_that_double_are_stopped() {
    let mut fields =
        "<DerivedField name=\"d0\" dataType=\"string\"><FieldRef field=\"colour\"/></DerivedField>"
            .to_owned();
    for at in 1..60 {
        let before = format!("<FieldRef field=\"d{}\"/>", at - 1);
        fields += &format!(
            "<DerivedField name=\"d{at}\" dataType=\"string\"><Apply function=\"concat\">{before}{before}</Apply></DerivedField>"
        );
    }
    let text = IRIS.replace("<LOCAL/>", &format!("<LocalTransformations>{fields}</LocalTransformations>"));
    let model =
        read(text.replace("field=\"colour\" operator", "field=\"d59\" operator").as_bytes(), false).unwrap();
    let refused = ask(&model, r#"[[5, "blue", 1]]"#, "kind").unwrap_err();
    assert!(refused.contains("a text of more than 65536 bytes"), "{refused}");
}

#[test]
fn encodings_are_those_that_files_have() {
    let latin = IRIS.replace("UTF-8", "ISO-8859-1").replace("\"red\"", "\"röt\"");
    let bytes: Vec<u8> = latin.chars().map(|it| u8::try_from(u32::from(it)).unwrap()).collect();
    let wide: Vec<u8> =
        [0xfeff_u16].into_iter().chain(latin.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xef\xbb\xbf", latin.replace("ISO-8859-1", "utf-8").as_bytes()].concat();
    for bytes in [bytes, wide, marked] {
        let model = read(&bytes, false).unwrap();
        assert_eq!(ask(&model, r#"[[5, "röt", 1]]"#, "kind").unwrap().data, Data::Bytes(vec!["b".into()]));
    }
    assert!(
        matches!(read(b"<PMML version='\xff'/>", false), Err(Fault::Malformed(reason)) if reason.contains("not UTF-8 from byte 15"))
    );
}

#[test]
fn the_tree_of_kserve_answers_as_its_server() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models/pmml/kserve-iris/model.pmml");
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: there is no {}", path.display());
        return;
    };
    let model = read(&bytes, false).unwrap();
    let rows = "[[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6], [5.1, 3.5, 1.4, 0.2]]";
    let classes = ["versicolor", "versicolor", "setosa"].map(bytes::Bytes::from).to_vec();
    assert_eq!(ask(&model, rows, "Species").unwrap().data, Data::Bytes(classes));
    let data = ask(&model, rows, "Probability_versicolor").unwrap().data;
    assert_eq!(data, Data::Fp64(vec![49.0 / 54.0, 49.0 / 54.0, 0.0].into()));
    assert_eq!(
        ask(&model, rows, "Node_Id").unwrap().data,
        Data::Bytes(vec!["6".into(), "6".into(), "2".into()])
    );
}
