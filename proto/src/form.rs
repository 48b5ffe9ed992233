//! How an answer is to be written: what the request says of it. Whoever decodes the request learns it, and it travels with the
//! call to whoever encodes the answer.

use crate::generated::mesh;
use crate::oip::Fields;
use crate::{Code, Error, Parameter, Parameters, RequestedOutput};

/// How an answer is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// What is asked of the model.
    pub method: Method,
    /// V1: how the request laid out its tensors.
    pub layout: Layout,
    /// V1: numbers that are not finite are written as the tokens `NaN` and `Infinity`, not as `null`.
    pub tokens: bool,
    /// V2 over REST: outputs are wanted as raw bytes behind the JSON, unless said otherwise of one.
    pub binary: bool,
    /// V2 over REST: what is said otherwise, by output.
    pub outputs: Vec<(String, bool)>,
    /// V2 over REST: the request was nothing but the bytes of the model's one input.
    pub raw: bool,
}

/// What is asked of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// Outputs for inputs.
    #[default]
    Predict,
    /// A label and a score for each class (TensorFlow Serving's `:classify`).
    Classify,
    /// One number for each example (TensorFlow Serving's `:regress`).
    Regress,
}

/// How a V1 request lays out its tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `instances`: a list of rows. Answered by `predictions`.
    #[default]
    Rows,
    /// `inputs`, given as a list. TensorFlow Serving means the one input as a whole by it and answers `outputs`; KServe means
    /// rows by it and answers `predictions`.
    Inputs,
    /// `inputs`, given as an object with a tensor a key, or `Inputs` where TensorFlow Serving's meaning was chosen. Answered by
    /// `outputs`.
    Columns,
}

/// The parameter of a V2 request that wants every output raw.
const ALL_BINARY: &str = "binary_data_output";
/// The parameter of a requested output that wants it raw, or not.
const BINARY: &str = "binary_data";

impl Form {
    /// Takes the parameters that speak of the answer's form out of a V2 request.
    pub fn take(parameters: &mut Parameters, outputs: &mut [RequestedOutput]) -> Self {
        let mut form =
            Self { binary: take_truth(parameters, ALL_BINARY).unwrap_or(false), ..Self::default() };
        for output in outputs {
            if let Some(binary) = take_truth(&mut output.parameters, BINARY) {
                form.outputs.push((output.name.clone(), binary));
            }
        }
        form
    }

    /// Returns whether an output is wanted as raw bytes.
    pub fn is_binary(&self, output: &str) -> bool {
        self.outputs.iter().find(|(name, _)| name == output).map_or(self.binary, |(_, binary)| *binary)
    }

    /// Returns the message that travels between services; nothing for the usual form.
    pub fn to_wire(&self) -> Option<mesh::Form> {
        if *self == Self::default() {
            return None;
        }
        let method = match self.method {
            Method::Predict => mesh::Method::Predict,
            Method::Classify => mesh::Method::Classify,
            Method::Regress => mesh::Method::Regress,
        };
        let layout = match self.layout {
            Layout::Rows => mesh::Layout::Rows,
            Layout::Inputs => mesh::Layout::Inputs,
            Layout::Columns => mesh::Layout::Columns,
        };
        let outputs = self.outputs.iter();
        Some(mesh::Form {
            method: method.into(),
            layout: layout.into(),
            tokens: self.tokens,
            binary: self.binary,
            outputs: outputs
                .map(|(name, binary)| mesh::OutputForm { name: name.clone(), binary: *binary })
                .collect(),
            raw: self.raw,
        })
    }

    /// Checks the form of an encoded call between services, before anything is allocated for it: an output takes two bytes
    /// there and thirty-two here.
    ///
    /// # Errors
    /// `TooLarge`, or `InvalidInput` when the bytes are no message.
    pub fn check_call(call: &[u8]) -> Result<(), Error> {
        const FORM: u64 = 7;
        const LONGEST: usize = 1 << 20;
        let mut fields = Fields(call);
        while let Some((number, value)) = fields.next()? {
            if number == FORM && value.len() > LONGEST {
                let message =
                    format!("the form of the call has {} bytes, the limit is {LONGEST}", value.len());
                return Err(Error::new(Code::TooLarge, message));
            }
        }
        Ok(())
    }

    /// Reads what [`Form::to_wire`] wrote. What a newer service says beyond that is the usual form.
    pub fn from_wire(wire: Option<mesh::Form>) -> Self {
        let Some(wire) = wire else { return Self::default() };
        Self {
            method: match wire.method() {
                mesh::Method::Predict => Method::Predict,
                mesh::Method::Classify => Method::Classify,
                mesh::Method::Regress => Method::Regress,
            },
            layout: match wire.layout() {
                mesh::Layout::Rows => Layout::Rows,
                mesh::Layout::Inputs => Layout::Inputs,
                mesh::Layout::Columns => Layout::Columns,
            },
            tokens: wire.tokens,
            binary: wire.binary,
            outputs: wire.outputs.into_iter().map(|it| (it.name, it.binary)).collect(),
            raw: wire.raw,
        }
    }
}

fn take_truth(parameters: &mut Parameters, name: &str) -> Option<bool> {
    match parameters.take(name)? {
        Parameter::Bool(truth) => Some(truth),
        // Whatever else stands there is no wish for either.
        Parameter::Int(_) | Parameter::Uint(_) | Parameter::Double(_) | Parameter::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_comes_back_and_the_usual_one_costs_nothing() {
        assert_eq!(Form::default().to_wire(), None);
        assert_eq!(Form::from_wire(None), Form::default());
        let form = Form {
            method: Method::Classify,
            layout: Layout::Columns,
            tokens: true,
            binary: true,
            outputs: vec![("a".to_owned(), false)],
            raw: true,
        };
        assert_eq!(Form::from_wire(form.to_wire()), form);
        assert!(form.is_binary("b") && !form.is_binary("a"));
    }

    #[test]
    fn a_call_with_a_form_of_megabytes_is_refused_before_it_is_decoded() {
        let outputs = vec![mesh::OutputForm::default(); 1 << 20];
        let form = Some(mesh::Form { outputs, ..mesh::Form::default() });
        let call = mesh::Call { form, ..mesh::Call::default() };
        let error = Form::check_call(&prost::Message::encode_to_vec(&call)).unwrap_err();
        assert_eq!(error.code, Code::TooLarge);
        let usual = mesh::Call { body: vec![0; 1 << 21].into(), ..mesh::Call::default() };
        assert_eq!(Form::check_call(&prost::Message::encode_to_vec(&usual)), Ok(()));
    }

    #[test]
    fn parameters_of_the_form_are_no_parameters_of_the_model() {
        let mut parameters = Parameters(vec![
            ("k".to_owned(), Parameter::Int(1)),
            (ALL_BINARY.to_owned(), Parameter::Bool(true)),
        ]);
        let named = Parameters(vec![(BINARY.to_owned(), Parameter::Bool(false))]);
        let mut outputs = [RequestedOutput { name: "y".to_owned(), parameters: named }];
        let form = Form::take(&mut parameters, &mut outputs);
        assert!(form.binary && !form.is_binary("y"));
        assert_eq!(parameters, Parameters(vec![("k".to_owned(), Parameter::Int(1))]));
        assert!(outputs[0].parameters.is_empty());
    }
}
