//! Multi-layer perceptrons.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::weights::{logistic, softmax};
use super::{
    Answer, Batch, Classifier, Labels, Missing, Regressor, Steps, Wanted, argmax, check_finite, dot,
};

pub(crate) static FAMILY: Family = Family {
    title: "Neural networks",
    classes: &[
        Class {
            name: "MLPClassifier",
            modules: &[
                "sklearn.neural_network._multilayer_perceptron",
                "sklearn.neural_network.multilayer_perceptron",
            ],
            read: classifier,
        },
        Class {
            name: "MLPRegressor",
            modules: &[
                "sklearn.neural_network._multilayer_perceptron",
                "sklearn.neural_network.multilayer_perceptron",
            ],
            read: regressor,
        },
    ],
};

fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let binarizer = fitted.part("_label_binarizer")?;
    if let Some(kind) = binarizer.text("y_type_").filter(|it| it.starts_with("multilabel")) {
        return Err(fitted
            .unsupported(format!("fitted on targets that are {kind}"), "save one model for each output"));
    }
    let classes = Labels::read(&binarizer)?;
    let network = Network::read(fitted)?;
    let expected =
        if classes.len() == 2 { (1, Activation::Logistic) } else { (classes.len(), Activation::Softmax) };
    if (network.width(), network.out) != expected {
        return Err(fitted.malformed(format!(
            "has {} outputs for {} classes",
            network.width(),
            classes.len()
        )));
    }
    steps.add_classifier(fitted, Box::new(NetworkClassifier { classes, network }))
}

fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let network = Network::read(fitted)?;
    if network.out == Activation::Softmax {
        return Err(fitted.malformed("ends in a softmax"));
    }
    steps.add_regressor(fitted, Box::new(network))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Identity,
    Logistic,
    Tanh,
    Relu,
    /// At the end only.
    Softmax,
    /// At the end only: the link of the Poisson loss, since 1.7.
    Exponential,
}

impl Activation {
    fn read(fitted: &Fitted<'_>, name: &str) -> Result<Self, Refusal> {
        match fitted.text(name) {
            Some("identity") => Ok(Self::Identity),
            Some("logistic") => Ok(Self::Logistic),
            Some("tanh") => Ok(Self::Tanh),
            Some("relu") => Ok(Self::Relu),
            Some("softmax") => Ok(Self::Softmax),
            Some("exp") => Ok(Self::Exponential),
            other => Err(fitted.malformed(format!("has `{name}` {other:?}"))),
        }
    }

    fn apply(self, values: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::Logistic => values.iter_mut().for_each(|it| *it = logistic(*it)),
            Self::Tanh => values.iter_mut().for_each(|it| *it = it.tanh()),
            Self::Relu => values.iter_mut().for_each(|it| *it = it.max(0.0)),
            Self::Softmax => softmax(values),
            Self::Exponential => values.iter_mut().for_each(|it| *it = it.exp()),
        }
    }
}

struct Layer {
    inputs: usize,
    /// Row-major, `[outputs, inputs]`.
    weights: Vec<f64>,
    biases: Vec<f64>,
}

struct Network {
    layers: Vec<Layer>,
    hidden: Activation,
    out: Activation,
}

impl Network {
    fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let list = |name: &str| {
            let view = fitted.need(name)?;
            view.items().ok_or_else(|| fitted.malformed(format!("has {} for `{name}`", view.kind())))
        };
        let (weights, biases) = (list("coefs_")?, list("intercepts_")?);
        if weights.len() != biases.len() || weights.len() == 0 {
            return Err(fitted.malformed(format!(
                "has {} layers and {} of biases",
                weights.len(),
                biases.len()
            )));
        }
        let mut layers: Vec<Layer> = Vec::with_capacity(weights.len());
        for (weights, biases) in weights.zip(biases) {
            let (matrix, [inputs, outputs]) = fitted.matrix_of("coefs_", weights)?;
            let biases = fitted.floats_of("intercepts_", biases)?;
            let before = layers.last().map_or(inputs, |it| it.biases.len());
            if biases.len() != outputs || before != inputs || inputs == 0 || outputs == 0 {
                return Err(fitted.malformed("has layers that do not fit each other"));
            }
            let turned = (0..outputs)
                .flat_map(|to| (0..inputs).map(move |from| from * outputs + to))
                .map(|at| matrix[at]);
            layers.push(Layer { inputs, weights: turned.collect(), biases });
        }
        let hidden = Activation::read(fitted, "activation")?;
        if matches!(hidden, Activation::Softmax | Activation::Exponential) {
            return Err(fitted.malformed("has between its layers what belongs at its end"));
        }
        Ok(Self { layers, hidden, out: Activation::read(fitted, "out_activation_")? })
    }

    fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |it| it.inputs)
    }

    fn width(&self) -> usize {
        self.layers.last().map_or(0, |it| it.biases.len())
    }

    /// Runs whole rows through the layers.
    fn run(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.inputs(), Missing::Refused, f64::MAX)?;
        let mut out = Vec::with_capacity(batch.rows() * self.width());
        let (mut now, mut next) = (Vec::new(), Vec::new());
        for row in matrix.chunks_exact(self.inputs()) {
            now.clear();
            now.extend_from_slice(row);
            for (at, layer) in self.layers.iter().enumerate() {
                next.clear();
                let rows = layer.weights.chunks_exact(layer.inputs).zip(&layer.biases);
                next.extend(rows.map(|(weights, bias)| dot(&now, weights) + bias));
                let last = at + 1 == self.layers.len();
                if last { self.out } else { self.hidden }.apply(&mut next);
                std::mem::swap(&mut now, &mut next);
            }
            out.extend_from_slice(&now);
        }
        Ok(out)
    }

    fn ns(&self) -> f64 {
        let cost = |it: &Layer| 0.3 * it.weights.len() as f64 + 10.0 * it.biases.len() as f64;
        self.layers.iter().map(cost).sum()
    }
}

impl Regressor for Network {
    fn features(&self) -> usize {
        self.inputs()
    }

    fn targets(&self) -> Option<usize> {
        (self.width() > 1).then(|| self.width())
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        self.run(batch)
    }

    fn row_ns(&self) -> f64 {
        self.ns()
    }
}

struct NetworkClassifier {
    classes: Labels,
    network: Network,
}

impl Classifier for NetworkClassifier {
    fn features(&self) -> usize {
        self.network.inputs()
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let out = self.network.run(batch)?;
        let mut answer = Answer::default();
        if wanted.classes {
            let class = |row: &[f64]| match row {
                [second] => u32::from(*second > 0.5),
                many => argmax(many) as u32,
            };
            answer.classes = out.chunks_exact(self.network.width()).map(class).collect();
        }
        if wanted.probabilities {
            answer.probabilities = match self.network.width() {
                1 => out.iter().flat_map(|&second| [1.0 - second, second]).collect(),
                _ => out,
            };
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.network.ns()
    }
}
