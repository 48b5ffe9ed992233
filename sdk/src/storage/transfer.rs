//! Moves the bytes of a model: many connections side by side, long files in parts, each part again from where it broke off.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::task::JoinSet;

use super::StorageError;
use super::client::{Ask, Attempts};
use super::journal::{Here, Journal};
use super::list::{Listing, Object, Ranges, bare_etag, hex};
use super::place::shown;
use super::progress::Progress;
use super::settings::Settings;

/// So many bytes of a part may be lost when the process is killed.
const NOTED_EVERY: u64 = 256 << 10;
/// An attempt that brought less is as one that brought nothing: a store that trickles must come to an end.
const WORTH_IT: u64 = 64 << 10;

/// Brings the bytes of a listing into the folder of a download, below `files`.
///
/// # Errors
/// [`StorageError`]; what was fetched stays for another attempt.
pub(super) async fn fetch(
    folder: &Path,
    listing: Listing,
    settings: &Settings,
    progress: Arc<Progress>,
) -> Result<(), StorageError> {
    let (journal, here) = Journal::open(folder, &listing.objects)?;
    let objects = &listing.objects;
    let files = folder.join("files");
    let mut parts = Vec::new();
    let mut left = Vec::with_capacity(objects.len());
    for (index, (object, here)) in objects.iter().zip(&here).enumerate() {
        make_file(&files, &object.path)?;
        let before = parts.len();
        parts.extend(missing(index, object, here, settings.transfer.chunk));
        left.push(AtomicUsize::new(parts.len() - before));
        progress.here.fetch_add(here.bytes(), Ordering::Relaxed);
        if parts.len() == before {
            progress.files.fetch_add(1, Ordering::Relaxed);
        }
    }
    // Parts of long files first: the short ones fill up the end.
    parts.sort_by_key(|it| std::cmp::Reverse(objects[it.object].length.unwrap_or(u64::MAX)));
    let work = Arc::new(Work { listing, parts, left, next: AtomicUsize::new(0), files, journal, progress });
    let mut workers = JoinSet::new();
    for _ in 0..settings.transfer.connections.min(work.parts.len()) {
        workers.spawn(Arc::clone(&work).run(settings.limits.bytes));
    }
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| StorageError::Settings(format!("a download's task ended: {error}")))??;
    }
    Ok(())
}

/// A part of an object.
struct Part {
    object: usize,
    from: u64,
    /// Its end, where the object's length is known.
    to: Option<u64>,
}

/// The parts that are not here yet.
fn missing(index: usize, object: &Object, here: &Here, chunk: u64) -> Vec<Part> {
    let part = |from, to| Part { object: index, from, to };
    let Some(length) = object.length else {
        return vec![part(if object.ranges == Ranges::None { 0 } else { here.head() }, None)];
    };
    if object.ranges == Ranges::None {
        let is_whole = here.gaps(length).is_empty();
        return if is_whole { Vec::new() } else { vec![part(0, Some(length))] };
    }
    let mut parts = Vec::new();
    for (mut from, to) in here.gaps(length) {
        while from < to {
            // No last part of a few bytes.
            let end = if to - from <= chunk + chunk / 4 { to } else { from + chunk };
            parts.push(part(from, Some(end)));
            from = end;
        }
    }
    parts
}

struct Work {
    listing: Listing,
    parts: Vec<Part>,
    /// The parts of each object that are not done.
    left: Vec<AtomicUsize>,
    next: AtomicUsize,
    files: PathBuf,
    journal: Journal,
    progress: Arc<Progress>,
}

impl Work {
    async fn run(self: Arc<Self>, most: u64) -> Result<(), StorageError> {
        while let Some(part) = self.parts.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            self.part(part, most).await?;
            if self.left[part.object].fetch_sub(1, Ordering::AcqRel) == 1 {
                let work = Arc::clone(&self);
                let object = part.object;
                if self.listing.objects[object].digest.is_some() {
                    let checked = tokio::task::spawn_blocking(move || work.check(object)).await;
                    checked.map_err(|error| {
                        StorageError::Settings(format!("a digest's task ended: {error}"))
                    })??;
                }
                self.progress.files.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Reads a part, in as many attempts as it takes.
    async fn part(&self, part: &Part, most: u64) -> Result<(), StorageError> {
        let object = &self.listing.objects[part.object];
        let path = self.files.join(&object.path);
        // An image that is a layout on this machine; nothing else lists such an address.
        if object.url.scheme() == "file"
            && let Ok(from) = object.url.to_file_path()
        {
            let disk = |error: std::io::Error| StorageError::disk(&from, &error);
            let copied = tokio::fs::copy(&from, &path).await.map_err(disk)?;
            self.progress.came(copied);
            return Ok(());
        }
        let file =
            OpenOptions::new().write(true).open(&path).map_err(|error| StorageError::disk(&path, &error))?;
        let listing = &self.listing;
        let mut attempts = Attempts::new(listing.client.pace);
        let mut at = part.from;
        loop {
            if object.ranges == Ranges::None {
                // It comes from its beginning again, and may be a shorter one.
                at = 0;
                file.set_len(0).map_err(|error| StorageError::disk(&path, &error))?;
            }
            let before = at;
            match self.attempt(listing, part, &file, &mut at, most).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    if at - before.min(at) >= WORTH_IT {
                        attempts.progressed();
                    }
                    attempts.after(error).await?;
                }
            }
        }
    }

    /// One request. `at` is how far the part is, and moves with every byte that is written.
    async fn attempt(
        &self,
        listing: &Listing,
        part: &Part,
        file: &File,
        at: &mut u64,
        most: u64,
    ) -> Result<(), StorageError> {
        let object = &self.listing.objects[part.object];
        let from = *at;
        if part.to.is_some_and(|to| from >= to) {
            return Ok(());
        }
        let ask = ask(object, from, part.to);
        let client = &listing.client;
        let answer = client.good(&ask, listing.access.as_ref()).await?;
        let end = expected(object, part, from, answer.status(), answer.headers())?;
        let mut body = answer.into_body();
        let path = || self.files.join(&object.path);
        let mut noted = from;
        let outcome = loop {
            let piece = match client.piece(&object.url, &mut body).await {
                Ok(Some(piece)) => piece,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let next = *at + piece.len() as u64;
            if end.is_some_and(|end| next > end) || next > most {
                break Err(too_long(object, end.unwrap_or(most)));
            }
            if let Err(error) = file.write_all_at(&piece, *at) {
                break Err(StorageError::disk(path(), &error));
            }
            *at = next;
            self.progress.came(piece.len() as u64);
            if *at - noted >= NOTED_EVERY {
                self.journal.note(part.object, noted, *at)?;
                noted = *at;
            }
        };
        if !matches!(outcome, Err(StorageError::Disk { .. })) {
            self.journal.note(part.object, noted, *at)?;
        }
        outcome?;
        match end {
            Some(end) if *at < end => {
                let reason = format!("its answer ends after {} of {} bytes", *at - from, end - from);
                Err(StorageError::passing(shown(object.url.as_str()), reason))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Compares a file with its digest.
    fn check(&self, index: usize) -> Result<(), StorageError> {
        use std::io::Read;
        let object = &self.listing.objects[index];
        let path = self.files.join(&object.path);
        let disk = |error: std::io::Error| StorageError::disk(&path, &error);
        let Some(digest) = &object.digest else { return Ok(()) };
        let mut file = File::open(&path).map_err(disk)?;
        let mut hash = digest.begin(file.metadata().map_err(disk)?.len());
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer).map_err(disk)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        let found = hex(hash.finish().as_ref());
        if found == digest.wanted() {
            return Ok(());
        }
        // Else another attempt would believe what the journal says of it.
        std::fs::remove_file(&path).map_err(disk)?;
        let reason = format!("its bytes hash to {found}, the store's list says {}", digest.wanted());
        Err(StorageError::changed(shown(object.url.as_str()), reason))
    }
}

/// The request for a part.
fn ask(object: &Object, from: u64, to: Option<u64>) -> Ask {
    let mut url = object.url.clone();
    let is_part = from > 0 || to != object.length;
    if object.ranges == Ranges::Query {
        if let Some(to) = to {
            url.query_pairs_mut()
                .append_pair("offset", &from.to_string())
                .append_pair("length", &(to - from).to_string());
        }
        return Ask::get(url);
    }
    let mut ask = Ask::get(url);
    if is_part && object.ranges == Ranges::Header {
        let range = to.map_or_else(|| format!("bytes={from}-"), |to| format!("bytes={from}-{}", to - 1));
        ask = ask.with("range", &range);
    }
    if let Some(etag) = &object.etag {
        ask = ask.with("if-match", &format!("\"{etag}\""));
    }
    ask
}

/// Where the answer ends, once it is clear that it is the one that was asked for.
fn expected(
    object: &Object,
    part: &Part,
    from: u64,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<u64>, StorageError> {
    let address = || shown(object.url.as_str());
    let text = |it: Option<&HeaderValue>| it.and_then(|it| it.to_str().ok()).map(str::to_owned);
    if let (Some(wanted), Some(found)) = (&object.etag, text(headers.get(ETAG)))
        && bare_etag(&found) != wanted
    {
        return Err(StorageError::changed(
            address(),
            format!("it has the etag {found}, its list said {wanted}"),
        ));
    }
    let length = text(headers.get(CONTENT_LENGTH)).and_then(|it| it.parse::<u64>().ok());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = text(headers.get(CONTENT_RANGE)).and_then(|it| content_range(&it));
        let Some((start, _, total)) = range.filter(|it| it.0 == from) else {
            return Err(StorageError::answer(
                address(),
                format!("it answers another range than that from byte {from} on"),
            ));
        };
        debug_assert_eq!(start, from);
        if let (Some(total), Some(wanted)) = (total, object.length)
            && total != wanted
        {
            return Err(StorageError::changed(
                address(),
                format!("it has {total} bytes, its list said {wanted}"),
            ));
        }
        return Ok(part.to.or(total));
    }
    if object.ranges == Ranges::Query {
        return Ok(part.to);
    }
    if from > 0 || part.to != object.length {
        return Err(StorageError::answer(
            address(),
            "it answers a part's request with the whole, expected 206",
        ));
    }
    match (object.length, length) {
        (Some(wanted), Some(found)) if wanted != found => {
            Err(StorageError::changed(address(), format!("it has {found} bytes, its list said {wanted}")))
        }
        (Some(wanted), _) => Ok(Some(wanted)),
        (None, found) => Ok(found),
    }
}

/// The numbers of `bytes FIRST-LAST/TOTAL`.
pub(super) fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last, total.parse().ok()))
}

fn too_long(object: &Object, most: u64) -> StorageError {
    StorageError::changed(shown(object.url.as_str()), format!("it has more than {most} bytes"))
}

/// Makes the file and its folders. What is there of it stays.
fn make_file(root: &Path, path: &str) -> Result<(), StorageError> {
    let path = root.join(path);
    let disk = |error: std::io::Error| StorageError::disk(&path, &error);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(disk)?;
    }
    OpenOptions::new().create(true).write(true).truncate(false).open(&path).map(drop).map_err(disk)
}

/// What a store tells of one file when it is asked for its first byte.
pub(super) struct Probed {
    pub(super) length: Option<u64>,
    pub(super) etag: String,
    pub(super) modified: String,
    pub(super) ranges: Ranges,
}

impl Probed {
    /// Reads it out of the answer to a request for the first byte.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text =
            |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        let partial = status == StatusCode::PARTIAL_CONTENT;
        let total = content_range(&text("content-range")).and_then(|it| it.2);
        let length = if partial { total } else { text("content-length").parse().ok() };
        Self {
            length,
            etag: text("etag"),
            modified: text("last-modified"),
            ranges: if partial && length.is_some() { Ranges::Header } else { Ranges::None },
        }
    }
}
