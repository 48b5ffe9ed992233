//! The predictions of the rows that are not mixed: the background's and the instances' own.

use weir_proto::{Code, Error};

/// What is asked and answered of them so far.
#[derive(Debug)]
pub(super) struct Given {
    background: usize,
    rows: usize,
    taken: usize,
    /// How many values a prediction has; known from the first answer on.
    outputs: Option<usize>,
    values: Vec<f64>,
}

/// All of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// Of the background, `[row, output]`.
    pub(super) background: &'a [f64],
    instances: &'a [f64],
    outputs: usize,
}

impl Given {
    pub(super) fn new(background: usize, instances: usize) -> Self {
        Self { background, rows: background + instances, taken: 0, outputs: None, values: Vec::new() }
    }

    /// Takes up to `room` rows that were not asked yet: where they begin and how many they are.
    pub(super) fn take(&mut self, room: usize) -> (usize, usize) {
        let first = self.taken;
        let count = room.min(self.rows - first);
        self.taken += count;
        (first, count)
    }

    /// Checks how many values a row of an answer has.
    ///
    /// # Errors
    /// `Inference` when it is another number than before, or than there are classes.
    pub(super) fn expect(&mut self, got: usize, classes: Option<&[String]>) -> Result<(), Error> {
        let wrong = |text| Err(Error::new(Code::Inference, text));
        match (self.outputs, classes) {
            (Some(before), _) if before != got => {
                wrong(format!("the model answered {before} values a row at first, and {got} now"))
            }
            (None, Some(classes)) if classes.len() != got => wrong(format!(
                "the model answers {got} values a row, but the explainer's `classes` are {}: {}",
                classes.len(),
                classes.join(", ")
            )),
            _ => {
                self.outputs = Some(got);
                Ok(())
            }
        }
    }

    /// Takes the predictions of the next rows that were asked.
    pub(super) fn answer(&mut self, predictions: &[f64]) {
        self.values.extend_from_slice(predictions);
    }

    /// Returns the predictions once all are there.
    pub(super) fn known(&self) -> Option<Known<'_>> {
        let outputs = self.outputs?;
        let (background, instances) = self.values.split_at_checked(self.background * outputs)?;
        (self.values.len() == self.rows * outputs).then_some(Known { background, instances, outputs })
    }
}

impl<'a> Known<'a> {
    /// Returns the prediction of an instance.
    pub(super) fn instance(self, at: usize) -> &'a [f64] {
        &self.instances[at * self.outputs..(at + 1) * self.outputs]
    }

    /// Returns the mean prediction of the background.
    pub(super) fn mean(self) -> Vec<f64> {
        let mut mean = vec![0.0; self.outputs];
        for prediction in self.background.chunks_exact(self.outputs) {
            mean.iter_mut().zip(prediction).for_each(|(sum, value)| *sum += value);
        }
        let rows = (self.background.len() / self.outputs) as f64;
        mean.iter_mut().for_each(|sum| *sum /= rows);
        mean
    }
}
