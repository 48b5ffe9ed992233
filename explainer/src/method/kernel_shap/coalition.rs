//! Which coalitions of features are asked about, and with what weight: all of them, or a paired sample that holds the small
//! and the large ones whole (Lundberg and Lee, NIPS 2017; pairs after Covert and Lee, AISTATS 2021).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::random::{Draw, Key};

/// One less than the golden ratio.
const GOLDEN_STEP: f64 = 0.618_033_988_749_894_9;

/// A list of sets of players, each as a row of bits.
#[derive(Debug, Clone)]
pub(super) struct Coalitions {
    players: usize,
    words: usize,
    bits: Vec<u64>,
}

impl Coalitions {
    fn new(players: usize) -> Self {
        Self { players, words: players.div_ceil(64).max(1), bits: Vec::new() }
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.bits.len() / self.words
    }

    /// Returns how many players there are.
    pub(super) fn players(&self) -> usize {
        self.players
    }

    /// Returns the bits of one coalition; those beyond the players are clear.
    pub(super) fn bits(&self, at: usize) -> &[u64] {
        &self.bits[at * self.words..(at + 1) * self.words]
    }

    /// Returns whether a player is in a coalition.
    pub(super) fn has(&self, at: usize, player: usize) -> bool {
        self.bits[at * self.words + player / 64] >> (player % 64) & 1 == 1
    }

    fn push_pair(&mut self, coalition: &[u64]) {
        self.bits.extend_from_slice(coalition);
        self.bits.extend_from_slice(&complement(coalition, self.players));
    }
}

fn complement(coalition: &[u64], players: usize) -> Vec<u64> {
    let mut bits: Vec<u64> = coalition.iter().map(|word| !word).collect();
    if let Some(last) = bits.last_mut()
        && !players.is_multiple_of(64)
    {
        *last &= (1 << (players % 64)) - 1;
    }
    bits
}

/// What is asked about the coalitions that are neither empty nor complete.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// All of them; the coalition of bits `s` stands at `s - 1`.
    Exact(Coalitions),
    /// Some of them.
    Sampled(Sample),
}

impl Plan {
    /// Plans for some players and at most `samples` coalitions.
    pub(super) fn new(players: usize, samples: usize, exact_up_to: usize, key: Key) -> Self {
        let all = 1_usize.checked_shl(players as u32).filter(|_| players < 32);
        match all {
            Some(all) if players <= exact_up_to || all.saturating_sub(2) <= samples => {
                let mut coalitions = Coalitions::new(players);
                coalitions.bits = (1..(all as u64).saturating_sub(1)).collect();
                Self::Exact(coalitions)
            }
            _ => Self::Sampled(Sample::new(players, samples, key)),
        }
    }

    /// Returns the coalitions.
    pub(super) fn coalitions(&self) -> &Coalitions {
        match self {
            Self::Exact(coalitions) => coalitions,
            Self::Sampled(sample) => &sample.coalitions,
        }
    }
}

/// A weighted sample of pairs: a coalition stands at `2 * pair`, and the one of all other players beside it.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// The coalitions.
    pub(super) coalitions: Coalitions,
    /// The weight of either coalition of a pair; over all coalitions they sum to one.
    pub(super) weights: Vec<f64>,
    /// How many pairs, from the first, stand for themselves: every coalition of their size is there.
    pub(super) enumerated: usize,
    /// How often each of the other pairs was drawn.
    pub(super) drawn: Vec<u32>,
}

impl Sample {
    fn new(players: usize, samples: usize, key: Key) -> Self {
        let mut sample = Self {
            coalitions: Coalitions::new(players),
            weights: Vec::new(),
            enumerated: 0,
            drawn: Vec::new(),
        };
        let budget = (samples / 2).max(1);
        let shares = shares(players);
        let whole = sample.enumerate(&shares, budget);
        sample.enumerated = sample.weights.len();
        if whole < shares.len() {
            sample.draw(&shares[whole..], whole + 1, budget - sample.enumerated, key);
        }
        sample
    }

    /// Takes whole sizes, the smallest (with the largest) first, while the budget affords more of a size than there is.
    /// Returns how many sizes it took.
    fn enumerate(&mut self, shares: &[f64], budget: usize) -> usize {
        let players = self.coalitions.players;
        for (at, share) in shares.iter().enumerate() {
            let size = at + 1;
            let pairs = pairs_of(players, size);
            let left = (budget - self.weights.len()) as f64;
            let remaining: f64 = shares[at..].iter().sum();
            // The slack is for the last size, whose share of what remains is one but for rounding.
            if left * share / remaining < pairs * (1.0 - 1e-8) {
                return at;
            }
            let halved = size * 2 == players;
            for_each_subset(players, size, |subset| {
                // Of a pair of equal sizes, the one with the first player stands for both.
                if !halved || subset[0] & 1 == 1 {
                    self.coalitions.push_pair(subset);
                    self.weights.push(share / (2.0 * pairs));
                }
            });
        }
        shares.len()
    }

    /// Draws pairs from the sizes that are left, until the budget is spent or draws bring nothing new.
    fn draw(&mut self, shares: &[f64], first_size: usize, budget: usize, key: Key) {
        let left: f64 = shares.iter().sum();
        let mut seen: HashMap<Vec<u64>, usize> = HashMap::new();
        // Sizes are taken in a sequence of low discrepancy instead of at random: steps of the golden ratio. It shares the
        // draws out over the sizes as the weights say, and that alone makes the error a tenth smaller.
        let offset = key.draw(u64::MAX).unit();
        for index in 0..budget.saturating_mul(4) as u64 {
            if self.drawn.len() == budget {
                break;
            }
            let mut draw = key.draw(index);
            let at = (offset + index as f64 * GOLDEN_STEP).fract();
            let size = first_size + pick(shares, at * left);
            let subset = random_subset(self.coalitions.players, size, &mut draw);
            match seen.entry(subset) {
                Entry::Occupied(pair) => self.drawn[*pair.get()] += 1,
                Entry::Vacant(place) => {
                    self.coalitions.push_pair(place.key());
                    place.insert(self.drawn.len());
                    self.drawn.push(1);
                }
            }
        }
        let draws: u32 = self.drawn.iter().sum();
        let each = left / (2.0 * f64::from(draws));
        self.weights.extend(self.drawn.iter().map(|&times| each * f64::from(times)));
    }
}

/// The share of the Shapley kernel's weight that each size `s` up to half the players has, together with its mirror `M - s`.
fn shares(players: usize) -> Vec<f64> {
    let mut shares: Vec<f64> = (1..=players / 2)
        .map(|size| {
            let weight = 1.0 / (size as f64 * (players - size) as f64);
            if size * 2 == players { weight } else { 2.0 * weight }
        })
        .collect();
    let total: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= total);
    shares
}

/// How many pairs of coalitions there are of a size and its mirror.
fn pairs_of(players: usize, size: usize) -> f64 {
    let subsets = (0..size).fold(1.0, |product, i| product * (players - i) as f64 / (i + 1) as f64).round();
    if size * 2 == players { subsets / 2.0 } else { subsets }
}

fn pick(shares: &[f64], mut at: f64) -> usize {
    for (index, share) in shares.iter().enumerate() {
        if at < *share {
            return index;
        }
        at -= share;
    }
    shares.len() - 1
}

/// Calls with every subset of a size, in lexicographic order of its members.
fn for_each_subset(players: usize, size: usize, mut take: impl FnMut(&[u64])) {
    let mut members: Vec<usize> = (0..size).collect();
    let mut bits = vec![0; players.div_ceil(64).max(1)];
    loop {
        bits.fill(0);
        members.iter().for_each(|&member| bits[member / 64] |= 1 << (member % 64));
        take(&bits);
        // The last member that can still move up, and all after it close behind.
        let Some(moving) = (0..size).rev().find(|&i| members[i] < players - size + i) else { return };
        members[moving] += 1;
        for i in moving + 1..size {
            members[i] = members[i - 1] + 1;
        }
    }
}

/// Draws a subset; of a pair of equal sizes, the one with the first player.
fn random_subset(players: usize, size: usize, draw: &mut Draw) -> Vec<u64> {
    let mut bits = vec![0_u64; players.div_ceil(64)];
    // Floyd's algorithm: as many draws as members, every subset as likely as every other.
    for top in players - size..players {
        let candidate = draw.below(top + 1);
        let member = if bits[candidate / 64] >> (candidate % 64) & 1 == 1 { top } else { candidate };
        bits[member / 64] |= 1 << (member % 64);
    }
    if size * 2 == players && bits[0] & 1 == 0 { complement(&bits, players) } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(players: usize, samples: usize) -> Sample {
        match Plan::new(players, samples, 0, Key::new(1)) {
            Plan::Sampled(sample) => sample,
            Plan::Exact(_) => panic!("{players} players and {samples} samples were taken exactly"),
        }
    }

    #[test]
    fn samples_are_pairs_within_the_budget_and_their_weights_sum_to_one() {
        for (players, samples) in [(4, 10), (5, 20), (6, 40), (13, 100), (30, 2108), (64, 500), (100, 2248)] {
            let sample = sample(players, samples);
            let coalitions = &sample.coalitions;
            assert_eq!(coalitions.len(), samples, "{players} players");
            assert_eq!(sample.weights.len() * 2, coalitions.len());
            assert!((2.0 * sample.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for pair in 0..sample.weights.len() {
                let twice =
                    (0..players).any(|p| coalitions.has(2 * pair, p) == coalitions.has(2 * pair + 1, p));
                assert!(!twice, "pair {pair} of {players} players is no pair");
            }
            let mut all: Vec<_> = (0..coalitions.len()).map(|at| coalitions.bits(at)).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), coalitions.len(), "{players} players: a coalition twice");
        }
    }

    #[test]
    fn small_and_large_coalitions_are_all_there_first() {
        // 30 single players, then the 435 twos, each with its complement, where the budget has that much for them.
        assert_eq!(sample(30, 2108).enumerated, 30);
        let sample = sample(30, 8000);
        assert_eq!(sample.enumerated, 30 + 435);
        assert_eq!(sample.coalitions.bits(0), [1]);
        assert_eq!(sample.coalitions.bits(1), [(1 << 30) - 2]);
        assert_eq!(sample.coalitions.bits(2 * 464), [3 << 28]);
    }

    #[test]
    fn few_players_are_taken_exactly() {
        for (players, count) in [(0, 0), (1, 0), (2, 2), (11, 2046)] {
            let plan = Plan::new(players, 2048, 0, Key::new(1));
            assert!(matches!(plan, Plan::Exact(_)));
            assert_eq!(plan.coalitions().len(), count);
        }
    }
}
