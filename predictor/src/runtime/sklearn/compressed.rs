//! Files that joblib compressed as a whole: zlib and gzip are opened, the others are named.

use std::borrow::Cow;
use std::io::Read;

use super::refusal::Refusal;

/// How files begin that joblib compressed as a whole. Those it opens have a decoder.
static COMPRESSIONS: &[(&[u8], &str, Option<Decoder>)] = &[
    (b"\x78", "zlib", Some(|bytes| Box::new(flate2::read::ZlibDecoder::new(bytes)))),
    (b"\x1f\x8b", "gzip", Some(|bytes| Box::new(flate2::read::MultiGzDecoder::new(bytes)))),
    // The header of joblib before 0.10, in front of zlib.
    (b"ZF", "the zlib of an early joblib", None),
    (b"BZh", "bz2", None),
    (b"\xfd7zXZ\0", "xz", None),
    (b"\x5d\0\0", "lzma", None),
    (b"\x04\x22\x4d\x18", "lz4", None),
];

type Decoder = for<'a> fn(&'a [u8]) -> Box<dyn Read + 'a>;

/// What a file may grow to: a model of numbers shrinks by a few times, a bomb by a thousand.
const LARGEST: (u64, u64) = (64 << 20, 100);

/// Returns the bytes of the pickle, opened if they were compressed.
pub(super) fn whole(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let Some((_, method, decoder)) = COMPRESSIONS.iter().find(|(magic, ..)| bytes.starts_with(magic)) else {
        return Ok(Cow::Borrowed(bytes));
    };
    let Some(decoder) = decoder else {
        let advice =
            "save the model with compress=0, or with zlib or gzip: joblib.dump(model, path, compress=3)";
        return Err(Refusal::unsupported(format!("a file compressed with {method}"), advice));
    };
    let limit = LARGEST.0.max((bytes.len() as u64).saturating_mul(LARGEST.1));
    let mut opened = Vec::new();
    let read = decoder(bytes).take(limit + 1).read_to_end(&mut opened);
    read.map_err(|error| Refusal::malformed(format!("the {method} stream is broken or cut short: {error}")))?;
    if opened.len() as u64 > limit {
        return Err(Refusal::malformed(format!(
            "the {method} stream opens to more than {limit} bytes, the limit"
        )));
    }
    Ok(Cow::Owned(opened))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn zlib_is_opened_and_a_cut_or_a_bomb_is_refused() {
        let small = zlib(b"the model");
        assert_eq!(&*whole(&small).unwrap(), b"the model");
        let text = format!("{:?}", whole(&small[..small.len() - 5]).unwrap_err());
        assert!(text.contains("broken or cut short"), "{text}");
        let bomb = zlib(&vec![0; usize::try_from(LARGEST.0).unwrap() + 1]);
        let text = format!("{:?}", whole(&bomb).unwrap_err());
        assert!(text.contains("the limit"), "{text}");
    }

    #[test]
    fn what_is_not_opened_is_named() {
        for (bytes, name) in [(&b"BZh9"[..], "bz2"), (b"\x04\x22\x4d\x18", "lz4"), (b"\xfd7zXZ\0", "xz")] {
            let text = format!("{:?}", whole(bytes).unwrap_err());
            assert!(text.contains(&format!("compressed with {name}")), "{text}");
        }
    }
}
