//! The binary format of XGBoost until 3.0, which 3.1 and later no longer read: the structs of the library as they lay in
//! memory, little-endian, one after the other. Tried with files of 0.72 to 1.7, and of 3.0.

use super::Fault;
use super::file::{File, Parts};
use super::forest::Arrays;
use super::source::{Json, Source};

/// The model's parameters, those of all trees, of one tree and of a linear model.
const MODEL: usize = 136;
const TREES: usize = 160;
const TREE: usize = 148;
const LINEAR: usize = 136;
/// A node, and what training has noted about it.
const NODE: usize = 20;
const NOTES: usize = 16;
/// What a pickled booster begins with, followed by the length of the model.
const SNAPSHOT: &[u8] = b"CONFIG-offset:";
/// Longer than the name of any objective or booster.
const NAME: usize = 256;
/// Set beside a node's feature when a missing value goes left.
const DEFAULT_LEFT: u32 = 1 << 31;

/// Reads a whole file. What follows the attributes, such as metrics, does not matter for predicting and is not looked at.
pub(super) fn read(bytes: &[u8]) -> Result<File, Fault> {
    let mut reader = Reader { bytes, at: 0 };
    let mut parts = Parts::default();
    // A pickled booster of 1.0 to 1.5 holds a model, so many bytes long, and its settings in JSON.
    if let Some(rest) = bytes.strip_prefix(SNAPSHOT) {
        let header = reader.take(SNAPSHOT.len() + 8, "the header")?;
        let length = Reader { bytes: &header[SNAPSHOT.len()..], at: 0 }.count("the header")?;
        let cut = rest[8..].split_at_checked(length);
        let (model, config) =
            cut.ok_or_else(|| Fault::malformed("the header tells of a model longer than the file"))?;
        reader = Reader { bytes: model, at: 0 };
        let mut config = Json::new(config);
        parts.config(&mut config)?;
        config.finish()?;
    }
    if reader.bytes.starts_with(b"binf") {
        reader.at = 4;
    }
    let head = reader.take(MODEL, "the model's parameters")?;
    parts.base_scores = vec![f32::from_bits(word(head, 0))];
    parts.params.features = size(head, 1, "features")?;
    parts.params.classes = size(head, 2, "classes")?;
    parts.version = vec![integer(head, 5), integer(head, 6)];
    // Zero before it was there. Until 1.0 the base score was saved as the margin that it stands for.
    parts.params.targets = size(head, 7, "targets")?;
    parts.scores_are_margins = word(head, 5) == 0;
    parts.objective = Some(reader.name("the objective's name")?);
    let booster = reader.name("the booster's name")?;
    match booster.as_str() {
        "gbtree" => reader.trees(&mut parts)?,
        "dart" => {
            reader.trees(&mut parts)?;
            if parts.forest.len() > 0 {
                parts.tree_weights = reader.floats("the trees' weights")?;
            }
        }
        "gblinear" => {
            reader.take(LINEAR, "the linear model's parameters")?;
            parts.linear_weights = reader.floats("the weights")?;
        }
        _ => return Err(Fault::malformed(format!("the booster is called `{booster}`, {NOT_A_MODEL}"))),
    }
    parts.booster = Some(booster);
    if word(head, 3) != 0 {
        parts.best_iteration = reader.best_iteration()?;
    }
    parts.assemble()
}

/// Returns whether a file begins as this format does.
pub(super) fn begins(head: &[u8]) -> bool {
    head.starts_with(SNAPSHOT) || head.starts_with(b"binf") || is_model(head)
}

/// Returns whether these seem to be such a model's first bytes, which names of the objective and the booster follow.
pub(super) fn is_model(bytes: &[u8]) -> bool {
    let mut reader = Reader { bytes, at: MODEL };
    let objective = reader.name("a name").is_ok_and(|it| it.contains(':'));
    objective && reader.name("a name").is_ok_and(|it| it.starts_with("gb") || it == "dart")
}

const NOT_A_MODEL: &str =
    "expected `gbtree`, `dart` or `gblinear`: the file is none of XGBoost's, or is damaged";

/// Returns the number that stands so many words into a struct, which has that many.
fn word(bytes: &[u8], at: usize) -> u32 {
    let (words, _) = bytes.as_chunks::<4>();
    words.get(at).map_or(0, |&word| u32::from_le_bytes(word))
}

fn integer(bytes: &[u8], at: usize) -> i32 {
    word(bytes, at).cast_signed()
}

fn size(bytes: &[u8], at: usize, what: &str) -> Result<usize, Fault> {
    let count = integer(bytes, at);
    usize::try_from(count).map_err(|_| Fault::malformed(format!("a model of {count} {what} cannot be")))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Fault> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| {
            Fault::malformed(format!(
                "{what}, {count} bytes from byte {} on, run past the end of the file at {}; expected a model in the \
                 binary format of XGBoost until 3.0, JSON or UBJSON",
                self.at,
                self.bytes.len()
            ))
        })?;
        self.at += count;
        Ok(taken)
    }

    /// Reads a count of 64 bits.
    fn count(&mut self, what: &str) -> Result<usize, Fault> {
        let bytes = self.take(8, what)?;
        let count = u64::from(word(bytes, 0)) | u64::from(word(bytes, 1)) << 32;
        // What no machine could count is surely past the end of the file.
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn name(&mut self, what: &str) -> Result<String, Fault> {
        let at = self.at;
        let count = self.count(what)?;
        if count > NAME {
            return Err(Fault::malformed(format!(
                "byte {at}: {what} has {count} characters; expected a model in the binary format of XGBoost until 3.0, \
                 JSON or UBJSON"
            )));
        }
        let text = self.take(count, what)?;
        let text = std::str::from_utf8(text);
        text.map(str::to_owned).map_err(|_| Fault::malformed(format!("byte {at}: {what} is not UTF-8")))
    }

    fn floats(&mut self, what: &str) -> Result<Vec<f32>, Fault> {
        let count = self.count(what)?;
        let bytes = self.take(count.saturating_mul(4), what)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|&it| f32::from_le_bytes(it)).collect())
    }

    fn trees(&mut self, parts: &mut Parts) -> Result<(), Fault> {
        let head = self.take(TREES, "the parameters of the trees")?;
        let count = size(head, 0, "trees")?;
        // The parallel trees of a round stand here since 1.6; before, it is the number of a tree's roots, which is one.
        parts.parallel = parts.parallel.max(size(head, 1, "parallel trees")?);
        let mut arrays = Arrays::default();
        for tree in 0..count {
            let head = self.take(TREE, "the parameters of a tree")?;
            if word(head, 0) > 1 {
                return Err(Fault::Unsupported {
                    what: format!("tree {tree}, which has {} roots,", word(head, 0)),
                    advice: "train the model without `num_roots`",
                });
            }
            if word(head, 5) > 1 {
                return Err(Fault::Unsupported {
                    what: format!("tree {tree}, whose leaves are vectors, in the binary format"),
                    advice: "write the model with `booster.save_model(\"model.ubj\")`",
                });
            }
            let nodes = size(head, 1, "nodes")?;
            arrays.fill(self.take(nodes.saturating_mul(NODE), "the nodes of a tree")?);
            self.take(nodes.saturating_mul(NOTES), "the statistics of a tree")?;
            // One number a node, which no version ever read again.
            if word(head, 5) == 1 && parts.version[0] == 0 {
                self.floats("the leaf vectors of a tree")?;
            }
            parts.forest.push(&arrays)?;
        }
        let outputs = self.take(count.saturating_mul(4), "the outputs of the trees")?;
        parts.tree_outputs = (0..count).map(|at| integer(outputs, at)).collect();
        Ok(())
    }

    /// Reads the attributes, which are pairs of texts, for one of them.
    fn best_iteration(&mut self) -> Result<Option<usize>, Fault> {
        let mut best = None;
        for _ in 0..self.count("the attributes")? {
            let key = self.text("an attribute's name")?;
            let value = self.text("an attribute")?;
            if key == b"best_iteration" {
                best = std::str::from_utf8(value).ok().and_then(|it| it.parse().ok());
            }
        }
        Ok(best)
    }

    fn text(&mut self, what: &str) -> Result<&'a [u8], Fault> {
        let count = self.count(what)?;
        self.take(count, what)
    }
}

impl Arrays {
    /// Takes over the nodes of a tree: parent, left, right, feature, and threshold or value.
    fn fill(&mut self, nodes: &[u8]) {
        let (nodes, _) = nodes.as_chunks::<NODE>();
        let column = |at: usize| nodes.iter().map(move |node| word(node, at));
        let signed = |at: usize| column(at).map(u32::cast_signed);
        refill(&mut self.left, signed(1));
        refill(&mut self.right, signed(2));
        refill(&mut self.feature, column(3).map(|it| (it & !DEFAULT_LEFT).cast_signed()));
        refill(&mut self.default_left, column(3).map(|it| (it >> 31).cast_signed()));
        refill(&mut self.condition, column(4).map(f32::from_bits));
    }
}

fn refill<T>(column: &mut Vec<T>, values: impl Iterator<Item = T>) {
    column.clear();
    column.extend(values);
}
