//! `HashingVectorizer`: a term's column is its hash, so that no vocabulary is kept.

use weir_proto::Error;

use super::super::super::refusal::Refusal;
use super::super::super::view::View;
use super::super::fitted::Fitted;
use super::super::scalers::Norm;
use super::super::{Batch, Steps, Takes, Transformer};
use super::analysis::Analysis;

pub(super) fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let analysis = super::analysis(fitted)?;
    let width = fitted.need("n_features")?.int().and_then(|it| u32::try_from(it).ok());
    let width = width.filter(|&it| (1..=1 << 31).contains(&it));
    let width = width.ok_or_else(|| fitted.malformed("has `n_features` that are no count below 2^31"))?;
    if fitted.optional("non_negative").and_then(View::boolean) == Some(true) {
        return Err(fitted.unsupported("with non_negative", "use alternate_sign=False"));
    }
    let hashing = Hashing {
        analysis,
        width,
        signed: fitted.flag("alternate_sign", true)?,
        binary: fitted.flag("binary", false)?,
        norm: super::norm(fitted)?,
    };
    steps.add_transformer(fitted, Box::new(hashing))
}

struct Hashing {
    analysis: Analysis,
    width: u32,
    /// A hash's sign is that of what it adds.
    signed: bool,
    binary: bool,
    norm: Option<Norm>,
}

impl Hashing {
    fn place(&self, term: &str) -> (u32, f64) {
        let hash = murmur3(term.as_bytes()).cast_signed();
        let sign = if self.signed && hash < 0 { -1.0 } else { 1.0 };
        (hash.unsigned_abs() % self.width, sign)
    }
}

impl Transformer for Hashing {
    fn features(&self) -> usize {
        1
    }

    fn width(&self) -> usize {
        self.width as usize
    }

    fn takes(&self) -> Takes {
        Takes::Text
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let mut places: Vec<(u32, f64)> = Vec::new();
        super::each_document(&batch, self.width as usize, |document, out| {
            places.clear();
            self.analysis.terms(document, |term| places.push(self.place(term)));
            places.sort_by_key(|(place, _)| *place);
            let from = out.values.len();
            for run in places.chunk_by(|a, b| a.0 == b.0) {
                out.columns.push(run[0].0);
                let sum: f64 = run.iter().map(|(_, sign)| sign).sum();
                out.values.push(if self.binary { 1.0 } else { sum });
            }
            if let Some(norm) = self.norm {
                norm.divide(&mut out.values[from..]);
            }
        })
    }

    fn row_ns(&self) -> f64 {
        10_000.0
    }
}

/// MurmurHash3 of 32 bits with seed 0: A. Appleby, public domain.
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (words, tail) = bytes.as_chunks::<4>();
    let mut hash = 0_u32;
    for word in words {
        hash =
            (hash ^ mix(u32::from_le_bytes(*word))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !tail.is_empty() {
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        hash ^= mix(u32::from_le_bytes(last));
    }
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_known() {
        for (text, hash) in [("", 0), ("hello", 0x248b_fa47), ("hello, world", 0x149b_bb7f)] {
            assert_eq!(murmur3(text.as_bytes()), hash, "{text}");
        }
    }
}
