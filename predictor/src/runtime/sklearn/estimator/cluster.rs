//! k-means: the nearest of a few centres, and how far each is.

use weir_proto::{Data, DataType, Error};

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Batch, Method, Missing, Offer, Predictor, Steps, check_finite, dot};

pub(crate) static FAMILY: Family = Family {
    title: "Clusters",
    classes: &[
        Class { name: "KMeans", modules: &["sklearn.cluster._kmeans", "sklearn.cluster.k_means_"], read },
        Class {
            name: "MiniBatchKMeans",
            modules: &["sklearn.cluster._kmeans", "sklearn.cluster.k_means_"],
            read,
        },
        Class { name: "BisectingKMeans", modules: &["sklearn.cluster._bisect_k_means"], read: bisecting },
    ],
};

fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let (centres, [count, features]) = fitted.matrix("cluster_centers_")?;
    if count == 0 || features == 0 {
        return Err(fitted.malformed(format!("has centres of shape [{count}, {features}]")));
    }
    let squares = centres.chunks_exact(features).map(|centre| dot(centre, centre)).collect();
    steps.add_predictor(fitted, Box::new(Centres { features, centres, squares }))
}

/// It asks the tree of its bisections, not the nearest centre.
fn bisecting(fitted: &Fitted<'_>, _: &mut Steps) -> Result<(), Refusal> {
    Err(fitted.unsupported("that walks a tree of bisections", "use KMeans"))
}

struct Centres {
    features: usize,
    /// Row-major, `[clusters, features]`.
    centres: Vec<f64>,
    /// The square of each centre's length.
    squares: Vec<f64>,
}

impl Centres {
    /// Returns the squared distance of each centre, but for the square of the row's own length. That is how scikit-learn
    /// finds the nearest.
    fn nearness<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.centres
            .chunks_exact(self.features)
            .zip(&self.squares)
            .map(move |(centre, square)| square - 2.0 * dot(row, centre))
    }

    fn nearest(&self, row: &[f64]) -> i32 {
        let (mut best, mut least) = (0, f64::INFINITY);
        for (at, distance) in self.nearness(row).enumerate() {
            if distance < least {
                (best, least) = (at as i32, distance);
            }
        }
        best
    }
}

impl Predictor for Centres {
    fn features(&self) -> usize {
        self.features
    }

    fn offers(&self) -> Vec<Offer> {
        let clusters = Some(self.squares.len());
        vec![
            Offer { method: Method::Predict, datatype: DataType::Int32, width: None, labels: Vec::new() },
            Offer {
                method: Method::Transform,
                datatype: DataType::Fp64,
                width: clusters,
                labels: Vec::new(),
            },
        ]
    }

    fn predict(&self, batch: &Batch<'_>, wanted: &[Method]) -> Result<Vec<Data>, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        let rows = matrix.chunks_exact(self.features);
        Ok(wanted
            .iter()
            .map(|method| match method {
                Method::Transform => {
                    let distances = rows.clone().flat_map(|row| {
                        let own = dot(row, row);
                        self.nearness(row).map(move |it| (own + it).max(0.0).sqrt())
                    });
                    Data::Fp64(distances.collect::<Vec<_>>().into())
                }
                _ => Data::Int32(rows.clone().map(|row| self.nearest(row)).collect::<Vec<_>>().into()),
            })
            .collect())
    }

    fn row_ns(&self) -> f64 {
        0.4 * self.centres.len() as f64 + 5.0 * self.squares.len() as f64
    }
}
