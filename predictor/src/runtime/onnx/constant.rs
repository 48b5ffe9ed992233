//! Constants of ONNX files (`TensorProto`), within the file or in one beside it.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use weir_sdk::proto::tensor::{MAX_RANK, elements};
use weir_sdk::{Data, DataType, Tensor};

use super::super::Fault;
use super::super::protobuf::{Value, packed, text};
use super::element::of_onnx;
use super::proto::{each, single};

/// What a message says.
#[derive(Default)]
struct Told<'a> {
    name: String,
    shape: Vec<u64>,
    kind: u64,
    raw: Option<&'a [u8]>,
    singles: Vec<f32>,
    doubles: Vec<f64>,
    /// Of `int32_data`, `int64_data` and `uint64_data`; a file has one of them.
    whole: Vec<u64>,
    texts: Vec<Bytes>,
    outside: bool,
    place: Place,
}

/// Where a constant lies that is in another file.
#[derive(Default)]
struct Place {
    location: String,
    offset: u64,
    length: Option<u64>,
}

/// Reads a constant. `keep` is told how many bytes are about to be made, and may refuse.
///
/// # Errors
/// What is wrong with it, by its name.
pub(super) fn read(
    message: &[u8],
    folder: Option<&Path>,
    keep: &dyn Fn(usize) -> Result<(), Fault>,
) -> Result<Tensor, Fault> {
    let mut told = Told::default();
    each(message, |field, value| told.take(field, value, keep))?;
    let name = printable(&told.name);
    let wrong = |reason: String| Fault::malformed(format!("constant `{name}` {reason}"));
    if told.shape.len() > MAX_RANK {
        return Err(wrong(format!("has {} sizes", told.shape.len())));
    }
    let shape = told.shape.iter().map(|&it| usize::try_from(it).ok()).collect::<Option<Vec<_>>>();
    let Some((shape, count)) = shape.and_then(|it| elements(&it).map(|count| (it, count))) else {
        return Err(wrong(format!("has the shape {:?}", told.shape)));
    };
    let Some(kind) = of_onnx(told.kind) else {
        return Err(Fault::Unsupported {
            what: format!("constant `{}` of ONNX's element type {}", printable(&told.name), told.kind),
            advice: "save the model with plain numbers",
        });
    };
    let data = if told.outside {
        let bytes = outside(&told.place, folder, kind, count).map_err(&wrong)?;
        from_raw(kind, bytes, count)
    } else if let Some(raw) = told.raw {
        keep(raw.len())?;
        from_raw(kind, Bytes::copy_from_slice(raw), count)
    } else {
        listed(kind, &mut told)
    };
    match data {
        Some(data) if data.len() == count => Ok(Tensor::new(told.name, shape, data)),
        Some(data) => Err(wrong(format!("has {} elements for the shape {shape:?}", data.len()))),
        None => Err(wrong(format!("has elements that are no {kind} of the shape {shape:?}"))),
    }
}

impl<'a> Told<'a> {
    fn take(
        &mut self,
        field: u64,
        value: Value<'a>,
        keep: &dyn Fn(usize) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let whole = |list: &mut Vec<u64>, value: Value<'a>| -> Result<(), Fault> {
            match value {
                Value::Number(it) => {
                    keep(16)?;
                    list.push(it);
                    Ok(())
                }
                Value::Bytes(it) => packed(it).try_for_each(|it| {
                    keep(16)?;
                    list.push(it.map_err(Fault::malformed)?);
                    Ok(())
                }),
                Value::Fixed(_) => Ok(()),
            }
        };
        match (field, value) {
            (1, value) => whole(&mut self.shape, value)?,
            (2, Value::Number(it)) => self.kind = it,
            (4, Value::Fixed(bits)) => {
                keep(8)?;
                self.singles.push(single(bits));
            }
            (4, Value::Bytes(it)) => {
                keep(it.len())?;
                self.singles.extend(it.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)));
            }
            (5 | 7 | 11, value) => whole(&mut self.whole, value)?,
            (6, Value::Bytes(it)) => {
                keep(it.len() + 2 * size_of::<Bytes>())?;
                self.texts.push(Bytes::copy_from_slice(it));
            }
            (8, Value::Bytes(it)) => {
                keep(it.len())?;
                self.name = text(it, "a constant's name").map_err(Fault::malformed)?;
            }
            (9, Value::Bytes(it)) => self.raw = Some(it),
            (10, Value::Fixed(bits)) => {
                keep(16)?;
                self.doubles.push(f64::from_bits(bits));
            }
            (10, Value::Bytes(it)) => {
                keep(it.len())?;
                self.doubles.extend(it.as_chunks().0.iter().map(|it| f64::from_le_bytes(*it)));
            }
            (13, Value::Bytes(it)) => self.place.take(it)?,
            (14, Value::Number(it)) => self.outside = it == 1,
            _ => {}
        }
        Ok(())
    }
}

impl Place {
    /// A message `StringStringEntryProto`.
    fn take(&mut self, message: &[u8]) -> Result<(), Fault> {
        let (mut key, mut value) = (String::new(), String::new());
        each(message, |field, it| {
            match (field, it) {
                (1, Value::Bytes(it)) => key = text(it, "a key").map_err(Fault::malformed)?,
                (2, Value::Bytes(it)) => value = text(it, "a place").map_err(Fault::malformed)?,
                _ => {}
            }
            Ok(())
        })?;
        let number = |it: &str| {
            it.parse::<u64>()
                .map_err(|_| Fault::malformed(format!("a place in a file is `{}`", printable(it))))
        };
        match key.as_str() {
            "location" => self.location = value,
            "offset" => self.offset = number(&value)?,
            "length" => self.length = Some(number(&value)?),
            _ => {}
        }
        Ok(())
    }
}

/// A file that a model names, which lies in the model's folder or below, whatever its name says.
///
/// # Errors
/// Why it is not one.
pub(super) fn beside(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let named = Path::new(location);
    let plain = named.components().all(|it| matches!(it, Component::Normal(_)));
    let refused =
        || format!("lies in the file `{}`, expected one in the model's own folder", printable(location));
    if !plain || location.is_empty() {
        return Err(refused());
    }
    // A link may lead anywhere.
    match (folder.join(named).canonicalize(), folder.canonicalize()) {
        (Ok(real), Ok(root)) if real.starts_with(&root) => Ok(real),
        (Ok(_), Ok(_)) => Err(refused()),
        (Err(error), _) | (_, Err(error)) => {
            Err(format!("lies in the file `{}`: {error}", printable(location)))
        }
    }
}

/// The files that constants of a model lie in.
///
/// # Errors
/// What is no protobuf.
pub(super) fn outside_of(model: &[u8]) -> Result<BTreeSet<String>, Fault> {
    let mut files = BTreeSet::new();
    each(model, |field, value| {
        let (7, Value::Bytes(graph)) = (field, value) else { return Ok(()) };
        each(graph, |field, value| {
            let (5, Value::Bytes(constant)) = (field, value) else { return Ok(()) };
            let mut place = Place::default();
            each(constant, |field, value| match (field, value) {
                (13, Value::Bytes(it)) => place.take(it),
                _ => Ok(()),
            })?;
            if !place.location.is_empty() {
                files.insert(place.location);
            }
            Ok(())
        })
    })?;
    Ok(files)
}

fn outside(place: &Place, folder: Option<&Path>, kind: DataType, count: usize) -> Result<Bytes, String> {
    let folder = folder.ok_or("lies in another file, and there is no folder to look in")?;
    let size = kind.size().ok_or("is of text and lies in another file")?;
    let wanted = count.checked_mul(size).ok_or("is too large")?;
    if place.length.is_some_and(|it| usize::try_from(it) != Ok(wanted)) {
        return Err(format!("needs {wanted} bytes of another file, which says {:?}", place.length));
    }
    let path = beside(folder, &place.location)?;
    let failed = |error: std::io::Error| format!("lies in `{}`: {error}", printable(&place.location));
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let whole = file.metadata().map_err(failed)?.len();
    // Nothing is made for bytes that are not there.
    if place.offset.checked_add(wanted as u64).is_none_or(|end| end > whole) {
        return Err(format!(
            "needs {wanted} bytes of `{}` from byte {}, which has {whole}",
            printable(&place.location),
            place.offset
        ));
    }
    file.seek(SeekFrom::Start(place.offset)).map_err(failed)?;
    let mut bytes = vec![0; wanted];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes.into())
}

fn from_raw(kind: DataType, raw: Bytes, count: usize) -> Option<Data> {
    match kind {
        // Writers keep texts in a list of their own.
        DataType::Bytes => None,
        DataType::Bool => {
            let truths: Vec<u8> = raw.iter().map(|&it| u8::from(it != 0)).collect();
            (truths.len() == count).then(|| Data::Bool(truths.into()))
        }
        kind => Data::from_raw(kind, raw, count, "").ok(),
    }
}

/// The elements that are written one by one.
fn listed(kind: DataType, told: &mut Told<'_>) -> Option<Data> {
    fn narrow<T: TryFrom<i64>>(whole: &[u64]) -> Option<Vec<T>> {
        whole.iter().map(|&it| T::try_from(it.cast_signed()).ok()).collect()
    }
    let whole = &told.whole;
    Some(match kind {
        DataType::Fp32 => Data::Fp32(std::mem::take(&mut told.singles).into()),
        DataType::Fp64 => Data::Fp64(std::mem::take(&mut told.doubles).into()),
        DataType::Bytes => Data::Bytes(std::mem::take(&mut told.texts)),
        DataType::Bool => Data::Bool(whole.iter().map(|&it| u8::from(it != 0)).collect::<Vec<_>>().into()),
        DataType::Int64 => Data::Int64(narrow(whole)?.into()),
        DataType::Int32 => Data::Int32(narrow(whole)?.into()),
        DataType::Int16 => Data::Int16(narrow(whole)?.into()),
        DataType::Int8 => Data::Int8(narrow(whole)?.into()),
        DataType::Uint64 => Data::Uint64(std::mem::take(&mut told.whole).into()),
        DataType::Uint32 => Data::Uint32(narrow(whole)?.into()),
        DataType::Uint16 => Data::Uint16(narrow(whole)?.into()),
        DataType::Uint8 => Data::Uint8(narrow(whole)?.into()),
        DataType::Fp16 => Data::Fp16(narrow(whole)?.into()),
        DataType::Bf16 => Data::Bf16(narrow(whole)?.into()),
    })
}

/// A name as far as it helps, without what disturbs a line of a log.
pub(super) fn printable(name: &str) -> String {
    name.chars().filter(|it| !it.is_control()).take(120).collect()
}
