//! Reads answers, independently of what wrote them: a small tree of JSON whose numbers stay text, for the standard library to
//! parse as what they are meant to be, and whose strings are read by another crate.

use bytes::Bytes;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::{Data, DataType, InferResponse, Parameter, Parameters, Tensor};

/// A value of JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As it is written; also `NaN` and the infinities.
    Number(String),
    String(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// Reads a whole text, which has no white space.
pub(super) fn read(text: &[u8]) -> Value {
    let text = std::str::from_utf8(text).unwrap();
    let (value, rest) = value(text);
    assert_eq!(rest, "", "of {text}");
    value
}

fn value(text: &str) -> (Value, &str) {
    match text.as_bytes()[0] {
        b'"' => {
            let (string, rest) = string(text);
            (Value::String(string), rest)
        }
        b'[' => {
            let (items, rest) = items(&text[1..], ']', value);
            (Value::List(items), rest)
        }
        b'{' => {
            let (items, rest) = items(&text[1..], '}', pair);
            (Value::Object(items), rest)
        }
        _ => {
            let (word, rest) = text.split_at(text.find([',', ']', '}']).unwrap_or(text.len()));
            let value = match word {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                number => Value::Number(number.to_owned()),
            };
            (value, rest)
        }
    }
}

fn pair(text: &str) -> ((String, Value), &str) {
    let (key, rest) = string(text);
    let (value, rest) = value(rest.strip_prefix(':').unwrap());
    ((key, value), rest)
}

fn items<T>(mut text: &str, end: char, item: impl Fn(&str) -> (T, &str)) -> (Vec<T>, &str) {
    let mut items = Vec::new();
    if let Some(rest) = text.strip_prefix(end) {
        return (items, rest);
    }
    loop {
        let (next, rest) = item(text);
        items.push(next);
        match rest.strip_prefix(end) {
            Some(rest) => return (items, rest),
            None => text = rest.strip_prefix(',').unwrap(),
        }
    }
}

fn string(text: &str) -> (String, &str) {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, char)| {
        let ends = char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        ends
    });
    let (string, rest) = text.split_at(end.unwrap().0 + 1);
    (serde_json::from_str(string).unwrap(), rest)
}

impl Value {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Object(items) = self else { panic!("an object expected, met {self:?}") };
        let mut found = items.iter().filter(|(it, _)| it == key);
        let first = found.next();
        assert!(found.next().is_none(), "`{key}` stands twice in {self:?}");
        first.map(|(_, value)| value)
    }

    pub(super) fn list(&self) -> &[Self] {
        let Self::List(items) = self else { panic!("a list expected, met {self:?}") };
        items
    }

    pub(super) fn string(&self) -> &str {
        let Self::String(text) = self else { panic!("a string expected, met {self:?}") };
        text
    }

    pub(super) fn number<T: std::str::FromStr>(&self) -> T {
        match self {
            Self::Number(text) => text.parse().ok().unwrap_or_else(|| panic!("{text} is out of place")),
            Self::Null => "NaN".parse().ok().unwrap(),
            _ => panic!("a number expected, met {self:?}"),
        }
    }

    fn float<T: std::str::FromStr>(&self) -> T {
        if let Self::Number(text) = self {
            let tells = text.contains(['.', 'e', 'N', 'I']);
            assert!(tells, "{text} reads as an integer");
        }
        self.number()
    }

    fn boolean(&self) -> bool {
        let Self::Bool(truth) = self else { panic!("a boolean expected, met {self:?}") };
        *truth
    }

    fn blob(&self) -> Bytes {
        match self {
            Self::String(text) => text.clone().into(),
            object => BASE64.decode(object.get("b64").unwrap().string()).unwrap().into(),
        }
    }

    /// The elements of lists nested at will.
    pub(super) fn leaves(&self) -> Vec<&Self> {
        match self {
            Self::List(items) => items.iter().flat_map(Self::leaves).collect(),
            leaf => vec![leaf],
        }
    }

    /// The elements, as numbers of the type they are meant to be.
    pub(super) fn data(&self, datatype: DataType) -> Data {
        let leaves = self.leaves();
        macro_rules! each {
            ($variant:ident, $one:expr) => {
                Data::$variant(leaves.into_iter().map($one).collect::<Vec<_>>().into())
            };
        }
        match datatype {
            DataType::Bool => each!(Bool, |it| u8::from(it.boolean())),
            DataType::Uint8 => each!(Uint8, Self::number),
            DataType::Uint16 => each!(Uint16, Self::number),
            DataType::Uint32 => each!(Uint32, Self::number),
            DataType::Uint64 => each!(Uint64, Self::number),
            DataType::Int8 => each!(Int8, Self::number),
            DataType::Int16 => each!(Int16, Self::number),
            DataType::Int32 => each!(Int32, Self::number),
            DataType::Int64 => each!(Int64, Self::number),
            DataType::Fp16 => each!(Fp16, Self::number),
            DataType::Bf16 => each!(Bf16, Self::number),
            DataType::Fp32 => each!(Fp32, Self::float),
            DataType::Fp64 => each!(Fp64, Self::float),
            DataType::Bytes => Data::Bytes(leaves.into_iter().map(Self::blob).collect()),
        }
    }

    /// The sizes of nested lists, down to the first that is empty.
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Self::List(items) => {
                let inner = items.first().map(Self::shape).unwrap_or_default();
                assert!(items.iter().all(|it| it.shape() == inner), "ragged: {self:?}");
                [vec![items.len()], inner].concat()
            }
            _ => Vec::new(),
        }
    }
}

/// Reads parameters. A number is what it is written as.
fn parameters(value: Option<&Value>) -> Parameters {
    let Some(Value::Object(items)) = value else { return Parameters::default() };
    let one = |(name, value): &(String, Value)| {
        let value = match value {
            Value::Null => return None,
            Value::Bool(it) => Parameter::Bool(*it),
            Value::String(it) => Parameter::String(it.clone()),
            Value::Number(it) => match (it.parse(), it.parse(), it.parse()) {
                (Ok(it), _, _) => Parameter::Int(it),
                (_, Ok(it), _) => Parameter::Uint(it),
                (_, _, it) => Parameter::Double(it.unwrap()),
            },
            Value::List(_) | Value::Object(_) => panic!("a scalar expected, met {value:?}"),
        };
        Some((name.clone(), value))
    };
    Parameters(items.iter().filter_map(one).collect())
}

/// Reads a V2 answer, perhaps with raw tensors behind the JSON.
pub(super) fn v2(body: &[u8], json_length: Option<usize>) -> InferResponse {
    let (json, mut raw) = body.split_at(json_length.unwrap_or(body.len()));
    let json = read(json);
    let text = |value: Option<&Value>| value.map(|it| it.string().to_owned()).unwrap_or_default();
    let mut output = |it: &Value| {
        let datatype = DataType::parse(it.get("datatype").unwrap().string()).unwrap();
        let shape: Vec<usize> = it.get("shape").unwrap().list().iter().map(Value::number).collect();
        let mut parameters = parameters(it.get("parameters"));
        let data = match (it.get("data"), parameters.take("binary_data_size")) {
            (Some(data), None) => data.data(datatype),
            (None, Some(Parameter::Int(size))) => {
                let (own, rest) = raw.split_at(usize::try_from(size).unwrap());
                raw = rest;
                let count = shape.iter().product();
                Data::from_raw(datatype, Bytes::copy_from_slice(own), count, "").unwrap()
            }
            both => panic!("data or its size expected, met {both:?}"),
        };
        Tensor { name: text(it.get("name")), shape, data, parameters }
    };
    let outputs = json.get("outputs").unwrap().list().iter().map(&mut output).collect();
    assert!(raw.is_empty());
    InferResponse {
        model_name: text(json.get("model_name")),
        model_version: text(json.get("model_version")),
        id: text(json.get("id")),
        parameters: parameters_of(&json),
        outputs,
    }
}

fn parameters_of(json: &Value) -> Parameters {
    parameters(json.get("parameters"))
}
