//! From a manifest to what has to be started: which service, with which arguments and environment.

use std::path::{Path, PathBuf};

use weir_predictor::models::agent::{self, ModelEntry};
use weir_predictor::runtime::python;
use weir_proto::document::{Position, Problem, Severity};
use weir_proto::manifest::{
    self, Annotation, Batcher, Container, Explainer, InferenceService, ModelSpec, Serving, Transformer,
};
use weir_sdk::{Env, HeaderList, Launch, storage};

use crate::component::Kind;
use crate::sources::{self, Source};
use crate::trained;

/// The flag of a predictor that names the server which holds its model.
const UPSTREAM: &str = "upstream";
/// The folder a pod finds its model in.
const MODEL_FOLDER: &str = "/mnt/models";

/// Everything a set of manifests asks for.
#[derive(Debug, Default)]
pub struct Plan {
    /// The services, in the order they were written.
    pub services: Vec<ServicePlan>,
}

impl Plan {
    /// Reads manifests: files, folders, or `-`.
    ///
    /// # Errors
    /// The problems, one a line, when one of them is an error; or why a file cannot be read.
    pub fn of_files(files: &[PathBuf]) -> Result<Self, String> {
        let sources = sources::read(files).map_err(|error| error.to_string())?;
        let (plan, problems) = read(&sources, &Env::default());
        if has_errors(&problems) {
            return Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
        Ok(plan)
    }
}

/// One InferenceService.
#[derive(Debug)]
pub struct ServicePlan {
    /// Its name, which is also its model's, where it has one of its own.
    pub name: String,
    /// Whether it has a model of its own, beside those of TrainedModels.
    pub has_own: bool,
    /// The names of the TrainedModels that its predictor serves as well.
    pub models: Vec<String>,
    /// Its revisions; the weights sum to 100.
    pub revisions: Vec<RevisionPlan>,
    /// How many seconds a request may take.
    pub timeout_seconds: u64,
    /// Headers that travel through it beside those of traces.
    pub propagate_headers: HeaderList,
    /// Headers that do not travel through it.
    pub drop_headers: HeaderList,
}

/// One revision of a service.
#[derive(Debug)]
pub struct RevisionPlan {
    /// `default`, `canary`, or the canary's own name.
    pub name: String,
    /// Its share of the traffic in percent.
    pub weight: u8,
    /// What it is made of: a predictor, and perhaps a transformer and an explainer.
    pub components: Vec<ComponentPlan>,
}

/// One component: all that its service is started with, but for addresses.
#[derive(Debug, Clone)]
pub struct ComponentPlan {
    pub(crate) kind: Kind,
    /// Its arguments and environment.
    pub launch: Launch,
    /// What `weir validate` says of it, such as the runtime a model gets and why.
    pub note: String,
}

/// Reads manifests into a plan. The plan is complete only when no problem is an error. What `env` says of storage is for the
/// components that fetch something.
pub(crate) fn read(sources: &[Source], env: &Env) -> (Plan, Vec<Problem>) {
    let mut plan = Plan::default();
    let mut problems = Vec::new();
    let stores: Vec<_> = env.iter().filter(|(name, _)| storage::is_variable(name)).collect();
    let mut manifests = Vec::with_capacity(sources.len());
    for source in sources {
        let (manifest, met) = manifest::parse(&source.name, &source.text);
        problems.extend(met);
        manifests.push((source, manifest));
    }
    // Which models a predictor has must be known before it is planned, and they may stand anywhere.
    let mut trained = trained::of(&manifests, &mut problems);
    for (source, manifest) in manifests {
        let mut planner = Planner {
            source,
            problems: &mut problems,
            for_all: Vec::new(),
            stores: &stores,
            trained: Vec::new(),
        };
        for service in manifest.services {
            if plan.services.iter().any(|it| it.name == service.name) {
                let message =
                    format!("a service named `{}` was there before; models are routed by name", service.name);
                planner.error(service.at, "metadata.name", message);
                continue;
            }
            planner.trained = trained.remove(&service.name).unwrap_or_default();
            plan.services.push(planner.service(service));
        }
    }
    if plan.services.is_empty() && !has_errors(&problems) {
        let file = sources.first().map(|it| it.name.clone()).unwrap_or_default();
        let at = Position { line: 1, column: 1 };
        let message = "no InferenceService here".to_owned();
        problems.push(Problem { severity: Severity::Error, file, at, field: String::new(), message });
    }
    (plan, problems)
}

pub(crate) fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|it| it.severity == Severity::Error)
}

/// Whether a model is to be served by Python, by whichever of the ways to say it.
fn is_by_python(spec: &ModelSpec) -> bool {
    let named = spec.runtime.as_deref() == Some(python::NAME) || spec.format == python::NAME;
    named || flag(&spec.args, "runtime") == Some(python::NAME)
}

/// The flags of a predictor whose requests are put together.
fn batch_flags(batch: Batcher) -> Vec<String> {
    let told = [("max_batch_size", batch.max_batch_size), ("max_latency", batch.max_latency_ms)];
    let told = told.into_iter().filter_map(|(flag, value)| Some(format!("--{flag}={}", value?)));
    std::iter::once("--enable_batching=true".to_owned()).chain(told).collect()
}

/// The value of a flag among arguments, empty where it lacks one; the last counts.
fn flag<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    let mut found = None;
    for (at, arg) in args.iter().enumerate() {
        let Some(rest) = arg.strip_prefix("--").and_then(|it| it.strip_prefix(name)) else { continue };
        match rest.strip_prefix('=') {
            Some(value) => found = Some(value),
            None if rest.is_empty() => found = Some(args.get(at + 1).map_or("", String::as_str)),
            None => {}
        }
    }
    found
}

/// Whether a predictor has a model of its own.
fn has_own(serving: &Serving) -> bool {
    match serving {
        Serving::Model(it) => it.has_place() || flag(&it.args, UPSTREAM).is_some(),
        Serving::Container(it) => it.storage_uri.is_some() || flag(&it.args, "model_dir").is_some(),
    }
}

/// Whether arguments say by another flag which models there are.
fn names_models(args: &[String]) -> bool {
    ["model_repository", "model_config_file", "models_config", "model_dir", "models"]
        .iter()
        .any(|name| flag(args, name).is_some())
}

struct Planner<'a> {
    source: &'a Source,
    problems: &'a mut Vec<Problem>,
    /// The flags that every component of a service has.
    for_all: Vec<String>,
    /// The variables of who runs this that say something of storage.
    stores: &'a [(&'a str, &'a str)],
    /// The further models of the service's predictor.
    trained: Vec<ModelEntry>,
}

impl Planner<'_> {
    fn error(&mut self, at: Position, field: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            severity: Severity::Error,
            file: self.source.name.clone(),
            at,
            field: field.to_owned(),
            message: message.into(),
        });
    }

    fn warning(&mut self, at: Position, field: &str, message: impl Into<String>) {
        self.error(at, field, message);
        if let Some(last) = self.problems.last_mut() {
            last.severity = Severity::Warning;
        }
    }

    fn service(&mut self, service: InferenceService) -> ServicePlan {
        let timeout = service.revisions.first().and_then(|it| it.predictor.timeout_s);
        let propagate_headers = self.headers(service.propagate_headers.as_ref(), HeaderList::to_propagate);
        let drop_headers = self.headers(service.drop_headers.as_ref(), HeaderList::to_drop);
        let lists = [("propagate_headers", &propagate_headers), ("drop_headers", &drop_headers)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        self.for_all = lists.map(|(flag, list)| format!("--{flag}={list}")).collect();
        let has_own =
            self.trained.is_empty() || service.revisions.iter().any(|it| has_own(&it.predictor.serving));
        let revisions = service.revisions.into_iter().map(|it| self.revision(&service.name, it)).collect();
        let timeout_seconds = timeout.unwrap_or(60);
        let models = self.trained.iter().map(|it| it.name.clone()).collect();
        ServicePlan {
            name: service.name,
            has_own,
            models,
            revisions,
            timeout_seconds,
            propagate_headers,
            drop_headers,
        }
    }

    /// The headers that an annotation names.
    fn headers(
        &mut self,
        annotation: Option<&Annotation>,
        read: fn(&str) -> Result<HeaderList, String>,
    ) -> HeaderList {
        let Some(Annotation { name, value, at }) = annotation else { return HeaderList::default() };
        read(value).unwrap_or_else(|message| {
            self.error(*at, &format!("metadata.annotations.{name}"), message);
            HeaderList::default()
        })
    }

    fn revision(&mut self, model: &str, revision: manifest::Revision) -> RevisionPlan {
        let at = revision.predictor.at;
        let mut components = Vec::with_capacity(3);
        let batch = revision.predictor.batcher;
        components.extend(match revision.predictor.serving {
            Serving::Model(spec) => self.model(model, spec, batch),
            Serving::Container(mut container) => {
                // First, so that its own arguments count.
                container.args.splice(0..0, batch.map(batch_flags).unwrap_or_default());
                self.container(model, Kind::Predictor, container)
            }
        });
        components.extend(match revision.transformer {
            None => None,
            Some(Transformer::Steps { pre_and_post, at }) => {
                let args = vec!["--steps".to_owned(), pre_and_post.to_json()];
                self.component(Kind::Transformer, model, args, Vec::new(), at)
            }
            Some(Transformer::Container(container)) => self.container(model, Kind::Transformer, container),
        });
        components.extend(match revision.explainer {
            None => None,
            Some(Explainer::Method { method, storage_uri, config, at }) => {
                let mut args = vec!["--method".to_owned(), method];
                if let Some(folder) =
                    storage_uri.and_then(|uri| self.locate(&uri, at, "explainer.storageUri"))
                {
                    args.extend(["--storage_uri".to_owned(), folder]);
                }
                if let Some(config) = config {
                    args.extend(["--config".to_owned(), config.to_json()]);
                }
                self.component(Kind::Explainer, model, args, Vec::new(), at)
            }
            Some(Explainer::Container(container)) => self.container(model, Kind::Explainer, container),
        });
        if components.iter().all(|it| it.kind != Kind::Predictor) && !has_errors(self.problems) {
            self.error(at, "spec.predictor", "the predictor cannot be started");
        }
        RevisionPlan { name: revision.name, weight: revision.weight, components }
    }

    fn model(&mut self, model: &str, spec: ModelSpec, batch: Option<Batcher>) -> Option<ComponentPlan> {
        let by_python = is_by_python(&spec);
        let runtime = match weir_predictor::find(if by_python { python::NAME } else { &spec.format }) {
            Ok(runtime) => runtime,
            Err(error) => {
                self.error(spec.at, "predictor.model.modelFormat.name", error.to_string());
                return None;
            }
        };
        let other = spec.runtime.clone().filter(|it| it != python::NAME);
        let without_effect = [
            ("runtime", &other),
            ("modelFormat.version", &spec.format_version),
            ("protocolVersion", &spec.protocol_version),
        ];
        if by_python {
            let message = format!("`{}` {}", python::NAME, python::WARNING);
            self.warning(spec.at, "predictor.model.runtime", message);
        }
        for (field, _) in without_effect.into_iter().filter(|(_, value)| value.is_some()) {
            let message = "has no effect here: the format names the runtime, and every protocol is spoken";
            self.warning(spec.at, &format!("predictor.model.{field}"), message);
        }
        let gpu_flag = runtime.gpu_flag().filter(|_| !by_python);
        let gpu = gpu_flag.and_then(|it| Some(it.trim_start_matches('-').split_once('=')?.0));
        let gpu = gpu.and_then(|it| flag(&spec.args, it)).map(str::to_owned);
        if let Some(said) = gpu_flag.filter(|_| spec.asks_for_gpu && gpu.is_none()) {
            let message =
                format!("asks for a GPU, and the processor computes the model: say `{said}` in args");
            self.warning(spec.at, "predictor.model.resources", message);
        }
        let mut args = vec!["--model_format".to_owned(), spec.format.clone()];
        // A model that another server holds lies where that one finds it.
        let elsewhere = flag(&spec.args, UPSTREAM).is_some();
        match if elsewhere { None } else { self.place(&spec) } {
            Some(place) => args.extend(place?),
            None if elsewhere || !self.trained.is_empty() || names_models(&spec.args) => {}
            None => {
                self.error(spec.at, "predictor.model.storageUri", "missing: where is the model?");
                return None;
            }
        }
        if by_python {
            args.extend(["--runtime".to_owned(), python::NAME.to_owned()]);
        }
        match batch {
            Some(batch) if elsewhere => {
                let message = "has no effect here: another server has the model, and it is the one to tell";
                self.warning(batch.at, "predictor.batcher", message);
            }
            Some(batch) => args.extend(batch_flags(batch)),
            None => {}
        }
        args.extend(spec.args);
        let mut plan = self.component(Kind::Predictor, model, args, spec.env, spec.at)?;
        if elsewhere {
            plan.note = format!("another server, because args name it by --{UPSTREAM}");
            return Some(plan);
        }
        let engine = if by_python {
            python::engine(flag(&plan.launch.args, "python"), &plan.launch.env)
        } else {
            match gpu.filter(|it| it != "cpu") {
                Some(gpu) => runtime.gpu_engine(&plan.launch.env, &gpu),
                None => runtime.engine(&plan.launch.env),
            }
        };
        let engine = match engine {
            Ok(engine) => engine,
            Err(missing) => {
                let message = format!("the model will not be loaded here: {missing}");
                self.warning(spec.at, "predictor.model.modelFormat.name", message);
                "nothing on this machine".to_owned()
            }
        };
        plan.note = if by_python {
            format!("runtime `{}`, because the manifest says so; served by {engine}", python::NAME)
        } else {
            format!("runtime `{0}`, because modelFormat.name is `{0}`; served by {engine}", spec.format)
        };
        Some(plan)
    }

    /// The arguments that say where a model is, where the manifest does; `Some(None)` when it says nonsense.
    fn place(&mut self, spec: &ModelSpec) -> Option<Option<Vec<String>>> {
        if !spec.storage_uris.is_empty() {
            let places = spec.storage_uris.iter().map(|(uri, folder)| {
                self.locate(uri, spec.at, "predictor.storageUris").map(|it| (it, folder.clone()))
            });
            let places: Option<Vec<_>> = places.collect();
            return Some(places.map(|it| vec!["--storage_uris".to_owned(), storage::places_to_json(&it)]));
        }
        if let Some(spec) = &spec.storage_spec {
            return Some(Some(vec!["--storage_spec".to_owned(), spec.clone()]));
        }
        let uri = spec.storage_uri.as_ref()?;
        let folder = self.locate(uri, spec.at, "predictor.model.storageUri");
        Some(folder.map(|it| vec!["--model_dir".to_owned(), it]))
    }

    /// A container of Weir's own services is started here as one of them; any other needs a container engine.
    fn container(&mut self, model: &str, kind: Kind, container: Container) -> Option<ComponentPlan> {
        let component = kind.name();
        match container.weir_component().and_then(Kind::from_name) {
            Some(found) if found == kind => {}
            Some(found) => {
                let message =
                    format!("image `{}` is a {}, expected a {component}", container.image, found.name());
                self.error(container.at, component, message);
                return None;
            }
            None => {
                let message = format!(
                    "image `{}` needs a container engine; here run images whose name ends in `weir-{component}`",
                    container.image
                );
                self.error(container.at, component, message);
                return None;
            }
        }
        let mut env = container.env;
        let mut args = container.args;
        if let Some(uri) = &container.storage_uri {
            let folder = self.locate(uri, container.at, component)?;
            for text in args.iter_mut().chain(env.iter_mut().map(|(_, value)| value)) {
                *text = text.replace(MODEL_FOLDER, &folder);
            }
            env.retain(|(name, _)| name != "STORAGE_URI");
            env.push(("STORAGE_URI".to_owned(), folder));
        }
        self.component(kind, model, args, env, container.at)
    }

    /// The plan of a component, once its service has said that it can be built so.
    fn component(
        &mut self,
        kind: Kind,
        model: &str,
        args: Vec<String>,
        env: Vec<(String, String)>,
        at: Position,
    ) -> Option<ComponentPlan> {
        // First, so that a component's own arguments count.
        let mut all = self.for_all.clone();
        all.extend(args);
        all.extend(["--model_name".to_owned(), model.to_owned()]);
        if kind == Kind::Predictor && !self.trained.is_empty() {
            all.extend(["--models".to_owned(), agent::write(&self.trained)]);
        }
        let fetches = matches!(kind, Kind::Predictor | Kind::Explainer);
        let stores = self
            .stores
            .iter()
            .filter(|_| fetches)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let launch = Launch { args: all, env: stores.chain(env).collect() };
        let mut trial = launch.clone();
        if kind == Kind::Explainer {
            // Its address is not known before the router's sockets are bound.
            trial.args.extend(["--predictor_host".to_owned(), "127.0.0.1:1".to_owned()]);
        }
        if let Err(error) = kind.build()(&trial) {
            let text = error.to_string();
            self.error(at, kind.name(), text.trim_end());
            return None;
        }
        Some(ComponentPlan { kind, launch, note: String::new() })
    }

    fn locate(&mut self, uri: &str, at: Position, field: &str) -> Option<String> {
        let base: &Path = &self.source.base;
        match storage::resolve(uri, base) {
            Ok(place) => Some(place),
            Err(error) => {
                self.error(at, field, error.to_string());
                None
            }
        }
    }
}
