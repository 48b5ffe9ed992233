//! The one request and the one answer that every protocol becomes, once, on the way in, and is made of, once, on the way out.

use crate::Tensor;

/// A parameter of the protocol: a scalar.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Parameter {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
}

/// Named parameters, in the order they were met. There are few, so a list beats a map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters(pub Vec<(String, Parameter)>);

impl Parameters {
    /// Returns the parameter of that name: the last, as in every map that such a list may become on its way.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.iter().rfind(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Takes the parameter of that name out.
    pub fn take(&mut self, name: &str) -> Option<Parameter> {
        let at = self.0.iter().rposition(|(key, _)| key == name)?;
        let (_, value) = self.0.remove(at);
        self.0.retain(|(key, _)| key != name);
        Some(value)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An output the caller asks for by name.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedOutput {
    /// The output's name in the model's signature.
    pub name: String,
    /// Parameters of the protocol.
    pub parameters: Parameters,
}

/// What a model is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InferRequest {
    /// The caller's id, to be echoed; empty when there is none.
    pub id: String,
    /// Parameters of the request.
    pub parameters: Parameters,
    /// The inputs. Row-form V1 bodies give one unnamed tensor, or one tensor a column when the rows are objects.
    pub inputs: Vec<Tensor>,
    /// The outputs wanted; empty for the model's default.
    pub outputs: Vec<RequestedOutput>,
}

impl InferRequest {
    /// Creates a request of those inputs.
    pub fn of(inputs: Vec<Tensor>) -> Self {
        Self { inputs, ..Self::default() }
    }

    /// Returns the rows of the batch, by its first input.
    pub fn rows(&self) -> usize {
        self.inputs.first().map_or(0, Tensor::rows)
    }
}

/// What a model answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InferResponse {
    /// The model that answered.
    pub model_name: String,
    /// Its version; empty when it has none.
    pub model_version: String,
    /// The request's id, or a new one.
    pub id: String,
    /// Parameters of the answer.
    pub parameters: Parameters,
    /// The outputs, in the order they were asked for.
    pub outputs: Vec<Tensor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_equal_names_counts_and_taking_it_takes_all() {
        let pair = |name: &str, value| (name.to_owned(), Parameter::Int(value));
        let mut parameters = Parameters(vec![pair("a", 1), pair("b", 2), pair("a", 3)]);
        assert_eq!(parameters.get("a"), Some(&Parameter::Int(3)));
        assert_eq!(parameters.take("a"), Some(Parameter::Int(3)));
        assert_eq!(parameters, Parameters(vec![pair("b", 2)]));
    }
}
