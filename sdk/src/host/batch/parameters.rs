//! TensorFlow Serving's file of batching parameters: a flat message in protobuf's text form, its numbers mostly wrapped as in
//! `max_batch_size { value: 128 }`.

use std::time::Duration;

use crate::text_proto::{Field, Message, Value};

/// What such a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The most rows of a batch.
    pub most_rows: Option<usize>,
    /// How long a batch waits for more.
    pub latency: Option<Duration>,
    /// Batches that may wait.
    pub batches: Option<usize>,
    /// Batches that are computed side by side.
    pub threads: Option<usize>,
    /// Sizes that batches are filled up to.
    pub sizes: Vec<usize>,
}

/// Sizes and fields that a file may have.
const MOST: usize = 1024;
/// The most rows of a batch, and the most batches.
pub(super) const MOST_ROWS: usize = 1 << 20;
/// The largest number that means anything: an hour in microseconds.
const LARGEST: u64 = 3_600_000_000;

impl Parameters {
    /// Reads a file's text. Of a field that is there twice the last counts.
    ///
    /// # Errors
    /// The line, what was met and what was expected.
    pub fn read(text: &str) -> Result<Self, String> {
        let fields = Message::read(text)?.0;
        if fields.len() > MOST {
            return Err(format!("it has more than {MOST} fields"));
        }
        let mut parameters = Self::default();
        for field in &fields {
            let set = value(field).and_then(|value| parameters.set(&field.name, value));
            set.map_err(|what| format!("line {}: {what}", field.line))?;
        }
        Ok(parameters)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = || {
            let read = value.parse::<u64>().ok().filter(|it| *it <= LARGEST);
            read.ok_or_else(|| {
                format!("{name} is `{}`, expected a whole number up to {LARGEST}", shown(value))
            })
        };
        let count = || {
            let count = usize::try_from(number()?).ok().filter(|it| (1..=MOST_ROWS).contains(it));
            count.ok_or_else(|| format!("{name} is `{}`, expected 1 to {MOST_ROWS}", shown(value)))
        };
        match name {
            "max_batch_size" => self.most_rows = Some(count()?),
            "batch_timeout_micros" => self.latency = Some(Duration::from_micros(number()?)),
            "max_enqueued_batches" => self.batches = Some(count()?),
            "num_batch_threads" => self.threads = Some(count()?),
            "allowed_batch_sizes" => self.sizes.push(count()?),
            "pad_variable_length_inputs" if matches!(value, "false" | "False" | "f" | "0") => {}
            "pad_variable_length_inputs" => {
                return Err(
                    "pad_variable_length_inputs is not offered, since a row that is filled up may be \
                            answered otherwise; requests of one shape go together without it"
                        .to_owned(),
                );
            }
            "thread_pool_name" => {}
            "max_execution_batch_size" | "enable_large_batch_splitting" => {
                tracing::info!("`{name}` of the batching parameters has no effect: a request is never cut");
            }
            _ => {
                return Err(format!(
                    "unknown field `{}`; known are max_batch_size, batch_timeout_micros, max_enqueued_batches, \
                     num_batch_threads, allowed_batch_sizes",
                    shown(name)
                ));
            }
        }
        Ok(())
    }
}

/// As much of a word as helps.
fn shown(word: &str) -> String {
    word.chars().take(40).collect()
}

/// What a field says: a word, or a message that has it as `value`.
fn value(field: &Field) -> Result<&str, String> {
    let inner = match &field.value {
        Value::Message(Message(fields)) => match fields.as_slice() {
            [only] if only.name == "value" => &only.value,
            _ => &field.value,
        },
        plain => plain,
    };
    match inner {
        Value::Word(word) => Ok(word),
        Value::Text(text) => Ok(text),
        Value::Message(_) => {
            Err(format!("`{}` is a message, expected a value or `{{ value: ... }}`", shown(&field.name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_tensorflow_serving_is_read() {
        let text = "max_batch_size { value: 128 } # rows\nbatch_timeout_micros: { value: 0 };\n\
                    max_enqueued_batches{value:1000000}, num_batch_threads { value: 8 }\n\
                    allowed_batch_sizes: 64\nallowed_batch_sizes : 128\npad_variable_length_inputs: false\n\
                    thread_pool_name { value: \"p\" }\n";
        let read = Parameters::read(text).unwrap();
        let wanted = Parameters {
            most_rows: Some(128),
            latency: Some(Duration::ZERO),
            batches: Some(1_000_000),
            threads: Some(8),
            sizes: vec![64, 128],
        };
        assert_eq!(read, wanted);
        assert_eq!(Parameters::read(""), Ok(Parameters::default()));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, wanted) in [
            ("max_batch_size 3", "line 1: met `3`, expected `:` or `{`"),
            ("\n\nmax_batch_size: }", "line 3: met `}`, expected a value"),
            ("max_batch_size { value: 3", "line 1: the text ends, expected `}`"),
            (
                "max_batch_size { size: 3 }",
                "line 1: `max_batch_size` is a message, expected a value or `{ value: ... }`",
            ),
            ("max_batch_size: 0", "line 1: max_batch_size is `0`, expected 1 to 1048576"),
            (
                "batch_timeout_micros: -1",
                "line 1: batch_timeout_micros is `-1`, expected a whole number up to 3600000000",
            ),
        ] {
            assert_eq!(Parameters::read(text).unwrap_err(), wanted);
        }
        let error = Parameters::read("pad_variable_length_inputs: true").unwrap_err();
        assert!(error.contains("not offered"), "{error}");
        assert!(Parameters::read("max_batchsize: 3").unwrap_err().contains("unknown field `max_batchsize`"));
        assert!(Parameters::read(&"allowed_batch_sizes: 1 ".repeat(MOST + 1)).is_err());
    }
}
