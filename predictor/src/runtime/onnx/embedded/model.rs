//! A model that the interpreter computes.

use std::borrow::Cow;
use std::cell::Cell;
use std::time::{Duration, Instant};

use weir_sdk::{Batching, Code, Data, DataType, Error, Model, Signature, Tensor};

use super::super::super::Fault;
use super::super::super::pace::Pace;
use super::attributes::unsupported;
use super::program::Program;
use super::value::{FUEL, Trouble};

/// A graph behind its signature.
pub(super) struct Interpreted {
    pub(super) program: Program,
    pub(super) signature: Signature,
    pub(super) batching: Batching,
    pub(super) bytes: u64,
    pace: Pace,
}

impl Interpreted {
    /// Tries the graph on a row of noughts, where the signature tells enough: what the interpreter cannot compute shows then,
    /// and how long it takes.
    ///
    /// # Errors
    /// The node that cannot be computed.
    pub(super) fn new(
        program: Program,
        signature: Signature,
        batching: Batching,
        bytes: u64,
    ) -> Result<Self, Fault> {
        let model = Self { program, signature, batching, bytes, pace: Pace::default() };
        let Some(inputs) = model.noughts() else { return Ok(model) };
        let all: Vec<usize> = (0..model.signature.outputs.len()).collect();
        let started = Instant::now();
        for _ in 0..MOST_TRIALS {
            let outcome = model.pace.time(1, || model.compute(&inputs, &all));
            match outcome {
                Err(Trouble::Unserved(what)) => return Err(unsupported(what)),
                // Noughts may be no sensible input.
                Err(Trouble::Input(_)) => break,
                Ok(_) if started.elapsed() > LONGEST_TRIAL => break,
                Ok(_) => {}
            }
        }
        Ok(model)
    }

    fn noughts(&self) -> Option<Vec<Tensor>> {
        let mut inputs = Vec::new();
        for spec in &self.signature.inputs {
            let shape: Vec<usize> = spec.shape.iter().map(|&it| usize::try_from(it).unwrap_or(1)).collect();
            let count = weir_sdk::proto::tensor::elements(&shape)
                .filter(|&it| it <= MOST_NOUGHTS.min(self.program.limit()))?;
            if spec.unranked {
                return None;
            }
            let data = match spec.datatype {
                DataType::Bytes => Data::Bytes(vec![bytes::Bytes::new(); count]),
                kind => Data::from_raw(kind, vec![0; count * kind.size()?].into(), count, "").ok()?,
            };
            inputs.push(Tensor::new(spec.name.clone(), shape, data));
        }
        Some(inputs)
    }

    fn compute(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Trouble> {
        self.program.run(inputs.iter().map(Cow::Borrowed).collect(), wanted, &Cell::new(FUEL))
    }
}

/// What a trial before the first request may take.
const MOST_TRIALS: usize = 40;
const LONGEST_TRIAL: Duration = Duration::from_millis(100);
const MOST_NOUGHTS: usize = 1 << 22;

impl Model for Interpreted {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let rows = inputs.first().map_or(1, Tensor::rows);
        let made =
            self.pace.time(rows, || self.compute(inputs, wanted)).map_err(|trouble| match trouble {
                Trouble::Input(text) => Error::invalid(text),
                Trouble::Unserved(text) => Error::new(Code::Unsupported, format!("{text} is not supported")),
            })?;
        let mut outputs = Vec::with_capacity(made.len());
        for (mut it, &at) in made.into_iter().zip(wanted) {
            let spec = &self.signature.outputs[at];
            if it.datatype() != spec.datatype {
                let message = format!(
                    "output `{}` came as {}, the file says {}",
                    spec.name,
                    it.datatype(),
                    spec.datatype
                );
                return Err(Error::new(Code::Inference, message));
            }
            it.name.clone_from(&spec.name);
            outputs.push(it);
        }
        Ok(outputs)
    }

    fn cost(&self, rows: usize) -> Duration {
        self.pace.of(rows)
    }

    fn batching(&self) -> Batching {
        self.batching
    }

    fn memory(&self) -> Option<u64> {
        Some(self.bytes)
    }
}
