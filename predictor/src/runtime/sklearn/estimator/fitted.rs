//! The attributes of a fitted estimator, asked for by name; what is missing or wrong is told with the class and its place.

use super::super::numpy::{Array, Elements};
use super::super::refusal::Refusal;
use super::super::view::View;
use super::steps::{self, Count, Steps};

/// A saved estimator.
pub(super) struct Fitted<'d> {
    view: View<'d>,
    /// The full name of its class.
    pub(super) class: String,
    /// Where it stands in a pipeline; empty for the model itself.
    place: String,
    count: &'d Count,
}

impl<'d> Fitted<'d> {
    pub(super) fn new(view: View<'d>, class: String, place: String, count: &'d Count) -> Self {
        Self { view, class, place, count }
    }

    /// Returns the estimator itself, as one of a list of such.
    pub(super) fn itself(&self) -> View<'d> {
        self.view
    }

    /// Reads a model that this one holds. `part` says where, as in `estimator 2 of`.
    pub(super) fn model(&self, view: View<'d>, part: &str) -> Result<Steps, Refusal> {
        steps::model(view, self.place_of(part), self.count)
    }

    /// Reads an estimator that this one holds as the next steps.
    pub(super) fn add(&self, view: View<'d>, part: &str, steps: &mut Steps) -> Result<(), Refusal> {
        steps::add(view, self.place_of(part), self.count, steps)
    }

    /// Returns an object that this one holds, to ask for its attributes; complaints name both.
    pub(super) fn part(&self, name: &str) -> Result<Self, Refusal> {
        Ok(self.part_of(self.need(name)?, &format!("`{name}`")))
    }

    /// The same of an object that is a member of an attribute. `part` says which.
    pub(super) fn part_of(&self, view: View<'d>, part: &str) -> Self {
        let class = view.class().unwrap_or_else(|| view.kind());
        Self::new(view, class, self.place_of(part), self.count)
    }

    /// Returns an attribute, unless it is missing or None.
    pub(super) fn optional(&self, name: &str) -> Option<View<'d>> {
        self.view.attribute(name).filter(|it| !it.is_none())
    }

    /// Returns an attribute that every fitted estimator of the class has.
    pub(super) fn need(&self, name: &str) -> Result<View<'d>, Refusal> {
        self.optional(name)
            .ok_or_else(|| self.malformed(format!("has no `{name}`; was it fitted before it was saved")))
    }

    pub(super) fn array(&self, name: &str) -> Result<Array<'d>, Refusal> {
        Array::read(self.need(name)?).map_err(|refusal| self.about(name, refusal))
    }

    /// Returns an array of numbers, row-major.
    pub(super) fn floats(&self, name: &str) -> Result<Vec<f64>, Refusal> {
        self.array(name)?.floats().map_err(|refusal| self.about(name, refusal))
    }

    /// Returns an array of numbers, row-major, that is a member of the list under that name.
    pub(super) fn floats_of(&self, name: &str, view: View<'d>) -> Result<Vec<f64>, Refusal> {
        let array = Array::read(view).and_then(|array| array.floats());
        array.map_err(|refusal| self.about(name, refusal))
    }

    /// Returns an array of numbers that has two dimensions, and its sizes.
    pub(super) fn matrix(&self, name: &str) -> Result<(Vec<f64>, [usize; 2]), Refusal> {
        self.matrix_of(name, self.need(name)?)
    }

    /// The same of a member of the list under that name.
    pub(super) fn matrix_of(&self, name: &str, view: View<'d>) -> Result<(Vec<f64>, [usize; 2]), Refusal> {
        let array = Array::read(view).map_err(|refusal| self.about(name, refusal))?;
        let Ok(shape) = <[usize; 2]>::try_from(array.shape.as_slice()) else {
            return Err(self.malformed(format!(
                "has a `{name}` of shape {:?}, two dimensions are expected",
                array.shape
            )));
        };
        Ok((array.floats().map_err(|refusal| self.about(name, refusal))?, shape))
    }

    pub(super) fn number(&self, name: &str) -> Result<f64, Refusal> {
        let value = self.need(name)?;
        value
            .number()
            .ok_or_else(|| self.malformed(format!("has {} for `{name}`, a number is expected", value.kind())))
    }

    /// Returns a switch, or what it is when the file does not tell.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        let Some(value) = self.optional(name) else { return Ok(default) };
        value.boolean().ok_or_else(|| {
            self.malformed(format!("has {} for `{name}`, a boolean is expected", value.kind()))
        })
    }

    /// Returns the text of an attribute, or `None` when it is missing or no text.
    pub(super) fn text(&self, name: &str) -> Option<&'d str> {
        self.optional(name)?.text()
    }

    /// Returns the names of the columns, when there are as many as features; none when it was not fitted on a data frame.
    pub(super) fn columns(&self, features: usize) -> Result<Vec<String>, Refusal> {
        // Before 1.0 a ColumnTransformer kept the index of pandas.
        let kept = ["feature_names_in_", "_df_columns"].into_iter().find(|it| self.optional(it).is_some());
        let Some(name) = kept else { return Ok(Vec::new()) };
        let view = self.need(name)?;
        let array =
            Array::read(indexed(view).unwrap_or(view)).map_err(|refusal| self.about(name, refusal))?;
        match array.elements().map_err(|refusal| self.about(name, refusal))? {
            Elements::Texts(names) if names.len() == features => {
                let bytes: usize = names.iter().map(|it| size_of::<String>() + it.len()).sum();
                view.charge(bytes)?;
                Ok(names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
            }
            Elements::Texts(_) | Elements::Bools(_) | Elements::Ints(_) | Elements::Floats(_) => {
                Err(self.malformed(format!("has a `{name}` that does not name its {features} features")))
            }
        }
    }

    /// Returns whether it was saved by a release before that one.
    pub(super) fn older_than(&self, major: u32, minor: u32) -> bool {
        let mut parts =
            self.text("_sklearn_version").unwrap_or("0").split('.').map(|it| it.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (major, minor)
    }

    /// Returns the class, and where it stands when that is not plain.
    fn name(&self) -> String {
        if self.place.is_empty() { self.class.clone() } else { format!("{} ({})", self.class, self.place) }
    }

    /// Returns where a part of it stands. `part` is such as `step 2 (clf)`.
    fn place_of(&self, part: &str) -> String {
        let place = format!("{part:.60} of {}", self.class);
        if self.place.is_empty() { place } else { format!("{place}, itself {}", self.place) }
    }

    /// Says what is wrong with it. `what` continues its name, as in `has no ...`.
    pub(super) fn malformed(&self, what: impl AsRef<str>) -> Refusal {
        Refusal::malformed(format!("{} {}", self.name(), what.as_ref()))
    }

    /// Says what this build cannot do with it. `what` continues its name, as in `with ...`.
    pub(super) fn unsupported(&self, what: impl AsRef<str>, advice: impl Into<String>) -> Refusal {
        Refusal::unsupported(format!("{} {}", self.name(), what.as_ref()), advice)
    }

    /// Names the attribute a complaint is about.
    pub(super) fn about(&self, name: &str, refusal: Refusal) -> Refusal {
        let whose = format!("`{name}` of {}", self.name());
        match refusal {
            Refusal::Malformed(reason) => Refusal::Malformed(format!("{whose}: {reason}")),
            Refusal::Unsupported { what, advice } => {
                Refusal::Unsupported { what: format!("{what} ({whose})"), advice }
            }
        }
    }
}

/// Returns the array within an index of pandas, which may be one of strings of its own.
fn indexed(view: View<'_>) -> Option<View<'_>> {
    let object = view.object()?;
    let ("pandas.core.indexes.base", "_new_Index") = view.at(object.class).global()? else { return None };
    let data = view.at(object.args).item(1)?.get("data")?;
    let Some(strings) = data.object() else { return Some(data) };
    match data.at(strings.class).global()? {
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked") => {
            let parts = data.at(strings.state?);
            parts.items()?.find(|&it| Array::read(it).is_ok())
        }
        _ => Some(data),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pickle;
    use super::*;

    #[test]
    fn names_may_be_an_index_of_pandas() {
        let array = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n(S'O8'\ntR\
                     (I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n(lS'a'\naS'b'\natb";
        let strings = format!(
            "cpandas._libs.arrays\n__pyx_unpickle_NDArrayBacked\n(cpandas.arrays\nStringArray\nI1\nNtR(N{array}tb"
        );
        for data in [array, &strings] {
            for index in [
                data.to_owned(),
                format!("cpandas.core.indexes.base\n_new_Index\n(cpandas\nIndex\n(dS'data'\n{data}stR"),
            ] {
                let whole = index.starts_with("cpandas._libs");
                let file =
                    format!("ccopy_reg\n_reconstructor\n(ca\nB\ncb\no\nNtR(dS'_df_columns'\n{index}sb.");
                let doc = pickle::read(file.as_bytes(), file.len()).unwrap();
                let count = Count::default();
                let fitted = Fitted::new(doc.root(), "a.B".to_owned(), String::new(), &count);
                // Strings of pandas alone are no index.
                assert_eq!(fitted.columns(2).is_ok(), !whole, "{file}");
                if !whole {
                    assert_eq!(fitted.columns(2).unwrap(), ["a", "b"]);
                    assert!(fitted.columns(3).is_err());
                }
            }
        }
    }
}
