//! Clusters around centres.

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Context, Outcome, Scorer};
use super::frame::Frame;
use super::plan::Loader;
use super::value::Value;
use super::xml::Element;

/// A clustering model.
struct Clustering {
    fields: Vec<Field>,
    clusters: Vec<Cluster>,
    measure: Measure,
    /// Whether the highest wins, and not the lowest.
    similarity: bool,
    /// How much each field counts where others are missing.
    weights: Option<Vec<f64>>,
}

struct Field {
    slot: usize,
    weight: f64,
    compare: Compare,
}

struct Cluster {
    name: String,
    id: Value,
    center: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
enum Measure {
    Euclidean,
    SquaredEuclidean,
    Chebychev,
    CityBlock,
    Minkowski(f64),
    /// Of the fields: both set, only the row's, only the centre's, none; weights above, and below the line.
    Binary([f64; 4], [f64; 4]),
}

#[derive(Debug, Clone, Copy)]
enum Compare {
    Difference,
    Gaussian(f64),
    Delta,
    Equal,
}

/// Reads a clustering model.
pub(super) fn read(
    element: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Box<dyn Scorer>, Fault> {
    if element.get("modelClass") != Some("centerBased") {
        return Err(element.unsupported(&format!("`modelClass` `{}`", element.require("modelClass")?)));
    }
    let comparison = element.needed("ComparisonMeasure")?;
    let (measure, similarity) = measure(comparison)?;
    let default = comparison.get("compareFunction").unwrap_or("absDiff");
    let mut fields = Vec::new();
    for field in element.named("ClusteringField").filter(|it| it.get("isCenterField") != Some("false")) {
        let compare = match field.get("compareFunction").unwrap_or(default) {
            "absDiff" => Compare::Difference,
            "gaussSim" => Compare::Gaussian(field.number("similarityScale")?),
            "delta" => Compare::Delta,
            "equal" => Compare::Equal,
            other => return Err(field.unsupported(&format!("`compareFunction` `{other}`"))),
        };
        let slot = context.scope.field(field, "field")?;
        fields.push(Field { slot, weight: field.number_or("fieldWeight", 1.0)?, compare });
    }
    let mut clusters = Vec::new();
    for (at, cluster) in element.named("Cluster").enumerate() {
        let center = cluster.needed("Array")?.numbers()?;
        if center.len() != fields.len() {
            return Err(cluster.malformed(format!(
                "has {} numbers for {} fields",
                center.len(),
                fields.len()
            )));
        }
        let name = cluster.get("id").map_or_else(|| (at + 1).to_string(), str::to_owned);
        clusters.push(Cluster { id: loader.symbols.intern(&name), name, center });
    }
    if clusters.is_empty() || fields.is_empty() {
        return Err(element.malformed("has no clusters, or no fields"));
    }
    let weights = match element.child("MissingValueWeights") {
        Some(weights) => {
            let array = weights.needed("Array")?;
            Some(array.numbers()?)
                .filter(|it| it.len() == fields.len())
                .map(Some)
                .ok_or_else(|| array.malformed(format!("is not of the {} fields", fields.len())))?
        }
        None => None,
    };
    Ok(Box::new(Clustering { fields, clusters, measure, similarity, weights }))
}

fn measure(comparison: Element<'_>) -> Result<(Measure, bool), Fault> {
    let similarity = comparison.word("kind", &[("distance", false), ("similarity", true)])?;
    let similarity = similarity.ok_or_else(|| comparison.malformed("has no `kind`"))?;
    let inner = comparison.children().next().ok_or_else(|| comparison.malformed("has no measure"))?;
    let measure = match inner.name() {
        "euclidean" => Measure::Euclidean,
        "squaredEuclidean" => Measure::SquaredEuclidean,
        "chebychev" => Measure::Chebychev,
        "cityBlock" => Measure::CityBlock,
        "minkowski" => match inner.number("p-parameter")? {
            p if p > 0.0 => Measure::Minkowski(p),
            _ => return Err(inner.malformed("has no `p-parameter` above nought")),
        },
        "simpleMatching" => Measure::Binary([1.0, 0.0, 0.0, 1.0], [1.0; 4]),
        "jaccard" => Measure::Binary([1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]),
        "tanimoto" => Measure::Binary([1.0, 0.0, 0.0, 1.0], [1.0, 2.0, 2.0, 1.0]),
        "binarySimilarity" => {
            let read = |letter: &str| -> Result<[f64; 4], Fault> {
                let of = |digits: &str| inner.number(&format!("{letter}{digits}-parameter"));
                Ok([of("11")?, of("10")?, of("01")?, of("00")?])
            };
            Measure::Binary(read("c")?, read("d")?)
        }
        _ => return Err(inner.unknown()),
    };
    if matches!(measure, Measure::Binary(..)) != similarity {
        return Err(inner.malformed("is not of the `kind` that is said"));
    }
    Ok((measure, similarity))
}

impl Clustering {
    fn affinity(&self, row: &[Option<f64>], center: &[f64], adjustment: f64) -> f64 {
        if let Measure::Binary(above, below) = self.measure {
            let mut counts = [0.0; 4];
            for (x, z) in row.iter().zip(center) {
                if let Some(x) = x {
                    let at = match (*x != 0.0, *z != 0.0) {
                        (true, true) => 0,
                        (true, false) => 1,
                        (false, true) => 2,
                        (false, false) => 3,
                    };
                    counts[at] += 1.0;
                }
            }
            let sum =
                |weights: &[f64; 4]| weights.iter().zip(counts).map(|(weight, it)| weight * it).sum::<f64>();
            return sum(&above) / sum(&below);
        }
        let mut sum: f64 = 0.0;
        for ((x, z), field) in row.iter().zip(center).zip(&self.fields) {
            let Some(x) = x else { continue };
            let compared = field.compare.of(*x, *z);
            match self.measure {
                Measure::Euclidean | Measure::SquaredEuclidean => sum += field.weight * compared * compared,
                Measure::Chebychev => sum = sum.max(field.weight * compared),
                Measure::CityBlock | Measure::Binary(..) => sum += field.weight * compared,
                Measure::Minkowski(p) => sum += field.weight * compared.powf(p),
            }
        }
        let sum = sum * adjustment;
        match self.measure {
            Measure::Euclidean => sum.sqrt(),
            Measure::Minkowski(p) => sum.powf(1.0 / p),
            Measure::SquaredEuclidean | Measure::Chebychev | Measure::CityBlock | Measure::Binary(..) => sum,
        }
    }

    /// What makes up for the fields that are missing; `None` where all are.
    fn adjustment(&self, row: &[Option<f64>]) -> Option<f64> {
        let weight = |at: usize| self.weights.as_ref().map_or(1.0, |it| it[at]);
        let all: f64 = (0..row.len()).map(weight).sum();
        let there: f64 = (0..row.len()).filter(|at| row[*at].is_some()).map(weight).sum();
        (there > 0.0).then(|| all / there)
    }
}

impl Compare {
    fn of(self, x: f64, z: f64) -> f64 {
        match self {
            Self::Difference => (x - z).abs(),
            Self::Gaussian(scale) => (-std::f64::consts::LN_2 * (x - z).powi(2) / (scale * scale)).exp(),
            Self::Delta => f64::from(u8::from(x != z)),
            Self::Equal => f64::from(u8::from(x == z)),
        }
    }
}

impl Scorer for Clustering {
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let mut row = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            row.push(frame.number(field.slot)?);
        }
        let Some(adjustment) = self.adjustment(&row) else { return Ok(Outcome::of(Value::Missing)) };
        let mut affinities = Vec::with_capacity(self.clusters.len());
        let mut best = 0;
        for (at, cluster) in self.clusters.iter().enumerate() {
            let affinity = self.affinity(&row, &cluster.center, adjustment);
            affinities.push((&*cluster.name, affinity));
            let before = affinities[best].1;
            if if self.similarity { affinity > before } else { affinity < before } {
                best = at;
            }
        }
        let winner = &self.clusters[best];
        Ok(Outcome { entity: Some(&winner.name), affinities, ..Outcome::of(winner.id) })
    }

    fn row_ns(&self) -> f64 {
        50.0 + (self.clusters.len() * (20 + 3 * self.fields.len())) as f64
    }
}
