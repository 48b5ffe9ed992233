//! Text: counts of terms, weighted by how rare they are, or hashed into a fixed number of columns.

mod analysis;
mod hash;

use weir_proto::Error;

use super::super::numpy::texts_of;
use super::super::pickle::NodeId;
use super::super::refusal::Refusal;
use super::super::view::View;
use super::batch::Sparse;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::scalers::Norm;
use super::{Batch, Column, Missing, Steps, Takes, Transformer, check_finite};
use crate::runtime::texts::Lexicon;
use analysis::{Accents, Analysis, Unit};

pub(crate) static FAMILY: Family = Family {
    title: "Text",
    classes: &[
        Class { name: "CountVectorizer", modules: MODULES, read: count },
        Class { name: "TfidfVectorizer", modules: MODULES, read: tfidf },
        Class { name: "TfidfTransformer", modules: MODULES, read: weigh },
        Class {
            name: "HashingVectorizer",
            modules: &["sklearn.feature_extraction.text", "sklearn.feature_extraction.hashing"],
            read: hash::read,
        },
    ],
};

const MODULES: &[&str] = &["sklearn.feature_extraction.text"];

fn count(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let analysis = analysis(fitted)?;
    let vocabulary = vocabulary(fitted)?;
    let binary = fitted.flag("binary", false)?;
    steps.add_transformer(fitted, Box::new(Counts { analysis, vocabulary, binary }))
}

/// Counts, then weights.
fn tfidf(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    count(fitted, steps)?;
    weigh(&fitted.part("_tfidf")?, steps)
}

/// Reads how documents are cut. What is a Python function is code, which is not run.
fn analysis(fitted: &Fitted<'_>) -> Result<Analysis, Refusal> {
    for name in ["preprocessor", "tokenizer"] {
        if fitted.optional(name).is_some() {
            return Err(fitted.unsupported(format!("with a {name} of its own"), "use scikit-learn's"));
        }
    }
    let accents = match fitted.optional("strip_accents").map(View::text) {
        None => Accents::Kept,
        Some(Some("unicode")) => Accents::Dropped,
        Some(Some("ascii")) => Accents::Ascii,
        Some(_) => {
            return Err(fitted.unsupported("with strip_accents of its own", "use ascii, unicode or none"));
        }
    };
    let unit = match fitted.text("analyzer") {
        Some("word") => word(fitted)?,
        Some("char") => Unit::Char,
        Some("char_wb") => Unit::CharInWord,
        _ => return Err(fitted.unsupported("with an analyzer of its own", "use word, char or char_wb")),
    };
    let range = fitted.need("ngram_range")?;
    let end = |at: usize| range.item(at).and_then(View::int).and_then(|it| usize::try_from(it).ok());
    let ngrams = end(0).zip(end(1)).filter(|&(least, most)| least >= 1 && least <= most && most <= 64);
    let ngrams =
        ngrams.ok_or_else(|| fitted.malformed("has an `ngram_range` that is no range of 1 to 64"))?;
    let stop_words = stop_words(fitted, unit, ngrams)?;
    Ok(Analysis { lowercase: fitted.flag("lowercase", true)?, accents, unit, ngrams, stop_words })
}

fn word(fitted: &Fitted<'_>) -> Result<Unit, Refusal> {
    match fitted.text("token_pattern") {
        Some(r"(?u)\b\w\w+\b" | r"\b\w\w+\b" | r"\w\w+" | r"(?u)\w\w+") => Ok(Unit::Word { least: 2 }),
        Some(r"(?u)\b\w+\b" | r"\b\w+\b" | r"\w+" | r"(?u)\w+" | r"\w{1,}") => Ok(Unit::Word { least: 1 }),
        Some(other) => Err(fitted.unsupported(
            format!("with token_pattern `{other:.60}`"),
            r"use scikit-learn's own, `(?u)\b\w\w+\b`, or `(?u)\b\w+\b`",
        )),
        None => Err(fitted.malformed("has no `token_pattern`")),
    }
}

/// Words left out matter only where terms are made of several words, or the vocabulary was given: else no term is one.
fn stop_words(fitted: &Fitted<'_>, unit: Unit, ngrams: (usize, usize)) -> Result<Lexicon, Refusal> {
    let Some(view) = fitted.optional("stop_words").filter(|_| matches!(unit, Unit::Word { .. })) else {
        return Ok(Lexicon::default());
    };
    if let Some(members) = view.all() {
        let words = texts_of(members, view, View::write)?;
        let words = words.ok_or_else(|| fitted.malformed("has `stop_words` that are no strings"))?;
        view.charge(Lexicon::cost(words.len()))?;
        return Ok(Lexicon::new(words));
    }
    let given = fitted.flag("fixed_vocabulary_", false)? || fitted.optional("vocabulary").is_some();
    if ngrams == (1, 1) && !given {
        return Ok(Lexicon::default());
    }
    let what = "with stop_words `english` and terms of several words";
    Err(fitted.unsupported(what, "give the words as a list: stop_words=list(ENGLISH_STOP_WORDS)"))
}

fn vocabulary(fitted: &Fitted<'_>) -> Result<Lexicon, Refusal> {
    let view = fitted.need("vocabulary_")?;
    let entries = view.entries().ok_or_else(|| fitted.malformed("has a `vocabulary_` that is no dict"))?;
    let wrong = || fitted.malformed("has a `vocabulary_` whose places are not those of its terms");
    let count = entries.len();
    let mut terms = vec![None; count];
    view.charge(size_of_val(terms.as_slice()))?;
    for (term, place) in entries {
        let at = place.int().and_then(|it| usize::try_from(it).ok());
        let slot = at.and_then(|at| terms.get_mut(at)).filter(|it| it.is_none()).ok_or_else(wrong)?;
        *slot = Some(term.id());
    }
    // As many places as terms, each of them once: none is left over.
    let write = |it: &Option<NodeId>, out: &mut Vec<u8>| view.at((*it)?).write(out);
    let texts = texts_of(terms.iter(), view, write)?.filter(|_| count > 0).ok_or_else(wrong)?;
    drop(terms);
    view.charge(Lexicon::cost(count))?;
    let vocabulary = Lexicon::new(texts);
    if vocabulary.is_distinct() { Ok(vocabulary) } else { Err(wrong()) }
}

struct Counts {
    analysis: Analysis,
    vocabulary: Lexicon,
    /// A term counts once.
    binary: bool,
}

impl Transformer for Counts {
    fn features(&self) -> usize {
        1
    }

    fn width(&self) -> usize {
        self.vocabulary.len()
    }

    fn takes(&self) -> Takes {
        Takes::Text
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let mut places: Vec<u32> = Vec::new();
        each_document(&batch, self.width(), |document, out| {
            places.clear();
            self.analysis.terms(document, |term| places.extend(self.vocabulary.get(term.as_bytes())));
            places.sort_unstable();
            for run in places.chunk_by(|a, b| a == b) {
                out.columns.push(run[0]);
                out.values.push(if self.binary { 1.0 } else { run.len() as f64 });
            }
        })
    }

    fn row_ns(&self) -> f64 {
        // A document of a few hundred words.
        10_000.0
    }
}

/// Makes a sparse row of each document.
fn each_document(
    batch: &Batch<'_>,
    width: usize,
    mut row: impl FnMut(&str, &mut Sparse),
) -> Result<Batch<'static>, Error> {
    let columns = batch.columns()?;
    let [Column::Texts(documents)] = columns.as_slice() else {
        return Err(Error::invalid("the model takes one text a row"));
    };
    let mut out = Sparse { width, starts: vec![0], ..Sparse::default() };
    for document in documents.iter() {
        let text = std::str::from_utf8(document)
            .map_err(|_| Error::invalid("a text holds bytes that are not UTF-8"))?;
        row(text, &mut out);
        out.starts.push(out.columns.len());
    }
    Ok(Batch::Sparse(out))
}

/// Multiplies counts by how rare their terms are, and divides by the length of the row.
fn weigh(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let norm = norm(fitted)?;
    let idf = if fitted.flag("use_idf", true)? { Some(idf(fitted)?) } else { None };
    let features = match (&idf, steps.width()) {
        (Some(idf), _) => idf.len(),
        (None, Some(width)) => width,
        (None, None) => super::scalers::seen_features(fitted)?,
    };
    let sublinear = fitted.flag("sublinear_tf", false)?;
    steps.add_transformer(fitted, Box::new(Weights { features, idf, norm, sublinear }))
}

/// Early releases kept the weights as a diagonal matrix.
fn idf(fitted: &Fitted<'_>) -> Result<Vec<f64>, Refusal> {
    if fitted.optional("idf_").is_some() {
        return fitted.floats("idf_");
    }
    fitted.part("_idf_diag")?.floats("data")
}

fn norm(fitted: &Fitted<'_>) -> Result<Option<Norm>, Refusal> {
    match fitted.text("norm") {
        None => Ok(None),
        Some("l1") => Ok(Some(Norm::Sum)),
        Some("l2") => Ok(Some(Norm::Length)),
        Some(other) => Err(fitted.unsupported(format!("with norm `{other}`"), "use l1 or l2")),
    }
}

struct Weights {
    features: usize,
    idf: Option<Vec<f64>>,
    norm: Option<Norm>,
    sublinear: bool,
}

impl Weights {
    fn weigh(&self, columns: &[u32], values: &mut [f64]) {
        for (column, value) in columns.iter().zip(values.iter_mut()) {
            if self.sublinear {
                *value = value.ln() + 1.0;
            }
            if let Some(idf) = &self.idf {
                *value *= idf[*column as usize];
            }
        }
        if let Some(norm) = self.norm {
            norm.divide(values);
        }
    }
}

impl Transformer for Weights {
    fn features(&self) -> usize {
        self.features
    }

    fn width(&self) -> usize {
        self.features
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let mut sparse = batch.into_sparse()?;
        check_finite(&sparse.values, sparse.width, Missing::Refused, f64::MAX)?;
        for at in 0..sparse.rows() {
            let range = sparse.starts[at]..sparse.starts[at + 1];
            self.weigh(&sparse.columns[range.clone()], &mut sparse.values[range]);
        }
        Ok(Batch::Sparse(sparse))
    }

    fn row_ns(&self) -> f64 {
        1000.0
    }
}
