//! The text format: lines of `key=value`, first about the model, then about each tree; arrays are separated by spaces. They
//! are read straight into the forest, no arrays in between.

use weir_sdk::proto::json::Reader;

use super::forest::{Forest, Missing, Set, Split, Test};
use super::header::Header;
use super::{Booster, Fault};

/// Returns whether a file begins as the text format does.
pub(super) fn begins(head: &[u8]) -> bool {
    Lines::new(head).next().is_some_and(|line| line.text == b"tree")
}

/// Reads a whole file that begins so. Of its trees those of the first `iterations` are kept.
pub(super) fn read(bytes: &[u8], iterations: usize) -> Result<Booster, Fault> {
    let mut lines = Lines::new(bytes);
    lines.next();
    let mut header = Header::default();
    let mut sizes = None;
    let mut line = lines.next_full();
    while let Some(it) = line.as_ref().filter(|it| !it.ends_header()) {
        read_header(it, &mut header, &mut sizes)?;
        line = lines.next_full();
    }
    header.check_version()?;
    let mut forest = Forest::default();
    reserve(&mut forest, lines.rest);
    let wanted = header.trees_of(iterations);
    let mut trees = 0;
    while let Some(it) = line.as_ref().filter(|it| it.text.starts_with(b"Tree=")) {
        let block = Block::read(&mut lines, it.number, trees)?;
        if trees < wanted {
            block.plant(&mut forest)?;
        }
        trees += 1;
        line = lines.next_full();
    }
    // Until 2.1 the importances followed at once.
    match line {
        Some(it) if it.ends_trees() => {}
        Some(it) => {
            return Err(it.fault(&format!("expected `Tree=` or `end of trees`, met `{}`", it.excerpt())));
        }
        None => return Err(Fault::malformed("the file ends before `end of trees`; it was cut off")),
    }
    if let Some(sizes) = sizes
        && sizes != trees
    {
        return Err(Fault::malformed(format!("`tree_sizes` is about {sizes} trees, the file has {trees}")));
    }
    read_footer(lines, &mut header)?;
    header.finish(forest, "lightgbm_text")
}

/// Reads what stands behind the trees for the names of categories.
fn read_footer(lines: Lines<'_>, header: &mut Header) -> Result<(), Fault> {
    for line in lines {
        if let Some(rest) = line.text.strip_prefix(b"[categorical_feature: ") {
            let list = std::str::from_utf8(rest).unwrap_or_default().trim_end_matches(']');
            // What is no list of numbers names columns, which were never found out to be any.
            let columns = list.split(',').map(|it| it.trim().parse().ok()).collect::<Option<_>>();
            header.categorical = columns.unwrap_or_default();
        } else if let Some(json) = line.text.strip_prefix(b"pandas_categorical:") {
            let mut reader = Reader::new(json);
            let read = header.categories(&mut reader).and_then(|()| reader.finish());
            read.map_err(|error| line.fault(&format!("`pandas_categorical`: {error}")))?;
        }
    }
    Ok(())
}

/// The least bytes that a leaf, a word of a set and a term of a linear leaf take in a file: no line may claim more room.
const LEAST: [usize; 3] = [12, 2, 4];

/// Makes room for the trees that follow, so that memory does not grow by doubling.
fn reserve(forest: &mut Forest, rest: &[u8]) {
    let mut values = [0; 3];
    for line in rest.split(|&it| it == b'\n') {
        let keys: [&[u8]; 3] = [b"leaf_value=", b"cat_threshold=", b"leaf_features="];
        if let Some(at) = keys.iter().position(|it| line.starts_with(it)) {
            values[at] += line.iter().filter(|&&it| it == b' ').count() + 1;
        }
    }
    let [leaves, words, terms] = std::array::from_fn(|at| values[at].min(rest.len() / LEAST[at]));
    forest.reserve(leaves, words);
    if values[2] > 0 {
        forest.linear().reserve(terms);
    }
}

fn read_header(line: &Line<'_>, header: &mut Header, sizes: &mut Option<usize>) -> Result<(), Fault> {
    let (key, value) = line.pair()?;
    let integer = || Column::new(line, key, value).only();
    match key {
        "version" => header.version = Some(value.to_owned()),
        "num_class" => header.classes = Some(integer()?),
        "num_tree_per_iteration" => header.per_iteration = Some(integer()?),
        "max_feature_idx" => header.last_feature = Some(integer()?),
        "objective" => header.objective = Some(value.to_owned()),
        "average_output" => header.average = true,
        "feature_names" => {
            let names = value.split(' ').filter(|it| !it.is_empty());
            header.reserve(names.clone().count());
            names.for_each(|it| header.column(it));
        }
        "tree_sizes" => *sizes = Some(value.split(' ').filter(|it| !it.is_empty()).count()),
        // The last three say what training has seen, which no answer depends on.
        "label_index" | "feature_infos" | "monotone_constraints" => {}
        _ => return Err(line.unknown(key)),
    }
    Ok(())
}

/// A line, without its end.
struct Line<'a> {
    text: &'a [u8],
    /// Counted from 1.
    number: usize,
}

impl<'a> Line<'a> {
    fn ends_header(&self) -> bool {
        self.text.starts_with(b"Tree=") || self.ends_trees()
    }

    fn ends_trees(&self) -> bool {
        matches!(self.text, b"end of trees" | b"feature importances:" | b"feature_importances:")
    }

    /// The key and the value; a line without `=` is a key.
    fn pair(&self) -> Result<(&'a str, &'a str), Fault> {
        let text = std::str::from_utf8(self.text).map_err(|_| self.fault("it is not UTF-8"))?;
        Ok(text.split_once('=').unwrap_or((text, "")))
    }

    fn excerpt(&self) -> String {
        excerpt(&String::from_utf8_lossy(&self.text[..self.text.len().min(160)]))
    }

    fn fault(&self, reason: &str) -> Fault {
        Fault::Malformed(format!("line {}: {reason}", self.number))
    }

    fn unknown(&self, key: &str) -> Fault {
        Fault::Unsupported {
            what: format!("`{}` in line {}", excerpt(key), self.number),
            advice: "it may change what the model answers; write the model with LightGBM 2.1 to 4",
        }
    }
}

/// The first characters of a text that nobody has bounded.
fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, number: 0 }
    }

    /// The next line that is not empty.
    fn next_full(&mut self) -> Option<Line<'a>> {
        self.find(|line| !line.text.is_empty())
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|&it| it == b'\n').unwrap_or(self.rest.len());
        let text = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        self.number += 1;
        Some(Line { text: text.strip_suffix(b"\r").unwrap_or(text), number: self.number })
    }
}

/// The values of a key, one after the other.
#[derive(Clone)]
struct Column<'a> {
    key: &'a str,
    line: usize,
    values: std::str::SplitAsciiWhitespace<'a>,
}

impl<'a> Column<'a> {
    fn new(line: &Line<'_>, key: &'a str, values: &'a str) -> Self {
        Self { key, line: line.number, values: values.split_ascii_whitespace() }
    }

    fn fault(&self, reason: &str) -> Fault {
        Fault::Malformed(format!("line {}: `{}` {reason}", self.line, self.key))
    }

    fn value<T: std::str::FromStr>(&mut self, wanted: &str) -> Result<T, Fault> {
        let text = self.values.next().ok_or_else(|| self.fault("ends before it has all its values"))?;
        text.parse().map_err(|_| self.fault(&format!("holds `{}`, expected {wanted}", excerpt(text))))
    }

    fn float(&mut self) -> Result<f64, Fault> {
        self.value("a number")
    }

    fn integer(&mut self) -> Result<i64, Fault> {
        self.value("an integer")
    }

    /// A count or an index.
    fn natural(&mut self) -> Result<u32, Fault> {
        self.value("an integer from 0 to 4294967295")
    }

    fn is_empty(&self) -> bool {
        self.values.clone().next().is_none()
    }

    /// Makes sure that nothing is left.
    fn end(mut self) -> Result<(), Fault> {
        match self.values.next() {
            Some(text) => Err(self.fault(&format!("goes on with `{}` after all its values", excerpt(text)))),
            None => Ok(()),
        }
    }

    /// The one integer.
    fn only(mut self) -> Result<i64, Fault> {
        let value = self.integer()?;
        self.end()?;
        Ok(value)
    }
}

/// The keys that say what a tree answers.
const KEYS: [&str; 15] = [
    "num_leaves",
    "num_cat",
    "split_feature",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
    "cat_boundaries",
    "cat_threshold",
    "is_linear",
    "leaf_const",
    "num_features",
    "leaf_features",
    "leaf_coeff",
];

/// Those that say how it came about. The values are scaled by `shrinkage` already.
const SKIPPED: [&str; 8] = [
    "split_gain",
    "leaf_weight",
    "leaf_count",
    "internal_value",
    "internal_weight",
    "internal_count",
    "leaf_parent",
    "shrinkage",
];

/// The lines about a tree, up to an empty one.
struct Block<'a> {
    tree: usize,
    /// Of the line before them.
    number: usize,
    columns: [Option<(Line<'a>, &'a str)>; KEYS.len()],
}

impl<'a> Block<'a> {
    fn read(lines: &mut Lines<'a>, number: usize, tree: usize) -> Result<Self, Fault> {
        let mut columns = [const { None }; KEYS.len()];
        for line in lines.by_ref().take_while(|it| !it.text.is_empty()) {
            let (key, value) = line.pair()?;
            if let Some(at) = KEYS.iter().position(|it| *it == key) {
                columns[at] = Some((line, value));
            } else if !SKIPPED.contains(&key) {
                return Err(line.unknown(key));
            }
        }
        Ok(Self { tree, number, columns })
    }

    fn column(&self, key: &'static str) -> Result<Column<'a>, Fault> {
        self.optional(key).ok_or_else(|| {
            let Self { tree, number, .. } = self;
            Fault::Malformed(format!("tree {tree}, which begins in line {number}, has no `{key}`"))
        })
    }

    fn optional(&self, key: &'static str) -> Option<Column<'a>> {
        let at = KEYS.iter().position(|it| *it == key)?;
        self.columns[at].as_ref().map(|(line, value)| Column::new(line, key, value))
    }

    fn plant(&self, forest: &mut Forest) -> Result<(), Fault> {
        let mut values = self.column("leaf_value")?;
        let leaves = values.values.clone().count();
        let mut counted = self.column("num_leaves")?;
        let said = counted.integer()?;
        if leaves == 0 || usize::try_from(said) != Ok(leaves) {
            return Err(counted.fault(&format!("is {said}, but `leaf_value` holds {leaves} numbers")));
        }
        let sets = self.sets(forest, leaves)?;
        self.linear(forest, leaves)?;
        let splits = if leaves > 1 { Some(Splits::new(self, sets, leaves - 1)?) } else { None };
        forest.plant(leaves, splits.into_iter().flatten(), (0..leaves).map(|_| values.float()))
    }

    /// Reads the sets of categories.
    fn sets(&self, forest: &mut Forest, leaves: usize) -> Result<Vec<Set>, Fault> {
        let Some(counted) = self.optional("num_cat") else { return Ok(Vec::new()) };
        let fail = self.column("num_cat")?;
        let count = usize::try_from(counted.only()?).ok().filter(|&it| it < leaves);
        let count = count.ok_or_else(|| fail.fault("is not a number of splits of the tree"))?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut words = self.column("cat_threshold")?;
        let start = forest.words().len();
        while !words.is_empty() {
            let word = words.natural()?;
            forest.words().push(word);
        }
        let mut boundaries = self.column("cat_boundaries")?;
        let mut sets = Vec::with_capacity(count);
        let mut begin = boundaries.natural()? as usize;
        for _ in 0..count {
            let end = boundaries.natural()? as usize;
            let set = forest.set(start + begin..start + end);
            sets.push(set.ok_or_else(|| boundaries.fault("goes down, or beyond `cat_threshold`"))?);
            begin = end;
        }
        boundaries.end()?;
        Ok(sets)
    }

    /// Reads what the leaves add up in place of their values.
    fn linear(&self, forest: &mut Forest, leaves: usize) -> Result<(), Fault> {
        match self.optional("is_linear").map(Column::only).transpose()? {
            None | Some(0) => return Ok(()),
            Some(_) => {}
        }
        let linear = forest.linear();
        let (mut constants, mut counts) = (self.column("leaf_const")?, self.column("num_features")?);
        for _ in 0..leaves {
            linear.leaf(constants.float()?, counts.natural()? as usize)?;
        }
        constants.end()?;
        counts.end()?;
        let mut features = self.column("leaf_features")?;
        while !features.is_empty() {
            linear.term(features.natural()?)?;
        }
        let mut coefficients = self.column("leaf_coeff")?;
        while !coefficients.is_empty() {
            linear.coefficient(coefficients.float()?);
        }
        if linear.is_whole() {
            return Ok(());
        }
        Err(features.fault("and `leaf_coeff` do not hold as many values as `num_features` counts"))
    }
}

/// The splits of a tree, read side by side from the lines that hold them.
struct Splits<'a> {
    left: usize,
    feature: Column<'a>,
    threshold: Column<'a>,
    decision: Option<Column<'a>>,
    children: [Column<'a>; 2],
    sets: Vec<Set>,
}

impl<'a> Splits<'a> {
    fn new(block: &Block<'a>, sets: Vec<Set>, count: usize) -> Result<Self, Fault> {
        Ok(Self {
            left: count,
            feature: block.column("split_feature")?,
            threshold: block.column("threshold")?,
            decision: block.optional("decision_type"),
            children: [block.column("left_child")?, block.column("right_child")?],
            sets,
        })
    }

    fn split(&mut self) -> Result<Split, Fault> {
        let feature = self.feature.integer()?;
        let threshold = self.threshold.float()?;
        let test = match &mut self.decision {
            Some(decision) => {
                let kind = decision.integer()?;
                test(kind, threshold, &self.sets)
                    .ok_or_else(|| decision.fault(&format!("holds {kind}, with the threshold {threshold}")))?
            }
            None => Test::Threshold { threshold, missing: Missing::None, default_left: false },
        };
        let [left, right] = &mut self.children;
        Ok(Split { feature, test, left: left.integer()?, right: right.integer()? })
    }

    fn end(&self) -> Result<(), Fault> {
        let columns =
            [&self.feature, &self.threshold].into_iter().chain(&self.decision).chain(&self.children);
        columns.cloned().try_for_each(Column::end)
    }
}

impl Iterator for Splits<'_> {
    type Item = Result<Split, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let split = self.split();
        Some(if self.left == 0 { split.and_then(|it| self.end().map(|()| it)) } else { split })
    }
}

/// Takes a decision apart: bit 0 says that it is by category, bit 1 that missing values go left, bits 2 and 3 which are missing.
fn test(kind: i64, threshold: f64, sets: &[Set]) -> Option<Test> {
    let missing = match kind >> 2 {
        0 => Missing::None,
        1 => Missing::Zero,
        2 => Missing::Nan,
        _ => return None,
    };
    if kind & 1 == 0 {
        return Some(Test::Threshold { threshold, missing, default_left: kind & 2 != 0 });
    }
    // The threshold is the number of a set.
    (threshold >= 0.0).then(|| sets.get(threshold as usize).copied().map(Test::Set))?
}
