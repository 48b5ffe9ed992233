//! A graph made ready: its nodes as steps over numbered places, constants computed beforehand.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;

use weir_sdk::Tensor;

use super::super::super::Fault;
use super::super::constant::printable;
use super::super::proto::{Function, Graph, Node};
use super::attributes::{ADVICE, Setting};
use super::control;
use super::registry;
use super::value::{Args, Outcome, Run, Trouble};

/// The most nodes of a graph, and of those within it.
const MOST_NODES: usize = 1 << 17;
/// The bytes of constants that are computed beforehand.
const MOST_FOLDED: usize = 1 << 22;
/// The nodes within a node of constants that are computed beforehand.
const FOLD_FUEL: u64 = 1 << 12;

/// A graph that can be computed, any number of times at once.
pub(super) struct Program {
    steps: Vec<Step>,
    constants: Vec<(usize, Tensor)>,
    places: usize,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    limit: usize,
}

struct Step {
    run: Run,
    /// What is said of it in errors, such as `node `scaler` (Scaler)`.
    title: String,
    inputs: Vec<Option<usize>>,
    /// For each input whether nothing after this step needs it.
    last: Vec<bool>,
    outputs: Vec<Option<usize>>,
    /// A bit for each output of the program that needs it, as far as there are bits.
    needed: u64,
}

/// What all graphs of a model share while they are made ready.
pub(super) struct Workshop<'m> {
    /// The versions of the domains.
    pub(super) opsets: &'m [(String, i64)],
    /// The most elements that a tensor may have.
    pub(super) limit: usize,
    pub(super) nodes: usize,
    /// The operators that the file brings along.
    pub(super) functions: &'m [Function],
    /// How deep functions call one another.
    pub(super) depth: usize,
}

impl<'m> Workshop<'m> {
    /// The function that a node calls.
    pub(super) fn function(&self, node: &Node) -> Option<&'m Function> {
        self.functions.iter().find(|it| it.name == node.operator && it.domain == node.domain)
    }

    fn version(&self, domain: &str) -> i64 {
        self.opsets.iter().find(|(it, _)| it == domain).map_or(1, |(_, version)| *version)
    }
}

/// The places of a graph's values by their names, and the constants among them.
#[derive(Default)]
struct Names {
    places: HashMap<String, usize>,
    constants: HashMap<usize, Tensor>,
    count: usize,
    folded: usize,
}

impl Names {
    fn define(&mut self, name: String) -> Result<usize, Fault> {
        let place = self.count;
        self.count += 1;
        if self.places.contains_key(&name) {
            return Err(Fault::malformed(format!("`{}` is given twice", printable(&name))));
        }
        self.places.insert(name, place);
        Ok(place)
    }
}

impl Program {
    /// Makes a graph ready. What it takes from the graph around it is added to its inputs, and named in the order it is added.
    ///
    /// # Errors
    /// The operator or option that is not served, or what is wrong with the graph, with the node's name.
    pub(super) fn new(mut graph: Graph, workshop: &mut Workshop<'_>) -> Result<(Self, Vec<String>), Fault> {
        let mut names = Names::default();
        let mut inputs = Vec::new();
        let constant: Vec<String> = graph.initializers.iter().map(|it| it.name.clone()).collect();
        for mut it in std::mem::take(&mut graph.initializers) {
            let place = names.define(std::mem::take(&mut it.name))?;
            names.constants.insert(place, it);
        }
        // Old files list their constants among the inputs.
        let constant: std::collections::HashSet<_> = constant.iter().map(String::as_str).collect();
        for it in graph.inputs.iter().filter(|it| !constant.contains(it.name.as_str())) {
            inputs.push(names.define(it.name.clone())?);
        }
        let mut captured = Vec::new();
        let mut steps = Vec::with_capacity(graph.nodes.len().min(1024));
        for node in std::mem::take(&mut graph.nodes) {
            workshop.nodes += 1;
            if workshop.nodes > MOST_NODES {
                return Err(Fault::malformed(format!("it has more than {MOST_NODES} nodes")));
            }
            let title = title(&node);
            let step = Step::new(node, title.clone(), &mut names, &mut inputs, &mut captured, workshop);
            if let Some(step) = step.map_err(|fault| of_node(fault, &title))? {
                steps.push(step);
            }
        }
        let mut outputs = Vec::with_capacity(graph.outputs.len());
        for it in &graph.outputs {
            outputs.push(match names.places.get(&it.name) {
                Some(&place) => place,
                // A branch may hand out what is around it.
                None => capture(&it.name, &mut names, &mut inputs, &mut captured)?,
            });
        }
        let Names { mut constants, count, .. } = names;
        mark(&mut steps, &outputs, count);
        // What went into a step's own form is not kept twice.
        let mut used = vec![false; count];
        steps
            .iter()
            .flat_map(|it| it.inputs.iter().flatten())
            .chain(&outputs)
            .for_each(|&at| used[at] = true);
        constants.retain(|&place, _| used[place]);
        let program = Self {
            steps,
            constants: constants.into_iter().collect(),
            places: count,
            inputs,
            outputs,
            limit: workshop.limit,
        };
        Ok((program, captured))
    }

    /// How many inputs it has.
    pub(super) fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The most elements that a tensor may have.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many outputs it has.
    pub(super) fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Computes the outputs at these places.
    ///
    /// # Errors
    /// What a step refused, by the name of its node.
    pub(super) fn run(
        &self,
        inputs: Vec<Cow<'_, Tensor>>,
        wanted: &[usize],
        fuel: &Cell<u64>,
    ) -> Outcome<Vec<Tensor>> {
        let mut values: Vec<Option<Cow<'_, Tensor>>> = vec![None; self.places];
        for (place, value) in &self.constants {
            values[*place] = Some(Cow::Borrowed(value));
        }
        for (&place, value) in self.inputs.iter().zip(inputs) {
            values[place] = Some(value);
        }
        let needed = wanted.iter().fold(0, |mask, &at| mask | bit(at));
        for step in self.steps.iter().filter(|it| it.needed & needed != 0) {
            step.run(&mut values, self.limit, fuel)?;
        }
        let mut outputs = Vec::with_capacity(wanted.len());
        for (index, &at) in wanted.iter().enumerate() {
            let place = self.outputs[at];
            let again = wanted[index + 1..].iter().any(|&it| self.outputs[it] == place);
            let value = if again { values[place].clone() } else { values[place].take() };
            outputs.push(value.ok_or("an output was not computed")?.into_owned());
        }
        Ok(outputs)
    }
}

impl Step {
    /// Makes a node ready; a node of constants is computed at once and no step.
    fn new(
        mut node: Node,
        title: String,
        names: &mut Names,
        inputs: &mut Vec<usize>,
        captured: &mut Vec<String>,
        workshop: &mut Workshop<'_>,
    ) -> Result<Option<Self>, Fault> {
        let mut places = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            places.push(match names.places.get(name) {
                _ if name.is_empty() => None,
                Some(&place) => Some(place),
                None => Some(capture(name, names, inputs, captured)?),
            });
        }
        let version = workshop.version(&node.domain);
        let mut setting = Setting::new(&mut node, version);
        let built = match registry::find(&node.domain, &node.operator) {
            Some(entry) => {
                let run = (entry.build)(&mut setting)?;
                setting.finish()?;
                run
            }
            None => {
                let Some((run, takes)) = control::build(&node, &mut setting, workshop)? else {
                    return Err(Fault::Unsupported { what: "it".to_owned(), advice: ADVICE });
                };
                setting.finish()?;
                for name in takes {
                    let place = match names.places.get(&name) {
                        Some(&place) => place,
                        None => capture(&name, names, inputs, captured)?,
                    };
                    places.push(Some(place));
                }
                run
            }
        };
        let outputs = std::mem::take(&mut node.outputs);
        let fixed = places.iter().flatten().all(|it| names.constants.contains_key(it));
        if fixed && let Some(made) = fold(&built, &places, names, workshop.limit)? {
            for (name, value) in outputs.into_iter().zip(made) {
                if !name.is_empty() {
                    let place = names.define(name)?;
                    names.constants.insert(place, value);
                }
            }
            return Ok(None);
        }
        let outputs = outputs
            .into_iter()
            .map(|name| if name.is_empty() { Ok(None) } else { names.define(name).map(Some) });
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        let last = vec![false; places.len()];
        Ok(Some(Self { run: built, title, inputs: places, last, outputs, needed: 0 }))
    }

    fn run<'v>(&self, values: &mut [Option<Cow<'v, Tensor>>], limit: usize, fuel: &Cell<u64>) -> Outcome<()> {
        let left = fuel.get().checked_sub(1).ok_or("its loops go on for too long")?;
        fuel.set(left);
        // First what nobody else needs, then what is lent meanwhile.
        let mut args: Vec<Option<Cow<'_, Tensor>>> = Vec::with_capacity(self.inputs.len());
        let mut moved: Vec<Option<Cow<'v, Tensor>>> = Vec::with_capacity(self.inputs.len());
        for (&place, &last) in self.inputs.iter().zip(&self.last) {
            moved.push(place.filter(|_| last).and_then(|it| values[it].take()));
        }
        for (moved, place) in moved.into_iter().zip(&self.inputs) {
            args.push(match (moved, place) {
                (Some(value), _) => Some(value),
                (None, Some(place)) => values[*place].as_deref().map(Cow::Borrowed),
                (None, None) => None,
            });
        }
        let mut args = Args { values: args, limit, fuel };
        let outcome = (self.run)(&mut args);
        drop(args);
        let made = outcome.map_err(|trouble| match trouble {
            Trouble::Input(text) => Trouble::Input(format!("{}: {text}", self.title)),
            Trouble::Unserved(text) => Trouble::Unserved(format!("{} {text}", self.title)),
        })?;
        for (place, value) in self.outputs.iter().zip(made) {
            if let Some(place) = place {
                values[*place] = Some(Cow::Owned(value));
            }
        }
        Ok(())
    }
}

/// Adds what is not known to the inputs.
fn capture(
    name: &str,
    names: &mut Names,
    inputs: &mut Vec<usize>,
    captured: &mut Vec<String>,
) -> Result<usize, Fault> {
    let place = names.define(name.to_owned())?;
    inputs.push(place);
    captured.push(name.to_owned());
    Ok(place)
}

/// Computes a node of constants, unless a lot would come of it.
fn fold(
    run: &Run,
    places: &[Option<usize>],
    names: &mut Names,
    limit: usize,
) -> Result<Option<Vec<Tensor>>, Fault> {
    let values = places.iter().map(|it| it.and_then(|it| names.constants.get(&it)).map(Cow::Borrowed));
    let fuel = Cell::new(FOLD_FUEL);
    let mut args = Args { values: values.collect(), limit: limit.min(MOST_FOLDED), fuel: &fuel };
    let made = match run(&mut args) {
        Ok(made) => made,
        // It may be within a branch that is never taken.
        Err(_) => return Ok(None),
    };
    let bytes = |it: &Tensor| it.data.len() * it.datatype().size().unwrap_or(32);
    names.folded = names.folded.saturating_add(made.iter().map(bytes).sum());
    if names.folded > MOST_FOLDED * 4 {
        return Ok(None);
    }
    Ok(Some(made))
}

/// Marks which steps the outputs need, and after which step a value is no longer needed.
fn mark(steps: &mut [Step], outputs: &[usize], count: usize) {
    let mut wanted = vec![0_u64; count];
    for (at, &place) in outputs.iter().enumerate() {
        wanted[place] |= bit(at);
    }
    let mut seen = vec![false; count];
    outputs.iter().for_each(|&place| seen[place] = true);
    for step in steps.iter_mut().rev() {
        step.needed = step.outputs.iter().flatten().fold(0, |mask, &it| mask | wanted[it]);
        for at in 0..step.inputs.len() {
            let Some(place) = step.inputs[at] else { continue };
            wanted[place] |= step.needed;
            let once = step.inputs.iter().filter(|it| **it == Some(place)).count() == 1;
            step.last[at] = once && !seen[place];
        }
        step.inputs.iter().flatten().for_each(|&place| seen[place] = true);
    }
}

/// All outputs past the sixty-third share a bit.
fn bit(output: usize) -> u64 {
    1 << output.min(63)
}

fn title(node: &Node) -> String {
    let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
    format!("node `{}` ({}{})", printable(&node.name), printable(&domain), printable(&node.operator))
}

fn of_node(fault: Fault, title: &str) -> Fault {
    match fault {
        Fault::Malformed(reason) => Fault::Malformed(format!("{title}: {reason}")),
        Fault::Unsupported { what, advice } if what == "it" => {
            Fault::Unsupported { what: title.to_owned(), advice }
        }
        Fault::Unsupported { what, advice } => {
            Fault::Unsupported { what: format!("{what} of {title}"), advice }
        }
    }
}
