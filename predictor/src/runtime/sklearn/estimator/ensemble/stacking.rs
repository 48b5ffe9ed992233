//! `StackingClassifier` and `StackingRegressor`: what models say of a row is the row of another.

use weir_proto::Error;

use super::super::super::refusal::Refusal;
use super::super::super::view::View;
use super::super::fitted::Fitted;
use super::super::meta::members;
use super::super::{Answer, Batch, Classifier, Labels, Regressor, Scores, Steps, Takes, Wanted};
use super::places;

/// The models below, and what becomes of their answers.
struct Stack {
    parts: Vec<Part>,
    /// The row itself stands behind the answers.
    passthrough: bool,
    last: Steps,
}

/// What a model says.
struct Part {
    steps: Steps,
    says: Says,
    /// How many numbers it says of a row.
    width: usize,
}

enum Says {
    /// Probabilities, of two classes the second only.
    Probabilities {
        classes: usize,
    },
    Scores,
    /// The class itself, as a number.
    Class(Vec<f64>),
    Numbers,
}

impl Part {
    fn read(fitted: &Fitted<'_>, steps: Steps, method: &str, two: bool) -> Result<Self, Refusal> {
        let wrong = || fitted.malformed(format!("has an estimator without `{method:.40}`"));
        let (says, width) = match (method, steps.classifier(), steps.regressor()) {
            ("predict_proba", Some(it), _) if it.has_probabilities() => {
                let classes = it.classes().len();
                // Those of two classes tell the same.
                let dropped = usize::from(two);
                (Says::Probabilities { classes }, classes.saturating_sub(dropped))
            }
            ("decision_function", Some(it), _) => match it.scores() {
                Some(Scores::One) => (Says::Scores, 1),
                Some(Scores::Many(count)) => (Says::Scores, count),
                None => return Err(wrong()),
            },
            ("predict", Some(it), _) => match it.classes().numbers() {
                Some(numbers) => (Says::Class(numbers), 1),
                None => {
                    let advice = "use stack_method `predict_proba`";
                    return Err(fitted.unsupported("with an estimator that answers with texts", advice));
                }
            },
            ("predict", None, Some(it)) => (Says::Numbers, it.targets().unwrap_or(1)),
            _ => return Err(wrong()),
        };
        Ok(Self { steps, says, width })
    }

    /// Writes what it says of each row, `total` numbers apart.
    fn say(&self, batch: &Batch<'_>, out: &mut [f64], from: usize, total: usize) -> Result<(), Error> {
        let mut put = |values: &[f64], step: usize| {
            for (row, values) in out.chunks_exact_mut(total).zip(values.chunks_exact(step)) {
                row[from..from + self.width].copy_from_slice(&values[step - self.width..]);
            }
        };
        let none = Wanted::default();
        match &self.says {
            Says::Probabilities { classes } => {
                let answer = self.steps.classify(batch.lend(), Wanted { probabilities: true, ..none })?;
                put(&answer.probabilities, *classes);
            }
            Says::Scores => {
                let answer = self.steps.classify(batch.lend(), Wanted { scores: true, ..none })?;
                put(&answer.scores, self.width);
            }
            Says::Class(numbers) => {
                let answer = self.steps.classify(batch.lend(), Wanted { classes: true, ..none })?;
                let said: Vec<f64> = answer.classes.iter().map(|&it| numbers[it as usize]).collect();
                put(&said, 1);
            }
            Says::Numbers => put(&self.steps.regress(batch.lend())?, self.width),
        }
        Ok(())
    }
}

impl Stack {
    fn read(fitted: &Fitted<'_>, two: bool) -> Result<Self, Refusal> {
        let members = members(fitted)?;
        let wrong = || fitted.malformed("has `stack_method_` that does not fit its estimators");
        let methods = fitted.need("stack_method_")?.items().ok_or_else(wrong)?;
        // A dropped estimator has none.
        let methods: Vec<&str> = methods.filter_map(View::text).collect();
        if methods.len() != members.len() {
            return Err(wrong());
        }
        let read = |(steps, method)| Part::read(fitted, steps, method, two);
        let parts: Vec<Part> = members.into_iter().zip(methods).map(read).collect::<Result<_, _>>()?;
        let passthrough = fitted.flag("passthrough", false)?;
        if passthrough && parts[0].steps.takes() != Takes::Numbers {
            return Err(fitted.unsupported("that passes texts through", "use passthrough=False"));
        }
        let last = fitted.model(fitted.need("final_estimator_")?, "the final estimator")?;
        let stack = Self { parts, passthrough, last };
        if stack.last.features() != Some(stack.width()) || stack.last.takes() != Takes::Numbers {
            return Err(fitted.malformed(format!(
                "has a final estimator that does not take the {} numbers of the others",
                stack.width()
            )));
        }
        Ok(stack)
    }

    fn features(&self) -> usize {
        self.parts[0].steps.features().unwrap_or(0)
    }

    fn takes(&self) -> Takes {
        self.parts[0].steps.takes()
    }

    fn width(&self) -> usize {
        let said: usize = self.parts.iter().map(|it| it.width).sum();
        said + if self.passthrough { self.features() } else { 0 }
    }

    /// Returns the rows of the last model.
    fn rows(&self, batch: &Batch<'_>) -> Result<Batch<'static>, Error> {
        let (rows, total) = (batch.rows(), self.width());
        let mut out = vec![0.0; rows * total];
        let mut from = 0;
        for part in &self.parts {
            part.say(batch, &mut out, from, total)?;
            from += part.width;
        }
        if self.passthrough {
            let matrix = batch.numbers()?;
            for (row, own) in out.chunks_exact_mut(total).zip(matrix.chunks_exact(self.features())) {
                row[from..].copy_from_slice(own);
            }
        }
        Ok(Batch::dense(out, rows, total))
    }

    fn row_ns(&self) -> f64 {
        let parts: f64 = self.parts.iter().map(|it| it.steps.row_ns()).sum();
        parts + self.last.row_ns() + self.width() as f64
    }
}

pub(super) fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let stack = Stack::read(fitted, classes.len() == 2)?;
    let places = places(fitted, &stack.last, &classes)?;
    if places.len() != classes.len() {
        return Err(
            fitted.unsupported("whose final estimator does not know every class", "fit it on more rows")
        );
    }
    steps.add_classifier(fitted, Box::new(Classification { stack, classes, places }))
}

struct Classification {
    stack: Stack,
    classes: Labels,
    /// The class that each class of the last model is.
    places: Vec<u32>,
}

impl Classifier for Classification {
    fn features(&self) -> usize {
        self.stack.features()
    }

    fn takes(&self) -> Takes {
        self.stack.takes()
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        self.stack.last.classifier().is_some_and(Classifier::has_probabilities)
    }

    fn scores(&self) -> Option<Scores> {
        self.stack.last.classifier().and_then(Classifier::scores)
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let mut answer = self.stack.last.classify(self.stack.rows(batch)?, wanted)?;
        answer.classes.iter_mut().for_each(|it| *it = self.places[*it as usize]);
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.stack.row_ns()
    }
}

pub(super) fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let stack = Stack::read(fitted, false)?;
    if stack.last.regressor().is_none() {
        return Err(fitted.malformed("has a final estimator that is no regressor"));
    }
    steps.add_regressor(fitted, Box::new(Regression { stack }))
}

struct Regression {
    stack: Stack,
}

impl Regressor for Regression {
    fn features(&self) -> usize {
        self.stack.features()
    }

    fn takes(&self) -> Takes {
        self.stack.takes()
    }

    fn targets(&self) -> Option<usize> {
        self.stack.last.regressor().and_then(Regressor::targets)
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        self.stack.last.regress(self.stack.rows(batch)?)
    }

    fn row_ns(&self) -> f64 {
        self.stack.row_ns()
    }
}
