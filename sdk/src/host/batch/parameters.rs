//! TensorFlow Serving's file of batching parameters: a flat message in protobuf's text form, its numbers mostly wrapped as in
//! `max_batch_size { value: 128 }`.

use std::time::Duration;

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
        let mut words = Words { rest: text, line: 1 };
        let mut parameters = Self::default();
        for _ in 0..MOST {
            match words.next() {
                None => return Ok(parameters),
                Some("," | ";") => {}
                Some(name) => {
                    let value = words.value(name)?;
                    parameters.set(name, value).map_err(|what| format!("line {}: {what}", words.line))?;
                }
            }
        }
        Err(format!("it has more than {MOST} fields"))
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

/// The words and signs of a text.
struct Words<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Words<'t> {
    /// The value of a field: after a colon, or wrapped in a message that has it as `value`.
    fn value(&mut self, name: &str) -> Result<&'t str, String> {
        let mut next = self.next();
        let wrapped = if next == Some(":") {
            next = self.next();
            next == Some("{")
        } else if next == Some("{") {
            true
        } else {
            return Err(self.expected(&format!("`:` or `{{` after `{}`", shown(name)), next));
        };
        if !wrapped {
            return self.literal(next);
        }
        for sign in ["value", ":"] {
            let met = self.next();
            if met != Some(sign) {
                return Err(self.expected(&format!("`{sign}`"), met));
            }
        }
        let value = self.next();
        let value = self.literal(value)?;
        match self.next() {
            Some("}") => Ok(value),
            met => Err(self.expected("`}`", met)),
        }
    }

    fn literal(&self, met: Option<&'t str>) -> Result<&'t str, String> {
        met.filter(|it| !is_sign(it)).ok_or_else(|| self.expected("a value", met))
    }

    fn expected(&self, what: &str, met: Option<&str>) -> String {
        let met = met.map_or_else(|| "the end".to_owned(), |it| format!("`{}`", shown(it)));
        format!("line {}: expected {what}, met {met}", self.line)
    }
}

fn is_sign(word: &str) -> bool {
    matches!(word, "{" | "}" | ":" | "," | ";" | "<" | ">" | "[" | "]")
}

impl<'t> Iterator for Words<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let is_end = |it: char| it.is_whitespace() || it == '#' || is_sign(it.encode_utf8(&mut [0; 4]));
        loop {
            let rest = self.rest.trim_start();
            self.line += self.rest[..self.rest.len() - rest.len()].matches('\n').count();
            self.rest = rest;
            match rest.chars().next()? {
                '#' => self.rest = rest.find('\n').map_or("", |end| &rest[end..]),
                first => {
                    let end = if is_end(first) {
                        first.len_utf8()
                    } else {
                        rest.find(is_end).unwrap_or(rest.len())
                    };
                    let (word, rest) = rest.split_at(end);
                    self.rest = rest;
                    return Some(word);
                }
            }
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
            ("max_batch_size 3", "line 1: expected `:` or `{` after `max_batch_size`, met `3`"),
            ("\n\nmax_batch_size: }", "line 3: expected a value, met `}`"),
            ("max_batch_size { value: 3", "line 1: expected `}`, met the end"),
            ("max_batch_size { size: 3 }", "line 1: expected `value`, met `size`"),
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
