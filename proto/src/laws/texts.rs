//! Writes requests as clients do: keys in any order, white space anywhere, escapes where none are needed, and each number in
//! one of the ways it may be written.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::{Data, InferRequest, Parameter, Parameters, RequestedOutput, Tensor};

/// Chooses how a text is written; the same seed writes the same text.
pub(super) struct Scribe(pub(super) u64);

impl Scribe {
    /// Returns a number below `bound` (SplitMix64).
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed % bound as u64) as usize
    }

    pub(super) fn once_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn space(&mut self) -> &'static str {
        ["", "", "", " ", "\n", "\t", "\r\n  "][self.below(7)]
    }

    pub(super) fn string(&mut self, text: &str) -> String {
        let mut out = String::from("\"");
        for char in text.chars() {
            let must = char < ' ' || char == '"' || char == '\\';
            let short = match char {
                '"' => Some("\\\""),
                '\\' => Some("\\\\"),
                '/' => Some("\\/"),
                '\n' => Some("\\n"),
                '\r' => Some("\\r"),
                '\t' => Some("\\t"),
                '\u{8}' => Some("\\b"),
                '\u{c}' => Some("\\f"),
                _ => None,
            };
            match short {
                Some(short) if must || self.once_in(2) => out.push_str(short),
                Some(_) | None if !must && !self.once_in(4) => out.push(char),
                Some(_) | None => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        let hex = format!("\\u{unit:04x}");
                        out.push_str(&if self.once_in(2) {
                            hex.to_uppercase().replace("\\U", "\\u")
                        } else {
                            hex
                        });
                    }
                }
            }
        }
        out + "\""
    }

    /// A number that is not finite is one of the tokens; NaN may be `null`.
    fn odd(&mut self, value: f64) -> String {
        match value {
            _ if value.is_nan() => ["NaN", "null"][self.below(2)],
            _ if value > 0.0 => "Infinity",
            _ => "-Infinity",
        }
        .to_owned()
    }

    /// With a point or an exponent, and enough digits for its bits.
    pub(super) fn float(&mut self, value: f64) -> String {
        if !value.is_finite() {
            return self.odd(value);
        }
        match self.below(5) {
            0 => format!("{value:?}"),
            1 => format!("{value:e}"),
            2 => format!("{value:.20e}"),
            3 => format!("{value:e}").replace("e-", "E-0").replace('e', "E+"),
            _ => format!("{value:.400}"),
        }
    }

    /// The shortest digits that tell it from other singles, or all of it.
    fn float32(&mut self, value: f32) -> String {
        match self.below(3) {
            0 if value.is_finite() => format!("{value:?}"),
            1 if value.is_finite() => format!("{value:e}"),
            _ => self.float(value.into()),
        }
    }

    fn blob(&mut self, bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            Ok(text) if !self.once_in(3) => self.string(text),
            Ok(_) | Err(_) => {
                let text = BASE64.encode(bytes);
                let text = self.string(&text);
                self.object(vec![("b64".to_owned(), text)])
            }
        }
    }

    /// An element. `typed` tells that the text says elsewhere what it is: a float may then be written as an integer.
    fn leaf(&mut self, data: &Data, at: usize, typed: bool) -> String {
        match data {
            Data::Bool(it) => (it[at] != 0).to_string(),
            Data::Uint8(it) => it[at].to_string(),
            Data::Uint16(it) | Data::Fp16(it) | Data::Bf16(it) => it[at].to_string(),
            Data::Uint32(it) => it[at].to_string(),
            Data::Uint64(it) => it[at].to_string(),
            Data::Int8(it) => it[at].to_string(),
            Data::Int16(it) => it[at].to_string(),
            Data::Int32(it) => it[at].to_string(),
            Data::Int64(it) => it[at].to_string(),
            // All the digits before the point and none behind it.
            Data::Fp32(it) if typed && it[at].fract() == 0.0 && self.once_in(2) => it[at].to_string(),
            Data::Fp64(it) if typed && it[at].fract() == 0.0 && self.once_in(2) => it[at].to_string(),
            Data::Fp32(it) if typed => self.float32(it[at]),
            Data::Fp32(it) => self.float(it[at].into()),
            Data::Fp64(it) => self.float(it[at]),
            Data::Bytes(it) => self.blob(&it[at]),
        }
    }

    pub(super) fn list(&mut self, items: &[String]) -> String {
        let mut out = String::from("[");
        for (index, item) in items.iter().enumerate() {
            out.push_str(if index > 0 { "," } else { "" });
            out.push_str(self.space());
            out.push_str(item);
            out.push_str(self.space());
        }
        out + self.space() + "]"
    }

    /// The keys in any order.
    pub(super) fn object(&mut self, mut items: Vec<(String, String)>) -> String {
        for at in (1..items.len()).rev() {
            let other = self.below(at + 1);
            items.swap(at, other);
        }
        let mut out = String::from("{");
        for (index, (key, value)) in items.iter().enumerate() {
            out.push_str(if index > 0 { "," } else { "" });
            out.push_str(self.space());
            out.push_str(&self.string(key));
            out.push_str(self.space());
            out.push(':');
            out.push_str(self.space());
            out.push_str(value);
        }
        out + self.space() + "}"
    }

    /// The elements from `at` on as lists nested by that shape.
    pub(super) fn nested(&mut self, data: &Data, shape: &[usize], at: usize, typed: bool) -> String {
        let Some((&size, inner)) = shape.split_first() else { return self.leaf(data, at, typed) };
        let step: usize = inner.iter().product();
        let items: Vec<_> =
            (0..size).map(|index| self.nested(data, inner, at + index * step, typed)).collect();
        self.list(&items)
    }

    /// What says nothing: keys that no reader knows, of any value.
    pub(super) fn noise(&mut self, items: &mut Vec<(String, String)>) {
        if self.once_in(3) {
            let value =
                ["{}", "[[1, {\"a\": null}], \"x\"]", "-1.5e-7", "[1, 2, 3, \"\\ud83d\\ude00\"]", "false"];
            items.push(("unheard of".to_owned(), value[self.below(5)].to_owned()));
        }
    }

    pub(super) fn parameters(&mut self, parameters: &Parameters) -> String {
        let mut items = Vec::new();
        for (name, value) in &parameters.0 {
            let value = match value {
                Parameter::Bool(it) => it.to_string(),
                Parameter::Int(it) => it.to_string(),
                Parameter::Uint(it) => it.to_string(),
                Parameter::Double(it) if !it.is_finite() => "null".to_owned(),
                Parameter::Double(it) => self.float(*it),
                Parameter::String(it) => self.string(it),
            };
            items.push((name.clone(), value));
        }
        // In the order they have: it is kept.
        let items: Vec<_> = items.iter().map(|(name, value)| self.string(name) + ":" + value).collect();
        format!("{{{}}}", items.join(","))
    }

    /// A V2 request. Inputs for which `raw` holds are written behind it; returns the JSON and those bytes.
    pub(super) fn v2(&mut self, request: &InferRequest, raw: impl Fn(&Tensor) -> bool) -> (String, Vec<u8>) {
        let mut behind = Vec::new();
        let mut inputs = Vec::new();
        for it in &request.inputs {
            let datatype = it.datatype().name();
            let datatype = if self.once_in(4) { datatype.to_lowercase() } else { datatype.to_owned() };
            let shape: Vec<_> = it.shape.iter().map(usize::to_string).collect();
            let mut items = vec![
                ("name".to_owned(), self.string(&it.name)),
                ("shape".to_owned(), self.list(&shape)),
                ("datatype".to_owned(), self.string(&datatype)),
            ];
            let mut parameters = it.parameters.clone();
            if raw(it) {
                let bytes = it.data.clone().into_raw();
                behind.extend_from_slice(&bytes);
                let size = Parameter::Int(i64::try_from(bytes.len()).expect("a few bytes"));
                let at = self.below(parameters.0.len() + 1);
                parameters.0.insert(at, ("binary_data_size".to_owned(), size));
            } else {
                // Flat, or nested as the shape says; a scalar is a list of one.
                let nest = !it.shape.is_empty() && self.once_in(2);
                let shape = if nest { it.shape.clone() } else { vec![it.data.len()] };
                items.push(("data".to_owned(), self.nested(&it.data, &shape, 0, true)));
            }
            if !parameters.is_empty() || self.once_in(3) {
                items.push(("parameters".to_owned(), self.parameters(&parameters)));
            }
            self.noise(&mut items);
            inputs.push(self.object(items));
        }
        let mut items =
            vec![("inputs".to_owned(), self.list(&inputs)), ("id".to_owned(), self.string(&request.id))];
        items.push(("parameters".to_owned(), self.parameters(&request.parameters)));
        if !request.outputs.is_empty() {
            let outputs: Vec<_> = request.outputs.iter().map(|it| self.output(it)).collect();
            items.push(("outputs".to_owned(), self.list(&outputs)));
        }
        self.noise(&mut items);
        let json = self.space().to_owned() + &self.object(items) + self.space();
        (json, behind)
    }

    fn output(&mut self, output: &RequestedOutput) -> String {
        let name = self.string(&output.name);
        let parameters = self.parameters(&output.parameters);
        self.object(vec![("name".to_owned(), name), ("parameters".to_owned(), parameters)])
    }
}
