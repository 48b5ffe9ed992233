//! What the command line tells of a model's tensors, where its file does not: `x:FP32[-1,3,32,32]`, separated by commas.

use weir_sdk::{DataType, Signature, TensorSpec};

/// What is told of a model's inputs and outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tensors {
    /// The inputs in the model's order; none where nothing is told.
    pub inputs: Vec<TensorSpec>,
    /// The outputs in the model's order; none where nothing is told.
    pub outputs: Vec<TensorSpec>,
}

impl Tensors {
    /// Puts what is told in the place of what a file tells.
    ///
    /// # Errors
    /// How many inputs the model has, when as many are not told.
    pub(crate) fn apply(&self, signature: &mut Signature) -> Result<(), String> {
        if !self.inputs.is_empty() {
            let (told, has) = (self.inputs.len(), signature.inputs.len());
            if has != 0 && told != has {
                return Err(format!("`--inputs` tells {told} tensors, the model takes {has}"));
            }
            signature.inputs.clone_from(&self.inputs);
        }
        if !self.outputs.is_empty() {
            let (told, has) = (self.outputs.len(), signature.outputs.len());
            if has != 0 && told != has {
                return Err(format!("`--outputs` tells {told} tensors, the model gives {has}"));
            }
            signature.outputs.clone_from(&self.outputs);
        }
        Ok(())
    }
}

/// Reads a list of tensors. One without sizes may have any.
///
/// # Errors
/// What was met, and what was expected.
pub(crate) fn read(text: &str) -> Result<Specs, String> {
    let (mut specs, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let (name, after) = rest.split_once(':').ok_or_else(|| wrong(rest))?;
        let end = after.find([',', '[']).unwrap_or(after.len());
        let datatype = DataType::parse(after[..end].trim()).map_err(|error| error.message)?;
        let mut spec = TensorSpec::new(name.trim(), datatype, [-1]);
        rest = after[end..].trim_start();
        if let Some(sizes) = rest.strip_prefix('[') {
            let (sizes, after) = sizes.split_once(']').ok_or_else(|| wrong(rest))?;
            spec.shape = shape(sizes)?;
            rest = after.trim_start();
        } else {
            spec.unranked = true;
        }
        if spec.name.is_empty() {
            return Err(wrong(text));
        }
        specs.push(spec);
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return Err(wrong(rest)),
        }
    }
    Ok(Specs(specs))
}

/// A list of tensors in one flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Specs(pub(crate) Vec<TensorSpec>);

fn shape(text: &str) -> Result<Vec<i64>, String> {
    let sizes = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    let size = |it: &str| it.parse().ok().filter(|&size: &i64| size >= -1);
    sizes
        .map(|it| size(it).ok_or_else(|| format!("`{it}` is no size, expected a number, or -1 for any")))
        .collect()
}

fn wrong(text: &str) -> String {
    format!("`{text}` is no tensor, expected such as `x:FP32[-1,3,32,32]`, or `x:FP32` for any sizes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_told_by_name_type_and_sizes() {
        let specs = read("x:FP32[-1,3,32,32], mask : int64 ,s:BYTES[]").unwrap().0;
        assert_eq!(specs[0], TensorSpec::new("x", DataType::Fp32, [-1, 3, 32, 32]));
        assert_eq!((specs[1].name.as_str(), specs[1].unranked), ("mask", true));
        assert_eq!((specs[2].shape.as_slice(), specs[2].unranked), ([0_i64; 0].as_slice(), false));
        assert_eq!(read("").unwrap().0, []);
        for text in ["x", "x:FP33", "x:FP32[", "x:FP32[-2]", "x:FP32[a]", ":FP32", "x:FP32[1]y:FP32"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
