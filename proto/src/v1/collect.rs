//! Gathers nested lists into flat leaves and the shape they all must have.

use bytes::Bytes;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::met;
use crate::json::{self, Kind, Number, Numbers, Reader};
use crate::{Buffer, Data, DecodeLimits, Error, Parameters, Tensor};

/// Returns whether the reader stands before `{"b64": "..."}`: bytes, written as TensorFlow Serving does.
pub(crate) fn is_base64(reader: &Reader<'_>) -> bool {
    let mut ahead = reader.clone();
    let mut found = || {
        ahead.begin_object()?;
        let named = ahead.next_key()?.is_some_and(|key| key == "b64");
        if !named || ahead.peek()? != Kind::String {
            return Ok(false);
        }
        ahead.string()?;
        Ok::<_, json::JsonError>(ahead.next_key()?.is_none())
    };
    // Whoever reads the value tells what is wrong with it.
    found().unwrap_or(false)
}

/// Gathers nested lists into flat leaves and the shape they all must have.
pub(super) struct Collector {
    shape: Vec<usize>,
    /// How many of `shape` the caller counts.
    outside: usize,
    /// How many of `shape` are known: the first leaf settles the rest.
    settled: bool,
    leaves: Leaves,
    /// The most leaves there may be.
    max: usize,
    max_strings: usize,
}

#[derive(Default)]
enum Leaves {
    #[default]
    None,
    Numbers(Numbers),
    Strings(Vec<Bytes>),
    Booleans(Vec<u8>),
}

impl Leaves {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Numbers(it) => it.len(),
            Self::Strings(it) => it.len(),
            Self::Booleans(it) => it.len(),
        }
    }
}

impl Collector {
    /// A collector of one tensor.
    pub(super) fn new(limits: &DecodeLimits) -> Self {
        Self {
            shape: Vec::new(),
            outside: 0,
            settled: false,
            leaves: Leaves::None,
            max: limits.elements,
            max_strings: limits.strings(),
        }
    }

    /// A collector for one key of object rows: the first dimension is counted by the caller.
    pub(super) fn rows(limits: &DecodeLimits) -> Self {
        Self { shape: vec![0], outside: 1, ..Self::new(limits) }
    }

    /// How many strings it holds.
    pub(super) fn strings(&self) -> usize {
        if let Leaves::Strings(strings) = &self.leaves { strings.len() } else { 0 }
    }

    /// Says how many rows there were, where they were counted outside.
    pub(super) fn count_rows(&mut self, rows: usize) {
        self.shape[0] = rows;
    }

    /// Reads one value, nested `depth` lists deep.
    pub(super) fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Error> {
        match reader.peek()? {
            // Only the outermost list is tried as a grid, so that no number is read more than twice.
            Kind::Array if depth == self.outside && self.grid(reader) => Ok(()),
            Kind::Array => self.list(reader, depth),
            kind => {
                if !self.settled {
                    self.settled = true;
                } else if depth != self.shape.len() {
                    return Err(self.ragged(depth));
                }
                self.leaf(reader, kind)
            }
        }
    }

    /// Reads a list of numbers in one go. Returns false, and reads nothing, when it is something else, or not like those
    /// before.
    fn grid(&mut self, reader: &mut Reader<'_>) -> bool {
        let mut none = Numbers::Integers(Vec::new());
        let numbers = match &mut self.leaves {
            Leaves::None => &mut none,
            Leaves::Numbers(numbers) => numbers,
            Leaves::Strings(_) | Leaves::Booleans(_) => return false,
        };
        let (before, mark) = (numbers.len(), reader.clone());
        let Some(lengths) = reader.grid_of_any(numbers, self.max) else { return false };
        if !self.settled {
            self.settled = true;
            self.shape.extend(lengths);
        } else if self.shape[self.outside..] != lengths {
            numbers.truncate(before);
            *reader = mark;
            return false;
        }
        if let Leaves::None = self.leaves {
            self.leaves = Leaves::Numbers(none);
        }
        true
    }

    fn list(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Error> {
        if !self.settled {
            self.shape.push(0);
        } else if depth >= self.shape.len() {
            return Err(self.ragged(depth));
        }
        let first = !self.settled;
        reader.begin_array()?;
        let mut count = 0;
        let mut closed = false;
        // The innermost lists of a settled shape hold most of the bytes: they are read in the reader's tight loops.
        if let (Leaves::Numbers(numbers), true) = (&mut self.leaves, depth + 1 == self.shape.len()) {
            let before = numbers.len();
            closed = match numbers {
                Numbers::Integers(integers) => reader.integers(integers)?,
                Numbers::Floats(floats) => reader.numbers(floats)?.closed,
            };
            count = numbers.len() - before;
            if numbers.len() > self.max {
                return Err(too_many(self.max));
            }
        }
        while !closed && reader.next_element()? {
            self.value(reader, depth + 1)?;
            count += 1;
        }
        if first || (depth == 0 && self.shape[0] == 0) {
            // An empty list settles nothing below it; leaves of `[[]]` are none at all.
            self.settled |= count == 0;
            self.shape[depth] = count;
        } else if self.shape[depth] != count {
            return Err(Error::invalid(format!(
                "ragged rows: a list of {count} values where the first has {}",
                self.shape[depth]
            )));
        }
        Ok(())
    }

    fn ragged(&self, depth: usize) -> Error {
        let want = self.shape.len();
        Error::invalid(format!(
            "ragged rows: a value nested {depth} lists deep where the first is {want} deep"
        ))
    }

    fn leaf(&mut self, reader: &mut Reader<'_>, kind: Kind) -> Result<(), Error> {
        if matches!(self.leaves, Leaves::None) {
            self.leaves = match kind {
                Kind::Number | Kind::Null => Leaves::Numbers(Numbers::Integers(Vec::new())),
                Kind::String => Leaves::Strings(Vec::new()),
                Kind::Object if is_base64(reader) => Leaves::Strings(Vec::new()),
                Kind::Bool => Leaves::Booleans(Vec::new()),
                Kind::Array | Kind::Object => {
                    return Err(unexpected(reader, kind, "a number, string or boolean"));
                }
            };
        }
        let max = if matches!(self.leaves, Leaves::Strings(_)) { self.max_strings } else { self.max };
        if self.leaves.len() >= max {
            return Err(too_many(max));
        }
        match (&mut self.leaves, kind) {
            (Leaves::Numbers(numbers), Kind::Number) => match (reader.number()?, numbers) {
                (Number::Int(value), Numbers::Integers(integers)) => integers.push(value),
                (number, numbers) => {
                    let floats = numbers.floats().ok_or_else(|| {
                        Error::invalid("integers beyond 2^53 stand beside numbers that are not integers")
                    })?;
                    floats.push(number.as_f64());
                }
            },
            (Leaves::Numbers(numbers), Kind::Null) => match numbers.floats() {
                // As with pandas, a missing number is NaN.
                Some(floats) => {
                    reader.null()?;
                    floats.push(f64::NAN);
                }
                None => return Err(unexpected(reader, kind, "a number")),
            },
            (Leaves::Strings(strings), Kind::String) => {
                strings.push(Bytes::copy_from_slice(reader.string()?.as_bytes()));
            }
            (Leaves::Strings(strings), Kind::Object) if is_base64(reader) => strings.push(base64(reader)?),
            (Leaves::Booleans(booleans), Kind::Bool) => booleans.push(u8::from(reader.boolean()?)),
            (Leaves::Numbers(_), _) => return Err(unexpected(reader, kind, "a number")),
            (Leaves::Strings(_), _) => return Err(unexpected(reader, kind, "a string")),
            (Leaves::Booleans(_), _) => return Err(unexpected(reader, kind, "a boolean")),
            (Leaves::None, _) => unreachable!("leaves are settled above"),
        }
        Ok(())
    }

    pub(super) fn finish(self, name: &str) -> Result<Tensor, Error> {
        let data = match self.leaves {
            Leaves::None => Data::Fp64(Vec::new().into()),
            Leaves::Numbers(Numbers::Integers(integers)) => Data::Int64(integers.into()),
            Leaves::Numbers(Numbers::Floats(floats)) => Data::Fp64(floats.into()),
            Leaves::Strings(strings) => Data::Bytes(strings),
            Leaves::Booleans(booleans) => Data::Bool(Buffer::from(booleans)),
        };
        if crate::tensor::elements(&self.shape) != Some(data.len()) {
            return Err(Error::invalid(format!(
                "ragged rows: {} values do not fill {:?}",
                data.len(),
                self.shape
            )));
        }
        Ok(Tensor { name: name.to_owned(), shape: self.shape, data, parameters: Parameters::default() })
    }
}

pub(super) fn too_many(max: usize) -> Error {
    Error::new(crate::Code::TooLarge, format!("a tensor has more than {max} elements, which is the limit"))
}

/// Reads `{"b64": "..."}`, which [`is_base64`] has found.
///
/// # Errors
/// `InvalidInput` when the text is not base64.
pub(crate) fn base64(reader: &mut Reader<'_>) -> Result<Bytes, Error> {
    reader.begin_object()?;
    reader.next_key()?;
    let text = reader.string()?;
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(|error| Error::invalid(format!("Unable to base64 decode `{}`: {error}", shorten(&text))))?;
    reader.next_key()?;
    Ok(bytes.into())
}

fn unexpected(reader: &mut Reader<'_>, kind: Kind, want: &str) -> Error {
    let shown = match kind {
        Kind::String => reader.string().map(|text| format!("the string `{}`", shorten(&text))),
        Kind::Number => reader.float().map(|number| format!("the number {number}")),
        Kind::Null | Kind::Bool | Kind::Array | Kind::Object => Ok(met(kind).to_owned()),
    };
    match shown {
        Ok(shown) => Error::invalid(format!("expected {want} as in the values before, met {shown}")),
        Err(error) => error.into(),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
