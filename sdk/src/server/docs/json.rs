//! Writes a JSON document piece by piece: brackets and commas by themselves, values by the push writer.

use weir_proto::json::{push_bool, push_f64, push_i64, push_str};

/// A document that grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Json {
    out: Vec<u8>,
}

impl Json {
    /// Returns what one closure writes.
    pub(super) fn of(write: impl FnOnce(&mut Self)) -> Self {
        let mut json = Self::default();
        write(&mut json);
        json
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("the writer makes JSON out of text, which is text")
    }

    /// Writes what stands before a value: nothing at the beginning of a list, of an object or of the text, and after a key.
    fn begin(&mut self) -> &mut Vec<u8> {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
        &mut self.out
    }

    pub(super) fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.begin().push(b'{');
        write(self);
        self.out.push(b'}');
    }

    pub(super) fn list(&mut self, write: impl FnOnce(&mut Self)) {
        self.begin().push(b'[');
        write(self);
        self.out.push(b']');
    }

    /// Writes a key; the next value is its.
    pub(super) fn key(&mut self, name: &str) -> &mut Self {
        push_str(self.begin(), name);
        self.out.push(b':');
        self
    }

    pub(super) fn string(&mut self, value: &str) {
        push_str(self.begin(), value);
    }

    pub(super) fn strings<'a>(&mut self, values: impl IntoIterator<Item = &'a str>) {
        self.list(|list| values.into_iter().for_each(|it| list.string(it)));
    }

    pub(super) fn integer(&mut self, value: i64) {
        push_i64(self.begin(), value);
    }

    /// Writes an integer of any size.
    pub(super) fn wide(&mut self, value: i128) {
        self.begin().extend_from_slice(value.to_string().as_bytes());
    }

    pub(super) fn number(&mut self, value: f64) {
        push_f64(self.begin(), value, weir_proto::json::NonFinite::Null);
    }

    pub(super) fn truth(&mut self, value: bool) {
        push_bool(self.begin(), value);
    }

    /// Writes the keys and values of a text that is a JSON object.
    pub(super) fn members(&mut self, object: &str) {
        let inner = object.trim().strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap_or_default();
        self.begin().extend_from_slice(inner.trim().as_bytes());
    }

    /// Writes a value that is JSON already.
    pub(super) fn value(&mut self, value: &Self) {
        self.begin().extend_from_slice(&value.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_values_only() {
        let json = Json::of(|it| {
            it.object(|it| {
                it.key("a:").list(|it| {
                    it.integer(1);
                    it.string("[{:");
                    it.list(|_| {});
                    it.object(|_| {});
                    it.truth(true);
                });
                it.members("{\"m\": 1}\n");
                it.key("b").number(0.5);
            });
        });
        assert_eq!(json.text(), r#"{"a:":[1,"[{:",[],{},true],"m": 1,"b":0.5}"#);
    }
}
