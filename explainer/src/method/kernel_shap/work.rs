//! The rows that explain one instance: each distinct one once, and for each the coalitions whose value it goes into.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::coalition::{Coalitions, Plan};
use super::frame::Frame;

/// A row with the features of a coalition from the instance and the others from a row of the background.
#[derive(Debug, Clone, Copy)]
struct Mixed {
    coalition: u32,
    background: u32,
}

/// One instance on its way to an explanation.
#[derive(Debug)]
pub(super) struct Work {
    /// Which row of the frame is explained.
    row: usize,
    /// The features that play: those that differ from the background in some row.
    pub(super) players: Vec<usize>,
    /// The coalitions.
    pub(super) plan: Plan,
    /// Of each feature, which player it is.
    player_of: Vec<Option<usize>>,
    /// The distinct rows to ask about.
    mixed: Vec<Mixed>,
    /// Whose value each row goes into: first the background's rows, then the instance, then the mixed ones.
    users: Users,
    /// Sums over the background, `[coalition, output]`.
    sums: Vec<f64>,
    /// How many of the mixed rows were taken into a batch, and how many of those were answered.
    taken: usize,
    answered: usize,
}

/// Which coalitions use a row, for every row; the lists lie one after the other.
#[derive(Debug, Default)]
struct Users {
    starts: Vec<u32>,
    coalitions: Vec<u32>,
}

impl Users {
    /// Inverts the rows that coalitions use, `[coalition, background row]`.
    fn invert(uses: &[u32], background: usize, rows: usize) -> Self {
        let mut starts = vec![0; rows + 1];
        uses.iter().for_each(|&row| starts[row as usize + 1] += 1);
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let mut ends = starts.clone();
        let mut coalitions = vec![0; uses.len()];
        for (at, &row) in uses.iter().enumerate() {
            let end = &mut ends[row as usize];
            coalitions[*end as usize] = (at / background) as u32;
            *end += 1;
        }
        Self { starts, coalitions }
    }

    fn of(&self, row: usize) -> &[u32] {
        &self.coalitions[self.starts[row] as usize..self.starts[row + 1] as usize]
    }
}

/// How an instance is to be explained.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// At most so many coalitions; `None` for 2 M + 2048.
    pub(super) samples: Option<usize>,
    /// Up to so many players every coalition is asked.
    pub(super) exact_up_to: usize,
    /// What the draws depend on, beside the instance.
    pub(super) seed: u64,
}

impl Budget {
    /// Returns how many coalitions that is for some players.
    pub(super) fn samples(&self, players: usize) -> usize {
        self.samples.unwrap_or(2 * players + 2048)
    }
}

impl Work {
    /// Plans the explanation of an instance by those of its features that differ from the background.
    pub(super) fn new(frame: &Frame, instance: usize, players: Vec<usize>, budget: &Budget) -> Self {
        let row = frame.row_of(instance);
        let samples = budget.samples(players.len());
        let plan = Plan::new(players.len(), samples, budget.exact_up_to, frame.key(budget.seed, instance));
        let mut player_of = vec![None; frame.features()];
        players.iter().enumerate().for_each(|(player, &feature)| player_of[feature] = Some(player));
        let (mixed, uses) = Distinct::new(frame, row, &players, plan.coalitions()).find();
        let rows = frame.background + 1 + mixed.len();
        let users = Users::invert(&uses, frame.background, rows);
        Self { row, players, plan, player_of, mixed, users, sums: Vec::new(), taken: 0, answered: 0 }
    }

    /// Begins with what is known already: the predictions of the background and of the instance.
    pub(super) fn begin(&mut self, background: &[f64], instance: &[f64]) {
        let outputs = instance.len();
        self.sums = vec![0.0; self.plan.coalitions().len() * outputs];
        let known = background.chunks_exact(outputs).chain([instance]);
        known.enumerate().for_each(|(row, prediction)| self.add(row, prediction));
    }

    /// Takes up to `room` rows that were not asked yet: where they begin and how many they are.
    pub(super) fn take(&mut self, room: usize) -> (usize, usize) {
        let first = self.taken;
        let count = room.min(self.mixed.len() - first);
        self.taken += count;
        (first, count)
    }

    /// Returns from which row of the frame a feature of a mixed row comes.
    pub(super) fn source(&self, mixed: usize, feature: usize) -> usize {
        let Mixed { coalition, background } = self.mixed[mixed];
        match self.player_of[feature] {
            Some(player) if !self.plan.coalitions().has(coalition as usize, player) => background as usize,
            _ => self.row,
        }
    }

    /// Takes the prediction of the next row that was asked.
    pub(super) fn answer(&mut self, prediction: &[f64]) {
        let row = self.users.starts.len() - 1 - self.mixed.len() + self.answered;
        self.answered += 1;
        self.add(row, prediction);
    }

    fn add(&mut self, row: usize, prediction: &[f64]) {
        for &coalition in self.users.of(row) {
            let at = coalition as usize * prediction.len();
            let sums = &mut self.sums[at..at + prediction.len()];
            sums.iter_mut().zip(prediction).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Returns whether every row was taken into a batch.
    pub(super) fn is_asked(&self) -> bool {
        self.taken == self.mixed.len()
    }

    /// Returns whether every row was answered.
    pub(super) fn is_answered(&self) -> bool {
        self.answered == self.mixed.len()
    }

    /// Returns the mean predictions of the coalitions, `[coalition, output]`.
    pub(super) fn means(&mut self, background: usize) -> Vec<f64> {
        let mut means = std::mem::take(&mut self.sums);
        means.iter_mut().for_each(|sum| *sum /= background as f64);
        means
    }
}

/// Finds the rows that differ. A mixed row is told by the players whose value it does not share with the instance, and by
/// the background's values of those; so most rows are compared by a few bits.
struct Distinct<'a> {
    coalitions: &'a Coalitions,
    background: usize,
    players: usize,
    /// Of each row of the background, the players that differ from the instance.
    differs: Vec<Vec<u64>>,
    /// Of each row of the background and player, the code of its value.
    codes: Vec<u32>,
}

impl<'a> Distinct<'a> {
    fn new(frame: &Frame, row: usize, players: &[usize], coalitions: &'a Coalitions) -> Self {
        let words = players.len().div_ceil(64).max(1);
        let mut differs = vec![vec![0; words]; frame.background];
        let mut codes = vec![0; frame.background * players.len()];
        for (player, &feature) in players.iter().enumerate() {
            let values = frame.codes(feature);
            for background in 0..frame.background {
                codes[background * players.len() + player] = values[background];
                differs[background][player / 64] |=
                    u64::from(values[background] != values[row]) << (player % 64);
            }
        }
        Self { coalitions, background: frame.background, players: players.len(), differs, codes }
    }

    /// Returns the rows to ask about, and of every coalition and row of the background the row that stands for both: first
    /// count the background's own, then the instance, then those to ask about.
    fn find(&self) -> (Vec<Mixed>, Vec<u32>) {
        let mut mixed = Vec::new();
        let mut uses = Vec::with_capacity(self.coalitions.len() * self.background);
        let mut seen: HashMap<u64, (Option<u32>, u32, u32)> = HashMap::new();
        for background in (0..self.background as u32).rev() {
            let hash = self.hash(None, background);
            seen.insert(hash, (None, background, background));
        }
        for coalition in 0..self.coalitions.len() as u32 {
            for background in 0..self.background as u32 {
                if self.apart(Some(coalition), background).all(|word| word == 0) {
                    uses.push(self.background as u32);
                    continue;
                }
                let new = (self.background + 1 + mixed.len()) as u32;
                let id = match seen.entry(self.hash(Some(coalition), background)) {
                    Entry::Vacant(place) => place.insert((Some(coalition), background, new)).2,
                    Entry::Occupied(other) => {
                        let &(other, row, id) = other.get();
                        // Different rows of one hash are next to impossible, and merely both asked.
                        if self.same((Some(coalition), background), (other, row)) { id } else { new }
                    }
                };
                if id == new {
                    mixed.push(Mixed { coalition, background });
                }
                uses.push(id);
            }
        }
        (mixed, uses)
    }

    /// The players whose value differs from the instance's; no coalition is the empty one.
    fn apart(&self, coalition: Option<u32>, background: u32) -> impl Iterator<Item = u64> {
        let members = coalition.map(|it| self.coalitions.bits(it as usize));
        let differs = self.differs[background as usize].iter().enumerate();
        differs.map(move |(at, word)| word & !members.map_or(0, |bits| bits[at]))
    }

    fn hash(&self, coalition: Option<u32>, background: u32) -> u64 {
        let codes = self.codes_of(background);
        let mut hash = 0_u64;
        for (at, mut word) in self.apart(coalition, background).enumerate() {
            while word != 0 {
                let player = at * 64 + word.trailing_zeros() as usize;
                hash = (hash.rotate_left(5) ^ (u64::from(codes[player]) << 32 | (player as u64 + 1)))
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15);
                word &= word - 1;
            }
        }
        hash ^ hash >> 32
    }

    fn same(&self, (a, row_a): (Option<u32>, u32), (b, row_b): (Option<u32>, u32)) -> bool {
        let (codes_a, codes_b) = (self.codes_of(row_a), self.codes_of(row_b));
        self.apart(a, row_a).eq(self.apart(b, row_b))
            && self.apart(a, row_a).enumerate().all(|(at, word)| {
                (0..64)
                    .filter(|bit| word >> bit & 1 == 1)
                    .all(|bit| codes_a[at * 64 + bit] == codes_b[at * 64 + bit])
            })
    }

    fn codes_of(&self, background: u32) -> &[u32] {
        let start = background as usize * self.players;
        &self.codes[start..start + self.players]
    }
}
