//! What a model file says that ONNX Runtime does not tell: the classes of a ZipMap, and which tensors have any number of sizes.
//! Everything else in the file is passed over.

use super::super::protobuf::{Fields, Value, packed, text};

/// What a file says of its graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// The outputs of ZipMap nodes, each with the classes in the order of the scores that it zips.
    pub zipped: Vec<(String, Vec<String>)>,
    /// Inputs and outputs of which not even the number of sizes is told.
    pub unranked: Vec<String>,
}

/// The most classes, nodes' outputs and tensors that are kept: far more than anybody has.
const MOST: usize = 1 << 16;

impl Graph {
    /// Reads a message `ModelProto`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(model: &[u8]) -> Result<Self, String> {
        let mut graph = Self::default();
        let mut fields = Fields::of(model);
        while let Some((field, value)) = fields.next()? {
            if let (7, Value::Bytes(message)) = (field, value) {
                graph.graph(message)?;
            }
        }
        Ok(graph)
    }

    fn graph(&mut self, message: &[u8]) -> Result<(), String> {
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, Value::Bytes(node)) => self.node(node)?,
                (11 | 12, Value::Bytes(tensor)) => self.tensor(tensor)?,
                _ => {}
            }
            if self.zipped.len() + self.unranked.len() > MOST {
                return Err(format!("it has more than {MOST} ZipMaps and tensors without sizes"));
            }
        }
        Ok(())
    }

    /// A message `NodeProto`.
    fn node(&mut self, message: &[u8]) -> Result<(), String> {
        let (mut output, mut operator, mut labels) = (&[][..], &[][..], Vec::new());
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (2, Value::Bytes(name)) => output = name,
                (4, Value::Bytes(name)) => operator = name,
                // The operator may come after its attributes: those of others are few as well.
                (5, Value::Bytes(attribute)) => classes(attribute, &mut labels)?,
                _ => {}
            }
        }
        if operator == b"ZipMap" {
            self.zipped.push((text(output, "a ZipMap's output")?, labels));
        }
        Ok(())
    }

    /// A message `ValueInfoProto`.
    fn tensor(&mut self, message: &[u8]) -> Result<(), String> {
        let (mut name, mut ranked) = (&[][..], true);
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, Value::Bytes(bytes)) => name = bytes,
                (2, Value::Bytes(kind)) => ranked = is_ranked(kind)?,
                _ => {}
            }
        }
        if !ranked {
            self.unranked.push(text(name, "a tensor's name")?);
        }
        Ok(())
    }
}

/// Whether a message `TypeProto` tells a shape. What is no tensor has none to tell.
fn is_ranked(message: &[u8]) -> Result<bool, String> {
    let mut ranked = true;
    let mut fields = Fields::of(message);
    while let Some((field, value)) = fields.next()? {
        if let (1, Value::Bytes(tensor)) = (field, value) {
            ranked = false;
            let mut inner = Fields::of(tensor);
            while let Some((field, value)) = inner.next()? {
                ranked |= matches!((field, value), (2, Value::Bytes(_)));
            }
        }
    }
    Ok(ranked)
}

/// Reads the classes out of a message `AttributeProto` that has them.
fn classes(message: &[u8], labels: &mut Vec<String>) -> Result<(), String> {
    let mut fields = Fields::of(message);
    let mut wanted = false;
    let mut found = Vec::new();
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (1, Value::Bytes(name)) => {
                wanted = matches!(name, b"classlabels_strings" | b"classlabels_int64s")
            }
            // What comes before its name is kept until the name tells.
            (8, Value::Number(number)) => found.push(number.cast_signed().to_string()),
            (8, Value::Bytes(numbers)) if wanted => {
                for number in packed(numbers).take(MOST + 1 - found.len().min(MOST)) {
                    found.push(number?.cast_signed().to_string());
                }
            }
            (9, Value::Bytes(label)) if wanted => found.push(String::from_utf8_lossy(label).into_owned()),
            _ => {}
        }
        if found.len() > MOST {
            found.truncate(MOST);
            wanted = false;
        }
    }
    if wanted {
        *labels = found;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_come_in_the_order_of_the_scores() {
        let read = |bytes: &[u8]| Graph::read(bytes).unwrap();
        let graph = read(include_bytes!("../../../testdata/onnxruntime/classifier.onnx"));
        let labels = ["setosa", "virginica", "maple"].map(str::to_owned).to_vec();
        assert_eq!(graph.zipped, [("probabilities".to_owned(), labels)]);
        let graph = read(include_bytes!("../../../testdata/onnxruntime/numbered.onnx"));
        assert_eq!(graph.zipped[0].1, ["7", "3", "10"]);
        assert!(graph.unranked.is_empty());
        let graph = read(include_bytes!("../../../testdata/onnxruntime/unranked.onnx"));
        assert_eq!(graph.unranked, ["x", "y"]);
    }

    #[test]
    fn what_is_cut_off_is_told_and_never_a_panic() {
        let whole = include_bytes!("../../../testdata/onnxruntime/classifier.onnx");
        let refused = (0..whole.len()).filter(|&end| Graph::read(&whole[..end]).is_err()).count();
        assert!(refused > whole.len() / 2, "{refused}");
        assert!(Graph::read(&[0xff; 16]).unwrap_err().contains("more than ten bytes"));
    }
}
