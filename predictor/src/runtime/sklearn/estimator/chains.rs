//! Chains: a model for each of several targets, each of which also sees what those before it answered.

use weir_proto::{Data, DataType, Error};

use super::super::numpy::Array;
use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::meta::scored;
use super::registry::{Class, Family};
use super::{Batch, Classifier, Labels, Method, Offer, Predictor, Regressor, Steps, Takes, Wanted};

pub(crate) static FAMILY: Family = Family {
    title: "Chains",
    classes: &[
        Class { name: "ClassifierChain", modules: &["sklearn.multioutput"], read: classifiers },
        Class { name: "RegressorChain", modules: &["sklearn.multioutput"], read: regressors },
    ],
};

/// The models in the order in which they are asked, and whose column each one's answer is.
struct Chain {
    members: Vec<Steps>,
    order: Vec<usize>,
}

impl Chain {
    fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let list = fitted.need("estimators_")?.items();
        let list = list.ok_or_else(|| fitted.malformed("has `estimators_` that are no list"))?;
        let read = |(at, view): (usize, View<'_>)| fitted.model(view, &format!("estimator {}", at + 1));
        let members: Vec<Steps> = list.enumerate().map(read).collect::<Result<_, _>>()?;
        let order = order(fitted)?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if members.is_empty() || !sorted.iter().copied().eq(0..members.len()) {
            return Err(
                fitted.malformed(format!("has an `order_` that does not order {} estimators", members.len()))
            );
        }
        let first = members[0].features().unwrap_or(0);
        let sound =
            |(at, it): (usize, &Steps)| it.features() == Some(first + at) && it.takes() == Takes::Numbers;
        if first == 0 || !members.iter().enumerate().all(sound) {
            return Err(
                fitted.malformed("has estimators that do not each take one column more than the one before")
            );
        }
        Ok(Self { members, order })
    }

    fn features(&self) -> usize {
        self.members[0].features().unwrap_or(0)
    }

    /// Asks one after the other. `ask` answers with what the next ones see and with what is answered, of each row. Returns the
    /// latter, row-major, target after target.
    fn run(
        &self,
        batch: &Batch<'_>,
        mut ask: impl FnMut(&Steps, Batch<'_>) -> Result<(Vec<f64>, Vec<f64>), Error>,
    ) -> Result<Vec<f64>, Error> {
        let (rows, width, count) = (batch.rows(), batch.width(), self.members.len());
        let matrix = batch.numbers()?;
        let mut seen: Vec<Vec<f64>> = Vec::with_capacity(count);
        let mut all = vec![0.0; rows * count];
        for (member, place) in self.members.iter().zip(&self.order) {
            let mut wide = Vec::with_capacity(rows * (width + seen.len()));
            for (at, row) in matrix.chunks_exact(width).enumerate() {
                wide.extend_from_slice(row);
                wide.extend(seen.iter().map(|column| column[at]));
            }
            let (next, answer) = ask(member, Batch::dense(wide, rows, width + seen.len()))?;
            for (row, value) in answer.into_iter().enumerate() {
                all[row * count + place] = value;
            }
            seen.push(next);
        }
        Ok(all)
    }

    fn row_ns(&self) -> f64 {
        self.members.iter().map(|it| it.row_ns() + 2.0 * self.features() as f64).sum()
    }
}

fn order(fitted: &Fitted<'_>) -> Result<Vec<usize>, Refusal> {
    let view = fitted.need("order_")?;
    let wrong = || fitted.malformed("has an `order_` that is no list of places");
    let places: Vec<i64> = match view.items() {
        Some(items) => items.map(View::int).collect::<Option<_>>().ok_or_else(wrong)?,
        None => Array::read(view).and_then(|array| array.ints()).map_err(|it| fitted.about("order_", it))?,
    };
    places.into_iter().map(|it| usize::try_from(it).map_err(|_| wrong())).collect()
}

fn regressors(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let chain = Chain::read(fitted)?;
    if !chain.members.iter().all(|it| it.regressor().is_some_and(|it| it.targets().is_none())) {
        return Err(fitted.unsupported("whose estimators are no regressors of one target", "use such"));
    }
    steps.add_regressor(fitted, Box::new(Numbers(chain)))
}

struct Numbers(Chain);

impl Regressor for Numbers {
    fn features(&self) -> usize {
        self.0.features()
    }

    fn targets(&self) -> Option<usize> {
        Some(self.0.members.len())
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        self.0.run(batch, |member, batch| {
            let values = member.regress(batch)?;
            Ok((values.clone(), values))
        })
    }

    fn row_ns(&self) -> f64 {
        self.0.row_ns()
    }
}

fn classifiers(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let chain = Chain::read(fitted)?;
    let seen = match fitted.text("chain_method_").unwrap_or("predict") {
        "predict" => Method::Predict,
        "predict_proba" => Method::PredictProba,
        "decision_function" => Method::DecisionFunction,
        other => {
            let advice = "use predict, predict_proba or decision_function";
            return Err(fitted.unsupported(format!("with chain_method `{other:.40}`"), advice));
        }
    };
    let binary = |it: &Steps| it.classifier().is_some_and(|it| it.classes().len() == 2);
    let numeric = |it: &Steps| it.classifier().is_some_and(|it| !matches!(it.classes(), Labels::Texts(_)));
    if !chain.members.iter().all(|it| binary(it) && numeric(it)) {
        return Err(fitted
            .unsupported("whose estimators do not each tell two numbers apart", "use targets of 0 and 1"));
    }
    let likely = |it: &Steps| it.classifier().is_some_and(Classifier::has_probabilities);
    let has = |method| match method {
        Method::PredictProba => chain.members.iter().all(likely),
        Method::DecisionFunction => chain.members.iter().all(scored),
        _ => true,
    };
    let methods = [Method::Predict, Method::PredictProba, Method::DecisionFunction];
    let methods: Vec<Method> = methods.into_iter().filter(|&it| has(it)).collect();
    if !methods.contains(&seen) {
        return Err(fitted.malformed("has a `chain_method_` that its estimators lack"));
    }
    steps.add_predictor(fitted, Box::new(Classes { chain, seen, methods }))
}

struct Classes {
    chain: Chain,
    /// What the next estimators see of the ones before.
    seen: Method,
    methods: Vec<Method>,
}

impl Predictor for Classes {
    fn features(&self) -> usize {
        self.chain.features()
    }

    fn offers(&self) -> Vec<Offer> {
        let width = Some(self.chain.members.len());
        let offer = |&method| Offer { method, datatype: DataType::Fp64, width, labels: Vec::new() };
        self.methods.iter().map(offer).collect()
    }

    fn predict(&self, batch: &Batch<'_>, wanted: &[Method]) -> Result<Vec<Data>, Error> {
        let one = |&method: &Method| {
            let values = self.chain.run(batch, |member, batch| {
                let needs = |other| self.seen == other || method == other;
                let parts = Wanted {
                    classes: needs(Method::Predict),
                    probabilities: needs(Method::PredictProba),
                    scores: needs(Method::DecisionFunction),
                };
                let answer = member.classify(batch, parts)?;
                let values = |method| match method {
                    Method::PredictProba => answer.probabilities.iter().skip(1).step_by(2).copied().collect(),
                    Method::DecisionFunction => answer.scores.clone(),
                    _ => {
                        let labels = member.classifier().map(|it| it.classes().take(&answer.classes));
                        labels.and_then(|it| it.to_f64()).unwrap_or_default()
                    }
                };
                Ok((values(self.seen), values(method)))
            })?;
            Ok(Data::Fp64(values.into()))
        };
        wanted.iter().map(one).collect()
    }

    fn row_ns(&self) -> f64 {
        self.chain.row_ns()
    }
}
