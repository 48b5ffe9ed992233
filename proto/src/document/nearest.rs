//! Did you mean: the known name nearest to one that is not known.

/// Names longer than this are nobody's typing error.
const MAX_CHARS: usize = 48;

/// Returns the known name nearest to `name`, when it is near enough to be meant: a third of its letters, at least one, may
/// be wrong, missing, too many or swapped with their neighbour. Capitals do not matter.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = letters(name)?;
    known
        .into_iter()
        .filter_map(|candidate| {
            let letters = letters(candidate)?;
            let allowed = (name.len().max(letters.len()) / 3).max(1);
            let distance = distance(&name, &letters);
            (distance <= allowed && distance < letters.len()).then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

fn letters(name: &str) -> Option<Vec<char>> {
    let letters: Vec<_> = name.chars().take(MAX_CHARS + 1).flat_map(char::to_lowercase).collect();
    (1..=MAX_CHARS).contains(&letters.len()).then_some(letters)
}

/// The distance of Damerau and Levenshtein, each letter edited at most once ("optimal string alignment").
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}
