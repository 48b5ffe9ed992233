//! What trees look at: a row's features, each with what is missing in it put where the split would send it, so that a walk
//! needs to compare and nothing else.

/// What lies between this and its negative is zero to LightGBM.
const ZERO: f64 = 1e-35_f32 as f64;
/// The first number that is no category, as it is no 32-bit integer.
const CATEGORY_LIMIT: f64 = 2_147_483_648.0;
/// What stands for a value that is no category. No set holds it, for what files hold is smaller.
const NO_CATEGORY: u32 = u32::MAX;
const KIND_BITS: u32 = 3;
/// Rows of a group, which go side by side.
pub(super) const ABREAST: usize = 12;

/// A column of a group of rows.
pub(super) type Lanes = [f64; ABREAST];

/// How a split looks at a feature. Right is what is above its threshold; NaN is above none, infinity above all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// NaN is missing and goes left.
    NanLeft,
    /// NaN is missing and goes right.
    NanRight,
    /// NaN counts as zero.
    NanIsZero,
    /// NaN and zero are missing and go left.
    ZeroLeft,
    /// NaN and zero are missing and go right.
    ZeroRight,
    /// 1 where NaN is, else 0: for splits that send NaN alone to the right.
    OnlyNan,
    /// 1 where NaN or zero is, else 0.
    OnlyZero,
    /// The whole part is a category, kept as the bits of an integer.
    Category,
}

const KINDS: [Kind; 1 << KIND_BITS] = [
    Kind::NanLeft,
    Kind::NanRight,
    Kind::NanIsZero,
    Kind::ZeroLeft,
    Kind::ZeroRight,
    Kind::OnlyNan,
    Kind::OnlyZero,
    Kind::Category,
];

/// The features that are looked at, each in every way it is looked at: ascending keys.
#[derive(Default)]
pub(super) struct Columns(Vec<u32>);

impl Columns {
    /// Returns the key of a column; `None` for a number of a feature that no model has.
    pub(super) fn key(feature: u32, kind: Kind) -> Option<u32> {
        let key = feature.checked_mul(1 << KIND_BITS)?;
        // There are as many kinds as the bits can tell.
        Some(key | KINDS.iter().position(|it| *it == kind)? as u32)
    }

    /// Returns the kind that a key was made of.
    pub(super) fn kind(key: u32) -> Kind {
        KINDS[key as usize % KINDS.len()]
    }

    /// Makes the columns of some keys.
    ///
    /// # Errors
    /// With the highest feature, when there are not so many.
    pub(super) fn new(keys: impl Iterator<Item = u32>, features: usize) -> Result<Self, usize> {
        // A bit for each kind, which is less than a list of the keys of all nodes takes.
        let mut met = vec![0_u8; features];
        let mut highest = 0;
        for key in keys {
            let feature = (key >> KIND_BITS) as usize;
            highest = highest.max(feature);
            if let Some(met) = met.get_mut(feature) {
                *met |= 1 << (key % (1 << KIND_BITS));
            }
        }
        if highest >= features {
            return Err(highest);
        }
        let mut columns = Vec::new();
        for (feature, met) in (0..).zip(met) {
            let kinds = (0..1 << KIND_BITS).filter(|kind| met >> kind & 1 == 1);
            columns.extend(kinds.map(|kind| feature << KIND_BITS | kind));
        }
        // Leaves look at the first one, whatever it is.
        if columns.is_empty() {
            columns.push(0);
        }
        Ok(Self(columns))
    }

    /// Returns the index of the column of one of the keys.
    pub(super) fn index(&self, key: u32) -> u32 {
        // There are no more columns than keys, which are 32 bits wide.
        self.0.binary_search(&key).unwrap_or(0) as u32
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes the columns of a group of rows of features.
    pub(super) fn gather(&self, rows: &[f64], width: usize, group: &mut [Lanes]) {
        for (&key, lanes) in self.0.iter().zip(group) {
            let feature = (key >> KIND_BITS) as usize;
            let values = rows.chunks_exact(width).map(|row| row[feature]).zip(lanes);
            match Self::kind(key) {
                Kind::NanLeft => values.for_each(|(value, lane)| *lane = zeroed(value)),
                Kind::NanRight => values.for_each(|(value, lane)| {
                    *lane = if value.is_nan() { f64::INFINITY } else { zeroed(value) };
                }),
                Kind::NanIsZero => values.for_each(|(value, lane)| {
                    *lane = if value.abs() > ZERO { value } else { 0.0 };
                }),
                Kind::ZeroLeft => values.for_each(|(value, lane)| {
                    *lane = if value.abs() > ZERO { value } else { f64::NAN };
                }),
                Kind::ZeroRight => values.for_each(|(value, lane)| {
                    *lane = if value.abs() > ZERO { value } else { f64::INFINITY };
                }),
                Kind::OnlyNan => values.for_each(|(value, lane)| {
                    *lane = f64::from(u8::from(value.is_nan()));
                }),
                Kind::OnlyZero => values.for_each(|(value, lane)| {
                    *lane = f64::from(u8::from(value.is_nan() || value.abs() <= ZERO));
                }),
                Kind::Category => values.for_each(|(value, lane)| {
                    *lane = f64::from_bits(category(value).into());
                }),
            }
        }
    }
}

/// LightGBM makes zeros of tiny numbers before it looks at them.
fn zeroed(value: f64) -> f64 {
    if value.abs() <= ZERO { 0.0 } else { value }
}

fn category(value: f64) -> u32 {
    // What is between -1 and 0 is cut to 0.
    if value > -1.0 && value < CATEGORY_LIMIT { value as u32 } else { NO_CATEGORY }
}
