//! A place in the file. Every read is checked against the bytes that are really there, and every complaint tells the offset.

use super::super::refusal::Refusal;

/// The bytes of a file and how far they are read.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the size of the whole file.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Takes so many bytes.
    ///
    /// # Errors
    /// `Malformed` when the file is shorter.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or_else(|| {
            self.complain(format!(
                "{count} bytes are expected here and {} are left; is the file cut short",
                rest.len()
            ))
        })?;
        self.at += count;
        Ok(taken)
    }

    /// Takes a length of `width` bytes, then that many bytes.
    pub(super) fn counted(&mut self, width: usize) -> Result<&'a [u8], Refusal> {
        let count = self.unsigned(width)?;
        let count =
            usize::try_from(count).map_err(|_| self.complain(format!("a length of {count} bytes")))?;
        self.take(count)
    }

    /// Takes a little-endian number of up to eight bytes.
    pub(super) fn unsigned(&mut self, width: usize) -> Result<u64, Refusal> {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(wide))
    }

    /// Takes exactly `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Takes the bytes up to a newline, and the newline.
    pub(super) fn line(&mut self) -> Result<&'a [u8], Refusal> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or_else(|| self.complain("a line begins here and never ends; is the file cut short"))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    /// Takes a line of text.
    pub(super) fn text_line(&mut self) -> Result<&'a str, Refusal> {
        let line = self.line()?;
        std::str::from_utf8(line).map_err(|_| self.complain("the line before is not UTF-8"))
    }

    /// Says what is wrong, and where.
    pub(super) fn complain(&self, what: impl AsRef<str>) -> Refusal {
        Refusal::malformed(format!("byte {}: {}", self.at, what.as_ref()))
    }
}
