//! The description of an array's elements: `numpy.dtype(text, align, copy)` and a state that adds byte order and fields.

use super::super::refusal::Refusal;
use super::super::view::View;

/// The most fields a record may have; scikit-learn's own have fifteen at most.
const MAX_FIELDS: usize = 64;

/// The type of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dtype {
    pub(crate) kind: Kind,
    /// Bytes an element takes, padding included.
    pub(crate) size: usize,
    /// Whether the most significant byte comes first.
    pub(crate) big_endian: bool,
}

/// What an element is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Unsigned,
    Float,
    /// UTF-32 of a fixed width, filled with zeros.
    Text,
    /// Bytes of a fixed width, filled with zeros.
    Bytes,
    /// A Python object each.
    Object,
    Record(Vec<Field>),
    /// Dates, complex numbers and the like, by numpy's name.
    Other(String),
}

/// A member of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Where it begins in the record, in bytes.
    pub(crate) offset: usize,
    pub(crate) dtype: Dtype,
}

impl Dtype {
    /// Reads the description.
    ///
    /// # Errors
    /// `Malformed` when it is none, or does not agree with itself.
    pub(crate) fn read(view: View<'_>) -> Result<Self, Refusal> {
        let mut dtype = Self::simple(view)?;
        let state = view.object().and_then(|object| object.state).map(|state| view.at(state));
        if let (Kind::Other(code), Some(state)) = (&dtype.kind, state)
            && code.starts_with('V')
            && let Some(fields) = fields(state, dtype.size)?
        {
            dtype.kind = Kind::Record(fields);
        }
        Ok(dtype)
    }

    /// Reads a description without looking for fields.
    fn simple(view: View<'_>) -> Result<Self, Refusal> {
        let wrong = || Refusal::malformed(format!("a numpy.dtype is expected, met {}", view.kind()));
        if view.class().as_deref() != Some("numpy.dtype") {
            return Err(wrong());
        }
        let object = view.object().ok_or_else(wrong)?;
        let code = view.at(object.args).item(0).and_then(View::text).ok_or_else(wrong)?;
        let order = object.state.and_then(|state| view.at(state).item(1)).and_then(View::text);
        let (own_order, code) = match code.as_bytes().first() {
            Some(b'<' | b'>' | b'|' | b'=') => code.split_at(1),
            _ => ("=", code),
        };
        let (kind, size) =
            parse(code).ok_or_else(|| Refusal::malformed(format!("`{code}` is no numpy.dtype")))?;
        Ok(Self { kind, size, big_endian: order.unwrap_or(own_order) == ">" })
    }

    /// Returns whether an element is, or holds, a Python object.
    pub(crate) fn has_objects(&self) -> bool {
        match &self.kind {
            Kind::Object => true,
            Kind::Record(fields) => fields.iter().any(|field| field.dtype.has_objects()),
            Kind::Bool
            | Kind::Int
            | Kind::Unsigned
            | Kind::Float
            | Kind::Text
            | Kind::Bytes
            | Kind::Other(_) => false,
        }
    }

    /// Returns numpy's name of it, near enough for a message.
    pub(crate) fn name(&self) -> String {
        let kind = match &self.kind {
            Kind::Bool => return "bool".to_owned(),
            Kind::Object => return "object".to_owned(),
            Kind::Record(_) => return "record".to_owned(),
            Kind::Other(code) => return code.clone(),
            Kind::Text => return format!("U{}", self.size / 4),
            Kind::Bytes => return format!("S{}", self.size),
            Kind::Int => "int",
            Kind::Unsigned => "uint",
            Kind::Float => "float",
        };
        format!("{kind}{}", self.size * 8)
    }
}

/// Reads a code such as `f8`: the kind and the bytes of an element.
fn parse(code: &str) -> Option<(Kind, usize)> {
    let mut letters = code.chars();
    let letter = letters.next()?;
    let digits = letters.as_str();
    let count = || digits.parse::<u32>().ok().map(|count| count as usize);
    Some(match (letter, digits) {
        ('b', "1") | ('?', "") => (Kind::Bool, 1),
        ('i', "1" | "2" | "4" | "8") => (Kind::Int, count()?),
        ('u', "1" | "2" | "4" | "8") => (Kind::Unsigned, count()?),
        ('f', "2" | "4" | "8") => (Kind::Float, count()?),
        ('U', _) => (Kind::Text, count()?.checked_mul(4)?),
        ('S' | 'a', _) => (Kind::Bytes, count()?),
        ('O', _) => (Kind::Object, 8),
        _ => (Kind::Other(code.to_owned()), count()?),
    })
}

/// Reads the fields of a record out of the state, when it has any.
fn fields(state: View<'_>, size: usize) -> Result<Option<Vec<Field>>, Refusal> {
    let (Some(names), Some(table)) = (state.item(3).filter(|it| !it.is_none()), state.item(4)) else {
        return Ok(None);
    };
    let wrong = || Refusal::malformed("a record's numpy.dtype whose fields do not fit it");
    let names = names.items().filter(|it| it.len() <= MAX_FIELDS).ok_or_else(wrong)?;
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let name = name.text().ok_or_else(wrong)?;
        let entry = table.get(name).ok_or_else(wrong)?;
        let dtype = Dtype::simple(entry.item(0).ok_or_else(wrong)?)?;
        let offset =
            entry.item(1).and_then(View::int).and_then(|at| usize::try_from(at).ok()).ok_or_else(wrong)?;
        if offset.checked_add(dtype.size).is_none_or(|end| end > size) {
            return Err(wrong());
        }
        fields.push(Field { name: name.to_owned(), offset, dtype });
    }
    Ok(Some(fields))
}
