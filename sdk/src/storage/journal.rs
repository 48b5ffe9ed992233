//! What of a download is on the disk already, written down beside it: so that one which was cut off goes on where it was, and
//! fetches nothing twice.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::StorageError;
use super::list::Object;

/// A record: which object, from where, how many bytes.
const RECORD: usize = 20;

/// A download's folder: `plan` lists its objects, `journal` what is there of them, `files` has them.
pub(super) struct Journal {
    folder: PathBuf,
    records: File,
}

/// The bytes of an object that are there: ranges in order, none touching another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Here(Vec<(u64, u64)>);

impl Here {
    fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let first = self.0.partition_point(|it| it.1 < from);
        let last = self.0.partition_point(|it| it.0 <= to);
        let merged =
            self.0[first..last].iter().fold((from, to), |it, next| (it.0.min(next.0), it.1.max(next.1)));
        self.0.splice(first..last, [merged]);
    }

    /// How many bytes are there.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// How many bytes are there without a gap from the first on.
    pub(super) fn head(&self) -> u64 {
        self.0.first().filter(|it| it.0 == 0).map_or(0, |it| it.1)
    }

    /// What is missing of so many bytes.
    pub(super) fn gaps(&self, length: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut from = 0;
        for &(start, end) in &self.0 {
            if start > from {
                gaps.push((from, start.min(length)));
            }
            from = end;
        }
        if from < length {
            gaps.push((from, length));
        }
        gaps
    }
}

impl Journal {
    /// Opens the folder of a download, and tells what is there of each object. What is there of others is removed.
    ///
    /// # Errors
    /// [`StorageError::Disk`].
    pub(super) fn open(folder: &Path, objects: &[Object]) -> Result<(Self, Vec<Here>), StorageError> {
        let disk = |error: std::io::Error| StorageError::disk(folder, &error);
        let files = folder.join("files");
        std::fs::create_dir_all(&files).map_err(disk)?;
        let before = before(folder);
        let mut wanted: HashMap<&str, Here> = HashMap::new();
        for it in objects {
            let known = (it.path.clone(), it.length, it.tag.clone());
            // Where nothing tells versions apart, nothing tells that it is still the same.
            let found = if it.tag.is_empty() { None } else { before.get(&known) };
            let is_long_enough = |here: &&Here| {
                let last = here.0.last().map_or(0, |it| it.1);
                files.join(&it.path).metadata().is_ok_and(|it| it.len() >= last)
                    && it.length.is_none_or(|length| last <= length)
            };
            if let Some(here) = found.filter(is_long_enough) {
                wanted.insert(&it.path, here.clone());
            }
        }
        if wanted.is_empty() {
            std::fs::remove_dir_all(&files).and_then(|()| std::fs::create_dir_all(&files)).map_err(disk)?;
        } else {
            remove_others(&files, &files, &wanted).map_err(disk)?;
        }
        let here: Vec<_> =
            objects.iter().map(|it| wanted.get(it.path.as_str()).cloned().unwrap_or_default()).collect();
        std::fs::write(folder.join("plan.new"), plan(objects)).map_err(disk)?;
        let _ = std::fs::remove_file(folder.join("journal"));
        std::fs::rename(folder.join("plan.new"), folder.join("plan")).map_err(disk)?;
        let records =
            OpenOptions::new().create(true).append(true).open(folder.join("journal")).map_err(disk)?;
        let journal = Self { folder: folder.to_owned(), records };
        for (index, it) in here.iter().enumerate() {
            for (from, to) in &it.0 {
                journal.note(index, *from, *to)?;
            }
        }
        Ok((journal, here))
    }

    /// Notes that bytes are written.
    ///
    /// # Errors
    /// [`StorageError::Disk`].
    pub(super) fn note(&self, index: usize, mut from: u64, to: u64) -> Result<(), StorageError> {
        while from < to {
            let length = u32::try_from(to - from).unwrap_or(u32::MAX);
            let mut record = [0; RECORD];
            record[..8].copy_from_slice(&(index as u64).to_le_bytes());
            record[8..16].copy_from_slice(&from.to_le_bytes());
            record[16..].copy_from_slice(&length.to_le_bytes());
            (&self.records).write_all(&record).map_err(|error| StorageError::disk(&self.folder, &error))?;
            from += u64::from(length);
        }
        Ok(())
    }
}

/// The objects as text, with what tells this start of the machine from others: after a crash of the whole machine nobody knows
/// what of a file reached the disk.
fn plan(objects: &[Object]) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let objects: Vec<_> = objects.iter().map(|it| (&it.path, it.length, &it.tag)).collect();
    serde_json::json!([boot.trim(), objects]).to_string()
}

type Known = (String, Option<u64>, String);

/// What an earlier attempt left.
fn before(folder: &Path) -> HashMap<Known, Here> {
    let read = || -> Option<HashMap<Known, Here>> {
        let text = std::fs::read_to_string(folder.join("plan")).ok()?;
        let (boot, objects): (String, Vec<Known>) = serde_json::from_str(&text).ok()?;
        let now = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if boot != now.trim() {
            return None;
        }
        let records = std::fs::read(folder.join("journal")).ok()?;
        let mut here = vec![Here::default(); objects.len()];
        // A record that was cut off by the end of its process is none.
        for record in records.chunks_exact(RECORD) {
            let index = usize::try_from(u64::from_le_bytes(record[..8].try_into().ok()?)).ok()?;
            let from = u64::from_le_bytes(record[8..16].try_into().ok()?);
            let length = u64::from(u32::from_le_bytes(record[16..].try_into().ok()?));
            here.get_mut(index)?.add(from, from.checked_add(length)?);
        }
        Some(objects.into_iter().zip(here).filter(|(_, here)| !here.0.is_empty()).collect())
    };
    read().unwrap_or_default()
}

/// Removes the files that are not wanted.
fn remove_others(root: &Path, folder: &Path, wanted: &HashMap<&str, Here>) -> std::io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(root, &path, wanted)?;
            // A file may have to be where an empty folder is.
            let _ = std::fs::remove_dir(&path);
        } else if !path
            .strip_prefix(root)
            .ok()
            .and_then(|it| it.to_str())
            .is_some_and(|it| wanted.contains_key(it))
        {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_leave_gaps() {
        let mut here = Here::default();
        for (from, to) in [(10, 20), (30, 40), (20, 25), (5, 5), (38, 50), (0, 2)] {
            here.add(from, to);
        }
        assert_eq!(here.0, [(0, 2), (10, 25), (30, 50)]);
        assert_eq!((here.bytes(), here.head()), (37, 2));
        assert_eq!(here.gaps(60), [(2, 10), (25, 30), (50, 60)]);
        here.add(1, 55);
        assert_eq!(here.gaps(55), []);
    }
}
