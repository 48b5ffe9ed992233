//! Neural networks: layers of neurons, back-propagated or of radial bases.

use std::collections::HashMap;

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Context, Outcome, Scorer, Task};
use super::expression::{self, Expression};
use super::frame::Frame;
use super::plan::Loader;
use super::regression::{simplemax, softmax};
use super::value::{Kind, Value};
use super::xml::Element;

/// A network: its neurons are numbered, inputs first.
struct Network {
    inputs: Vec<Expression>,
    layers: Vec<Layer>,
    outputs: Vec<Output>,
    list: usize,
    classifies: bool,
    connections: usize,
}

struct Layer {
    neurons: Vec<Neuron>,
    activation: Activation,
    threshold: f64,
    altitude: f64,
    normalization: Normalization,
}

struct Neuron {
    bias: f64,
    width: f64,
    connections: Vec<(usize, f64)>,
}

#[derive(Debug, Clone, Copy)]
enum Activation {
    Threshold,
    Logistic,
    Tanh,
    Identity,
    Exponential,
    Reciprocal,
    Square,
    Gauss,
    Sine,
    Cosine,
    Elliott,
    Arctan,
    Rectifier,
    RadialBasis,
}

#[derive(Clone, Copy)]
enum Normalization {
    None,
    Softmax,
    Simplemax,
}

enum Output {
    Class {
        neuron: usize,
        place: usize,
    },
    /// A number, back from the scale of the network by lines between points.
    Number {
        neuron: usize,
        points: Vec<(f64, f64)>,
    },
}

const ACTIVATIONS: [(&str, Activation); 14] = [
    ("threshold", Activation::Threshold),
    ("logistic", Activation::Logistic),
    ("tanh", Activation::Tanh),
    ("identity", Activation::Identity),
    ("exponential", Activation::Exponential),
    ("reciprocal", Activation::Reciprocal),
    ("square", Activation::Square),
    ("Gauss", Activation::Gauss),
    ("sine", Activation::Sine),
    ("cosine", Activation::Cosine),
    ("Elliott", Activation::Elliott),
    ("arctan", Activation::Arctan),
    ("rectifier", Activation::Rectifier),
    ("radialBasis", Activation::RadialBasis),
];

const NORMALIZATIONS: [(&str, Normalization); 3] = [
    ("none", Normalization::None),
    ("softmax", Normalization::Softmax),
    ("simplemax", Normalization::Simplemax),
];

/// Reads a network.
pub(super) fn read(
    element: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Box<dyn Scorer>, Fault> {
    let mut ids: HashMap<&str, usize> = HashMap::new();
    let mut inputs = Vec::new();
    for input in element.needed("NeuralInputs")?.named("NeuralInput") {
        let field = input.needed("DerivedField")?;
        let made = expression::within(field, context.scope, loader, None)?;
        ids.insert(input.require("id")?, inputs.len());
        inputs.push(made.ok_or_else(|| field.malformed("has no expression that is known"))?);
    }
    let activation = element.word("activationFunction", &ACTIVATIONS)?;
    let normalization = element.word("normalizationMethod", &NORMALIZATIONS)?;
    let threshold = element.number_or("threshold", 0.0)?;
    let altitude = element.number_or("altitude", 1.0)?;
    let width: Option<f64> = element.parsed("width")?;
    let mut layers = Vec::new();
    let mut connections = 0;
    for layer in element.named("NeuralLayer") {
        let own = layer.word("activationFunction", &ACTIVATIONS)?;
        let activation = own.or(activation).ok_or_else(|| layer.malformed("has no `activationFunction`"))?;
        let width = layer.parsed("width")?.or(width).unwrap_or(1.0);
        let mut neurons = Vec::new();
        let mut names = Vec::new();
        for neuron in layer.named("Neuron") {
            names.push(neuron.require("id")?);
            let mut from = Vec::new();
            for connection in neuron.named("Con") {
                let name = connection.require("from")?;
                let at = ids.get(name);
                let at = *at.ok_or_else(|| {
                    connection.malformed(format!("comes from `{name}`, which is not before it"))
                })?;
                from.push((at, connection.number("weight")?));
            }
            connections += from.len();
            let bias = neuron.number_or("bias", 0.0)?;
            let width = neuron.number_or("width", width)?;
            neurons.push(Neuron { bias, width, connections: from });
        }
        for name in names {
            let next = ids.len();
            if ids.insert(name, next).is_some() {
                return Err(layer.malformed(format!("has a second neuron `{name}`")));
            }
        }
        layers.push(Layer {
            neurons,
            activation,
            threshold: layer.number_or("threshold", threshold)?,
            altitude: layer.number_or("altitude", altitude)?,
            normalization: layer
                .word("normalizationMethod", &NORMALIZATIONS)?
                .or(normalization)
                .unwrap_or(Normalization::None),
        });
    }
    if ids.len() != inputs.len() + layers.iter().map(|it| it.neurons.len()).sum::<usize>() {
        return Err(element.malformed("has two inputs of one `id`"));
    }
    let mut outputs = Vec::new();
    for output in element.needed("NeuralOutputs")?.named("NeuralOutput") {
        let name = output.require("outputNeuron")?;
        let neuron = *ids
            .get(name)
            .ok_or_else(|| output.malformed(format!("is of the neuron `{name}`, which is not there")))?;
        outputs.push(self::output(output, neuron, context, loader)?);
    }
    let classifies = context.target.task == Task::Classification;
    let fits = outputs.iter().all(|it| matches!(it, Output::Class { .. }) == classifies);
    if !fits || outputs.is_empty() || (!classifies && outputs.len() > 1) {
        return Err(element.malformed("has outputs that do not fit its `functionName`"));
    }
    Ok(Box::new(Network { inputs, layers, outputs, list: context.target.list, classifies, connections }))
}

fn output(
    element: Element<'_>,
    neuron: usize,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Output, Fault> {
    let field = element.needed("DerivedField")?;
    let inner = field.children().next().ok_or_else(|| field.malformed("is empty"))?;
    match inner.name() {
        "NormDiscrete" => {
            let place = context.target.class(inner.require("value")?, inner, loader)?;
            Ok(Output::Class { neuron, place })
        }
        "FieldRef" => Ok(Output::Number { neuron, points: Vec::new() }),
        "NormContinuous" => {
            let mut points = expression::points(inner)?;
            points.iter_mut().for_each(|it| *it = (it.1, it.0));
            if points.first() > points.last() {
                points.reverse();
            }
            if !points.is_sorted_by(|a, b| a.0 < b.0) {
                return Err(inner.malformed("has no inverse"));
            }
            Ok(Output::Number { neuron, points })
        }
        _ => Err(inner.unknown()),
    }
}

impl Layer {
    fn activate(&self, neuron: &Neuron, values: &[f64]) -> f64 {
        if matches!(self.activation, Activation::RadialBasis) {
            let distance: f64 =
                neuron.connections.iter().map(|(at, weight)| (values[*at] - weight).powi(2)).sum();
            let fan_in = neuron.connections.len() as f64;
            let exponent = fan_in * self.altitude.ln() - distance / (2.0 * neuron.width * neuron.width);
            return exponent.exp();
        }
        let z = neuron.connections.iter().fold(neuron.bias, |sum, (at, weight)| sum + values[*at] * weight);
        match self.activation {
            Activation::Threshold => f64::from(u8::from(z > self.threshold)),
            Activation::Logistic => 1.0 / (1.0 + (-z).exp()),
            Activation::Tanh => z.tanh(),
            Activation::Identity | Activation::RadialBasis => z,
            Activation::Exponential => z.exp(),
            Activation::Reciprocal => 1.0 / z,
            Activation::Square => z * z,
            Activation::Gauss => (-z * z).exp(),
            Activation::Sine => z.sin(),
            Activation::Cosine => z.cos(),
            Activation::Elliott => z / (1.0 + z.abs()),
            Activation::Arctan => 2.0 * z.atan() / std::f64::consts::PI,
            Activation::Rectifier => z.max(0.0),
        }
    }
}

impl Scorer for Network {
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let neurons: usize = self.layers.iter().map(|it| it.neurons.len()).sum();
        let mut values = Vec::with_capacity(self.inputs.len() + neurons);
        for input in &self.inputs {
            match input.value(frame)?.number() {
                Some(number) => values.push(number),
                None => return Ok(Outcome::of(Value::Missing)),
            }
        }
        for layer in &self.layers {
            let start = values.len();
            for neuron in &layer.neurons {
                let value = layer.activate(neuron, &values);
                values.push(value);
            }
            match layer.normalization {
                Normalization::None => {}
                Normalization::Softmax => softmax(&mut values[start..], Kind::Double),
                Normalization::Simplemax => simplemax(&mut values[start..], Kind::Double),
            }
        }
        let classes = frame.classes(self.list);
        let mut scores = vec![0.0; if self.classifies { classes.len() } else { 0 }];
        for output in &self.outputs {
            match output {
                Output::Class { neuron, place } => scores[*place] = values[*neuron],
                Output::Number { neuron, points } if points.is_empty() => {
                    return Ok(Outcome::number(values[*neuron]));
                }
                Output::Number { neuron, points } => {
                    return Ok(Outcome::number(expression::between(points, values[*neuron])));
                }
            }
        }
        Ok(Outcome::highest(scores, classes))
    }

    fn row_ns(&self) -> f64 {
        let neurons: usize = self.layers.iter().map(|it| it.neurons.len()).sum();
        50.0 + 20.0 * (self.inputs.len() + neurons) as f64 + 1.5 * self.connections as f64
    }
}
