//! What must hold between the codecs, on generated values: what is written reads back as the same bits, in each face and
//! between them. Where a form cannot carry a value, the test says what is read in its place.
//!
//! Every run takes the same cases. `PROPTEST_CASES=100000` takes more, `PROPTEST_RNG_SEED=1` takes others.

mod agreement;
mod answers;
mod reader;
mod requests;
mod texts;
mod v1_requests;
mod values;

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

use crate::{Data, DataType, Parameter, Parameters, Tensor};

/// The same cases in every run, and nothing written into the source tree when one of them fails: the failure prints its input.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0x5eed);
    }
    config
}

/// A tensor as what tells it from every other: NaN is not NaN here unless their bits are the same.
#[derive(Debug, Clone, PartialEq)]
struct Bits {
    name: String,
    shape: Vec<usize>,
    datatype: DataType,
    raw: Vec<u8>,
    parameters: String,
}

fn bits(tensors: &[Tensor]) -> Vec<Bits> {
    let one = |it: &Tensor| Bits {
        name: it.name.clone(),
        shape: it.shape.clone(),
        datatype: it.datatype(),
        raw: it.data.clone().into_raw().to_vec(),
        parameters: scalars(&it.parameters),
    };
    tensors.iter().map(one).collect()
}

/// Parameters, doubles by their bits.
fn scalars(parameters: &Parameters) -> String {
    let one = |(name, value): &(String, Parameter)| match value {
        Parameter::Double(value) => format!("{name:?}: {:x}", value.to_bits()),
        other => format!("{name:?}: {other:?}"),
    };
    parameters.0.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// JSON has one NaN, whatever bits there were; as `null` it also stands for the infinities.
fn through_json(data: &mut Data, finite_only: bool) {
    match data {
        Data::Fp32(values) => {
            let odd = |it: f32| it.is_nan() || (finite_only && it.is_infinite());
            *values = values.iter().map(|&it| if odd(it) { f32::NAN } else { it }).collect::<Vec<_>>().into();
        }
        Data::Fp64(values) => {
            let odd = |it: f64| it.is_nan() || (finite_only && it.is_infinite());
            *values = values.iter().map(|&it| if odd(it) { f64::NAN } else { it }).collect::<Vec<_>>().into();
        }
        _ => {}
    }
}

/// Parameters as JSON carries them: no double that is not finite, and no telling a small unsigned integer from a signed one.
fn parameters_through_json(parameters: &mut Parameters) {
    parameters.0.retain(|(_, it)| !matches!(it, Parameter::Double(value) if !value.is_finite()));
    for (_, it) in &mut parameters.0 {
        if let Parameter::Uint(value) = *it
            && let Ok(value) = i64::try_from(value)
        {
            *it = Parameter::Int(value);
        }
    }
}

/// Parameters as a protobuf map carries them, read in the order of their names.
fn sorted(parameters: &mut Parameters) {
    parameters.0.sort_by(|a, b| a.0.cmp(&b.0));
}
