//! CloudEvents: what is read and written again is the same.

use bytes::Bytes;
use weir_proto::event::{self, Event, Head};
use weir_proto::json::Reader;

/// Structured events: data and attributes come back when another event takes them over.
pub fn event(data: &[u8]) -> bool {
    let body = Bytes::copy_from_slice(data);
    let Ok(event) = Event::read(&body, 64) else { return false };
    let mut reader = Reader::new(&event.data);
    // What came in base64 may be anything.
    if reader.skip().and_then(|()| reader.finish()).is_err() || &*event.data == b"null" {
        return true;
    }
    let time = event::timestamp(std::time::Duration::from_secs(data.len() as u64));
    assert!(event::is_timestamp(&time));
    let extensions = event.extensions.as_slice();
    let head =
        Head { specversion: &event.specversion, id: "1", source: "s", kind: "t", time: &time, extensions };
    let written = Event::write(&head, &event.data);
    let again = Event::read(&written, 64).expect("what was written is an event");
    assert_eq!((&again.specversion, &again.extensions), (&event.specversion, &event.extensions));
    assert_eq!(trimmed(&again.data), trimmed(&event.data));
    true
}

/// White space around decoded data is not a part of the value.
fn trimmed(data: &[u8]) -> &[u8] {
    data.trim_ascii()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2026-01-31T12:00:00Z",
            "datacontenttype": "application/json", "data": {"instances": [[6.8, 2.8, 4.8, 1.4]]}}"#,
        r#"{"data": [null, NaN], "specversion": "1.0", "id": "\u00e9", "source": "a\"b", "type": "t", "subject": "q\n",
            "count": -7, "truth": true, "Upper": "x", "deep": [{}]}"#,
        r#"{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": "eyJpbnN0YW5jZXMiOiBbXX0="}"#,
        r#"{"specversion": "0.3", "id": "1", "source": "s", "type": "t", "datacontentencoding": "base64",
            "schemaurl": "u", "data": "e30=", "time": "2026-01-31t12:00:00.25+01:00"}"#,
    ];
    texts.iter().map(|it| it.as_bytes().to_vec()).collect()
}
