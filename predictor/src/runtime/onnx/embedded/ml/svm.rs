//! `SVMClassifier` and `SVMRegressor`.

use super::super::super::super::Fault;
use super::super::attributes::{Setting, unsupported};
use super::super::plain::matmul::{Product, dot};
use super::super::value::{Args, Outcome, Run, as_singles, matrix, singles};
use super::scores::{Labels, Transform, largest, logistic};

/// How alike two rows are.
#[derive(Clone, Copy, PartialEq)]
enum Kernel {
    Linear,
    Polynomial,
    Radial,
    Sigmoid,
}

/// The vectors that rows are held against.
struct Supports {
    kernel: Kernel,
    gamma: f32,
    coef0: f32,
    degree: f32,
    vectors: Vec<f32>,
    /// The squared length of each vector.
    lengths: Vec<f32>,
    features: usize,
}

impl Supports {
    fn take(setting: &mut Setting) -> Result<Self, Fault> {
        let kernel = match setting.text("kernel_type")?.as_deref() {
            None | Some("LINEAR") => Kernel::Linear,
            Some("POLY") => Kernel::Polynomial,
            Some("RBF") => Kernel::Radial,
            Some("SIGMOID") => Kernel::Sigmoid,
            Some(other) => return Err(unsupported(format!("the kernel `{other}`"))),
        };
        let parameters = setting.floats("kernel_params")?;
        let parameter = |at: usize| parameters.get(at).copied().unwrap_or(0.0);
        Ok(Self {
            kernel,
            gamma: parameter(0),
            coef0: parameter(1),
            degree: parameter(2),
            vectors: setting.floats("support_vectors")?,
            lengths: Vec::new(),
            features: 0,
        })
    }

    /// Shares the numbers out among so many vectors.
    fn of_count(mut self, count: usize) -> Result<Self, Fault> {
        if count == 0 || self.vectors.is_empty() || !self.vectors.len().is_multiple_of(count) {
            let met = self.vectors.len();
            return Err(Fault::malformed(format!("{met} numbers for {count} support vectors")));
        }
        self.features = self.vectors.len() / count;
        self.lengths = self.vectors.chunks_exact(self.features).map(|it| dot(it, it)).collect();
        Ok(self)
    }

    /// How alike each row is to each vector.
    fn alike(&self, args: &Args<'_>) -> Outcome<(usize, Vec<f32>)> {
        let it = args.get(0)?;
        let (rows, width) = matrix(it);
        if width != self.features {
            return Err(format!("rows of {width} columns meet a model of {}", self.features).into());
        }
        args.allow(&[rows, self.lengths.len()])?;
        let values = as_singles(it)?;
        if self.kernel == Kernel::Radial {
            // By the differences themselves: what two long rows have in common would drown them.
            let mut made = Vec::with_capacity(rows * self.lengths.len());
            for row in values.chunks_exact(width) {
                made.extend(
                    self.vectors.chunks_exact(width).map(|it| (-self.gamma * squared(row, it)).exp()),
                );
            }
            return Ok((rows, made));
        }
        let mut made = f32::product_turned(&values, &self.vectors, rows, width, self.lengths.len());
        match self.kernel {
            Kernel::Linear | Kernel::Radial => {}
            Kernel::Polynomial => {
                made.iter_mut().for_each(|it| *it = (self.gamma * *it + self.coef0).powf(self.degree));
            }
            Kernel::Sigmoid => made.iter_mut().for_each(|it| *it = (self.gamma * *it + self.coef0).tanh()),
        }
        Ok((rows, made))
    }
}

/// The squared distance of two rows, in eight sums side by side.
fn squared(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a, rest_a) = a.as_chunks::<8>();
    let (b, rest_b) = b.as_chunks::<8>();
    for (x, y) in a.iter().zip(b) {
        for lane in 0..8 {
            let difference = x[lane] - y[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(x, y)| (x - y) * (x - y)).sum();
    sums.into_iter().sum::<f32>() + rest
}

pub(in super::super) fn regressor(setting: &mut Setting) -> Result<Run, Fault> {
    let supports = Supports::take(setting)?;
    let count = usize::try_from(setting.int("n_supports")?.unwrap_or(0)).unwrap_or(0);
    let coefficients = setting.floats("coefficients")?;
    let rho = setting.floats("rho")?.first().copied().unwrap_or(0.0);
    let one_class = setting.int("one_class")?.unwrap_or(0) != 0;
    // ONNX Runtime transforms nothing here, whatever it says.
    setting.ignore(&["post_transform"]);
    let linear = count == 0;
    let supports = if linear {
        // The weights are the one vector.
        Supports { kernel: Kernel::Linear, vectors: coefficients.clone(), ..supports }.of_count(1)?
    } else {
        supports.of_count(count)?
    };
    if !linear && coefficients.len() != count {
        return Err(Fault::malformed(format!(
            "{} coefficients for {count} support vectors",
            coefficients.len()
        )));
    }
    Ok(Box::new(move |args| {
        let (rows, alike) = supports.alike(args)?;
        let sum = |it: &[f32]| if linear { it[0] + rho } else { dot(it, &coefficients) + rho };
        let mut made: Vec<f32> = alike.chunks_exact(supports.lengths.len()).map(sum).collect();
        if one_class {
            made.iter_mut().for_each(|it| *it = if *it > 0.0 { 1.0 } else { -1.0 });
        }
        Ok(vec![singles([rows, 1], made)])
    }))
}

/// A vote for each pair of classes.
struct Machine {
    supports: Supports,
    /// The first vector of each class, and one past the last.
    starts: Vec<usize>,
    coefficients: Vec<f32>,
    rho: Vec<f32>,
    /// What makes probabilities of scores.
    platt: Option<(Vec<f32>, Vec<f32>)>,
    labels: Labels,
    transform: Transform,
}

pub(in super::super) fn classifier(setting: &mut Setting) -> Result<Run, Fault> {
    let labels = Labels::take(setting, "classlabels_ints", "classlabels_strings")?;
    let supports = Supports::take(setting)?;
    let per_class = setting.ints("vectors_per_class")?;
    let coefficients = setting.floats("coefficients")?;
    let rho = setting.floats("rho")?;
    let (a, b) = (setting.floats("prob_a")?, setting.floats("prob_b")?);
    let transform = Transform::take(setting)?;
    let classes = labels.len();
    let mut starts = vec![0_usize];
    for &it in &per_class {
        let next = usize::try_from(it).ok().and_then(|it| starts[starts.len() - 1].checked_add(it));
        starts.push(next.ok_or_else(|| Fault::malformed("its vectors per class make no sense"))?);
    }
    let count = starts[starts.len() - 1];
    if classes == 0 {
        return Err(Fault::malformed("it has no classes"));
    }
    if count == 0 {
        return linear(labels, supports, coefficients, &rho, transform);
    }
    let pairs = classes * (classes - 1) / 2;
    let fits = per_class.len() == classes
        && coefficients.len() == (classes - 1) * count
        && rho.len() >= pairs
        && a.len() == b.len()
        && (a.is_empty() || a.len() >= pairs);
    if !fits || classes < 2 {
        return Err(Fault::malformed("its coefficients, classes and vectors do not fit one another"));
    }
    let machine = Machine {
        supports: supports.of_count(count)?,
        starts,
        coefficients,
        rho,
        platt: (!a.is_empty()).then_some((a, b)),
        labels,
        transform,
    };
    Ok(Box::new(move |args| machine.run(args)))
}

/// Without vectors it is a linear model, a row of weights a class.
fn linear(
    labels: Labels,
    supports: Supports,
    coefficients: Vec<f32>,
    rho: &[f32],
    transform: Transform,
) -> Result<Run, Fault> {
    let classes = labels.len();
    let supports =
        Supports { kernel: Kernel::Linear, vectors: coefficients, ..supports }.of_count(classes)?;
    let rho = rho.first().copied().unwrap_or(0.0);
    Ok(Box::new(move |args| {
        let (rows, mut scores) = supports.alike(args)?;
        scores.iter_mut().for_each(|it| *it += rho);
        let places: Vec<usize> = scores.chunks_exact(classes).map(largest).collect();
        scores.chunks_exact_mut(classes).for_each(|row| transform.apply(row));
        Ok(vec![labels.chosen(&places), singles([rows, classes], scores)])
    }))
}

impl Machine {
    fn run(&self, args: &Args<'_>) -> Outcome<Vec<weir_sdk::Tensor>> {
        let (rows, alike) = self.supports.alike(args)?;
        let classes = self.labels.len();
        let pairs = classes * (classes - 1) / 2;
        let width = match &self.platt {
            Some(_) => classes,
            None if classes > 2 => pairs,
            None => 2,
        };
        args.allow(&[rows, width.max(pairs)])?;
        let mut made = Vec::with_capacity(rows * width);
        let mut places = Vec::with_capacity(rows);
        let mut scores = vec![0.0; pairs];
        let mut votes = vec![0_u32; classes];
        for alike in alike.chunks_exact(self.supports.lengths.len()) {
            self.vote(alike, &mut scores, &mut votes);
            // Of equal ones the first.
            let chosen = votes.iter().enumerate().rev().max_by_key(|(_, it)| **it).map_or(0, |(at, _)| at);
            let (chosen, mut row) = match &self.platt {
                Some(platt) => {
                    let probabilities = probabilities(&scores, classes, platt);
                    (chosen, probabilities)
                }
                None if classes > 2 => (chosen, scores.clone()),
                None => (chosen, self.two(scores[0])),
            };
            if self.platt.is_some() || classes > 2 {
                self.transform.apply(&mut row);
            }
            places.push(chosen);
            made.append(&mut row);
        }
        Ok(vec![self.labels.chosen(&places), singles([rows, width], made)])
    }

    fn vote(&self, alike: &[f32], scores: &mut [f32], votes: &mut [u32]) {
        votes.fill(0);
        let count = alike.len();
        let classes = votes.len();
        let mut pair = 0;
        for i in 0..classes {
            for j in i + 1..classes {
                let sum = |class: usize, row: usize| -> f64 {
                    let range = self.starts[class]..self.starts[class + 1];
                    let weights = &self.coefficients[row * count..][range.clone()];
                    weights.iter().zip(&alike[range]).map(|(x, y)| f64::from(x * y)).sum()
                };
                let sum = sum(i, j - 1) + sum(j, i) + f64::from(self.rho[pair]);
                scores[pair] = sum as f32;
                votes[if sum > 0.0 { i } else { j }] += 1;
                pair += 1;
            }
        }
    }

    /// The two scores of two classes without probabilities.
    fn two(&self, score: f32) -> Vec<f32> {
        match self.transform {
            Transform::Nothing => vec![-score, score],
            Transform::Logistic => vec![logistic(-score), logistic(score)],
            Transform::Probit | Transform::Softmax | Transform::SoftmaxZero => vec![1.0 - score, score],
        }
    }
}

/// Couples the probabilities of pairs (Wu, Lin and Weng 2004, the second method), by as many rounds as libsvm goes.
fn probabilities(scores: &[f32], classes: usize, (a, b): &(Vec<f32>, Vec<f32>)) -> Vec<f32> {
    const LEAST: f32 = 1e-7;
    let mut paired = vec![0.0_f32; classes * classes];
    let mut pair = 0;
    for i in 0..classes {
        for j in i + 1..classes {
            let it = 1.0 - logistic(scores[pair] * a[pair] + b[pair]);
            let it = it.clamp(LEAST, 1.0 - LEAST);
            paired[i * classes + j] = it;
            paired[j * classes + i] = 1.0 - it;
            pair += 1;
        }
    }
    let at = |i: usize, j: usize| i * classes + j;
    let mut q = vec![0.0_f32; classes * classes];
    for i in 0..classes {
        for j in 0..classes {
            if i != j {
                q[at(i, i)] += paired[at(j, i)] * paired[at(j, i)];
                q[at(i, j)] = -paired[at(j, i)] * paired[at(i, j)];
            }
        }
    }
    let mut p = vec![1.0 / classes as f32; classes];
    let mut qp = vec![0.0_f32; classes];
    let enough = 0.005 / classes as f32;
    for _ in 0..100 {
        let mut pqp = 0.0;
        for i in 0..classes {
            qp[i] = (0..classes).map(|j| q[at(i, j)] * p[j]).sum();
            pqp += p[i] * qp[i];
        }
        if qp.iter().map(|it| (it - pqp).abs()).fold(0.0, f32::max) < enough {
            break;
        }
        for i in 0..classes {
            let step = (pqp - qp[i]) / q[at(i, i)];
            p[i] += step;
            let shrink = 1.0 + step;
            pqp = (pqp + step * (step * q[at(i, i)] + 2.0 * qp[i])) / shrink / shrink;
            for j in 0..classes {
                qp[j] = (qp[j] + step * q[at(i, j)]) / shrink;
                p[j] /= shrink;
            }
        }
    }
    p
}
