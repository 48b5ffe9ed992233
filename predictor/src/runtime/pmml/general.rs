//! General regression models: parameters, each a product of factors and covariates, under a link function.

use std::collections::HashMap;

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Context, Outcome, Scorer, Task};
use super::frame::Frame;
use super::link::Link;
use super::plan::Loader;
use super::regression::softmax;
use super::value::{Kind, Value};
use super::xml::Element;

/// A general regression model.
struct General {
    parameters: Vec<Vec<Factor>>,
    /// The coefficients of each class; of the number, or of all classes, where there is none.
    rows: Vec<Row>,
    form: Form,
    offset: Offset,
    trials: f64,
    list: usize,
}

/// A class, and its coefficients by their parameters.
type Row = (Option<usize>, Vec<(usize, f64)>);

enum Factor {
    Covariate {
        slot: usize,
        exponent: f64,
    },
    /// 1 where the field has the value.
    Level {
        slot: usize,
        value: Value,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Number(Link),
    /// The link tells the share of one class; the other has the rest.
    Binary(Link),
    Multinomial,
    /// The link tells the share of a class and of those before it.
    Ordinal(Link),
}

enum Offset {
    Constant(f64),
    Field(usize),
}

/// Reads a general regression model.
pub(super) fn read(
    element: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Box<dyn Scorer>, Fault> {
    let form = form(element, context)?;
    let (parameters, names) = parameters(element, context, loader)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut places = HashMap::new();
    for cell in element.needed("ParamMatrix")?.named("PCell") {
        let name = cell.require("parameterName")?;
        let parameter = names.get(name);
        let parameter = *parameter
            .ok_or_else(|| cell.malformed(format!("names the parameter `{name}`, which is not there")))?;
        let class = match (cell.get("targetCategory"), form) {
            (None, _) | (Some(_), Form::Number(_)) => None,
            (Some(text), _) => Some(context.target.class(text, cell, loader)?),
        };
        let place = *places.entry(class).or_insert(rows.len());
        if place == rows.len() {
            rows.push((class, Vec::new()));
        }
        rows[place].1.push((parameter, cell.number("beta")?));
    }
    if let Some(reference) = element.get("targetReferenceCategory")
        && context.target.task == Task::Classification
    {
        context.target.class(reference, element, loader)?;
    }
    let classes = loader.classes[context.target.list].values.len();
    let named = rows.iter().filter(|it| it.0.is_some()).count();
    let fits = match form {
        Form::Number(_) => rows.len() == 1,
        Form::Binary(_) => classes == 2 && rows.len() == 1,
        Form::Multinomial | Form::Ordinal(_) => named > 0 && classes > 1,
    };
    if !fits {
        return Err(element.malformed(format!("has parameters for {named} of {classes} classes")));
    }
    let offset = match element.get("offsetVariable") {
        Some(_) => Offset::Field(context.scope.field(element, "offsetVariable")?),
        None => Offset::Constant(element.number_or("offsetValue", 0.0)?),
    };
    if element.get("trialsVariable").is_some() {
        return Err(element.unsupported("`trialsVariable`"));
    }
    let trials = element.number_or("trialsValue", 1.0)?;
    Ok(Box::new(General { parameters, rows, form, offset, trials, list: context.target.list }))
}

fn form(element: Element<'_>, context: &Context<'_, '_>) -> Result<Form, Fault> {
    let parameter = |name: &str| element.number(name);
    let named = |name: &str, value: Option<&str>| -> Result<Link, Fault> {
        Ok(match value {
            None | Some("identity") => Link::Identity,
            Some("log") => Link::Log,
            Some("logc") => Link::Logc,
            Some("logit") => Link::Logit,
            Some("probit") => Link::Probit,
            Some("cloglog") => Link::Cloglog,
            Some("loglog") => Link::Loglog,
            Some("cauchit") => Link::Cauchit,
            Some("oddspower") => Link::OddsPower(parameter("linkParameter")?),
            Some("power") => Link::Power(parameter("linkParameter")?),
            Some("negbin") => Link::NegativeBinomial(parameter("distParameter")?),
            Some(other) => return Err(element.unsupported(&format!("`{name}` `{other}`"))),
        })
    };
    let classifies = context.target.task == Task::Classification;
    match (element.require("modelType")?, classifies) {
        ("regression" | "generalLinear", false) => Ok(Form::Number(Link::Identity)),
        ("logLinear", false) => Ok(Form::Number(Link::Log)),
        ("generalizedLinear", false) => Ok(Form::Number(named("linkFunction", element.get("linkFunction"))?)),
        ("generalizedLinear", true) => Ok(Form::Binary(named("linkFunction", element.get("linkFunction"))?)),
        ("multinomialLogistic", true) => Ok(Form::Multinomial),
        ("ordinalMultinomial", true) => {
            Ok(Form::Ordinal(named("cumulativeLink", element.get("cumulativeLink").or(Some("logit")))?))
        }
        (other, _) => Err(element.unsupported(&format!("`modelType` `{other}` for such a target"))),
    }
}

type Named<'a> = HashMap<&'a str, usize>;

fn parameters<'a>(
    element: Element<'a>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<(Vec<Vec<Factor>>, Named<'a>), Fault> {
    let mut names = Named::new();
    for parameter in element.needed("ParameterList")?.named("Parameter") {
        let next = names.len();
        names.entry(parameter.require("name")?).or_insert(next);
    }
    let mut factors = HashMap::new();
    for (list, is_factor) in [("FactorList", true), ("CovariateList", false)] {
        for predictor in element.child(list).into_iter().flat_map(|it| it.named("Predictor")) {
            if let Some(contrast) = predictor.children().next().filter(|it| it.name() != "Categories") {
                return Err(contrast.unknown());
            }
            factors.insert(predictor.require("name")?, is_factor);
        }
    }
    let mut parameters: Vec<Vec<Factor>> = (0..names.len()).map(|_| Vec::new()).collect();
    for cell in element.child("PPMatrix").into_iter().flat_map(|it| it.named("PPCell")) {
        let name = cell.require("parameterName")?;
        let at = names.get(name);
        let at =
            *at.ok_or_else(|| cell.malformed(format!("names the parameter `{name}`, which is not there")))?;
        let predictor = cell.require("predictorName")?;
        let slot = context.scope.field(cell, "predictorName")?;
        if cell.get("targetCategory").is_some() {
            return Err(cell.unsupported("`targetCategory`"));
        }
        parameters[at].push(match factors.get(predictor) {
            Some(true) => {
                let kind = loader.kind(slot);
                Factor::Level { slot, value: loader.symbols.parse(cell.require("value")?, kind, cell)? }
            }
            Some(false) => Factor::Covariate { slot, exponent: cell.number("value")? },
            None => {
                return Err(
                    cell.malformed(format!("names `{predictor}`, which is in neither list of predictors"))
                );
            }
        });
    }
    Ok((parameters, names))
}

impl General {
    /// The value of each parameter; `None` where a field is missing.
    fn design(&self, frame: &mut Frame<'_, '_>) -> Result<Option<Vec<f64>>, Error> {
        let mut design = Vec::with_capacity(self.parameters.len());
        for factors in &self.parameters {
            let mut product = 1.0;
            for factor in factors {
                product *= match *factor {
                    Factor::Covariate { slot, exponent } => match frame.number(slot)? {
                        Some(number) if exponent == 1.0 => number,
                        Some(number) => number.powf(exponent),
                        None => return Ok(None),
                    },
                    Factor::Level { slot, value } => match frame.get(slot)? {
                        Value::Missing => return Ok(None),
                        met => f64::from(u8::from(met == value)),
                    },
                };
            }
            design.push(product);
        }
        Ok(Some(design))
    }
}

impl Scorer for General {
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let Some(design) = self.design(frame)? else { return Ok(Outcome::of(Value::Missing)) };
        let offset = match self.offset {
            Offset::Constant(offset) => offset,
            Offset::Field(slot) => frame.number(slot)?.unwrap_or(0.0),
        };
        let sum = |terms: &[(usize, f64)]| terms.iter().map(|(at, beta)| design[*at] * beta).sum::<f64>();
        let classes = frame.classes(self.list);
        let common: f64 = self.rows.iter().filter(|it| it.0.is_none()).map(|it| sum(&it.1)).sum();
        let mut sums = vec![None; classes.len()];
        for (class, terms) in &self.rows {
            if let Some(class) = class {
                sums[*class] = Some(sum(terms) + common + offset);
            }
        }
        let scores = match self.form {
            Form::Number(link) => return Ok(Outcome::number(link.inverse(common + offset) * self.trials)),
            Form::Binary(link) => {
                // Where no class is named it is the second one's share.
                let told = sums.iter().position(Option::is_some).unwrap_or(1);
                let share = link.inverse(sums[told].unwrap_or(common + offset));
                let mut scores = vec![1.0 - share; sums.len()];
                scores[told] = share;
                scores
            }
            Form::Multinomial => {
                let mut scores: Vec<f64> = sums.into_iter().map(|it| it.unwrap_or(0.0)).collect();
                softmax(&mut scores, Kind::Double);
                scores
            }
            Form::Ordinal(link) => {
                let mut before = 0.0;
                let last = sums.len() - 1;
                let share = |(at, sum): (usize, Option<f64>)| {
                    let up_to = if at == last { 1.0 } else { sum.map_or(before, |it| link.inverse(it)) };
                    let share = up_to - before;
                    before = up_to;
                    share
                };
                sums.into_iter().enumerate().map(share).collect()
            }
        };
        Ok(Outcome::highest(scores, classes))
    }

    fn row_ns(&self) -> f64 {
        let factors: usize = self.parameters.iter().map(|it| 1 + it.len()).sum();
        let terms: usize = self.rows.iter().map(|it| it.1.len()).sum();
        50.0 + 6.0 * (factors + terms) as f64
    }
}
