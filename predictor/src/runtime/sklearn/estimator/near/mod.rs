//! Models that answer by the fitted rows near the one that is asked: so many nearest, or all within a radius.

mod centroid;
mod metric;
mod points;
#[cfg(test)]
mod tests;

use weir_proto::Error;

use super::super::numpy::Elements;
use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Answer, Batch, Classifier, Labels, Missing, Regressor, Steps, Wanted, argmax, check_finite};
use points::{Nearest, Points};

pub(crate) static FAMILY: Family = Family {
    title: "Neighbours",
    classes: &[
        Class { name: "KNeighborsClassifier", modules: CLASSIFICATION, read: classifier },
        Class { name: "KNeighborsRegressor", modules: REGRESSION, read: regressor },
        Class { name: "RadiusNeighborsClassifier", modules: CLASSIFICATION, read: classifier },
        Class { name: "RadiusNeighborsRegressor", modules: REGRESSION, read: regressor },
        Class {
            name: "NearestCentroid",
            modules: &["sklearn.neighbors._nearest_centroid", "sklearn.neighbors.nearest_centroid"],
            read: centroid::read,
        },
    ],
};

const CLASSIFICATION: &[&str] = &["sklearn.neighbors._classification", "sklearn.neighbors.classification"];
const REGRESSION: &[&str] = &["sklearn.neighbors._regression", "sklearn.neighbors.regression"];

/// Who has a say, and how much.
struct Neighbours {
    points: Points,
    reach: Reach,
    by_distance: bool,
}

#[derive(Debug, Clone, Copy)]
enum Reach {
    /// So many nearest.
    Count(usize),
    /// All that are not farther.
    Radius(f64),
}

/// Room for the neighbours of one row.
struct Room {
    heap: Nearest,
    /// Their distances and places among the fitted rows.
    found: Vec<(f64, u32)>,
    /// What the say of each is worth; empty where all have the same.
    weights: Vec<f64>,
}

impl Neighbours {
    fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let by_distance = match fitted.optional("weights") {
            None => false,
            Some(view) => match view.text() {
                Some("uniform") => false,
                Some("distance") => true,
                _ => {
                    return Err(
                        fitted.unsupported("with weights that a function makes", "use uniform or distance")
                    );
                }
            },
        };
        let points = Points::read(fitted)?;
        let reach = if fitted.class.contains(".Radius") {
            Reach::Radius(fitted.number("radius")?)
        } else {
            let count = fitted.number("n_neighbors")?;
            if !(1.0..=points.len() as f64).contains(&count) {
                let rows = points.len();
                return Err(
                    fitted.malformed(format!("wants {count} neighbours and was fitted on {rows} rows"))
                );
            }
            Reach::Count(count as usize)
        };
        Ok(Self { points, reach, by_distance })
    }

    fn room(&self) -> Room {
        let count = if let Reach::Count(count) = self.reach { count } else { 1 };
        Room { heap: Nearest::new(count), found: Vec::new(), weights: Vec::new() }
    }

    /// Finds the neighbours of a row, and what the say of each is worth.
    fn find(&self, row: &[f64], room: &mut Room) {
        match self.reach {
            Reach::Count(_) => self.points.nearest(row, &mut room.heap, &mut room.found),
            Reach::Radius(radius) => self.points.within(row, radius, &mut room.found),
        }
        room.weights.clear();
        if self.by_distance {
            room.weights.extend(room.found.iter().map(|(distance, _)| 1.0 / distance));
            // Those at the very place are the only ones who count.
            if room.weights.iter().any(|it| it.is_infinite()) {
                room.weights.iter_mut().for_each(|it| *it = f64::from(u8::from(it.is_infinite())));
            }
        }
    }

    /// Calls with each row, its number and its neighbours.
    fn each(
        &self,
        batch: &Batch<'_>,
        mut call: impl FnMut(usize, &Room) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.points.features, Missing::Refused, f64::MAX)?;
        let mut room = self.room();
        for (at, row) in matrix.chunks_exact(self.points.features).enumerate() {
            self.find(row, &mut room);
            if self.by_distance && !room.found.is_empty() && room.weights.iter().all(|&it| it == 0.0) {
                return Err(Error::invalid(format!(
                    "row {at} is too far from every fitted row to weigh them"
                )));
            }
            call(at, &room)?;
        }
        Ok(())
    }
}

fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let neighbours = Neighbours::read(fitted)?;
    let given = fitted.array("_y")?.ints().map_err(|refusal| fitted.about("_y", refusal))?;
    let place = |it: i64| u32::try_from(it).ok().filter(|&it| (it as usize) < classes.len());
    let targets: Option<Vec<u32>> = given.into_iter().map(place).collect();
    let targets = targets.filter(|it| it.len() == neighbours.points.len());
    let targets =
        targets.ok_or_else(|| fitted.malformed("has a `_y` that does not give each row a class"))?;
    let outliers = outliers(fitted, &classes)?;
    steps.add_classifier(fitted, Box::new(Vote { neighbours, classes, targets, outliers }))
}

/// Returns the class of rows that have no neighbours, when there is one.
fn outliers(fitted: &Fitted<'_>, classes: &Labels) -> Result<Option<u32>, Refusal> {
    if fitted.optional("outlier_label").is_none() {
        return Ok(None);
    }
    let Some(list) = fitted.optional("outlier_label_") else {
        return Err(fitted.unsupported(
            "of before scikit-learn 0.22 with an outlier_label",
            "save it with a later release",
        ));
    };
    let brute = fitted.text("_fit_method") == Some("brute") && fitted.text("weights") == Some("uniform");
    if brute && !fitted.older_than(1, 4) {
        // Since 1.4 it takes the label for the number of a class there, and gives no class a chance when it is none.
        return Err(
            fitted.unsupported("of brute force with an outlier_label", "use algorithm kd_tree or ball_tree")
        );
    }
    let label = list.item(0).unwrap_or(list);
    let at = match classes {
        Labels::Bools(it) => label.boolean().and_then(|label| it.iter().position(|&it| (it != 0) == label)),
        Labels::Ints(it) => label.int().and_then(|label| it.iter().position(|&it| it == label)),
        Labels::Floats(it) => label.number().and_then(|label| it.iter().position(|&it| it == label)),
        Labels::Texts(it) => {
            label.string().and_then(|label| it.iter().position(|it| **it == *label.as_bytes()))
        }
    };
    let at = at.ok_or_else(|| {
        fitted.unsupported(
            "with an outlier_label that is none of its classes",
            "use one that is, or `most_frequent`",
        )
    })?;
    Ok(Some(at as u32))
}

struct Vote {
    neighbours: Neighbours,
    classes: Labels,
    /// The class of each fitted row.
    targets: Vec<u32>,
    outliers: Option<u32>,
}

impl Vote {
    /// Returns the class that a row's neighbours are for. Of equals the first.
    fn winner(&self, room: &Room, votes: &[f64], terms: &mut Vec<f64>) -> u32 {
        if !self.neighbours.by_distance || matches!(self.neighbours.reach, Reach::Radius(_)) {
            return argmax(votes) as u32;
        }
        // Numpy adds up the weights of each class with zeros between them, which may round in another way.
        let (mut best, mut most) = (0, 0.0);
        for class in 0..self.classes.len() as u32 {
            terms.clear();
            let of = |(weight, (_, owner)): (&f64, &(f64, u32))| {
                if self.targets[*owner as usize] == class { *weight } else { 0.0 }
            };
            terms.extend(room.weights.iter().zip(&room.found).map(of));
            let sum = sum(terms);
            if sum > most {
                (best, most) = (class, sum);
            }
        }
        best
    }
}

impl Classifier for Vote {
    fn features(&self) -> usize {
        self.neighbours.points.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        let mut votes = vec![0.0; self.classes.len()];
        let mut terms = Vec::new();
        self.neighbours.each(batch, |at, room| {
            votes.fill(0.0);
            for (at, (_, owner)) in room.found.iter().enumerate() {
                votes[self.targets[*owner as usize] as usize] += room.weights.get(at).copied().unwrap_or(1.0);
            }
            if room.found.is_empty() {
                let class = self.outliers.ok_or_else(|| nobody(at))?;
                votes[class as usize] = 1.0;
            }
            if wanted.classes {
                answer.classes.push(self.winner(room, &votes, &mut terms));
            }
            if wanted.probabilities {
                let all = sum(&votes);
                answer.probabilities.extend(votes.iter().map(|it| it / all));
            }
            Ok(())
        })?;
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.neighbours.points.row_ns()
    }
}

fn nobody(row: usize) -> Error {
    Error::invalid(format!("row {row} has no neighbours within the model's radius"))
}

fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let neighbours = Neighbours::read(fitted)?;
    let array = fitted.array("_y")?;
    let (width, targets) = match *array.shape {
        [_] => (1, None),
        [_, width] if width > 0 => (width, Some(width)),
        _ => return Err(fitted.malformed(format!("has a `_y` of shape {:?}", array.shape))),
    };
    let elements = array.elements().map_err(|refusal| fitted.about("_y", refusal))?;
    let whole = !matches!(elements, Elements::Floats(_));
    let values = array.floats().map_err(|refusal| fitted.about("_y", refusal))?;
    if values.len() != neighbours.points.len() * width {
        return Err(fitted.malformed("has a `_y` that does not give each row its targets"));
    }
    steps.add_regressor(fitted, Box::new(Mean { neighbours, values, width, targets, whole }))
}

struct Mean {
    neighbours: Neighbours,
    /// The targets of each fitted row, row-major.
    values: Vec<f64>,
    width: usize,
    targets: Option<usize>,
    /// The targets were integers, which have no NaN.
    whole: bool,
}

impl Regressor for Mean {
    fn features(&self) -> usize {
        self.neighbours.points.features
    }

    fn targets(&self) -> Option<usize> {
        self.targets
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let mut all = Vec::with_capacity(batch.rows() * self.width);
        let mut sums = vec![0.0; self.width];
        self.neighbours.each(batch, |at, room| {
            if room.found.is_empty() && self.whole {
                return Err(nobody(at));
            }
            sums.fill(0.0);
            for (at, (_, owner)) in room.found.iter().enumerate() {
                let weight = room.weights.get(at).copied().unwrap_or(1.0);
                let values = &self.values[*owner as usize * self.width..][..self.width];
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * weight);
            }
            let count =
                if self.neighbours.by_distance { sum(&room.weights) } else { room.found.len() as f64 };
            // Without neighbours that is 0 / 0, and so no number.
            all.extend(sums.iter().map(|sum| sum / count));
            Ok(())
        })?;
        Ok(all)
    }

    fn row_ns(&self) -> f64 {
        self.neighbours.points.row_ns()
    }
}

/// Adds up as numpy does: by eight lanes, in halves where there are many.
fn sum(values: &[f64]) -> f64 {
    if values.len() < 8 {
        return values.iter().sum();
    }
    if values.len() > 128 {
        let half = values.len() / 2;
        let (a, b) = values.split_at(half - half % 8);
        return sum(a) + sum(b);
    }
    let (eights, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for eight in eights {
        for lane in 0..8 {
            lanes[lane] += eight[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, it| sum + it)
}
