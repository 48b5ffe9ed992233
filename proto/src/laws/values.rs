//! Strategies: tensors of every datatype and shape, names, parameters, requests.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{Data, DataType, InferRequest, InferResponse, Parameter, Parameters, RequestedOutput, Tensor};

/// Every datatype.
pub(super) const ALL: [DataType; 14] = [
    DataType::Bool,
    DataType::Uint8,
    DataType::Uint16,
    DataType::Uint32,
    DataType::Uint64,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::Fp32,
    DataType::Fp64,
    DataType::Bytes,
    DataType::Fp16,
    DataType::Bf16,
];

/// Those that JSON and typed contents carry: all but the half floats.
pub(super) fn plain() -> &'static [DataType] {
    &ALL[..12]
}

/// Of rank 0 to 5, some with sizes of nought.
pub(super) fn shape() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1 => Just(0), 12 => 1..4_usize], 0..=5)
}

/// Of rank 1 to 4 and without a nought.
pub(super) fn full_shape() -> impl Strategy<Value = Vec<usize>> {
    vec(1..4_usize, 1..=4)
}

/// Text with all that needs care: quotes, backslashes, controls, other scripts, characters beyond 16 bits.
pub(super) fn text() -> impl Strategy<Value = String> {
    let odd: Vec<char> =
        "\"\\/\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}\u{e9}\u{2028}\u{feff}\u{10ffff}\u{1f600}".chars().collect();
    let char = prop_oneof![3 => prop::char::range('a', 'z'), 2 => select(odd), 1 => any::<char>()];
    vec(char, 0..8).prop_map(|it| it.into_iter().collect())
}

fn blob() -> impl Strategy<Value = Bytes> {
    prop_oneof![text().prop_map(Bytes::from), vec(any::<u8>(), 0..10).prop_map(Bytes::from)]
}

fn fp64() -> impl Strategy<Value = f64> {
    let edges = vec![
        0.0,
        -0.0,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        f64::from_bits((1 << 52) - 1),
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::from_bits(0x7ff0_0000_0000_0001),
        f64::from_bits(0xffff_ffff_ffff_ffff),
        9_007_199_254_740_993.0,
        0.1,
    ];
    let short = (any::<i32>(), -5..5_i32).prop_map(|(digits, power)| f64::from(digits) * 10_f64.powi(power));
    prop_oneof![any::<u64>().prop_map(f64::from_bits), select(edges), short]
}

fn fp32() -> impl Strategy<Value = f32> {
    let edges = vec![
        0.0,
        -0.0,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        f32::from_bits((1 << 23) - 1),
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::from_bits(0x7f80_0001),
        f32::from_bits(0xffff_ffff),
        16_777_217.0,
        0.1,
    ];
    let short = any::<i16>().prop_map(|it| f32::from(it) / 100.0);
    prop_oneof![any::<u32>().prop_map(f32::from_bits), select(edges), short]
}

/// So many elements of that type.
pub(super) fn data(datatype: DataType, count: usize) -> BoxedStrategy<Data> {
    macro_rules! integers {
        ($variant:ident, $type:ty) => {
            vec(prop_oneof![any::<$type>(), select(vec![<$type>::MIN, <$type>::MAX, 0, 1])], count)
                .prop_map(|it| Data::$variant(it.into()))
                .boxed()
        };
    }
    match datatype {
        DataType::Bool => vec(0..=1_u8, count).prop_map(|it| Data::Bool(it.into())).boxed(),
        DataType::Uint8 => integers!(Uint8, u8),
        DataType::Uint16 => integers!(Uint16, u16),
        DataType::Uint32 => integers!(Uint32, u32),
        DataType::Uint64 => integers!(Uint64, u64),
        DataType::Int8 => integers!(Int8, i8),
        DataType::Int16 => integers!(Int16, i16),
        DataType::Int32 => integers!(Int32, i32),
        DataType::Int64 => integers!(Int64, i64),
        DataType::Fp16 => integers!(Fp16, u16),
        DataType::Bf16 => integers!(Bf16, u16),
        DataType::Fp32 => vec(fp32(), count).prop_map(|it| Data::Fp32(it.into())).boxed(),
        DataType::Fp64 => vec(fp64(), count).prop_map(|it| Data::Fp64(it.into())).boxed(),
        DataType::Bytes => vec(blob(), count).prop_map(Data::Bytes).boxed(),
    }
}

fn parameter() -> impl Strategy<Value = Parameter> {
    prop_oneof![
        any::<bool>().prop_map(Parameter::Bool),
        any::<i64>().prop_map(Parameter::Int),
        any::<u64>().prop_map(Parameter::Uint),
        fp64().prop_map(Parameter::Double),
        text().prop_map(Parameter::String),
    ]
}

pub(super) fn parameters() -> impl Strategy<Value = Parameters> {
    vec((text(), parameter()), 0..4).prop_map(|mut list| {
        let mut met = std::collections::HashSet::new();
        list.retain(|(name, _)| met.insert(name.clone()));
        Parameters(list)
    })
}

/// A tensor of that shape, of one of those types.
pub(super) fn tensor_of(types: &'static [DataType], shape: Vec<usize>) -> impl Strategy<Value = Tensor> {
    let count = shape.iter().product();
    let data = select(types).prop_flat_map(move |datatype| data(datatype, count));
    (text(), data, parameters()).prop_map(move |(name, data, parameters)| Tensor {
        name,
        shape: shape.clone(),
        data,
        parameters,
    })
}

/// A tensor of any shape, of one of those types.
pub(super) fn tensor(types: &'static [DataType]) -> impl Strategy<Value = Tensor> {
    shape().prop_flat_map(move |shape| tensor_of(types, shape))
}

/// A request of several inputs and requested outputs.
pub(super) fn request(types: &'static [DataType]) -> impl Strategy<Value = InferRequest> {
    let output = (text(), parameters()).prop_map(|(name, parameters)| RequestedOutput { name, parameters });
    (text(), parameters(), vec(tensor(types), 0..4), vec(output, 0..3))
        .prop_map(|(id, parameters, inputs, outputs)| InferRequest { id, parameters, inputs, outputs })
}

/// An answer of several outputs.
pub(super) fn response(types: &'static [DataType]) -> impl Strategy<Value = InferResponse> {
    (text(), text(), text(), parameters(), vec(tensor(types), 0..4)).prop_map(
        |(model_name, model_version, id, parameters, outputs)| InferResponse {
            model_name,
            model_version,
            id,
            parameters,
            outputs,
        },
    )
}

/// Tensors of one number of rows and of different names, without parameters: what rows of objects carry.
pub(super) fn columns(types: &'static [DataType]) -> impl Strategy<Value = Vec<Tensor>> {
    let inner = vec(vec(prop_oneof![1 => Just(0), 12 => 1..4_usize], 0..=2), 1..4);
    (1..4_usize, inner).prop_flat_map(move |(rows, inner)| {
        let shapes = inner.into_iter().enumerate();
        let one = |(index, shape): (usize, Vec<usize>)| {
            let shape = [vec![rows], shape].concat();
            tensor_of(types, shape).prop_map(move |it| Tensor {
                name: format!("{}{index}", it.name),
                parameters: Parameters::default(),
                ..it
            })
        };
        shapes.map(one).collect::<Vec<_>>()
    })
}
