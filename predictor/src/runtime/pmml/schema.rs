//! What values fields may have (DataDictionary), and what becomes of those that are missing, invalid or far out (MiningSchema).

use weir_sdk::proto::Error;

use super::Fault;
use super::expression::no_value;
use super::frame::Frame;
use super::plan::Loader;
use super::value::{Kind, Value};
use super::xml::Element;

/// A field of the data dictionary.
#[derive(Clone)]
pub(super) struct DataField {
    pub(super) is_ordinal: bool,
    pub(super) kind: Kind,
    /// In the order of the file: the classes of a target.
    pub(super) values: Vec<Value>,
    rare: Option<Box<Rare>>,
}

/// What few fields have.
#[derive(Clone, Default)]
struct Rare {
    invalid: Vec<Value>,
    missing: Vec<Value>,
    intervals: Vec<Interval>,
}

/// A range of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    left: f64,
    right: f64,
    left_open: bool,
    right_open: bool,
}

impl Interval {
    pub(super) fn read(element: Element<'_>) -> Result<Self, Fault> {
        let (left_open, right_open) = element
            .word(
                "closure",
                &[
                    ("openOpen", (true, true)),
                    ("openClosed", (true, false)),
                    ("closedOpen", (false, true)),
                    ("closedClosed", (false, false)),
                ],
            )?
            .ok_or_else(|| element.malformed("has no `closure`"))?;
        let left = element.number_or("leftMargin", f64::NEG_INFINITY)?;
        let right = element.number_or("rightMargin", f64::INFINITY)?;
        Ok(Self { left, right, left_open, right_open })
    }

    pub(super) fn holds(self, value: f64) -> bool {
        let left = if self.left_open { value > self.left } else { value >= self.left };
        left && if self.right_open { value < self.right } else { value <= self.right }
    }
}

impl Loader {
    /// Reads the data dictionary.
    pub(super) fn read_data(&mut self, dictionary: Element<'_>) -> Result<(), Fault> {
        self.data.reserve(dictionary.children().count());
        for element in dictionary.children() {
            match element.name() {
                "DataField" => {
                    let field = self.data_field(element)?;
                    self.data.insert(element.require("name")?.to_owned(), field);
                }
                _ => return Err(element.unknown()),
            }
        }
        Ok(())
    }

    fn data_field(&mut self, element: Element<'_>) -> Result<DataField, Fault> {
        let kind = Kind::of(element)?.ok_or_else(|| element.malformed("has no `dataType`"))?;
        if element.flag("isCyclic")? {
            return Err(element.unsupported("`isCyclic`"));
        }
        let is_ordinal = element.get("optype") == Some("ordinal");
        let mut values = Vec::new();
        let mut rare = None::<Box<Rare>>;
        for child in element.children() {
            match child.name() {
                "Interval" => rare.get_or_insert_default().intervals.push(Interval::read(child)?),
                "Value" => {
                    let property = child
                        .word("property", &[("valid", 0), ("invalid", 1), ("missing", 2)])?
                        .unwrap_or_default();
                    let text = child.require("value")?;
                    // What stands for a missing number need not be one: no number is ever equal to it.
                    let value = match self.symbols.parse(text, kind, child) {
                        Err(_) if property > 0 => self.symbols.intern(text),
                        other => other?,
                    };
                    match property {
                        0 => values.push(value),
                        1 => rare.get_or_insert_default().invalid.push(value),
                        _ => rare.get_or_insert_default().missing.push(value),
                    }
                }
                _ => return Err(child.unknown()),
            }
        }
        values.shrink_to_fit();
        Ok(DataField { is_ordinal, kind, values, rare })
    }

    /// Reads how a mining field treats values. `within` a model, values have been validated before.
    pub(super) fn rules(
        &mut self,
        element: Element<'_>,
        field: Option<&DataField>,
        kind: Kind,
        within: bool,
    ) -> Result<Option<Box<Rules>>, Fault> {
        let invalid = element.word(
            "invalidValueTreatment",
            &[
                ("returnInvalid", Invalid::Refuse),
                ("asIs", Invalid::Keep),
                ("asMissing", Invalid::Missing),
                ("asValue", Invalid::Replace),
            ],
        )?;
        let invalid = invalid.unwrap_or(if within { Invalid::Keep } else { Invalid::Refuse });
        let value = |loader: &mut Self, name: &str| {
            let text = element.get(name);
            text.map(|text| loader.symbols.parse(text, kind, element)).transpose()
        };
        let replacement = value(self, "missingValueReplacement")?;
        let instead = value(self, "invalidValueReplacement")?;
        if matches!(invalid, Invalid::Replace) && instead.is_none() {
            return Err(element.malformed("has no `invalidValueReplacement`"));
        }
        let treatment = element.word(
            "missingValueTreatment",
            &[
                ("asIs", false),
                ("asMean", false),
                ("asMode", false),
                ("asMedian", false),
                ("asValue", false),
                ("returnInvalid", true),
            ],
        )?;
        let outliers = element.word(
            "outliers",
            &[("asIs", None), ("asMissingValues", Some(false)), ("asExtremeValues", Some(true))],
        )?;
        let outliers = match outliers.flatten() {
            Some(clamp) => {
                let low = element.number_or("lowValue", f64::NEG_INFINITY)?;
                let high = element.number_or("highValue", f64::INFINITY)?;
                if low.is_nan() || high.is_nan() || low > high {
                    return Err(element.malformed("has a `lowValue` above its `highValue`"));
                }
                Some(Outliers { clamp, low, high })
            }
            None => None,
        };
        let mut rules = Rules { replacement, instead, invalid, outliers, ..Rules::default() };
        rules.refuse_missing = treatment.unwrap_or(false);
        if let (Some(field), false) = (field, within) {
            if let Some(rare) = &field.rare {
                rules.missing.clone_from(&rare.missing);
                rules.bad.clone_from(&rare.invalid);
                rules.intervals.clone_from(&rare.intervals);
            }
            rules.valid = field.values.iter().copied().map(key).collect();
            rules.valid.sort_unstable();
        }
        let values = rules.valid.len() + rules.missing.len() + rules.bad.len() + 2 * rules.intervals.len();
        self.charge(values * size_of::<Value>())?;
        Ok(if rules.are_idle() { None } else { Some(Box::new(rules)) })
    }
}

/// What a value is found by.
pub(super) fn key(value: Value) -> (u8, u64) {
    match value {
        Value::Missing => (0, 0),
        // Nought is nought, whatever its sign.
        Value::Number(it) => (1, (it + 0.0).to_bits()),
        Value::Text(it) => (2, u64::from(it)),
        Value::Bool(it) => (3, u64::from(it)),
    }
}

/// What becomes of a value.
#[derive(Default)]
pub(super) struct Rules {
    missing: Vec<Value>,
    bad: Vec<Value>,
    /// Sorted; empty where any is valid.
    valid: Vec<(u8, u64)>,
    intervals: Vec<Interval>,
    invalid: Invalid,
    instead: Option<Value>,
    replacement: Option<Value>,
    refuse_missing: bool,
    outliers: Option<Outliers>,
}

#[derive(Default, Clone, Copy)]
enum Invalid {
    #[default]
    Refuse,
    Keep,
    Missing,
    Replace,
}

struct Outliers {
    clamp: bool,
    low: f64,
    high: f64,
}

impl Rules {
    /// Those that change nothing but blanks, which are missing values.
    pub(super) const IDLE: Self = Self {
        missing: Vec::new(),
        bad: Vec::new(),
        valid: Vec::new(),
        intervals: Vec::new(),
        invalid: Invalid::Refuse,
        instead: None,
        replacement: None,
        refuse_missing: false,
        outliers: None,
    };

    /// Whether they change nothing.
    fn are_idle(&self) -> bool {
        let untouched = self.replacement.is_none() && !self.refuse_missing && self.outliers.is_none();
        let unchecked = self.bad.is_empty() && self.valid.is_empty() && self.intervals.is_empty();
        untouched && unchecked && self.missing.is_empty()
    }

    /// Treats a value.
    pub(super) fn apply(&self, value: Value, name: &str, frame: &Frame<'_, '_>) -> Result<Value, Error> {
        let mut value = value;
        if self.missing.contains(&value) || self.is_blank(value, frame) {
            value = Value::Missing;
        }
        if !value.is_missing() && !self.is_valid(value) {
            match self.invalid {
                Invalid::Refuse => {
                    let shown = frame.texts.show(value, Kind::Double);
                    return Err(no_value(name, &shown, frame.row));
                }
                Invalid::Keep => {}
                Invalid::Missing => value = Value::Missing,
                Invalid::Replace => return Ok(self.instead.unwrap_or(Value::Missing)),
            }
        } else if let (Some(Outliers { clamp, low, high }), Value::Number(number)) = (&self.outliers, value)
            && (number < *low || number > *high)
        {
            value = if *clamp { Value::Number(number.clamp(*low, *high)) } else { Value::Missing };
        }
        if !value.is_missing() {
            return Ok(value);
        }
        if self.refuse_missing {
            let row = frame.row;
            return Err(Error::invalid(format!(
                "column `{name}` has no value in row {row}, and the model needs one"
            )));
        }
        Ok(self.replacement.unwrap_or(Value::Missing))
    }

    fn lists(&self, value: Value) -> bool {
        self.valid.binary_search(&key(value)).is_ok()
    }

    /// A text cannot be missing in a tensor: an empty one is, but where it is named as a value.
    fn is_blank(&self, value: Value, frame: &Frame<'_, '_>) -> bool {
        matches!(value, Value::Text(text) if frame.texts.name(text).is_empty() && !self.lists(value))
    }

    fn is_valid(&self, value: Value) -> bool {
        if self.bad.contains(&value) {
            return false;
        }
        let in_interval = |value: Value| {
            self.intervals.is_empty()
                || value.number().is_some_and(|it| self.intervals.iter().any(|interval| interval.holds(it)))
        };
        match (self.valid.is_empty(), self.intervals.is_empty()) {
            (true, _) => in_interval(value),
            (false, true) => self.lists(value),
            (false, false) => self.lists(value) || in_interval(value),
        }
    }
}
