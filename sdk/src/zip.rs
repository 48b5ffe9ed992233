//! Zip archives, as far as models come in them: the list of what is in one, and single files out of it. No name in an archive
//! becomes a path here. The form is that of PKWARE's APPNOTE 6.3: the list stands at the end, with 64-bit sizes where needed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The end of an archive lies within so many bytes of the file's: its record and the longest comment.
const LONGEST_END: u64 = 22 + 65_535;
const MAX_ENTRIES: u64 = 100_000;
const MAX_LIST: u64 = 64 << 20;

/// A stream that an archive is read from.
pub trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// An archive, opened: its list is read.
pub struct Archive<S> {
    source: S,
    entries: Vec<Entry>,
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, with `/` between its parts.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// The bytes it takes in the archive.
    pub packed: u64,
    /// Its kind and permissions, where the archive was made on Unix; else 0.
    pub mode: u32,
    method: u16,
    encrypted: bool,
    /// Where its own head begins.
    at: u64,
}

/// Whether bytes begin as an archive does.
pub fn begins(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04")
}

impl Archive<File> {
    /// Opens the archive that is a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(path: &Path) -> Result<Self, String> {
        Self::read(File::open(path).map_err(|error| error.to_string())?)
    }
}

impl<S: Source> Archive<S> {
    /// Reads the list of an archive.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(mut source: S) -> Result<Self, String> {
        let told = |error: std::io::Error| error.to_string();
        let length = source.seek(SeekFrom::End(0)).map_err(told)?;
        let tail_at = length.saturating_sub(LONGEST_END);
        let tail = bytes_at(&mut source, tail_at, length - tail_at)?;
        let end = (0..=tail.len().saturating_sub(22)).rev().find(|&at| tail[at..].starts_with(b"PK\x05\x06"));
        let end = end.filter(|at| tail.len() >= at + 22);
        let end = end.ok_or("it is no zip archive, or it is cut off: it has no list of files at its end")?;
        let (mut count, mut size, mut at) = (
            u64::from(u16_at(&tail, end + 10)),
            u64::from(u32_at(&tail, end + 12)),
            u64::from(u32_at(&tail, end + 16)),
        );
        if end >= 20 && tail[end - 20..].starts_with(b"PK\x06\x07") {
            let record = bytes_at(&mut source, u64_at(&tail, end - 12), 56)?;
            if !record.starts_with(b"PK\x06\x06") {
                return Err("its end says 64-bit sizes, and they are not there".to_owned());
            }
            (count, size, at) = (u64_at(&record, 32), u64_at(&record, 40), u64_at(&record, 48));
        }
        if count > MAX_ENTRIES || size > MAX_LIST {
            return Err(format!(
                "it says {count} files in a list of {size} bytes; {MAX_ENTRIES} and {MAX_LIST} are the most"
            ));
        }
        let list = bytes_at(&mut source, at, size)?;
        let mut entries = Vec::new();
        let mut rest = list.as_slice();
        for _ in 0..count {
            let (entry, length) = entry(rest)?;
            entries.push(entry);
            rest = &rest[length..];
        }
        Ok(Self { source, entries })
    }

    /// What is in it.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns a file as a whole.
    ///
    /// # Errors
    /// What is wrong with it, or that it is longer than `most` bytes.
    pub fn bytes(&mut self, entry: &Entry, most: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.copy(entry, most, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes a file somewhere.
    ///
    /// # Errors
    /// What is wrong with it, or that it is longer than `most` bytes.
    pub fn copy(&mut self, entry: &Entry, most: u64, to: &mut impl Write) -> Result<(), String> {
        let Entry { name, length, packed, method, .. } = entry;
        let told = |error: std::io::Error| format!("`{name}` in it: {error}");
        if *length > most {
            return Err(format!("`{name}` in it has {length} bytes, the most are {most}"));
        }
        if entry.encrypted {
            return Err(format!("`{name}` in it is encrypted"));
        }
        let head = bytes_at(&mut self.source, entry.at, 30)?;
        if !head.starts_with(b"PK\x03\x04") {
            return Err(format!("`{name}` is not where the list says"));
        }
        let start = entry.at + 30 + u64::from(u16_at(&head, 26)) + u64::from(u16_at(&head, 28));
        self.source.seek(SeekFrom::Start(start)).map_err(told)?;
        let stored = self.source.by_ref().take(*packed);
        // One more than it says, so that more is noticed.
        let copied = match method {
            0 => std::io::copy(&mut stored.take(length + 1), to),
            8 => std::io::copy(&mut flate2::read::DeflateDecoder::new(stored).take(length + 1), to),
            other => {
                return Err(format!(
                    "`{name}` in it is packed by method {other}, which is not read; expected 0 or 8"
                ));
            }
        };
        match copied.map_err(told)? {
            copied if copied == *length => Ok(()),
            copied => Err(format!("`{name}` in it has {copied} bytes or more, its list says {length}")),
        }
    }
}

/// Reads one entry of the list, and tells how long it is.
fn entry(list: &[u8]) -> Result<(Entry, usize), String> {
    if list.len() < 46 || !list.starts_with(b"PK\x01\x02") {
        return Err("its list of files is cut off, or no list".to_owned());
    }
    let lengths = [28, 30, 32].map(|at| usize::from(u16_at(list, at)));
    let length = 46 + lengths.iter().sum::<usize>();
    if list.len() < length {
        return Err("its list of files is cut off".to_owned());
    }
    let (name, extra) = list[46..].split_at(lengths[0]);
    let sizes = [u32_at(list, 24), u32_at(list, 20), u32_at(list, 42)];
    let [length_of_file, packed, at] = wide(sizes, &extra[..lengths[1]])?;
    let entry = Entry {
        name: String::from_utf8_lossy(name).replace('\\', "/"),
        length: length_of_file,
        packed,
        // The upper byte says which system made it: 3 is Unix.
        mode: if list[5] == 3 { u32_at(list, 38) >> 16 } else { 0 },
        method: u16_at(list, 10),
        encrypted: u16_at(list, 8) & 1 != 0,
        at,
    };
    Ok((entry, length))
}

/// Length, packed length and place; each that does not fit into 32 bits stands in the extra field 1, in this order.
fn wide(sizes: [u32; 3], mut extra: &[u8]) -> Result<[u64; 3], String> {
    let mut long: &[u8] = &[];
    while extra.len() >= 4 {
        let (kind, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(field) = extra.get(4..4 + length) else { break };
        if kind == 1 {
            long = field;
        }
        extra = &extra[4 + length..];
    }
    let mut found = [0; 3];
    for (size, found) in sizes.into_iter().zip(&mut found) {
        *found = if size == u32::MAX {
            let (here, rest) = long.split_at_checked(8).ok_or("a 64-bit size of it is missing")?;
            long = rest;
            u64_at(here, 0)
        } else {
            u64::from(size)
        };
    }
    Ok(found)
}

/// So many bytes from there on; callers bound how many.
fn bytes_at(source: &mut impl Source, at: u64, count: u64) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| error.to_string();
    source.seek(SeekFrom::Start(at)).map_err(told)?;
    let mut bytes = Vec::new();
    source.by_ref().take(count).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 == count { Ok(bytes) } else { Err(format!("it ends before byte {at} + {count}")) }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(std::array::from_fn(|it| bytes.get(at + it).copied().unwrap_or(0)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|it| bytes.get(at + it).copied().unwrap_or(0)))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|it| bytes.get(at + it).copied().unwrap_or(0)))
}
