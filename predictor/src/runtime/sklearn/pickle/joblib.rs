//! joblib's raw arrays. Where an array would stand, the pickle builds a `NumpyArrayWrapper` that describes it, and straight
//! after the BUILD come the elements: a byte that tells the padding, that many bytes of it, and the memory of the array.
//! Older releases wrote no padding. Arrays of Python objects come as a complete pickle of their own instead.

use super::super::numpy::Dtype;
use super::super::refusal::Refusal;
use super::super::view::View;
use super::machine::Machine;
use super::{NodeId, RawArray};

/// Returns whether an object stands for the raw array behind it.
pub(super) fn is_wrapper(view: View<'_>) -> bool {
    view.class().is_some_and(|class| class.ends_with("joblib.numpy_pickle.NumpyArrayWrapper"))
}

/// Refuses what joblib before 0.10 wrote: a name in place of the array, which is in a file of its own.
pub(super) fn refuse_apart(view: View<'_>) -> Result<(), Refusal> {
    const NAMES: [&str; 2] = ["NDArrayWrapper", "ZNDArrayWrapper"];
    let Some(class) = view.class() else { return Ok(()) };
    let Some((module, name)) = class.rsplit_once('.') else { return Ok(()) };
    if !NAMES.contains(&name) || !module.contains("joblib.numpy_pickle") {
        return Ok(());
    }
    let file = view.attribute("filename").and_then(View::text).unwrap_or("another file");
    Err(Refusal::unsupported(
        format!(
            "a model of joblib before 0.10, whose arrays are in files of their own, such as {file:.100},"
        ),
        "load it in Python, with these files beside it, and save it anew with joblib 0.10 or later",
    ))
}

impl Machine<'_, '_> {
    /// Reads the elements that follow the wrapper.
    pub(super) fn array_behind(&mut self, wrapper: NodeId) -> Result<NodeId, Refusal> {
        let Header { dtype, size, shape, fortran, padded } = self.header(wrapper)?;
        let Some(size) = size else { return self.run_inner() };
        if padded {
            self.cursor.counted(1)?;
        }
        let bytes = shape.iter().try_fold(size, |product, &extent| product.checked_mul(extent));
        let bytes = bytes.ok_or_else(|| {
            self.cursor.complain(format!("an array of shape {shape:?} and {size} bytes an element"))
        })?;
        let data = self.cursor.take(bytes)?;
        self.graph.array(RawArray { dtype, shape, fortran, data }, self.budget)
    }

    fn header(&self, wrapper: NodeId) -> Result<Header, Refusal> {
        let wrapper = self.view(wrapper);
        let need = |name: &str| {
            let missing = || self.cursor.complain(format!("a NumpyArrayWrapper without `{name}`"));
            wrapper.attribute(name).ok_or_else(missing)
        };
        let dtype = need("dtype")?;
        let shape = need("shape")?
            .shape()
            .ok_or_else(|| self.cursor.complain("a NumpyArrayWrapper whose shape is none"))?;
        let described = Dtype::read(dtype)?;
        Ok(Header {
            dtype: dtype.id(),
            size: (!described.has_objects()).then_some(described.size),
            fortran: need("order")?.text() == Some("F") && shape.len() > 1,
            shape,
            padded: wrapper.attribute("numpy_array_alignment_bytes").is_some_and(|it| !it.is_none()),
        })
    }
}

struct Header {
    dtype: NodeId,
    /// Bytes an element, or `None` for Python objects.
    size: Option<usize>,
    shape: Vec<usize>,
    fortran: bool,
    padded: bool,
}
