//! A model of 2000 files and 1 GB from a store on the loopback interface: by `fetch`, by a plain parallel read of the same server
//! that keeps nothing, by boto3's transfer manager and by KServe's storage initializer, in turns. The best turn of each counts.
//!
//! `WEIR_STORAGE_PYTHON=.../python cargo bench -p weir-tests --bench fetch [-- TURNS]`, a Python with `tests/storage/peers.txt`;
//! without one the first two are compared.

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const FILES: usize = 2000;
const SIZE: usize = 512 << 10;
const READERS: usize = 16;
/// Files of a page of the list, as S3 has them.
const PAGE: usize = 1000;

fn main() {
    let turns = std::env::args().skip(1).find_map(|it| it.parse().ok()).unwrap_or(3);
    let at = serve();
    let python = std::env::var_os("WEIR_STORAGE_PYTHON").map(PathBuf::from);
    let mut kinds = vec!["plain read", "plain read and write", "fetch"];
    kinds.extend(python.iter().flat_map(|_| ["boto3", "kserve"]));
    let mut best = vec![f64::INFINITY; kinds.len()];
    for _ in 0..turns {
        for (kind, best) in kinds.iter().zip(&mut best) {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("model");
            let took = match *kind {
                "plain read" => plain(at, None),
                "plain read and write" => plain(at, Some(&target)),
                "fetch" => fetch(at, &target),
                kind => peer(python.as_deref().unwrap(), kind, at, &target),
            };
            if *kind != "plain read" {
                let there = target.read_dir().unwrap().map(|it| it.unwrap().metadata().unwrap().len());
                let (files, bytes) = there.fold((0, 0), |(files, bytes), it| (files + 1, bytes + it));
                assert_eq!((files, bytes), (FILES, (FILES * SIZE) as u64), "{kind}");
            }
            *best = best.min(took);
        }
    }
    println!("| read by | s | GB/s | times `fetch` |\n|---|---|---|---|");
    let ours = best[2];
    for (kind, took) in kinds.iter().zip(best) {
        println!("| {kind} | {took:.2} | {:.2} | {:.2} |", (FILES * SIZE) as f64 / 1e9 / took, took / ours);
    }
}

/// Every file is read by one of several threads, each with a connection of its own.
fn plain(at: SocketAddr, folder: Option<&Path>) -> f64 {
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    folder.iter().for_each(|it| std::fs::create_dir(it).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(at).unwrap();
                stream.set_nodelay(true).unwrap();
                let mut buffer = vec![0; 256 << 10];
                loop {
                    let file = next.fetch_add(1, Ordering::Relaxed);
                    if file >= FILES {
                        return;
                    }
                    let request = format!("GET /bucket/model/{file:04}.bin HTTP/1.1\r\nhost: {at}\r\n\r\n");
                    stream.write_all(request.as_bytes()).unwrap();
                    let mut to =
                        folder.map(|it| std::fs::File::create(it.join(format!("{file:04}.bin"))).unwrap());
                    // The head comes with the first bytes.
                    let mut head = 0;
                    let mut left = SIZE;
                    while left > 0 {
                        let read = stream.read(&mut buffer).unwrap();
                        assert!(read > 0);
                        let body = if head == 0 {
                            head = 4 + buffer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
                            &buffer[head..read]
                        } else {
                            &buffer[..read]
                        };
                        to.iter_mut().for_each(|it| it.write_all(body).unwrap());
                        left -= body.len();
                    }
                }
            });
        }
    });
    started.elapsed().as_secs_f64()
}

/// The subcommand, with its start and its list.
fn fetch(at: SocketAddr, folder: &Path) -> f64 {
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_weir-under-test"))
        .args(["fetch", "s3://bucket/model"])
        .arg(folder)
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .env("AWS_ENDPOINT_URL", format!("http://{at}"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    started.elapsed().as_secs_f64()
}

/// What others wrote; it says itself how long it took, without its start.
fn peer(python: &Path, kind: &str, at: SocketAddr, folder: &Path) -> f64 {
    std::fs::create_dir(folder).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("storage/peers.py");
    let output = Command::new(python)
        .arg(script)
        .args([kind, &format!("http://{at}"), "bucket", "model"])
        .arg(folder)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().last().and_then(|it| it.parse().ok());
    told.unwrap_or_else(|| panic!("{kind}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// A store of S3's kind with one bucket: a thread a connection, every file the same bytes of memory.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let bytes: Arc<[u8]> = (0..SIZE).map(|it| (it * 31 % 251) as u8).collect();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let bytes = Arc::clone(&bytes);
            std::thread::spawn(move || answer(stream, &bytes));
        }
    });
    at
}

fn answer(stream: TcpStream, bytes: &[u8]) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|it| *it > 0)?;
        let mut range = None;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let lower = line.trim().to_ascii_lowercase();
            if lower.is_empty() {
                break;
            }
            if let Some((first, last)) = lower.strip_prefix("range: bytes=").and_then(|it| it.split_once('-'))
            {
                let last = last.parse::<usize>().map_or(bytes.len(), |it| it + 1).min(bytes.len());
                range = Some((first.parse::<usize>().ok()?, last));
            }
        }
        let mut words = first.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if !query.is_empty() || path.matches('/').count() < 3 {
            let body = if method == "HEAD" { String::new() } else { list(query) };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).ok()?;
            stream.write_all(body.as_bytes()).ok()?;
            continue;
        }
        let (status, from, to) =
            range.map_or(("200 OK", 0, bytes.len()), |(from, to)| ("206 Partial Content", from, to));
        let head = format!(
            "HTTP/1.1 {status}\r\netag: \"e\"\r\nlast-modified: Tue, 01 Jul 2025 00:00:00 GMT\r\naccept-ranges: bytes\r\n\
             content-range: bytes {from}-{}/{}\r\ncontent-length: {}\r\n\r\n",
            to - 1,
            bytes.len(),
            to - from
        );
        stream.write_all(head.as_bytes()).ok()?;
        if method != "HEAD" {
            stream.write_all(&bytes[from..to]).ok()?;
        }
    }
}

/// A page of the list. The token, or the marker of the older list, is the number of the first file on it.
fn list(query: &str) -> String {
    let value = |name: &str| query.split('&').find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    let marker =
        value("marker").and_then(|it| it.rsplit("%2F").next()?[..4].parse::<usize>().ok()).map(|it| it + 1);
    let from: usize = value("continuation-token").and_then(|it| it.parse().ok()).or(marker).unwrap_or(0);
    let to = (from + PAGE).min(FILES);
    let mut text = "<?xml version=\"1.0\"?><ListBucketResult><Name>bucket</Name>".to_owned();
    for file in from..to {
        text += &format!(
            "<Contents><Key>model/{file:04}.bin</Key><LastModified>2025-07-01T00:00:00.000Z</LastModified>\
             <ETag>&quot;e&quot;</ETag><Size>{SIZE}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        );
    }
    if to < FILES {
        text += &format!("<NextContinuationToken>{to}</NextContinuationToken>");
    }
    text + &format!("<IsTruncated>{}</IsTruncated></ListBucketResult>", to < FILES)
}
