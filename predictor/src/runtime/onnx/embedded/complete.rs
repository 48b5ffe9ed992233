//! Says in a file what rten wants to be told and ONNX leaves out where it can be seen: the size of a convolution's kernel.

use std::collections::HashMap;

use super::super::super::protobuf::{Fields, Value};
use super::super::proto::{Graph, Node};

/// Returns the file with the sizes of kernels in it; `None` where it has them all.
pub(super) fn completed(model: &[u8], graph: &Graph) -> Option<Vec<u8>> {
    let lacks = |it: &Node| {
        matches!(it.operator.as_str(), "Conv" | "ConvTranspose")
            && it.domain.is_empty()
            && !it.attributes.iter().any(|it| it.name == "kernel_shape")
    };
    if !graph.nodes.iter().any(lacks) {
        return None;
    }
    let kernels: HashMap<&str, &[usize]> =
        graph.initializers.iter().filter_map(|it| Some((it.name.as_str(), it.shape.get(2..)?))).collect();
    let mut nodes = graph.nodes.iter();
    rewritten(model, |field, value| match (field, value) {
        (7, Value::Bytes(graph)) => rewritten(graph, |field, value| match (field, value) {
            (1, Value::Bytes(node)) => {
                let told = nodes.next()?;
                let kernel = kernels.get(told.inputs.get(1)?.as_str()).filter(|_| lacks(told))?;
                let mut node = node.to_vec();
                write(&mut node, 5, &kernel_shape(kernel));
                Some(node)
            }
            _ => None,
        }),
        _ => None,
    })
}

/// A message `AttributeProto` of whole numbers.
fn kernel_shape(sizes: &[usize]) -> Vec<u8> {
    const INTS: u64 = 7;
    let mut message = Vec::new();
    write(&mut message, 1, b"kernel_shape");
    for &size in sizes {
        number(&mut message, 8 << 3);
        number(&mut message, size as u64);
    }
    number(&mut message, 20 << 3);
    number(&mut message, INTS);
    message
}

/// Writes a message anew, with other bytes where a field is to have them. `None` where it has numbers of a fixed size, which no
/// message that is rewritten has.
fn rewritten<'a>(
    message: &'a [u8],
    mut change: impl FnMut(u64, Value<'a>) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut made = Vec::with_capacity(message.len() + 64);
    let mut fields = Fields::of(message);
    while let Ok(Some((field, value))) = fields.next() {
        match (change(field, value), value) {
            (Some(bytes), _) => write(&mut made, field, &bytes),
            (None, Value::Bytes(bytes)) => write(&mut made, field, bytes),
            (None, Value::Number(it)) => {
                number(&mut made, field << 3);
                number(&mut made, it);
            }
            (None, Value::Fixed(_)) => return None,
        }
    }
    Some(made)
}

fn write(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    number(message, field << 3 | 2);
    number(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn number(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}
