//! The fitted points and the search for those near a row, in the order in which scikit-learn searches: where distances tie,
//! the order decides who is among the nearest.

use super::super::super::numpy::Array;
use super::super::super::refusal::Refusal;
use super::super::super::view::View;
use super::super::fitted::Fitted;
use super::metric::Metric;

/// How many points are worked on side by side.
pub(super) const LANES: usize = 8;

/// The points, as scikit-learn saved them: in one list, or in the leaves of a tree.
pub(super) struct Points {
    pub(super) features: usize,
    pub(super) metric: Metric,
    /// Blocks of [`LANES`] points of one leaf: the first column of all, the second column of all, and so on.
    blocks: Blocks,
    /// Whose each point of each block is; what a block is filled up with is nobody's.
    owners: Vec<u32>,
    nodes: Vec<Node>,
    shape: Shape,
    /// How many points there are.
    count: usize,
}

/// Numbers as wide as they need be.
enum Blocks {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

#[derive(Debug, Clone, Copy)]
enum Node {
    /// Its two children are `2 i + 1` and `2 i + 2`.
    Inner,
    /// The first block, and how many points there are from there on.
    Leaf { block: usize, count: usize },
    /// Never met on the way from the root.
    Unused,
}

/// What bounds the points of a node.
enum Shape {
    /// One leaf.
    List,
    /// The least and the greatest of each column, node after node.
    Boxes { least: Vec<f64>, greatest: Vec<f64> },
    /// The centre of each node, and how far its points are from it at most.
    Balls { centres: Vec<f64>, radii: Vec<f64> },
}

/// The nearest points so far, the farthest of them first: a heap, as scikit-learn keeps it.
pub(super) struct Nearest {
    distances: Vec<f64>,
    owners: Vec<u32>,
}

impl Nearest {
    pub(super) fn new(count: usize) -> Self {
        Self { distances: vec![f64::INFINITY; count], owners: vec![0; count] }
    }

    fn clear(&mut self) {
        self.distances.fill(f64::INFINITY);
        self.owners.fill(0);
    }

    /// Takes the place of the farthest, when it is nearer.
    fn push(&mut self, distance: f64, owner: u32) {
        if distance >= self.distances[0] {
            return;
        }
        let count = self.distances.len();
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= count {
                break;
            }
            let child =
                if right < count && self.distances[left] < self.distances[right] { right } else { left };
            if self.distances[child] <= distance {
                break;
            }
            self.distances[at] = self.distances[child];
            self.owners[at] = self.owners[child];
            at = child;
        }
        self.distances[at] = distance;
        self.owners[at] = owner;
    }
}

impl Points {
    /// Reads the points and how they are to be searched.
    pub(super) fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        Metric::check_parameters(fitted)?;
        match fitted.text("_fit_method") {
            Some("brute") => Self::list(fitted),
            Some("kd_tree" | "ball_tree") => Self::tree(fitted),
            _ => Err(fitted.malformed("has a `_fit_method` that is none of brute, kd_tree and ball_tree")),
        }
    }

    fn list(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let metric = Metric::read(fitted)?;
        let view = fitted.need("_fit_X")?;
        if view.class().is_some_and(|it| it.starts_with("scipy.sparse")) {
            return Err(fitted.unsupported("fitted on sparse rows", "fit it on dense ones"));
        }
        let about = |refusal| fitted.about("_fit_X", refusal);
        let array = fitted.array("_fit_X")?;
        let Ok([rows, features]) = <[usize; 2]>::try_from(array.shape.as_slice()) else {
            let shape = &array.shape;
            return Err(
                fitted.malformed(format!("has a `_fit_X` of shape {shape:?}, two dimensions are expected"))
            );
        };
        check_sizes(fitted, rows, features)?;
        let mut owners: Vec<u32> = (0..rows as u32).collect();
        owners.resize(rows.next_multiple_of(LANES), u32::MAX);
        let place = |at: usize| {
            let (row, column) = (at / features, at % features);
            (row - row % LANES) * features + column * LANES + row % LANES
        };
        let blocks = if array.is_narrow() {
            view.charge(owners.len() * features * size_of::<f32>())?;
            let mut blocks = vec![0.0; owners.len() * features];
            // Exact, as the array is narrow.
            array.each_number(|at, value| blocks[place(at)] = value as f32).map_err(about)?;
            Blocks::Single(blocks)
        } else {
            view.charge(owners.len() * features * size_of::<f64>())?;
            let mut blocks = vec![0.0; owners.len() * features];
            array.each_number(|at, value| blocks[place(at)] = value).map_err(about)?;
            Blocks::Double(blocks)
        };
        let nodes = vec![Node::Leaf { block: 0, count: rows }];
        Ok(Self { features, metric, blocks, owners, nodes, shape: Shape::List, count: rows })
    }

    fn tree(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let wrong = || fitted.malformed("has a `_tree` that scikit-learn would refuse");
        let view = fitted.need("_tree")?;
        let object = view.object().ok_or_else(wrong)?;
        let (_, kind) = view.at(object.args).item(0).and_then(View::global).ok_or_else(wrong)?;
        let state = view.at(object.state.ok_or_else(wrong)?);
        let part = |at: usize| state.item(at).ok_or_else(wrong);
        let (values, [rows, features]) = fitted.matrix_of("_tree", part(0)?)?;
        check_sizes(fitted, rows, features)?;
        let order = Array::read(part(1)?)?.ints()?;
        let order: Option<Vec<u32>> =
            order.into_iter().map(|it| u32::try_from(it).ok().filter(|&it| (it as usize) < rows)).collect();
        let order = order.filter(|it| it.len() == rows).ok_or_else(wrong)?;
        let data = Array::read(part(2)?)?;
        let field = |name: &str| data.field(name).ok_or_else(wrong);
        let (starts, ends) = (field("idx_start")?.ints()?, field("idx_end")?.ints()?);
        let (leaves, radii) = (field("is_leaf")?.ints()?, field("radius")?.floats()?);
        let bounds = Array::read(part(3)?)?;
        let sides = match kind {
            "KDTree" => 2,
            "BallTree" => 1,
            other => {
                return Err(
                    fitted.unsupported(format!("with a tree of class {other:.40}"), "use KDTree or BallTree")
                );
            }
        };
        let count = starts.len();
        if count == 0 || bounds.shape != [sides, count, features] {
            return Err(wrong());
        }
        let mut least = bounds.floats()?;
        let shape = if sides == 2 {
            let greatest = least.split_off(count * features);
            Shape::Boxes { least, greatest }
        } else {
            Shape::Balls { centres: least, radii }
        };
        let metric = Metric::of_tree(fitted, part(11)?)?;
        let mut points = Self {
            features,
            metric,
            blocks: Blocks::Double(Vec::new()),
            owners: Vec::new(),
            nodes: vec![Node::Unused; count],
            shape,
            count: rows,
        };
        let size = |at: usize| {
            let (start, end) = (*starts.get(at)?, *ends.get(at)?);
            (*leaves.get(at)? != 0 && start <= end).then_some(start.abs_diff(end) as usize)
        };
        let sizes = (0..count).filter_map(size);
        // Ranges that make no tree are refused below, and get no room.
        if sizes.clone().try_fold(0_usize, usize::checked_add).is_some_and(|it| it <= rows) {
            points.reserve(sizes);
        }
        points.grow(&values, &order, &starts, &ends, &leaves).ok_or_else(wrong)?;
        Ok(points)
    }

    /// Follows the tree from its root: each child has its part of the points of its parent, none twice.
    fn grow(
        &mut self,
        values: &[f64],
        order: &[u32],
        starts: &[i64],
        ends: &[i64],
        leaves: &[i64],
    ) -> Option<()> {
        let range = |at: usize| {
            let (start, end) =
                (usize::try_from(*starts.get(at)?).ok()?, usize::try_from(*ends.get(at)?).ok()?);
            (start <= end && end <= order.len()).then_some(start..end)
        };
        if range(0)? != (0..order.len()) {
            return None;
        }
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            let own = range(at)?;
            if leaves[at] != 0 {
                self.nodes[at] = self.add_leaf(values, &order[own]);
                continue;
            }
            let (left, right) = (range(2 * at + 1)?, range(2 * at + 2)?);
            if left.start != own.start || left.end != right.start || right.end != own.end {
                return None;
            }
            self.nodes[at] = Node::Inner;
            open.extend([2 * at + 2, 2 * at + 1]);
        }
        Some(())
    }

    /// Makes room for leaves of so many points each, no more and no less.
    fn reserve(&mut self, leaves: impl Iterator<Item = usize>) {
        let owners = leaves.map(|it| it.next_multiple_of(LANES)).sum();
        self.owners.reserve_exact(owners);
        if let Blocks::Double(blocks) = &mut self.blocks {
            blocks.reserve_exact(owners * self.features);
        }
    }

    fn add_leaf(&mut self, values: &[f64], order: &[u32]) -> Node {
        let block = self.owners.len() / LANES;
        for group in order.chunks(LANES) {
            // Points of a tree are always wide.
            let Blocks::Double(blocks) = &mut self.blocks else { break };
            let from = blocks.len();
            blocks.resize(from + LANES * self.features, 0.0);
            for (lane, owner) in group.iter().enumerate() {
                let point = &values[*owner as usize * self.features..][..self.features];
                for (column, value) in point.iter().enumerate() {
                    blocks[from + column * LANES + lane] = *value;
                }
            }
            self.owners.extend_from_slice(group);
            self.owners.resize(self.owners.len().next_multiple_of(LANES), u32::MAX);
        }
        Node::Leaf { block, count: order.len() }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Fills the distances and owners of the nearest points, ascending.
    pub(super) fn nearest(&self, row: &[f64], heap: &mut Nearest, found: &mut Vec<(f64, u32)>) {
        heap.clear();
        self.search(0, self.least(0, row), row, heap);
        found.clear();
        found.extend(heap.distances.iter().copied().zip(heap.owners.iter().copied()));
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.iter_mut().for_each(|(distance, _)| *distance = self.metric.distance(*distance));
    }

    fn search(&self, at: usize, least: f64, row: &[f64], heap: &mut Nearest) {
        let farthest = heap.distances[0];
        let least = if close(least, farthest) { self.least(at, row) } else { least };
        if least > farthest {
            return;
        }
        match self.nodes[at] {
            Node::Unused => {}
            Node::Leaf { block, count } => {
                self.each(block, count, row, |distance, owner| heap.push(distance, owner));
            }
            Node::Inner => {
                let (left, right) = (2 * at + 1, 2 * at + 2);
                let (mut near, mut far) = (self.about(left, row), self.about(right, row));
                if close(near, far) {
                    (near, far) = (self.least(left, row), self.least(right, row));
                }
                if near <= far {
                    self.search(left, near, row, heap);
                    self.search(right, far, row, heap);
                } else {
                    self.search(right, far, row, heap);
                    self.search(left, near, row, heap);
                }
            }
        }
    }

    /// Fills the distances and owners of the points that are not farther than the radius, in the order of the search.
    pub(super) fn within(&self, row: &[f64], radius: f64, found: &mut Vec<(f64, u32)>) {
        found.clear();
        self.gather(0, row, radius, self.metric.reduce(radius), false, found);
    }

    fn gather(
        &self,
        at: usize,
        row: &[f64],
        radius: f64,
        reduced: f64,
        whole: bool,
        found: &mut Vec<(f64, u32)>,
    ) {
        let (least, greatest) = if whole { (0.0, 0.0) } else { self.range(at, row) };
        if least > radius {
            return;
        }
        let whole = whole || greatest <= radius;
        match self.nodes[at] {
            Node::Unused => {}
            Node::Leaf { block, count } => self.each(block, count, row, |distance, owner| {
                if whole || distance <= reduced {
                    found.push((self.metric.distance(distance), owner));
                }
            }),
            Node::Inner => {
                self.gather(2 * at + 1, row, radius, reduced, whole, found);
                self.gather(2 * at + 2, row, radius, reduced, whole, found);
            }
        }
    }

    /// Calls with the reduced distance and the owner of each point of a leaf.
    fn each(&self, block: usize, count: usize, row: &[f64], call: impl FnMut(f64, u32)) {
        match &self.blocks {
            Blocks::Single(blocks) => self.each_of(blocks, block, count, row, call),
            Blocks::Double(blocks) => self.each_of(blocks, block, count, row, call),
        }
    }

    fn each_of<T: Copy + Into<f64>>(
        &self,
        blocks: &[T],
        block: usize,
        count: usize,
        row: &[f64],
        mut call: impl FnMut(f64, u32),
    ) {
        let width = LANES * self.features;
        let blocks = blocks[block * width..].chunks_exact(width);
        let owners = self.owners[block * LANES..].chunks_exact(LANES);
        for (at, (block, owners)) in blocks.zip(owners).take(count.div_ceil(LANES)).enumerate() {
            let distances = self.metric.reduced(row, block);
            let lanes = distances.iter().zip(owners).take(count - at * LANES);
            lanes.for_each(|(&distance, &owner)| call(distance, owner));
        }
    }

    /// Returns the reduced distance that no point of the node is nearer than.
    fn least(&self, at: usize, row: &[f64]) -> f64 {
        match &self.shape {
            Shape::List => 0.0,
            Shape::Boxes { .. } => {
                self.sides(at, row, |below, above| 0.5 * ((below + below.abs()) + (above + above.abs())))
            }
            Shape::Balls { .. } => self.metric.reduce(self.range(at, row).0),
        }
    }

    /// The same, not rounded as scikit-learn does: its squares are powers, which may be off in the last place.
    fn about(&self, at: usize, row: &[f64]) -> f64 {
        let Shape::Boxes { least, greatest } = &self.shape else { return self.least(at, row) };
        if self.metric != Metric::Euclidean {
            return self.least(at, row);
        }
        let bounds = least[at * self.features..].iter().zip(&greatest[at * self.features..]);
        row.iter().zip(bounds).fold(0.0, |sum, (x, (least, greatest))| {
            let outside = (least - x).max(x - greatest).max(0.0);
            sum + outside * outside
        })
    }

    /// Returns the distances between which every point of the node is.
    fn range(&self, at: usize, row: &[f64]) -> (f64, f64) {
        match &self.shape {
            Shape::List => (0.0, f64::INFINITY),
            Shape::Boxes { .. } => {
                let power = self.metric.power();
                let root = |sum: f64| if power.is_infinite() { sum } else { sum.powf(1.0 / power) };
                let greatest = self.sides(at, row, |below, above| below.abs().max(above.abs()));
                (root(self.least(at, row)), root(greatest))
            }
            Shape::Balls { centres, radii } => {
                let centre = &centres[at * self.features..][..self.features];
                let distance = self.metric.distance(self.metric.reduced_to(row, centre));
                ((distance - radii[at]).max(0.0), distance + radii[at])
            }
        }
    }

    /// Sums a term of how far the row is below and above the box of a node, over the columns.
    fn sides(&self, at: usize, row: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
        let Shape::Boxes { least, greatest } = &self.shape else { return 0.0 };
        let power = self.metric.power();
        let bounds = least[at * self.features..].iter().zip(&greatest[at * self.features..]);
        row.iter().zip(bounds).fold(0.0, |sum: f64, (x, (least, greatest))| {
            let value = term(least - x, x - greatest);
            if power.is_infinite() {
                sum.max(value)
            } else if value == 0.0 || power == 1.0 {
                sum + value
            } else {
                sum + value.powf(power)
            }
        })
    }

    /// About how many nanoseconds a search takes.
    pub(super) fn row_ns(&self) -> f64 {
        let (count, features) = (self.len() as f64, self.features as f64);
        // A tree of few columns leads to a few leaves, one of many to all.
        let looked = match self.shape {
            Shape::List => count,
            Shape::Boxes { .. } | Shape::Balls { .. } => count.min(40.0 * features.exp2()),
        };
        let column = if matches!(self.metric, Metric::Minkowski(_)) { 9.0 } else { 0.33 };
        100.0 + looked * (1.0 + column * features)
    }
}

/// Whether two reduced distances are so near that how they were rounded may decide.
fn close(a: f64, b: f64) -> bool {
    a.max(b) < f64::INFINITY && (a - b).abs() <= 1e-12 * a.max(b)
}

fn check_sizes(fitted: &Fitted<'_>, rows: usize, features: usize) -> Result<(), Refusal> {
    if rows == 0 || features == 0 || u32::try_from(rows).is_err() {
        return Err(fitted.malformed(format!("was fitted on {rows} rows of {features} columns")));
    }
    Ok(())
}
