//! `labels`: puts names in the place of class numbers.
//! Options: `names`, by class number; `output`, which output (the first where it is left out; every other passes as it is);
//! `argmax`, whether an output of scores a class becomes the name of the highest.

use bytes::Bytes;
use weir_proto::document::Fields;
use weir_proto::{Code, Data, Error, InferResponse, Tensor};

use super::{Stage, Step, StepKind, quoted};

const NAME: &str = "labels";

/// The kind.
#[derive(Debug)]
pub struct Kind;

impl StepKind for Kind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn build(&self, fields: &Fields<'_>) -> Option<Box<dyn Step>> {
        let output = fields.string("output").map(str::to_owned);
        let argmax = fields.boolean("argmax").unwrap_or(false);
        let names = super::names(fields, "names")?;
        let labels = names.iter().map(|name| Bytes::from(name.clone())).collect();
        Some(Box::new(Labels { names, labels, output, argmax }))
    }
}

#[derive(Debug)]
struct Labels {
    names: Vec<String>,
    /// The names as they go into tensors.
    labels: Vec<Bytes>,
    output: Option<String>,
    argmax: bool,
}

impl Step for Labels {
    fn stage(&self) -> Stage {
        Stage::Post
    }

    fn postprocess(&self, response: &mut InferResponse) -> Result<(), Error> {
        let found = match &self.output {
            None => response.outputs.first_mut(),
            Some(name) => response.outputs.iter_mut().find(|it| &it.name == name),
        };
        // An explanation asks the same chain for other outputs, and must get their numbers.
        found.map_or(Ok(()), |output| self.label(output))
    }
}

impl Labels {
    fn label(&self, output: &mut Tensor) -> Result<(), Error> {
        let one_a_row = matches!(output.shape.as_slice(), [_] | [_, 1]);
        let Some(values) = output.data.to_f64() else {
            // Names already.
            return if let Data::Bytes(_) = output.data { Ok(()) } else { self.unfit(output) };
        };
        if one_a_row && values.iter().all(|value| value.fract() == 0.0) {
            let labels = values.iter().enumerate().map(|(row, &class)| self.name_of(output, row, class));
            output.data = Data::Bytes(labels.collect::<Result<_, _>>()?);
            return Ok(());
        }
        if self.argmax && !one_a_row && output.shape.len() == 2 {
            let labels = self.highest(output, &values)?;
            output.shape.truncate(1);
            output.data = Data::Bytes(labels);
            return Ok(());
        }
        self.unfit(output)
    }

    fn name_of(&self, output: &Tensor, row: usize, class: f64) -> Result<Bytes, Error> {
        let at = if class >= 0.0 { class as usize } else { usize::MAX };
        self.labels
            .get(at)
            .cloned()
            .ok_or_else(|| self.wrong(output, &format!("holds class {class} in row {row}")))
    }

    fn highest(&self, output: &Tensor, scores: &[f64]) -> Result<Vec<Bytes>, Error> {
        let classes = output.row_len();
        if classes != self.labels.len() {
            return Err(self.wrong(output, &format!("has {classes} scores a row")));
        }
        let highest = |(row, scores): (usize, &[f64])| {
            if scores.iter().any(|score| score.is_nan()) {
                return Err(self.wrong(output, &format!("holds NaN in row {row}")));
            }
            // Of equal scores the first, as NumPy's argmax.
            let best = (1..classes).fold(0, |best, at| if scores[at] > scores[best] { at } else { best });
            Ok(self.labels[best].clone())
        };
        scores.chunks_exact(classes).enumerate().map(highest).collect()
    }

    /// What holds no class numbers passes, unless it was named: then it should.
    fn unfit(&self, output: &Tensor) -> Result<(), Error> {
        if self.output.is_none() {
            return Ok(());
        }
        let (datatype, shape) = (output.datatype(), &output.shape);
        Err(self.wrong(output, &format!("of datatype {datatype} and shape {shape:?} holds no class numbers")))
    }

    fn wrong(&self, output: &Tensor, what: &str) -> Error {
        let (count, names) = (self.names.len(), quoted(&self.names));
        Error::new(
            Code::Inference,
            format!("output `{}` {what}, step `{NAME}` has {count} names: {names}", output.name),
        )
    }
}
