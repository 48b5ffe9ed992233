//! The lists of object stores, which are XML: flat elements, each a file.

use quick_xml::Reader;
use quick_xml::events::Event;

/// No list is nested deeper.
const DEEPEST: usize = 16;
/// What is within a file's element and of use: the last part of the path is the name here.
const WANTED: [&str; 8] =
    ["Key", "Size", "ETag", "Name", "Content-Length", "Etag", "ResourceType", "NextMarker"];

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The files on it: name, length, etag.
    pub files: Vec<(String, u64, String)>,
    /// What to ask for the next page by; none on the last one.
    pub next: Option<String>,
}

/// Reads a page of S3's `ListObjectsV2`, which Google's XML API answers too, or of Azure's `List Blobs`.
///
/// # Errors
/// What is wrong with it.
pub fn page(text: &[u8]) -> Result<Page, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut path: Vec<String> = Vec::new();
    let mut page = Page::default();
    let (mut file, mut value, mut seen) = (File::default(), String::new(), false);
    loop {
        match reader.read_event().map_err(|error| format!("it is no XML: {error}"))? {
            Event::Start(start) => {
                let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                if path.len() >= DEEPEST {
                    return Err(format!("it is nested deeper than {DEEPEST}"));
                }
                if matches!(name.as_str(), "Contents" | "Blob") {
                    file = File::default();
                }
                if path.is_empty() {
                    seen = matches!(name.as_str(), "ListBucketResult" | "EnumerationResults");
                    if !seen {
                        return Err(format!("it is a `{name}`, expected a list of objects"));
                    }
                }
                path.push(name);
                value.clear();
            }
            Event::Text(text) => value.push_str(&text.decode().map_err(|error| error.to_string())?),
            Event::CData(text) => value.push_str(&text.decode().map_err(|error| error.to_string())?),
            Event::GeneralRef(entity) => value.push(character(&entity)?),
            Event::End(_) => {
                let name = path.pop().unwrap_or_default();
                let parent = path.last().map(String::as_str).unwrap_or_default();
                match (parent, name.as_str()) {
                    (_, "Contents" | "Blob") => page.files.extend(std::mem::take(&mut file).finish()?),
                    ("ListBucketResult", "NextContinuationToken") | ("EnumerationResults", "NextMarker") => {
                        page.next = Some(std::mem::take(&mut value)).filter(|it| !it.is_empty());
                    }
                    ("Contents" | "Blob" | "Properties", name) if WANTED.contains(&name) => {
                        file.set(name, &value)?;
                    }
                    _ => {}
                }
                value.clear();
            }
            Event::Eof if seen && path.is_empty() => return Ok(page),
            Event::Eof => return Err("it is cut off".to_owned()),
            Event::DocType(_) => return Err("it has a document type, which lists do not have".to_owned()),
            _ => {}
        }
    }
}

/// A character that is written by name or number.
fn character(entity: &quick_xml::events::BytesRef<'_>) -> Result<char, String> {
    if let Ok(Some(it)) = entity.resolve_char_ref() {
        return Ok(it);
    }
    match entity.as_ref() {
        b"amp" => Ok('&'),
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"quot" => Ok('"'),
        b"apos" => Ok('\''),
        _ => Err("it has an entity that is not XML's own".to_owned()),
    }
}

#[derive(Default)]
struct File {
    name: Option<String>,
    length: Option<u64>,
    etag: String,
    is_folder: bool,
}

impl File {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "Key" | "Name" => self.name = Some(value.to_owned()),
            "Size" | "Content-Length" => {
                let length = value.trim().parse().map_err(|_| "a size in it is no number".to_owned())?;
                self.length = Some(length);
            }
            "ETag" | "Etag" => value.trim().clone_into(&mut self.etag),
            // A folder of a store with a hierarchical namespace.
            "ResourceType" => self.is_folder = value == "directory",
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<(String, u64, String)>, String> {
        let name = self.name.ok_or("a file in it has no name")?;
        if self.is_folder {
            return Ok(None);
        }
        let length = self.length.ok_or("a file in it has no size")?;
        Ok(Some((name, length, self.etag)))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_kinds_of_lists_are_read() {
        let s3 = br#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
            <NextContinuationToken>t=</NextContinuationToken><Contents><Key>a&amp;b/&#x41;</Key><Size>3</Size>
            <ETag>&quot;e&quot;</ETag><Owner><ID>x</ID></Owner></Contents></ListBucketResult>"#;
        let page = super::page(s3).unwrap();
        assert_eq!(page.files, [("a&b/A".to_owned(), 3, "\"e\"".to_owned())]);
        assert_eq!(page.next.as_deref(), Some("t="));
        let azure = b"\xef\xbb\xbf<?xml version='1.0'?><EnumerationResults><Blobs><Blob><Name>m/x</Name><Properties>
            <Etag>0x1</Etag><Content-Length>7</Content-Length></Properties></Blob></Blobs><NextMarker /></EnumerationResults>";
        let page = super::page(azure).unwrap();
        assert_eq!(page.files, [("m/x".to_owned(), 7, "0x1".to_owned())]);
        assert_eq!(page.next, None);
        for wrong in
            ["<Error><Code>x</Code></Error>", "<ListBucketResult>", "x", "<!DOCTYPE a><ListBucketResult/>"]
        {
            assert!(super::page(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
