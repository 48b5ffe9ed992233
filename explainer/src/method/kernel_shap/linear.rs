//! The symmetric, positive semidefinite system of a least-squares problem: Cholesky with diagonal pivoting, which also tells
//! the rank (Higham, Accuracy and Stability of Numerical Algorithms, 10.3).

/// A factored matrix.
#[derive(Debug)]
pub(super) struct Factor {
    size: usize,
    /// How many of the unknowns the matrix determines.
    rank: usize,
    /// Row-major; the lower triangle, in the order of `order`, is the factor.
    lower: Vec<f64>,
    order: Vec<usize>,
}

impl Factor {
    /// Factors a row-major `[size, size]` matrix of which the lower triangle is read.
    pub(super) fn new(matrix: Vec<f64>, size: usize) -> Self {
        let largest = (0..size).map(|i| matrix[i * size + i]).fold(0.0, f64::max);
        let negligible = largest * size as f64 * f64::EPSILON;
        let mut factor = Self { size, rank: size, lower: matrix, order: (0..size).collect() };
        for k in 0..size {
            let Some(pivot) = (k..size).max_by(|&i, &j| factor.at(i, i).total_cmp(&factor.at(j, j))) else {
                break;
            };
            if factor.at(pivot, pivot) <= negligible {
                factor.rank = k;
                break;
            }
            factor.swap(k, pivot);
            factor.eliminate(k);
        }
        factor
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.lower[row * self.size + column]
    }

    /// Swaps rows and columns `k` and `p >= k` of the symmetric rest, touching the lower triangle only.
    fn swap(&mut self, k: usize, p: usize) {
        let n = self.size;
        if k == p {
            return;
        }
        self.order.swap(k, p);
        self.lower.swap(k * n + k, p * n + p);
        (0..k).for_each(|j| self.lower.swap(k * n + j, p * n + j));
        (k + 1..p).for_each(|i| self.lower.swap(i * n + k, p * n + i));
        (p + 1..n).for_each(|i| self.lower.swap(i * n + k, i * n + p));
    }

    fn eliminate(&mut self, k: usize) {
        let n = self.size;
        let root = self.at(k, k).sqrt();
        self.lower[k * n + k] = root;
        (k + 1..n).for_each(|i| self.lower[i * n + k] /= root);
        let column: Vec<f64> = (k + 1..n).map(|i| self.at(i, k)).collect();
        for i in k + 1..n {
            let factor = column[i - k - 1];
            let row = &mut self.lower[i * n + k + 1..=i * n + i];
            row.iter_mut().zip(&column).for_each(|(value, other)| *value -= factor * other);
        }
    }

    /// Solves for one right-hand side. Unknowns that the matrix leaves open are zero.
    pub(super) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut x: Vec<f64> = self.order[..self.rank].iter().map(|&at| right[at]).collect();
        for i in 0..self.rank {
            let known: f64 = (0..i).map(|j| self.at(i, j) * x[j]).sum();
            x[i] = (x[i] - known) / self.at(i, i);
        }
        for i in (0..self.rank).rev() {
            x[i] /= self.at(i, i);
            let (before, value) = (&self.lower[i * self.size..], x[i]);
            x[..i].iter_mut().zip(before).for_each(|(x, factor)| *x -= factor * value);
        }
        let mut solution = vec![0.0; self.size];
        self.order.iter().zip(x).for_each(|(&at, value)| solution[at] = value);
        solution
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(matrix: [[f64; 3]; 3], right: [f64; 3], rank: usize) {
        let factor = Factor::new(matrix.concat(), 3);
        assert_eq!(factor.rank, rank);
        let x = factor.solve(&right);
        for (row, want) in matrix.iter().zip(right) {
            let got: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
            assert!((got - want).abs() < 1e-12, "{x:?} gives {got}, not {want}");
        }
    }

    #[test]
    fn solutions_solve_also_where_the_matrix_is_singular() {
        check([[4.0, 1.0, 0.5], [1.0, 9.0, 2.0], [0.5, 2.0, 16.0]], [1.0, -2.0, 3.0], 3);
        check([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 2.0]], [3.0, 3.0, 1.0], 2);
        check([[0.0; 3]; 3], [0.0; 3], 0);
    }
}
