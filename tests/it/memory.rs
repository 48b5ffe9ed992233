//! What reading a model takes of the heap: no more than four times its file, beside the file's own bytes and a little that no
//! file needs more than. Every byte is counted that a thread holds at one time, both copies of what is moved among them.

use std::io::Read;

/// What any file may take beyond its size: room that is made before it is known how much is needed.
const ALLOWANCE: u64 = 1 << 20;

/// Returns how many bytes of the heap a call holds at most, of the thread that it is called on.
pub(crate) fn taken(call: impl FnOnce()) -> u64 {
    allocation_counter::measure(call).bytes_max
}

/// What a decompressor may take beside: bzip2 turns blocks of 900 kB back by a table of four times as much.
const DECOMPRESSOR: u64 = 4 << 20;

/// Returns what reading a file may take: its own bytes, those that it opens to where it is compressed, four times as many, and
/// [`ALLOWANCE`].
pub(crate) fn limit(data: &[u8]) -> u64 {
    let stored = data.len() as u64;
    match opened(data) {
        Some(opened) => stored + 5 * opened.max(stored) + ALLOWANCE + DECOMPRESSOR,
        None => 5 * stored + ALLOWANCE,
    }
}

/// Returns how many bytes a compressed file opens to, up to where it is broken.
fn opened(data: &[u8]) -> Option<u64> {
    const WINDOW_KIB: u32 = 80 << 10;
    let count = |mut stream: Box<dyn Read + '_>| {
        let mut count = 0;
        let mut buffer = [0; 1 << 16];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            count += read as u64;
        }
        count
    };
    let zlib = |data| count(Box::new(flate2::read::ZlibDecoder::new(data)));
    Some(match data {
        [0x78, ..] => zlib(data),
        [b'Z', b'F', ..] => zlib(data.get(21..).map_or(&[], |it| it.strip_prefix(b" ").unwrap_or(it))),
        [0x1f, 0x8b, ..] => count(Box::new(flate2::read::MultiGzDecoder::new(data))),
        [b'B', b'Z', b'h', ..] => count(Box::new(bzip2_rs::DecoderReader::new(data))),
        [0xfd, b'7', b'z', ..] => {
            count(Box::new(lzma_rust2::XzReader::new_mem_limit(data, true, WINDOW_KIB)))
        }
        [0x5d, 0, 0, ..] => {
            lzma_rust2::LzmaReader::new_mem_limit(data, WINDOW_KIB, None).map_or(0, |it| count(Box::new(it)))
        }
        [4, 0x22, 0x4d, 0x18, ..] => count(Box::new(lz4_flex::frame::FrameDecoder::new(data))),
        _ => return None,
    })
}

/// Every model beneath `WEIR_BIG`, for whoever looks for one that takes more.
#[test]
fn measure_them() {
    let Some(folder) = std::env::var_os("WEIR_BIG").map(std::path::PathBuf::from) else { return };
    let mut lines = Vec::new();
    for file in folder.read_dir().unwrap().map(|it| it.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let runtime = match name.as_str() {
            it if it.starts_with("lgb") => "lightgbm",
            it if it.starts_with("xgb") => "xgboost",
            it if it.ends_with("pmml") => "pmml",
            _ => "sklearn",
        };
        let runtime = weir_predictor::find(runtime).unwrap();
        let size = file.metadata().unwrap().len();
        let began = std::time::Instant::now();
        let mut why = None;
        let peak = taken(|| why = runtime.load(&file, &Default::default()).err());
        lines.push((
            (peak - size) as f64 / size as f64,
            format!(
                "{name} {size} peak-size {} {:?} {}",
                peak - size,
                began.elapsed(),
                why.map(|it| it.to_string()).unwrap_or_default()
            ),
        ));
    }
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (factor, line) in lines {
        println!("{factor:.2} {line}");
    }
}
