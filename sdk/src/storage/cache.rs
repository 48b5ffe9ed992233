//! Models that were fetched, each under what it is made of; and the way there: list, fetch, unpack, rename. A model is there as a
//! whole or not at all. One who wants what another is fetching waits for it, in whichever process.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use super::archive::{self, Form, Taken};
use super::error::Passing;
use super::list::{Content, Listing, admitted, sha256};
use super::place::Place;
use super::progress::{Progress, Report};
use super::settings::Settings;
use super::{StorageError, source_of, transfer};

/// So many times a model is listed anew when it changes while it is fetched.
const LISTS: usize = 3;
/// How often one who waits for another looks.
const LOOK: Duration = Duration::from_millis(50);

/// A model of the cache that is in use: nobody removes it meanwhile.
#[derive(Debug)]
pub(super) struct Held {
    _lock: File,
}

/// One who fetches.
pub(super) struct Fetching<'a> {
    pub(super) settings: &'a Settings,
    pub(super) report: &'a Report,
    pub(super) stop: Arc<AtomicBool>,
}

impl Fetching<'_> {
    /// Fetches into the cache, where it is not there yet.
    pub(super) async fn cached(&self, place: &Place) -> Result<(PathBuf, Option<Held>), StorageError> {
        let cache = &self.settings.cache;
        let key = self.key(place);
        let staging = cache.join("staging").join(&key);
        make_folder(&staging)?;
        let lock = self.lock(&cache.join("staging").join(format!("{key}.lock")), place).await?;
        let outcome = self.attempts(&staging, place, |listing, total| {
            let model = cache.join("models").join(content_key(place, listing));
            match hold(&model) {
                Some(held) => Ok(Some((model.join("model"), Some(held)))),
                None => make_room(cache, self.settings.cache_bytes, total, place).map(|()| None),
            }
        });
        let outcome = match outcome.await {
            Ok(Listed::There(found)) => Ok(found),
            Ok(Listed::Fetched(content)) => publish(&staging, &cache.join("models").join(content)),
            Err(error) => Err(error),
        };
        if is_over(&outcome) {
            let _ = std::fs::remove_dir_all(&staging);
        }
        drop(lock);
        outcome
    }

    /// Fetches into a folder. The folder is as it was until all is there; then everything is in it.
    pub(super) async fn fill(&self, place: &Place, folder: &Path) -> Result<(), StorageError> {
        let (staging, beside) = self.staging_of(place, folder)?;
        let lock = self.lock(&staging.join("lock"), place).await?;
        let work = staging.join("work");
        let ready = work.join("ready");
        let outcome = async {
            // A run before this one had everything and was ended while it moved it.
            if !ready.exists() {
                make_folder(&work)?;
                self.attempts(&work, place, |_, _| Ok(None::<()>)).await?;
                std::fs::write(&ready, b"").map_err(|error| StorageError::disk(&ready, &error))?;
            }
            let model = work.join("model");
            let is_free = folder.read_dir().map_or(true, |mut it| it.next().is_none());
            // At once; of a folder that something is mounted on, or that has other files, one by one.
            if beside && is_free && std::fs::rename(&model, folder).is_ok() {
                return Ok(());
            }
            make_folder(folder)?;
            move_entries(&model, folder)
        };
        let outcome = outcome.await;
        if is_over(&outcome) {
            let _ = std::fs::remove_dir_all(&staging);
        }
        drop(lock);
        outcome
    }

    /// A folder to work in: beside the other one, if that is on the same disk, else in it.
    fn staging_of(&self, place: &Place, folder: &Path) -> Result<(PathBuf, bool), StorageError> {
        let key = self.key(place);
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let parent =
            folder.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        if !folder.exists() {
            make_folder(parent)?;
        }
        let beside = parent.join(format!(".{name}.weir-{}", &key[..16]));
        let within = folder.join(format!(".weir-{}", &key[..16]));
        let is_same_disk = || {
            use std::os::unix::fs::MetadataExt;
            let device = |path: &Path| path.metadata().map(|it| it.dev()).ok();
            !folder.exists() || (device(folder) == device(parent) && device(parent).is_some())
        };
        if !within.exists() && is_same_disk() && make_folder(&beside).is_ok() {
            return Ok((beside, true));
        }
        make_folder(&within)?;
        Ok((within, false))
    }

    /// What a download is known by while it is one.
    fn key(&self, place: &Place) -> String {
        let patterns = &self.settings.patterns;
        let text = serde_json::json!([place.without_query(), patterns.allow, patterns.ignore]).to_string();
        sha256(text.as_bytes())[..32].to_owned()
    }

    async fn lock(&self, path: &Path, place: &Place) -> Result<File, StorageError> {
        let disk = |error: std::io::Error| StorageError::disk(path, &error);
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(disk)?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if !told => {
                    tracing::info!("{}: somebody else is fetching it; waiting", place.shown());
                    told = true;
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(disk(error)),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lists, and fetches what is listed; again, when it is another model by then. `there` may say that it is not needed.
    async fn attempts<T>(
        &self,
        work: &Path,
        place: &Place,
        there: impl Fn(&Listing, u64) -> Result<Option<T>, StorageError>,
    ) -> Result<Listed<T>, StorageError> {
        let mut attempt = 1;
        loop {
            let mut listing = source_of(place)?.list(place, self.settings).await?;
            listing.objects = admitted(place, listing.objects, self.settings)?;
            let total = listing.objects.iter().filter_map(|it| it.length).fold(0_u64, u64::saturating_add);
            if let Some(found) = there(&listing, total)? {
                return Ok(Listed::There(found));
            }
            let content = content_key(place, &listing);
            match self.fetch(work, place, listing, total).await {
                Ok(()) => return Ok(Listed::Fetched(content)),
                Err(error @ StorageError::Store { passing: Passing::Changed, .. }) if attempt < LISTS => {
                    tracing::warn!("{error}; listing it anew");
                    attempt += 1;
                    tokio::time::sleep(self.settings.transfer.first_wait).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Fetches, and unpacks what is an archive: `model` in the folder is then the model.
    async fn fetch(
        &self,
        work: &Path,
        place: &Place,
        listing: Listing,
        total: u64,
    ) -> Result<(), StorageError> {
        let objects: Vec<_> = listing.objects.iter().map(|it| (it.path.clone(), it.content)).collect();
        let progress = Arc::new(Progress::new(place.shown(), total, objects.len() as u64));
        let reporter = self.reporter(Arc::clone(&progress));
        let outcome = transfer::fetch(work, listing, self.settings, Arc::clone(&progress)).await;
        reporter.abort();
        outcome?;
        (self.report.tell)(&progress.snapshot(true));
        let (work, limits, stop) = (work.to_owned(), self.settings.limits, Arc::clone(&self.stop));
        let unpacked = tokio::task::spawn_blocking(move || assemble(&work, &objects, &limits, &stop)).await;
        unpacked.map_err(|error| StorageError::Settings(format!("the task that unpacks ended: {error}")))?
    }

    fn reporter(&self, progress: Arc<Progress>) -> tokio::task::JoinHandle<()> {
        let Report { every, tell } = self.report.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                tell(&progress.snapshot(false));
            }
        })
    }
}

enum Listed<T> {
    There(T),
    Fetched(String),
}

/// What a model is known by: where it is from, and what tells its versions apart. Where nothing does, it is another one each time.
fn content_key(place: &Place, listing: &Listing) -> String {
    let objects: Vec<_> = listing
        .objects
        .iter()
        .map(|it| {
            let tag = if it.tag.is_empty() {
                format!("{:?}", SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
            } else {
                it.tag.clone()
            };
            (&it.path, it.length, tag)
        })
        .collect();
    sha256(serde_json::json!([place.without_query(), objects]).to_string().as_bytes())[..32].to_owned()
}

/// Whether nothing of an attempt is to stay: a download that broke off goes on the next time; what is refused or has no room
/// leaves nothing.
fn is_over<T>(outcome: &Result<T, StorageError>) -> bool {
    matches!(
        outcome,
        Ok(_) | Err(StorageError::Disk { .. } | StorageError::Refused { .. } | StorageError::Archive { .. })
    )
}

fn make_folder(path: &Path) -> Result<(), StorageError> {
    std::fs::create_dir_all(path).map_err(|error| StorageError::disk(path, &error))
}

/// Makes `model` of `files`: as they are, or what is in the one archive or the layers that they are.
fn assemble(
    work: &Path,
    objects: &[(String, Content)],
    limits: &super::Limits,
    stop: &AtomicBool,
) -> Result<(), StorageError> {
    let (files, model) = (work.join("files"), work.join("model"));
    let disk = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| StorageError::disk(path, &error)
    };
    if model.exists() {
        std::fs::remove_dir_all(&model).map_err(disk(&model))?;
    }
    let layers = objects.iter().any(|(_, content)| *content == Content::Layer);
    let archive = match objects {
        [(path, Content::File)] => Form::of_name(path).map(|_| path),
        _ => None,
    };
    if !layers && archive.is_none() {
        return std::fs::rename(&files, &model).map_err(disk(&model));
    }
    make_folder(&model)?;
    let outcome = (|| {
        for (path, content) in objects {
            let from = files.join(path);
            match content {
                Content::Layer => archive::unpack(&from, &model, Taken::Models, limits, stop)?,
                Content::File if archive.is_some() => {
                    // Beside the file, in the folder that its URI asked for.
                    let into = model.join(Path::new(path).parent().unwrap_or_else(|| Path::new("")));
                    make_folder(&into)?;
                    archive::unpack(&from, &into, Taken::All, limits, stop)?;
                }
                Content::File => {
                    let into = model.join(path);
                    make_folder(into.parent().unwrap_or(&model))?;
                    std::fs::rename(&from, &into).map_err(disk(&into))?;
                }
            }
            let _ = std::fs::remove_file(&from);
        }
        let is_empty = model.read_dir().map_err(disk(&model))?.next().is_none();
        if is_empty {
            let what =
                if layers { "no layer of it has files below `models/`" } else { "there is no file in it" };
            return Err(StorageError::archive(objects[0].0.clone(), what));
        }
        Ok(())
    })();
    if outcome.is_err() {
        let _ = std::fs::remove_dir_all(&model);
    }
    outcome
}

/// Puts a model that is whole into its place, for good.
fn publish(staging: &Path, model: &Path) -> Result<(PathBuf, Option<Held>), StorageError> {
    let disk = |error: std::io::Error| StorageError::disk(model, &error);
    if let Some(parent) = model.parent() {
        make_folder(parent)?;
    }
    let whole = staging.join("whole");
    let _ = std::fs::remove_dir_all(&whole);
    make_folder(&whole)?;
    std::fs::rename(staging.join("model"), whole.join("model")).map_err(disk)?;
    let files = files_of(&whole.join("model")).map_err(disk)?;
    std::fs::write(whole.join("files"), serde_json::json!(files).to_string()).map_err(disk)?;
    // Of an entry that was found broken.
    if model.exists() {
        std::fs::remove_dir_all(model).map_err(disk)?;
    }
    std::fs::rename(&whole, model).map_err(disk)?;
    let held = hold(model);
    Ok((model.join("model"), held))
}

/// Takes a model of the cache into use, if it is there and each of its files has the length it had.
fn hold(model: &Path) -> Option<Held> {
    let text = std::fs::read_to_string(model.join("files")).ok()?;
    let lock = File::options().create(true).truncate(false).write(true).open(model.join("lock")).ok()?;
    lock.try_lock_shared().ok()?;
    let _ = lock.set_modified(SystemTime::now());
    let wanted: Vec<(String, u64)> = serde_json::from_str(&text).ok()?;
    let found = files_of(&model.join("model")).ok()?;
    (wanted == found).then_some(Held { _lock: lock })
}

/// The files below a folder and their lengths, in order.
fn files_of(folder: &Path) -> std::io::Result<Vec<(String, u64)>> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, u64)>) -> std::io::Result<()> {
        for entry in folder.read_dir()? {
            let (entry, path) = entry.map(|it| (it.file_type(), it.path()))?;
            if entry?.is_dir() {
                walk(root, &path, found)?;
            } else {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                found.push((name, path.symlink_metadata()?.len()));
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found)?;
    found.sort();
    Ok(found)
}

/// Removes models that nobody uses, those first that were not for the longest time, until there is room.
fn make_room(cache: &Path, most: u64, wanted: u64, place: &Place) -> Result<(), StorageError> {
    let full = |used: u64| {
        StorageError::refused(
            place.shown(),
            format!(
                "it has {wanted} bytes, the cache {} takes {most} and {used} are in use; raise --storage_cache_bytes",
                cache.display()
            ),
        )
    };
    if wanted > most {
        return Err(full(0));
    }
    let mut models = Vec::new();
    for entry in cache.join("models").read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        let used =
            path.join("lock").metadata().and_then(|it| it.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let bytes: u64 = files_of(&path).unwrap_or_default().iter().map(|it| it.1).sum();
        models.push((used, bytes, path));
    }
    models.sort();
    let mut used: u64 = models.iter().map(|it| it.1).sum();
    for (_, bytes, path) in models {
        if used.saturating_add(wanted) <= most {
            break;
        }
        let Ok(lock) = File::options().create(true).truncate(false).write(true).open(path.join("lock"))
        else {
            continue;
        };
        if lock.try_lock().is_err() {
            continue;
        }
        // Out of the way at once, so that nobody takes half of it for the whole.
        let gone =
            cache.join("staging").join(format!("gone-{}", sha256(path.as_os_str().as_encoded_bytes())));
        let _ = std::fs::remove_dir_all(&gone);
        if std::fs::rename(&path, &gone).is_ok() {
            tracing::info!("model {} leaves the cache to make room", path.display());
            let _ = std::fs::remove_dir_all(&gone);
            used -= bytes;
        }
    }
    if used.saturating_add(wanted) <= most { Ok(()) } else { Err(full(used)) }
}

/// Moves everything in a folder into another one; what has the same name there gives way.
fn move_entries(from: &Path, into: &Path) -> Result<(), StorageError> {
    let disk = |error: std::io::Error| StorageError::disk(into, &error);
    for entry in from.read_dir().map_err(disk)? {
        let entry = entry.map_err(disk)?;
        let target = into.join(entry.file_name());
        let both_folders = entry.file_type().map_err(disk)?.is_dir() && target.is_dir();
        if both_folders {
            move_entries(&entry.path(), &target)?;
        } else {
            if target.is_dir() {
                std::fs::remove_dir_all(&target).map_err(disk)?;
            }
            std::fs::rename(entry.path(), &target).map_err(disk)?;
        }
    }
    Ok(())
}

/// Makes a folder of links to several models: each below a folder of its own, or its entries in the folder itself.
pub(super) fn join(cache: &Path, parts: &[(PathBuf, String)]) -> Result<PathBuf, StorageError> {
    let key = &sha256(serde_json::json!(parts).to_string().as_bytes())[..32];
    let folder = cache.join("joined").join(key);
    let disk = |error: std::io::Error| StorageError::disk(&folder, &error);
    let made = folder.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    let _ = std::fs::remove_dir_all(&made);
    make_folder(&made)?;
    for (path, below) in parts {
        if below.is_empty() {
            link_entries(path, &made)?;
        } else {
            let below = super::place::relative(below)
                .map_err(|reason| StorageError::Settings(format!("mountPath: {reason}")))?;
            let link = made.join(below);
            make_folder(link.parent().unwrap_or(&made))?;
            std::os::unix::fs::symlink(path, &link).map_err(disk)?;
        }
    }
    // The same parts make the same folder: whoever comes second has nothing to do.
    if std::fs::rename(&made, &folder).is_err() {
        let _ = std::fs::remove_dir_all(&made);
    }
    if folder.is_dir() { Ok(folder) } else { Err(disk(std::io::ErrorKind::NotFound.into())) }
}

/// Links every entry of a folder, or the file itself, into another folder.
pub(super) fn link_entries(path: &Path, into: &Path) -> Result<(), StorageError> {
    let disk = |error: std::io::Error| StorageError::disk(into, &error);
    make_folder(into)?;
    let entries = match path.is_dir() {
        true => path.read_dir().and_then(|it| it.map(|it| it.map(|it| it.path())).collect()).map_err(disk)?,
        false => vec![path.to_owned()],
    };
    for entry in entries {
        let link = into.join(entry.file_name().unwrap_or_default());
        match std::os::unix::fs::symlink(&entry, &link) {
            Err(error)
                if error.kind() == std::io::ErrorKind::AlreadyExists
                    && link.read_link().is_ok_and(|it| it == entry) => {}
            outcome => outcome.map_err(disk)?,
        }
    }
    Ok(())
}
