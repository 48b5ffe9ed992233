//! The data a method compares an instance with: a CSV file with a header, as typed columns.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use csv::StringRecord;

const MAX_BYTES: u64 = 64 << 20;
const MAX_ROWS: usize = 1_000_000;
const MAX_COLUMNS: usize = 10_000;

/// Rows of data, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    /// The features' names, as the header has them.
    pub names: Vec<String>,
    /// A column a name, all of the same length.
    pub columns: Vec<Column>,
}

/// The values of one feature.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Every cell is a number; an empty one is NaN.
    Numbers(Vec<f64>),
    /// Some cell is not, so all of them are text.
    Text(Vec<Bytes>),
}

impl Column {
    /// Returns how many values there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Background {
    /// Reads the first `rows` rows of a file. The whole file is looked at, so that what makes a column text need not stand
    /// in its first rows.
    ///
    /// # Errors
    /// A [`BackgroundError`] with the file and, where there is one, the line.
    pub fn read(file: &Path, rows: usize) -> Result<Self, BackgroundError> {
        let unreadable = |source| BackgroundError::Read { file: file.to_owned(), source };
        let mut text = Vec::new();
        File::open(file)
            .and_then(|open| open.take(MAX_BYTES + 1).read_to_end(&mut text))
            .map_err(unreadable)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(malformed(file, None, format!("is larger than {} MiB", MAX_BYTES >> 20)));
        }
        Self::parse(&text, file, rows)
    }

    /// Reads the first `rows` rows of a text; `file` names it in errors.
    ///
    /// # Errors
    /// As [`Background::read`].
    pub fn parse(text: &[u8], file: &Path, rows: usize) -> Result<Self, BackgroundError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text);
        let names = names(file, reader.headers().map_err(|error| unread(file, &error))?)?;
        let mut cells = Cells { text: vec![Vec::new(); names.len()], numeric: vec![true; names.len()] };
        let mut record = StringRecord::new();
        let mut count = 0;
        while reader.read_record(&mut record).map_err(|error| unread(file, &error))? {
            if count == MAX_ROWS {
                return Err(malformed(file, line(&record), format!("has more than {MAX_ROWS} rows")));
            }
            cells.add(&record, count < rows);
            count += 1;
        }
        if count == 0 {
            return Err(malformed(file, None, "has a header but no rows"));
        }
        Ok(Self { names, columns: cells.into_columns() })
    }

    /// Returns how many rows there are.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }
}

fn names(file: &Path, header: &StringRecord) -> Result<Vec<String>, BackgroundError> {
    let first = Some(1);
    if header.is_empty() {
        return Err(malformed(file, None, "is empty; the first line must name the features"));
    }
    if header.len() > MAX_COLUMNS {
        return Err(malformed(
            file,
            first,
            format!("has {} columns, the limit is {MAX_COLUMNS}", header.len()),
        ));
    }
    let mut seen = HashSet::new();
    for (at, name) in header.iter().enumerate() {
        if name.is_empty() {
            return Err(malformed(file, first, format!("column {} has no name", at + 1)));
        }
        if !seen.insert(name) {
            return Err(malformed(file, first, format!("two columns are named `{name}`")));
        }
    }
    Ok(header.iter().map(str::to_owned).collect())
}

/// The cells met so far: which columns can still be numbers, and the text of the rows that are kept.
struct Cells {
    text: Vec<Vec<Bytes>>,
    numeric: Vec<bool>,
}

impl Cells {
    fn add(&mut self, record: &StringRecord, keep: bool) {
        for ((cell, numeric), column) in record.iter().zip(&mut self.numeric).zip(&mut self.text) {
            *numeric = *numeric && number(cell).is_some();
            if keep {
                column.push(Bytes::copy_from_slice(cell.as_bytes()));
            }
        }
    }

    fn into_columns(self) -> Vec<Column> {
        let read = |cell: &Bytes| std::str::from_utf8(cell).ok().and_then(number).unwrap_or(f64::NAN);
        self.text
            .into_iter()
            .zip(self.numeric)
            .map(|(cells, numeric)| {
                if numeric { Column::Numbers(cells.iter().map(read).collect()) } else { Column::Text(cells) }
            })
            .collect()
    }
}

fn number(cell: &str) -> Option<f64> {
    let cell = cell.trim();
    if cell.is_empty() { Some(f64::NAN) } else { cell.parse().ok() }
}

fn line(record: &StringRecord) -> Option<u64> {
    record.position().map(csv::Position::line)
}

fn unread(file: &Path, error: &csv::Error) -> BackgroundError {
    let line = error.position().map(csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} cells, the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("cell {} is not UTF-8", err.field() + 1),
        _ => error.to_string(),
    };
    malformed(file, line, reason)
}

fn malformed(file: &Path, line: Option<u64>, reason: impl Into<String>) -> BackgroundError {
    let reason = reason.into();
    match line {
        Some(line) => BackgroundError::Line { file: file.to_owned(), line, reason },
        None => BackgroundError::File { file: file.to_owned(), reason },
    }
}

/// Why background data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BackgroundError {
    /// The file could not be opened or read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file as a whole is not what it should be.
    #[error("{} {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What was met, and what was expected.
        reason: String,
    },
    /// A line of it is not what it should be.
    #[error("{}:{line}: {reason}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What was met, and what was expected.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, rows: usize) -> Result<Background, String> {
        Background::parse(text.as_bytes(), Path::new("data.csv"), rows).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_are_numbers_where_every_cell_of_the_file_is() {
        let data =
            parse("\u{feff}mass, island ,code\n3750,Torgersen,1\n,\"Dream, east\",2\n1e3,,n/a\n", 2).unwrap();
        assert_eq!(data.names, ["mass", "island", "code"]);
        assert_eq!(data.rows(), 2);
        let Column::Numbers(mass) = &data.columns[0] else { panic!("mass is numbers") };
        assert!(mass[0] == 3750.0 && mass[1].is_nan());
        assert_eq!(data.columns[1], Column::Text(vec!["Torgersen".into(), "Dream, east".into()]));
        // What makes it text stands in a row that is not kept.
        assert_eq!(data.columns[2], Column::Text(vec!["1".into(), "2".into()]));
    }

    #[test]
    fn errors_name_file_and_line() {
        let check = |text: &str, want: &str| assert_eq!(parse(text, 10).unwrap_err(), want);
        check("", "data.csv is empty; the first line must name the features");
        check("a,b\n", "data.csv has a header but no rows");
        check("a,b\n1,2\n3\n", "data.csv:3: has 1 cells, the header has 2");
        check("a,b,a\n1,2,3\n", "data.csv:1: two columns are named `a`");
        check("a,,c\n1,2,3\n", "data.csv:1: column 2 has no name");
        let text = Background::parse(b"a\nx\xff\n", Path::new("data.csv"), 1).unwrap_err().to_string();
        assert_eq!(text, "data.csv:2: cell 1 is not UTF-8");
        let text = Background::read(Path::new("nowhere.csv"), 1).unwrap_err().to_string();
        assert!(text.starts_with("cannot read nowhere.csv: "), "{text}");
        let wide = vec!["x"; MAX_COLUMNS + 1].join(",");
        check(&wide, "data.csv:1: has 10001 columns, the limit is 10000");
    }
}
