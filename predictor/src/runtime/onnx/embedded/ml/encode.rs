//! `LabelEncoder`, `OneHotEncoder`, `ZipMap` and `DictVectorizer`: categories to numbers and back.

use std::collections::HashMap;
use std::hash::Hash;

use bytes::Bytes;
use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::attributes::{Setting, unsupported};
use super::super::plain::cast;
use super::super::value::{Args, Outcome, Run, as_singles, matrix, same, singles, tensor, unserved};

/// A list of keys or values, of one of the types an encoder may have.
fn list(setting: &mut Setting, side: &str) -> Result<Option<Data>, Fault> {
    let tensor = setting.tensor(&format!("{side}_tensor"))?;
    let texts = setting.texts(&format!("{side}_strings"))?;
    let whole = setting.ints(&format!("{side}_int64s"))?;
    let floats = setting.floats(&format!("{side}_floats"))?;
    Ok(match (tensor, texts.is_empty(), whole.is_empty(), floats.is_empty()) {
        (Some(it), ..) => Some(it.data),
        (None, false, ..) => Some(Data::Bytes(texts)),
        (None, _, false, _) => Some(Data::Int64(whole.into())),
        (None, _, _, false) => Some(Data::Fp32(floats.into())),
        (None, true, true, true) => None,
    })
}

/// The places of keys. Floats are keys by their bits, and what is no number is one key.
enum Keys {
    Texts(HashMap<Bytes, usize>),
    Whole(HashMap<i64, usize>),
    Floats(HashMap<u64, usize>),
    Truths(HashMap<u8, usize>),
}

fn bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

/// Of equal keys the first counts.
fn places<K: Eq + Hash>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
    let mut places = HashMap::new();
    for (at, key) in keys.enumerate() {
        places.entry(key).or_insert(at);
    }
    places
}

impl Keys {
    fn of(data: &Data) -> Result<Self, Fault> {
        Ok(match data {
            Data::Bytes(it) => Self::Texts(places(it.iter().cloned())),
            Data::Int64(it) => Self::Whole(places(it.iter().copied())),
            Data::Int32(it) => Self::Whole(places(it.iter().map(|&it| it.into()))),
            Data::Int16(it) => Self::Whole(places(it.iter().map(|&it| it.into()))),
            Data::Fp32(it) => Self::Floats(places(it.iter().map(|&it| bits(it.into())))),
            Data::Fp64(it) => Self::Floats(places(it.iter().map(|&it| bits(it)))),
            Data::Bool(it) => Self::Truths(places(it.iter().copied())),
            other => return Err(unsupported(format!("keys of {}", other.datatype()))),
        })
    }

    /// The place of each element.
    fn find(&self, data: &Data) -> Outcome<Vec<Option<usize>>> {
        Ok(match (self, data) {
            (Self::Texts(keys), Data::Bytes(it)) => it.iter().map(|it| keys.get(it).copied()).collect(),
            (Self::Whole(keys), Data::Int64(it)) => it.iter().map(|it| keys.get(it).copied()).collect(),
            (Self::Whole(keys), Data::Int32(it)) => {
                it.iter().map(|&it| keys.get(&it.into()).copied()).collect()
            }
            (Self::Whole(keys), Data::Int16(it)) => {
                it.iter().map(|&it| keys.get(&it.into()).copied()).collect()
            }
            (Self::Floats(keys), Data::Fp32(it)) => {
                it.iter().map(|&it| keys.get(&bits(it.into())).copied()).collect()
            }
            (Self::Floats(keys), Data::Fp64(it)) => {
                it.iter().map(|&it| keys.get(&bits(it)).copied()).collect()
            }
            (Self::Truths(keys), Data::Bool(it)) => it.iter().map(|it| keys.get(it).copied()).collect(),
            (_, other) => {
                return Err(format!("its keys are of another type than {}", other.datatype()).into());
            }
        })
    }
}

pub(in super::super) fn label_encoder(setting: &mut Setting) -> Result<Run, Fault> {
    if setting.has("classes_strings") {
        return first_label_encoder(setting);
    }
    let (Some(keys), Some(values)) = (list(setting, "keys")?, list(setting, "values")?) else {
        return Err(Fault::malformed("it has no keys or no values"));
    };
    if keys.len() != values.len() {
        return Err(Fault::malformed(format!("{} keys for {} values", keys.len(), values.len())));
    }
    let text = setting.bytes("default_string")?.unwrap_or_else(|| Bytes::from_static(b"_Unused"));
    let whole = setting.int("default_int64")?.unwrap_or(-1);
    let float = setting.float("default_float")?.unwrap_or(-0.0);
    let told = setting.tensor("default_tensor")?.map(|it| it.data);
    let unknown = match (told, &values) {
        (Some(it), _) if it.len() == 1 => it,
        (_, Data::Bytes(_)) => Data::Bytes(vec![text]),
        (_, Data::Int64(_)) => Data::Int64(vec![whole].into()),
        (_, Data::Int32(_)) => Data::Int32(vec![whole as i32].into()),
        (_, Data::Int16(_)) => Data::Int16(vec![whole as i16].into()),
        (_, Data::Fp32(_)) => Data::Fp32(vec![float].into()),
        (_, Data::Fp64(_)) => Data::Fp64(vec![f64::from(float)].into()),
        (_, other) => return Err(unsupported(format!("values of {}", other.datatype()))),
    };
    let mut keys = Keys::of(&keys)?;
    // Before version 4 nothing was equal to what is no number.
    if let Keys::Floats(keys) = &mut keys
        && setting.version < 4
    {
        keys.remove(&bits(f64::NAN));
    }
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let found = keys.find(&it.data)?;
        Ok(vec![tensor(it.shape.clone(), chosen(&values, &unknown, &found)?)])
    }))
}

fn chosen(values: &Data, unknown: &Data, found: &[Option<usize>]) -> Outcome<Data> {
    macro_rules! chosen {
        ($($variant:ident)*) => {
            match (values, unknown) {
                $((Data::$variant(values), Data::$variant(unknown)) => {
                    let one = |at: &Option<usize>| at.map_or_else(|| unknown[0].clone(), |at| values[at].clone());
                    Ok(Data::$variant(found.iter().map(one).collect::<Vec<_>>().into()))
                })*
                (other, _) => Err(unserved(other.datatype())),
            }
        };
    }
    chosen!(Bytes Int64 Int32 Int16 Fp32 Fp64)
}

/// Version 1: a list of texts, and their places.
fn first_label_encoder(setting: &mut Setting) -> Result<Run, Fault> {
    let classes = setting.texts("classes_strings")?;
    let unknown = setting.int("default_int64")?.unwrap_or(-1);
    let unknown_text = setting.bytes("default_string")?.unwrap_or_else(|| Bytes::from_static(b"_Unused"));
    let keys = places(classes.iter().cloned());
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let data = match &it.data {
            Data::Bytes(texts) => {
                let place = |it: &Bytes| keys.get(it).map_or(unknown, |&at| at as i64);
                Data::Int64(texts.iter().map(place).collect::<Vec<_>>().into())
            }
            Data::Int64(numbers) => {
                let text = |&it: &i64| {
                    usize::try_from(it).ok().and_then(|it| classes.get(it)).unwrap_or(&unknown_text)
                };
                Data::Bytes(numbers.iter().map(|it| text(it).clone()).collect())
            }
            other => return Err(unserved(other.datatype())),
        };
        Ok(vec![tensor(it.shape.clone(), data)])
    }))
}

pub(in super::super) fn one_hot_encoder(setting: &mut Setting) -> Result<Run, Fault> {
    let (texts, whole) = (setting.texts("cats_strings")?, setting.ints("cats_int64s")?);
    let lenient = setting.int("zeros")?.unwrap_or(1) != 0;
    let keys = if texts.is_empty() { Data::Int64(whole.into()) } else { Data::Bytes(texts) };
    let width = keys.len();
    if width == 0 {
        return Err(Fault::malformed("it has no categories"));
    }
    let keys = Keys::of(&keys)?;
    Ok(Box::new(move |args: &mut Args<'_>| {
        let it = args.get(0)?;
        let found = match (&keys, &it.data) {
            (Keys::Whole(_), Data::Fp32(_) | Data::Fp64(_) | Data::Int32(_)) => {
                let whole = cast::to(it.clone(), weir_sdk::DataType::Int64)?;
                keys.find(&whole.data)?
            }
            (keys, data) => keys.find(data)?,
        };
        let mut shape = it.shape.clone();
        shape.push(width);
        let mut made = vec![0.0; args.allow(&shape)?];
        for (row, at) in found.into_iter().enumerate() {
            match at {
                Some(at) => made[row * width + at] = 1.0,
                None if lenient => {}
                None => return Err(format!("its category {} is unknown", told(it, row)).into()),
            }
        }
        Ok(vec![singles(shape, made)])
    }))
}

fn told(it: &Tensor, at: usize) -> String {
    match &it.data {
        Data::Bytes(texts) => {
            let text =
                texts.get(at).map(|it| String::from_utf8_lossy(it).chars().take(40).collect::<String>());
            format!("`{}`", text.unwrap_or_default())
        }
        data => data.to_f64().and_then(|it| it.get(at).copied()).unwrap_or(f64::NAN).to_string(),
    }
}

/// Scores become a map a row elsewhere. Here they stay the matrix they are, and the signature names its columns.
pub(in super::super) fn zip_map(setting: &mut Setting) -> Result<Run, Fault> {
    let (texts, whole) = (setting.texts("classlabels_strings")?, setting.ints("classlabels_int64s")?);
    let classes = texts.len().max(whole.len());
    Ok(Box::new(move |args| {
        let mut it = args.take(0)?;
        let (rows, width) = matrix(&it);
        if width != classes {
            return Err(format!("rows of {width} scores meet {classes} classes").into());
        }
        it.shape = vec![rows, width];
        Ok(vec![tensor(it.shape.clone(), Data::Fp32(as_singles(&it)?.into_owned().into()))])
    }))
}

/// A map becomes a row of its values in the order of the vocabulary. Here it comes as that row.
pub(in super::super) fn dict_vectorizer(setting: &mut Setting) -> Result<Run, Fault> {
    let (texts, whole) = (setting.texts("string_vocabulary")?, setting.ints("int64_vocabulary")?);
    let width = texts.len().max(whole.len());
    Ok(Box::new(move |args| {
        let it = args.take(0)?;
        if matrix(&it).1 != width {
            return Err(format!("rows of {} values meet a vocabulary of {width}", matrix(&it).1).into());
        }
        let data = same!(&it.data, values => values.to_vec());
        Ok(vec![tensor(it.shape, data)])
    }))
}
