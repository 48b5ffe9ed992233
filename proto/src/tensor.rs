//! Tensors: flat, typed, row-major. Numbers stay in the buffer they arrived in wherever alignment allows.

use std::fmt;
use std::ops::Deref;

use bytemuck::Pod;
use bytes::{BufMut, Bytes, BytesMut};

use crate::{Code, Error, Parameters, half};

#[cfg(target_endian = "big")]
compile_error!("raw tensors are little-endian on the wire and are read in place");

/// The element types of the Open Inference Protocol, and BF16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum DataType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl DataType {
    /// Every type, in an order that stays: Python workers are told a type by its place.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// Returns the name on the wire, such as `FP32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Returns the type of that name. Case does not matter, as with KServe.
    ///
    /// # Errors
    /// `InvalidInput` naming every known type.
    pub fn parse(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|it| it.name()).collect();
            Error::invalid(format!("unknown datatype `{name}`; known are {}", known.join(", ")))
        })
    }

    /// Returns the bytes an element takes, or `None` for `BYTES`, whose elements differ.
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A row of numbers, owned or lent by the message it arrived in. Reads as a slice; cloning the lent kind copies nothing.
#[derive(Clone)]
pub struct Buffer<T>(Repr<T>);

#[derive(Clone)]
enum Repr<T> {
    Owned(Vec<T>),
    /// Aligned for `T` and a whole number of them long; checked where it is made.
    Lent(Bytes),
}

impl<T: Pod> Buffer<T> {
    /// Takes raw little-endian bytes. They are copied only when they do not lie aligned.
    ///
    /// Returns `None` when the length is not a whole number of elements.
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        match bytemuck::try_cast_slice::<u8, T>(&bytes) {
            Ok(_) => Some(Self(Repr::Lent(bytes))),
            Err(bytemuck::PodCastError::TargetAlignmentGreaterAndInputNotAligned) => {
                let whole = bytes.len().checked_rem(size_of::<T>()) == Some(0);
                whole.then(|| Self(Repr::Owned(collect(&bytes))))
            }
            Err(_) => None,
        }
    }

    /// Returns the raw little-endian bytes without copying them.
    pub fn into_bytes(self) -> Bytes
    where
        T: Send + 'static,
    {
        struct Owner<T>(Vec<T>);
        impl<T: Pod> AsRef<[u8]> for Owner<T> {
            fn as_ref(&self) -> &[u8] {
                bytemuck::cast_slice(&self.0)
            }
        }
        match self.0 {
            Repr::Owned(values) => Bytes::from_owner(Owner(values)),
            Repr::Lent(bytes) => bytes,
        }
    }

    /// Returns the bytes of a message that the numbers are lent by; none where they are its own.
    pub const fn lent(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Lent(bytes) => Some(bytes),
            Repr::Owned(_) => None,
        }
    }

    /// Returns the numbers as they lie in memory.
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }

    /// Returns the numbers as a vector, copying only what is lent.
    pub fn into_vec(self) -> Vec<T> {
        match self.0 {
            Repr::Owned(values) => values,
            Repr::Lent(bytes) => collect(&bytes),
        }
    }
}

/// Copies whole elements out of bytes that may lie anywhere.
fn collect<T: Pod>(bytes: &[u8]) -> Vec<T> {
    let mut values = vec![T::zeroed(); bytes.len() / size_of::<T>()];
    bytemuck::cast_slice_mut(&mut values).copy_from_slice(bytes);
    values
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Repr::Owned(values) => values,
            Repr::Lent(bytes) => bytemuck::cast_slice(bytes),
        }
    }
}

impl<T> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Repr::Owned(values))
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Pod + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// The elements of a tensor, row-major. FP16 and BF16 are kept as their bits.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Data {
    /// One byte each, 0 or 1.
    Bool(Buffer<u8>),
    Uint8(Buffer<u8>),
    Uint16(Buffer<u16>),
    Uint32(Buffer<u32>),
    Uint64(Buffer<u64>),
    Int8(Buffer<i8>),
    Int16(Buffer<i16>),
    Int32(Buffer<i32>),
    Int64(Buffer<i64>),
    Fp16(Buffer<u16>),
    Bf16(Buffer<u16>),
    Fp32(Buffer<f32>),
    Fp64(Buffer<f64>),
    Bytes(Vec<Bytes>),
}

/// Runs the same expression on the buffer of every numeric variant, and another on `Bytes`.
#[macro_export]
macro_rules! for_each_data {
    ($data:expr, $buffer:ident => $numeric:expr, $strings:ident => $text:expr) => {
        match $data {
            $crate::Data::Bool($buffer) => $numeric,
            $crate::Data::Uint8($buffer) => $numeric,
            $crate::Data::Uint16($buffer) => $numeric,
            $crate::Data::Uint32($buffer) => $numeric,
            $crate::Data::Uint64($buffer) => $numeric,
            $crate::Data::Int8($buffer) => $numeric,
            $crate::Data::Int16($buffer) => $numeric,
            $crate::Data::Int32($buffer) => $numeric,
            $crate::Data::Int64($buffer) => $numeric,
            $crate::Data::Fp16($buffer) => $numeric,
            $crate::Data::Bf16($buffer) => $numeric,
            $crate::Data::Fp32($buffer) => $numeric,
            $crate::Data::Fp64($buffer) => $numeric,
            $crate::Data::Bytes($strings) => $text,
        }
    };
}

impl Data {
    /// Returns the element type.
    pub const fn datatype(&self) -> DataType {
        match self {
            Self::Bool(_) => DataType::Bool,
            Self::Uint8(_) => DataType::Uint8,
            Self::Uint16(_) => DataType::Uint16,
            Self::Uint32(_) => DataType::Uint32,
            Self::Uint64(_) => DataType::Uint64,
            Self::Int8(_) => DataType::Int8,
            Self::Int16(_) => DataType::Int16,
            Self::Int32(_) => DataType::Int32,
            Self::Int64(_) => DataType::Int64,
            Self::Fp16(_) => DataType::Fp16,
            Self::Bf16(_) => DataType::Bf16,
            Self::Fp32(_) => DataType::Fp32,
            Self::Fp64(_) => DataType::Fp64,
            Self::Bytes(_) => DataType::Bytes,
        }
    }

    /// Returns how many elements there are.
    pub fn len(&self) -> usize {
        for_each_data!(self, numbers => numbers.len(), strings => strings.len())
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the raw form of the protocol: little-endian numbers; for `BYTES` a u32 length before each element.
    pub fn into_raw(self) -> Bytes {
        for_each_data!(self, numbers => numbers.into_bytes(), strings => {
            let mut raw = BytesMut::with_capacity(strings.iter().map(|it| it.len() + 4).sum());
            for it in &strings {
                raw.put_u32_le(u32::try_from(it.len()).unwrap_or(u32::MAX));
                raw.extend_from_slice(it);
            }
            raw.freeze()
        })
    }

    /// Reads the raw form. `count` is what the shape says; it is checked before anything is allocated.
    ///
    /// # Errors
    /// `InvalidInput` when the bytes are too few, too many, or a length points outside.
    pub fn from_raw(datatype: DataType, raw: Bytes, count: usize, name: &str) -> Result<Self, Error> {
        let Some(size) = datatype.size() else { return Ok(Self::Bytes(raw_strings(&raw, count, name)?)) };
        if count.checked_mul(size) != Some(raw.len()) {
            return Err(Error::invalid(format!(
                "input `{name}` of datatype {datatype} needs {count} elements of {size} bytes, got {} bytes",
                raw.len()
            )));
        }
        if datatype == DataType::Bool && raw.iter().any(|&it| it > 1) {
            return Err(Error::invalid(format!(
                "input `{name}` of datatype BOOL holds a byte that is neither 0 nor 1"
            )));
        }
        Ok(numbers_from_raw(datatype, raw))
    }

    /// Returns the elements as `f64`, or `None` for strings. Every float, and every integer up to 2^53, is exact.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        Some(match self {
            Self::Bool(it) | Self::Uint8(it) => it.iter().map(|&v| f64::from(v)).collect(),
            Self::Uint16(it) => it.iter().map(|&v| f64::from(v)).collect(),
            Self::Uint32(it) => it.iter().map(|&v| f64::from(v)).collect(),
            Self::Uint64(it) => it.iter().map(|&v| v as f64).collect(),
            Self::Int8(it) => it.iter().map(|&v| f64::from(v)).collect(),
            Self::Int16(it) => it.iter().map(|&v| f64::from(v)).collect(),
            Self::Int32(it) => it.iter().map(|&v| f64::from(v)).collect(),
            Self::Int64(it) => it.iter().map(|&v| v as f64).collect(),
            Self::Fp32(it) => it.iter().map(|&v| f64::from(v)).collect(),
            Self::Fp64(it) => it.to_vec(),
            Self::Fp16(it) => it.iter().map(|&v| half::from_fp16(v).into()).collect(),
            Self::Bf16(it) => it.iter().map(|&v| half::from_bf16(v).into()).collect(),
            Self::Bytes(_) => return None,
        })
    }
}

/// Every numeric type from raw bytes whose length the caller has checked.
fn numbers_from_raw(datatype: DataType, raw: Bytes) -> Data {
    const WHOLE: &str = "the length is a whole number of elements, checked by the caller";
    match datatype {
        DataType::Bool => Data::Bool(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Uint8 => Data::Uint8(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Uint16 => Data::Uint16(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Uint32 => Data::Uint32(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Uint64 => Data::Uint64(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Int8 => Data::Int8(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Int16 => Data::Int16(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Int32 => Data::Int32(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Int64 => Data::Int64(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Fp16 => Data::Fp16(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Bf16 => Data::Bf16(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Fp32 => Data::Fp32(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Fp64 => Data::Fp64(Buffer::from_bytes(raw).expect(WHOLE)),
        DataType::Bytes => Data::Bytes(vec![raw]),
    }
}

fn raw_strings(raw: &Bytes, count: usize, name: &str) -> Result<Vec<Bytes>, Error> {
    // Each element takes four bytes at least, so a count beyond that is a lie not worth an allocation.
    let mut strings = Vec::with_capacity(count.min(raw.len() / 4));
    let mut at = 0;
    while at < raw.len() {
        let element = raw.get(at..at + 4).and_then(|head| {
            let length = u32::from_le_bytes(head.try_into().ok()?) as usize;
            let end = (at + 4).checked_add(length)?;
            (end <= raw.len()).then(|| (at + 4, end))
        });
        let Some((start, end)) = element else {
            return Err(Error::invalid(format!(
                "input `{name}` of datatype BYTES: the element at byte {at} runs past the {} bytes sent",
                raw.len()
            )));
        };
        strings.push(raw.slice(start..end));
        at = end;
    }
    if strings.len() != count {
        return Err(Error::invalid(format!(
            "input `{name}` of datatype BYTES needs {count} elements by its shape, got {}",
            strings.len()
        )));
    }
    Ok(strings)
}

/// A named tensor. The product of `shape` is the number of elements in `data`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The name by which the model knows it; may be empty when the protocol gave none.
    pub name: String,
    /// Sizes, outermost first; the first is the rows of the batch.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Data,
    /// Parameters of the protocol.
    pub parameters: Parameters,
}

impl Tensor {
    /// Creates a tensor without parameters.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>, data: Data) -> Self {
        let tensor = Self { name: name.into(), shape: shape.into(), data, parameters: Parameters::default() };
        debug_assert_eq!(elements(&tensor.shape), Some(tensor.data.len()), "shape of `{}`", tensor.name);
        tensor
    }

    /// Creates a tensor of doubles.
    pub fn fp64(name: impl Into<String>, shape: impl Into<Vec<usize>>, values: Vec<f64>) -> Self {
        Self::new(name, shape, Data::Fp64(values.into()))
    }

    /// Creates a tensor of strings.
    pub fn strings(name: impl Into<String>, shape: impl Into<Vec<usize>>, values: Vec<Bytes>) -> Self {
        Self::new(name, shape, Data::Bytes(values))
    }

    /// Returns the element type.
    pub fn datatype(&self) -> DataType {
        self.data.datatype()
    }

    /// Returns the rows of the batch: the first size, or one for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Returns the elements a row has.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

/// The most sizes that a shape read from outside may have. More says nothing, and an answer in V1 nests a list for each.
pub const MAX_RANK: usize = 64;

/// Checks how many sizes a shape has.
///
/// # Errors
/// `TooLarge` naming the tensor and the limit.
pub(crate) fn check_rank(name: &str, rank: usize) -> Result<(), Error> {
    if rank <= MAX_RANK {
        return Ok(());
    }
    let message = format!("input `{name}` has a shape of {rank} sizes or more, the limit is {MAX_RANK}");
    Err(Error::new(Code::TooLarge, message))
}

/// Returns the product of the sizes, or `None` when it overflows, or would but for a size of nought: whoever walks the other
/// sizes may multiply them.
pub fn elements(shape: &[usize]) -> Option<usize> {
    let mut others = shape.iter().filter(|&&size| size > 0);
    let product = others.try_fold(1_usize, |product, &size| product.checked_mul(size))?;
    Some(if shape.contains(&0) { 0 } else { product })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_numbers_are_lent_when_aligned_and_copied_when_not() {
        let bytes = Buffer::from(vec![1.5_f64, -2.0]).into_bytes();
        let lent = Buffer::<f64>::from_bytes(bytes.clone()).unwrap();
        assert_eq!(lent.as_ptr().cast::<u8>(), bytes.as_ptr());
        let mut shifted = vec![0_u8];
        shifted.extend_from_slice(&bytes);
        // Whatever the allocator gave, one of these two offsets is odd.
        for start in [0, 1] {
            let padded = Bytes::from([vec![7; start], bytes.to_vec()].concat()).slice(start..);
            assert_eq!(&*Buffer::<f64>::from_bytes(padded).unwrap(), &[1.5, -2.0]);
        }
        assert!(Buffer::<f64>::from_bytes(Bytes::from_static(&[0; 9])).is_none());
    }

    #[test]
    fn sizes_are_multiplied_without_overflow_wherever_a_nought_stands() {
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[3, 0, 5]), Some(0));
        for shape in [[1 << 40, 1 << 40, 0], [0, 1 << 40, 1 << 40]] {
            assert_eq!(elements(&shape), None);
        }
    }

    #[test]
    fn raw_strings_come_back_and_lies_are_refused() {
        let data = Data::Bytes(vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")]);
        let raw = data.clone().into_raw();
        assert_eq!(Data::from_raw(DataType::Bytes, raw.clone(), 3, "x"), Ok(data));
        assert!(Data::from_raw(DataType::Bytes, raw.clone(), 4, "x").is_err());
        assert!(Data::from_raw(DataType::Bytes, raw.slice(..raw.len() - 1), 3, "x").is_err());
        let error = Data::from_raw(DataType::Fp32, Bytes::from_static(&[0; 12]), 4, "x").unwrap_err();
        assert_eq!(error.message, "input `x` of datatype FP32 needs 4 elements of 4 bytes, got 12 bytes");
    }
}
