//! Rows of several requests as one tensor, and a tensor cut into each request's own rows again.

use bytemuck::Pod;

use crate::{Buffer, Data, Tensor};

/// Calls a macro with every kind of numbers, and what else it is told.
macro_rules! of_kinds {
    ($name:ident, $($told:tt)*) => {
        $name!(Bool Uint8 Uint16 Uint32 Uint64 Int8 Int16 Int32 Int64 Fp16 Bf16 Fp32 Fp64; $($told)*)
    };
}

macro_rules! joined {
    ($($kind:ident)*; $parts:expr, $layout:expr) => {
        match &$parts[0].data {
            $(Data::$kind(_) => {
                let numbers = $parts.iter().filter_map(|it| match &it.data {
                    Data::$kind(it) => Some(&**it),
                    _ => None,
                });
                Data::$kind(joined(numbers, $layout).into())
            })*
            Data::Bytes(_) => {
                let texts = $parts.iter().filter_map(|it| match &it.data {
                    Data::Bytes(it) => Some(it.as_slice()),
                    _ => None,
                });
                Data::Bytes(joined(texts, $layout))
            }
        }
    };
}

macro_rules! pieces {
    ($($kind:ident)*; $data:expr, $width:expr, $rows:expr) => {
        match $data {
            $(Data::$kind(it) => slices(it, $width, $rows).into_iter().map(Data::$kind).collect(),)*
            Data::Bytes(texts) => {
                let mut texts = texts.into_iter();
                $rows.iter().map(|it| Data::Bytes(texts.by_ref().take(it * $width).collect())).collect()
            }
        }
    };
}

/// Puts the rows of tensors of one data type and one size of row below each other, and the very first row `padding` times below
/// them all. The name is the first one's.
///
/// Returns `None` without tensors, or when they differ.
#[must_use]
pub fn stack(parts: &[&Tensor], padding: usize) -> Option<Tensor> {
    let (first, width) = (*parts.first()?, parts.first()?.row_len());
    let alike = |it: &&&Tensor| {
        it.datatype() == first.datatype()
            && !it.shape.is_empty()
            && it.shape.get(1..) == first.shape.get(1..)
            && it.data.len() == it.rows() * width
    };
    if parts.iter().filter(alike).count() < parts.len() || padding > 0 && first.rows() == 0 {
        return None;
    }
    let rows = parts.iter().map(|it| it.rows()).sum::<usize>() + padding;
    let data = of_kinds!(joined, parts, (width, rows, padding));
    let mut shape = first.shape.clone();
    shape[0] = rows;
    Some(Tensor::new(first.name.clone(), shape, data))
}

/// Elements of all the parts, and the first row of them so many times more.
fn joined<'p, T: Clone + 'p>(
    parts: impl Iterator<Item = &'p [T]>,
    (width, rows, padding): (usize, usize, usize),
) -> Vec<T> {
    let mut all = Vec::with_capacity(rows * width);
    parts.for_each(|it| all.extend_from_slice(it));
    (0..padding).for_each(|_| all.extend_from_within(..width));
    all
}

/// Cuts a tensor into pieces of so many rows each, in their order; rows beyond them fall away. Numbers are not copied.
///
/// Returns `None` when it has fewer rows.
#[must_use]
pub fn cut(tensor: Tensor, rows: &[usize]) -> Option<Vec<Tensor>> {
    let width = tensor.row_len();
    let total = rows.iter().sum::<usize>();
    if tensor.shape.is_empty() || total > tensor.rows() || tensor.data.len() < total * width {
        return None;
    }
    let Tensor { name, shape, data, .. } = tensor;
    let pieces: Vec<Data> = of_kinds!(pieces, data, width, rows);
    let pieces = pieces.into_iter().zip(rows).map(|(data, &rows)| {
        let mut shape = shape.clone();
        shape[0] = rows;
        Tensor::new(name.clone(), shape, data)
    });
    Some(pieces.collect())
}

fn slices<T: Pod + Send>(numbers: Buffer<T>, width: usize, rows: &[usize]) -> Vec<Buffer<T>> {
    let (bytes, size) = (numbers.into_bytes(), width * size_of::<T>());
    let mut at = 0;
    let piece = |&rows: &usize| {
        let slice = bytes.slice(at..at + rows * size);
        at += rows * size;
        Buffer::from_bytes(slice).expect("whole rows are a whole number of elements")
    };
    rows.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_stacked_padded_and_cut_without_a_copy() {
        let a = Tensor::new("x", [1, 2], Data::Fp32(vec![1.0, 2.0].into()));
        let b = Tensor::new("y", [2, 2], Data::Fp32(vec![3.0, 4.0, 5.0, 6.0].into()));
        let all = stack(&[&a, &b], 2).unwrap();
        assert_eq!((all.name.as_str(), all.shape.as_slice()), ("x", [5, 2].as_slice()));
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 2.0, 1.0, 2.0];
        assert_eq!(all.data, Data::Fp32(values.to_vec().into()));
        let place = |it: &Tensor| match &it.data {
            Data::Fp32(it) => it.as_ptr(),
            _ => std::ptr::null(),
        };
        let begin = place(&all);
        let pieces = cut(all, &[1, 2]).unwrap();
        assert_eq!(pieces[0].data, a.data);
        assert_eq!((&pieces[1].data, pieces[1].shape.as_slice()), (&b.data, [2, 2].as_slice()));
        assert_eq!(place(&pieces[1]), begin.wrapping_add(2));
    }

    #[test]
    fn texts_go_together_too_and_what_differs_does_not() {
        let texts = |rows: usize, it: &'static str| Tensor::strings("t", [rows], vec![it.into(); rows]);
        let all = stack(&[&texts(1, "a"), &texts(2, "b")], 1).unwrap();
        assert_eq!(all.data, Data::Bytes(vec!["a".into(), "b".into(), "b".into(), "a".into()]));
        let pieces = cut(all, &[1, 2]).unwrap();
        assert_eq!(pieces[1].data, Data::Bytes(vec!["b".into(), "b".into()]));
        let number = Tensor::new("t", [1], Data::Int8(vec![1].into()));
        assert!(stack(&[&texts(1, "a"), &number], 0).is_none());
        let wide = Tensor::new("t", [1, 2], Data::Int8(vec![1, 2].into()));
        assert!(stack(&[&number, &wide], 0).is_none());
        assert!(stack(&[], 0).is_none());
        assert!(cut(number.clone(), &[1, 1]).is_none());
        assert_eq!(cut(wide, &[0, 1]).unwrap()[0].shape, [0, 2]);
        // A scalar has no rows.
        assert!(cut(Tensor::new("s", [], number.data), &[1]).is_none());
    }
}
