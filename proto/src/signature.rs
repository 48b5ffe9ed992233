//! What a model takes and gives, and the check that a request fits: every mismatch is a text that names both sides.

use bytes::Bytes;

use crate::{Buffer, Categories, Data, DataType, Error, InferRequest, Tensor};

/// One input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub datatype: DataType,
    /// Its sizes, outermost first; -1 is any.
    pub shape: Vec<i64>,
    /// Not even the number of its sizes is known: `shape` is `[-1]` and says nothing.
    pub unranked: bool,
    /// For an output with a score a class: the classes, in the order of its last dimension; two classes for an output of one
    /// number a row, which is the second one's. Empty elsewhere.
    pub labels: Vec<String>,
    /// What the model's own graph calls it, such as `x:0`; empty where that is nobody's concern.
    pub inner_name: String,
}

impl TensorSpec {
    /// Creates a spec.
    pub fn new(name: impl Into<String>, datatype: DataType, shape: impl Into<Vec<i64>>) -> Self {
        Self {
            name: name.into(),
            datatype,
            shape: shape.into(),
            unranked: false,
            labels: Vec::new(),
            inner_name: String::new(),
        }
    }

    /// Names the classes that an output scores.
    #[must_use]
    pub fn with_labels(mut self, labels: Vec<String>) -> Self {
        self.labels = labels;
        self
    }
}

/// What a model takes and gives. Answers `GET /v2/models/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// The framework and format, such as `sklearn_joblib`.
    pub platform: String,
    /// The inputs.
    pub inputs: Vec<TensorSpec>,
    /// The outputs it can give.
    pub outputs: Vec<TensorSpec>,
    /// How many of the outputs, from the first, are given when the caller names none; 0 for all.
    pub default_outputs: usize,
    /// The names of the columns of a tabular model's one matrix, when the file tells them: rows may then come as objects.
    pub columns: Vec<String>,
    /// The categories of those columns that have named ones, by ascending place. In a matrix of numbers they are their places;
    /// where columns come by name, or rows hold texts, they are called by their names.
    pub categories: Vec<(usize, Categories)>,
    /// The inputs are the columns of a table: rows may come as objects or as lists of mixed values, columns in any shape of
    /// one value a row, and a matrix is taken apart. Each is of the shape `[-1]`, or `[-1, 1]`.
    pub table: bool,
    /// Of a table, the inputs that the model does not look at: they may be of any kind, and where columns are named they may be
    /// left out.
    pub ignored: Vec<usize>,
    /// What the signature is made for, as TensorFlow tells it, such as `tensorflow/serving/predict`; empty elsewhere.
    pub method_name: String,
    /// Shapes are told and not held: the model itself says which it takes.
    pub lenient: bool,
}

impl Signature {
    /// Returns the indices of the outputs that a request to that model asks for, in the order it asks.
    ///
    /// # Errors
    /// `InvalidInput` naming an output the model does not have, and those it has, or one that is asked for twice.
    pub fn wanted(&self, request: &InferRequest, model: &str) -> Result<Vec<usize>, Error> {
        if request.outputs.is_empty() {
            let count = if self.default_outputs == 0 { self.outputs.len() } else { self.default_outputs };
            return Ok((0..count.min(self.outputs.len())).collect());
        }
        let mut wanted = Vec::with_capacity(request.outputs.len().min(self.outputs.len()));
        for output in &request.outputs {
            let name = &output.name;
            let at = self.outputs.iter().position(|it| it.name == *name).ok_or_else(|| {
                let known: Vec<_> = self.outputs.iter().map(|it| format!("`{}`", it.name)).collect();
                let known = known.join(", ");
                Error::invalid(format!(
                    "Unexpected inference output '{name}' for model '{model}'; it has {known}"
                ))
            })?;
            if wanted.contains(&at) {
                return Err(Error::invalid(format!("output '{name}' already exists in request")));
            }
            wanted.push(at);
        }
        Ok(wanted)
    }

    /// Makes the one input of a model out of its bytes alone: numbers little-endian and row-major, or one element of `BYTES`.
    ///
    /// # Errors
    /// `InvalidInput` when the model's signature leaves more than one way to read them.
    pub fn bind_raw(&self, body: Bytes) -> Result<Vec<Tensor>, Error> {
        let [spec] = self.inputs.as_slice() else {
            return Err(Error::invalid(format!(
                "a raw request is for a model of one input, this one has {}",
                self.inputs.len()
            )));
        };
        let Some(size) = spec.datatype.size() else {
            let shape = vec![1; spec.shape.len()];
            return Ok(vec![self.fit(spec, Tensor::strings(spec.name.clone(), shape, vec![body]))?]);
        };
        let open = spec.shape.iter().filter(|&&it| it < 0).count();
        let sizes = spec.shape.iter().filter_map(|&it| usize::try_from(it).ok());
        let fixed = sizes.fold(size, usize::saturating_mul).max(1);
        if open > 1 || !body.len().is_multiple_of(fixed) {
            return Err(Error::invalid(format!(
                "a raw request of {} bytes does not fit input `{}` of datatype {} and shape {:?}",
                body.len(),
                spec.name,
                spec.datatype,
                spec.shape
            )));
        }
        let shape: Vec<usize> =
            spec.shape.iter().map(|&it| usize::try_from(it).unwrap_or(body.len() / fixed)).collect();
        let count = crate::tensor::elements(&shape).unwrap_or(usize::MAX);
        let data = Data::from_raw(spec.datatype, body, count, &spec.name)?;
        Ok(vec![self.fit(spec, Tensor::new(spec.name.clone(), shape, data))?])
    }

    /// Fits a request's tensors to the inputs: by name, or the only one whatever it is called; columns become the one
    /// matrix of a tabular model; integers become floats where floats are wanted. Shapes are checked, the batch is not empty.
    ///
    /// # Errors
    /// `InvalidInput` naming the input, what was met and what was expected.
    pub fn bind(&self, request: &mut InferRequest) -> Result<Vec<Tensor>, Error> {
        let given = std::mem::take(&mut request.inputs);
        if self.table {
            return self.bind_table(given);
        }
        if let [spec] = self.inputs.as_slice() {
            let tensor = match <[Tensor; 1]>::try_from(given) {
                Ok([tensor]) if self.is_matrix_of_names(&tensor) => self.stack(&apart(&tensor)?)?,
                Ok([tensor]) if self.columns.len() != 1 || tensor.name != self.columns[0] => tensor,
                Ok([column]) => self.stack(&[column])?,
                Err(columns) if !self.columns.is_empty() => self.stack(&columns)?,
                Err(given) => {
                    return Err(text_in_row(&given).unwrap_or_else(|| wrong_inputs(&self.inputs, &given)));
                }
            };
            return Ok(vec![self.fit(spec, tensor)?]);
        }
        let mut given: Vec<_> = given.into_iter().map(Some).collect();
        let mut bound = Vec::with_capacity(self.inputs.len());
        for spec in &self.inputs {
            let found =
                given.iter_mut().find(|it| it.as_ref().is_some_and(|tensor| tensor.name == spec.name));
            match found.and_then(Option::take) {
                Some(tensor) => bound.push(self.fit(spec, tensor)?),
                None => {
                    let rest: Vec<_> = given.into_iter().flatten().chain(bound).collect();
                    return Err(wrong_inputs(&self.inputs, &rest));
                }
            }
        }
        Ok(bound)
    }
}

impl Signature {
    fn fit(&self, spec: &TensorSpec, mut tensor: Tensor) -> Result<Tensor, Error> {
        if !self.lenient && !spec.unranked {
            check_shape(spec, &tensor)?;
        }
        if tensor.data.is_empty() {
            return Err(Error::invalid(format!(
                "input `{}` is empty: at least one row is needed",
                spec.name
            )));
        }
        tensor.data = cast(&spec.name, tensor.data, spec.datatype)?;
        Ok(tensor)
    }

    /// Returns whether rows are lists of texts where some column's categories are called by name.
    fn is_matrix_of_names(&self, tensor: &Tensor) -> bool {
        !self.categories.is_empty()
            && matches!(tensor.data, Data::Bytes(_))
            && tensor.shape.len() == 2
            && tensor.shape[1] == self.columns.len()
    }

    /// Makes the `[rows, columns]` matrix of a tabular model out of a tensor a column.
    fn stack(&self, given: &[Tensor]) -> Result<Tensor, Error> {
        // A shape may claim any number of rows as long as one of its other sizes is nought: what is there is what counts.
        let rows = given.first().map_or(0, |it| it.data.len());
        // Lists of mixed values have no names, and are in order.
        let in_order = !self.categories.is_empty()
            && given.len() == self.columns.len()
            && given.iter().all(|it| it.name.is_empty() && it.rows() == rows && it.data.len() == rows);
        let named = |name: &String| column(name, rows, &self.columns, given);
        // All are there before the matrix is made: few columns sent must not become a matrix of many.
        let found: Vec<&Tensor> = if in_order {
            given.iter().collect()
        } else {
            self.columns.iter().map(named).collect::<Result<_, _>>()?
        };
        let mut matrix = vec![0.0; rows * found.len()];
        for (at, column) in found.iter().enumerate() {
            let values = self.places(at, column, !in_order)?;
            let values =
                values.ok_or_else(|| not_numbers(&self.columns[at], column.datatype(), DataType::Fp64))?;
            for (row, value) in values.into_iter().enumerate() {
                matrix[row * found.len() + at] = value;
            }
        }
        Ok(Tensor::fp64("", vec![rows, found.len()], matrix))
    }

    /// Returns a column as numbers: categories by their places. Numbers are names of categories only where the column has its
    /// own. `None` where there are texts and the column has no categories.
    fn places(&self, at: usize, column: &Tensor, named: bool) -> Result<Option<Vec<f64>>, Error> {
        let found = self.categories.binary_search_by_key(&at, |it| it.0);
        let Some((_, categories)) = found.ok().and_then(|it| self.categories.get(it)) else {
            return Ok(column.data.to_f64());
        };
        let name = &self.columns[at];
        let refuse = |met: &str| {
            let met: String = met.chars().take(40).collect();
            Error::invalid(format!(
                "column `{name}` holds `{met}`, which is none of its {} categories; send one of them, or null or an empty text where \
                 the value is missing",
                categories.len()
            ))
        };
        match &column.data {
            Data::Bytes(texts) if !categories.are_numbers() => {
                let place = |text: &Bytes| {
                    categories.place_of_text(text).ok_or_else(|| refuse(&String::from_utf8_lossy(text)))
                };
                texts.iter().map(place).collect::<Result<_, _>>().map(Some)
            }
            Data::Bytes(_) => Err(Error::invalid(format!(
                "column `{name}` holds texts, its categories are numbers: send those"
            ))),
            numbers if named && categories.are_numbers() => {
                let place =
                    |number| categories.place_of_number(number).ok_or_else(|| refuse(&number.to_string()));
                numbers.to_f64().map(|it| it.into_iter().map(place).collect()).transpose()
            }
            numbers => Ok(numbers.to_f64()),
        }
    }

    /// Fits tensors to the columns of a table: by name, or in order where they have none; a matrix is taken apart.
    fn bind_table(&self, given: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
        let given = match <[Tensor; 1]>::try_from(given) {
            Ok([matrix]) if matrix.shape.len() == 2 && matrix.shape[1] == self.inputs.len() => {
                apart(&matrix)?
            }
            Ok([only]) => vec![only],
            Err(several) => several,
        };
        let unnamed = !given.is_empty() && given.iter().all(|it| it.name.is_empty());
        let in_order = unnamed && given.len() == self.inputs.len();
        if unnamed && !in_order {
            let met = match given.as_slice() {
                [Tensor { shape, .. }] => shape.get(1).copied().unwrap_or(1),
                columns => columns.len(),
            };
            let wanted = self.inputs.len();
            return Err(Error::invalid(format!(
                "a row has {met} values without names, the model takes {wanted} columns: send as many, or objects"
            )));
        }
        let mut given: Vec<_> = given.into_iter().map(Some).collect();
        let mut bound: Vec<Tensor> = Vec::with_capacity(self.inputs.len());
        let mut ignored = Vec::new();
        for (place, spec) in self.inputs.iter().enumerate() {
            let named = |it: &Option<Tensor>| it.as_ref().is_some_and(|tensor| tensor.name == spec.name);
            let at = if in_order { Some(place) } else { given.iter().position(named) };
            if self.ignored.contains(&place) {
                ignored.push(place);
                continue;
            }
            let Some(mut column) = at.and_then(|at| given[at].take()) else {
                let rest: Vec<_> = bound.into_iter().chain(given.into_iter().flatten()).collect();
                return Err(wrong_inputs(&self.inputs, &rest));
            };
            let rows = bound.first().map_or(column.data.len(), |it| it.data.len());
            if column.rows() != rows || column.data.len() != rows {
                return Err(Error::invalid(format!(
                    "column `{}` has shape {:?}, expected one value in each of {rows} rows",
                    spec.name, column.shape
                )));
            }
            column.shape = if spec.shape.len() == 2 { vec![rows, 1] } else { vec![rows] };
            bound.push(self.fit(spec, column)?);
        }
        let rows = bound.first().map_or(0, Tensor::rows);
        for place in ignored {
            bound.insert(place, Tensor::fp64(self.inputs[place].name.clone(), vec![rows], vec![0.0; rows]));
        }
        Ok(bound)
    }
}

/// The columns of a matrix, as tensors without names.
fn apart(matrix: &Tensor) -> Result<Vec<Tensor>, Error> {
    let (rows, width) = (matrix.shape[0], matrix.shape[1]);
    // A shape may claim any size as long as another is nought.
    if matrix.data.is_empty() {
        return Err(Error::invalid("the request is empty: at least one row is needed"));
    }
    Ok((0..width)
        .map(|at| {
            let data = match &matrix.data {
                Data::Bytes(texts) => Data::Bytes(texts.iter().skip(at).step_by(width).cloned().collect()),
                numbers => {
                    let values = numbers.to_f64().unwrap_or_default();
                    Data::Fp64(values.iter().skip(at).step_by(width).copied().collect::<Vec<_>>().into())
                }
            };
            Tensor::new("", vec![rows], data)
        })
        .collect())
}

/// Says that rows of numbers were expected, where rows are lists that hold texts as well: those come as a tensor for each place,
/// without names. Returns `None` for anything else.
#[must_use]
pub fn text_in_row(given: &[Tensor]) -> Option<Error> {
    if given.len() < 2 || given.iter().any(|it| !it.name.is_empty()) {
        return None;
    }
    let mut places = given.iter().enumerate();
    places.find_map(|(place, tensor)| match &tensor.data {
        Data::Bytes(texts) => {
            let text: String = String::from_utf8_lossy(texts.first()?).chars().take(40).collect();
            Some(Error::invalid(format!(
                "expected a number at place {place} of a row, met the string `{text}`"
            )))
        }
        _ => None,
    })
}

fn wrong_inputs(specs: &[TensorSpec], given: &[Tensor]) -> Error {
    let want: Vec<_> = specs.iter().map(|it| format!("`{}`", it.name)).collect();
    Error::invalid(format!("the model takes the inputs {}, got {}", want.join(", "), names(given)))
}

/// The names of what a request gives, as far as they help: it may give thousands.
fn names(given: &[Tensor]) -> String {
    const SHOWN: usize = 32;
    let names: Vec<_> = given.iter().take(SHOWN).map(|it| format!("`{}`", it.name)).collect();
    match given.len() {
        0 => "none".to_owned(),
        1..=SHOWN => names.join(", "),
        more => format!("{} and {} more", names.join(", "), more - SHOWN),
    }
}

/// Finds the column of that name, which has a value in each row.
fn column<'g>(name: &str, rows: usize, columns: &[String], given: &'g [Tensor]) -> Result<&'g Tensor, Error> {
    let Some(column) = given.iter().find(|it| it.name == name) else {
        if let Some(error) = text_in_row(given) {
            return Err(error);
        }
        let want = columns.join("`, `");
        return Err(Error::invalid(format!(
            "column `{name}` is missing; the model takes `{want}`, got {}",
            names(given)
        )));
    };
    if column.rows() != rows || column.data.len() != rows {
        return Err(Error::invalid(format!(
            "column `{name}` has shape {:?}, expected one value in each of {rows} rows",
            column.shape
        )));
    }
    Ok(column)
}

fn not_numbers(name: &str, got: DataType, want: DataType) -> Error {
    Error::invalid(format!("input `{name}` has datatype {got}, the model wants {want}"))
}

fn check_shape(spec: &TensorSpec, tensor: &Tensor) -> Result<(), Error> {
    let fits = spec.shape.len() == tensor.shape.len()
        && spec
            .shape
            .iter()
            .zip(&tensor.shape)
            .all(|(&want, &got)| want < 0 || usize::try_from(want) == Ok(got));
    if !fits {
        // The mistake everybody makes, told in the words everybody knows.
        if let ([_, want], [_, got]) = (spec.shape.as_slice(), tensor.shape.as_slice()) {
            return Err(Error::invalid(format!(
                "input `{}` has {got} features a row, the model expects {want}",
                spec.name
            )));
        }
        return Err(Error::invalid(format!(
            "input `{}` has shape {:?}, the model expects {:?}",
            spec.name, tensor.shape, spec.shape
        )));
    }
    Ok(())
}

/// Casts without loss of meaning: any number to a float, an integer to an integer it fits. Never a float to an integer.
fn cast(name: &str, data: Data, want: DataType) -> Result<Data, Error> {
    let got = data.datatype();
    if got == want {
        return Ok(data);
    }
    let refuse = || not_numbers(name, got, want);
    match want {
        DataType::Fp64 => Ok(Data::Fp64(data.to_f64().ok_or_else(refuse)?.into())),
        DataType::Fp32 => {
            let values: Vec<f32> = match &data {
                Data::Fp64(values) => values.iter().map(|&v| v as f32).collect(),
                other => other.to_f64().ok_or_else(refuse)?.into_iter().map(|v| v as f32).collect(),
            };
            Ok(Data::Fp32(values.into()))
        }
        DataType::Int64 | DataType::Int32 | DataType::Int16 | DataType::Int8 => integers(name, &data, want),
        DataType::Uint64 | DataType::Uint32 | DataType::Uint16 | DataType::Uint8 => {
            integers(name, &data, want)
        }
        DataType::Bool | DataType::Fp16 | DataType::Bf16 | DataType::Bytes => Err(refuse()),
    }
}

fn integers(name: &str, data: &Data, want: DataType) -> Result<Data, Error> {
    let wide: Vec<i128> = match data {
        Data::Uint8(it) => it.iter().map(|&v| v.into()).collect(),
        Data::Uint16(it) => it.iter().map(|&v| v.into()).collect(),
        Data::Uint32(it) => it.iter().map(|&v| v.into()).collect(),
        Data::Uint64(it) => it.iter().map(|&v| v.into()).collect(),
        Data::Int8(it) => it.iter().map(|&v| v.into()).collect(),
        Data::Int16(it) => it.iter().map(|&v| v.into()).collect(),
        Data::Int32(it) => it.iter().map(|&v| v.into()).collect(),
        Data::Int64(it) => it.iter().map(|&v| v.into()).collect(),
        _ => return Err(not_numbers(name, data.datatype(), want)),
    };
    fn narrow<T: TryFrom<i128>>(wide: &[i128]) -> Option<Buffer<T>> {
        wide.iter().map(|&v| T::try_from(v).ok()).collect::<Option<Vec<T>>>().map(Into::into)
    }
    let fitted = match want {
        DataType::Int8 => narrow(&wide).map(Data::Int8),
        DataType::Int16 => narrow(&wide).map(Data::Int16),
        DataType::Int32 => narrow(&wide).map(Data::Int32),
        DataType::Int64 => narrow(&wide).map(Data::Int64),
        DataType::Uint8 => narrow(&wide).map(Data::Uint8),
        DataType::Uint16 => narrow(&wide).map(Data::Uint16),
        DataType::Uint32 => narrow(&wide).map(Data::Uint32),
        DataType::Uint64 => narrow(&wide).map(Data::Uint64),
        _ => None,
    };
    fitted.ok_or_else(|| Error::invalid(format!("input `{name}` holds an integer outside {want}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iris() -> Signature {
        Signature {
            inputs: vec![TensorSpec::new("input-0", DataType::Fp64, [-1, 2])],
            columns: vec!["a".to_owned(), "b".to_owned()],
            ..Signature::default()
        }
    }

    fn bind(inputs: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
        iris().bind(&mut InferRequest::of(inputs)).map_err(|error| error.message)
    }

    #[test]
    fn columns_become_the_matrix_in_the_models_order() {
        let b = Tensor::new("b", [2], Data::Int64(vec![3, 4].into()));
        let a = Tensor::fp64("a", [2], vec![1.0, 2.0]);
        let bound = bind(vec![b, a]).unwrap();
        assert_eq!(bound[0].shape, [2, 2]);
        assert_eq!(bound[0].data, Data::Fp64(vec![1.0, 3.0, 2.0, 4.0].into()));
    }

    #[test]
    fn half_floats_fit_where_floats_are_wanted() {
        let halves = Data::Fp16(vec![0x3c00, 0x7c00].into());
        assert_eq!(
            bind(vec![Tensor::new("x", [1, 2], halves)]).unwrap()[0].data,
            Data::Fp64(vec![1.0, f64::INFINITY].into())
        );
        let halves = Data::Bf16(vec![0x3f80, 0xc040].into());
        assert_eq!(
            bind(vec![Tensor::new("x", [1, 2], halves)]).unwrap()[0].data,
            Data::Fp64(vec![1.0, -3.0].into())
        );
    }

    #[test]
    fn categories_are_called_by_name_and_are_numbers_in_a_matrix() {
        let list = Categories::texts("noyes".into(), vec![2, 5]).unwrap();
        let sizes = Categories::numbers([10.0, 20.0].into_iter()).unwrap();
        let signature = |list: Categories| Signature {
            inputs: vec![TensorSpec::new("x", DataType::Fp64, [-1, 3])],
            columns: ["a", "b", "c"].map(str::to_owned).to_vec(),
            categories: vec![(1, list), (2, sizes.clone())],
            ..Signature::default()
        };
        let ask = |signature: &Signature, inputs: Vec<Tensor>| {
            let bound = signature.bind(&mut InferRequest { inputs, ..InferRequest::default() });
            bound.map(|it| it[0].data.to_f64().unwrap()).map_err(|it| it.message)
        };
        let texts = |name: &str, texts: [&str; 2]| {
            Tensor::strings(name, vec![2], texts.map(|it| Bytes::copy_from_slice(it.as_bytes())).to_vec())
        };
        let open = signature(list.clone());
        let row = |b: Tensor, c: [f64; 2]| {
            vec![Tensor::fp64("c", vec![2], c.to_vec()), b, Tensor::fp64("a", vec![2], vec![0.5, 1.5])]
        };
        let met = ask(&open, row(texts("b", ["yes", "no"]), [20.0, 10.0])).unwrap();
        assert_eq!(met, [0.5, 1.0, 1.0, 1.5, 0.0, 0.0]);
        let met = ask(&open, row(texts("b", ["Yes", ""]), [20.0, 15.0])).unwrap();
        assert!(met[1].is_nan() && met[4].is_nan() && met[5].is_nan() && met[2] == 1.0);
        // Numbers of a column whose categories are texts are their places, as all are in a matrix.
        let met = ask(&open, row(Tensor::fp64("b", vec![2], vec![1.0, 0.0]), [10.0, 10.0])).unwrap();
        assert_eq!(met, [0.5, 1.0, 0.0, 1.5, 0.0, 0.0]);
        let matrix = Tensor::fp64("", vec![1, 3], vec![7.0, 1.0, 1.0]);
        assert_eq!(ask(&open, vec![matrix]).unwrap(), [7.0, 1.0, 1.0]);
        let mixed = row(texts("", ["no", "yes"]), [1.0, 0.0])
            .into_iter()
            .map(|it| Tensor { name: String::new(), ..it });
        let mixed: Vec<_> = mixed.collect();
        let in_order = vec![mixed[2].clone(), mixed[1].clone(), mixed[0].clone()];
        assert_eq!(ask(&open, in_order).unwrap(), [0.5, 0.0, 1.0, 1.5, 1.0, 0.0]);
        let closed = signature(list.closed());
        assert_eq!(
            ask(&closed, row(texts("b", ["Yes", "no"]), [20.0, 10.0])).unwrap_err(),
            "column `b` holds `Yes`, which is none of its 2 categories; send one of them, or null or an empty text where the \
             value is missing"
        );
        assert_eq!(ask(&closed, row(texts("b", ["no", ""]), [20.0, 10.0])).unwrap()[..3], [0.5, 0.0, 1.0]);
        let wrong = vec![texts("a", ["no", ""]), texts("b", ["no", ""]), texts("c", ["10", ""])];
        assert!(ask(&open, wrong).unwrap_err().contains("`a` has datatype BYTES"));
    }

    #[test]
    fn a_table_takes_columns_by_name_in_order_and_out_of_a_matrix() {
        let table = Signature {
            inputs: vec![
                TensorSpec::new("age", DataType::Fp64, [-1]),
                TensorSpec::new("sex", DataType::Bytes, [-1]),
            ],
            table: true,
            ..Signature::default()
        };
        let bind =
            |inputs: Vec<Tensor>| table.bind(&mut InferRequest::of(inputs)).map_err(|error| error.message);
        let age = |name: &str| Tensor::new(name, [2, 1], Data::Int64(vec![3, 4].into()));
        let sex = |name: &str| Tensor::strings(name, [2], vec!["f".into(), "m".into()]);
        let want = [Data::Fp64(vec![3.0, 4.0].into()), Data::Bytes(vec!["f".into(), "m".into()])];
        for inputs in [vec![sex("sex"), age("age")], vec![age(""), sex("")]] {
            let bound: Vec<_> = bind(inputs).unwrap().into_iter().map(|it| it.data).collect();
            assert_eq!(bound, want);
        }
        assert!(bind(vec![age("age"), sex("sox")]).unwrap_err().contains("takes the inputs `age`, `sex`"));
        assert!(bind(vec![sex("age"), sex("sex")]).unwrap_err().contains("has datatype BYTES"));
        let short = Tensor::strings("sex", [1], vec!["f".into()]);
        assert!(bind(vec![age("age"), short]).unwrap_err().contains("one value in each of 2 rows"));
        // A text in such a row is no mistake: how many there are is.
        let narrow = "a row has 3 values without names, the model takes 2 columns: send as many, or objects";
        assert_eq!(bind(vec![sex(""), age(""), age("")]).unwrap_err(), narrow);
        assert_eq!(bind(vec![Tensor::fp64("", [2, 3], vec![0.0; 6])]).unwrap_err(), narrow);
        let numbers = Signature { inputs: vec![table.inputs[0].clone(); 2], ..table.clone() };
        let matrix = Tensor::fp64("", [1, 2], vec![1.0, 2.0]);
        let bound = numbers.bind(&mut InferRequest::of(vec![matrix])).unwrap();
        assert_eq!(bound[1].data, Data::Fp64(vec![2.0].into()));
    }

    #[test]
    fn a_raw_body_is_the_one_input_where_its_shape_can_be_told() {
        let raw: Vec<u8> = [1.0_f64, 2.0, 3.0, 4.0].iter().flat_map(|it| it.to_le_bytes()).collect();
        let bound = iris().bind_raw(raw.clone().into()).unwrap();
        assert_eq!((bound[0].shape.as_slice(), bound[0].data.len()), ([2, 2].as_slice(), 4));
        assert!(iris().bind_raw(raw[..24].to_vec().into()).is_err());
        let open = Signature {
            inputs: vec![TensorSpec::new("x", DataType::Uint8, [-1, -1])],
            ..Signature::default()
        };
        assert!(open.bind_raw("abcd".into()).is_err());
        let text = Signature { inputs: vec![TensorSpec::new("x", DataType::Bytes, [-1])], ..open };
        assert_eq!(text.bind_raw("abcd".into()).unwrap()[0].data, Data::Bytes(vec!["abcd".into()]));
        let scalar = Signature { inputs: vec![TensorSpec::new("x", DataType::Bytes, [])], ..text };
        assert_eq!(scalar.bind_raw("abcd".into()).unwrap()[0].shape, [0; 0]);
    }

    #[test]
    fn what_is_given_is_named_as_far_as_it_helps() {
        let many: Vec<_> = (0..100).map(|at| Tensor::fp64(format!("c{at}"), [1], vec![0.0])).collect();
        let text = bind(many).unwrap_err();
        assert!(text.ends_with("`c30`, `c31` and 68 more"), "{text}");
    }

    #[test]
    fn outputs_are_found_by_name_and_asked_for_once() {
        let signature = Signature {
            outputs: vec![
                TensorSpec::new("y", DataType::Fp64, [-1]),
                TensorSpec::new("z", DataType::Fp64, [-1]),
            ],
            default_outputs: 1,
            ..Signature::default()
        };
        let wanted = |names: &[&str]| {
            let output = |name: &&str| crate::RequestedOutput {
                name: (*name).to_owned(),
                parameters: crate::Parameters::default(),
            };
            let outputs = names.iter().map(output).collect();
            signature
                .wanted(&InferRequest { outputs, ..InferRequest::default() }, "m")
                .map_err(|it| it.message)
        };
        assert_eq!(wanted(&[]), Ok(vec![0]));
        assert_eq!(wanted(&["z", "y"]), Ok(vec![1, 0]));
        assert_eq!(
            wanted(&["q"]).unwrap_err(),
            "Unexpected inference output 'q' for model 'm'; it has `y`, `z`"
        );
        assert_eq!(wanted(&["z", "z"]).unwrap_err(), "output 'z' already exists in request");
    }

    #[test]
    fn a_mismatch_names_both_sides() {
        let text = bind(vec![Tensor::fp64("x", [1, 3], vec![0.0; 3])]).unwrap_err();
        assert_eq!(text, "input `input-0` has 3 features a row, the model expects 2");
        let text = bind(vec![Tensor::strings("x", [1, 2], vec!["u".into(), "v".into()])]).unwrap_err();
        assert_eq!(text, "input `input-0` has datatype BYTES, the model wants FP64");
        let text =
            bind(vec![Tensor::fp64("a", [1], vec![0.0]), Tensor::fp64("c", [1], vec![0.0])]).unwrap_err();
        assert_eq!(text, "column `b` is missing; the model takes `a`, `b`, got `a`, `c`");
        let text = bind(vec![Tensor::fp64("x", [0, 2], vec![])]).unwrap_err();
        assert_eq!(text, "input `input-0` is empty: at least one row is needed");
    }
}
