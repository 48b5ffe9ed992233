//! Files that joblib compressed as a whole: zlib, gzip, bz2, xz, lzma, lz4, and the zlib of joblib before 0.10.

use std::borrow::Cow;
use std::io::Read;

use super::refusal::Refusal;

/// How files begin that joblib compressed as a whole.
static COMPRESSIONS: &[(&[u8], &str, Decoder)] = &[
    (b"\x78", "zlib", |bytes| Box::new(flate2::read::ZlibDecoder::new(bytes))),
    (b"\x1f\x8b", "gzip", |bytes| Box::new(flate2::read::MultiGzDecoder::new(bytes))),
    (b"BZh", "bz2", |bytes| Box::new(bzip2_rs::DecoderReader::new(bytes))),
    (b"\xfd7zXZ\0", "xz", |bytes| Box::new(lzma_rust2::XzReader::new_mem_limit(bytes, true, WINDOW_KIB))),
    (b"\x5d\0\0", "lzma", lzma),
    (b"\x04\x22\x4d\x18", "lz4", |bytes| Box::new(lz4_flex::frame::FrameDecoder::new(bytes))),
    (b"ZF", "early joblib's zlib", early),
];

type Decoder = for<'a> fn(&'a [u8]) -> Box<dyn Read + 'a>;

/// What a file may grow to: a model of numbers shrinks by a few times, one of zeros by a hundred, a bomb by more.
const LARGEST: (u64, u64) = (64 << 20, 100);

/// What the decoders of xz and lzma may remember. Their strongest preset wants 64 MiB, and some more for its tables.
const WINDOW_KIB: u32 = 80 << 10;

/// Returns the bytes of the pickle, opened if they were compressed.
///
/// # Errors
/// `Malformed` for a stream that is broken, cut short, or grows beyond all measure.
pub(super) fn whole(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let Some((_, method, decoder)) = COMPRESSIONS.iter().find(|(magic, ..)| bytes.starts_with(magic)) else {
        return Ok(Cow::Borrowed(bytes));
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
    // It grew by doubling.
    opened.shrink_to_fit();
    Ok(Cow::Owned(opened))
}

/// What Python calls `FORMAT_ALONE`.
fn lzma(bytes: &[u8]) -> Box<dyn Read + '_> {
    match lzma_rust2::LzmaReader::new_mem_limit(bytes, WINDOW_KIB, None) {
        Ok(reader) => Box::new(reader),
        Err(error) => Box::new(Broken(error.to_string())),
    }
}

/// `ZF`, the size as hexadecimal digits filled with blanks up to 19 characters, one more blank at times, zlib.
fn early(bytes: &[u8]) -> Box<dyn Read + '_> {
    const HEADER: usize = 2 + 19;
    let Some(stream) = bytes.get(HEADER..) else {
        return Box::new(Broken("its header ends early".to_owned()));
    };
    Box::new(flate2::read::ZlibDecoder::new(stream.strip_prefix(b" ").unwrap_or(stream)))
}

/// A stream whose first bytes are wrong already.
struct Broken(String);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, self.0.clone()))
    }
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

    fn message(bytes: &[u8]) -> String {
        format!("{:?}", whole(bytes).unwrap_err())
    }

    #[test]
    fn zlib_is_opened_and_a_cut_or_a_bomb_is_refused() {
        let small = zlib(b"the model");
        assert_eq!(&*whole(&small).unwrap(), b"the model");
        let text = message(&small[..small.len() - 5]);
        assert!(text.contains("broken or cut short"), "{text}");
        let bomb = zlib(&vec![0; usize::try_from(LARGEST.0).unwrap() + 1]);
        let text = message(&bomb);
        assert!(text.contains("the limit"), "{text}");
    }

    #[test]
    fn early_joblib_wrote_a_header_of_its_own() {
        for blank in ["", " "] {
            let header = format!("ZF{:<19}{blank}", "0x9");
            assert_eq!(&*whole(&[header.as_bytes(), &zlib(b"the model")].concat()).unwrap(), b"the model");
        }
        assert!(message(b"ZF0x9").contains("the early joblib's zlib stream is broken"));
    }

    #[test]
    fn a_decoder_that_wants_gigabytes_gets_none() {
        // A window of 4 GiB, and a stream that says it has 2^63 bytes.
        let header = [&b"\x5d\0\0"[..], b"\xff\xff", &[0, 0, 0, 0, 0, 0, 0, 0x80], &[0; 64]].concat();
        assert!(message(&header).contains("the lzma stream is broken"), "{}", message(&header));
    }

    #[test]
    fn what_is_no_stream_is_named() {
        for (magic, method, _) in COMPRESSIONS {
            let text = message(&[magic, &[0xee; 40][..]].concat());
            assert!(text.contains(&format!("the {method} stream is broken or cut short")), "{text}");
        }
    }
}
