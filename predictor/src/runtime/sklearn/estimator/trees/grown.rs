//! A fitted tree as scikit-learn stores it: the `tree_` of its estimators.

use super::super::super::numpy::Array;
use super::super::super::refusal::Refusal;
use super::super::super::view::View;
use super::super::Missing;
use super::super::fitted::Fitted;
use super::walk::Table;

/// What a `tree_` holds.
pub(super) struct Grown {
    pub(super) features: usize,
    pub(super) table: Table,
    /// Of each node `outputs` times `width` numbers.
    pub(super) values: Vec<f64>,
    pub(super) outputs: usize,
    /// As many as the most classes an output has; 1 for regressions.
    pub(super) width: usize,
    /// How many samples each node was grown from.
    pub(super) samples: Vec<i64>,
}

impl Grown {
    /// Reads the `tree_` of a fitted estimator.
    pub(super) fn read(member: View<'_>) -> Result<Self, Refusal> {
        let tree = member
            .attribute("tree_")
            .ok_or_else(|| Refusal::malformed(format!("{} without a `tree_`", member.kind())))?;
        let part =
            |name: &str| tree.attribute(name).ok_or_else(|| Refusal::malformed(format!("no `{name}`")));
        let features = tree.object().and_then(|object| tree.at(object.args).item(0)?.int());
        let features = features
            .and_then(|it| usize::try_from(it).ok())
            .ok_or_else(|| Refusal::malformed("no features"))?;
        let nodes = Array::read(part("nodes")?)?;
        let (table, samples) = (table(&nodes)?, column(&nodes, "n_node_samples")?.ints()?);
        let values = Array::read(part("values")?)?;
        match *values.shape {
            [nodes, outputs, width] if nodes == table.left.len() && outputs > 0 && width > 0 => {
                Ok(Self { features, table, values: values.floats()?, outputs, width, samples })
            }
            _ => Err(Refusal::malformed(format!(
                "`values` of shape {:?} for {} nodes",
                values.shape,
                table.left.len()
            ))),
        }
    }

    /// Returns the numbers of a node.
    pub(super) fn value(&self, node: usize) -> &[f64] {
        let size = self.outputs * self.width;
        &self.values[node * size..][..size]
    }
}

fn column<'a>(nodes: &'a Array<'_>, name: &str) -> Result<Array<'a>, Refusal> {
    nodes.field(name).ok_or_else(|| Refusal::malformed(format!("its nodes have no `{name}`")))
}

/// Reads the columns that matter by their names: releases add fields, and padding behind them.
fn table(nodes: &Array<'_>) -> Result<Table, Refusal> {
    if nodes.shape.len() != 1 {
        return Err(Refusal::malformed(format!(
            "its nodes have shape {:?}, a list is expected",
            nodes.shape
        )));
    }
    Ok(Table {
        left: column(nodes, "left_child")?.ints()?,
        right: column(nodes, "right_child")?.ints()?,
        feature: column(nodes, "feature")?.ints()?,
        threshold: column(nodes, "threshold")?.floats()?,
        missing_left: nodes.field("missing_go_to_left").map_or(Ok(Vec::new()), |it| it.ints())?,
        sets: Vec::new(),
    })
}

/// Returns whether a tree of that criterion and splitter takes missing values: those with the best splits since 1.3, random
/// ones since 1.6, and not for every criterion or bound to be monotonic.
pub(super) fn missing(tree: &Fitted<'_>) -> Missing {
    let random = match tree.text("splitter") {
        Some(splitter) => splitter == "random",
        None => tree.class.contains(".ExtraTree"),
    };
    let extra = tree.class.rsplit('.').next().is_some_and(|it| it.starts_with("ExtraTree"));
    let always = !tree.older_than(1, 9);
    let criterion = matches!(
        tree.text("criterion"),
        None | Some("gini" | "entropy" | "log_loss" | "squared_error" | "friedman_mse" | "poisson")
    );
    let sound = always || (criterion && tree.optional("monotonic_cst").is_none());
    let grown = if random { !tree.older_than(1, 6) } else { !extra && !tree.older_than(1, 3) };
    if sound && grown { Missing::Allowed } else { Missing::Refused }
}

/// Names the tree that a complaint is about.
pub(super) fn of_tree(fitted: &Fitted<'_>, at: usize, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Malformed(reason) => fitted.malformed(format!("has a tree {}: {reason}", at + 1)),
        other @ Refusal::Unsupported { .. } => other,
    }
}

/// Returns the members of a list or of an array of objects, at least one.
pub(in super::super) fn members<'d>(fitted: &Fitted<'d>) -> Result<Vec<View<'d>>, Refusal> {
    let list = fitted.need("estimators_")?;
    let members: Vec<View<'d>> = match list.items() {
        Some(items) => items.collect(),
        None => {
            let array = fitted.array("estimators_")?;
            let members = array.members();
            members.ok_or_else(|| fitted.malformed("has `estimators_` that are no list"))?.collect()
        }
    };
    if members.is_empty() { Err(fitted.malformed("has no trees")) } else { Ok(members) }
}
