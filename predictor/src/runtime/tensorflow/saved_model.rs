//! What a SavedModel says of itself: its graphs' tags, and the signatures of each. The graphs are passed over: they are for
//! TensorFlow to read.

use super::super::protobuf::{Fields, Value, text};

/// A graph for one purpose, of those that a SavedModel holds (`MetaGraphDef`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetaGraph {
    /// What it is for, such as `serve`.
    pub tags: Vec<String>,
    /// Its signatures, sorted by name; what initializes the model is none of them.
    pub signatures: Vec<SignatureDef>,
}

/// A signature (`SignatureDef`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignatureDef {
    /// The name it is asked for by.
    pub name: String,
    /// Sorted by name: a map has no order of its own.
    pub inputs: Vec<TensorInfo>,
    /// Sorted by name.
    pub outputs: Vec<TensorInfo>,
    /// Such as `tensorflow/serving/predict`.
    pub method_name: String,
}

/// A tensor of a signature (`TensorInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TensorInfo {
    /// The name in requests and answers.
    pub name: String,
    /// The name in the graph, such as `x:0`; empty for one that is no single dense tensor.
    pub inner_name: String,
    /// The element type, as TensorFlow numbers them.
    pub datatype: u64,
    /// The sizes, -1 for any; `None` where not even their number is known.
    pub shape: Option<Vec<i64>>,
}

/// The most signatures of a graph, tensors of a signature, sizes of a tensor, and graphs of a file: far more than anybody has.
const MOST: usize = 4096;

/// Reads a file `saved_model.pb`.
///
/// # Errors
/// What is wrong with it, and where.
pub fn graphs(bytes: &[u8]) -> Result<Vec<MetaGraph>, String> {
    let mut graphs = Vec::new();
    let mut fields = Fields::of(bytes);
    while let Some((field, value)) = fields.next().map_err(|it| format!("{it}; the file is no SavedModel"))? {
        if let (2, Value::Bytes(graph)) = (field, value) {
            graphs.push(MetaGraph::read(graph).map_err(|it| format!("graph {}: {it}", graphs.len()))?);
            limit(graphs.len(), "graphs")?;
        }
    }
    if graphs.is_empty() {
        return Err("it holds no graph; the file is no SavedModel".to_owned());
    }
    Ok(graphs)
}

impl MetaGraph {
    /// Reads a message `MetaGraphDef`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut graph = Self::default();
        let mut fields = Fields::of(bytes);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, Value::Bytes(info)) => graph.tags(info)?,
                (5, Value::Bytes(entry)) => {
                    let (name, signature) = entry_of(entry)?;
                    // What loading runs by itself.
                    if name.starts_with("__saved_model_") {
                        continue;
                    }
                    let mut signature =
                        SignatureDef::read(signature).map_err(|it| format!("signature `{name}`: {it}"))?;
                    signature.name = name;
                    graph.signatures.push(signature);
                    limit(graph.signatures.len(), "signatures")?;
                }
                _ => {}
            }
        }
        last_of_each(&mut graph.signatures, |it| &it.name);
        Ok(graph)
    }

    fn tags(&mut self, info: &[u8]) -> Result<(), String> {
        let mut fields = Fields::of(info);
        while let Some((field, value)) = fields.next()? {
            if let (4, Value::Bytes(tag)) = (field, value) {
                self.tags.push(text(tag, "a tag")?);
                limit(self.tags.len(), "tags")?;
            }
        }
        Ok(())
    }
}

impl SignatureDef {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut signature = Self::default();
        let mut fields = Fields::of(bytes);
        while let Some((field, value)) = fields.next()? {
            let list = match (field, value) {
                (1, Value::Bytes(_)) => &mut signature.inputs,
                (2, Value::Bytes(_)) => &mut signature.outputs,
                (3, Value::Bytes(method)) => {
                    signature.method_name = text(method, "its method")?;
                    continue;
                }
                _ => continue,
            };
            let Value::Bytes(entry) = value else { continue };
            let (name, info) = entry_of(entry)?;
            let mut info = TensorInfo::read(info).map_err(|it| format!("tensor `{name}`: {it}"))?;
            info.name = name;
            list.push(info);
            limit(list.len(), "tensors")?;
        }
        last_of_each(&mut signature.inputs, |it| &it.name);
        last_of_each(&mut signature.outputs, |it| &it.name);
        Ok(signature)
    }
}

impl TensorInfo {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut info = Self::default();
        let mut shape = &[][..];
        let mut fields = Fields::of(bytes);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, Value::Bytes(name)) => info.inner_name = text(name, "its name in the graph")?,
                (2, Value::Number(datatype)) => info.datatype = datatype,
                (3, Value::Bytes(message)) => shape = message,
                _ => {}
            }
        }
        info.shape = sizes(shape)?;
        Ok(info)
    }
}

/// Reads a message `TensorShapeProto`.
fn sizes(bytes: &[u8]) -> Result<Option<Vec<i64>>, String> {
    let mut sizes = Vec::new();
    let mut known = true;
    let mut fields = Fields::of(bytes);
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (2, Value::Bytes(dimension)) => {
                let mut size = 0;
                let mut inner = Fields::of(dimension);
                while let Some((field, value)) = inner.next()? {
                    if let (1, Value::Number(number)) = (field, value) {
                        size = number.cast_signed().max(-1);
                    }
                }
                sizes.push(size);
                limit(sizes.len(), "sizes")?;
            }
            (3, Value::Number(unknown)) => known = unknown == 0,
            _ => {}
        }
    }
    Ok(known.then_some(sizes))
}

/// Reads an entry of a map: its key, and its value's bytes.
fn entry_of(bytes: &[u8]) -> Result<(String, &[u8]), String> {
    let (mut key, mut message) = (String::new(), &[][..]);
    let mut fields = Fields::of(bytes);
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (1, Value::Bytes(name)) => key = text(name, "a name")?,
            (2, Value::Bytes(bytes)) => message = bytes,
            _ => {}
        }
    }
    Ok((key, message))
}

/// Sorts the entries of a map. Of a key that comes twice the last counts, as everywhere in protobuf.
fn last_of_each<T>(entries: &mut Vec<T>, key: impl Fn(&T) -> &str) {
    entries.reverse();
    // Stable: the last written comes first.
    entries.sort_by(|a, b| key(a).cmp(key(b)));
    entries.dedup_by(|next, kept| key(next) == key(kept));
}

fn limit(count: usize, what: &str) -> Result<(), String> {
    if count > MOST { Err(format!("there are more than {MOST} {what}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read_in_order_with_types_and_shapes() {
        let read = graphs(include_bytes!("../../../testdata/tensorflow/tf1.pb")).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].tags, ["serve"]);
        let names: Vec<_> = read[0].signatures.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["row", "serving_default", "weights"]);
        let row = &read[0].signatures[0];
        assert_eq!(row.method_name, "tensorflow/serving/predict");
        let x = TensorInfo {
            name: "x".to_owned(),
            inner_name: "x:0".to_owned(),
            datatype: 1,
            shape: Some(vec![-1, 3]),
        };
        assert_eq!(row.inputs, [x]);
        assert_eq!(row.outputs[1].shape, Some(vec![-1]));
        let read = graphs(include_bytes!("../../../testdata/tensorflow/unknown_rank.pb")).unwrap();
        assert_eq!(read[0].signatures[0].inputs[0].shape, None);
    }

    #[test]
    fn what_is_no_saved_model_is_told_with_its_place() {
        let told = |bytes: &[u8]| graphs(bytes).unwrap_err();
        assert_eq!(told(b""), "it holds no graph; the file is no SavedModel");
        assert!(told(b"\x12\xff\x01").contains("255 bytes at byte 3 runs past the end at 3"));
        assert!(told(b"\x0b").contains("unknown kind 3 at byte 0"));
        assert!(told(&[0xff; 20]).contains("more than ten bytes at byte 0"));
        assert!(told(b"\x12\x02\x2a\x05").starts_with("graph 0: a value of 5 bytes"));
        let entry = b"\x2a\x05\x0a\x03abc".repeat(MOST + 1);
        let mut many = vec![0x12, 0, 0, 0];
        let length = entry.len();
        many[1..].copy_from_slice(&[length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8]);
        many.extend_from_slice(&entry);
        assert!(told(&many).contains("more than 4096 signatures"));
    }
}
