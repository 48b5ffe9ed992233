//! `ColumnTransformer` and `FeatureUnion`: several transformers side by side, on some of the columns or on all.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::scalers::seen_features;
use super::steps::Steps;
use super::{Batch, Cell, Takes, Transformer};

pub(crate) static FAMILY: Family = Family {
    title: "Composition of columns",
    classes: &[
        Class { name: "ColumnTransformer", modules: &["sklearn.compose._column_transformer"], read: columns },
        Class { name: "FeatureUnion", modules: &["sklearn.pipeline"], read: union },
    ],
};

/// One transformer among others.
struct Part {
    /// The columns it gets; all of them where there are none.
    columns: Option<Vec<usize>>,
    /// What it does; nothing, where its columns pass through.
    steps: Option<Steps>,
    weight: Option<f64>,
}

impl Part {
    /// Returns how many columns it gives.
    fn width(&self, features: usize) -> usize {
        let taken = self.columns.as_ref().map_or(features, Vec::len);
        self.steps.as_ref().and_then(Steps::width).unwrap_or(taken)
    }

    fn transform<'b>(&self, batch: &'b Batch<'_>) -> Result<Batch<'b>, Error> {
        let taken = match &self.columns {
            Some(columns) => batch.select(columns),
            None => batch.lend(),
        };
        let out = match &self.steps {
            Some(steps) => steps.transform(taken)?,
            None => taken,
        };
        let Some(weight) = self.weight else { return Ok(out) };
        Ok(match out {
            Batch::Sparse(mut sparse) => {
                sparse.values.iter_mut().for_each(|it| *it *= weight);
                Batch::Sparse(sparse)
            }
            other => {
                let (rows, width) = (other.rows(), other.width());
                let mut values = other.into_numbers()?;
                values.iter_mut().for_each(|it| *it *= weight);
                Batch::dense(values, rows, width)
            }
        })
    }
}

fn columns(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let features = match steps.width() {
        Some(width) => width,
        None if fitted.optional("n_features_in_").is_some() => seen_features(fitted)?,
        // Before 0.24 it was noted so.
        None => {
            let seen = fitted.need("_n_features")?.int().and_then(|it| usize::try_from(it).ok());
            seen.filter(|&it| it <= 1 << 20)
                .ok_or_else(|| fitted.malformed("has a `_n_features` that is no count"))?
        }
    };
    let names = fitted.columns(features)?;
    let list = fitted.need("transformers_")?;
    let list = list.items().ok_or_else(|| fitted.malformed("has `transformers_` that are no list"))?;
    let mut parts = Vec::with_capacity(list.len());
    for (at, entry) in list.enumerate() {
        let parts_of = entry.item(0).and_then(View::text).zip(entry.item(1)).zip(entry.item(2));
        let Some(((name, transformer), taken)) = parts_of else {
            return Err(fitted
                .malformed(format!("has a transformer {} that is no name, estimator and columns", at + 1)));
        };
        if transformer.text() == Some("drop") || transformer.is_none() {
            continue;
        }
        let taken = resolve(fitted, name, taken, features, &names)?;
        if taken.is_empty() {
            continue;
        }
        let place = format!("transformer {} ({name:.40})", at + 1);
        let inner = inner(fitted, transformer, &place, taken.len())?;
        parts.push(Part { columns: Some(taken), steps: inner, weight: None });
    }
    let cells = cells(fitted, &parts, features)?;
    add(fitted, parts, features, cells, steps)
}

fn union(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let list = fitted.need("transformer_list")?;
    let list = list.items().ok_or_else(|| fitted.malformed("has a `transformer_list` that is no list"))?;
    let weights = fitted.optional("transformer_weights");
    let mut parts: Vec<Part> = Vec::with_capacity(list.len());
    let mut features = steps.width();
    for (at, entry) in list.enumerate() {
        let Some((name, transformer)) = entry.item(0).and_then(View::text).zip(entry.item(1)) else {
            return Err(
                fitted.malformed(format!("has a transformer {} that is no name and estimator", at + 1))
            );
        };
        if transformer.text() == Some("drop") || transformer.is_none() {
            continue;
        }
        let place = format!("transformer {} ({name:.40})", at + 1);
        let inner = if transformer.text() == Some("passthrough") {
            None
        } else {
            Some(fitted.model(transformer, &place)?)
        };
        features = features.or_else(|| inner.as_ref().and_then(Steps::features));
        let weight = weights.and_then(|it| it.get(name)).and_then(View::number);
        parts.push(Part { columns: None, steps: inner, weight });
    }
    let features = features.ok_or_else(|| fitted.malformed("does not tell how many columns it takes"))?;
    for part in &parts {
        check(fitted, part, features)?;
    }
    let cells = cells(fitted, &parts, features)?;
    add(fitted, parts, features, cells, steps)
}

fn add(
    fitted: &Fitted<'_>,
    parts: Vec<Part>,
    features: usize,
    cells: Option<Vec<Cell>>,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    if parts.is_empty() {
        return Err(fitted.unsupported("that keeps no column", "keep one"));
    }
    let text = cells.is_none();
    let width = parts.iter().map(|it| it.width(features)).sum();
    let takes = match cells {
        None => Takes::Text,
        Some(cells) if cells.iter().all(|it| *it == Cell::Number) => Takes::Numbers,
        Some(cells) => Takes::Table(cells),
    };
    debug_assert!(!text || features == 1);
    steps.add_transformer(fitted, Box::new(SideBySide { parts, features, width, takes }))
}

/// Reads what is done to some columns; nothing for those that pass through.
fn inner(fitted: &Fitted<'_>, view: View<'_>, place: &str, taken: usize) -> Result<Option<Steps>, Refusal> {
    if view.text() == Some("passthrough") {
        return Ok(None);
    }
    let mut steps = fitted.model(view, place)?;
    steps.close(taken);
    if steps.last().is_some() {
        return Err(fitted.malformed("holds a model that answers where a transformer is expected"));
    }
    match steps.features() {
        Some(features) if features != taken => {
            Err(fitted.malformed(format!("gives {taken} columns to a transformer of {features}")))
        }
        Some(_) => Ok(Some(steps)),
        None => Ok(None),
    }
}

fn check(fitted: &Fitted<'_>, part: &Part, features: usize) -> Result<(), Refusal> {
    let taken = part.steps.as_ref().and_then(Steps::features);
    match taken {
        Some(taken) if taken != features => {
            Err(fitted.malformed(format!("gives {features} columns to a transformer of {taken}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the places of the columns that a transformer gets.
fn resolve(
    fitted: &Fitted<'_>,
    transformer: &str,
    columns: View<'_>,
    features: usize,
    names: &[String],
) -> Result<Vec<usize>, Refusal> {
    let wrong = || fitted.malformed(format!("gives `{transformer:.40}` columns that are not there"));
    let place = |it: i64| {
        let it = if it < 0 { it + features as i64 } else { it };
        usize::try_from(it).ok().filter(|&it| it < features)
    };
    // Since 1.0 what was worked out while fitting is kept.
    let kept = fitted.optional("_transformer_to_input_indices").and_then(|it| it.get(transformer));
    if let Some(list) = kept.and_then(View::items) {
        return list.map(|it| it.int().and_then(place).ok_or_else(wrong)).collect();
    }
    let one = |it: View<'_>| match (it.text(), it.int()) {
        (Some(name), _) => names.iter().position(|it| it == name),
        (None, Some(at)) => place(at),
        (None, None) => None,
    };
    if let Some(at) = one(columns) {
        return Ok(vec![at]);
    }
    if let Some(items) = columns.items() {
        let items: Vec<_> = items.collect();
        if items.len() == features && items.iter().all(|it| it.is_truth()) {
            let kept = items.iter().enumerate().filter(|(_, it)| it.boolean() == Some(true));
            return Ok(kept.map(|(at, _)| at).collect());
        }
        return items.into_iter().map(|it| one(it).ok_or_else(wrong)).collect();
    }
    Err(fitted.unsupported(
        format!("that picks the columns of `{transformer:.40}` by {}", columns.kind()),
        "save it with scikit-learn 1.0 or later, or name the columns in a list",
    ))
}

/// Returns what each column holds; `None` where the whole row is one text.
fn cells(fitted: &Fitted<'_>, parts: &[Part], features: usize) -> Result<Option<Vec<Cell>>, Refusal> {
    let mut cells: Vec<Option<Cell>> = vec![None; features];
    for part in parts {
        let every: Vec<usize> = (0..features).collect();
        let taken = part.columns.as_ref().unwrap_or(&every);
        let wanted = match part.steps.as_ref().map_or(Takes::Numbers, Steps::takes) {
            Takes::Numbers => vec![Cell::Number; taken.len()],
            Takes::Text if part.columns.is_none() => return Ok(None),
            Takes::Text => vec![Cell::Text; taken.len()],
            Takes::Table(cells) => cells,
        };
        for (&at, wanted) in taken.iter().zip(wanted) {
            match (cells[at], wanted) {
                (_, Cell::Ignored) => {}
                (None | Some(Cell::Ignored), wanted) => cells[at] = Some(wanted),
                (Some(before), wanted) if before == wanted => {}
                (Some(_), _) => {
                    let what = format!("that reads column {at} as numbers and as strings");
                    return Err(fitted.unsupported(what, "give each of its transformers columns of its own"));
                }
            }
        }
    }
    Ok(Some(cells.into_iter().map(|it| it.unwrap_or(Cell::Ignored)).collect()))
}

struct SideBySide {
    parts: Vec<Part>,
    features: usize,
    width: usize,
    takes: Takes,
}

impl Transformer for SideBySide {
    fn features(&self) -> usize {
        self.features
    }

    fn width(&self) -> usize {
        self.width
    }

    fn takes(&self) -> Takes {
        self.takes.clone()
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let parts = self.parts.iter().map(|it| it.transform(&batch)).collect::<Result<Vec<_>, _>>()?;
        Batch::side_by_side(&parts, batch.rows())
    }

    fn row_ns(&self) -> f64 {
        let steps = |it: &Part| it.steps.as_ref().map_or(0.0, Steps::row_ns);
        self.parts.iter().map(steps).sum::<f64>() + 5.0 * self.width as f64
    }
}
