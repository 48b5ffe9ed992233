//! Bins and ranks: where a value lies among edges or quantiles learnt while fitting.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::batch::Sparse;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::scalers::each_row;
use super::{Batch, Missing, Steps, Transformer};

pub(crate) static FAMILY: Family = Family {
    title: "Bins and ranks",
    classes: &[
        Class { name: "KBinsDiscretizer", modules: &["sklearn.preprocessing._discretization"], read: bins },
        Class {
            name: "QuantileTransformer",
            modules: &["sklearn.preprocessing._data", "sklearn.preprocessing.data"],
            read: quantiles,
        },
    ],
};

fn bins(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let array = fitted.array("bin_edges_")?;
    let members = array.members().ok_or_else(|| fitted.malformed("has `bin_edges_` that are no arrays"))?;
    let edges: Vec<Vec<f64>> =
        members.map(|it| fitted.floats_of("bin_edges_", it)).collect::<Result<_, _>>()?;
    let sound = |it: &Vec<f64>| it.len() >= 2 && it.is_sorted();
    if let Some(at) = edges.iter().position(|it| !sound(it)) {
        return Err(fitted.malformed(format!("has edges of column {at} that are no ascending bins")));
    }
    // Releases before 1.2 moved values near an edge over it.
    let near = fitted.older_than(1, 1);
    let encode = match fitted.text("encode").unwrap_or("onehot") {
        "ordinal" => Encode::Ordinal,
        "onehot" => Encode::Sparse,
        "onehot-dense" => Encode::Dense,
        other => return Err(fitted.unsupported(format!("with encode `{other}`"), "use ordinal or onehot")),
    };
    steps.add_transformer(fitted, Box::new(Bins { edges, encode, near }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encode {
    Ordinal,
    Sparse,
    Dense,
}

struct Bins {
    /// For each column the edges of its bins, ascending, both ends included.
    edges: Vec<Vec<f64>>,
    encode: Encode,
    near: bool,
}

impl Bins {
    /// Returns the bin of a value: that of the last inner edge it is not below.
    fn bin(&self, column: usize, value: f64) -> usize {
        let edges = &self.edges[column];
        let inner = &edges[1..edges.len() - 1];
        // As numpy's `isclose`: a hundred-millionth and a hundred-thousandth.
        let value = if self.near { value + 1e-8 + 1e-5 * value.abs() } else { value };
        inner.partition_point(|&edge| edge <= value)
    }

    fn bins_of(&self, column: usize) -> usize {
        self.edges[column].len() - 1
    }
}

impl Transformer for Bins {
    fn features(&self) -> usize {
        self.edges.len()
    }

    fn width(&self) -> usize {
        match self.encode {
            Encode::Ordinal => self.edges.len(),
            Encode::Sparse | Encode::Dense => (0..self.edges.len()).map(|at| self.bins_of(at)).sum(),
        }
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let codes = each_row(batch, self.edges.len(), Missing::Refused, |row| {
            for (at, value) in row.iter_mut().enumerate() {
                *value = self.bin(at, *value) as f64;
            }
        })?;
        if self.encode == Encode::Ordinal {
            return Ok(codes);
        }
        let (rows, width) = (codes.rows(), self.width());
        let mut out = Sparse { width, starts: vec![0], ..Sparse::default() };
        for row in codes.numbers()?.chunks_exact(self.edges.len()) {
            let mut first = 0;
            for (at, &code) in row.iter().enumerate() {
                out.columns.push((first + code as usize) as u32);
                first += self.bins_of(at);
            }
            out.starts.push(out.columns.len());
        }
        out.values = vec![1.0; out.columns.len()];
        let sparse = Batch::Sparse(out);
        match self.encode {
            Encode::Dense => Ok(Batch::dense(sparse.into_numbers()?, rows, width)),
            Encode::Sparse | Encode::Ordinal => Ok(sparse),
        }
    }

    fn row_ns(&self) -> f64 {
        15.0 * self.edges.len() as f64
    }
}

fn quantiles(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let ranks = Ranks::read(fitted)?;
    if ranks.columns.iter().any(|it| !it.is_sorted()) {
        return Err(fitted.malformed("has quantiles that are not ascending"));
    }
    steps.add_transformer(fitted, Box::new(ranks))
}

/// The quantiles of a fitted `QuantileTransformer`, and the ranks they stand for.
pub(super) struct Ranks {
    /// For each column its quantiles.
    pub(super) columns: Vec<Vec<f64>>,
    /// As many as a column has quantiles, at least one.
    pub(super) references: Vec<f64>,
    /// Ranks become values of the normal distribution.
    pub(super) normal: bool,
}

impl Ranks {
    pub(super) fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let (table, [count, features]) = fitted.matrix("quantiles_")?;
        let references = fitted.floats("references_")?;
        let normal = match fitted.text("output_distribution").unwrap_or("uniform") {
            "uniform" => false,
            "normal" => true,
            other => {
                let what = format!("with distribution `{other}`");
                return Err(fitted.unsupported(what, "use uniform or normal"));
            }
        };
        if count != references.len() || count == 0 || features == 0 {
            let met = references.len();
            return Err(fitted.malformed(format!("has {count} quantiles and {met} references")));
        }
        let column = |at: usize| table.iter().skip(at).step_by(features).copied().collect();
        Ok(Self { columns: (0..features).map(column).collect(), references, normal })
    }

    fn rank(&self, column: usize, value: f64) -> f64 {
        // So near to an end that scikit-learn takes it for the end.
        const NEAR: f64 = 1e-7;
        let quantiles = &self.columns[column];
        let (least, greatest) = (quantiles[0], quantiles[quantiles.len() - 1]);
        if value.is_nan() {
            return value;
        }
        let (below, above) = if self.normal {
            (value - NEAR < least, value + NEAR > greatest)
        } else {
            (value == least, value == greatest)
        };
        // Quantiles may repeat: the mean of both directions lies in the middle of them.
        let up = interpolate(value, quantiles.iter().copied(), self.references.iter().copied());
        let down = interpolate(
            -value,
            quantiles.iter().rev().map(|it| -it),
            self.references.iter().rev().map(|it| -it),
        );
        let rank = match (below, above) {
            (true, _) => 0.0,
            (false, true) => 1.0,
            (false, false) => 0.5 * (up - down),
        };
        if !self.normal {
            return rank;
        }
        let edge = NEAR - f64::EPSILON;
        normal_quantile(rank).clamp(normal_quantile(edge), normal_quantile(1.0 - edge))
    }
}

/// numpy's `interp`: between the last place that is not above the value and the next.
fn interpolate(
    value: f64,
    xs: impl Iterator<Item = f64> + Clone,
    ys: impl Iterator<Item = f64> + Clone,
) -> f64 {
    let mut points = xs.zip(ys);
    let Some((mut x, mut y)) = points.next() else { return value };
    if value < x {
        return y;
    }
    for (next_x, next_y) in points {
        if value < next_x {
            let slope = (next_y - y) / (next_x - x);
            return slope * (value - x) + y;
        }
        (x, y) = (next_x, next_y);
    }
    y
}

impl Transformer for Ranks {
    fn features(&self) -> usize {
        self.columns.len()
    }

    fn width(&self) -> usize {
        self.columns.len()
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        each_row(batch, self.columns.len(), Missing::Allowed, |row| {
            for (at, value) in row.iter_mut().enumerate() {
                *value = self.rank(at, *value);
            }
        })
    }

    fn row_ns(&self) -> f64 {
        2.0 * (self.columns.len() * self.references.len()) as f64
    }
}

/// The quantile of the standard normal distribution: M. J. Wichura, "Algorithm AS 241" (1988), PPND16, good to one part in
/// 10^16.
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 8] = [
        3.387_132_872_796_366_6,
        1.331_416_678_917_843_8e2,
        1.971_590_950_306_551_3e3,
        1.373_169_376_550_946e4,
        4.592_195_393_154_987e4,
        6.726_577_092_700_87e4,
        3.343_057_558_358_813e4,
        2.509_080_928_730_122_7e3,
    ];
    const B: [f64; 8] = [
        1.0,
        4.231_333_070_160_091e1,
        6.871_870_074_920_579e2,
        5.394_196_021_424_751e3,
        2.121_379_430_158_659_7e4,
        3.930_789_580_009_271e4,
        2.872_908_573_572_194_3e4,
        5.226_495_278_852_545e3,
    ];
    const C: [f64; 8] = [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        2.417_807_251_774_506e-1,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ];
    const D: [f64; 8] = [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        6.897_673_349_851e-1,
        1.481_039_764_274_800_8e-1,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ];
    const E: [f64; 8] = [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        2.965_605_718_285_048_7e-1,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ];
    const F: [f64; 8] = [
        1.0,
        5.998_322_065_558_88e-1,
        1.369_298_809_227_358e-1,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ];
    let ratio = |top: &[f64; 8], bottom: &[f64; 8], x: f64| {
        let of = |it: &[f64; 8]| it.iter().rev().fold(0.0, |sum, c| sum * x + c);
        of(top) / of(bottom)
    };
    let middle = p - 0.5;
    if middle.abs() <= 0.425 {
        return middle * ratio(&A, &B, 0.180_625 - middle * middle);
    }
    let tail = if middle < 0.0 { p } else { 1.0 - p };
    if tail <= 0.0 {
        return if middle < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let r = (-tail.ln()).sqrt();
    let value = if r <= 5.0 { ratio(&C, &D, r - 1.6) } else { ratio(&E, &F, r - 5.0) };
    if middle < 0.0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution_are_known() {
        for (p, x) in [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.25, -0.674_489_750_196_081_7),
            (1e-7, -5.199_337_582_192_817),
            (0.999, 3.090_232_306_167_813_5),
        ] {
            let got = normal_quantile(p);
            assert!((got - x).abs() <= 2e-15 * (1.0 + x.abs()), "{p}: {got} is not {x}");
        }
    }
}
