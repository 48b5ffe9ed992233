//! A model that answers what it is asked: every data type there is, over every protocol, with nothing in between that could
//! hide a mistake of the codecs.

use weir_sdk::host::{Loaded, ModelHost, ModelOptions};
use weir_sdk::{
    BuildError, DataType, Error, Launch, Model, ServerFlags, Service, Signature, Tensor, TensorSpec,
};

/// The flags of the server of an [`Echo`].
#[derive(Debug, clap::Args)]
struct Flags {
    /// The name the model is served under
    #[arg(long = "model_name", default_value = "echo")]
    model_name: String,
    /// The data types of its tensors, comma separated; each tensor is called as its type is, in lower case
    #[arg(long = "datatypes", default_value = EVERY)]
    datatypes: String,
    /// The shape of every tensor; -1 is any
    #[arg(long = "shape", default_value = "-1,-1", allow_hyphen_values = true)]
    shape: String,
    #[command(flatten)]
    server: ServerFlags,
}

const EVERY: &str = "BOOL,UINT8,UINT16,UINT32,UINT64,INT8,INT16,INT32,INT64,FP16,BF16,FP32,FP64,BYTES";

struct Echo(Signature);

impl Model for Echo {
    fn signature(&self) -> &Signature {
        &self.0
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let named = |at: usize| Tensor { name: self.0.outputs[at].name.clone(), ..inputs[at].clone() };
        Ok(wanted.iter().map(|&at| named(at)).collect())
    }
}

/// Builds the server of an echo.
///
/// # Errors
/// [`BuildError`] when the command line makes no sense.
pub fn build(launch: &Launch) -> Result<Service, BuildError> {
    let flags: Flags = launch.parse("echo", "Answers what it is asked.")?;
    let wrong = |text: String| BuildError::Config(text);
    let shape: Vec<i64> = flags
        .shape
        .split(',')
        .map(|it| it.parse().map_err(|_| wrong(format!("`{it}` is no size"))))
        .collect::<Result<_, _>>()?;
    let specs = flags
        .datatypes
        .split(',')
        .map(|it| {
            let datatype = DataType::parse(it).map_err(|error| wrong(error.message))?;
            Ok(TensorSpec::new(it.to_ascii_lowercase(), datatype, shape.clone()))
        })
        .collect::<Result<Vec<_>, BuildError>>()?;
    let signature = Signature {
        platform: "echo".to_owned(),
        inputs: specs.clone(),
        outputs: specs,
        ..Signature::default()
    };
    let load = move || Ok(Loaded::unversioned(Box::new(Echo(signature.clone()))));
    let options = ModelOptions::new(flags.model_name);
    let process = options.process.clone();
    let host = ModelHost::new(options, Box::new(load));
    host.load().map_err(|error| wrong(error.message))?;
    Ok(Service { handle: host, flags: flags.server, background: None, process })
}
