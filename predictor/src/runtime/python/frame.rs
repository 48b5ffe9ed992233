//! Messages between the predictor and a worker: named texts and raw tensors, with a length before everything. What a worker says
//! is outside bytes: code of the model's runs there.
//!
//! A message begins with 16 bytes: version, kind, u16 number of fields, u32 number of tensors, u64 length of the rest. Then come
//! the fields (u32 length of the name, u32 length of the value, both), the heads of the tensors (u8 datatype, u8 number of sizes,
//! u16 length of the name, u32 nought, u64 length of the data, u64 each size, the name), and the data of each, from the next
//! multiple of eight on. Numbers are little-endian; elements of `BYTES` have a u32 length before each.

use std::borrow::Cow;
use std::io::{Read, Write};

use bytes::Bytes;
use weir_proto::tensor::{MAX_RANK, elements};
use weir_sdk::{Data, DataType, Tensor};

/// The version of this form, the first byte of every message.
pub const VERSION: u8 = 1;
/// The length of what stands before the rest.
pub const HEAD: usize = 16;
/// The most bytes that follow the head.
pub const LONGEST: u64 = 2 << 30;
const MAX_FIELDS: usize = 256;
const MAX_TENSORS: usize = 16_384;
/// What is read at once, before more is allocated: a length that lies costs no more.
const STEP: u64 = 4 << 20;
const ALIGN: usize = 8;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To the worker: load the model.
    Load,
    /// To the worker: predict from these tensors.
    Predict,
    /// To the worker: answer a request that the model gets whole.
    Ask,
    /// From the worker: what was asked for.
    Done,
    /// From the worker: what went wrong, in the fields `code` and `message`.
    Failed,
}

impl Kind {
    const ALL: [(u8, Self); 5] =
        [(1, Self::Load), (2, Self::Predict), (3, Self::Ask), (128, Self::Done), (129, Self::Failed)];

    fn number(self) -> u8 {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or(0, |(number, _)| number)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Named texts and bytes. A name may come several times.
    pub fields: Vec<(String, Bytes)>,
    /// Tensors, in the order they mean something in.
    pub tensors: Vec<Tensor>,
}

impl Frame {
    /// Creates a message without tensors.
    pub fn new(kind: Kind) -> Self {
        Self { kind, fields: Vec::new(), tensors: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// Returns the last field of that name.
    pub fn field(&self, name: &str) -> Option<&Bytes> {
        self.fields.iter().rfind(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Returns the last field of that name as text; what is no UTF-8 is replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        self.field(name).map(|it| String::from_utf8_lossy(it).into_owned())
    }

    /// Reads one message.
    ///
    /// # Errors
    /// [`std::io::Error`] of the stream, `UnexpectedEof` when it ends, `InvalidData` with what is wrong of the bytes.
    pub fn read(from: &mut impl Read) -> std::io::Result<Self> {
        let mut head = [0; HEAD];
        from.read_exact(&mut head)?;
        let wrong = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
        let length = length_of(&head).map_err(wrong)?;
        let mut rest = Vec::new();
        while (rest.len() as u64) < length {
            let step = STEP.max(rest.len() as u64).min(length - rest.len() as u64);
            let before = rest.len();
            rest.reserve_exact(usize::try_from(step).unwrap_or(0));
            from.by_ref().take(step).read_to_end(&mut rest)?;
            if rest.len() == before {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Self::decode(&head, &Bytes::from(rest)).map_err(wrong)
    }

    /// Reads a message out of its head and the rest.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn decode(head: &[u8; HEAD], rest: &Bytes) -> Result<Self, String> {
        if length_of(head)? != rest.len() as u64 {
            return Err(format!("a message of {} bytes says another length", rest.len()));
        }
        let kind = Kind::ALL.into_iter().find(|(number, _)| *number == head[1]);
        let (_, kind) = kind.ok_or_else(|| format!("a message of kind {}, which there is not", head[1]))?;
        let fields = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let tensors = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if fields > MAX_FIELDS || tensors > MAX_TENSORS {
            return Err(format!(
                "a message of {fields} fields and {tensors} tensors; {MAX_FIELDS} and {MAX_TENSORS} are the most"
            ));
        }
        let mut frame = Self::new(kind);
        let mut walk = Walk { rest, at: 0 };
        for _ in 0..fields {
            let (name, value) = (walk.u32()? as usize, walk.u32()? as usize);
            let name = walk.text(name)?;
            frame.fields.push((name, walk.take(value)?));
        }
        let mut heads = Vec::new();
        for _ in 0..tensors {
            heads.push(TensorHead::read(&mut walk)?);
        }
        for head in heads {
            walk.align()?;
            frame.tensors.push(head.with_data(&mut walk)?);
        }
        if walk.at != rest.len() {
            return Err(format!("a message of {} bytes ends at byte {}", rest.len(), walk.at));
        }
        Ok(frame)
    }

    /// Writes the message. The numbers of tensors are not copied.
    ///
    /// # Errors
    /// [`std::io::Error`] of the stream, `InvalidInput` for a message beyond the limits.
    pub fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        write(to, self.kind, &self.fields, &self.tensors)
    }
}

/// Writes a message of borrowed tensors.
pub(super) fn write(
    to: &mut impl Write,
    kind: Kind,
    fields: &[(String, Bytes)],
    tensors: &[Tensor],
) -> std::io::Result<()> {
    let too_much =
        || std::io::Error::new(std::io::ErrorKind::InvalidInput, "the request is larger than a worker takes");
    if fields.len() > MAX_FIELDS || tensors.len() > MAX_TENSORS {
        return Err(too_much());
    }
    let mut heads = vec![0; HEAD];
    for (name, value) in fields {
        heads.extend(u32::try_from(name.len()).map_err(|_| too_much())?.to_le_bytes());
        heads.extend(u32::try_from(value.len()).map_err(|_| too_much())?.to_le_bytes());
        heads.extend(name.as_bytes());
        heads.extend(value);
    }
    let data: Vec<Cow<'_, [u8]>> = tensors.iter().map(raw).collect();
    for (tensor, data) in tensors.iter().zip(&data) {
        let datatype = DataType::ALL.iter().position(|it| *it == tensor.datatype()).unwrap_or_default();
        heads.push(u8::try_from(datatype).map_err(|_| too_much())?);
        heads.push(u8::try_from(tensor.shape.len()).map_err(|_| too_much())?);
        heads.extend(u16::try_from(tensor.name.len()).map_err(|_| too_much())?.to_le_bytes());
        heads.extend([0; 4]);
        heads.extend((data.len() as u64).to_le_bytes());
        for &size in &tensor.shape {
            heads.extend((size as u64).to_le_bytes());
        }
        heads.extend(tensor.name.as_bytes());
    }
    let mut length = heads.len() - HEAD;
    for data in &data {
        length = length.next_multiple_of(ALIGN) + data.len();
    }
    if length as u64 > LONGEST {
        return Err(too_much());
    }
    let counts = (u16::try_from(fields.len()), u32::try_from(tensors.len()));
    let (Ok(fields), Ok(tensors)) = counts else { return Err(too_much()) };
    heads[0] = VERSION;
    heads[1] = kind.number();
    heads[2..4].copy_from_slice(&fields.to_le_bytes());
    heads[4..8].copy_from_slice(&tensors.to_le_bytes());
    heads[8..16].copy_from_slice(&(length as u64).to_le_bytes());
    let mut at = heads.len() - HEAD;
    to.write_all(&heads)?;
    for data in &data {
        let pad = at.next_multiple_of(ALIGN) - at;
        to.write_all(&[0; ALIGN][..pad])?;
        to.write_all(data)?;
        at += pad + data.len();
    }
    to.flush()
}

/// The raw form of a tensor: numbers as they lie in memory.
fn raw(tensor: &Tensor) -> Cow<'_, [u8]> {
    weir_proto::for_each_data!(
        &tensor.data,
        numbers => Cow::Borrowed(numbers.as_bytes()),
        strings => Cow::Owned(Data::Bytes(strings.clone()).into_raw().into())
    )
}

fn length_of(head: &[u8; HEAD]) -> Result<u64, String> {
    if head[0] != VERSION {
        return Err(format!("a message of version {}, expected {VERSION}", head[0]));
    }
    let mut length = [0; 8];
    length.copy_from_slice(&head[8..]);
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(format!("a message of {length} bytes; {LONGEST} are the most"));
    }
    Ok(length)
}

struct TensorHead {
    name: String,
    datatype: DataType,
    shape: Vec<usize>,
    length: usize,
}

impl TensorHead {
    fn read(walk: &mut Walk<'_>) -> Result<Self, String> {
        let start = walk.take(8)?;
        let (datatype, rank) = (usize::from(start[0]), usize::from(start[1]));
        let name = usize::from(u16::from_le_bytes([start[2], start[3]]));
        let datatype = *DataType::ALL.get(datatype).ok_or_else(|| format!("a tensor of type {datatype}"))?;
        if rank > MAX_RANK {
            return Err(format!("a tensor of {rank} sizes; {MAX_RANK} are the most"));
        }
        let length = walk.size()?;
        let shape = (0..rank).map(|_| walk.size()).collect::<Result<_, _>>()?;
        Ok(Self { name: walk.text(name)?, datatype, shape, length })
    }

    fn with_data(self, walk: &mut Walk<'_>) -> Result<Tensor, String> {
        let Self { name, datatype, shape, length } = self;
        let count = elements(&shape).ok_or_else(|| format!("tensor `{name}` has shape {shape:?}"))?;
        let raw = walk.take(length)?;
        let data = Data::from_raw(datatype, raw, count, &name).map_err(|error| error.message)?;
        Ok(Tensor::new(name, shape, data))
    }
}

/// Reads what follows the head, from the start.
struct Walk<'b> {
    rest: &'b Bytes,
    at: usize,
}

impl Walk<'_> {
    fn take(&mut self, length: usize) -> Result<Bytes, String> {
        let end = self.at.checked_add(length).filter(|&it| it <= self.rest.len());
        let end = end.ok_or_else(|| {
            format!("{length} bytes from byte {} on run past the message's {}", self.at, self.rest.len())
        })?;
        let taken = self.rest.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self) -> Result<(), String> {
        let pad = self.take(self.at.next_multiple_of(ALIGN) - self.at)?;
        if pad.iter().any(|&it| it != 0) {
            return Err(format!("bytes before byte {} are not nought", self.at));
        }
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, String> {
        let taken = self.take(4)?;
        Ok(u32::from_le_bytes([taken[0], taken[1], taken[2], taken[3]]))
    }

    fn size(&mut self) -> Result<usize, String> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.take(8)?);
        let size = u64::from_le_bytes(bytes);
        usize::try_from(size).map_err(|_| format!("a size of {size}"))
    }

    fn text(&mut self, length: usize) -> Result<String, String> {
        let taken = self.take(length)?;
        let text = std::str::from_utf8(&taken).map_err(|_| "a name that is no UTF-8".to_owned())?;
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let mut frame = Frame::new(Kind::Predict).with("name", "value").with("empty", Bytes::new());
        frame.tensors.push(Tensor::new("x", [2, 3], Data::Fp32(vec![1.5; 6].into())));
        frame.tensors.push(Tensor::strings("s", [2], vec!["ab".into(), Bytes::new()]));
        frame.tensors.push(Tensor::new("none", [0, 4], Data::Int64(Vec::new().into())));
        frame.tensors.push(Tensor::new("scalar", [], Data::Bool(vec![1].into())));
        frame
    }

    fn written(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = written(&frame());
        assert_eq!(Frame::read(&mut bytes.as_slice()).unwrap(), frame());
        assert_eq!(frame().text("name").as_deref(), Some("value"));
    }

    #[test]
    fn what_is_cut_or_lies_is_refused() {
        let bytes = written(&frame());
        for end in 0..bytes.len() {
            assert!(Frame::read(&mut &bytes[..end]).is_err(), "cut at {end}");
        }
        let lying = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            Frame::read(&mut bytes.as_slice()).unwrap_err().to_string()
        };
        assert_eq!(lying(0, 2), "a message of version 2, expected 1");
        assert_eq!(lying(1, 9), "a message of kind 9, which there is not");
        assert!(lying(14, 1).contains("are the most"));
        assert!(lying(4, 3).contains("ends at byte") || lying(4, 3).contains("not nought"));
    }
}
