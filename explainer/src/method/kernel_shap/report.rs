//! The explanation as JSON, in the form of Alibi's `KernelShap`, with what Alibi does not tell in `data.quality`.

use weir_proto::json::{NonFinite, push_bool, push_f64, push_i64, push_str, push_u64};
use weir_sdk::Explanation;

use super::frame::{Frame, Value};
use super::inquiry::{Effort, Explained};
use super::options::Options;

/// All that is told.
#[derive(Debug)]
pub(super) struct Report<'a> {
    /// The features.
    pub(super) names: &'a [String],
    /// How they were explained.
    pub(super) options: &'a Options,
    /// The instances.
    pub(super) frame: &'a Frame,
    /// The mean prediction of the background, on the scale of the link.
    pub(super) base: &'a [f64],
    /// An entry an instance.
    pub(super) explained: &'a [Explained],
    /// What it cost.
    pub(super) effort: Effort,
}

/// Writes it.
pub(super) fn write(report: &Report<'_>) -> Explanation {
    let mut json = Json(Vec::new());
    json.object([
        ("meta", &|json: &mut Json| meta(json, report)),
        ("data", &|json: &mut Json| data(json, report)),
    ]);
    Explanation { json: json.0.into() }
}

fn meta(json: &mut Json, report: &Report<'_>) {
    json.object([
        ("name", &|json: &mut Json| json.text("KernelShap")),
        ("type", &|json: &mut Json| json.texts(["blackbox"])),
        ("explanations", &|json: &mut Json| json.texts(["local"])),
        ("params", &|json: &mut Json| params(json, report)),
        ("version", &|json: &mut Json| json.text(env!("CARGO_PKG_VERSION"))),
    ]);
}

/// Alibi's parameters as far as they are ours, then those that are only ours. How many rows a call has is not among them: it
/// changes nothing of the explanation.
fn params(json: &mut Json, report: &Report<'_>) {
    let options = report.options;
    json.object([
        ("link", &|json: &mut Json| json.text(options.link.name())),
        ("group_names", &Json::null),
        ("grouped", &|json: &mut Json| json.boolean(false)),
        ("groups", &Json::null),
        ("weights", &Json::null),
        ("summarise_background", &|json: &mut Json| json.boolean(false)),
        ("output", &|json: &mut Json| match options.output.as_str() {
            "" => json.null(),
            name => json.text(name),
        }),
        ("classes", &|json: &mut Json| match &options.classes {
            None => json.null(),
            Some(classes) => json.texts(classes.iter().map(String::as_str)),
        }),
        ("background_rows", &|json: &mut Json| json.count(report.frame.background)),
        ("samples", &|json: &mut Json| match options.budget.samples {
            None => json.null(),
            Some(samples) => json.count(samples),
        }),
        ("exact_up_to", &|json: &mut Json| json.count(options.budget.exact_up_to)),
    ]);
}

fn data(json: &mut Json, report: &Report<'_>) {
    let phi = by_feature(report, |explained| &explained.worth.phi);
    json.object([
        ("shap_values", &|json: &mut Json| json.cube(report, &phi)),
        ("expected_value", &|json: &mut Json| json.numbers(report.base.iter().copied())),
        ("categorical_names", &|json: &mut Json| json.object([])),
        ("feature_names", &|json: &mut Json| json.texts(report.names.iter().map(String::as_str))),
        ("raw", &|json: &mut Json| raw(json, report, &phi)),
        ("quality", &|json: &mut Json| quality(json, report, &phi)),
    ]);
}

/// A number for every instance, feature and output, in that order: features that do not play have zero.
fn by_feature(report: &Report<'_>, values: impl Fn(&Explained) -> &[f64]) -> Vec<Vec<f64>> {
    let outputs = report.base.len();
    let spread = |explained: &Explained| {
        let mut all = vec![0.0; report.names.len() * outputs];
        for (&feature, values) in explained.players.iter().zip(values(explained).chunks_exact(outputs)) {
            all[feature * outputs..(feature + 1) * outputs].copy_from_slice(values);
        }
        all
    };
    report.explained.iter().map(spread).collect()
}

fn raw(json: &mut Json, report: &Report<'_>, phi: &[Vec<f64>]) {
    let explained = report.explained;
    json.object([
        ("raw_prediction", &|json: &mut Json| {
            json.list(explained, |json, it| json.numbers(it.full.iter().copied()));
        }),
        // As Alibi does: the likeliest class, and nothing where there is one value a row.
        ("prediction", &|json: &mut Json| {
            let classified = if report.base.len() > 1 { explained } else { &[] };
            json.list(classified, |json, it| json.count(largest(&it.full)));
        }),
        ("instances", &|json: &mut Json| {
            json.list(0..report.frame.instances, |json, instance| {
                json.list(0..report.frame.features(), |json, feature| {
                    json.value(report.frame.value(feature, instance));
                });
            });
        }),
        ("importances", &|json: &mut Json| importances(json, report, phi)),
    ]);
}

fn largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

/// The mean size of each feature's values over the instances, largest first: for each class, and summed over the classes.
fn importances(json: &mut Json, report: &Report<'_>, phi: &[Vec<f64>]) {
    let (outputs, features) = (report.base.len(), report.names.len());
    let mut sizes = vec![vec![0.0; features]; outputs];
    for instance in phi {
        for (at, value) in instance.iter().enumerate() {
            sizes[at % outputs][at / outputs] += value.abs() / phi.len() as f64;
        }
    }
    let aggregated: Vec<f64> =
        (0..features).map(|feature| sizes.iter().map(|sizes| sizes[feature]).sum()).collect();
    json.0.push(b'{');
    for (output, sizes) in sizes.iter().enumerate() {
        json.key(&output.to_string());
        ranking(json, report.names, sizes);
        json.0.push(b',');
    }
    json.key("aggregated");
    ranking(json, report.names, &aggregated);
    json.0.push(b'}');
}

fn ranking(json: &mut Json, names: &[String], sizes: &[f64]) {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]));
    json.object([
        ("ranked_effect", &|json: &mut Json| json.numbers(order.iter().map(|&at| sizes[at]))),
        ("names", &|json: &mut Json| json.texts(order.iter().map(|&at| names[at].as_str()))),
    ]);
}

fn quality(json: &mut Json, report: &Report<'_>, phi: &[Vec<f64>]) {
    let explained = report.explained;
    json.object([
        ("status", &|json: &mut Json| json.text("complete")),
        ("exact", &|json: &mut Json| json.boolean(explained.iter().all(|it| it.exact))),
        ("coalitions", &|json: &mut Json| json.count(explained.iter().map(|it| it.coalitions).sum())),
        ("n_rows", &|json: &mut Json| json.count(report.effort.rows)),
        ("n_calls", &|json: &mut Json| json.count(report.effort.calls)),
        ("seed", &|json: &mut Json| push_i64(&mut json.0, report.options.budget.seed.cast_signed())),
        ("stderr", &|json: &mut Json| {
            json.cube(report, &by_feature(report, |explained| &explained.worth.stderr));
        }),
        ("additivity_error", &|json: &mut Json| json.number(additivity_error(report, phi))),
    ]);
}

/// How far base and values are from adding up to the prediction, at worst.
fn additivity_error(report: &Report<'_>, phi: &[Vec<f64>]) -> f64 {
    let outputs = report.base.len();
    let mut worst: f64 = 0.0;
    for (explained, phi) in report.explained.iter().zip(phi) {
        for (output, (full, base)) in explained.full.iter().zip(report.base).enumerate() {
            let sum: f64 = phi.iter().skip(output).step_by(outputs).sum();
            worst = worst.max((base + sum - full).abs());
        }
    }
    worst
}

/// A part of the text that is written later.
type Part<'a> = &'a dyn Fn(&mut Json);

/// JSON in the making.
#[derive(Debug)]
struct Json(Vec<u8>);

impl Json {
    fn object<const N: usize>(&mut self, fields: [(&str, Part<'_>); N]) {
        self.0.push(b'{');
        for (at, (name, value)) in fields.into_iter().enumerate() {
            if at > 0 {
                self.0.push(b',');
            }
            self.key(name);
            value(self);
        }
        self.0.push(b'}');
    }

    fn key(&mut self, name: &str) {
        self.text(name);
        self.0.push(b':');
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, write: impl Fn(&mut Self, T)) {
        self.0.push(b'[');
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.0.push(b',');
            }
            write(self, item);
        }
        self.0.push(b']');
    }

    /// Writes numbers by class, instance and feature; they are given by instance, and in that by feature and class.
    fn cube(&mut self, report: &Report<'_>, values: &[Vec<f64>]) {
        let outputs = report.base.len();
        self.list(0..outputs, |json, output| {
            json.list(values, |json, instance| {
                json.numbers(instance.iter().skip(output).step_by(outputs).copied())
            });
        });
    }

    fn numbers(&mut self, values: impl IntoIterator<Item = f64>) {
        self.list(values, |json, value| json.number(value));
    }

    fn number(&mut self, value: f64) {
        push_f64(&mut self.0, value, NonFinite::Null);
    }

    fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        self.list(texts, |json, text| json.text(text));
    }

    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Integer(value) => push_i64(&mut self.0, value),
            Value::Number(value) => self.number(value),
            Value::Text(text) => self.text(&String::from_utf8_lossy(text)),
        }
    }

    fn text(&mut self, text: &str) {
        push_str(&mut self.0, text);
    }

    fn count(&mut self, value: usize) {
        push_u64(&mut self.0, value as u64);
    }

    fn boolean(&mut self, value: bool) {
        push_bool(&mut self.0, value);
    }

    fn null(&mut self) {
        self.0.extend_from_slice(b"null");
    }
}
