//! A model element, ready to score rows: its schema, transformations, targets and outputs around the algorithm itself.

use std::collections::HashMap;

use weir_sdk::proto::Error;

use super::expression;
use super::frame::Frame;
use super::output::Output;
use super::plan::{Loader, Scope, Source};
use super::target::Rescale;
use super::value::{Kind, Value};
use super::xml::Element;
use super::{Fault, bayes, clustering, general, mining, network, regression, scorecard, support, tree};

/// The deepest that models may lie in models.
const MAX_NESTING: usize = 12;
/// The most classes of a target.
const MAX_CLASSES: usize = 1 << 16;

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Regression,
    Classification,
    Clustering,
}

/// An algorithm that scores one row.
pub(super) trait Scorer: Send + Sync {
    /// Scores the row that the frame stands at.
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error>;

    /// About how many nanoseconds a row takes.
    fn row_ns(&self) -> f64;

    /// Whether a classifier tells a score for each class.
    fn has_scores(&self) -> bool {
        true
    }
}

/// What a model says of a row.
pub(super) struct Outcome<'m> {
    /// The number, class or cluster; missing where the model has no answer.
    pub(super) value: Value,
    pub(super) scores: Scores<'m>,
    /// The node, cluster or neuron that answered.
    pub(super) entity: Option<&'m str>,
    /// The reason codes of a scorecard, the foremost first.
    pub(super) reasons: Vec<&'m str>,
    /// The affinity of each cluster, with its name.
    pub(super) affinities: Vec<(&'m str, f64)>,
}

impl<'m> Outcome<'m> {
    pub(super) fn of(value: Value) -> Self {
        Self { value, scores: Scores::None, entity: None, reasons: Vec::new(), affinities: Vec::new() }
    }

    pub(super) fn number(number: f64) -> Self {
        Self::of(Value::Number(number))
    }

    /// The class of the highest score, the first of equals.
    pub(super) fn highest(scores: Vec<f64>, classes: &[Value]) -> Self {
        let mut best = 0;
        for (at, score) in scores.iter().enumerate() {
            if *score > scores[best] {
                best = at;
            }
        }
        let value = classes.get(best).copied().unwrap_or(Value::Missing);
        Self { scores: Scores::Dense(scores), ..Self::of(value) }
    }
}

/// The score of each class, in the order of the target's classes.
pub(super) enum Scores<'m> {
    None,
    Dense(Vec<f64>),
    /// The classes that have one, by their place.
    Sparse(&'m [(u32, f64)]),
}

impl Scores<'_> {
    /// The highest of them.
    pub(super) fn highest(&self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Dense(scores) => scores.iter().copied().reduce(f64::max),
            Self::Sparse(scores) => scores.iter().map(|it| it.1).reduce(f64::max),
        }
    }

    pub(super) fn of(&self, class: usize) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Dense(scores) => Some(scores.get(class).copied().unwrap_or(0.0)),
            Self::Sparse(scores) => {
                Some(scores.iter().find(|(at, _)| *at as usize == class).map_or(0.0, |it| it.1))
            }
        }
    }

    /// Adds them to others, each times a weight.
    pub(super) fn add_to(&self, sums: &mut [f64], weight: f64) {
        match self {
            Self::None => {}
            Self::Dense(scores) => sums.iter_mut().zip(scores).for_each(|(sum, it)| *sum += it * weight),
            Self::Sparse(scores) => {
                for &(at, score) in *scores {
                    if let Some(sum) = sums.get_mut(at as usize) {
                        *sum += score * weight;
                    }
                }
            }
        }
    }
}

/// The classes of one target, in order.
#[derive(Default)]
pub(super) struct Classes {
    pub(super) values: Vec<Value>,
    places: HashMap<(u8, u64), usize>,
}

impl Classes {
    /// The place of a class, at the end where it is new.
    pub(super) fn place(&mut self, value: Value, element: Element<'_>) -> Result<usize, Fault> {
        let next = self.values.len();
        let place = *self.places.entry(super::schema::key(value)).or_insert(next);
        if place == next {
            if next >= MAX_CLASSES {
                return Err(element.malformed(format!("names more than {MAX_CLASSES} classes")));
            }
            self.values.push(value);
        }
        Ok(place)
    }
}

/// What a model predicts.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) name: Option<String>,
    pub(super) kind: Kind,
    /// Which of the loader's lists of classes is its.
    pub(super) list: usize,
    pub(super) task: Task,
}

impl Target {
    /// Reads a class, and returns its place among them.
    pub(super) fn class(
        &self,
        text: &str,
        element: Element<'_>,
        loader: &mut Loader,
    ) -> Result<usize, Fault> {
        let value = loader.symbols.parse(text, self.kind, element)?;
        loader.classes[self.list].place(value, element)
    }

    /// Reads a prediction.
    pub(super) fn value(
        &self,
        text: &str,
        element: Element<'_>,
        loader: &mut Loader,
    ) -> Result<Value, Fault> {
        let kind = if self.task == Task::Regression { Kind::Double } else { self.kind };
        let value = loader.symbols.parse(text, kind, element)?;
        if self.task == Task::Classification {
            loader.classes[self.list].place(value, element)?;
        }
        Ok(value)
    }
}

/// An output that callers are told.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) slot: usize,
}

/// A model, ready to score.
pub(super) struct Compiled {
    pub(super) target: Target,
    /// Its own outputs that callers are told, and those of the models in it.
    pub(super) shown: Vec<Shown>,
    outputs: Vec<Output>,
    scorer: Box<dyn Scorer>,
    rescale: Option<Rescale>,
    target_slot: usize,
}

/// What the algorithm of a model is read with.
pub(super) struct Context<'c, 'p> {
    pub(super) scope: &'c Scope<'p>,
    pub(super) target: &'c Target,
    /// How it rounds: `double`, or `float` where the file says so.
    pub(super) math: Kind,
}

/// The names of the elements that are models.
const MODELS: [&str; 20] = [
    "TreeModel",
    "MiningModel",
    "RegressionModel",
    "GeneralRegressionModel",
    "Scorecard",
    "NeuralNetwork",
    "NaiveBayesModel",
    "ClusteringModel",
    "SupportVectorMachineModel",
    "AnomalyDetectionModel",
    "AssociationModel",
    "BaselineModel",
    "BayesianNetworkModel",
    "GaussianProcessModel",
    "NearestNeighborModel",
    "RuleSetModel",
    "SequenceModel",
    "TextModel",
    "TimeSeriesModel",
    "Regression",
];

/// The model in an element.
pub(super) fn within(element: Element<'_>) -> Result<Element<'_>, Fault> {
    let model = element.children().find(|it| MODELS.contains(&it.name()));
    model.ok_or_else(|| element.malformed("holds no model"))
}

impl Compiled {
    /// Reads a model. `outside` is what lies around it: nothing but what the data dictionary says for the first.
    pub(super) fn read(
        element: Element<'_>,
        outside: &Scope<'_>,
        around: Option<&Target>,
        loader: &mut Loader,
        dictionary: Option<Element<'_>>,
    ) -> Result<Self, Fault> {
        if loader.nesting >= MAX_NESTING {
            return Err(element.malformed(format!("lies in more than {MAX_NESTING} models")));
        }
        if element.get("isScorable") == Some("false") {
            return Err(element.unsupported("`isScorable` `false`"));
        }
        loader.nesting += 1;
        let task = element.word(
            "functionName",
            &[
                ("regression", Task::Regression),
                ("classification", Task::Classification),
                ("clustering", Task::Clustering),
            ],
        )?;
        let task = task.ok_or_else(|| element.malformed("has no `functionName`"))?;
        let schema = element.needed("MiningSchema")?;
        let target = target(schema, task, around, loader)?;
        let mut scope = Scope::new(Some(outside));
        mining_schema(schema, &mut scope, around.is_some(), loader)?;
        if loader.columns.is_empty() {
            return Err(schema.malformed("has no active field"));
        }
        if let Some(dictionary) = dictionary {
            derived_fields(dictionary, &mut scope, loader)?;
        }
        if let Some(local) = element.child("LocalTransformations") {
            derived_fields(local, &mut scope, loader)?;
        }
        let math = match element.get("x-mathContext") {
            Some("float") => Kind::Float,
            _ => Kind::Double,
        };
        let context = Context { scope: &scope, target: &target, math };
        let (scorer, inner): (Box<dyn Scorer>, _) = match element.name() {
            "TreeModel" => (tree::read(element, &context, loader)?, Vec::new()),
            "RegressionModel" => (regression::read(element, &context, loader)?, Vec::new()),
            "GeneralRegressionModel" => (general::read(element, &context, loader)?, Vec::new()),
            "MiningModel" => mining::read(element, &context, loader)?,
            "Scorecard" => (scorecard::read(element, &context, loader)?, Vec::new()),
            "NeuralNetwork" => (network::read(element, &context, loader)?, Vec::new()),
            "NaiveBayesModel" => (bayes::read(element, &context, loader)?, Vec::new()),
            "ClusteringModel" => (clustering::read(element, &context, loader)?, Vec::new()),
            "SupportVectorMachineModel" => (support::read(element, &context, loader)?, Vec::new()),
            _ => return Err(element.unknown()),
        };
        for it in &inner {
            scope.name(&it.name, it.slot);
        }
        let rescale =
            element.child("Targets").map(|it| Rescale::read(it, &target, loader)).transpose()?.flatten();
        let rescale = rescale.map(|it| it.rounding(math));
        let target_slot =
            loader.slot(target.name.as_deref().unwrap_or("predict"), target.kind, Source::Given)?;
        if let Some(name) = &target.name {
            scope.name(name, target_slot);
        }
        let mut outputs = Vec::new();
        for field in element.child("Output").into_iter().flat_map(|it| it.named("OutputField")) {
            let output = Output::read(field, &scope, &target, loader)?;
            scope.name(&output.name, output.slot);
            outputs.push(output);
        }
        // Of a model within a model, what is no final result is for those that follow.
        let own = outputs.iter().filter(|it| it.is_final || around.is_none());
        let own = own.map(|it| Shown { name: it.name.clone(), kind: it.kind, slot: it.slot });
        let shown = own.chain(inner).collect();
        loader.nesting -= 1;
        Ok(Self { shown, target, outputs, scorer, rescale, target_slot })
    }

    /// The slots that models after this one can name.
    pub(super) fn exports(&self) -> impl Iterator<Item = (&str, usize)> {
        let target = self.target.name.as_deref().map(|name| (name, self.target_slot));
        self.outputs.iter().map(|it| (&*it.name, it.slot)).chain(target)
    }

    /// Scores the row that the frame stands at, and sets the outputs.
    pub(super) fn evaluate<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let mut outcome = self.scorer.score(frame)?;
        if let Some(rescale) = &self.rescale {
            outcome.value = rescale.apply(outcome.value);
        }
        frame.give(self.target_slot, outcome.value);
        for output in &self.outputs {
            let value = output.value(&outcome, frame)?;
            frame.give(output.slot, value);
        }
        Ok(outcome)
    }

    /// Whether it tells a score for each class.
    pub(super) fn has_scores(&self) -> bool {
        self.target.task == Task::Classification && self.scorer.has_scores()
    }

    /// Whether its numbers are made integers.
    pub(super) fn is_rounded(&self) -> bool {
        self.rescale.as_ref().is_some_and(Rescale::is_rounded)
    }

    pub(super) fn row_ns(&self) -> f64 {
        self.scorer.row_ns() + 20.0 * self.outputs.len() as f64
    }
}

fn target(
    schema: Element<'_>,
    task: Task,
    around: Option<&Target>,
    loader: &mut Loader,
) -> Result<Target, Fault> {
    let is_target = |it: &Element<'_>| matches!(it.get("usageType"), Some("target" | "predicted"));
    let mut named = schema.named("MiningField").filter(is_target);
    let name = named.next().map(|it| it.require("name")).transpose()?;
    if let Some(second) = named.next() {
        return Err(second.unsupported("a second target"));
    }
    if let Some(around) = around
        && (name.is_none() || name == around.name.as_deref())
    {
        let kind =
            if task == Task::Regression && !around.kind.is_number() { Kind::Double } else { around.kind };
        let kind = if task == around.task || task == Task::Classification { around.kind } else { kind };
        return Ok(Target { kind, task, ..around.clone() });
    }
    let field = name.and_then(|it| loader.data.get(it));
    let kind = field.map(|it| it.kind);
    let kind = match task {
        Task::Regression => kind.filter(|it| it.is_number()).unwrap_or(Kind::Double),
        Task::Classification => kind.unwrap_or(Kind::Text),
        Task::Clustering => Kind::Text,
    };
    let mut classes = Classes::default();
    if let (Task::Classification, Some(field)) = (task, field) {
        for &value in &field.values {
            classes.place(value, schema)?;
        }
        let bytes = field.values.len() * 3 * size_of::<Value>();
        loader.charge(bytes)?;
    }
    loader.classes.push(classes);
    Ok(Target { name: name.map(str::to_owned), kind, list: loader.classes.len() - 1, task })
}

fn mining_schema(
    schema: Element<'_>,
    scope: &mut Scope<'_>,
    within: bool,
    loader: &mut Loader,
) -> Result<(), Fault> {
    for element in schema.children() {
        if element.name() != "MiningField" {
            return Err(element.unknown());
        }
        if !matches!(element.get("usageType"), None | Some("active")) {
            continue;
        }
        let name = element.require("name")?;
        if within {
            // One that is not known matters only to whoever looks at it.
            let Some(from) = scope.find(name) else { continue };
            let kind = loader.kind(from);
            let rules = loader.rules(element, None, kind, true)?;
            if let Some(rules) = rules {
                let slot = loader.slot(name, kind, Source::Treated { from, rules })?;
                scope.name(name, slot);
            }
        } else {
            let field = loader.data.get(name).cloned();
            let field =
                field.ok_or_else(|| element.malformed(format!("names `{name}`, which is no <DataField>")))?;
            let rules = loader.rules(element, Some(&field), field.kind, false)?;
            let column = loader.columns.len();
            let slot = loader.slot(name, field.kind, Source::Column { column, rules })?;
            if scope.find(name).is_some_and(|it| matches!(loader.slots[it].source, Source::Column { .. })) {
                return Err(element.malformed(format!("names `{name}` a second time")));
            }
            loader.columns.push(slot);
            scope.name(name, slot);
        }
    }
    Ok(())
}

/// Reads derived fields, which may be of one another in any order.
fn derived_fields(block: Element<'_>, scope: &mut Scope<'_>, loader: &mut Loader) -> Result<(), Fault> {
    let mut fields = Vec::new();
    for element in block.children() {
        match element.name() {
            "DerivedField" => {}
            // Read where it is called.
            "DefineFunction" => continue,
            _ => return Err(element.unknown()),
        }
        let kind = Kind::of(element)?.ok_or_else(|| element.malformed("has no `dataType`"))?;
        let name = element.require("name")?;
        let slot = loader.slot(name, kind, Source::Given)?;
        fields.push((element, name, slot, kind));
    }
    // A field may have the name of the one that it is derived of.
    let mut seen = HashMap::new();
    for (_, name, slot, _) in &fields {
        if scope.find(name).is_none() || seen.contains_key(name) {
            scope.name(name, *slot);
            seen.insert(*name, ());
        }
    }
    for (element, name, slot, kind) in fields {
        let expression = expression::within(element, scope, loader, Some(kind))?;
        let expression = expression.ok_or_else(|| element.malformed("has no expression that is known"))?;
        loader.slots[slot].source = Source::Derived(expression);
        scope.name(name, slot);
    }
    Ok(())
}
