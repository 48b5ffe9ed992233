//! Tar archives: the heads of POSIX (ustar, pax) and GNU, one entry after another. Only what a model is made of comes out: files
//! and folders.

use std::io::Read;

/// A head, and what contents are filled up to.
const BLOCK: usize = 512;
/// The most bytes of a name or of an extended head: both are read into memory.
const LONGEST_HEAD: u64 = 64 << 10;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// Anything else, by a name for it: a link, a device.
    Other(&'static str),
}

/// The head of an entry; its contents follow in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its name as it is written.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The bytes of its contents.
    pub length: u64,
}

/// Reads an archive from its beginning to its end.
pub struct Reader<R> {
    stream: R,
    /// Bytes of the contents, and behind them, that are to be passed over before the next head.
    left: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    pub fn new(stream: R) -> Self {
        Self { stream, left: 0, padding: 0 }
    }

    /// The next entry, none at the end of the archive.
    ///
    /// # Errors
    /// What is wrong with the archive.
    pub fn next_head(&mut self) -> Result<Option<Head>, String> {
        let mut long_name = None;
        let mut long_length = None;
        loop {
            self.pass_over()?;
            let Some(block) = self.block()? else { return Ok(None) };
            let length = number(&block[124..136])?;
            self.left = length;
            self.padding = length.next_multiple_of(BLOCK as u64).saturating_sub(length);
            let kind = match block[156] {
                b'L' => {
                    let name = self.small(length)?;
                    long_name = Some(text(&name));
                    continue;
                }
                // The target of a link, which is refused in any case.
                b'K' => {
                    self.small(length)?;
                    continue;
                }
                b'x' => {
                    let records = self.small(length)?;
                    for (key, value) in pax(&records)? {
                        match key {
                            "path" => long_name = Some(value.to_owned()),
                            "size" => {
                                long_length = Some(value.parse().map_err(|_| "a size in it is no number")?)
                            }
                            _ => {}
                        }
                    }
                    continue;
                }
                b'g' => {
                    self.small(length)?;
                    continue;
                }
                b'0' | 0 | b'7' => Kind::File,
                b'5' => Kind::Folder,
                b'1' => Kind::Other("a hard link"),
                b'2' => Kind::Other("a symbolic link"),
                b'3' => Kind::Other("a device"),
                b'4' => Kind::Other("a device"),
                b'6' => Kind::Other("a pipe"),
                b'S' => Kind::Other("a sparse file"),
                _ => Kind::Other("of a kind that is not known"),
            };
            let length = long_length.unwrap_or(length);
            if kind == Kind::File {
                self.left = length;
                self.padding =
                    length.checked_next_multiple_of(BLOCK as u64).ok_or("a size in it is too large")?
                        - length;
            }
            let name = long_name.unwrap_or_else(|| short_name(&block));
            // Archives before POSIX end a folder's name in a slash.
            let kind = if kind == Kind::File && name.ends_with('/') { Kind::Folder } else { kind };
            return Ok(Some(Head { name, kind, length }));
        }
    }

    /// The contents of the entry whose head was read last.
    pub fn contents(&mut self) -> impl Read {
        Contents(self)
    }

    fn pass_over(&mut self) -> Result<(), String> {
        let left = std::mem::take(&mut self.left);
        let padding = std::mem::take(&mut self.padding);
        let wanted = left.saturating_add(padding);
        let passed = std::io::copy(&mut self.stream.by_ref().take(wanted), &mut std::io::sink());
        // The padding of the last entry is missing in archives that some programs write.
        match passed.map_err(|error| error.to_string())? {
            passed if passed >= left => Ok(()),
            _ => Err("it is cut off within a file".to_owned()),
        }
    }

    /// The next head, none where two empty blocks or the stream end the archive.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, String> {
        let mut block = [0; BLOCK];
        let mut read = 0;
        while read < BLOCK {
            match self.stream.read(&mut block[read..]) {
                Ok(0) if read == 0 => return Ok(None),
                Ok(0) => return Err("it is cut off within a head".to_owned()),
                Ok(more) => read += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        if block.iter().all(|it| *it == 0) {
            return Ok(None);
        }
        let sum = |signed: bool| -> i64 {
            let byte = |(at, it): (usize, &u8)| match (at, signed) {
                (148..156, _) => i64::from(b' '),
                (_, true) => i64::from(*it as i8),
                (_, false) => i64::from(*it),
            };
            block.iter().enumerate().map(byte).sum()
        };
        let told = number(&block[148..156]).ok().and_then(|it| i64::try_from(it).ok());
        if told != Some(sum(false)) && told != Some(sum(true)) {
            return Err("it is no tar archive, or broken: the sum of a head is wrong".to_owned());
        }
        Ok(Some(block))
    }

    /// Contents that belong to the next head.
    fn small(&mut self, length: u64) -> Result<Vec<u8>, String> {
        if length > LONGEST_HEAD {
            return Err(format!("a name or head in it has {length} bytes, the most are {LONGEST_HEAD}"));
        }
        let mut bytes = Vec::new();
        self.contents().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err("it is cut off within a name".to_owned()) }
    }
}

struct Contents<'a, R>(&'a mut Reader<R>);

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.0.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.0.stream.read(&mut buffer[..most])?;
        self.0.left -= read as u64;
        Ok(read)
    }
}

/// The name of a head by itself: with `prefix` where POSIX has it.
fn short_name(block: &[u8; BLOCK]) -> String {
    let name = text(&block[..100]);
    let prefix = if &block[257..263] == b"ustar\0" { text(&block[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

/// A text up to its first null.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|it| *it == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A number: octal digits, or 63 bits behind a byte whose highest bit is set.
fn number(field: &[u8]) -> Result<u64, String> {
    if field[0] & 0x80 != 0 {
        let value = field[1..].iter().try_fold(u64::from(field[0] & 0x7f), |value, byte| {
            value.checked_mul(256).map(|it| it | u64::from(*byte))
        });
        return value.filter(|it| *it < 1 << 62).ok_or_else(|| "a size in it is too large".to_owned());
    }
    let digits = field.iter().filter(|it| !matches!(it, b' ' | 0));
    digits.clone().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => Ok(value * 8 + u64::from(digit - b'0')),
        _ => Err("a number in it is not octal".to_owned()),
    })
}

/// The records of an extended head: `LENGTH KEY=VALUE\n`.
fn pax(mut records: &[u8]) -> Result<Vec<(&str, &str)>, String> {
    let wrong = || "an extended head in it is broken".to_owned();
    let mut found = Vec::new();
    while !records.is_empty() && records[0] != 0 {
        let space = records.iter().position(|it| *it == b' ').ok_or_else(wrong)?;
        let length: usize =
            std::str::from_utf8(&records[..space]).ok().and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
        if length <= space + 1 || length > records.len() {
            return Err(wrong());
        }
        let record = &records[space + 1..length];
        if let Ok(record) = std::str::from_utf8(record)
            && let Some((key, value)) = record.trim_end_matches('\n').split_once('=')
        {
            found.push((key, value));
        }
        records = &records[length..];
    }
    Ok(found)
}
