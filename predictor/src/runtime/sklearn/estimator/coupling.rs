//! Probabilities of several classes out of those of each pair: the second method of Wu, Lin and Weng, "Probability estimates
//! for multi-class classification by pairwise coupling", JMLR 5 (2004), as libsvm iterates it. libsvm stops early, so its
//! answers are reached only by its own steps and its own stopping rule.

/// Room for one solution at a time.
pub(super) struct Coupling {
    classes: usize,
    /// How likely the first class is when it is one of the two.
    pairwise: Vec<f64>,
    quadratic: Vec<f64>,
    gradient: Vec<f64>,
    probabilities: Vec<f64>,
}

impl Coupling {
    pub(super) fn new(classes: usize) -> Self {
        let square = vec![0.0; classes * classes];
        Self {
            classes,
            pairwise: square.clone(),
            quadratic: square,
            gradient: vec![0.0; classes],
            probabilities: vec![0.0; classes],
        }
    }

    /// Notes how likely the first of two classes is, when it is one of them. Never quite 0 or 1.
    pub(super) fn set(&mut self, first: usize, second: usize, probability: f64) {
        const LEAST: f64 = 1e-7;
        let probability = probability.clamp(LEAST, 1.0 - LEAST);
        self.pairwise[first * self.classes + second] = probability;
        self.pairwise[second * self.classes + first] = 1.0 - probability;
    }

    /// Solves for the probability of each class.
    pub(super) fn solve(&mut self) -> &[f64] {
        let classes = self.classes;
        self.fill_quadratic();
        self.probabilities.fill(1.0 / classes as f64);
        let tolerance = 0.005 / classes as f64;
        for _ in 0..classes.max(100) {
            let mut value = self.evaluate();
            let error = self.gradient.iter().map(|it| (it - value).abs()).fold(0.0, f64::max);
            if error < tolerance {
                break;
            }
            for class in 0..classes {
                value = self.descend(class, value);
            }
        }
        &self.probabilities
    }

    fn fill_quadratic(&mut self) {
        let classes = self.classes;
        for row in 0..classes {
            let mut diagonal = 0.0;
            for column in (0..classes).filter(|&column| column != row) {
                let other = self.pairwise[column * classes + row];
                diagonal += other * other;
                self.quadratic[row * classes + column] = -other * self.pairwise[row * classes + column];
            }
            self.quadratic[row * classes + row] = diagonal;
        }
    }

    /// Fills the gradient anew, so that rounding does not pile up, and returns the quadratic form's value.
    fn evaluate(&mut self) -> f64 {
        let mut value = 0.0;
        for ((row, gradient), probability) in
            self.quadratic.chunks_exact(self.classes).zip(&mut self.gradient).zip(&self.probabilities)
        {
            *gradient = row.iter().zip(&self.probabilities).map(|(q, p)| q * p).sum();
            value += probability * *gradient;
        }
        value
    }

    /// Moves one class to its best, keeps the sum at one, and returns the new value of the form.
    fn descend(&mut self, class: usize, value: f64) -> f64 {
        let row = &self.quadratic[class * self.classes..][..self.classes];
        let diagonal = row[class];
        let step = (value - self.gradient[class]) / diagonal;
        let scale = 1.0 + step;
        self.probabilities[class] += step;
        let value = (value + step * (step * diagonal + 2.0 * self.gradient[class])) / scale / scale;
        for ((gradient, probability), q) in self.gradient.iter_mut().zip(&mut self.probabilities).zip(row) {
            *gradient = (*gradient + step * q) / scale;
            *probability /= scale;
        }
        value
    }
}
