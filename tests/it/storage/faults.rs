//! Stores that break off, refuse, lie and change; a full disk; processes that are ended in the middle. The model is whole or absent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use weir_sdk::storage::Transfer;

use super::server::{Answer, Server, noise, tree};
use super::{hasty, locate, nothing_left, storage};
use crate::harness::{wait_for, weir};

#[tokio::test]
async fn a_store_that_drops_the_connection_at_every_megabyte_costs_no_byte_twice() {
    const SIZE: usize = 20 << 20;
    let bytes = noise(SIZE, 7);
    let served = bytes.clone();
    let server = Server::start(move |asked| {
        let answer = Answer::file(asked, &served, "e");
        let cut = (answer.body.len() > 1 << 20).then_some(1 << 20);
        Answer { cut, ..answer }
    });
    let cache = tempfile::tempdir().unwrap();
    let storage = storage(cache.path(), &[]).at_pace(Transfer { chunk: 8 << 20, ..hasty() });
    let uri = server.url("/m.bin");
    let found =
        tokio::task::spawn_blocking(move || storage.locate(&uri, Path::new("."))).await.unwrap().unwrap();
    assert!(tree(&found)["m.bin"] == bytes);
    assert_eq!(server.sent(), SIZE as u64 + 1, "bytes were fetched twice");
}

#[tokio::test]
async fn a_store_that_says_later_is_asked_again_and_one_that_says_no_is_not() {
    let asked_so_far = AtomicU64::new(0);
    let server = Server::start(move |asked| match asked_so_far.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::of(429, "").with("retry-after", "0"),
        1 => Answer::of(503, "<Error><Code>SlowDown</Code></Error>"),
        3 => Answer::of(500, ""),
        _ => Answer::file(asked, b"weights", "e"),
    });
    let (_cache, found) = locate(&server.url("/m.bin"), &[]).await;
    assert_eq!(tree(&found.unwrap())["m.bin"], b"weights");

    for (status, times) in [(503, 4), (429, 4), (403, 1), (401, 1), (404, 1), (400, 1)] {
        let server = Server::start(move |_| {
            Answer::of(status, "<Error><Code>Why</Code><Message>s3cr3t</Message></Error>")
        });
        let (cache, found) = locate(&server.url("/m.bin?sig=hidden"), &[]).await;
        let text = found.unwrap_err().to_string();
        assert!(text.contains(&format!("{status}")) && text.contains("(Why)"), "{text}");
        assert!(!text.contains("s3cr3t") && !text.contains("hidden"), "{text}");
        assert_eq!(server.asked().len(), times, "{status}");
        nothing_left(cache.path());
    }
}

#[tokio::test]
async fn a_store_that_lies_about_the_length_gives_no_model() {
    let bytes = noise(300_000, 3);
    // It promises more than comes, of the part and of the whole.
    let served = bytes.clone();
    let short = Server::start(move |asked| {
        let answer = Answer::file(asked, &served, "e");
        let claims = (answer.body.len() > 1).then_some(answer.body.len());
        Answer { body: answer.body[..answer.body.len().div_ceil(2)].to_vec(), claims, ..answer }
    });
    // It says another length each time.
    let served = bytes.clone();
    let other = Server::start(move |asked| {
        if asked.header("range").is_some() {
            return Answer::of(206, "x").with("content-range", "bytes 0-0/299999").with("etag", "\"e\"");
        }
        Answer::file(asked, &served, "e")
    });
    // It sends other bytes than those that were asked for.
    let elsewhere = Server::start(|asked| match asked.header("range") {
        Some("bytes=0-0") => Answer::of(206, "x").with("content-range", "bytes 0-0/3000000"),
        _ => Answer::of(206, vec![0; 1 << 20]).with("content-range", "bytes 7-1048582/3000000"),
    });
    for (server, part) in
        [(short, "the connection broke"), (other, "its list said 299999"), (elsewhere, "another range")]
    {
        let (cache, found) = locate(&server.url("/m.bin"), &[]).await;
        match found {
            Ok(path) => assert!(tree(&path)["m.bin"] == bytes, "{part}: half a model"),
            Err(error) => assert!(error.to_string().contains(part), "{part}: {error}"),
        }
        assert!(!cache.path().join("models").exists() || tree(&cache.path().join("models")).len() == 3);
    }
}

#[tokio::test]
async fn an_object_that_changes_between_two_reads_is_one_version_or_none() {
    const SIZE: usize = 6 << 20;
    // It changes once, after the first part.
    let parts = AtomicU64::new(0);
    let server = Server::start(move |asked| {
        let is_part = asked.header("range").is_some_and(|it| it != "bytes=0-0");
        let version = if parts.fetch_add(u64::from(is_part), Ordering::SeqCst) >= 2 { 2 } else { 1 };
        Answer::file(asked, &noise(SIZE, version), &format!("v{version}"))
    });
    let (_cache, found) = locate(&server.url("/m.bin"), &[]).await;
    assert!(tree(&found.unwrap())["m.bin"] == noise(SIZE, 2), "not the version that it became");

    // It changes with every request.
    let count = AtomicU64::new(0);
    let server = Server::start(move |asked| {
        let version = count.fetch_add(1, Ordering::SeqCst);
        let answer = Answer::file(asked, &noise(SIZE, version), &format!("v{version}"));
        // As a store that knows no conditions would.
        if answer.status == 412 {
            Answer::file(
                &super::server::Asked { headers: Default::default(), ..asked.clone() },
                &noise(SIZE, version),
                &format!("v{version}"),
            )
        } else {
            answer
        }
    });
    let (cache, found) = locate(&server.url("/m.bin"), &[]).await;
    let text = found.unwrap_err().to_string();
    assert!(text.contains("its list said v"), "{text}");
    assert!(!cache.path().join("models").exists());
}

#[tokio::test]
async fn who_wants_what_another_fetches_waits_for_it() {
    let bytes = noise(9 << 20, 5);
    let served = bytes.clone();
    let server = Server::start(move |asked| Answer::file(asked, &served, "e"));
    let cache = tempfile::tempdir().unwrap();
    let one = || {
        let (storage, uri) = (storage(cache.path(), &[]), server.url("/m.bin"));
        tokio::task::spawn_blocking(move || storage.locate(&uri, Path::new(".")))
    };
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    let found: Vec<_> = [a, b, c, d].into_iter().map(|it| it.unwrap().unwrap()).collect();
    assert!(found.iter().all(|it| it == &found[0]));
    assert!(tree(&found[0])["m.bin"] == bytes);
    assert_eq!(server.sent(), bytes.len() as u64 + 4, "it was fetched more than once");
}

#[tokio::test]
async fn the_cache_keeps_to_its_size_and_to_what_is_in_use() {
    let server =
        Server::start(|asked| Answer::file(asked, &noise(400_000, asked.path().len() as u64), asked.path()));
    let cache = tempfile::tempdir().unwrap();
    let fetch = |path: &str| {
        let (storage, uri) =
            (storage(cache.path(), &[("WEIR_STORAGE_CACHE_BYTES", "1000000")]), server.url(path));
        tokio::task::spawn_blocking(move || {
            let found = storage.locate(&uri, Path::new("."));
            (storage, found)
        })
    };
    let (held, first) = fetch("/a").await.unwrap();
    let (_, second) = fetch("/bb").await.unwrap();
    let (first, second) = (first.unwrap(), second.unwrap());
    // There is room for two; the one that nobody uses goes.
    let (_held_too, third) = fetch("/ccc").await.unwrap();
    let third = third.unwrap();
    assert!(first.exists() && !second.exists() && third.exists());
    let (_, fourth) = fetch("/dddd").await.unwrap();
    let text = fourth.unwrap_err().to_string();
    assert!(text.contains("800") && text.contains("--storage_cache_bytes"), "{text}");
    drop(held);
    let (_, fourth) = fetch("/dddd").await.unwrap();
    assert!(fourth.unwrap().exists() && !first.exists() && third.exists());
}

/// A server whose answers from some byte on wait until they are let go.
fn gated(bytes: Vec<u8>, from: usize) -> (Server, Arc<(Mutex<bool>, Condvar)>) {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let here = Arc::clone(&gate);
    let server = Server::start(move |asked| {
        let answer = Answer::file(asked, &bytes, "e");
        let first = asked
            .header("range")
            .and_then(|it| it.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok());
        if first.is_some_and(|it| it >= from) {
            let open = here.0.lock().unwrap();
            drop(here.1.wait_while(open, |it| !*it).unwrap());
        }
        answer
    });
    (server, gate)
}

/// The bytes that the journal of a download into a folder has noted.
fn noted(folder: &Path) -> u64 {
    let beside =
        folder.parent().unwrap().read_dir().unwrap().flatten().map(|it| it.path().join("work/journal"));
    let records = beside.filter_map(|it| std::fs::read(it).ok()).next().unwrap_or_default();
    records.chunks_exact(20).map(|it| u64::from(u32::from_le_bytes(it[16..].try_into().unwrap()))).sum()
}

fn fetching(uri: &str, folder: &Path) -> Command {
    let mut command = weir();
    command.args(["fetch", uri]).arg(folder).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn one_that_is_killed_goes_on_where_it_was() {
    const SIZE: usize = 64 << 20;
    const OPEN: usize = 32 << 20;
    let bytes = noise(SIZE, 9);
    let (server, gate) = gated(bytes.clone(), OPEN);
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    let mut child = fetching(&server.url("/m.bin"), &model).spawn().unwrap();
    wait_for(Duration::from_secs(60), || async { noted(&model) == OPEN as u64 }).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!model.exists(), "half a model is there");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    // What waited at the gate is for nobody; it is not of the second run.
    wait_for(Duration::from_secs(60), || async { server.asked().len() >= 9 }).await;
    let output = fetching(&server.url("/m.bin"), &model).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(tree(&model)["m.bin"] == bytes);
    let second: u64 = server.asked()[9..].iter().filter_map(|it| range(it.header("range")?)).sum();
    assert_eq!(second, (SIZE - OPEN) as u64 + 1, "bytes were fetched twice");
    let left: Vec<_> = folder.path().read_dir().unwrap().flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["model"]);
}

/// How many bytes a range asks for.
fn range(header: &str) -> Option<u64> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    Some(last.parse::<u64>().ok()? - first.parse::<u64>().ok()? + 1)
}

#[tokio::test]
async fn one_that_is_told_to_end_ends() {
    let (server, _gate) = gated(noise(20 << 20, 1), 1);
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    let child = fetching(&server.url("/m.bin"), &model).spawn().unwrap();
    wait_for(Duration::from_secs(60), || async { noted(&model) > 0 }).await;
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output =
        tokio::time::timeout(Duration::from_secs(60), output).await.expect("it ends").unwrap().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("was cancelled"), "{text}");
    assert!(!model.exists());
}

#[tokio::test]
async fn a_full_disk_is_told_and_left_as_it_was() {
    let server = Server::start(|asked| Answer::file(asked, &noise(8 << 20, 1), "e"));
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=4m none {0} || exit 77; \"$1\" fetch {1} {0}/model; code=$?; ls -A {0}; exit $code",
        disk.display(),
        server.url("/m.bin")
    );
    let program: PathBuf = weir().get_program().into();
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script, "sh"]).arg(program).output();
    let Some(output) = output.ok().filter(|it| it.status.code() != Some(77) && it.status.code() != Some(127))
    else {
        println!("skipped: no small disk can be mounted here");
        return;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    if text.contains("unshare") {
        println!("skipped: no small disk can be mounted here: {}", text.trim());
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("No space left on device"), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "something is left");
}
