//! What the module promises, one test a promise.

use std::path::Path;
use std::sync::Arc;

use weir_proto::document::parse_one;
use weir_proto::json::{Kind, Reader};
use weir_proto::{Data, DataType, InferRequest, InferResponse, Tensor};
use weir_sdk::{Explain, Next};

use super::options::Options;
use super::{KernelShap, Loaded};
use crate::background::{Background, Column};
use crate::method::{Method, MethodSpec};

/// JSON as a tree, enough to look into it.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Number(f64),
    Text(String),
    Flag(bool),
    Null,
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    fn parse(text: &[u8]) -> Self {
        let mut reader = Reader::new(text);
        let value = Self::value(&mut reader);
        reader.finish().unwrap();
        value
    }

    fn value(reader: &mut Reader<'_>) -> Self {
        match reader.peek().unwrap() {
            Kind::Number => Self::Number(reader.number().unwrap().as_f64()),
            Kind::String => Self::Text(reader.string().unwrap().into_owned()),
            Kind::Bool => Self::Flag(reader.boolean().unwrap()),
            Kind::Null => reader.null().map(|()| Self::Null).unwrap(),
            Kind::Array => {
                let mut items = Vec::new();
                reader.begin_array().unwrap();
                while reader.next_element().unwrap() {
                    items.push(Self::value(reader));
                }
                Self::List(items)
            }
            Kind::Object => {
                let mut fields = Vec::new();
                reader.begin_object().unwrap();
                while let Some(key) = reader.next_key().unwrap() {
                    fields.push((key.into_owned(), Self::value(reader)));
                }
                Self::Map(fields)
            }
        }
    }

    /// Goes down a path of keys and indices.
    fn at(&self, path: &str) -> &Self {
        path.split('.').fold(self, |json, step| match json {
            Self::Map(fields) => {
                let found = fields.iter().find(|(key, _)| key == step);
                &found.unwrap_or_else(|| panic!("no `{step}` of `{path}`")).1
            }
            Self::List(items) => &items[step.parse::<usize>().unwrap()],
            other => panic!("`{step}` of `{path}` in {other:?}"),
        })
    }

    fn list(&self) -> &[Self] {
        let Self::List(items) = self else { panic!("{self:?} is no list") };
        items
    }

    fn number(&self) -> f64 {
        let Self::Number(value) = self else { panic!("{self:?} is no number") };
        *value
    }

    fn numbers(&self) -> Vec<f64> {
        self.list().iter().map(Self::number).collect()
    }
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)).unwrap()
}

fn build(background: &[u8], config: &str) -> Result<Loaded, String> {
    let config = parse_one(config, "config").unwrap();
    let options = Options::read(Some(&config)).map_err(|error| error.message)?;
    let background = Background::parse(background, Path::new("background.csv"), options.rows).unwrap();
    options.check(&background).map_err(|error| error.message)?;
    Ok(Loaded { background: Arc::new(background), options: Arc::new(options) })
}

fn answer(outputs: Vec<Tensor>) -> InferResponse {
    InferResponse { outputs, ..InferResponse::default() }
}

/// A predictor of a function of one row of numbers, whatever form and type they come in.
fn rows_of(request: &InferRequest) -> Vec<Vec<f64>> {
    let values: Vec<Vec<f64>> = request.inputs.iter().map(|it| it.data.to_f64().unwrap()).collect();
    match request.inputs.as_slice() {
        [matrix] if matrix.shape.len() == 2 => {
            values[0].chunks(matrix.shape[1]).map(<[f64]>::to_vec).collect()
        }
        _ => (0..request.rows()).map(|row| values.iter().map(|column| column[row]).collect()).collect(),
    }
}

fn predictor<const K: usize>(f: impl Fn(&[f64]) -> [f64; K]) -> impl Fn(&InferRequest) -> InferResponse {
    move |request| {
        let rows = rows_of(request);
        let values = rows.iter().flat_map(|row| f(row)).collect();
        answer(vec![Tensor::fp64("out", [rows.len(), K], values)])
    }
}

fn run(
    method: &dyn Explain,
    request: &InferRequest,
    predict: &dyn Fn(&InferRequest) -> InferResponse,
) -> Result<String, String> {
    let mut inquiry = method.begin(request).map_err(|error| error.message)?;
    let mut given = None;
    loop {
        match inquiry.next(given.take()).map_err(|error| format!("{}: {error}", error.code.name()))? {
            Next::Ask(request) => given = Some(predict(&request)),
            Next::Done(explanation) => return Ok(String::from_utf8(explanation.json.to_vec()).unwrap()),
        }
    }
}

fn matrix(rows: &[&[f64]]) -> InferRequest {
    InferRequest::of(vec![Tensor::fp64("x", [rows.len(), rows[0].len()], rows.concat())])
}

fn explain<const K: usize>(
    background: &str,
    config: &str,
    rows: &[&[f64]],
    f: impl Fn(&[f64]) -> [f64; K],
) -> Json {
    let method = build(background.as_bytes(), config).unwrap();
    Json::parse(run(&method, &matrix(rows), &predictor(f)).unwrap().as_bytes())
}

#[track_caller]
fn assert_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{got:?} and {want:?}");
    let far = got.iter().zip(want).any(|(got, want)| (got - want).abs() > tolerance);
    assert!(!far, "{got:?}\nis not within {tolerance} of\n{want:?}");
}

/// The linear softmax model of `iris_lr`.
fn iris_model() -> impl Fn(&[f64]) -> [f64; 3] {
    let model = Json::parse(&golden("iris_lr/model.json"));
    let coef: Vec<Vec<f64>> = model.at("coef").list().iter().map(Json::numbers).collect();
    let intercept = model.at("intercept").numbers();
    move |row| {
        let mut p: [f64; 3] = std::array::from_fn(|class| {
            intercept[class] + coef[class].iter().zip(row).map(|(c, x)| c * x).sum::<f64>()
        });
        let most = p.iter().copied().fold(f64::MIN, f64::max);
        p.iter_mut().for_each(|it| *it = (*it - most).exp());
        let sum: f64 = p.iter().sum();
        p.map(|it| it / sum)
    }
}

/// The first rows of a file as one matrix.
fn instances(name: &str, rows: usize) -> InferRequest {
    let instances = Background::parse(&golden(name), Path::new(name), rows).unwrap();
    let columns: Vec<&Vec<f64>> = instances
        .columns
        .iter()
        .map(|column| match column {
            Column::Numbers(values) => values,
            Column::Text(_) => panic!("{name} is numbers"),
        })
        .collect();
    let values = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
    InferRequest::of(vec![Tensor::fp64("input-0", [rows, columns.len()], values)])
}

fn check_iris(config: &str, golden_name: &str) {
    let want = Json::parse(&golden(golden_name));
    let atol = want.at("atol").number();
    let method = build(&golden("iris_lr/train.csv"), config).unwrap();
    let request = instances("iris_lr/instances.csv", 10);
    let json = Json::parse(run(&method, &request, &predictor(iris_model())).unwrap().as_bytes());
    assert_close(&json.at("data.expected_value").numbers(), &want.at("base").numbers(), atol);
    let got = json.at("data.shap_values");
    for (instance, features) in want.at("shap_values").list().iter().enumerate() {
        for (feature, classes) in features.list().iter().enumerate() {
            let got: Vec<f64> =
                (0..3).map(|it| got.at(&format!("{it}.{instance}.{feature}")).number()).collect();
            assert_close(&got, &classes.numbers(), atol);
        }
    }
    assert_eq!(json.at("data.quality.exact"), &Json::Flag(true));
    assert!(json.at("data.quality.additivity_error").number() < 1e-9);
}

#[test]
fn a_softmax_model_is_explained_as_brute_force_explains_it() {
    check_iris("{rows: 50}", "iris_lr/shapley_exact.json");
}

#[test]
fn log_odds_are_those_of_the_reference() {
    check_iris("{rows: 50, link: logit}", "iris_lr/kernelshap_logit.json");
}

/// The margin of `breast_cancer_xgb`, but for a constant, of which Shapley values know nothing.
fn tree_model() -> impl Fn(&[f64]) -> [f64; 1] {
    let model = Json::parse(&golden("breast_cancer_xgb/model.xgb.json"));
    let trees = model.at("learner.gradient_booster.model.trees").list();
    let keys = ["left_children", "right_children", "split_indices", "split_conditions"];
    let trees: Vec<_> = trees.iter().map(|tree| keys.map(|key| tree.at(key).numbers())).collect();
    move |row| {
        let leaf = |[left, right, feature, condition]: &[Vec<f64>; 4]| {
            let mut at = 0;
            while left[at] >= 0.0 {
                let goes_left = (row[feature[at] as usize] as f32) < condition[at] as f32;
                at = if goes_left { left[at] } else { right[at] } as usize;
            }
            condition[at]
        };
        [trees.iter().map(leaf).sum()]
    }
}

#[test]
fn a_sample_of_a_tree_model_is_no_further_off_than_the_references_sampler() {
    let values = Json::parse(&golden("breast_cancer_xgb/treeshap_interventional.json"));
    let quality = Json::parse(&golden("breast_cancer_xgb/kernelshap_quality.json"));
    let method = build(&golden("breast_cancer_xgb/background.csv"), "{samples: 256}").unwrap();
    let request = instances("breast_cancer_xgb/instances.csv", 5);
    let json = Json::parse(run(&method, &request, &predictor(tree_model())).unwrap().as_bytes());
    let of = |json: &Json| json.list()[..5].iter().flat_map(Json::numbers).collect::<Vec<_>>();
    let (got, want) = (of(json.at("data.shap_values.0")), of(values.at("shap_values")));
    let squares: f64 = got.iter().zip(&want).map(|(got, want)| (got - want).powi(2)).sum();
    let rmse = (squares / want.len() as f64).sqrt();
    let reference = quality.at("budgets.256.rmse_mean").number();
    assert!(rmse <= reference, "{rmse} is above {reference}");
}

type Play = fn(&[f64]) -> f64;

const GAMES: [(&str, Play); 5] = [
    ("sum", |z| z.iter().sum()),
    ("product01_plus_2", |z| z[0] * z[1] + z[2]),
    ("product012", |z| z[0] * z[1] * z[2]),
    ("max01", |z| z[0].max(z[1])),
    ("and3", |z| f64::from(u8::from(z[..3].iter().all(|&it| it > 0.0)))),
];

/// The games hold symmetry, dummies and additivity in closed form.
#[test]
fn games_come_out_in_closed_form_exactly_and_closely_when_sampled() {
    let games = Json::parse(&golden("analytic/games.json"));
    for (name, play) in GAMES {
        let (x, phi) = (games.at(name).at("x").numbers(), games.at(name).at("phi").numbers());
        let exact = explain("a,b,c,d,e\n0,0,0,0,0\n", "{}", &[&x], |z| [play(z)]);
        assert_close(&exact.at("data.shap_values.0.0").numbers(), &phi, 1e-9);
        let sampled =
            explain("a,b,c,d,e\n0,0,0,0,0\n", "{exact_up_to: 0, samples: 20}", &[&x], |z| [play(z)]);
        // Two of `max01`'s players are like the background, and the coalitions of the other three fit the budget.
        let whole = name == "max01";
        assert_eq!(sampled.at("data.quality.exact"), &Json::Flag(whole));
        assert_eq!(sampled.at("data.quality.coalitions").number(), if whole { 6.0 } else { 20.0 });
        let got = sampled.at("data.shap_values.0.0").numbers();
        // Pairs cancel what is of second order, so only the games of three players come out with an error.
        let three = matches!(name, "product012" | "and3");
        for (at, stderr) in sampled.at("data.quality.stderr.0.0").numbers().into_iter().enumerate() {
            assert_close(&got[at..=at], &phi[at..=at], if three { 3.0 * stderr } else { 1e-9 });
        }
        let difference = play(&x) - play(&[0.0; 5]);
        assert!((got.iter().sum::<f64>() - difference).abs() < 1e-9, "{name} does not add up");
    }
}

/// Numbers that look random and are the same every time.
fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64 * 4.0 - 2.0
    })
    .take(count)
    .collect()
}

fn csv(columns: usize, values: &[f64]) -> String {
    let header: Vec<_> = (0..columns).map(|at| format!("f{at}")).collect();
    let line = |row: &[f64]| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    let lines = std::iter::once(header.join(",")).chain(values.chunks(columns).map(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_sampled_linear_model_is_its_coefficients_times_the_distance_from_the_mean() {
    let (background, x, coef) = (noise(1, 30 * 20), noise(2, 20), noise(3, 20));
    let f = |row: &[f64]| [row.iter().zip(&coef).map(|(x, c)| x * c).sum(), 7.0];
    let json = explain(&csv(20, &background), "{samples: 600}", &[&x], f);
    let mean = |at: usize| background.iter().skip(at).step_by(20).sum::<f64>() / 30.0;
    let want: Vec<f64> = (0..20).map(|at| coef[at] * (x[at] - mean(at))).collect();
    assert_close(&json.at("data.shap_values.0.0").numbers(), &want, 1e-6);
    assert_close(&json.at("data.shap_values.1.0").numbers(), &[0.0; 20], 1e-9);
    assert_close(&json.at("data.quality.stderr.0.0").numbers(), &[0.0; 20], 1e-9);
}

/// A model with interactions of three features, where sampling has an error.
fn tangled(row: &[f64]) -> [f64; 1] {
    [row.windows(3).map(|w| (w[0] * w[1] * w[2]).tanh() + (w[0] * w[1]).sin() + w[2]).sum()]
}

#[test]
fn standard_errors_tell_the_error_of_a_sample() {
    let (background, x) = (noise(4, 10 * 13), noise(5, 13));
    let explain = |config: &str| {
        let json = explain(&csv(13, &background), config, &[&x], tangled);
        let of = |path: &str| json.at(path).numbers();
        (of("data.shap_values.0.0"), of("data.quality.stderr.0.0"))
    };
    let (exact, none) = explain("{exact_up_to: 13}");
    assert_eq!(none, [0.0; 13]);
    let (mut within, mut all) = (0, 0);
    for seed in 0..20 {
        let (phi, stderr) = explain(&format!("{{exact_up_to: 0, samples: 300, seed: {seed}}}"));
        let drawn = phi.iter().zip(&exact).zip(&stderr);
        within += drawn.filter(|((got, want), error)| (*got - *want).abs() <= 2.0 * **error).count();
        all += phi.len();
    }
    let share = f64::from(within as u32) / f64::from(all as u32);
    // Two standard errors hold 95 % of a normal distribution; these are estimates from a hundred pairs.
    assert!((0.88..=0.995).contains(&share), "{share} of the estimates are within two standard errors");
}

#[test]
fn the_same_question_has_the_same_answer_byte_for_byte() {
    let (background, x, other) = (noise(6, 10 * 15), noise(7, 15), noise(8, 15));
    let explain = |config: &str, rows: &[&[f64]]| {
        let method = build(csv(15, &background).as_bytes(), config).unwrap();
        run(&method, &matrix(rows), &predictor(tangled)).unwrap()
    };
    let whole = explain("{samples: 200}", &[&x, &other]);
    assert_eq!(whole, explain("{samples: 200}", &[&x, &other]));
    let split = explain("{samples: 200, rows_per_call: 7}", &[&x, &other]);
    assert_ne!(whole, split);
    let calls = |text: &str| Json::parse(text.as_bytes()).at("data.quality.n_calls").number();
    assert_eq!(calls(&whole), 1.0);
    let without_calls = |text: &str| text.replace(&format!("\"n_calls\":{}", calls(text)), "");
    assert_eq!(without_calls(&whole), without_calls(&split));
    // An instance is explained the same whatever stands beside it, and otherwise under another seed.
    let phi = |text: &str, at: usize| {
        Json::parse(text.as_bytes()).at(&format!("data.shap_values.0.{at}")).numbers()
    };
    let alone = explain("{samples: 200}", &[&other]);
    assert_eq!(phi(&alone, 0), phi(&whole, 1));
    assert_ne!(phi(&explain("{samples: 200, seed: 1}", &[&other]), 0), phi(&alone, 0));
}

#[test]
fn features_like_the_background_have_exactly_nothing() {
    let json = explain("a,b,c\n1,5,0\n2,5,0\n", "{}", &[&[3.0, 5.0, 4.0]], |row| [row.iter().product()]);
    assert_eq!(json.at("data.shap_values.0.0.1").number().to_bits(), 0.0_f64.to_bits());
    let json = explain("a,b\n1,5\n", "{}", &[&[1.0, 5.0]], |row| [row[0] - row[1]]);
    assert_eq!(json.at("data.shap_values.0.0").numbers(), [0.0, 0.0]);
    assert_eq!(json.at("data.quality.n_rows").number(), 2.0);
    let json = explain("a\n1\n3\n", "{}", &[&[4.0], &[2.0]], |row| [row[0] * 10.0]);
    assert_eq!(
        json.at("data.shap_values.0").list(),
        [[20.0], [0.0]].map(|it| Json::List(it.map(Json::Number).into()))
    );
}

fn text_column(name: &str, values: &[&'static str]) -> Tensor {
    Tensor::strings(name, [values.len()], values.iter().map(|&it| it.into()).collect())
}

#[test]
fn columns_with_categories_are_asked_in_the_form_they_came_in() {
    let background = b"island,mass,male,year\nBiscoe,3000,0,2007.5\nDream,4000,1,2008\nBiscoe,3000,1,2008\n";
    let method = build(background, "{output: score}").unwrap();
    let request = InferRequest::of(vec![
        Tensor::new("male", [2, 1], Data::Bool(vec![1, 1].into())),
        Tensor::new("mass", [2], Data::Int64(vec![5000, 3000].into())),
        text_column("island", &["Torgersen", "Biscoe"]),
        Tensor::new("year", [2], Data::Int32(vec![2007, 2008].into())),
    ]);
    let json = run(&method, &request, &|asked| {
        let form: Vec<_> = asked.inputs.iter().map(|it| (it.name.as_str(), it.datatype())).collect();
        // A type that cannot hold the background's values becomes FP64.
        let want = [DataType::Bool, DataType::Int64, DataType::Bytes, DataType::Fp64];
        assert_eq!(form, ["male", "mass", "island", "year"].into_iter().zip(want).collect::<Vec<_>>());
        assert_eq!(asked.outputs[0].name, "score");
        assert_eq!(asked.inputs[0].shape, [asked.rows(), 1]);
        let Data::Bytes(island) = &asked.inputs[2].data else { panic!("island is text") };
        let mass = asked.inputs[1].data.to_f64().unwrap();
        let score = island
            .iter()
            .zip(mass)
            .map(|(island, mass)| mass + if island == "Torgersen" { 100.0 } else { 0.0 });
        let ignored = Tensor::fp64("other", [asked.rows()], vec![0.0; asked.rows()]);
        answer(vec![ignored, Tensor::fp64("score", [asked.rows()], score.collect())])
    });
    let json = Json::parse(json.unwrap().as_bytes());
    let third = 10_000.0 / 3.0;
    assert_close(&json.at("data.expected_value").numbers(), &[third], 1e-9);
    assert_close(&json.at("data.shap_values.0.0").numbers(), &[100.0, 5000.0 - third, 0.0, 0.0], 1e-9);
    assert_close(&json.at("data.shap_values.0.1").numbers(), &[0.0, 3000.0 - third, 0.0, 0.0], 1e-9);
    let text = |it: &str| Json::Text(it.to_owned());
    let first = [text("Torgersen"), Json::Number(5000.0), Json::Number(1.0), Json::Number(2007.0)];
    assert_eq!(json.at("data.raw.instances.0").list(), first);
    // 5 given rows; a mixed row that is like another, or like a given one, is asked once.
    assert!(json.at("data.quality.n_rows").number() < 5.0 + 2.0 * 14.0 * 3.0 / 2.0);
}

#[test]
fn a_matrix_of_integers_or_singles_stays_one() {
    let asked_as = |data: Data, background: &str| {
        let method = build(background.as_bytes(), "{}").unwrap();
        let request = InferRequest::of(vec![Tensor::new("x", [1, 2], data)]);
        let mut asked = Vec::new();
        let inquiry = method.begin(&request).unwrap().next(None).unwrap();
        if let Next::Ask(request) = inquiry {
            asked = request.inputs;
        }
        asked[0].datatype()
    };
    let (whole, fraction) = ("a,b\n1,2\n", "a,b\n1,2.5\n");
    assert_eq!(asked_as(Data::Int32(vec![3, 4].into()), whole), DataType::Int32);
    assert_eq!(asked_as(Data::Int32(vec![3, 4].into()), fraction), DataType::Fp64);
    assert_eq!(asked_as(Data::Uint8(vec![3, 4].into()), "a,b\n1,256\n"), DataType::Fp64);
    assert_eq!(asked_as(Data::Fp32(vec![3.0, 4.0].into()), fraction), DataType::Fp32);
}

#[test]
fn the_json_has_alibis_keys() {
    let f = |row: &[f64]| [row[0] / 10.0, 1.0 - row[0] / 10.0];
    let json = explain("a,b\n1,2\n3,4\n", "{classes: [no, yes], seed: 5}", &[&[4.0, 9.0], &[6.0, 9.0]], f);
    assert_eq!(json.at("meta.name"), &Json::Text("KernelShap".to_owned()));
    assert_eq!(json.at("meta.params.classes").list().len(), 2);
    assert_eq!(json.at("data.raw.prediction").numbers(), [1.0, 0.0]);
    assert_eq!(json.at("data.raw.raw_prediction.0").numbers(), [0.4, 0.6]);
    assert_eq!(json.at("data.raw.instances.1").numbers(), [6.0, 9.0]);
    assert_close(&json.at("data.raw.importances.1.ranked_effect").numbers(), &[0.3, 0.0], 1e-12);
    assert_close(&json.at("data.raw.importances.aggregated.ranked_effect").numbers(), &[0.6, 0.0], 1e-12);
    assert_eq!(json.at("data.raw.importances.aggregated.names.0"), &Json::Text("a".to_owned()));
    assert_eq!(json.at("data.categorical_names"), &Json::Map(vec![]));
    assert_eq!(json.at("data.quality.seed").number(), 5.0);
}

#[test]
fn requests_that_do_not_fit_the_background_are_told_what_would() {
    let background = b"island,mass\nBiscoe,3000\nDream,4000\n";
    let check = |inputs: Vec<Tensor>, background: &[u8], want: &str| {
        let method = build(background, "{}").unwrap();
        let text = method.begin(&InferRequest::of(inputs)).map(|_| ()).unwrap_err().message;
        assert_eq!(text, want);
    };
    let numbers = |shape: [usize; 2]| vec![Tensor::fp64("x", shape, vec![0.0; shape[0] * shape[1]])];
    let want = "the input has 3 features a row, the background has 2: `island`, `mass`";
    check(numbers([1, 3]), background, want);
    let want = "feature `island` is text in the background, but the rows are plain numbers; send each row as an object with \
                its features' names";
    check(numbers([1, 2]), background, want);
    let mass = || Tensor::fp64("mass", [1], vec![1.0]);
    let want = "the features of the rows are `mass`, `year`, those of the background are `island`, `mass`";
    check(vec![mass(), Tensor::fp64("year", [1], vec![1.0])], background, want);
    let want = "feature `island` is text in the background, such as `Biscoe`, but the request has FP64";
    check(vec![mass(), Tensor::fp64("island", [1], vec![1.0])], background, want);
    let want = "feature `mass` is a number in the background, but the request has text, such as `big`";
    check(vec![text_column("island", &["Dream"]), text_column("mass", &["big"])], background, want);
    check(numbers([0, 2]), b"a,b\n1,2\n", "the request has no rows to explain; send at least one");
    check(vec![], background, "the request has no input to explain");
    let texts = Tensor::strings("x", [1, 2], vec!["0".into(), "0".into()]);
    let want = "the input has datatype BYTES, expected numbers of FP32, FP64, BOOL or an integer type";
    check(vec![texts], b"a,b\n1,2\n", want);
}

#[test]
fn answers_that_cannot_be_explained_are_told_why() {
    let check = |config: &str, outputs: fn(usize) -> Vec<Tensor>, want: &str| {
        let method = build(b"a,b\n1,2\n", config).unwrap();
        let request = matrix(&[&[3.0, 4.0]]);
        assert_eq!(run(&method, &request, &|asked| answer(outputs(asked.rows()))).unwrap_err(), want);
    };
    check(
        "{}",
        |rows| {
            vec![
                Tensor::strings("predict", [rows], vec!["setosa".into(); rows]),
                Tensor::fp64("predict_proba", [rows, 2], vec![0.5; rows * 2]),
            ]
        },
        "inference: output `predict` has datatype BYTES, only numbers can be explained; set the explainer's `output` to \
         `predict_proba`",
    );
    check(
        "{output: proba}",
        |_| vec![],
        "inference: the model's answer has no output `proba`; its outputs are none",
    );
    check(
        "{}",
        |rows| vec![Tensor::fp64("y", [rows], vec![f64::NAN; rows])],
        "inference: output `y` holds NaN in row 0, which cannot be explained",
    );
    check(
        "{}",
        |rows| vec![Tensor::fp64("y", [rows + 1], vec![0.0; rows + 1])],
        "inference: output `y` has shape [5], expected [4] or [4, classes] for the 4 rows asked",
    );
    check(
        "{classes: [no, yes]}",
        |rows| vec![Tensor::fp64("y", [rows], vec![0.0; rows])],
        "inference: the model answers 1 values a row, but the explainer's `classes` are 2: no, yes",
    );
    check(
        "{link: logit}",
        |rows| vec![Tensor::fp64("y", [rows], vec![3.0; rows])],
        "inference: `link: logit` needs probabilities between 0 and 1, the model answered 3; name an `output` that holds \
         probabilities, or use `link: identity`",
    );
}

#[test]
fn options_are_checked_and_unknown_ones_are_errors() {
    let check = |config: &str, want: &str| assert_eq!(build(b"a,b\n1,2\n3,4\n", config).unwrap_err(), want);
    check("{sampels: 5}", "kernel_shap config:1:2: error: sampels: unknown field; did you mean `samples`?");
    check("{link: log}", "kernel_shap config:1:8: error: link: got `log`, expected `identity` or `logit`");
    check("{rows: 0}", "kernel_shap config:1:8: error: rows: got 0, expected 1 to 100000");
    let want = "kernel_shap config:1:8: error: data: got `../secret.csv`, expected a file inside the explainer's folder";
    check("{data: ../secret.csv}", want);
    let wide = csv(40, &noise(9, 40 * 100));
    let text = build(wide.as_bytes(), "{samples: 500000}").unwrap_err();
    let want = "kernel_shap config: 500000 coalitions of 40 features and 100 background rows make 50000000 rows an instance, \
                the limit is 8388608; lower `rows`, `samples` or `exact_up_to`";
    assert_eq!(text, want);
    let text = KernelShap.build(&MethodSpec::default()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        text,
        "kernel_shap needs a folder that holds `background.csv`; set the explainer's `storageUri`"
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/iris_lr");
    let config = parse_one("{data: train.csv}", "config").unwrap();
    assert!(KernelShap.build(&MethodSpec { folder: Some(folder), config: Some(config) }).is_ok());
}
