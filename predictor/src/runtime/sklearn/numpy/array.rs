//! Arrays, however they were written: by joblib, by `ndarray.__reduce__` (protocols 0 to 4) or by `_frombuffer` (protocol 5).

use std::borrow::Cow;

use super::super::pickle::{Node, RawArray};
use super::super::refusal::Refusal;
use super::super::view::View;
use super::{Dtype, Kind, texts_of};
use crate::runtime::texts::Texts;

/// An array whose elements were found, and are as many as its shape says.
#[derive(Debug, Clone)]
pub(crate) struct Array<'d> {
    /// Sizes, outermost first.
    pub(crate) shape: Vec<usize>,
    dtype: Dtype,
    fortran: bool,
    cells: Cells<'d>,
    view: View<'d>,
}

#[derive(Debug, Clone)]
enum Cells<'d> {
    /// Elements `stride` bytes apart, of which the wanted part begins `offset` bytes in.
    Raw {
        bytes: Cow<'d, [u8]>,
        stride: usize,
        offset: usize,
    },
    Objects(View<'d>),
}

/// Elements as Rust has them, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Elements {
    Bools(Vec<bool>),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Texts),
}

/// Returns a numpy scalar as a number.
pub(crate) fn scalar(view: View<'_>) -> Option<f64> {
    let (dtype, bytes) = cell_of(view)?;
    number(&dtype, &bytes)
}

/// Returns a numpy scalar as a text.
pub(crate) fn scalar_text(view: View<'_>) -> Option<Vec<u8>> {
    let (dtype, bytes) = cell_of(view)?;
    let mut text = Vec::new();
    if dtype.kind == Kind::Text { utf32(&dtype, &bytes, &mut text).map(|()| text) } else { None }
}

/// Returns the description of a numpy scalar and its bytes.
fn cell_of(view: View<'_>) -> Option<(Dtype, Cow<'_, [u8]>)> {
    let object = view.object()?;
    let ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") = view.at(object.class).global()?
    else {
        return None;
    };
    let args = view.at(object.args);
    let dtype = Dtype::read(args.item(0)?).ok()?;
    let bytes = args.item(1)?.bytes()?;
    (bytes.len() == dtype.size).then_some((dtype, bytes))
}

impl<'d> Array<'d> {
    /// Reads the array that stands there.
    ///
    /// # Errors
    /// `Malformed` when there is none, or it holds more or less than its shape says; `Unsupported` for a layout of memory
    /// that is neither C's nor Fortran's.
    pub(crate) fn read(view: View<'d>) -> Result<Self, Refusal> {
        let wrong = || Refusal::malformed(format!("an array is expected, met {}", view.kind()));
        if let Node::Array(raw) = view.node() {
            return Self::raw(view, raw);
        }
        let object = view.object().ok_or_else(wrong)?;
        match view.at(object.class).global().ok_or_else(wrong)? {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Self::from_state(view, view.at(object.state.ok_or_else(wrong)?))
            }
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => {
                Self::from_buffer(view, view.at(object.args))
            }
            ("dill._dill" | "dill.dill", "_create_array") => Self::from_dill(view, view.at(object.args)),
            _ => Err(wrong()),
        }
    }

    /// `(numpy's function, its arguments, state, attributes)`, as dill writes arrays; numpy's own have no attributes.
    fn from_dill(view: View<'d>, args: View<'d>) -> Result<Self, Refusal> {
        let plain = args.item(3).is_none_or(|it| it.is_none() || it.is_empty_dict());
        let wrong = || Refusal::malformed("an array of dill's that is none of numpy's own");
        Self::from_state(view, args.item(2).filter(|_| plain).ok_or_else(wrong)?)
    }

    fn raw(view: View<'d>, raw: &'d RawArray<'d>) -> Result<Self, Refusal> {
        let dtype = Dtype::read(view.at(raw.dtype))?;
        Self::of_bytes(view, dtype, raw.shape.clone(), raw.fortran, Cow::Borrowed(raw.data))
    }

    /// `(version, shape, dtype, is_fortran, bytes or list)`; numpy of the last century had no version.
    fn from_state(view: View<'d>, state: View<'d>) -> Result<Self, Refusal> {
        let wrong = || Refusal::malformed("the state of a numpy.ndarray that numpy would refuse");
        let first = state.items().and_then(|items| items.len().checked_sub(4)).ok_or_else(wrong)?;
        let part = |at: usize| state.item(first + at).ok_or_else(wrong);
        let shape = part(0)?.shape().ok_or_else(wrong)?;
        let dtype = Dtype::read(part(1)?)?;
        let fortran =
            part(2)?.boolean().or_else(|| Some(state.item(first + 2)?.int()? != 0)).ok_or_else(wrong)?;
        let data = part(3)?;
        if dtype.kind != Kind::Object {
            return Self::of_bytes(view, dtype, shape, fortran, data.bytes().ok_or_else(wrong)?);
        }
        let count = data.count().ok_or_else(wrong)?;
        if product(&shape) != Some(count) {
            return Err(miscounted(&shape, &dtype, count, "objects"));
        }
        Ok(Self { shape, dtype, fortran, cells: Cells::Objects(data), view })
    }

    /// `(buffer, dtype, shape, order)`.
    fn from_buffer(view: View<'d>, args: View<'d>) -> Result<Self, Refusal> {
        let wrong = || Refusal::malformed("arguments of numpy's _frombuffer that numpy would refuse");
        let part = |at: usize| args.item(at).ok_or_else(wrong);
        let bytes = part(0)?.bytes().ok_or_else(wrong)?;
        let dtype = Dtype::read(part(1)?)?;
        let shape = part(2)?.shape().ok_or_else(wrong)?;
        let fortran = match part(3)?.text() {
            Some("C") => false,
            Some("F") => true,
            _ => {
                return Err(Refusal::unsupported(
                    "an array in neither C nor Fortran order",
                    "save a contiguous copy of it",
                ));
            }
        };
        Self::of_bytes(view, dtype, shape, fortran, bytes)
    }

    fn of_bytes(
        view: View<'d>,
        dtype: Dtype,
        shape: Vec<usize>,
        fortran: bool,
        bytes: Cow<'d, [u8]>,
    ) -> Result<Self, Refusal> {
        // An element of no bytes could be there any number of times.
        let stride = dtype.size.max(1);
        if product(&shape).and_then(|count| count.checked_mul(stride)) != Some(bytes.len()) {
            return Err(miscounted(&shape, &dtype, bytes.len(), "bytes"));
        }
        Ok(Self { shape, dtype, fortran, cells: Cells::Raw { bytes, stride, offset: 0 }, view })
    }

    /// Returns how many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns whether the elements are 32-bit floats.
    pub(crate) fn is_single(&self) -> bool {
        self.dtype.kind == Kind::Float && self.dtype.size == 4
    }

    /// Returns the array of one field of a record.
    pub(crate) fn field(&self, name: &str) -> Option<Array<'_>> {
        let (Kind::Record(fields), Cells::Raw { bytes, stride, .. }) = (&self.dtype.kind, &self.cells) else {
            return None;
        };
        let field = fields.iter().find(|field| field.name == name)?;
        let cells = Cells::Raw { bytes: Cow::Borrowed(bytes), stride: *stride, offset: field.offset };
        Some(Array {
            shape: self.shape.clone(),
            dtype: field.dtype.clone(),
            fortran: self.fortran,
            cells,
            view: self.view,
        })
    }

    /// Returns whether every element is a number that a 32-bit float holds exactly.
    pub(crate) fn is_narrow(&self) -> bool {
        let widest = match self.dtype.kind {
            Kind::Float => 4,
            Kind::Bool | Kind::Int | Kind::Unsigned => 2,
            _ => 0,
        };
        matches!(self.cells, Cells::Raw { .. }) && self.dtype.size <= widest
    }

    /// Calls with each element as a number, row-major, and with its place.
    ///
    /// # Errors
    /// `Malformed` when they are none.
    pub(crate) fn each_number(&self, mut call: impl FnMut(usize, f64)) -> Result<(), Refusal> {
        let Cells::Raw { bytes, stride, offset } = &self.cells else {
            self.floats()?.into_iter().enumerate().for_each(|(at, value)| call(at, value));
            return Ok(());
        };
        for (at, place) in self.row_major().enumerate() {
            let start = place * stride + offset;
            let cell = bytes.get(start..start + self.dtype.size);
            let value = cell.and_then(|it| number(&self.dtype, it)).ok_or_else(|| self.no_numbers())?;
            call(at, value);
        }
        Ok(())
    }

    fn no_numbers(&self) -> Refusal {
        Refusal::malformed(format!("an array of numbers is expected, met one of {}", self.dtype.name()))
    }

    /// Returns the elements as numbers, row-major.
    ///
    /// # Errors
    /// `Malformed` when they are none.
    pub(crate) fn floats(&self) -> Result<Vec<f64>, Refusal> {
        let wrong = || self.no_numbers();
        match &self.cells {
            Cells::Raw { .. } => {
                self.view.charge(self.len().saturating_mul(8))?;
                self.raw_elements(number).ok_or_else(wrong)
            }
            Cells::Objects(list) => self.objects(*list, View::number)?.ok_or_else(wrong),
        }
    }

    /// Returns the elements as integers, row-major.
    ///
    /// # Errors
    /// `Malformed` when they are none, or beyond 64 bits.
    pub(crate) fn ints(&self) -> Result<Vec<i64>, Refusal> {
        let wrong = || {
            Refusal::malformed(format!("an array of integers is expected, met one of {}", self.dtype.name()))
        };
        match &self.cells {
            Cells::Raw { .. } => {
                self.view.charge(self.len().saturating_mul(8))?;
                self.raw_elements(integer).ok_or_else(wrong)
            }
            Cells::Objects(list) => self.objects(*list, View::int)?.ok_or_else(wrong),
        }
    }

    /// Returns the elements as what they are, row-major.
    ///
    /// # Errors
    /// `Unsupported` when they are neither booleans, numbers nor strings, or not all alike.
    pub(crate) fn elements(&self) -> Result<Elements, Refusal> {
        let wrong = || {
            let what = format!(
                "an array of {} where booleans, numbers or strings, all alike, are expected",
                self.dtype.name()
            );
            Refusal::unsupported(what, "encode the values as one of these before fitting")
        };
        let (list, kind) = match (&self.cells, &self.dtype.kind) {
            (Cells::Objects(list), _) => return self.object_elements(*list)?.ok_or_else(wrong),
            (Cells::Raw { .. }, Kind::Float) => return self.floats().map(Elements::Floats),
            (Cells::Raw { bytes, stride, offset }, kind) => ((bytes, stride, offset), kind),
        };
        let (bytes, stride, offset) = list;
        let cell = |at: usize| {
            let start = at.checked_mul(*stride)?.checked_add(*offset)?;
            bytes.get(start..start.checked_add(self.dtype.size)?)
        };
        let texts = |write: fn(&Dtype, &[u8], &mut Vec<u8>) -> Option<()>| {
            texts_of(self.row_major(), self.view, |at, out| write(&self.dtype, cell(at)?, out))
        };
        match kind {
            Kind::Bool => {
                self.view.charge(self.len())?;
                self.raw_elements(|_, cell| Some(cell[0] != 0)).map(Elements::Bools)
            }
            Kind::Int | Kind::Unsigned => {
                self.view.charge(self.len().saturating_mul(8))?;
                self.raw_elements(integer).map(Elements::Ints)
            }
            Kind::Text => texts(utf32)?.map(Elements::Texts),
            Kind::Bytes => texts(unfilled)?.map(Elements::Texts),
            Kind::Float | Kind::Object | Kind::Record(_) | Kind::Other(_) => None,
        }
        .ok_or_else(wrong)
    }

    /// Returns the elements of an array of objects, row-major.
    pub(crate) fn members(&self) -> Option<impl ExactSizeIterator<Item = View<'d>>> {
        let Cells::Objects(list) = &self.cells else { return None };
        let members = self.objects(*list, Some).ok()??;
        Some(members.into_iter())
    }

    fn object_elements(&self, list: View<'d>) -> Result<Option<Elements>, Refusal> {
        let Some(first) = list.item(0) else { return Ok(None) };
        let is_text = match first.node() {
            Node::Text(_) => true,
            Node::Object(_) => first.string().is_some(),
            _ => false,
        };
        if is_text {
            return Ok(self.texts_of(list)?.map(Elements::Texts));
        }
        Ok(match first.node() {
            Node::Object(_) | Node::Float(_) => self.objects(list, View::number)?.map(Elements::Floats),
            Node::Bool(_) => self.objects(list, View::boolean)?.map(Elements::Bools),
            Node::Int(_) => self.objects(list, View::int)?.map(Elements::Ints),
            _ => None,
        })
    }

    /// Returns the elements of an array of objects that are all texts, but for so many at its end.
    pub(crate) fn texts_but(&self, last: usize) -> Result<Option<Texts>, Refusal> {
        let Cells::Objects(list) = &self.cells else { return Ok(None) };
        if self.shape.len() != 1 {
            return Ok(None);
        }
        let wanted = self.len().saturating_sub(last);
        let Some(members) = list.children() else { return Ok(None) };
        texts_of(First { members, left: wanted }, self.view, View::write)
    }

    fn texts_of(&self, list: View<'d>) -> Result<Option<Texts>, Refusal> {
        let Some(members) = list.children() else { return Ok(None) };
        if !self.fortran {
            return texts_of(members, self.view, View::write);
        }
        let Some(members) = self.objects(list, Some)? else { return Ok(None) };
        texts_of(members.into_iter(), self.view, View::write)
    }

    fn raw_elements<T>(&self, read: impl Fn(&Dtype, &[u8]) -> Option<T>) -> Option<Vec<T>> {
        let Cells::Raw { bytes, stride, offset } = &self.cells else { return None };
        let cell = |at: usize| {
            let start = at.checked_mul(*stride)?.checked_add(*offset)?;
            read(&self.dtype, bytes.get(start..start.checked_add(self.dtype.size)?)?)
        };
        let mut out = Vec::with_capacity(self.len());
        for at in self.row_major() {
            out.push(cell(at)?);
        }
        Some(out)
    }

    fn objects<T>(
        &self,
        list: View<'d>,
        read: impl Fn(View<'d>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Refusal> {
        let Some(members) = list.children() else { return Ok(None) };
        self.view.charge(members.len().saturating_mul(size_of::<T>()))?;
        let mut out = Vec::with_capacity(members.len());
        if !self.fortran {
            for member in members {
                let Some(value) = read(member) else { return Ok(None) };
                out.push(value);
            }
            return Ok(Some(out));
        }
        self.view.charge(members.len().saturating_mul(size_of::<View<'d>>()))?;
        let items: Vec<View<'d>> = members.collect();
        for at in self.row_major() {
            let Some(value) = items.get(at).and_then(|it| read(*it)) else { return Ok(None) };
            out.push(value);
        }
        Ok(Some(out))
    }

    /// Returns where each element lies in memory, in row-major order.
    fn row_major(&self) -> impl ExactSizeIterator<Item = usize> + Clone {
        let strides: Vec<usize> = if self.fortran {
            self.shape
                .iter()
                .scan(1, |stride, &size| Some(std::mem::replace(stride, *stride * size)))
                .collect()
        } else {
            Vec::new()
        };
        (0..self.len()).map(move |at| {
            if strides.is_empty() {
                return at;
            }
            let mut rest = at;
            let mut place = 0;
            for (size, stride) in self.shape.iter().zip(&strides).rev() {
                place += rest % size * stride;
                rest /= size;
            }
            place
        })
    }
}

fn product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

fn miscounted(shape: &[usize], dtype: &Dtype, found: usize, unit: &str) -> Refusal {
    Refusal::malformed(format!("an array of {} of shape {shape:?} with {found} {unit}", dtype.name()))
}

/// Reads an integer or boolean. The cell has the size of the type.
fn integer(dtype: &Dtype, cell: &[u8]) -> Option<i64> {
    let wide = wide(dtype, cell)?;
    let unused = 64 - 8 * u32::try_from(dtype.size).ok()?;
    match dtype.kind {
        Kind::Bool => Some((wide != 0).into()),
        Kind::Int => Some((wide << unused).cast_signed() >> unused),
        Kind::Unsigned => i64::try_from(wide).ok(),
        _ => None,
    }
}

/// Reads any number. The cell has the size of the type.
fn number(dtype: &Dtype, cell: &[u8]) -> Option<f64> {
    match (&dtype.kind, dtype.size) {
        (Kind::Float, 2) => Some(half(u16::try_from(wide(dtype, cell)?).ok()?)),
        (Kind::Float, 4) => Some(f32::from_bits(u32::try_from(wide(dtype, cell)?).ok()?).into()),
        (Kind::Float, 8) => Some(f64::from_bits(wide(dtype, cell)?)),
        (Kind::Unsigned, _) => wide(dtype, cell).map(|it| it as f64),
        _ => integer(dtype, cell).map(|it| it as f64),
    }
}

/// Returns the bits of a cell of one to eight bytes.
fn wide(dtype: &Dtype, cell: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    if cell.is_empty() {
        return None;
    }
    bytes.get_mut(..cell.len())?.copy_from_slice(cell);
    if dtype.big_endian {
        bytes[..cell.len()].reverse();
    }
    Some(u64::from_le_bytes(bytes))
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3ff);
    sign * match bits >> 10 & 0x1f {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1024.0 + fraction) * 2_f64.powi(i32::from(exponent) - 25),
    }
}

fn utf32(dtype: &Dtype, cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (words, _) = cell.as_chunks::<4>();
    let word =
        |it: &[u8; 4]| if dtype.big_endian { u32::from_be_bytes(*it) } else { u32::from_le_bytes(*it) };
    let length = words.iter().rposition(|it| word(it) != 0).map_or(0, |last| last + 1);
    for it in &words[..length] {
        let letter = char::from_u32(word(it))?;
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(())
}

fn unfilled(_: &Dtype, cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let length = cell.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    out.extend_from_slice(&cell[..length]);
    Some(())
}

/// The first few members of a list.
#[derive(Clone)]
struct First<I> {
    members: I,
    left: usize,
}

impl<I: Iterator> Iterator for First<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.left = self.left.checked_sub(1)?;
        self.members.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for First<I> {}

#[cfg(test)]
mod tests {
    use super::super::super::pickle;
    use super::*;

    /// Pickles an array as protocol 0 does. `bytes` are escaped as in a Python string.
    fn pickled(code: &str, order: &str, shape: &str, fortran: u8, bytes: &str) -> String {
        format!(
            "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n({shape}tcnumpy\ndtype\n(S'{code}'\ntR\
             (I3\nS'{order}'\nNNNI-1\nI-1\nI0\ntbI0{fortran}\nS'{bytes}'\ntb."
        )
    }

    fn check(file: &str, want: &str) {
        let doc = pickle::read(file.as_bytes(), file.len()).unwrap();
        let got = Array::read(doc.root()).and_then(|array| array.elements());
        let got = got.map_or_else(|refusal| format!("{refusal:?}"), |elements| format!("{elements:?}"));
        assert_eq!(got, want, "{file}");
    }

    #[test]
    fn elements_of_every_type() {
        check(&pickled("b1", "|", "I2\n", 0, r"\x01\x00"), "Bools([true, false])");
        check(&pickled("i1", "|", "I2\n", 0, r"\xff\x7f"), "Ints([-1, 127])");
        check(&pickled("i2", ">", "I2\n", 0, r"\x80\x00\x00\x01"), "Ints([-32768, 1])");
        check(&pickled("u2", "<", "I1\n", 0, r"\xff\xff"), "Ints([65535])");
        check(
            &pickled("f2", "<", "I3\n", 0, r"\x00\x3c\x01\x00\x00\xfc"),
            "Floats([1.0, 5.960464477539063e-8, -inf])",
        );
        check(&pickled("f4", ">", "I1\n", 0, r"\xc0\x20\x00\x00"), "Floats([-2.5])");
        check(&pickled("S3", "|", "I2\n", 0, r"ab\x00abc"), "Texts([[97, 98], [97, 98, 99]])");
        check(
            &pickled("U1", ">", "I2\n", 0, r"\x00\x00\x20\xac\x00\x00\x00\x00"),
            "Texts([[226, 130, 172], []])",
        );
        check(&pickled("i1", "|", "I2\nI3\n", 1, r"\x00\x01\x02\x03\x04\x05"), "Ints([0, 2, 4, 1, 3, 5])");
        check(&pickled("f8", "<", "I0\n", 0, ""), "Floats([])");
    }

    #[test]
    fn arrays_that_do_not_add_up_are_refused() {
        let miscounted = "Malformed(\"an array of float64 of shape [2] with 8 bytes\")";
        check(&pickled("f8", "<", "I2\n", 0, "12345678"), miscounted);
        let overflow = "Malformed(\"an array of int8 of shape [4294967296, 4294967296, 0] with 0 bytes\")";
        check(&pickled("i1", "|", "I4294967296\nI4294967296\nI0\n", 0, ""), overflow);
        check(
            &pickled("U0", "<", "I1000000000\n", 0, ""),
            "Malformed(\"an array of U0 of shape [1000000000] with 0 bytes\")",
        );
        let complex = "an array of c16 where booleans, numbers or strings, all alike, are expected";
        let doc = pickled("c16", "<", "I1\n", 0, "1234567812345678");
        check(
            &doc,
            &format!(
                "Unsupported {{ what: {complex:?}, advice: \"encode the values as one of these before fitting\" }}"
            ),
        );
    }

    #[test]
    fn a_file_cannot_ask_for_its_arrays_without_end() {
        let file = pickled("i1", "|", "I4000\n", 0, &"x".repeat(4000));
        let doc = pickle::read(file.as_bytes(), file.len()).unwrap();
        let array = Array::read(doc.root()).unwrap();
        let taken = (0..1000).take_while(|_| array.floats().is_ok()).count();
        assert!((20..100).contains(&taken), "{taken}");
    }
}
