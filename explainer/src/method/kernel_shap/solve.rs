//! From the values of coalitions to the values of players: the Shapley formula where all are known, and weighted least squares
//! with the efficiency constraint where some are (Lundberg and Lee, NIPS 2017).

use super::coalition::{Coalitions, Plan, Sample};
use super::linear::Factor;

/// A game of `outputs` payoffs a coalition.
#[derive(Debug)]
pub(super) struct Game<'a> {
    /// Of the coalitions of a plan, `[coalition, output]`.
    pub(super) values: &'a [f64],
    /// Of the empty coalition.
    pub(super) empty: &'a [f64],
    /// Of all players together.
    pub(super) full: &'a [f64],
}

/// What each player is worth, `[player, output]`.
#[derive(Debug, Clone, Default)]
pub(super) struct Worth {
    /// Estimates (or exact values) that sum to `full - empty`.
    pub(super) phi: Vec<f64>,
    /// Standard errors: zero where exact, NaN where there are too few pairs to tell.
    pub(super) stderr: Vec<f64>,
}

/// Solves a game whose plan was asked.
pub(super) fn solve(plan: &Plan, game: &Game<'_>) -> Worth {
    match plan {
        Plan::Exact(coalitions) => {
            let phi = exact(coalitions, game);
            Worth { stderr: vec![0.0; phi.len()], phi }
        }
        Plan::Sampled(sample) => sampled(sample, game),
    }
}

/// The Shapley formula: a player's worth is what it adds to a coalition, averaged over sizes and over the coalitions of a size.
fn exact(coalitions: &Coalitions, game: &Game<'_>) -> Vec<f64> {
    let (players, outputs) = (coalitions.players(), game.empty.len());
    let complete = (1_usize << players) - 1;
    let value = |set: usize| match set {
        0 => game.empty,
        _ if set == complete => game.full,
        _ => &game.values[(set - 1) * outputs..set * outputs],
    };
    let mut weights = vec![1.0 / players.max(1) as f64; players];
    for size in 1..players {
        // 1 / (M C(M-1, s)), from the one before it.
        weights[size] = weights[size - 1] * size as f64 / (players - size) as f64;
    }
    let mut phi = vec![0.0; players * outputs];
    for set in 0..complete {
        let weight = weights[set.count_ones() as usize];
        for player in (0..players).filter(|player| set >> player & 1 == 0) {
            let (with, without) = (value(set | 1 << player), value(set));
            let mine = &mut phi[player * outputs..(player + 1) * outputs];
            mine.iter_mut().zip(with.iter().zip(without)).for_each(|(phi, (a, b))| *phi += weight * (a - b));
        }
    }
    phi
}

/// A pair of coalitions as one equation: half the difference of their payoffs is what the players of one side add up to, once
/// the last player's worth is written as what the others leave of the whole.
struct Pair {
    /// The players of the side without the last player.
    members: Vec<usize>,
    /// Where the two sides stand among the coalitions: the one without, the one with the last player.
    sides: [usize; 2],
}

impl Pair {
    fn of(coalitions: &Coalitions, pair: usize) -> Self {
        let last = coalitions.players() - 1;
        let sides =
            if coalitions.has(2 * pair, last) { [2 * pair + 1, 2 * pair] } else { [2 * pair, 2 * pair + 1] };
        Self { members: (0..last).filter(|&player| coalitions.has(sides[0], player)).collect(), sides }
    }

    /// The left side of the equation, for one output.
    fn half_difference(&self, game: &Game<'_>, output: usize) -> f64 {
        let value = |side: usize| game.values[side * game.empty.len() + output];
        (value(self.sides[0]) - value(self.sides[1]) + game.full[output] - game.empty[output]) / 2.0
    }
}

fn sampled(sample: &Sample, game: &Game<'_>) -> Worth {
    let pairs: Vec<Pair> = (0..sample.weights.len()).map(|pair| Pair::of(&sample.coalitions, pair)).collect();
    let free = sample.coalitions.players() - 1;
    let factor = Factor::new(normal_matrix(&pairs, &sample.weights, free), free);
    let phi = estimates(&pairs, sample, game, &factor);
    let stderr = standard_errors(&pairs, sample, game, &factor, &phi);
    Worth { phi, stderr }
}

fn normal_matrix(pairs: &[Pair], weights: &[f64], free: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; free * free];
    for (pair, weight) in pairs.iter().zip(weights) {
        for (at, row) in pair.members.iter().enumerate() {
            // Members ascend, so this is the lower triangle.
            pair.members[..=at].iter().for_each(|column| matrix[row * free + column] += weight);
        }
    }
    matrix
}

fn estimates(pairs: &[Pair], sample: &Sample, game: &Game<'_>, factor: &Factor) -> Vec<f64> {
    let (players, outputs) = (sample.coalitions.players(), game.empty.len());
    let mut phi = vec![0.0; players * outputs];
    for output in 0..outputs {
        let mut right = vec![0.0; players - 1];
        for (pair, weight) in pairs.iter().zip(&sample.weights) {
            let part = weight * pair.half_difference(game, output);
            pair.members.iter().for_each(|&member| right[member] += part);
        }
        let solution = factor.solve(&right);
        let left = game.full[output] - game.empty[output] - solution.iter().sum::<f64>();
        solution
            .iter()
            .chain([&left])
            .enumerate()
            .for_each(|(player, worth)| phi[player * outputs + output] = *worth);
    }
    phi
}

/// The sandwich estimate: how much the solution moves with the residual of each random draw. Pairs whose sizes are there whole
/// are not random. Each residual is divided by one minus its leverage, since the fit itself made it smaller (HC3; MacKinnon
/// and White, Journal of Econometrics 1985).
fn standard_errors(
    pairs: &[Pair],
    sample: &Sample,
    game: &Game<'_>,
    factor: &Factor,
    phi: &[f64],
) -> Vec<f64> {
    let (players, outputs) = (sample.coalitions.players(), game.empty.len());
    if pairs.len() < players {
        return vec![f64::NAN; phi.len()];
    }
    let draws: f64 = sample.drawn.iter().map(|&times| f64::from(times)).sum();
    let (mut sums, mut squares) = (vec![0.0; phi.len()], vec![0.0; phi.len()]);
    let random = pairs.iter().zip(&sample.weights).skip(sample.enumerated);
    for ((pair, weight), &times) in random.zip(&sample.drawn) {
        let times = f64::from(times);
        let mut lever = influence(pair, factor, players - 1);
        lever.push(-lever.iter().sum::<f64>());
        let leverage: f64 = weight * pair.members.iter().map(|&member| lever[member]).sum::<f64>();
        let unfitted = (1.0 - leverage).max(f64::EPSILON);
        for output in 0..outputs {
            let fitted: f64 = pair.members.iter().map(|&member| phi[member * outputs + output]).sum();
            let residual = (pair.half_difference(game, output) - fitted) * weight / times / unfitted;
            for (player, lever) in lever.iter().enumerate() {
                let moved = residual * lever;
                sums[player * outputs + output] += times * moved;
                squares[player * outputs + output] += times * moved * moved;
            }
        }
    }
    let variance = |(sum, square): (f64, f64)| (square - sum * sum / draws).max(0.0);
    sums.into_iter().zip(squares).map(|it| variance(it).sqrt()).collect()
}

/// How the free players' solution moves with the right side of one pair's equation.
fn influence(pair: &Pair, factor: &Factor, free: usize) -> Vec<f64> {
    let mut right = vec![0.0; free];
    pair.members.iter().for_each(|&member| right[member] = 1.0);
    factor.solve(&right)
}
