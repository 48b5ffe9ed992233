//! What is asked of a model, and what its outputs are made into: predictions as they are, or the forms in which TensorFlow
//! Serving and Triton tell classes.

use bytes::Bytes;
use weir_proto::v1::SIGNATURE_NAME;
use weir_proto::{Data, Error, Form, InferRequest, Method, Parameter, Signature, Tensor, TensorSpec};

/// One request's outputs.
pub(super) struct Task<'s> {
    method: Method,
    /// Indices into the signature's outputs.
    wanted: Vec<usize>,
    signature: &'s Signature,
    /// For each wanted output: of how many of its classes the names are wanted, by Triton's parameter.
    classifications: Vec<Option<usize>>,
}

/// What TensorFlow calls the signature that a request means when it names none.
const DEFAULT_SIGNATURE: &str = "serving_default";
/// The parameter of a requested output by which Triton's clients ask for the names of its highest classes.
const CLASSIFICATION: &str = "classification";

impl<'s> Task<'s> {
    /// Reads off a request what it asks for.
    ///
    /// # Errors
    /// `InvalidInput` when the model has no such output or cannot do what the method says.
    pub(super) fn of(
        form: &Form,
        signature: &'s Signature,
        request: &mut InferRequest,
        model: &str,
    ) -> Result<Self, Error> {
        let task = |wanted| Self { method: form.method, wanted, signature, classifications: Vec::new() };
        match form.method {
            Method::Predict => {
                let mut task = task(signature.wanted(request, model)?);
                if request.outputs.iter().any(|it| !it.parameters.is_empty()) {
                    for (output, &at) in request.outputs.iter().zip(&task.wanted) {
                        let spec = &signature.outputs[at];
                        let count = classification(output.parameters.get(CLASSIFICATION), spec)?;
                        task.classifications.push(count);
                    }
                }
                Ok(task)
            }
            Method::Classify if is_tensorflow(signature) => Ok(task(class_outputs(signature)?)),
            Method::Regress if is_tensorflow(signature) => Ok(task(vec![number_output(signature)?])),
            Method::Classify => {
                let at = classified(signature).ok_or_else(|| {
                    Error::invalid(format!(
                        "model `{model}` scores no classes, so it cannot classify; ask it to predict"
                    ))
                })?;
                Ok(task(vec![at]))
            }
            Method::Regress => {
                let at = regressed(signature).ok_or_else(|| {
                    Error::invalid(format!(
                        "model `{model}` does not answer one number an example, so it cannot regress; ask it to predict"
                    ))
                })?;
                Ok(task(vec![at]))
            }
        }
    }

    /// The outputs to ask the model for.
    pub(super) fn wanted(&self) -> &[usize] {
        &self.wanted
    }

    /// Makes the model's outputs into what was asked for.
    ///
    /// # Errors
    /// `Inference` when the model did not answer as its signature says.
    pub(super) fn finish(&self, outputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
        match self.method {
            Method::Predict if self.classifications.iter().all(Option::is_none) => Ok(outputs),
            Method::Predict => outputs
                .into_iter()
                .zip(&self.wanted)
                .zip(&self.classifications)
                .map(|((output, &at), count)| match count {
                    Some(count) => highest(&output, &self.signature.outputs[at], *count),
                    None => Ok(output),
                })
                .collect(),
            Method::Classify if is_tensorflow(self.signature) => self.classes(outputs),
            Method::Classify => {
                let [output] = outputs.as_slice() else { return Err(strange()) };
                let labels = &self.signature.outputs[self.wanted[0]].labels;
                let (examples, scores) = scores(output, labels.len())?;
                let names = labels.iter().map(|it| Bytes::copy_from_slice(it.as_bytes()));
                let names: Vec<Bytes> = std::iter::repeat_n(names, examples).flatten().collect();
                Ok(vec![
                    Tensor::strings("classes", [examples, labels.len()], names),
                    Tensor::new("scores", [examples, labels.len()], scores),
                ])
            }
            Method::Regress => {
                let mut outputs = outputs;
                let output = outputs.first_mut().ok_or_else(strange)?;
                "outputs".clone_into(&mut output.name);
                output.shape = vec![output.data.len()];
                Ok(outputs)
            }
        }
    }
}

impl Task<'_> {
    /// Names and scores of classes that the model itself gives, either of them or both; what it lacks is empty, or nought.
    fn classes(&self, outputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
        let (mut classes, mut scores) = (None, None);
        for (mut output, &at) in outputs.into_iter().zip(&self.wanted) {
            if let [examples] = *output.shape {
                output.shape = vec![examples, 1];
            }
            let place = if self.signature.outputs[at].name == CLASSES { &mut classes } else { &mut scores };
            *place = Some(output);
        }
        let shape = classes.as_ref().or(scores.as_ref()).map(|it| it.shape.clone()).ok_or_else(strange)?;
        let count = weir_proto::tensor::elements(&shape).ok_or_else(strange)?;
        let classes = classes.map_or_else(|| Data::Bytes(vec![Bytes::new(); count]), |it| it.data);
        let scores = scores.map_or_else(|| Data::Fp32(vec![0.0; count].into()), |it| it.data);
        if shape.len() != 2 || classes.len() != count || scores.len() != count {
            return Err(strange());
        }
        Ok(vec![Tensor::new(CLASSES, shape.clone(), classes), Tensor::new(SCORES, shape, scores)])
    }
}

/// What TensorFlow Serving calls the outputs of a classification, and of a regression.
const CLASSES: &str = "classes";
const SCORES: &str = "scores";
const OUTPUTS: &str = "outputs";

/// A signature of TensorFlow's says by its outputs' names what it is for.
fn is_tensorflow(signature: &Signature) -> bool {
    !signature.method_name.is_empty()
}

fn class_outputs(signature: &Signature) -> Result<Vec<usize>, Error> {
    let found = |name| signature.outputs.iter().position(|it| it.name == name);
    let wanted: Vec<_> = [found(CLASSES), found(SCORES)].into_iter().flatten().collect();
    if wanted.is_empty() {
        return Err(not_for(
            "classification signature outputs to contain at least one of \"classes\" or \"scores\"",
            signature,
        ));
    }
    Ok(wanted)
}

fn number_output(signature: &Signature) -> Result<usize, Error> {
    let found = signature.outputs.iter().position(|it| it.name == OUTPUTS);
    found.ok_or_else(|| not_for("regression signature outputs to contain \"outputs\"", signature))
}

fn not_for(wanted: &str, signature: &Signature) -> Error {
    let names: Vec<_> = signature.outputs.iter().map(|it| format!("`{}`", it.name)).collect();
    Error::invalid(format!(
        "Expected {wanted}. Signature was: {}; name another in `signature_name`",
        names.join(", ")
    ))
}

/// Returns which of a model's outputs tells the classes of `:classify`; none where it cannot classify.
pub(crate) fn classified(signature: &Signature) -> Option<usize> {
    signature.outputs.iter().position(|it| !it.labels.is_empty())
}

/// Returns which of a model's outputs is the number of `:regress`; none where it cannot regress.
pub(crate) fn regressed(signature: &Signature) -> Option<usize> {
    let first = signature.outputs.first()?;
    let is_number = first.labels.is_empty() && matches!(first.shape.as_slice(), [_] | [_, 1]);
    (is_number && is_float(first)).then_some(0)
}

/// Takes the name of a signature off a request; none for the default one.
pub(super) fn signature_name(request: &mut InferRequest) -> Option<String> {
    match request.parameters.take(SIGNATURE_NAME) {
        Some(Parameter::String(name)) if !matches!(&*name, "" | DEFAULT_SIGNATURE) => Some(name),
        _ => None,
    }
}

fn classification(wanted: Option<&Parameter>, spec: &TensorSpec) -> Result<Option<usize>, Error> {
    let count = match wanted {
        None => return Ok(None),
        Some(Parameter::Int(count)) => usize::try_from(*count).ok().filter(|&it| it > 0),
        Some(Parameter::Bool(_) | Parameter::Uint(_) | Parameter::Double(_) | Parameter::String(_)) => None,
    };
    let count = count.ok_or_else(|| {
        Error::invalid(format!("output `{}`: `{CLASSIFICATION}` is a number of classes from 1", spec.name))
    })?;
    if is_float(spec) && spec.shape.len() == 2 {
        return Ok(Some(count));
    }
    Err(Error::invalid(format!(
        "output `{}` scores no classes, so `{CLASSIFICATION}` has no meaning for it",
        spec.name
    )))
}

fn is_float(spec: &TensorSpec) -> bool {
    matches!(spec.datatype, weir_proto::DataType::Fp32 | weir_proto::DataType::Fp64)
}

/// Returns the examples, and their scores class by class; of two classes a model may tell the second one's alone.
fn scores(output: &Tensor, classes: usize) -> Result<(usize, Data), Error> {
    let examples = output.rows();
    if output.data.len() == examples * classes {
        return Ok((examples, output.data.clone()));
    }
    if output.data.len() != examples || classes != 2 {
        return Err(strange());
    }
    let data = match &output.data {
        Data::Fp32(it) => Data::Fp32(it.iter().flat_map(|&it| [1.0 - it, it]).collect::<Vec<_>>().into()),
        Data::Fp64(it) => Data::Fp64(it.iter().flat_map(|&it| [1.0 - it, it]).collect::<Vec<_>>().into()),
        _ => return Err(strange()),
    };
    Ok((examples, data))
}

/// Triton's form of the highest classes of each row: `score:index`, or `score:index:name`.
fn highest(output: &Tensor, spec: &TensorSpec, count: usize) -> Result<Tensor, Error> {
    let values = output.data.to_f64().ok_or_else(strange)?;
    let classes = output.row_len().max(1);
    let count = count.min(classes);
    let mut texts = Vec::with_capacity(output.rows() * count);
    for row in values.chunks(classes) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        // Stable: of equals the first class comes first.
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        for &class in order.iter().take(count) {
            let name = spec.labels.get(class).map(|it| format!(":{it}")).unwrap_or_default();
            texts.push(Bytes::from(format!("{:.6}:{class}{name}", row[class])));
        }
    }
    Ok(Tensor::strings(output.name.clone(), [values.len() / classes, count], texts))
}

fn strange() -> Error {
    Error::new(weir_proto::Code::Inference, "the model did not answer as its signature says")
}

#[cfg(test)]
mod tests {
    use weir_proto::{DataType, Parameters, RequestedOutput};

    use super::*;

    fn signature() -> Signature {
        let labels = vec!["cat".to_owned(), "dog".to_owned()];
        Signature {
            outputs: vec![
                TensorSpec::new("predict", DataType::Int64, [-1]),
                TensorSpec::new("proba", DataType::Fp64, [-1, 2]).with_labels(labels),
            ],
            default_outputs: 1,
            ..Signature::default()
        }
    }

    fn form(method: Method) -> Form {
        Form { method, ..Form::default() }
    }

    #[test]
    fn a_classification_is_labels_and_scores() {
        let signature = signature();
        let mut request = InferRequest::default();
        let task = Task::of(&form(Method::Classify), &signature, &mut request, "m").unwrap();
        assert_eq!(task.wanted(), [1]);
        let outputs = task.finish(vec![Tensor::fp64("proba", [2, 2], vec![0.75, 0.25, 0.5, 0.5])]).unwrap();
        assert_eq!(outputs[0].shape, [2, 2]);
        assert_eq!(
            outputs[0].data,
            Data::Bytes(vec!["cat".into(), "dog".into(), "cat".into(), "dog".into()])
        );
        // Of two classes a model may tell the second one's score alone.
        let outputs = task.finish(vec![Tensor::fp64("proba", [1], vec![0.25])]).unwrap();
        assert_eq!(outputs[1].data, Data::Fp64(vec![0.75, 0.25].into()));
    }

    #[test]
    fn a_classifier_does_not_regress() {
        let error = Task::of(&form(Method::Regress), &signature(), &mut InferRequest::default(), "m").err();
        assert!(error.unwrap().message.contains("cannot regress"));
    }

    #[test]
    fn tritons_parameter_asks_for_the_highest_classes() {
        let signature = signature();
        let parameters = Parameters(vec![(CLASSIFICATION.to_owned(), Parameter::Int(1))]);
        let output = RequestedOutput { name: "proba".to_owned(), parameters };
        let mut request = InferRequest { outputs: vec![output], ..InferRequest::default() };
        let task = Task::of(&Form::default(), &signature, &mut request, "m").unwrap();
        let outputs = task.finish(vec![Tensor::fp64("proba", [2, 2], vec![0.75, 0.25, 0.25, 0.75])]).unwrap();
        assert_eq!(outputs[0].shape, [2, 1]);
        assert_eq!(outputs[0].data, Data::Bytes(vec!["0.750000:0:cat".into(), "0.750000:1:dog".into()]));
    }
}
