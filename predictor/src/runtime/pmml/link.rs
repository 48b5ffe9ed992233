//! Link functions, and the inverse of each.

/// A link function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Link {
    Identity,
    Log,
    Logc,
    Logit,
    Probit,
    Cloglog,
    Loglog,
    Cauchit,
    /// `oddspower` with its power.
    OddsPower(f64),
    /// `power` with its power.
    Power(f64),
    /// `negbin` with its parameter.
    NegativeBinomial(f64),
}

impl Link {
    /// The number that the link makes a sum of.
    pub(super) fn inverse(self, sum: f64) -> f64 {
        match self {
            Self::Identity => sum,
            Self::Log => sum.exp(),
            Self::Logc => 1.0 - sum.exp(),
            Self::Logit => 1.0 / (1.0 + (-sum).exp()),
            Self::Probit => normal(sum),
            Self::Cloglog => 1.0 - (-sum.exp()).exp(),
            Self::Loglog => (-(-sum).exp()).exp(),
            Self::Cauchit => 0.5 + sum.atan() / std::f64::consts::PI,
            Self::OddsPower(0.0) => Self::Logit.inverse(sum),
            Self::OddsPower(power) => 1.0 / (1.0 + (1.0 + power * sum).powf(-1.0 / power)),
            Self::Power(0.0) => sum.exp(),
            Self::Power(power) => sum.powf(1.0 / power),
            Self::NegativeBinomial(parameter) => 1.0 / (parameter * ((-sum).exp() - 1.0)),
        }
    }
}

/// The distribution function of the normal distribution.
///
/// Graeme West, "Better approximations to cumulative normal functions" (2005), after Hart (1968): right to about 15 digits.
pub(super) fn normal(x: f64) -> f64 {
    const ABOVE: [f64; 7] = [
        0.035_262_496_599_891_1,
        0.700_383_064_443_688,
        6.373_962_203_531_65,
        33.912_866_078_383,
        112.079_291_497_871,
        221.213_596_169_931,
        220.206_867_912_376,
    ];
    const BELOW: [f64; 8] = [
        0.088_388_347_648_318_4,
        1.755_667_163_182_64,
        16.064_177_579_207,
        86.780_732_202_946_1,
        296.564_248_779_674,
        637.333_633_378_831,
        793.826_512_519_948,
        440.413_735_824_752,
    ];
    let far = x.abs();
    let tail = if far > 37.0 {
        0.0
    } else {
        let density = (-far * far / 2.0).exp();
        if far < 7.071_067_811_865_47 {
            let polynomial = |it: &[f64]| it.iter().fold(0.0, |sum, it| sum * far + it);
            density * polynomial(&ABOVE) / polynomial(&BELOW)
        } else {
            let fraction = (1..=4).rev().fold(far + 0.65, |below, it| far + f64::from(it) / below);
            density / fraction / 2.506_628_274_631
        }
    };
    if x > 0.0 { 1.0 - tail } else { tail }
}
