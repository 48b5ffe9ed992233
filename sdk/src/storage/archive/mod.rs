//! Archives: what is in one becomes files below a folder, and nothing else does. No absolute path, no `..`, no link, no device;
//! limits on how many files and bytes come out, and on how many times its size it may open to.

pub mod tar;

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::StorageError;
use super::place::relative;
use super::settings::Limits;

/// Below so many bytes nobody asks how many times its size an archive opens to.
const ALWAYS: u64 = 16 << 20;

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Zip.
    Zip,
    /// Tar.
    Tar,
    /// Tar within gzip.
    TarGzip,
    /// Tar within Zstandard.
    TarZstd,
}

impl Form {
    /// The form that a file's name tells.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|it| name.ends_with(it));
        match () {
            () if ends(&[".zip"]) => Some(Self::Zip),
            () if ends(&[".tar"]) => Some(Self::Tar),
            () if ends(&[".tar.gz", ".tgz"]) => Some(Self::TarGzip),
            () if ends(&[".tar.zst", ".tzst", ".tar.zstd"]) => Some(Self::TarZstd),
            () => None,
        }
    }

    /// The form that the first bytes tell: of layers, whose names say nothing.
    fn of_head(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::TarGzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::TarZstd,
            _ => Self::Tar,
        }
    }
}

/// What is taken out of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Everything.
    All,
    /// Of an image's layer what is below `models/`, which is left out of the names. Links elsewhere in it do not matter.
    Models,
}

/// Unpacks the archive that is a file into a folder.
///
/// # Errors
/// [`StorageError::Archive`] when it is broken or holds what is not unpacked, [`StorageError::Disk`].
pub fn unpack(
    path: &Path,
    into: &Path,
    taken: Taken,
    limits: &Limits,
    stop: &AtomicBool,
) -> Result<(), StorageError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let disk = |error: std::io::Error| StorageError::disk(path, &error);
    let mut file = File::open(path).map_err(disk)?;
    let packed = file.metadata().map_err(disk)?.len();
    let form = match Form::of_name(&name) {
        Some(form) if taken == Taken::All => form,
        Some(_) | None => {
            let mut head = Vec::new();
            (&mut file).take(4).read_to_end(&mut head).map_err(disk)?;
            file = File::open(path).map_err(disk)?;
            Form::of_head(&head)
        }
    };
    let allowed = limits.bytes.min(packed.saturating_mul(limits.ratio).max(ALWAYS));
    let mut sink = Sink { name: &name, into, limits, left: allowed, allowed, packed, files: 0, stop };
    let broken = |reason: String| {
        // KServe's words, which people look for.
        StorageError::archive(
            &name,
            format!("failed to unpack archive file; the file format is not valid: {reason}"),
        )
    };
    match form {
        Form::Zip => unzip(file, &mut sink, &broken),
        Form::Tar => untar(BufReader::new(file), taken, &mut sink, &broken),
        Form::TarGzip => {
            untar(flate2::bufread::MultiGzDecoder::new(BufReader::new(file)), taken, &mut sink, &broken)
        }
        Form::TarZstd => {
            let stream = ruzstd::decoding::StreamingDecoder::new(BufReader::new(file));
            let stream = stream.map_err(|error| broken(error.to_string()))?;
            untar(stream, taken, &mut sink, &broken)
        }
    }
}

/// Reads an archive of any form from memory and counts what is in it, without a disk: for tests on broken bytes.
///
/// # Errors
/// What is wrong with it.
pub fn count(form: Form, bytes: &[u8], most: u64) -> Result<(usize, u64), String> {
    let heads = |stream: &mut dyn Read| {
        let mut reader = tar::Reader::new(stream.take(most));
        let (mut files, mut total) = (0, 0);
        while let Some(head) = reader.next_head()? {
            let _ = relative(&head.name);
            files += 1;
            total += std::io::copy(&mut reader.contents(), &mut std::io::sink())
                .map_err(|error| error.to_string())?;
        }
        Ok((files, total))
    };
    match form {
        Form::Zip => {
            let mut archive = crate::zip::Archive::read(std::io::Cursor::new(bytes))?;
            let entries = archive.entries().to_vec();
            let mut total = 0;
            for entry in &entries {
                let _ = relative(&entry.name);
                total += archive.bytes(entry, most)?.len() as u64;
            }
            Ok((entries.len(), total))
        }
        Form::Tar => heads(&mut &*bytes),
        Form::TarGzip => heads(&mut flate2::bufread::MultiGzDecoder::new(bytes)),
        Form::TarZstd => {
            heads(&mut ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|error| error.to_string())?)
        }
    }
}

/// Where files of an archive go, and how much of them may.
struct Sink<'a> {
    name: &'a str,
    into: &'a Path,
    limits: &'a Limits,
    left: u64,
    allowed: u64,
    packed: u64,
    files: usize,
    stop: &'a AtomicBool,
}

impl Sink<'_> {
    fn refuse(&self, reason: impl Into<String>) -> StorageError {
        StorageError::archive(self.name, reason)
    }

    fn folder(&mut self, name: &str) -> Result<(), StorageError> {
        self.counted()?;
        let path = self.into.join(relative(name).map_err(|reason| self.refuse(reason))?);
        std::fs::create_dir_all(&path).map_err(|error| StorageError::disk(path, &error))
    }

    fn counted(&mut self) -> Result<(), StorageError> {
        self.files += 1;
        if self.files > self.limits.files {
            return Err(self.refuse(format!("it has more than {} files", self.limits.files)));
        }
        Ok(())
    }

    /// Makes a file that is not there yet.
    fn file(&mut self, name: &str) -> Result<Limited<'_>, StorageError> {
        self.counted()?;
        let path = self.into.join(relative(name).map_err(|reason| self.refuse(reason))?);
        let disk = |error: std::io::Error| StorageError::disk(path.clone(), &error);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(disk)?;
        }
        // A later file of the name counts, as with `tar`; nothing here is a link that it could go through.
        let file = File::create(&path).map_err(disk)?;
        Ok(Limited { file, left: &mut self.left, stop: self.stop, over: false, full: None })
    }

    fn too_much(&self) -> StorageError {
        let Self { allowed, packed, limits, .. } = self;
        self.refuse(format!(
            "its {packed} bytes open to more than {allowed}; the most are {} times its size, and {} bytes in all",
            limits.ratio, limits.bytes
        ))
    }
}

/// A file that takes no more than is left.
struct Limited<'a> {
    file: File,
    left: &'a mut u64,
    stop: &'a AtomicBool,
    over: bool,
    full: Option<std::io::Error>,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() as u64 > *self.left {
            self.over = true;
            return Err(std::io::Error::other("too many bytes"));
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("cancelled"));
        }
        match self.file.write(bytes) {
            Ok(written) => {
                *self.left -= written as u64;
                Ok(written)
            }
            Err(error) => {
                self.full = Some(std::io::Error::new(error.kind(), error.to_string()));
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn unzip(
    file: File,
    sink: &mut Sink<'_>,
    broken: &dyn Fn(String) -> StorageError,
) -> Result<(), StorageError> {
    const LINK: u32 = 0o120_000;
    const FILE: u32 = 0o100_000;
    const FOLDER: u32 = 0o040_000;
    let mut archive = crate::zip::Archive::read(BufReader::new(file)).map_err(broken)?;
    for entry in archive.entries().to_vec() {
        let name = &entry.name;
        match entry.mode & 0o170_000 {
            0 | FILE | FOLDER => {}
            LINK => return Err(sink.refuse(format!("`{name}` is a symbolic link; links are not unpacked"))),
            _ => return Err(sink.refuse(format!("`{name}` is a device or a pipe; only files are unpacked"))),
        }
        if name.ends_with('/') {
            sink.folder(name)?;
            continue;
        }
        if entry.length > sink.left {
            return Err(sink.too_much());
        }
        let into = sink.into.join(name);
        let mut to = sink.file(name)?;
        let copied = archive.copy(&entry, u64::MAX, &mut to);
        let (over, full) = (to.over, to.full.take());
        ended(copied, over, full, &into, sink, broken)?;
    }
    Ok(())
}

fn untar(
    stream: impl Read,
    taken: Taken,
    sink: &mut Sink<'_>,
    broken: &dyn Fn(String) -> StorageError,
) -> Result<(), StorageError> {
    let mut reader = tar::Reader::new(stream);
    let mut passed = 0_u64;
    while let Some(head) = reader.next_head().map_err(broken)? {
        let name = match taken {
            Taken::All => head.name.as_str(),
            Taken::Models => {
                let bare = head.name.trim_start_matches("./").trim_start_matches('/');
                match bare.strip_prefix("models/") {
                    Some(name) if !name.is_empty() => name,
                    Some(_) | None => {
                        // It costs time to pass over, so it counts.
                        passed = passed.saturating_add(head.length);
                        if passed > sink.allowed {
                            return Err(sink.too_much());
                        }
                        continue;
                    }
                }
            }
        };
        let shown = super::place::excerpt(name, 64).escape_debug();
        match head.kind {
            tar::Kind::Folder
                if relative(name).is_err()
                    && name.trim_matches(['.', '/']).is_empty()
                    && !name.contains("..") => {}
            tar::Kind::Folder => sink.folder(name)?,
            tar::Kind::Other(kind) => {
                return Err(sink.refuse(format!("`{shown}` is {kind}; only files and folders are unpacked")));
            }
            tar::Kind::File if taken == Taken::Models && whiteout(sink.into, name) => {}
            tar::Kind::File => {
                if head.length > sink.left {
                    return Err(sink.too_much());
                }
                let into = sink.into.join(name);
                let mut to = sink.file(name)?;
                let copied =
                    std::io::copy(&mut reader.contents(), &mut to).map_err(|error| error.to_string());
                let (over, full) = (to.over, to.full.take());
                let copied = copied.and_then(|copied| {
                    if copied == head.length {
                        Ok(())
                    } else {
                        Err(format!("it is cut off within `{shown}`"))
                    }
                });
                ended(copied, over, full, &into, sink, broken)?;
            }
        }
    }
    Ok(())
}

/// Takes away what a later layer says is gone.
fn whiteout(into: &Path, name: &str) -> bool {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let Some(gone) = file.strip_prefix(".wh.") else { return false };
    let folder = relative(folder).map_or_else(|_| into.to_owned(), |it| into.join(it));
    if gone == ".wh..opq" {
        let _ = std::fs::remove_dir_all(&folder);
    } else if let Ok(gone) = relative(gone) {
        let path = folder.join(gone);
        let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
    }
    true
}

fn ended(
    copied: Result<(), String>,
    over: bool,
    full: Option<std::io::Error>,
    path: &Path,
    sink: &Sink<'_>,
    broken: &dyn Fn(String) -> StorageError,
) -> Result<(), StorageError> {
    match (copied, full) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(error)) => Err(StorageError::disk(path, &error)),
        (Err(_), None) if over => Err(sink.too_much()),
        (Err(reason), None) => Err(broken(reason)),
    }
}
