//! Projections onto components: principal components, and the truncated singular value decomposition.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Batch, Missing, Steps, Transformer, check_finite, dot};

pub(crate) static FAMILY: Family = Family {
    title: "Decomposition",
    classes: &[
        Class {
            name: "PCA",
            modules: &["sklearn.decomposition._pca", "sklearn.decomposition.pca"],
            read: principal,
        },
        Class {
            name: "IncrementalPCA",
            modules: &["sklearn.decomposition._incremental_pca", "sklearn.decomposition.incremental_pca"],
            read: principal,
        },
        Class {
            name: "TruncatedSVD",
            modules: &["sklearn.decomposition._truncated_svd", "sklearn.decomposition.truncated_svd"],
            read: singular,
        },
    ],
};

fn principal(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let (mut components, [count, features]) = fitted.matrix("components_")?;
    let mean = fitted.floats("mean_")?;
    if mean.len() != features || count == 0 || features == 0 {
        return Err(fitted.malformed(format!(
            "has `components_` of shape [{count}, {features}] and {} means",
            mean.len()
        )));
    }
    if fitted.flag("whiten", false)? {
        let variances = fitted.floats("explained_variance_")?;
        if variances.len() != count {
            return Err(fitted.malformed(format!("has {} variances of {count} components", variances.len())));
        }
        for (component, variance) in components.chunks_exact_mut(features).zip(variances) {
            // Directions without variance are left as small as they are, in every release.
            let scale = variance.sqrt().max(f64::EPSILON);
            component.iter_mut().for_each(|it| *it /= scale);
        }
    }
    steps.add_transformer(fitted, Box::new(Projection { features, mean: Some(mean), components }))
}

fn singular(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let (components, [count, features]) = fitted.matrix("components_")?;
    if count == 0 || features == 0 {
        return Err(fitted.malformed(format!("has `components_` of shape [{count}, {features}]")));
    }
    steps.add_transformer(fitted, Box::new(Projection { features, mean: None, components }))
}

struct Projection {
    features: usize,
    mean: Option<Vec<f64>>,
    /// Row-major, `[components, features]`.
    components: Vec<f64>,
}

impl Projection {
    /// Multiplies the few values there are.
    fn sparse(&self, batch: &super::batch::Sparse) -> Result<Batch<'static>, Error> {
        check_finite(&batch.values, batch.width, Missing::Refused, f64::MAX)?;
        let mut out = Vec::with_capacity(batch.rows() * self.width());
        for at in 0..batch.rows() {
            let (columns, values) = batch.row(at);
            for component in self.components.chunks_exact(self.features) {
                out.push(columns.iter().zip(values).map(|(&at, value)| component[at as usize] * value).sum());
            }
        }
        Ok(Batch::dense(out, batch.rows(), self.width()))
    }
}

impl Transformer for Projection {
    fn features(&self) -> usize {
        self.features
    }

    fn width(&self) -> usize {
        self.components.len() / self.features
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        if let (Batch::Sparse(sparse), None) = (&batch, &self.mean) {
            return self.sparse(sparse);
        }
        let rows = batch.rows();
        let mut matrix = batch.into_numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        let mut out = Vec::with_capacity(rows * self.width());
        for row in matrix.chunks_exact_mut(self.features) {
            if let Some(mean) = &self.mean {
                row.iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean);
            }
            out.extend(self.components.chunks_exact(self.features).map(|component| dot(row, component)));
        }
        Ok(Batch::dense(out, rows, self.width()))
    }

    fn row_ns(&self) -> f64 {
        0.3 * self.components.len() as f64 + 2.0 * self.features as f64
    }
}
