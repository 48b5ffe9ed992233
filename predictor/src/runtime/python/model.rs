//! A model that workers serve: by tensors where its signature is known, whole where it reads requests itself.

use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_proto::json;
use weir_sdk::{
    Asked, Batching, Code, Context, DataType, Error, InferRequest, InferResponse, Model, Parameter, Question,
    Reply, Signature, Tensor, TensorSpec, Whole,
};

use super::frame::{Frame, Kind};
use super::pool::Pool;
use crate::runtime::LoadOptions;

/// More than anybody's limit for work on the thread that has the request: a worker is always waited for elsewhere.
const COST: Duration = Duration::from_millis(1);

pub(super) struct Served {
    pool: Pool,
    signature: Signature,
    whole: bool,
    explains: bool,
    timeout: Duration,
}

impl Served {
    /// Of the workers, and what the first one says of the model.
    ///
    /// # Errors
    /// What of it makes no sense.
    pub(super) fn new(pool: Pool, said: &Frame, options: &LoadOptions) -> Result<Self, String> {
        let is = |name| said.text(name).as_deref() == Some("true");
        let whole = is("whole");
        let signature = signature(said, options, whole)?;
        Ok(Self { pool, signature, whole, explains: is("explains"), timeout: options.python.timeout })
    }

    fn until(&self, caller: Option<Instant>) -> Instant {
        caller.unwrap_or_else(|| Instant::now() + self.timeout)
    }
}

fn signature(said: &Frame, options: &LoadOptions, whole: bool) -> Result<Signature, String> {
    let all = |name: &str| -> Vec<String> {
        let named = said.fields.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    };
    let specs = |name: &str| all(name).iter().map(|it| spec(it)).collect::<Result<Vec<_>, _>>();
    let platform = said.text("platform").unwrap_or_default();
    let mut signature = Signature { platform, ..Signature::default() };
    if whole {
        // What it takes is its own matter; what the command line tells of it is for those who ask.
        signature.inputs.clone_from(&options.tensors.inputs);
        signature.outputs.clone_from(&options.tensors.outputs);
        return Ok(signature);
    }
    let default_outputs = said.text("default_outputs").and_then(|it| it.parse().ok()).unwrap_or(0);
    signature = Signature {
        inputs: specs("input")?,
        outputs: specs("output")?,
        columns: all("column"),
        default_outputs,
        ..signature
    };
    options.tensors.apply(&mut signature)?;
    Ok(signature)
}

/// Reads one tensor of a signature: lines that are its name, type, sizes, and the classes it scores.
fn spec(text: &str) -> Result<TensorSpec, String> {
    let mut lines = text.split('\n');
    let (Some(name), Some(datatype), Some(shape)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(format!("the worker says `{text}` of a tensor, expected its name, type and sizes"));
    };
    let datatype = DataType::parse(datatype).map_err(|error| error.message)?;
    let unranked = shape == "any";
    let sizes = if unranked {
        vec![-1]
    } else {
        let sizes: Result<Vec<i64>, _> = shape.split_whitespace().map(str::parse).collect();
        sizes.map_err(|_| format!("the worker says a tensor has the sizes `{shape}`"))?
    };
    let labels = lines.map(str::to_owned).collect();
    Ok(TensorSpec { unranked, ..TensorSpec::new(name, datatype, sizes).with_labels(labels) })
}

impl Model for Served {
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
        let names = wanted.iter().filter_map(|&at| self.signature.outputs.get(at));
        let fields: Vec<_> = names.map(|it| ("output".to_owned(), Bytes::from(it.name.clone()))).collect();
        let frame = self.pool.ask(Kind::Predict, &fields, inputs, self.until(until))?;
        if !fields.is_empty() && frame.tensors.len() != fields.len() {
            let message =
                format!("the worker answered {} outputs, expected {}", frame.tensors.len(), fields.len());
            return Err(Error::new(Code::Inference, message));
        }
        Ok(frame.tensors)
    }

    fn whole(&self) -> Option<&dyn Whole> {
        self.whole.then_some(self)
    }

    fn health(&self) -> Result<(), String> {
        self.pool.health()
    }

    fn cost(&self, _rows: usize) -> Duration {
        COST
    }

    fn threads(&self) -> usize {
        // The processes compute.
        0
    }

    fn batching(&self) -> Batching {
        if self.whole { Batching::Never } else { Batching::Even }
    }
}

impl Whole for Served {
    fn answer(&self, question: Question) -> Result<Reply, Error> {
        let until = self.until(question.context.deadline);
        let field = |name: &str, value: &str| (name.to_owned(), Bytes::copy_from_slice(value.as_bytes()));
        let mut fields = vec![
            field("verb", question.verb.name()),
            field("model", &question.model),
            field("want", question.want.name()),
        ];
        headers(&question.context, &mut fields);
        let tensors = match question.asked {
            Asked::Json(body) => {
                fields.push(("json".to_owned(), body));
                Vec::new()
            }
            Asked::Tensors(request) => asked(request, &mut fields),
        };
        let frame = self.pool.ask(Kind::Ask, &fields, &tensors, until)?;
        match frame.field("json") {
            Some(json) => Ok(Reply::Json(json.clone())),
            None => {
                let outputs = frame.tensors;
                Ok(Reply::Tensors(InferResponse { outputs, ..InferResponse::default() }))
            }
        }
    }

    fn explains(&self) -> bool {
        self.explains
    }
}

fn headers(context: &Context, fields: &mut Vec<(String, Bytes)>) {
    /// A worker takes no more fields than this and what is said of the request beside.
    const MOST: usize = 128;
    let told = context.headers.iter().take(MOST);
    fields.extend(
        told.map(|(name, value)| (format!("header:{name}"), Bytes::copy_from_slice(value.as_bytes()))),
    );
}

/// The tensors of a request; what else it says becomes fields.
fn asked(request: InferRequest, fields: &mut Vec<(String, Bytes)>) -> Vec<Tensor> {
    const MOST: usize = 60;
    fields.push(("id".to_owned(), request.id.into()));
    for output in request.outputs.into_iter().take(MOST) {
        fields.push(("output".to_owned(), output.name.into()));
    }
    for (name, value) in request.parameters.0.into_iter().take(MOST) {
        let value = match value {
            Parameter::Bool(it) => it.to_string(),
            Parameter::Int(it) => it.to_string(),
            Parameter::Uint(it) => it.to_string(),
            Parameter::Double(it) if it.is_finite() => it.to_string(),
            Parameter::Double(_) => "null".to_owned(),
            Parameter::String(it) => {
                let mut quoted = Vec::with_capacity(it.len() + 2);
                json::push_str(&mut quoted, &it);
                fields.push((format!("parameter:{name}"), quoted.into()));
                continue;
            }
        };
        fields.push((format!("parameter:{name}"), value.into()));
    }
    request.inputs
}
