//! Products of matrices, and distances between rows.

use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::attributes::{Setting, unsupported};
use super::super::value::{Args, Outcome, Run, as_doubles, tensor, unserved};
use super::binary::{Number, Wrap, pairs, together, wrap};
use super::cast;
use super::shape::strides;

/// From so many multiplications on a product goes to a kernel for large ones.
const LARGE: usize = 1 << 12;

/// Types whose matrices can be multiplied.
pub(in super::super) trait Product: Number + Wrap {
    /// `[rows, inner]` times `[inner, columns]`, all row by row.
    fn product(a: &[Self], b: &[Self], rows: usize, inner: usize, columns: usize) -> Vec<Self> {
        let mut made = vec![Self::ZERO; rows * columns];
        plain(a, b, inner, columns, &mut made);
        made
    }

    /// `[rows, inner]` times the other turned around, which is `[columns, inner]`.
    fn product_turned(a: &[Self], b: &[Self], rows: usize, inner: usize, columns: usize) -> Vec<Self> {
        let mut made = Vec::with_capacity(rows * columns);
        if inner == 0 {
            made.resize(rows * columns, Self::ZERO);
            return made;
        }
        for row in a.chunks_exact(inner) {
            made.extend(b.chunks_exact(inner).map(|other| dot(row, other)));
        }
        made
    }
}

/// A sum of products, in eight sums side by side.
pub(in super::super) fn dot<T: Number>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::ZERO; 8];
    let (a, rest_a) = a.as_chunks::<8>();
    let (b, rest_b) = b.as_chunks::<8>();
    for (x, y) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] = sums[lane].add(x[lane].multiply(y[lane]));
        }
    }
    let rest = rest_a.iter().zip(rest_b).fold(T::ZERO, |sum, (&x, &y)| sum.add(x.multiply(y)));
    sums.into_iter().fold(rest, T::add)
}

fn plain<T: Number>(a: &[T], b: &[T], inner: usize, columns: usize, made: &mut [T]) {
    if inner == 0 || columns == 0 {
        return;
    }
    for (row, made) in a.chunks_exact(inner).zip(made.chunks_exact_mut(columns)) {
        for (&x, other) in row.iter().zip(b.chunks_exact(columns)) {
            made.iter_mut().zip(other).for_each(|(sum, &y)| *sum = sum.add(x.multiply(y)));
        }
    }
}

impl Product for f32 {
    fn product(a: &[Self], b: &[Self], rows: usize, inner: usize, columns: usize) -> Vec<Self> {
        let large = rows.saturating_mul(inner).saturating_mul(columns) >= LARGE;
        let made = if large { kernel(a, b, (rows, inner, columns), false) } else { None };
        made.unwrap_or_else(|| {
            let mut made = vec![0.0; rows * columns];
            plain(a, b, inner, columns, &mut made);
            made
        })
    }

    fn product_turned(a: &[Self], b: &[Self], rows: usize, inner: usize, columns: usize) -> Vec<Self> {
        let large = rows > 1 && rows.saturating_mul(inner).saturating_mul(columns) >= LARGE;
        let made = if large { kernel(a, b, (rows, inner, columns), true) } else { None };
        made.unwrap_or_else(|| match a.chunks_exact(inner.max(1)) {
            _ if inner == 0 => vec![0.0; rows * columns],
            rows => rows.flat_map(|row| b.chunks_exact(inner).map(|other| dot(row, other))).collect(),
        })
    }
}

thread_local! {
    /// A pool of this very thread: a model has as many threads as predictions, and none besides.
    static ALONE: Option<rayon::ThreadPool> =
        rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok();
    static KERNEL: rten_gemm::GemmExecutor = rten_gemm::GemmExecutor::new();
}

/// The kernel of neural nets, which knows the processor's wide registers.
fn kernel(
    a: &[f32],
    b: &[f32],
    (rows, inner, columns): (usize, usize, usize),
    turned: bool,
) -> Option<Vec<f32>> {
    use rten_gemm::{GemmInputA, GemmInputB};
    use rten_tensor::{Matrix, NdTensorView};
    let a: Matrix<'_> = NdTensorView::try_from_data([rows, inner], a).ok()?;
    let shape = if turned { [columns, inner] } else { [inner, columns] };
    let b: Matrix<'_> = NdTensorView::try_from_data(shape, b).ok()?;
    let b = if turned { b.transposed() } else { b };
    let mut made = vec![0.0; rows * columns];
    ALONE.with(|_| {});
    let outcome = KERNEL
        .with(|it| it.gemm(&mut made, GemmInputA::Unpacked(a), GemmInputB::Unpacked(b), Default::default()));
    outcome.ok().map(|_| made)
}

impl Product for f64 {}
impl Product for i64 {}
impl Product for i32 {}

macro_rules! products {
    ($a:expr, $b:expr, ($x:ident, $y:ident) => $made:expr) => {
        match (&$a.data, &$b.data) {
            (Data::Fp32($x), Data::Fp32($y)) => $made,
            (Data::Fp64($x), Data::Fp64($y)) => $made,
            (Data::Int64($x), Data::Int64($y)) => $made,
            (Data::Int32($x), Data::Int32($y)) => $made,
            (x, y) if x.datatype() == y.datatype() => Err(unserved(x.datatype())),
            (x, y) => Err(format!("its inputs are of {} and {}", x.datatype(), y.datatype()).into()),
        }
    };
}

pub(in super::super) fn matmul(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let (a, b) = (args.get(0)?, args.get(1)?);
        Ok(vec![products!(a, b, (x, y) => multiplied((x, &a.shape), (y, &b.shape), args))?])
    }))
}

fn multiplied<T: Product>(
    (a, a_shape): (&[T], &[usize]),
    (b, b_shape): (&[T], &[usize]),
    args: &Args<'_>,
) -> Outcome<Tensor> {
    let refused = || format!("matrices of the shapes {a_shape:?} and {b_shape:?} do not multiply");
    let (a_front, rows, inner) = match a_shape {
        [] => return Err(refused().into()),
        [inner] => (&[][..], 1, *inner),
        [front @ .., rows, inner] => (front, *rows, *inner),
    };
    let (b_front, b_inner, columns) = match b_shape {
        [] => return Err(refused().into()),
        [inner] => (&[][..], *inner, 1),
        [front @ .., inner, columns] => (front, *inner, *columns),
    };
    if inner != b_inner {
        return Err(refused().into());
    }
    let front = together(a_front, b_front)?;
    let mut shape = front.clone();
    if a_shape.len() > 1 {
        shape.push(rows);
    }
    if b_shape.len() > 1 {
        shape.push(columns);
    }
    let count = args.allow(&shape)?;
    // Many matrices times one are one large one.
    let batches: usize = front.iter().product();
    if b_front.iter().all(|&it| it == 1) && a_front == front {
        return Ok(tensor(shape, wrap(T::product(a, b, batches * rows, inner, columns))));
    }
    let (steps, a_steps, b_steps) = (strides(&front), strides(a_front), strides(b_front));
    let place = |batch: usize, own: &[usize], own_steps: &[usize]| -> usize {
        let before = front.len() - own.len();
        let at = |axis: usize| batch / steps[axis + before] % front[axis + before];
        (0..own.len()).map(|axis| if own[axis] == 1 { 0 } else { at(axis) * own_steps[axis] }).sum()
    };
    let mut made = Vec::with_capacity(count);
    for batch in 0..batches {
        let a = &a[place(batch, a_front, &a_steps) * rows * inner..][..rows * inner];
        let b = &b[place(batch, b_front, &b_steps) * inner * columns..][..inner * columns];
        made.extend(T::product(a, b, rows, inner, columns));
    }
    Ok(tensor(shape, wrap(made)))
}

pub(in super::super) fn gemm(setting: &mut Setting) -> Result<Run, Fault> {
    let alpha = setting.float("alpha")?.unwrap_or(1.0);
    let beta = setting.float("beta")?.unwrap_or(1.0);
    let turn_a = setting.int("transA")?.unwrap_or(0) != 0;
    let turn_b = setting.int("transB")?.unwrap_or(0) != 0;
    Ok(Box::new(move |args| {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let (&[a_rows, a_columns], &[b_rows, b_columns]) = (a.shape.as_slice(), b.shape.as_slice()) else {
            return Err("it takes matrices".into());
        };
        let (rows, inner) = if turn_a { (a_columns, a_rows) } else { (a_rows, a_columns) };
        let (b_inner, columns) = if turn_b { (b_columns, b_rows) } else { (b_rows, b_columns) };
        if inner != b_inner {
            return Err(format!("rows of {inner} columns meet a model of {b_inner}").into());
        }
        args.allow(&[rows, columns])?;
        fn of<T: Product>(
            args: &Args<'_>,
            (a, b): (&[T], &[T]),
            (rows, inner, columns): (usize, usize, usize),
            (turn_a, turn_b): (bool, bool),
            (alpha, beta): (f32, f32),
            c: Option<(&[T], &[usize])>,
        ) -> Outcome<Tensor> {
            let turned: Vec<T>;
            let a = if turn_a {
                turned = (0..rows).flat_map(|row| (0..inner).map(move |at| a[at * rows + row])).collect();
                &turned
            } else {
                a
            };
            let mut made = if turn_b {
                T::product_turned(a, b, rows, inner, columns)
            } else {
                T::product(a, b, rows, inner, columns)
            };
            if alpha != 1.0 {
                let alpha = T::of_double(alpha.into());
                made.iter_mut().for_each(|it| *it = it.multiply(alpha));
            }
            if let Some((c, shape)) = c {
                if together(&[rows, columns], shape)? != [rows, columns] {
                    return Err(format!("the shape {shape:?} does not go over [{rows}, {columns}]").into());
                }
                let beta = T::of_double(beta.into());
                made = pairs(args, (&made, &[rows, columns]), (c, shape), |x, y| x.add(y.multiply(beta)))?.1;
            }
            Ok(tensor([rows, columns], wrap(made)))
        }
        let sizes = (rows, inner, columns);
        let made = products!(a, b, (x, y) => {
            // The third is of the same type as the product.
            let c = args.optional(2).map(|c| cast::to(c.clone(), a.datatype())).transpose()?;
            fn same<'c, T>(_: &[T], c: &'c Option<Tensor>) -> Option<(&'c [T], &'c [usize])> where T: Taken {
                c.as_ref().and_then(|c| Some((T::of(&c.data)?, c.shape.as_slice())))
            }
            of(args, (x, y), sizes, (turn_a, turn_b), (alpha, beta), same(x, &c))
        });
        Ok(vec![made?])
    }))
}

/// The elements of a type, where they are of it.
pub(in super::super) trait Taken: Sized {
    fn of(data: &Data) -> Option<&[Self]>;
}

macro_rules! takes {
    ($($kind:ident $variant:ident)*) => {$(
        impl Taken for $kind {
            fn of(data: &Data) -> Option<&[Self]> {
                match data {
                    Data::$variant(values) => Some(values),
                    _ => None,
                }
            }
        }
    )*};
}
takes!(f32 Fp32 f64 Fp64 i64 Int64 i32 Int32);

/// How far two rows are apart.
#[derive(Clone, Copy)]
enum Metric {
    Euclidean,
    SquaredEuclidean,
    CityBlock,
    Chebyshev,
    Cosine,
}

/// `com.microsoft.CDist`: the distance of each row of one matrix to each of another.
pub(in super::super) fn distances(setting: &mut Setting) -> Result<Run, Fault> {
    let name = setting.text("metric")?.unwrap_or_else(|| "sqeuclidean".to_owned());
    let metric = match name.as_str() {
        "euclidean" => Metric::Euclidean,
        "sqeuclidean" => Metric::SquaredEuclidean,
        "cityblock" | "manhattan" => Metric::CityBlock,
        "chebyshev" => Metric::Chebyshev,
        "cosine" => Metric::Cosine,
        _ => return Err(unsupported(format!("the metric `{name}`"))),
    };
    Ok(Box::new(move |args| {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let (&[rows, width], &[others, other_width]) = (a.shape.as_slice(), b.shape.as_slice()) else {
            return Err("it takes matrices".into());
        };
        if width != other_width {
            return Err(format!("rows of {width} columns meet rows of {other_width}").into());
        }
        let count = args.allow(&[rows, others])?;
        if width == 0 {
            return Err("it takes rows that are not empty".into());
        }
        let (x, y) = (as_doubles(a)?, as_doubles(b)?);
        let mut made = Vec::with_capacity(count);
        for x in x.chunks_exact(width) {
            made.extend(y.chunks_exact(width).map(|y| distance(x, y, metric)));
        }
        Ok(vec![cast::to(tensor([rows, others], Data::Fp64(made.into())), a.datatype())?])
    }))
}

fn distance(a: &[f64], b: &[f64], metric: Metric) -> f64 {
    let differences = || a.iter().zip(b).map(|(x, y)| x - y);
    match metric {
        Metric::SquaredEuclidean => differences().map(|it| it * it).sum(),
        Metric::Euclidean => differences().map(|it| it * it).sum::<f64>().sqrt(),
        Metric::CityBlock => differences().map(f64::abs).sum(),
        Metric::Chebyshev => differences().map(f64::abs).fold(0.0, f64::max),
        Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
    }
}

/// The most letters of an equation, all tensors together.
const LETTERS: usize = 12;

/// Sums of products along named axes, for two tensors at most, as distances and projections are written.
pub(in super::super) fn einsum(setting: &mut Setting) -> Result<Run, Fault> {
    let text = setting.text("equation")?.unwrap_or_default().replace(' ', "");
    let refused = || unsupported(format!("the equation `{text}`"));
    let (inputs, output) = text.split_once("->").ok_or_else(refused)?;
    let inputs: Vec<Vec<u8>> = inputs.split(',').map(|it| it.as_bytes().to_vec()).collect();
    let output = output.as_bytes().to_vec();
    let mut letters: Vec<u8> = output.clone();
    for &it in inputs.iter().flatten() {
        if !letters.contains(&it) {
            letters.push(it);
        }
    }
    let plain = letters.iter().all(u8::is_ascii_alphabetic) && letters.len() <= LETTERS;
    let mut once = output.clone();
    once.sort_unstable();
    once.dedup();
    if !plain
        || inputs.len() > 2
        || once.len() != output.len()
        || !output.iter().all(|it| inputs.iter().flatten().any(|x| x == it))
    {
        return Err(refused());
    }
    Ok(Box::new(move |args| summed(args, &inputs, &output, &letters)))
}

fn summed(args: &Args<'_>, inputs: &[Vec<u8>], output: &[u8], letters: &[u8]) -> Outcome<Vec<Tensor>> {
    if args.values.len() != inputs.len() {
        return Err("it has another number of inputs than its equation".into());
    }
    let mut sizes = vec![None; letters.len()];
    let mut operands = Vec::with_capacity(inputs.len());
    for (at, names) in inputs.iter().enumerate() {
        let it = args.get(at)?;
        if it.shape.len() != names.len() {
            return Err(format!("a tensor of the shape {:?} does not fit its equation", it.shape).into());
        }
        let own = strides(&it.shape);
        let mut steps = vec![0; letters.len()];
        for (axis, name) in names.iter().enumerate() {
            let letter = letters.iter().position(|it| it == name).unwrap_or(0);
            if sizes[letter].is_some_and(|size| size != it.shape[axis]) {
                return Err("its tensors differ in a size".into());
            }
            sizes[letter] = Some(it.shape[axis]);
            steps[letter] += own[axis];
        }
        operands.push((as_doubles(it)?, steps));
    }
    let sizes: Vec<usize> = sizes.into_iter().map(|it| it.unwrap_or(1)).collect();
    let shape = sizes[..output.len()].to_vec();
    let count = args.allow(&shape)?;
    args.allow(&sizes).map_err(|_| "its sums are too long")?;
    let inner: usize = sizes[output.len()..].iter().product();
    let walk = strides(&sizes);
    let mut made = vec![0.0; count];
    for (at, made) in made.iter_mut().enumerate() {
        for rest in 0..inner {
            let place = at * inner + rest;
            let product = operands.iter().map(|(values, steps)| {
                let at: usize = (0..sizes.len()).map(|it| place / walk[it] % sizes[it] * steps[it]).sum();
                values[at]
            });
            *made += product.product::<f64>();
        }
    }
    Ok(vec![cast::to(tensor(shape, Data::Fp64(made.into())), args.get(0)?.datatype())?])
}
