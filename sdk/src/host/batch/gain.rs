//! What company is worth to a model: the time of a row in batches of several sizes, learnt from those that were predicted. A
//! library may gain nothing, and then to wait for others costs everybody time.

use std::time::Duration;

/// Classes of sizes: 1, 2, 3 to 4, 5 to 8, and so on; the last holds all larger ones.
const CLASSES: usize = 10;
/// The part of a lone row's time that a row in company may take at most, to be worth the waiting.
const WORTH: f64 = 0.9;
/// After so many batches one of the size that is there is tried again, whatever is known of it.
const AGAIN: u32 = 32;

/// What is known of one model.
#[derive(Default)]
pub(super) struct Gain {
    classes: [Class; CLASSES],
    batches: u32,
}

#[derive(Default, Clone, Copy)]
struct Class {
    /// Seconds of a row, of late; nothing before the second batch, since a library's first of a size is slow.
    row: Option<f64>,
    met: bool,
}

/// The class of batches of so many rows.
fn class(rows: usize) -> usize {
    (rows.max(1).next_power_of_two().trailing_zeros() as usize).min(CLASSES - 1)
}

impl Gain {
    /// Returns how many of so many rows that wait are to be predicted together. What is not known yet is tried.
    pub(super) fn most(&mut self, rows: usize) -> usize {
        self.batches = self.batches.wrapping_add(1);
        let (Some(alone), last) = (self.classes[0].row, class(rows)) else { return rows };
        if last == 0 || self.batches.is_multiple_of(AGAIN) {
            return rows;
        }
        let (mut best, mut least) = (1, alone * WORTH);
        for at in 1..=last {
            let row = self.classes[at].row.unwrap_or(0.0);
            if row <= least {
                (best, least) = (rows.min(1 << at), row);
            }
        }
        if best > 1 && class(best) == last { rows } else { best }
    }

    /// Learns from a batch of so many rows.
    pub(super) fn learn(&mut self, rows: usize, took: Duration) {
        let class = &mut self.classes[class(rows)];
        let row = took.as_secs_f64() / rows.max(1) as f64;
        if class.met {
            class.row = Some(class.row.map_or(row, |before| before + (row - before) / 4.0));
        }
        class.met = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes that are chosen of 32 rows that wait, where a batch takes so many microseconds at once and so many more a row.
    fn chosen(once: u64, row: u64) -> Vec<usize> {
        let mut gain = Gain::default();
        let learn = |gain: &mut Gain, rows: usize| {
            gain.learn(rows, Duration::from_micros(once + row * rows as u64));
        };
        // Each was alone now and then.
        (0..4).for_each(|_| learn(&mut gain, 1));
        let sizes = (0..40).map(|_| {
            let most = gain.most(32);
            learn(&mut gain, most);
            most
        });
        sizes.collect()
    }

    #[test]
    fn company_is_kept_where_a_row_is_cheaper_in_it() {
        let sizes = chosen(1000, 10);
        assert!(sizes[12..].iter().all(|it| *it == 32), "{sizes:?}");
    }

    #[test]
    fn without_a_gain_each_goes_alone_but_for_another_try_now_and_then() {
        let sizes = chosen(10, 3000);
        assert_eq!(sizes.iter().skip(12).filter(|it| **it > 1).count(), 1, "{sizes:?}");
    }

    #[test]
    fn what_nothing_is_known_of_is_tried() {
        let mut gain = Gain::default();
        assert_eq!([gain.most(32), gain.most(1), gain.most(5000)], [32, 1, 5000]);
        (0..4).for_each(|_| gain.learn(1, Duration::from_millis(1)));
        assert_eq!(gain.most(20), 20);
        assert_eq!(class(5000), CLASSES - 1);
    }
}
