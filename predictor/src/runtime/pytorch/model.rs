//! A TorchScript module as a model.

use std::time::Duration;

use weir_native::torch::{Argument, Module};
use weir_sdk::{Batching, Code, DataType, Error, Model, Signature, Tensor, TensorSpec};

use super::brief;
use crate::runtime::{LoadOptions, lent};

/// What nobody knows before it is measured, and more than is worth doing on the thread that has the request.
const COST: Duration = Duration::from_millis(1);

pub(super) struct Script {
    module: Module,
    signature: Signature,
    threads: usize,
    bytes: u64,
}

impl Script {
    /// Of a module, the names of classes where an archive tells them, and what the command line says.
    ///
    /// # Errors
    /// What of its inputs cannot be served, or does not fit what is said.
    pub(super) fn new(
        module: Module,
        labels: Vec<String>,
        bytes: u64,
        options: &LoadOptions,
    ) -> Result<Self, String> {
        let inputs = inputs(&module.inputs, &options.tensors.inputs)?;
        let mut outputs: Vec<TensorSpec> = module.outputs.iter().map(|it| any(it, DataType::Fp32)).collect();
        let told = &options.tensors.outputs;
        if !told.is_empty() {
            if !outputs.is_empty() && outputs.len() != told.len() {
                return Err(format!(
                    "`--outputs` tells {} tensors, the model gives {}",
                    told.len(),
                    outputs.len()
                ));
            }
            outputs.clone_from(told);
        }
        if let [only] = outputs.as_mut_slice() {
            only.labels = labels;
        }
        let platform = "pytorch_torchscript".to_owned();
        let signature = Signature { platform, inputs, outputs, ..Signature::default() };
        Ok(Self { module, signature, threads: options.threads.in_library(), bytes })
    }
}

/// What `forward` takes: types of tensors and their sizes stand in no file, so what is not told is FP32 of any shape.
fn inputs(arguments: &[Argument], told: &[TensorSpec]) -> Result<Vec<TensorSpec>, String> {
    let wanted = arguments.iter().filter(|it| !it.optional).count();
    let taken = if told.is_empty() { wanted } else { told.len() };
    if taken < wanted || taken > arguments.len() {
        return Err(format!("`--inputs` tells {taken} tensors, the model takes {}", arguments.len()));
    }
    let specs = arguments[..taken].iter().enumerate().map(|(at, argument)| {
        let kind = argument.kind.strip_prefix("Optional[").and_then(|it| it.strip_suffix(']'));
        let datatype = match kind.unwrap_or(&argument.kind) {
            "Tensor" => DataType::Fp32,
            "int" => DataType::Int64,
            "float" => DataType::Fp64,
            "bool" => DataType::Bool,
            "str" | "List[str]" => DataType::Bytes,
            other => {
                return Err(format!(
                    "`forward` takes `{}` of type {other}, which no tensor is; expected tensors, numbers or texts",
                    argument.name
                ));
            }
        };
        Ok(told.get(at).cloned().unwrap_or_else(|| any(&argument.name, datatype)))
    });
    specs.collect()
}

fn any(name: &str, datatype: DataType) -> TensorSpec {
    TensorSpec { unranked: true, ..TensorSpec::new(name, datatype, [-1]) }
}

impl Model for Script {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let failed = |text: String| Error::new(Code::Inference, brief(&text).to_owned());
        let outputs = lent::to(inputs, |given| self.module.run(given)).map_err(failed)?;
        let outputs = outputs.into_iter().map(lent::take).collect::<Result<Vec<_>, Error>>()?;
        self.pick(outputs, wanted)
    }

    fn cost(&self, _rows: usize) -> Duration {
        COST
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn batching(&self) -> Batching {
        let is_batch = |it: &TensorSpec| !it.unranked && it.shape.first() == Some(&-1);
        match self.signature.inputs.as_slice() {
            [] => Batching::Never,
            inputs if inputs.iter().all(is_batch) => Batching::Gains,
            _ => Batching::Even,
        }
    }

    fn memory(&self) -> Option<u64> {
        Some(self.bytes)
    }
}

impl Script {
    /// The outputs that are wanted, under the names of the signature; all of them where it tells none.
    fn pick(&self, mut outputs: Vec<Tensor>, wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let specs = &self.signature.outputs;
        if specs.is_empty() {
            return Ok(outputs);
        }
        let by_name = specs.iter().all(|spec| outputs.iter().any(|it| it.name == spec.name));
        if !by_name && outputs.len() != specs.len() {
            let message = format!("the model answered {} tensors, expected {}", outputs.len(), specs.len());
            return Err(Error::new(Code::Inference, message));
        }
        let picked = wanted.iter().map(|&at| {
            let spec = specs.get(at)?;
            let place = if by_name { outputs.iter().position(|it| it.name == spec.name)? } else { at };
            let mut tensor = outputs.get(place)?.clone();
            tensor.name.clone_from(&spec.name);
            Some(tensor)
        });
        let picked: Option<Vec<Tensor>> = picked.collect();
        outputs.clear();
        picked.ok_or_else(|| Error::new(Code::Inference, "the model left out an output that was asked for"))
    }
}
