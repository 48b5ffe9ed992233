//! Serves a model: decodes, checks against its signature, predicts where the work belongs, encodes. Loads and unloads it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use weir_proto::{
    Code, Error, Face, Form, InferRequest, InferResponse, Layout, Method, Origin, Payload, Signature, Tensor,
};

use super::batch::{BatchOptions, Caller};
use super::check_model;
use super::dispatch::{Chosen, Dispatch};
use super::example;
use super::method::{Task, signature_name};
use crate::id::Ids;
use crate::{
    Asked, BoxFuture, Call, Handle, Metadata, Model, ModelState, ModelStatus, Process, Question, Reply,
    RepositoryVerb, Verb, Whole,
};

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
        Self {
            name: name.into(),
            threads: crate::threads::cores(),
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

/// A model, and the version it was found as.
pub struct Loaded {
    /// The model.
    pub model: Box<dyn Model>,
    /// Its version; models that have none are version 1, as everybody's first is.
    pub version: String,
}

impl Loaded {
    /// Of a model without versions.
    pub fn unversioned(model: Box<dyn Model>) -> Self {
        Self { model, version: "1".to_owned() }
    }
}

/// Loads a model, or tells clients why not. It may block.
pub type Loader = Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>;

/// A model by name, in whatever state it is.
pub struct ModelHost {
    me: Weak<Self>,
    options: ModelOptions,
    loader: Loader,
    state: ArcSwap<State>,
    /// Held by whoever loads or unloads.
    turn: Mutex<()>,
    ids: Ids,
}

enum State {
    Loading,
    Ready(Serving),
    Failed(String),
    Unloaded,
}

#[derive(Clone)]
struct Serving {
    model: Arc<dyn Model>,
    version: Arc<str>,
    dispatch: Arc<Dispatch>,
}

impl ModelHost {
    /// Creates a host whose model is not loaded yet: that is what [`ModelHost::load`] does.
    pub fn new(options: ModelOptions, loader: Loader) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            options,
            loader,
            state: ArcSwap::from_pointee(State::Loading),
            turn: Mutex::new(()),
            ids: Ids::default(),
        })
    }

    /// Loads the model, or loads it again: a model that answers goes on until the new one takes its place. It may block.
    ///
    /// # Errors
    /// `NotReady` with the reason. A model that answered before goes on.
    pub fn load(&self) -> Result<(), Error> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = matches!(**self.state.load(), State::Ready(_));
        if !answers {
            self.state.store(Arc::new(State::Loading));
        }
        match (self.loader)() {
            Ok(Loaded { model, version }) => {
                let dispatch = Arc::new(Dispatch::of(&self.options, &*model));
                let serving = Serving { model: model.into(), version: version.into(), dispatch };
                self.state.store(Arc::new(State::Ready(serving)));
                Ok(())
            }
            Err(reason) => {
                let error = Error::model_not_ready(&self.options.name, &reason);
                if !answers {
                    self.state.store(Arc::new(State::Failed(reason)));
                }
                Err(error)
            }
        }
    }

    /// Unloads the model. Requests that have it already are answered.
    pub fn unload(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.store(Arc::new(State::Unloaded));
    }

    /// The model, once it was asked for by that name and version.
    fn serving(&self, version: &str) -> Result<Serving, Error> {
        let name = &self.options.name;
        let serving = match &**self.state.load() {
            State::Ready(serving) => serving.clone(),
            State::Loading => return Err(Error::model_not_ready(name, "It is loading.")),
            State::Failed(reason) => return Err(Error::model_not_ready(name, reason)),
            State::Unloaded => return Err(Error::model_not_found(name)),
        };
        let wanted = match version.strip_prefix('@') {
            Some(label) => self.version_of(label)?,
            None => version,
        };
        if wanted.is_empty() || *wanted == *serving.version {
            return Ok(serving);
        }
        let message =
            format!("Could not find version {wanted} of model {name}; it has version {}", serving.version);
        Err(Error::new(Code::NotFound, message))
    }

    fn version_of(&self, label: &str) -> Result<&str, Error> {
        let found = self.options.labels.iter().find(|(name, _)| name == label);
        found.map(|(_, version)| version.as_str()).ok_or_else(|| {
            let known: Vec<_> = self.options.labels.iter().map(|(name, _)| name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::invalid(format!("Unrecognized servable version label: {label}; known are: {known}"))
        })
    }

    async fn infer(&self, mut call: Call) -> Result<Payload, Error> {
        check_model(&call, &self.options.name)?;
        let serving = self.serving(&call.version)?;
        if serving.model.whole().is_some() {
            return self.ask(serving, call).await;
        }
        let Serving { model, version, dispatch } = serving;
        if call.verb != Verb::Infer {
            let message = format!("model `{}` does not {}; ask it to predict", call.model, call.verb.name());
            return Err(Error::new(Code::Unsupported, message));
        }
        let caller = Caller::from(&call.context);
        let (mut request, form) = call.take_request()?;
        let form = self.settle(form, &model.signature().platform);
        let chosen = chosen(model, &form, &mut request)?;
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
        let outputs = dispatch.predict(&chosen, inputs, task.wanted(), caller).await?;
        let outputs = task.finish(outputs)?;
        // V1 has no place for an id; to make one would be work for nobody.
        let id = if request.id.is_empty() && call.want != Face::V1 { self.ids.next() } else { request.id };
        let response = InferResponse {
            model_name: call.model,
            model_version: if call.want == Face::V1 { String::new() } else { (*version).to_owned() },
            id,
            outputs,
            ..InferResponse::default()
        };
        Payload::of_response(call.want, response, form)
    }

    /// Asks a model that takes requests whole.
    async fn ask(&self, serving: Serving, call: Call) -> Result<Payload, Error> {
        let Serving { model, version, dispatch } = serving;
        let (name, want) = (call.model.clone(), call.want);
        let (question, form) = Question::of(call)?;
        let id = match &question.asked {
            Asked::Tensors(request) => request.id.clone(),
            Asked::Json(_) => String::new(),
        };
        match dispatch.ask(model, question).await? {
            Reply::Json(body) if want == Face::V1 => Ok(Payload { form, ..Payload::new(Face::V1, body) }),
            Reply::Json(_) => Err(Error::new(
                Code::Inference,
                "the model answered JSON of the V1 protocol, where tensors were wanted",
            )),
            Reply::Tensors(mut response) => {
                response.model_name = name;
                if want != Face::V1 {
                    (*version).clone_into(&mut response.model_version);
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

    fn status(&self) -> ModelStatus {
        let (version, state, reason) = match &**self.state.load() {
            State::Ready(serving) => match serving.model.health() {
                Ok(()) => ((*serving.version).to_owned(), ModelState::Ready, String::new()),
                Err(reason) => ((*serving.version).to_owned(), ModelState::Failed, reason),
            },
            State::Loading => (String::new(), ModelState::Loading, "it is loading".to_owned()),
            State::Failed(reason) => (String::new(), ModelState::Failed, reason.clone()),
            State::Unloaded => (String::new(), ModelState::Unloaded, "unloaded".to_owned()),
        };
        ModelStatus { name: self.options.name.clone(), version, state, reason }
    }

    fn told(&self, model: &str, version: &str) -> Result<Metadata, Error> {
        if model != self.options.name {
            return Err(Error::model_not_found(model));
        }
        let serving = self.serving(version)?;
        Ok(Metadata {
            name: self.options.name.clone(),
            versions: vec![(*serving.version).to_owned()],
            signature: serving.model.signature().clone(),
            signatures: signatures_of(&*serving.model),
        })
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

impl Handle for ModelHost {
    fn component(&self) -> Origin {
        Origin::Predictor
    }

    fn verbs(&self) -> &[Verb] {
        match &**self.state.load() {
            State::Ready(serving) if serving.model.whole().is_some_and(Whole::explains) => {
                &[Verb::Infer, Verb::Explain]
            }
            _ => &[Verb::Infer],
        }
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Payload, Error>> {
        Box::pin(self.infer(call))
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>> {
        Box::pin(std::future::ready(vec![self.status()]))
    }

    fn metadata<'a>(&'a self, model: &'a str, version: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        Box::pin(std::future::ready(self.told(model, version)))
    }

    fn has_repository(&self) -> bool {
        true
    }

    fn repository<'a>(&'a self, verb: RepositoryVerb, model: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if model != self.options.name {
                return Err(Error::model_not_found(model));
            }
            let host = self.me.upgrade().expect("whoever calls holds the host");
            let work = tokio::task::spawn_blocking(move || match verb {
                RepositoryVerb::Load => host.load(),
                RepositoryVerb::Unload => {
                    host.unload();
                    Ok(())
                }
            });
            work.await.map_err(|_| Error::new(Code::Inference, "loading the model failed unexpectedly"))?
        })
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
