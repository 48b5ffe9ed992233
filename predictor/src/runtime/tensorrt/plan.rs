//! A serialized engine as a model: its own inputs and outputs are the signature, its profiles say which shapes it takes.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use weir_native::tensorrt::{Engine, Failure, Port, TensorRt};
use weir_sdk::{Batching, Code, Error, Model, Signature, Tensor, TensorSpec};

use super::super::{LoadError, LoadOptions, lent};
use super::{UPSTREAM, profile};

/// However short it is, it waits for the GPU, and perhaps for other predictions: that is nothing for a thread that moves bytes.
const COST: Duration = Duration::from_millis(1);

/// A loaded engine.
struct Plan {
    library: TensorRt,
    gpu: u32,
    engine: Engine,
    /// What CUDA says once the GPU does not answer this process any more: it stays so until it starts anew.
    lost: OnceLock<String>,
    signature: Signature,
    batching: Batching,
    bytes: u64,
}

/// Loads an engine onto the GPU that the flags say.
///
/// # Errors
/// [`LoadError`]: what is missing, with what else serves the model, or why TensorRT does not take the file.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
    let missing = |reason: String| LoadError::Engine {
        path: path.to_owned(),
        reason: format!(
            "{reason}; or serve the ONNX model it was built from, of which ONNX Runtime's TensorRT provider builds an engine \
             (--tensorrt_engine_cache keeps it), {UPSTREAM}"
        ),
    };
    let library = TensorRt::open(&options.search()).map_err(missing)?;
    let gpu = options.gpu.number();
    library.reach(gpu).map_err(missing)?;
    let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    let malformed = |reason: String| LoadError::Malformed {
        path: path.to_owned(),
        reason: format!(
            "TensorRT {} cannot load it: {reason}; an engine is for the version of TensorRT and the kind of GPU that it was \
             built with",
            library.version()
        ),
    };
    let engine = library.load(&bytes, gpu, options.gpu.contexts()).map_err(malformed)?;
    let plan =
        Plan::new(library, gpu, engine, bytes.len() as u64).map_err(|what| LoadError::Unsupported {
            path: path.to_owned(),
            what,
            advice: "build the engine with plain inputs and outputs (`trtexec --inputIOFormats=fp32:chw`)"
                .to_owned(),
        })?;
    tracing::info!(model = options.name, "TensorRT {} runs it on GPU {gpu}", library.version());
    Ok(Box::new(plan))
}

impl Plan {
    /// # Errors
    /// The input or output that cannot be served.
    fn new(library: TensorRt, gpu: u32, engine: Engine, bytes: u64) -> Result<Self, String> {
        let signature = signature(&engine.inputs, &engine.outputs)?;
        let batching = batching(&engine.inputs, &engine.outputs);
        Ok(Self { library, gpu, engine, lost: OnceLock::new(), signature, batching, bytes })
    }

    fn failed(&self, text: String) -> Error {
        if let Err(lost) = self.library.reach(self.gpu) {
            self.lost.get_or_init(|| lost);
        }
        Error::new(Code::Inference, text)
    }
}

/// What an engine takes and gives.
///
/// # Errors
/// The input or output that cannot be served.
fn signature(inputs: &[Port], outputs: &[Port]) -> Result<Signature, String> {
    let specs = |side: &str, ports: &[Port]| -> Result<Vec<TensorSpec>, String> {
        let spec = |it: &Port| {
            let datatype = lent::datatype(it.datatype).filter(|_| it.refused.is_empty());
            let datatype = datatype.ok_or_else(|| format!("{side} `{}`, which {},", it.name, it.refused))?;
            Ok(TensorSpec::new(it.name.clone(), datatype, it.shape.clone()))
        };
        ports.iter().map(spec).collect()
    };
    // Triton's name.
    let platform = "tensorrt_plan".to_owned();
    let (inputs, outputs) = (specs("input", inputs)?, specs("output", outputs)?);
    Ok(Signature { platform, inputs, outputs, ..Signature::default() })
}

/// Rows go together where every first size is open, and profiles take several.
fn batching(inputs: &[Port], outputs: &[Port]) -> Batching {
    let open = |it: &Port| it.shape.first() == Some(&-1);
    if inputs.iter().chain(outputs).all(open) && profile::rows(inputs) > 1 {
        Batching::Gains
    } else {
        Batching::Never
    }
}

impl Model for Plan {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        self.predict_until(inputs, wanted, None)
    }

    fn predict_until(
        &self,
        inputs: &[Tensor],
        wanted: &[usize],
        until: Option<Instant>,
    ) -> Result<Vec<Tensor>, Error> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|it| it.shape.as_slice()).collect();
        let profile = profile::choose(&self.engine.inputs, &shapes).map_err(Error::invalid)?;
        let answers = lent::to(inputs, |given| self.engine.run(profile, given, wanted, until));
        let answers = answers.map_err(|failure| match failure {
            Failure::Late => Error::new(Code::Deadline, "time was up before the GPU was free"),
            Failure::Refused(text) => Error::invalid(text),
            Failure::Failed(text) => self.failed(text),
        })?;
        let answers = answers.into_iter().map(lent::take).collect::<Result<Vec<_>, Error>>()?;
        in_order(&answers, wanted)
    }

    fn health(&self) -> Result<(), String> {
        self.lost.get().map_or(Ok(()), |lost| Err(format!("{lost}; start the predictor anew")))
    }

    fn cost(&self, _rows: usize) -> Duration {
        COST
    }

    fn batching(&self) -> Batching {
        self.batching
    }

    fn most_rows(&self) -> Option<usize> {
        (self.batching != Batching::Never).then(|| profile::rows(&self.engine.inputs))
    }

    fn memory(&self) -> Option<u64> {
        Some(self.bytes)
    }
}

/// The answers come in the engine's order, each once; they leave in the order they are wanted in.
fn in_order(answers: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
    let mut order = wanted.to_vec();
    order.sort_unstable();
    order.dedup();
    let place = |at: &usize| answers.get(order.binary_search(at).ok()?).cloned();
    let found: Option<Vec<_>> = wanted.iter().map(place).collect();
    found.ok_or_else(|| Error::new(Code::Inference, "the engine left out an output that was asked for"))
}

#[cfg(test)]
mod tests {
    use weir_native::tensorrt::Profile;
    use weir_sdk::{Data, DataType};

    use super::*;

    fn port(shape: &[i64], most: i64) -> Port {
        let sizes = |first: i64| shape.iter().map(|&it| if it < 0 { first } else { it }).collect();
        let profile = Profile { least: sizes(1), best: sizes(most), most: sizes(most) };
        let shape = shape.to_vec();
        Port { name: "x".to_owned(), datatype: 11, shape, refused: String::new(), profiles: vec![profile] }
    }

    #[test]
    fn rows_go_together_where_a_profile_takes_several() {
        let told =
            |input: &[i64], most, output: &[i64]| batching(&[port(input, most)], &[port(output, most)]);
        assert_eq!(told(&[-1, 3], 8, &[-1, 2]), Batching::Gains);
        assert_eq!(told(&[-1, 3], 1, &[-1, 2]), Batching::Never);
        assert_eq!(told(&[4, 3], 8, &[4, 2]), Batching::Never);
        assert_eq!(told(&[-1, 3], 8, &[2]), Batching::Never);
    }

    #[test]
    fn the_signature_is_the_engines_and_what_is_not_served_is_named() {
        let (input, mut output) = (port(&[-1, 3], 8), port(&[-1, 2], 8));
        let told = signature(std::slice::from_ref(&input), std::slice::from_ref(&output)).unwrap();
        assert_eq!(
            (told.platform.as_str(), &told.inputs),
            ("tensorrt_plan", &vec![TensorSpec::new("x", DataType::Fp32, [-1, 3])])
        );
        output.refused = "has TensorRT's element type 6".to_owned();
        output.datatype = u8::MAX;
        let text = signature(&[input], &[output]).unwrap_err();
        assert_eq!(text, "output `x`, which has TensorRT's element type 6,");
    }

    #[test]
    fn answers_leave_in_the_order_they_are_wanted_in() {
        let tensor = |name: &str| Tensor::new(name, [1], Data::Fp32(vec![0.0].into()));
        let names = |answers: &[&str], wanted: &[usize]| {
            let answers = in_order(&answers.iter().map(|it| tensor(it)).collect::<Vec<_>>(), wanted);
            answers.map(|it| it.into_iter().map(|it| it.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["a", "c"], &[2, 0]).unwrap(), ["c", "a"]);
        assert_eq!(names(&["b"], &[1, 1]).unwrap(), ["b", "b"]);
        assert!(names(&["a"], &[0, 1]).is_err());
    }
}
