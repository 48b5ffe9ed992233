//! Tensors of a V1 request: rows of `instances`, columns of `inputs`, features of `examples`.

use std::collections::{HashMap, HashSet};

use super::collect::{Collector, is_base64, too_many};
use super::{in_column, met};
use crate::json::{Kind, Reader};
use crate::{Code, Data, DecodeLimits, Error, Tensor};

/// Reads the list under `instances`: numbers, strings or lists of them become one unnamed tensor, objects a tensor a key.
pub(super) fn instances(reader: &mut Reader<'_>, limits: &DecodeLimits) -> Result<Vec<Tensor>, Error> {
    let mut ahead = reader.clone();
    ahead.begin_array()?;
    if !ahead.next_element()? {
        return Err(Error::invalid("No values in 'instances' array"));
    }
    if ahead.peek()? == Kind::Object && !is_base64(&ahead) {
        return objects(reader, &[], limits);
    }
    let start = reader.clone();
    let mut collector = Collector::new(limits);
    match collector.value(reader, 0) {
        Ok(()) => Ok(vec![collector.finish("")?]),
        // Not before it was met: to look for it beforehand would cost every request of numbers.
        Err(error) if is_mixed(ahead) => {
            *reader = start;
            mixed(reader, limits).map_err(|mixed| if mixed.code == Code::TooLarge { mixed } else { error })
        }
        Err(error) => Err(error),
    }
}

/// Returns whether a row is a list of scalars of more than one kind.
fn is_mixed(mut row: Reader<'_>) -> bool {
    let mut kinds = HashSet::new();
    let mut look = || {
        row.begin_array()?;
        while row.next_element()? {
            kinds.insert(match row.peek()? {
                Kind::Number | Kind::Null => 'n',
                Kind::String => 's',
                Kind::Bool => 'b',
                Kind::Array | Kind::Object => return Ok(false),
            });
            row.skip()?;
        }
        Ok::<_, crate::json::JsonError>(kinds.len() > 1)
    };
    look().unwrap_or(false)
}

/// Rows that are lists of scalars of several kinds: a tensor a place, without names.
fn mixed(reader: &mut Reader<'_>, limits: &DecodeLimits) -> Result<Vec<Tensor>, Error> {
    let mut columns: Vec<Collector> = Vec::new();
    let mut rows = 0;
    reader.begin_array()?;
    while reader.next_element()? {
        if reader.peek()? != Kind::Array {
            return Err(Error::invalid(format!(
                "row {rows} is {}, the rows before are lists",
                met(reader.peek()?)
            )));
        }
        reader.begin_array()?;
        let mut at = 0;
        while reader.next_element()? {
            if at == columns.len() {
                if rows > 0 {
                    return Err(Error::invalid(format!("row {rows} has more than the {at} values of row 0")));
                }
                if at >= MAX_COLUMNS {
                    return Err(too_wide());
                }
                columns.push(Collector::rows(limits));
            }
            columns[at].value(reader, 1).map_err(|error| in_column(&error, &at.to_string()))?;
            at += 1;
        }
        if at < columns.len() {
            return Err(Error::invalid(format!("row {rows} has {at} values, row 0 has {}", columns.len())));
        }
        rows += 1;
    }
    let finish = |mut column: Collector| {
        column.count_rows(rows);
        column.finish("")
    };
    columns.into_iter().map(finish).collect()
}

/// Reads what stands under `inputs`: the one input as a whole, or an object with a tensor a key. Returns which it was.
pub(super) fn inputs(reader: &mut Reader<'_>, limits: &DecodeLimits) -> Result<(Vec<Tensor>, bool), Error> {
    if reader.peek()? != Kind::Object || is_base64(reader) {
        let mut ahead = reader.clone();
        // KServe's habit: rows that are objects, under the other key.
        if ahead.peek()? == Kind::Array {
            ahead.begin_array()?;
            if ahead.next_element()? && ahead.peek()? == Kind::Object && !is_base64(&ahead) {
                return Ok((objects(reader, &[], limits)?, false));
            }
        }
        let mut collector = Collector::new(limits);
        collector.value(reader, 0)?;
        return Ok((vec![collector.finish("")?], false));
    }
    reader.begin_object()?;
    let mut tensors: Vec<Tensor> = Vec::new();
    let mut met_before = HashSet::new();
    let mut limits = *limits;
    while let Some(key) = reader.next_key()? {
        if tensors.len() >= MAX_COLUMNS {
            return Err(too_wide());
        }
        if !met_before.insert(key.clone()) {
            return Err(Error::invalid(format!("`inputs` has the key `{key}` twice")));
        }
        let mut collector = Collector::new(&limits);
        let read = collector.value(reader, 0).and_then(|()| collector.finish(&key));
        let tensor = read.map_err(|error| in_column(&error, &key))?;
        limits.spend(&tensor.data);
        tensors.push(tensor);
    }
    Ok((tensors, true))
}

/// Reads the `examples` of a classification or regression: objects of features, each a scalar or a list of scalars. `context`
/// holds features that every example has.
pub(super) fn examples(
    reader: &mut Reader<'_>,
    context: &[Feature<'_>],
    limits: &DecodeLimits,
) -> Result<Vec<Tensor>, Error> {
    if reader.peek()? != Kind::Array {
        return Err(Error::invalid(format!("expected `examples` to be a list, met {}", met(reader.peek()?))));
    }
    let mut ahead = reader.clone();
    ahead.begin_array()?;
    if !ahead.next_element()? {
        return Err(Error::invalid("expected `examples` to hold one example at least, met none"));
    }
    let mut tensors = objects(reader, context, limits)?;
    for it in &mut tensors {
        if it.shape.len() > 2 {
            return Err(Error::invalid(format!(
                "feature `{}` is nested: a list of scalars is all it may be",
                it.name
            )));
        }
        // TensorFlow's examples know no booleans.
        if let Data::Bool(truths) = &it.data {
            it.data = Data::Int64(truths.iter().map(|&it| it.into()).collect::<Vec<_>>().into());
        }
    }
    Ok(tensors)
}

/// A feature that every example has: its name, and the text it was read from.
pub(super) type Feature<'a> = (String, Reader<'a>);

/// Reads an object of features and keeps where each stands.
pub(super) fn features<'a>(reader: &mut Reader<'a>) -> Result<Vec<Feature<'a>>, Error> {
    if reader.peek()? != Kind::Object {
        return Err(Error::invalid(format!(
            "expected `context` to be an object, met {}",
            met(reader.peek()?)
        )));
    }
    reader.begin_object()?;
    let mut features = Vec::new();
    let mut met_before = HashSet::new();
    while let Some(key) = reader.next_key()? {
        if features.len() >= MAX_COLUMNS {
            return Err(too_wide());
        }
        if !met_before.insert(key.clone()) {
            return Err(Error::invalid(format!("`context` has the key `{key}` twice")));
        }
        features.push((key.into_owned(), reader.clone()));
        reader.skip()?;
    }
    Ok(features)
}

/// Rows that are objects: every row has the same keys, each key becomes a tensor. A row takes from `shared` what it lacks.
fn objects(
    reader: &mut Reader<'_>,
    shared: &[Feature<'_>],
    limits: &DecodeLimits,
) -> Result<Vec<Tensor>, Error> {
    let mut columns = Columns::default();
    let mut rows = 0;
    // A row of two bytes takes all that is shared, so what that comes to is counted.
    let mut room = limits.elements;
    reader.begin_array()?;
    while reader.next_element()? {
        if reader.peek()? != Kind::Object {
            return Err(Error::invalid(format!(
                "row {rows} is {}, the rows before are objects",
                met(reader.peek()?)
            )));
        }
        reader.begin_object()?;
        columns.next = 0;
        while let Some(key) = reader.next_key()? {
            columns.cell(&key, reader, rows, limits)?;
        }
        for (name, value) in shared {
            if !columns.has(name, rows) {
                let mut again = value.clone();
                columns.cell(name, &mut again, rows, limits)?;
                let taken = again.offset() - value.offset() + TAKING;
                room = room.checked_sub(taken).ok_or_else(|| shared_too_often(limits))?;
            }
        }
        rows += 1;
        if let Some(lacking) = columns.list.iter().find(|it| it.cells < rows) {
            let name = &lacking.name;
            return Err(Error::invalid(format!("row {} lacks the key `{name}`, which row 0 has", rows - 1)));
        }
    }
    columns.list.into_iter().map(|it| it.finish(rows)).collect()
}

/// The most columns: each takes a few bytes of text and hundreds here.
const MAX_COLUMNS: usize = 1 << 16;

fn too_wide() -> Error {
    Error::new(Code::TooLarge, format!("there are more than {MAX_COLUMNS} columns"))
}

/// What it costs to take a value from the context, in bytes of text read, beside those of the value.
const TAKING: usize = 32;

fn shared_too_often(limits: &DecodeLimits) -> Error {
    let message = format!(
        "the examples take more from `context` than the limit of {} bytes, at {TAKING} for each value and its text; send \
         fewer examples or a smaller context",
        limits.elements
    );
    Error::new(Code::TooLarge, message)
}

/// The columns that rows of objects make.
#[derive(Default)]
struct Columns {
    list: Vec<Column>,
    /// Where each is in the list: a hostile row may have a million keys.
    places: HashMap<String, usize>,
    /// Where the next key most likely belongs: rows tend to keep one order.
    next: usize,
    /// How many strings all of them hold.
    strings: usize,
}

struct Column {
    name: String,
    collector: Collector,
    /// In how many rows it was met.
    cells: usize,
}

impl Columns {
    fn place(&self, key: &str) -> Option<usize> {
        match self.list.get(self.next) {
            Some(column) if column.name == key => Some(self.next),
            Some(_) | None => self.places.get(key).copied(),
        }
    }

    fn has(&self, key: &str, row: usize) -> bool {
        self.place(key).is_some_and(|at| self.list[at].cells > row)
    }

    /// Reads one value of a row into its column.
    fn cell(
        &mut self,
        key: &str,
        reader: &mut Reader<'_>,
        row: usize,
        limits: &DecodeLimits,
    ) -> Result<(), Error> {
        let at = match self.place(key) {
            Some(at) => at,
            None if row == 0 && self.list.len() >= MAX_COLUMNS => return Err(too_wide()),
            None if row == 0 => {
                let name = key.to_owned();
                self.places.insert(name.clone(), self.list.len());
                self.list.push(Column { name, collector: Collector::rows(limits), cells: 0 });
                self.list.len() - 1
            }
            None => {
                return Err(Error::invalid(format!("row {row} has the key `{key}`, which row 0 has not")));
            }
        };
        self.next = at + 1;
        let column = &mut self.list[at];
        if column.cells > row {
            return Err(Error::invalid(format!("row {row} has the key `{key}` twice")));
        }
        let before = column.collector.strings();
        column.collector.value(reader, 1).map_err(|error| in_column(&error, key))?;
        self.strings += column.collector.strings() - before;
        if self.strings > limits.strings() {
            return Err(too_many(limits.strings()));
        }
        column.cells += 1;
        Ok(())
    }
}

impl Column {
    fn finish(mut self, rows: usize) -> Result<Tensor, Error> {
        self.collector.count_rows(rows);
        self.collector.finish(&self.name).map_err(|error| in_column(&error, &self.name))
    }
}
