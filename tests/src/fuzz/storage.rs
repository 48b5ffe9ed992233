//! What stores answer and what is fetched from them: archives, lists, storage specs.

use std::io::Write;

use weir_sdk::Env;
use weir_sdk::storage::archive::{Form, count};
use weir_sdk::storage::{Spec, xml};

/// An archive opens to no more than is allowed, whatever it says.
pub fn archive(data: &[u8]) -> bool {
    const MOST: u64 = 1 << 16;
    let forms = [Form::Zip, Form::Tar, Form::TarGzip, Form::TarZstd];
    let mut accepted = false;
    for form in forms {
        if let Ok((files, bytes)) = count(form, data, MOST) {
            // Of a zip each file may be so long; the others are a stream.
            assert!(bytes <= MOST * if form == Form::Zip { files as u64 } else { 1 });
            accepted |= files > 0;
        }
    }
    accepted
}

/// A list of a store: each file in it has a name, and cost no more than its bytes.
pub fn store_list(data: &[u8]) -> bool {
    let Ok(page) = xml::page(data) else { return false };
    let bytes: usize = page.files.iter().map(|it| it.0.len() + it.2.len()).sum();
    assert!(bytes <= data.len(), "{bytes} bytes of names out of {}", data.len());
    true
}

/// A spec, and the same text as the secret that completes one. What is wrong is told without what is in it.
pub fn storage_config(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let env: Env = [("STORAGE_CONFIG", text)].into_iter().collect();
    let spec = Spec::read(text);
    let uri = spec.as_ref().map(|it| it.uri(&env));
    if let Ok(Err(error)) = &uri {
        assert!(error.to_string().len() < 400, "{error}");
    }
    matches!(uri, Ok(Ok(_)))
}

pub(super) fn archives() -> Vec<Vec<u8>> {
    let entry = |name: &str, kind: u8, contents: &[u8]| {
        let mut head = [0_u8; 512];
        head[..name.len()].copy_from_slice(name.as_bytes());
        head[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
        head[148..156].fill(b' ');
        head[156] = kind;
        head[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = head.iter().map(|it| u32::from(*it)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut all = [&head, contents].concat();
        all.resize(all.len().next_multiple_of(512), 0);
        all
    };
    let parts = [
        entry("././@LongLink", b'L', &[b'n'; 130]),
        entry("n", b'0', b"weights"),
        entry("pax", b'x', b"16 path=a/b.bin\n10 size=3\n"),
        entry("x", b'0', b"abc"),
        entry("link", b'2', b""),
        vec![0; 1024],
    ];
    let tar = parts.concat();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&tar).expect("a vector takes all");
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000];
    zstd.extend((tar.len() as u32).to_le_bytes());
    zstd.extend(&(1 | (tar.len() as u32) << 3).to_le_bytes()[..3]);
    zstd.extend(&tar);
    vec![tar, packed.finish().expect("a vector takes all"), zstd]
}

pub(super) fn store_lists() -> Vec<Vec<u8>> {
    let s3 = "<?xml version=\"1.0\"?><ListBucketResult><NextContinuationToken>t</NextContinuationToken><Contents><Key>a&amp;b</Key>\
              <Size>3</Size><ETag>&quot;e&quot;</ETag></Contents><Contents><Key>c</Key><Size>4</Size></Contents></ListBucketResult>";
    let azure = "<EnumerationResults><Blobs><Blob><Name>m/x</Name><Properties><Etag>0x1</Etag><Content-Length>7</Content-Length>\
                 </Properties></Blob></Blobs><NextMarker>m</NextMarker></EnumerationResults>";
    [s3, azure].map(|it| it.as_bytes().to_vec()).into()
}

pub(super) fn storage_configs() -> Vec<Vec<u8>> {
    [
        r#"{"type": "s3", "bucket": "b", "path": "/m", "access_key_id": "i", "parameters": {"region": "r"}}"#,
        r#"{"key": "k", "path": "m", "k": "{\"type\": \"webhdfs\", \"HEADERS\": \"{}\"}"}"#,
        r#"{"default": {"type": "gs", "bucket": "b", "anonymous": true}}"#,
    ]
    .map(|it| it.as_bytes().to_vec())
    .into()
}
