//! HTTP compression: bodies of requests undone within their limits, answers compressed for clients that take it.

use std::io::{self, BufRead, Read, Write};

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, Decompress, FlushDecompress, Status};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::oneshot;
use weir_proto::{Code, Error};

/// What is compressed or decompressed between two looks at whether the caller is still there; more than this is not done on a
/// thread that moves bytes, where it takes a millisecond or two.
const STEP: usize = 256 << 10;

/// The encodings that are read and written, as a header's value.
pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, deflate");

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// In the format of zlib, as HTTP says.
    Deflate,
}

impl Coding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn of(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        name.eq_ignore_ascii_case("deflate").then_some(Self::Deflate)
    }

    /// Reads how a request's body is compressed, from the header `content-encoding`.
    ///
    /// # Errors
    /// `Unsupported`.
    pub(super) fn of_request(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let mut found = None;
        for name in items(headers, header::CONTENT_ENCODING) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            let coding = Self::of(name).ok_or_else(|| {
                let shown: String = name.chars().take(40).collect();
                // The words before the colon are Triton's.
                let text = format!("Unsupported compression type: `{shown}`; send `gzip`, `deflate` or none");
                Error::new(Code::Unsupported, text)
            })?;
            if found.replace(coding).is_some() {
                let text = "Unsupported compression type: several, one upon the other; send one or none";
                return Err(Error::new(Code::Unsupported, text));
            }
        }
        Ok(found)
    }

    /// Chooses how an answer of that length is compressed, by the header `accept-encoding`: gzip where it is liked as much as
    /// deflate, nothing for an answer that is not longer than `over`.
    pub(super) fn of_answer(headers: &HeaderMap, length: usize, over: usize) -> Option<Self> {
        let wishes = Wishes::of(headers);
        let best = [(Self::Gzip, wishes.gzip()), (Self::Deflate, wishes.deflate())];
        let (coding, liked) = if best[0].1 >= best[1].1 { best[0] } else { best[1] };
        // Whoever does not take it as it is gets it compressed, however short it is.
        let wanted = wishes.identity() == 0 || (over > 0 && length > over && liked >= wishes.identity());
        (liked > 0 && wanted).then_some(coding)
    }
}

/// What a list of headers names, comma by comma. What is no text names nothing.
fn items(headers: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|it| it.to_str().ok());
    values.flat_map(|it| it.split(',')).map(str::trim)
}

/// How much a client likes each encoding, in thousandths; what it does not name is `None`.
#[derive(Debug, Default)]
struct Wishes {
    gzip: Option<u16>,
    deflate: Option<u16>,
    identity: Option<u16>,
    others: Option<u16>,
}

impl Wishes {
    fn of(headers: &HeaderMap) -> Self {
        let mut wishes = Self::default();
        for item in items(headers, header::ACCEPT_ENCODING) {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let name = name.trim();
            let liked = match Coding::of(name) {
                Some(Coding::Gzip) => &mut wishes.gzip,
                Some(Coding::Deflate) => &mut wishes.deflate,
                None if name.eq_ignore_ascii_case("identity") => &mut wishes.identity,
                None if name == "*" => &mut wishes.others,
                None => continue,
            };
            *liked = Some(quality(parameters));
        }
        wishes
    }

    fn gzip(&self) -> u16 {
        self.gzip.or(self.others).unwrap_or(0)
    }

    fn deflate(&self) -> u16 {
        self.deflate.or(self.others).unwrap_or(0)
    }

    /// An answer as it is can be sent unless that is forbidden; a client that does not speak of it likes it least.
    fn identity(&self) -> u16 {
        self.identity.unwrap_or(if self.others == Some(0) { 0 } else { 1 })
    }
}

/// Reads `q=0.5`. Nothing is 1; nonsense is 0, since nothing is compressed by mistake then.
fn quality(parameters: &str) -> u16 {
    let Some((_, text)) = parameters.split_once('=') else {
        return if parameters.trim().is_empty() { 1000 } else { 0 };
    };
    let value: f32 = text.trim().parse().unwrap_or(0.0);
    (value.clamp(0.0, 1.0) * 1000.0) as u16
}

/// Undoes the compression of a body, all of which must be that; `max` is the most bytes it may give.
///
/// # Errors
/// `InvalidInput` for a body that is corrupt, cut short or goes on; `TooLarge`, before more than the limit is kept.
pub(super) async fn decompress(coding: Coding, body: Bytes, max: usize) -> Result<Bytes, Error> {
    let mut inflate = Inflate::new(coding, body, max);
    if inflate.step()? {
        return Ok(inflate.out.into());
    }
    apart(move |wanted| {
        while wanted() {
            if inflate.step()? {
                break;
            }
        }
        Ok(inflate.out.into())
    })
    .await?
}

/// Compresses an answer, fast rather than small.
///
/// # Errors
/// `Inference`, should the thread be lost on which it is done.
pub(super) async fn compress(coding: Coding, body: Bytes) -> Result<Bytes, Error> {
    if body.len() <= STEP {
        return Ok(deflate(coding, &body, || true).into());
    }
    apart(move |wanted| deflate(coding, &body, wanted).into()).await
}

/// Does work on a thread that may block, which learns from `wanted` whether somebody waits for it still.
async fn apart<T: Send + 'static>(
    work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
) -> Result<T, Error> {
    let (done, waits) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let made = work(&|| !done.is_closed());
        // Fails when nobody waits.
        let _ = done.send(made);
    });
    waits
        .await
        .map_err(|_| Error::new(Code::Inference, "the service failed unexpectedly; its log tells more"))
}

fn deflate(coding: Coding, body: &[u8], wanted: impl Fn() -> bool) -> Vec<u8> {
    const PROOF: &str = "a vector takes whatever is written";
    let out = Vec::with_capacity(body.len() / 2);
    let steps = body.chunks(STEP).take_while(|_| wanted());
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(out, Compression::fast());
            steps.for_each(|step| encoder.write_all(step).expect(PROOF));
            encoder.finish().expect(PROOF)
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(out, Compression::fast());
            steps.for_each(|step| encoder.write_all(step).expect(PROOF));
            encoder.finish().expect(PROOF)
        }
    }
}

/// A decompression on its way.
struct Inflate {
    coding: Coding,
    stream: Stream,
    compressed: usize,
    max: usize,
    out: Vec<u8>,
}

enum Stream {
    Gzip(Box<MultiGzDecoder<Reader<Bytes>>>),
    Deflate(Decompress, Bytes),
}

impl Inflate {
    fn new(coding: Coding, body: Bytes, max: usize) -> Self {
        let compressed = body.len();
        let stream = match coding {
            Coding::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(body.reader()))),
            Coding::Deflate => Stream::Deflate(Decompress::new(is_zlib(&body)), body),
        };
        Self { coding, stream, compressed, max, out: Vec::new() }
    }

    /// Goes on by up to [`STEP`] bytes. Returns whether that was all.
    fn step(&mut self) -> Result<bool, Error> {
        let room = self.max - self.out.len();
        // One byte more than may be tells that there is more.
        let step = STEP.min(room.saturating_add(1));
        if self.out.capacity() - self.out.len() < step {
            // The buffer doubles with what came, never with what is promised, and ends at the limit.
            let most = room.saturating_add(1);
            let guess = self.out.len().max(self.compressed.saturating_mul(4).min(STEP)).max(step.min(4096));
            self.out.reserve_exact(guess.min(most));
        }
        let step = step.min(self.out.capacity() - self.out.len());
        let ended = match &mut self.stream {
            Stream::Gzip(decoder) => gunzip(decoder, &mut self.out, step),
            Stream::Deflate(decoder, rest) => inflate(decoder, rest, &mut self.out),
        };
        let ended = ended.map_err(|error| broken(self.coding, &error))?;
        if self.out.len() > self.max {
            return Err(self.too_large());
        }
        Ok(ended)
    }

    fn too_large(&self) -> Error {
        let (compressed, max) = (self.compressed, self.max);
        let message = format!(
            "the body's {compressed} bytes of {} hold more than {max} bytes, the limit of what is decompressed",
            self.coding.name()
        );
        Error::new(Code::TooLarge, message)
    }
}

fn gunzip(decoder: &mut MultiGzDecoder<Reader<Bytes>>, out: &mut Vec<u8>, step: usize) -> io::Result<bool> {
    let read = decoder.by_ref().take(step as u64).read_to_end(out)?;
    if read < step && !decoder.get_mut().fill_buf()?.is_empty() {
        return Err(more());
    }
    Ok(read < step)
}

/// The decoders that flate2 offers for this take a stream that is cut short for whole.
fn inflate(decoder: &mut Decompress, rest: &mut Bytes, out: &mut Vec<u8>) -> io::Result<bool> {
    let before = (decoder.total_in(), decoder.total_out());
    let status = decoder.decompress_vec(rest, out, FlushDecompress::None)?;
    rest.advance(usize::try_from(decoder.total_in() - before.0).unwrap_or(rest.len()).min(rest.len()));
    if status == Status::StreamEnd {
        if rest.is_empty() {
            return Ok(true);
        }
        return Err(more());
    }
    if before == (decoder.total_in(), decoder.total_out()) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(false)
}

fn more() -> io::Error {
    io::Error::other("there is more after its end")
}

/// Returns whether a stream begins as zlib does (RFC 1950); some clients send the bare deflate inside of it.
fn is_zlib(body: &[u8]) -> bool {
    match *body {
        [method, flags, ..] => {
            method & 0x8f == 0x08 && (u16::from(method) << 8 | u16::from(flags)).is_multiple_of(31)
        }
        _ => true,
    }
}

fn broken(coding: Coding, error: &io::Error) -> Error {
    let name = coding.name();
    let what = if error.kind() == io::ErrorKind::UnexpectedEof {
        "is cut short".to_owned()
    } else {
        format!("is broken: {error}")
    };
    Error::invalid(format!("the body, which `content-encoding` says is {name}, {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &http::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|it| (name.clone(), HeaderValue::from_str(it).unwrap())).collect()
    }

    #[test]
    fn a_request_has_one_encoding_that_is_known() {
        let of = |values: &[&str]| {
            Coding::of_request(&headers(&header::CONTENT_ENCODING, values)).map_err(|it| it.message)
        };
        assert_eq!(of(&["gzip"]), Ok(Some(Coding::Gzip)));
        assert_eq!(of(&["X-Gzip, identity"]), Ok(Some(Coding::Gzip)));
        assert_eq!(of(&["", "DEFLATE"]), Ok(Some(Coding::Deflate)));
        assert_eq!(of(&["identity"]), Ok(None));
        for values in [&["br"][..], &["zstd"], &["gzip, deflate"], &["gzip", "gzip"]] {
            assert!(of(values).unwrap_err().starts_with("Unsupported compression type: "), "{values:?}");
        }
    }

    #[test]
    fn wishes_are_weighed() {
        let of = |text: &str| Coding::of_answer(&headers(&header::ACCEPT_ENCODING, &[text]), 100, 10);
        for text in
            ["gzip", "x-gzip", "deflate, gzip", "*", "br, gzip;q=0.5", "deflate;q=0.3, *", "gzip;q=1.000"]
        {
            assert_eq!(of(text), Some(Coding::Gzip), "{text}");
        }
        for text in ["deflate", "gzip;q=0, deflate", "gzip;q=0.5, deflate; q=0.8", "*, gzip;q=0"] {
            assert_eq!(of(text), Some(Coding::Deflate), "{text}");
        }
        for text in ["", "br", "gzip;q=0", "identity", "*;q=0", "gzip;q=x", "gzip;q=0.5, identity", "gzip;x"]
        {
            assert_eq!(of(text), None, "{text}");
        }
        let short = |text: &str| Coding::of_answer(&headers(&header::ACCEPT_ENCODING, &[text]), 10, 10);
        assert_eq!(
            [short("gzip"), short("gzip, *;q=0"), short("gzip, identity;q=0")],
            [None, Some(Coding::Gzip), Some(Coding::Gzip)]
        );
        assert_eq!(Coding::of_answer(&headers(&header::ACCEPT_ENCODING, &["gzip"]), 100, 0), None);
    }

    /// Bytes that compress, but not to nothing.
    fn sample(length: usize) -> Vec<u8> {
        (0..length).map(|it| (it * it / 7 % 251) as u8).collect()
    }

    #[tokio::test]
    async fn what_was_compressed_comes_back_whatever_its_length() {
        for coding in [Coding::Gzip, Coding::Deflate] {
            for length in [0, 1, 1000, STEP - 1, STEP, STEP + 1, 3 * STEP, 10 * STEP + 17] {
                let body = Bytes::from(sample(length));
                let small = compress(coding, body.clone()).await.unwrap();
                let back = decompress(coding, small.clone(), length).await;
                assert_eq!(back, Ok(body), "{coding:?} {length}");
                if length > 0 {
                    let error = decompress(coding, small, length - 1).await.unwrap_err();
                    assert_eq!(error.code, Code::TooLarge, "{coding:?} {length}");
                }
            }
        }
    }

    #[tokio::test]
    async fn whatever_is_cut_short_or_goes_on_is_refused() {
        let body = sample(2000);
        for coding in [Coding::Gzip, Coding::Deflate] {
            let whole = compress(coding, body.clone().into()).await.unwrap();
            for end in 0..whole.len() {
                let cut = decompress(coding, whole.slice(..end), 1 << 20).await;
                assert_eq!(cut.unwrap_err().code, Code::InvalidInput, "{coding:?} {end}");
            }
            for more in [&b"\0"[..], b"x", b"garbage that goes on"] {
                let longer = [&*whole, more].concat().into();
                let longer = decompress(coding, longer, 1 << 20).await;
                assert_eq!(longer.unwrap_err().code, Code::InvalidInput, "{coding:?} {more:?}");
            }
            let mut wrong = whole.to_vec();
            let checksum = wrong.len() - if coding == Coding::Gzip { 8 } else { 4 };
            wrong[checksum] ^= 1;
            let wrong = decompress(coding, wrong.into(), 1 << 20).await;
            assert_eq!(wrong.unwrap_err().code, Code::InvalidInput, "{coding:?}: the checksum");
        }
    }

    #[tokio::test]
    async fn gzip_may_have_several_members_and_deflate_no_frame() {
        let parts = [sample(1000), sample(5)];
        let mut members = Vec::new();
        for part in &parts {
            members.extend(compress(Coding::Gzip, part.clone().into()).await.unwrap());
        }
        let back = decompress(Coding::Gzip, members.into(), 1 << 20).await.unwrap();
        assert_eq!(&*back, parts.concat());

        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&parts[0]).unwrap();
        let raw = encoder.finish().unwrap();
        assert!(!is_zlib(&raw));
        let back = decompress(Coding::Deflate, raw.into(), 1 << 20).await.unwrap();
        assert_eq!(&*back, parts[0]);
    }

    #[tokio::test]
    async fn work_ends_when_nobody_waits_for_it() {
        let (told, heard) = oneshot::channel();
        let mut work = Box::pin(apart(move |wanted| {
            while wanted() {
                std::thread::yield_now();
            }
            told.send(()).unwrap();
        }));
        tokio::select! {
            biased;
            _ = &mut work => panic!("it ended while somebody waited"),
            () = std::future::ready(()) => {}
        }
        drop(work);
        tokio::time::timeout(std::time::Duration::from_secs(20), heard).await.unwrap().unwrap();
    }

    #[test]
    fn a_bomb_takes_no_more_memory_than_its_limit() {
        for coding in [Coding::Gzip, Coding::Deflate] {
            let bomb = deflate(coding, &vec![0; 10 << 20], || true);
            assert!(bomb.len() < 64 << 10, "{}", bomb.len());
            for max in [100, 100_000, 1 << 20] {
                let mut inflate = Inflate::new(coding, bomb.clone().into(), max);
                let error = loop {
                    match inflate.step() {
                        Ok(ended) => assert!(!ended),
                        Err(error) => break error,
                    }
                };
                assert_eq!(error.code, Code::TooLarge);
                assert!(error.message.contains(&bomb.len().to_string()), "{}", error.message);
                assert!(inflate.out.capacity() <= max + 64, "{} for {max}", inflate.out.capacity());
            }
        }
    }
}
