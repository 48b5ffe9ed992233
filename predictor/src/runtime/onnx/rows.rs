//! Whether the first size of a model's tensors is its rows, as far as the names of sizes tell. A wrong guess would put requests
//! together that change each other's answers.

/// Words in the names of sizes that are no rows: what a recurrent net goes through step by step often comes first.
const LENGTHS: [&str; 7] = ["seq", "len", "time", "step", "token", "frame", "word"];

/// Returns whether the first size of every tensor may be the rows, for all that the names of each tensor's open sizes tell. A size
/// without a name tells nothing.
pub(super) fn are_first<'a>(tensors: impl IntoIterator<Item: IntoIterator<Item = &'a str>>) -> bool {
    tensors.into_iter().all(|names| {
        let mut names = names.into_iter();
        !names.next().is_some_and(is_length) && !names.any(is_batch)
    })
}

fn is_batch(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("batch") || matches!(name.as_str(), "n" | "bs")
}

fn is_length(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    !is_batch(name) && LENGTHS.iter().any(|it| lower.contains(it))
}

#[cfg(test)]
mod tests {
    use super::are_first;

    #[test]
    fn names_of_lengths_and_batches_elsewhere_are_told_from_rows() {
        for name in ["batch", "N", "batch_size", "batch_sequence", "", "unk__7", "None"] {
            assert!(are_first([[name, "seq_len", "height", ""]]), "{name}");
        }
        for name in ["seq", "sequence_length", "Time", "num_tokens"] {
            assert!(!are_first([[name]]), "{name}");
        }
        assert!(!are_first([["batch", ""], ["unk__7", "batch"]]) && !are_first([["", "N"]]));
    }
}
