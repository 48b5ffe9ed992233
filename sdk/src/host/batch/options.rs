//! What is said of batches: flags, TensorFlow Serving's file, and what follows from both for a model.

use std::path::PathBuf;
use std::time::Duration;

use weir_proto::{Signature, TensorSpec};

use super::parameters::{MOST_ROWS, Parameters};
use crate::flags::switch;
use crate::{Batching, Model};

/// Rows that go together when nothing is said of them: KServe's default.
const USUAL_ROWS: usize = 32;
/// Requests that may wait for a model.
const QUEUE: usize = 512;
/// Bytes that the file may have.
const FILE: u64 = 64 << 10;

const BATCHES: &str = "Batches";

/// The flags of a service that puts requests together.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BatchFlags {
    /// Put requests together; without it only where the model gains from it, and never at the cost of one that is alone
    #[arg(long = "enable_batching", alias = "enable_batcher", default_missing_value = "true", num_args = 0..=1,
          value_parser = switch, action = clap::ArgAction::Set, help_heading = BATCHES)]
    enable_batching: Option<bool>,
    /// The most rows that are predicted together [default: 32]
    #[arg(long = "max_batch_size", alias = "max_batchsize", value_parser = clap::value_parser!(u32).range(1..=MOST_ROWS as i64),
          help_heading = BATCHES)]
    max_batch_size: Option<u32>,
    /// How many milliseconds the first request waits for others; 0 for no longer than until a thread is free [default: 0]
    #[arg(long = "max_latency", value_parser = clap::value_parser!(u32).range(0..=600_000), help_heading = BATCHES)]
    max_latency: Option<u32>,
    /// Sizes that batches are filled up to, such as `4,8,16`
    #[arg(long = "allowed_batch_sizes", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MOST_ROWS as i64),
          help_heading = BATCHES)]
    allowed_batch_sizes: Vec<u32>,
    /// TensorFlow Serving's file of such parameters; flags go before it
    #[arg(long = "batching_parameters_file", help_heading = BATCHES)]
    batching_parameters_file: Option<PathBuf>,
}

/// How requests of a model are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOptions {
    /// Whether that was asked for, or forbidden; `None` leaves it to the model.
    pub asked: Option<bool>,
    /// The most rows that are predicted together.
    pub most_rows: usize,
    /// How long the first one waits for others, though the model is idle.
    pub latency: Duration,
    /// Sizes that batches are filled up to, ascending; empty for any size.
    pub sizes: Vec<usize>,
    /// Requests that may wait.
    pub queue: usize,
    /// Predictions side by side, where TensorFlow Serving's file says so.
    pub threads: Option<usize>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        let latency = Duration::ZERO;
        Self { asked: None, most_rows: USUAL_ROWS, latency, sizes: Vec::new(), queue: QUEUE, threads: None }
    }
}

impl BatchFlags {
    /// Makes options of the flags and of the file they name. It reads the file.
    ///
    /// # Errors
    /// What makes no sense, and where.
    pub fn options(&self) -> Result<BatchOptions, String> {
        let file = self.batching_parameters_file.as_ref();
        let file = file.map(|path| {
            let told = |what: String| format!("--batching_parameters_file: {}: {what}", path.display());
            let opened = std::fs::File::open(path).map_err(|error| told(error.to_string()))?;
            let mut text = String::new();
            std::io::Read::read_to_string(&mut std::io::Read::take(opened, FILE + 1), &mut text)
                .map_err(|error| told(error.to_string()))?;
            if text.len() as u64 > FILE {
                return Err(told(format!("it has more than {FILE} bytes")));
            }
            Parameters::read(&text).map_err(told)
        });
        self.over(file.transpose()?.unwrap_or_default())
    }

    fn over(&self, file: Parameters) -> Result<BatchOptions, String> {
        let number = |it: u32| it as usize;
        let mut sizes: Vec<usize> = self.allowed_batch_sizes.iter().copied().map(number).collect();
        if sizes.is_empty() {
            sizes = file.sizes;
        }
        if !sizes.is_sorted_by(|a, b| a < b) {
            return Err(format!("allowed_batch_sizes are {sizes:?}, expected them to ascend"));
        }
        let most = self.max_batch_size.map(number).or(file.most_rows);
        let most = most.or(sizes.last().copied()).unwrap_or(USUAL_ROWS);
        if let Some(&last) = sizes.last()
            && last != most
        {
            return Err(format!(
                "the last of allowed_batch_sizes is {last} and max_batch_size {most}; expected them to be the same"
            ));
        }
        let latency = self.max_latency.map(|it| Duration::from_millis(it.into()));
        let any = *self != Self::default();
        Ok(BatchOptions {
            // Whoever says how wants them.
            asked: self.enable_batching.or(any.then_some(true)),
            most_rows: most,
            latency: latency.or(file.latency).unwrap_or_default(),
            sizes,
            queue: file.batches.map_or(QUEUE, |it| it.saturating_mul(most).clamp(1, 1 << 16)),
            threads: file.threads,
        })
    }
}

impl PartialEq for BatchFlags {
    fn eq(&self, other: &Self) -> bool {
        let key = |it: &Self| {
            let said = (it.enable_batching, it.max_batch_size, it.max_latency);
            (said, it.allowed_batch_sizes.clone(), it.batching_parameters_file.clone())
        };
        key(self) == key(other)
    }
}

/// How requests of one model are put together.
#[derive(Debug, Clone)]
pub(in super::super) struct Rules {
    pub(in super::super) most_rows: usize,
    pub(in super::super) latency: Duration,
    pub(in super::super) sizes: Vec<usize>,
    /// Nobody asked: only as far as the model turns out to gain from it.
    pub(in super::super) learns: bool,
}

impl Rules {
    /// Of a model; `None` where its requests are not put together. What was asked for and will not happen is told in the log.
    pub(in super::super) fn of(options: &BatchOptions, name: &str, model: &dyn Model) -> Option<Self> {
        let asked = options.asked == Some(true);
        if options.asked == Some(false) || options.most_rows < 2 {
            return None;
        }
        let batching = if model.whole().is_some() { Batching::Never } else { model.batching() };
        match batching {
            Batching::Even if !asked => return None,
            Batching::Even | Batching::Gains => {}
            Batching::Never => {
                if asked {
                    tracing::warn!(
                        model = name,
                        "requests are not put together: the model's rows are not independent, or its first dimension is no batch"
                    );
                }
                return None;
            }
        }
        let most_rows = options.most_rows.min(model.most_rows().unwrap_or(usize::MAX));
        if most_rows < 2 {
            return None;
        }
        let sizes = options.sizes.iter().copied().filter(|&it| it <= most_rows).collect();
        let rules = Self { most_rows, latency: options.latency, sizes, learns: !asked };
        if asked {
            let max_latency_ms = options.latency.as_millis();
            tracing::info!(model = name, most_rows, max_latency_ms, "requests are put together");
        }
        Some(rules)
    }

    /// The size that so many rows are filled up to.
    pub(super) fn padded(&self, rows: usize) -> usize {
        // More than the largest is one request, which nobody cuts.
        self.sizes.iter().copied().find(|&it| it >= rows).unwrap_or(rows)
    }

    /// Whether even one that is alone has to come by here.
    pub(in super::super) fn hold(&self) -> bool {
        !self.latency.is_zero() || !self.sizes.is_empty()
    }
}

/// Whether the first size of every tensor is the rows of the batch.
pub(super) fn has_rows(signature: &Signature, wanted: &[usize]) -> bool {
    let open = |it: &TensorSpec| !it.unranked && it.shape.first() == Some(&-1);
    let outputs = wanted.iter().all(|&at| signature.outputs.get(at).is_some_and(open));
    outputs && !signature.inputs.is_empty() && signature.inputs.iter().all(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        flags: BatchFlags,
    }

    fn options(args: &[&str]) -> Result<BatchOptions, String> {
        let cli = <Cli as clap::Parser>::try_parse_from([&["test"], args].concat());
        cli.map_err(|error| error.to_string())?.flags.options()
    }

    #[test]
    fn flags_go_before_the_file_and_whoever_says_how_asks() {
        assert_eq!(options(&[]), Ok(BatchOptions::default()));
        assert_eq!(options(&["--enable_batching=false"]).unwrap().asked, Some(false));
        let file = tempfile("max_batch_size { value: 8 }\nbatch_timeout_micros { value: 2500 }\n");
        let path = format!("--batching_parameters_file={}", file.display());
        let read = options(&["--enable_batching", &path]).unwrap();
        assert_eq!((read.asked, read.most_rows, read.latency.as_micros()), (Some(true), 8, 2500));
        let read =
            options(&[&path, "--max_batch_size=4", "--max_latency=1", "--allowed_batch_sizes=2,4"]).unwrap();
        assert_eq!((read.asked, read.most_rows, read.latency.as_micros()), (Some(true), 4, 1000));
        assert_eq!(options(&["--allowed_batch_sizes=2,16"]).unwrap().most_rows, 16);
        std::fs::remove_file(file).unwrap();
    }

    fn tempfile(text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("weir-batch-{}.txt", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (args, part) in [
            (&["--max_batch_size=0"][..], "0 is not in 1.."),
            (&["--max_batch_size=8", "--allowed_batch_sizes=2,4"], "expected them to be the same"),
            (&["--allowed_batch_sizes=4,2"], "expected them to ascend"),
            (&["--batching_parameters_file=/nowhere/b"], "/nowhere/b: No such file"),
        ] {
            let error = options(args).unwrap_err();
            assert!(error.contains(part), "`{part}` is not in {error}");
        }
    }

    #[test]
    fn rows_are_filled_up_to_the_next_size() {
        let rules = Rules { most_rows: 8, latency: Duration::ZERO, sizes: vec![2, 8], learns: false };
        assert_eq!([1, 2, 3, 8, 9].map(|it| rules.padded(it)), [2, 2, 8, 8, 9]);
    }
}
