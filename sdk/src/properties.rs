//! What a signature holds beyond the fields of the Open Inference Protocol's metadata, in its map of properties. The keys are
//! told in `inference.proto`.

use std::collections::HashMap;

use weir_proto::json::{self, Reader};
use weir_proto::{Error, Signature};

const COLUMNS: &str = "columns";
const DEFAULT_OUTPUTS: &str = "default_outputs";
/// The version that is told of, where a request named one or a label of one.
pub(crate) const VERSION: &str = "version";
/// Before the name of an output.
const LABELS: &str = "labels.";

/// Returns what there is to tell; nothing for a model with one output and no names.
pub(crate) fn to_wire(signature: &Signature) -> HashMap<String, String> {
    let mut properties = HashMap::new();
    if !signature.columns.is_empty() {
        properties.insert(COLUMNS.to_owned(), list(&signature.columns));
    }
    if signature.default_outputs != 0 {
        properties.insert(DEFAULT_OUTPUTS.to_owned(), signature.default_outputs.to_string());
    }
    for output in signature.outputs.iter().filter(|it| !it.labels.is_empty()) {
        properties.insert(format!("{LABELS}{}", output.name), list(&output.labels));
    }
    properties
}

/// Fills in what [`to_wire`] told. Other keys, a foreign peer's, are left alone.
///
/// # Errors
/// `InvalidInput` when a value is not what its key says.
pub(crate) fn from_wire(
    signature: &mut Signature,
    properties: &HashMap<String, String>,
) -> Result<(), Error> {
    if let Some(text) = properties.get(COLUMNS) {
        signature.columns = read(text)?;
    }
    if let Some(text) = properties.get(DEFAULT_OUTPUTS) {
        signature.default_outputs = text
            .parse()
            .map_err(|_| Error::invalid(format!("`{DEFAULT_OUTPUTS}` is `{text}`, expected a number")))?;
    }
    for output in &mut signature.outputs {
        if let Some(text) = properties.get(&format!("{LABELS}{}", output.name)) {
            output.labels = read(text)?;
        }
    }
    Ok(())
}

fn list(names: &[String]) -> String {
    let mut out = Vec::new();
    json::push_list(&mut out, names, |out, it| json::push_str(out, it));
    String::from_utf8(out).expect("the writer makes JSON out of text, which is text")
}

fn read(text: &str) -> Result<Vec<String>, Error> {
    let mut reader = Reader::new(text.as_bytes());
    let mut names = Vec::new();
    reader.begin_array()?;
    while reader.next_element()? {
        names.push(reader.string()?.into_owned());
    }
    reader.finish()?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use weir_proto::{DataType, TensorSpec};

    use super::*;

    #[test]
    fn a_signature_comes_back_whole() {
        let labels = vec!["a\"b".to_owned(), String::new()];
        let signature = Signature {
            outputs: vec![
                TensorSpec::new("y", DataType::Int64, [-1]),
                TensorSpec::new("p", DataType::Fp64, [-1, 2]).with_labels(labels),
            ],
            default_outputs: 1,
            columns: vec!["c".to_owned()],
            ..Signature::default()
        };
        let properties = to_wire(&signature);
        assert_eq!(properties["columns"], r#"["c"]"#);
        let mut bare = Signature { columns: Vec::new(), default_outputs: 0, ..signature.clone() };
        bare.outputs[1].labels.clear();
        from_wire(&mut bare, &properties).unwrap();
        assert_eq!(bare, signature);
    }

    #[test]
    fn a_foreign_property_is_left_alone_and_a_broken_one_is_told() {
        let broken = |key: &str, value: &str| {
            from_wire(&mut Signature::default(), &HashMap::from([(key.to_owned(), value.to_owned())]))
        };
        assert!(broken("max_batch_size", "8").is_ok());
        assert!(broken("columns", "[1]").is_err() && broken("columns", "x").is_err());
        assert!(broken("default_outputs", "all").is_err());
    }
}
