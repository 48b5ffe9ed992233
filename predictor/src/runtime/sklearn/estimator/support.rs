//! Support vector machines other than the plain classifier: regression, and one class against everything.

use weir_proto::{Data, DataType, Error};

use super::super::super::wide::widely;
use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::kernel::{Kernel, Vectors};
use super::registry::{Class, Family};
use super::{Batch, Method, Missing, Offer, Predictor, Regressor, Steps, check_finite, dot};

pub(crate) static FAMILY: Family = Family {
    title: "Support vector machines",
    classes: &[
        Class { name: "SVR", modules: MODULES, read: regressor },
        Class { name: "NuSVR", modules: MODULES, read: regressor },
        Class { name: "OneClassSVM", modules: MODULES, read: one_class },
    ],
};

const MODULES: &[&str] = &["sklearn.svm._classes", "sklearn.svm.classes"];

fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let machine = Machine::read(fitted)?;
    steps.add_regressor(fitted, Box::new(machine))
}

fn one_class(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let machine = Machine::read(fitted)?;
    steps.add_predictor(fitted, Box::new(OneClass { machine }))
}

/// A sum over support vectors, and an intercept.
struct Machine {
    features: usize,
    kernel: Kernel,
    vectors: Vectors,
    coefficients: Vec<f64>,
    intercept: f64,
}

impl Machine {
    fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        if fitted.flag("_sparse", false)? {
            return Err(fitted.unsupported("fitted on sparse data", "fit it on a dense array"));
        }
        let kernel = Kernel::read(fitted)?;
        let (vectors, [count, features]) = fitted.matrix("support_vectors_")?;
        let (coefficients, shape) = fitted.matrix("_dual_coef_")?;
        let intercepts = fitted.floats("_intercept_")?;
        let ([intercept], true) = (intercepts.as_slice(), shape == [1, count] && features > 0 && count > 0)
        else {
            return Err(fitted.malformed(format!(
                "has {count} vectors of {features} features, a `_dual_coef_` of shape {shape:?} and {} intercepts",
                intercepts.len()
            )));
        };
        let vectors = Vectors::new(&vectors, features);
        Ok(Self { features, kernel, vectors, coefficients, intercept: *intercept })
    }

    /// Scores whole rows.
    fn scores(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        let mut room = self.vectors.room();
        let mut score = |row: &[f64]| {
            widely(
                #[inline(always)]
                || {
                    self.vectors.evaluate(self.kernel, row, &mut room);
                    dot(&self.coefficients, &room[..self.coefficients.len()]) + self.intercept
                },
            )
        };
        Ok(matrix.chunks_exact(self.features).map(&mut score).collect())
    }

    fn ns(&self) -> f64 {
        self.vectors.len() as f64 * (6.5 + 0.15 * self.features as f64)
    }
}

impl Regressor for Machine {
    fn features(&self) -> usize {
        self.features
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        self.scores(batch)
    }

    fn row_ns(&self) -> f64 {
        self.ns()
    }
}

/// 1 for a row like those it was fitted on, -1 for others.
struct OneClass {
    machine: Machine,
}

impl Predictor for OneClass {
    fn features(&self) -> usize {
        self.machine.features
    }

    fn offers(&self) -> Vec<Offer> {
        let offer = |method, datatype| Offer { method, datatype, width: None, labels: Vec::new() };
        vec![
            offer(Method::Predict, DataType::Int64),
            offer(Method::DecisionFunction, DataType::Fp64),
            offer(Method::ScoreSamples, DataType::Fp64),
        ]
    }

    fn predict(&self, batch: &Batch<'_>, wanted: &[Method]) -> Result<Vec<Data>, Error> {
        let scores = self.machine.scores(batch)?;
        let answer = |method: &Method| match method {
            Method::Predict => {
                let side = |&score: &f64| if score > 0.0 { 1 } else { -1 };
                Data::Int64(scores.iter().map(side).collect::<Vec<_>>().into())
            }
            // The offset is the intercept with its sign turned.
            Method::ScoreSamples => {
                Data::Fp64(scores.iter().map(|it| it - self.machine.intercept).collect::<Vec<_>>().into())
            }
            _ => Data::Fp64(scores.clone().into()),
        };
        Ok(wanted.iter().map(answer).collect())
    }

    fn row_ns(&self) -> f64 {
        self.machine.ns()
    }
}
