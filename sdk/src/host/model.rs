//! Serves one version of a model: decodes, checks against its signature, predicts where the work belongs, encodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use weir_proto::{
    Code, Error, Face, Form, InferRequest, InferResponse, Layout, Method, Payload, Signature, Tensor,
};

use super::batch::{BatchOptions, Caller};
use super::dispatch::{Chosen, Dispatch};
use super::example;
use super::method::{Task, signature_name};
use crate::id::Ids;
use crate::{Asked, Call, Metadata, Model, Process, Question, Reply, Verb};

/// How a model is served.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Its name.
    pub name: String,
    /// Predictions that take longer than microseconds and run side by side.
    pub threads: usize,
    /// What stands for its versions in a path, such as `stable`: pairs of label and version.
    pub labels: Vec<(String, String)>,
    /// What a V1 request means by `inputs` given as a list.
    pub inputs: ListedInputs,
    /// How requests are put together.
    pub batching: BatchOptions,
    /// What it uses of the process: the same as its [`Service`](crate::Service) has.
    pub process: Process,
}

impl ModelOptions {
    /// Options for a model of that name, with a thread a core.
    pub fn new(name: impl Into<String>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, Into::into);
        Self {
            name: name.into(),
            threads,
            labels: Vec::new(),
            inputs: ListedInputs::default(),
            batching: BatchOptions::default(),
            process: Process::default(),
        }
    }
}

/// What a V1 request means by `inputs` given as a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListedInputs {
    /// What the server of the model's framework means: TensorFlow Serving of a tensorflow model, KServe of every other.
    #[default]
    AsFramework,
    /// Rows, answered by `predictions`.
    KServe,
    /// The one input as a whole, answered by `outputs`.
    TensorFlowServing,
}

/// One loaded version of a model. Whoever answers a request holds it, so that it outlives its place in the table.
pub(super) struct Live {
    options: Arc<ModelOptions>,
    model: Arc<dyn Model>,
    version: String,
    dispatch: Dispatch,
    ids: Arc<Ids>,
    /// Somebody has asked it since this was last looked at.
    touched: AtomicBool,
}

impl Live {
    /// Of a model that was just loaded.
    pub(super) fn new(
        options: Arc<ModelOptions>,
        model: Arc<dyn Model>,
        version: String,
        ids: Arc<Ids>,
    ) -> Self {
        let dispatch = Dispatch::of(&options, &*model);
        Self { options, model, version, dispatch, ids, touched: AtomicBool::new(false) }
    }

    /// The model.
    pub(super) fn model(&self) -> &Arc<dyn Model> {
        &self.model
    }

    /// Its version.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Says that somebody asks it.
    pub(super) fn touch(&self) {
        // Mostly read: the line stays with every core.
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody has asked it since the last time this was asked.
    pub(super) fn was_touched(&self) -> bool {
        self.touched.swap(false, Ordering::Relaxed)
    }

    /// Tells what it takes and gives. The versions served are for its host to say.
    pub(super) fn metadata(&self) -> Metadata {
        Metadata {
            name: self.options.name.clone(),
            version: self.version.clone(),
            versions: Vec::new(),
            signature: self.model.signature().clone(),
            signatures: signatures_of(&*self.model),
        }
    }

    /// Answers a call for its model.
    ///
    /// # Errors
    /// What the request or the model is wrong with.
    pub(super) async fn answer(&self, mut call: Call) -> Result<Payload, Error> {
        let Self { model, version, .. } = self;
        if model.whole().is_some() {
            return self.ask(Arc::clone(model), version, call).await;
        }
        if call.verb != Verb::Infer {
            let message = format!("model `{}` does not {}; ask it to predict", call.model, call.verb.name());
            return Err(Error::new(Code::Unsupported, message));
        }
        let caller = Caller::from(&call.context);
        let (mut request, form) = call.take_request()?;
        let form = self.settle(form, &model.signature().platform);
        let chosen = chosen(Arc::clone(model), &form, &mut request)?;
        let signature = chosen.model().signature();
        let task = Task::of(&form, signature, &mut request, &self.options.name)?;
        if form.method != Method::Predict && example::takes(signature) {
            request.inputs = vec![example::messages(&request.inputs)?];
        }
        let inputs = if form.raw {
            signature.bind_raw(raw_body(&mut request.inputs))?
        } else {
            signature.bind(&mut request)?
        };
        let outputs = self.dispatch.predict(&chosen, inputs, task.wanted(), caller).await?;
        let outputs = task.finish(outputs)?;
        // V1 has no place for an id; to make one would be work for nobody.
        let id = if request.id.is_empty() && call.want != Face::V1 { self.ids.next() } else { request.id };
        let response = InferResponse {
            model_name: call.model,
            model_version: if call.want == Face::V1 { String::new() } else { version.clone() },
            id,
            outputs,
            ..InferResponse::default()
        };
        Payload::of_response(call.want, response, form)
    }

    /// Asks a model that takes requests whole.
    async fn ask(&self, model: Arc<dyn Model>, version: &str, call: Call) -> Result<Payload, Error> {
        let (name, want) = (call.model.clone(), call.want);
        let (question, form) = Question::of(call)?;
        let id = match &question.asked {
            Asked::Tensors(request) => request.id.clone(),
            Asked::Json(_) => String::new(),
        };
        match self.dispatch.ask(model, question).await? {
            Reply::Json(body) if want == Face::V1 => Ok(Payload { form, ..Payload::new(Face::V1, body) }),
            Reply::Json(_) => Err(Error::new(
                Code::Inference,
                "the model answered JSON of the V1 protocol, where tensors were wanted",
            )),
            Reply::Tensors(mut response) => {
                response.model_name = name;
                if want != Face::V1 {
                    version.clone_into(&mut response.model_version);
                    if response.id.is_empty() {
                        response.id = if id.is_empty() { self.ids.next() } else { id };
                    }
                }
                Payload::of_response(want, response, form)
            }
        }
    }

    /// Settles what is for the model's framework to say about the answer's form.
    fn settle(&self, mut form: Form, platform: &str) -> Form {
        let tensorflow = platform.starts_with("tensorflow");
        let as_tensors = match self.options.inputs {
            ListedInputs::AsFramework => tensorflow,
            ListedInputs::KServe => false,
            ListedInputs::TensorFlowServing => true,
        };
        if form.layout == Layout::Inputs {
            form.layout = if as_tensors { Layout::Columns } else { Layout::Rows };
        }
        form.tokens = tensorflow;
        form
    }
}

fn signatures_of(model: &dyn Model) -> Vec<(String, Signature)> {
    let names = model.signature_names().into_iter();
    let told = names.filter_map(|name| {
        let signature = model.under(&name)?.signature().clone();
        Some((name, signature))
    });
    told.collect()
}

/// The model under the signature that a request names. KServe takes any name, and has no signatures.
fn chosen(model: Arc<dyn Model>, form: &Form, request: &mut InferRequest) -> Result<Chosen, Error> {
    let Some(name) = signature_name(request) else { return Ok(Chosen::default_of(model)) };
    if model.under(&name).is_some() {
        return Ok(Chosen::under(model, name));
    }
    if form.tokens || form.layout == Layout::Columns {
        let message = format!("Serving signature name: \"{name}\" not found in signature def");
        return Err(Error::invalid(message));
    }
    Ok(Chosen::default_of(model))
}

/// The body of a raw request, which was decoded to one element of `BYTES`.
pub(super) fn raw_body(inputs: &mut Vec<Tensor>) -> bytes::Bytes {
    match inputs.pop().map(|it| it.data) {
        Some(weir_proto::Data::Bytes(mut elements)) => elements.pop().unwrap_or_default(),
        Some(_) | None => bytes::Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use weir_proto::v1::SIGNATURE_NAME;
    use weir_proto::{DataType, Parameter, Parameters, TensorSpec};

    use super::*;

    /// A model of two signatures.
    struct Two(Signature, Option<Box<Self>>);

    impl Two {
        fn shared() -> Arc<dyn Model> {
            let signature = |output: &str| Signature {
                outputs: vec![TensorSpec::new(output, DataType::Fp32, [-1])],
                ..Signature::default()
            };
            Arc::new(Self(signature("y"), Some(Box::new(Self(signature("z"), None)))))
        }
    }

    impl Model for Two {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn predict(&self, _: &[Tensor], _: &[usize]) -> Result<Vec<Tensor>, Error> {
            Ok(Vec::new())
        }

        fn under(&self, signature_name: &str) -> Option<&dyn Model> {
            let other: &Self = self.1.as_deref()?;
            (signature_name == "other").then_some(other)
        }
    }

    fn output_under(name: &str, form: &Form) -> Result<String, String> {
        let parameters = Parameters(vec![(SIGNATURE_NAME.to_owned(), Parameter::String(name.into()))]);
        let mut request = InferRequest { parameters, ..InferRequest::default() };
        let chosen = chosen(Two::shared(), form, &mut request).map_err(|error| error.message)?;
        Ok(chosen.model().signature().outputs[0].name.clone())
    }

    #[test]
    fn a_signature_is_chosen_by_name_and_an_unknown_one_is_refused_where_signatures_are_known() {
        let columns = Form { layout: Layout::Columns, ..Form::default() };
        assert_eq!(output_under("other", &Form::default()).unwrap(), "z");
        assert_eq!(output_under("serving_default", &columns).unwrap(), "y");
        assert_eq!(output_under("x", &Form::default()).unwrap(), "y");
        let error = output_under("x", &columns).unwrap_err();
        assert_eq!(error, "Serving signature name: \"x\" not found in signature def");
    }
}
