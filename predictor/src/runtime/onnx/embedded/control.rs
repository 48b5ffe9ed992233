//! Operators whose attributes are graphs: `If`, `Loop` and `Scan`.

use std::borrow::Cow;

use weir_sdk::{Data, Tensor};

use super::super::super::Fault;
use super::super::proto::{Function, Node, graph_of};
use super::attributes::{Setting, unsupported};
use super::plain::shape::{cut, joined};
use super::program::{Program, Workshop};
use super::value::{Args, Outcome, Run, as_integers, tensor};

/// The most rounds of a loop.
const MOST_ROUNDS: usize = 1 << 20;

/// What computes a node of graphs, and what it takes from around it, which is put behind its own inputs.
type Built = (Run, Vec<String>);

/// The names of the operators here.
pub(super) const OPERATORS: [&str; 3] = ["If", "Loop", "Scan"];

/// Builds a node of graphs; `None` where it is none.
pub(super) fn build(
    node: &Node,
    setting: &mut Setting,
    workshop: &mut Workshop<'_>,
) -> Result<Option<Built>, Fault> {
    if let Some(function) = workshop.function(node) {
        return called(node, function, setting, workshop).map(Some);
    }
    if !node.domain.is_empty() {
        return Ok(None);
    }
    match node.operator.as_str() {
        "If" => branch(node, setting, workshop).map(Some),
        "Loop" => looped(node, setting, workshop).map(Some),
        "Scan" => scan(node, setting, workshop).map(Some),
        _ => Ok(None),
    }
}

/// How deep functions may call one another.
const DEEPEST: usize = 16;

/// A function of the file's own: its graph in place of the node.
fn called(
    node: &Node,
    function: &Function,
    setting: &mut Setting,
    workshop: &mut Workshop<'_>,
) -> Result<Built, Fault> {
    if workshop.depth >= DEEPEST {
        return Err(Fault::malformed(format!("functions call one another more than {DEEPEST} deep")));
    }
    let (mut graph, opsets) = graph_of(function, &setting.rest())?;
    // Inputs that the call leaves out at the end are left out within.
    graph.inputs.truncate(node.inputs.len());
    let given = graph.inputs.len();
    let mut inner = Workshop { opsets: &opsets, depth: workshop.depth + 1, ..*workshop };
    let (program, captured) = Program::new(graph, &mut inner)?;
    workshop.nodes = inner.nodes;
    if !captured.is_empty() || given != node.inputs.len() || node.outputs.len() > program.outputs() {
        return Err(Fault::malformed("it is called with other inputs or outputs than it has"));
    }
    let outputs: Vec<usize> = (0..node.outputs.len()).collect();
    let run: Run = Box::new(move |args| {
        let inputs = (0..given).map(|at| args.get(at).map(Cow::Borrowed)).collect::<Outcome<Vec<_>>>()?;
        program.run(inputs, &outputs, args.fuel)
    });
    Ok((run, Vec::new()))
}

fn branch(node: &Node, setting: &mut Setting, workshop: &mut Workshop<'_>) -> Result<Built, Fault> {
    let outputs: Vec<usize> = (0..node.outputs.len()).collect();
    let (yes, yes_takes) = Program::new(setting.graph("then_branch")?, workshop)?;
    let (no, no_takes) = Program::new(setting.graph("else_branch")?, workshop)?;
    if yes.outputs() != outputs.len() || no.outputs() != outputs.len() {
        return Err(Fault::malformed("its branches differ in their outputs"));
    }
    let first = node.inputs.len();
    let (yes_count, no_count) = (yes_takes.len(), no_takes.len());
    let run: Run = Box::new(move |args| {
        let chosen = truth(args.get(0)?)?;
        let (program, range) = if chosen {
            (&yes, first..first + yes_count)
        } else {
            (&no, first + yes_count..first + yes_count + no_count)
        };
        let inputs = range.map(|at| args.get(at).map(Cow::Borrowed)).collect::<Outcome<Vec<_>>>()?;
        program.run(inputs, &outputs, args.fuel)
    });
    Ok((run, yes_takes.into_iter().chain(no_takes).collect()))
}

fn truth(it: &Tensor) -> Outcome<bool> {
    match &it.data {
        Data::Bool(values) => Ok(values.first().is_some_and(|&it| it != 0)),
        _ => Err("it takes a truth".into()),
    }
}

/// Runs the body as often as told, or as long as it says. What is handed on comes first in its outputs, then what is collected.
fn looped(node: &Node, setting: &mut Setting, workshop: &mut Workshop<'_>) -> Result<Built, Fault> {
    let (body, takes) = Program::new(setting.graph("body")?, workshop)?;
    let carried =
        node.inputs.len().checked_sub(2).ok_or_else(|| Fault::malformed("it has too few inputs"))?;
    let fits = body.inputs() == 2 + carried + takes.len() && body.outputs() > carried;
    if !fits {
        return Err(Fault::malformed("its body has other inputs and outputs than it"));
    }
    let collected = body.outputs() - 1 - carried;
    let all: Vec<usize> = (0..body.outputs()).collect();
    let (first, count) = (node.inputs.len(), takes.len());
    let run: Run = Box::new(move |args| {
        let rounds = match args.optional(0) {
            Some(it) => usize::try_from(as_integers(it)?.first().copied().unwrap_or(0)).unwrap_or(0),
            None => usize::MAX,
        };
        let mut goes_on = args.optional(1).map_or(Ok(true), truth)?;
        let mut state = (2..2 + carried).map(|at| args.take(at)).collect::<Outcome<Vec<_>>>()?;
        let mut parts: Vec<Vec<Tensor>> = vec![Vec::new(); collected];
        let mut round = 0;
        while goes_on && round < rounds {
            if round >= MOST_ROUNDS {
                return Err(format!("it goes on for more than {MOST_ROUNDS} rounds").into());
            }
            let mut inputs = vec![
                Cow::Owned(tensor([], Data::Int64(vec![round as i64].into()))),
                Cow::Owned(tensor([], Data::Bool(vec![1].into()))),
            ];
            inputs.extend(state.drain(..).map(Cow::Owned));
            for at in first..first + count {
                inputs.push(Cow::Borrowed(args.get(at)?));
            }
            let mut made = body.run(inputs, &all, args.fuel)?.into_iter();
            goes_on = truth(&made.next().ok_or("its body says nothing")?)?;
            state.extend(made.by_ref().take(carried));
            collect(&mut parts, made, args.limit)?;
            round += 1;
        }
        state.extend(stacked(parts, args.limit)?);
        Ok(state)
    });
    Ok((run, takes))
}

/// Keeps what a round made, within the limit.
fn collect(parts: &mut [Vec<Tensor>], made: impl Iterator<Item = Tensor>, limit: usize) -> Outcome<()> {
    for (part, made) in parts.iter_mut().zip(made) {
        let each = made.data.len().max(1);
        if each.saturating_mul(part.len() + 1) > limit {
            return Err(format!("more than {limit} elements would come of it").into());
        }
        part.push(made);
    }
    Ok(())
}

/// Puts what rounds made one above another.
fn stacked(parts: Vec<Vec<Tensor>>, limit: usize) -> Outcome<Vec<Tensor>> {
    let stack = |part: Vec<Tensor>| -> Outcome<Tensor> {
        if part.is_empty() {
            return Err("it makes nothing of no rounds".into());
        }
        let raised = part.into_iter().map(|mut it| {
            it.shape.insert(0, 1);
            it
        });
        let raised: Vec<Tensor> = raised.collect();
        joined(&raised.iter().collect::<Vec<_>>(), 0, limit)
    };
    parts.into_iter().map(stack).collect()
}

/// Runs the body over the slices of some inputs. As distances are computed, a row at a time.
fn scan(node: &Node, setting: &mut Setting, workshop: &mut Workshop<'_>) -> Result<Built, Fault> {
    if setting.version < 9 {
        return Err(unsupported("the version of before 9"));
    }
    let scanned = usize::try_from(setting.int("num_scan_inputs")?.unwrap_or(0)).unwrap_or(0);
    let carried = node.inputs.len().checked_sub(scanned).filter(|_| scanned > 0);
    let carried = carried.ok_or_else(|| Fault::malformed("it scans more inputs than it has"))?;
    let (body, takes) = Program::new(setting.graph("body")?, workshop)?;
    if body.inputs() != node.inputs.len() + takes.len() || body.outputs() < carried {
        return Err(Fault::malformed("its body has other inputs and outputs than it"));
    }
    let collected = body.outputs() - carried;
    for name in ["scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions"] {
        if setting.ints(name)?.iter().any(|&it| it != 0) {
            return Err(unsupported(format!("its attribute `{name}`")));
        }
    }
    let all: Vec<usize> = (0..body.outputs()).collect();
    let (first, count) = (node.inputs.len(), takes.len());
    let run: Run = Box::new(move |args: &mut Args<'_>| {
        let mut state = (0..carried).map(|at| args.take(at)).collect::<Outcome<Vec<_>>>()?;
        let rounds = args.get(carried)?.shape.first().copied().ok_or("it scans no scalar")?;
        let mut parts: Vec<Vec<Tensor>> = vec![Vec::new(); collected];
        for round in 0..rounds {
            let mut inputs: Vec<Cow<'_, Tensor>> = state.drain(..).map(Cow::Owned).collect();
            for at in carried..first {
                let it = args.get(at)?;
                if it.shape.first() != Some(&rounds) {
                    return Err("what it scans differs in length".into());
                }
                let mut row = cut(it, 0, round, 1);
                row.shape.remove(0);
                inputs.push(Cow::Owned(row));
            }
            for at in first..first + count {
                inputs.push(Cow::Borrowed(args.get(at)?));
            }
            let mut made = body.run(inputs, &all, args.fuel)?.into_iter();
            state.extend(made.by_ref().take(carried));
            collect(&mut parts, made, args.limit)?;
        }
        state.extend(stacked(parts, args.limit)?);
        Ok(state)
    });
    Ok((run, takes))
}
