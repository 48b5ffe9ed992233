//! Archives from a server: what comes out of them, and what does not.

use std::io::Write;

use super::server::{Answer, Server, noise, tree};
use super::{locate, nothing_left};

/// An entry of a tar: name, kind, contents.
fn tar(entries: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, contents) in entries {
        if name.len() > 100 {
            archive.extend(entry("././@LongLink", b'L', name.as_bytes()));
        }
        archive.extend(entry(&name[..name.len().min(100)], *kind, contents));
    }
    archive.extend([0; 1024]);
    archive
}

fn entry(name: &str, kind: u8, contents: &[u8]) -> Vec<u8> {
    let mut head = [0_u8; 512];
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[100..108].copy_from_slice(b"0000644\0");
    head[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
    head[148..156].fill(b' ');
    head[156] = kind;
    head[157..157 + 11].copy_from_slice(b"/etc/passwd");
    head[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = head.iter().map(|it| u32::from(*it)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut all = head.to_vec();
    all.extend_from_slice(contents);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

/// A zip with one entry: its name, the mode of Unix, and its contents, deflated. The list says another length where told to.
fn zip(name: &str, mode: u32, contents: &[u8], says: Option<u32>) -> Vec<u8> {
    let mut to = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    to.write_all(contents).unwrap();
    let packed = to.finish().unwrap();
    let length = says.unwrap_or(contents.len() as u32);
    let mut common = Vec::new();
    common.extend([20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    common.extend((packed.len() as u32).to_le_bytes());
    common.extend(length.to_le_bytes());
    common.extend((name.len() as u16).to_le_bytes());
    common.extend([0, 0]);
    let mut archive = [b"PK\x03\x04".as_slice(), &common, name.as_bytes(), &packed].concat();
    let list_at = archive.len() as u32;
    let mut list = [b"PK\x01\x02\x14\x03".as_slice(), &common].concat();
    list.extend([0; 6]);
    list.extend((mode << 16).to_le_bytes());
    list.extend([0; 4]);
    list.extend(name.as_bytes());
    archive.extend(&list);
    archive.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    archive.extend((list.len() as u32).to_le_bytes());
    archive.extend(list_at.to_le_bytes());
    archive.extend([0, 0]);
    archive
}

/// A Zstandard frame that has the bytes as they are.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000];
    frame.extend((bytes.len() as u32).to_le_bytes());
    let mut blocks = bytes.chunks(100_000).peekable();
    while let Some(block) = blocks.next() {
        let head = u32::from(blocks.peek().is_none()) | (block.len() as u32) << 3;
        frame.extend(&head.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// Serves an archive and fetches it.
async fn fetched(name: &str, bytes: Vec<u8>) -> (tempfile::TempDir, Result<std::path::PathBuf, String>) {
    let server = Server::start(move |asked| Answer::file(asked, &bytes, "e"));
    let (cache, found) = locate(&server.url(&format!("/{name}")), &[]).await;
    (cache, found.map_err(|error| error.to_string()))
}

#[tokio::test]
async fn an_archive_of_any_form_becomes_its_files() {
    let weights = noise(300_000, 1);
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let plain =
        tar(&[("./", b'5', b""), ("m/", b'5', b""), ("m/a.bin", b'0', &weights), (&long, b'0', b"long")]);
    for (name, bytes) in [
        ("m.tar", plain.clone()),
        ("m.tar.gz", gzip(&plain)),
        ("M.TGZ", gzip(&plain)),
        ("m.tar.zst", zstd(&plain)),
    ] {
        let (_cache, found) = fetched(name, bytes).await;
        let files = tree(&found.unwrap_or_else(|error| panic!("{name}: {error}")));
        assert_eq!(files.keys().collect::<Vec<_>>(), [&long, "m/a.bin"], "{name}");
        assert!(files["m/a.bin"] == weights, "{name}");
    }
    let (_cache, found) = fetched("m.zip", zip("m/a.bin", 0o100_644, &weights, None)).await;
    assert!(tree(&found.unwrap())["m/a.bin"] == weights);
    // What is an archive by its bytes alone stays one: models of PyTorch's are.
    let (_cache, found) = fetched("m.pt", zip("a", 0o100_644, b"x", None)).await;
    assert_eq!(tree(&found.unwrap()).keys().collect::<Vec<_>>(), ["m.pt"]);
}

#[tokio::test]
async fn what_an_archive_must_not_have_is_refused_and_leaves_nothing() {
    let zeros = vec![0_u8; 64 << 20];
    let name = "n".repeat(4000);
    let deep = "d/".repeat(600) + "f";
    for (file, bytes, part) in [
        ("a.tar", tar(&[("ok", b'0', b"1"), ("l", b'2', b"")]), "`l` is a symbolic link"),
        ("a.tar", tar(&[("l", b'1', b"")]), "`l` is a hard link"),
        ("a.tar", tar(&[("d", b'3', b"")]), "`d` is a device"),
        ("a.tar", tar(&[("p", b'6', b"")]), "`p` is a pipe"),
        ("a.tar", tar(&[("../out", b'0', b"1")]), "leads out of the folder by `..`"),
        ("a.tar", tar(&[("a/../../out", b'0', b"1")]), "leads out of the folder by `..`"),
        ("a.tar", tar(&[("/etc/cron.d/x", b'0', b"1")]), "is an absolute path"),
        ("a.tar", tar(&[(&name, b'0', b"1")]), "4000 bytes, the most are"),
        ("a.tar", tar(&[(&deep, b'0', b"1")]), "1201 bytes, the most are"),
        ("a.tar", b"this is no tar at all".repeat(100), "the file format is not valid"),
        ("a.tar", tar(&[("a", b'0', &noise(2000, 1))])[..1500].to_vec(), "cut off"),
        ("a.tgz", b"nor is this a gzip".to_vec(), "the file format is not valid"),
        ("a.tar.zst", b"nor is this a zstd".to_vec(), "the file format is not valid"),
        ("a.tgz", gzip(&tar(&[("zeros", b'0', &zeros)])), "times its size"),
        ("a.zip", zip("zeros", 0, &zeros, None), "times its size"),
        ("a.zip", zip("zeros", 0, &zeros, Some(1000)), "its list says 1000"),
        ("a.zip", zip("../out", 0, b"1", None), "leads out of the folder by `..`"),
        ("a.zip", zip("a\\..\\..\\out", 0, b"1", None), "leads out of the folder by `..`"),
        ("a.zip", zip("link", 0o120_777, b"/etc/passwd", None), "`link` is a symbolic link"),
        ("a.zip", zip("dev", 0o020_666, b"", None), "`dev` is a device"),
        ("a.zip", zip(&name, 0, b"1", None), "4000 bytes, the most are"),
        ("a.zip", b"PK\x03\x04 and no list".to_vec(), "the file format is not valid"),
        ("a.tar", tar(&[]), "there is no file in it"),
    ] {
        let (cache, found) = fetched(file, bytes).await;
        let text = found.expect_err(part);
        assert!(text.contains(part) && text.contains(file), "{part}: {text}");
        assert!(text.len() < 500, "{text}");
        nothing_left(cache.path());
    }
}
