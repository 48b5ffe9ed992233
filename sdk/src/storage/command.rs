//! The subcommand `fetch URI DIR [URI DIR ...]`: what KServe's init container does, by the same code that services fetch by.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::{Report, Snapshot, Storage, StorageError, StorageFlags};
use crate::Launch;
use crate::run::USAGE;

/// The names it goes by; the second is that of KServe's image.
pub const NAMES: [&str; 2] = ["fetch", "storage-initializer"];

/// What a shell says of a process that SIGTERM ended.
const TERMINATED: u8 = 128 + 15;

#[derive(Debug, clap::Args)]
struct Flags {
    /// Where a model is, and the folder it shall be in; and so on
    #[arg(required = true, num_args = 2.., value_names = ["URI", "DIR"])]
    pairs: Vec<String>,
    #[command(flatten)]
    storage: StorageFlags,
}

/// Runs the subcommand: its arguments are those behind its name.
pub fn run(launch: &Launch) -> ExitCode {
    let flags: Flags =
        match launch.parse("fetch", "Fetches models into folders, as KServe's storage initializer does.") {
            Ok(flags) => flags,
            Err(error) => {
                let _ = error.print();
                return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            }
        };
    let (pairs, rest) = flags.pairs.as_chunks::<2>();
    if !rest.is_empty() {
        say("fetch: expected pairs of a URI and a folder");
        return ExitCode::from(USAGE);
    }
    let storage = match Storage::new(&flags.storage, &launch.env) {
        Ok(storage) => storage.reporting(report()),
        Err(error) => {
            say(&format!("fetch: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    for [uri, folder] in pairs {
        match storage.fetch_into(uri, Path::new(folder)) {
            Ok(()) => {}
            Err(error) => {
                say(&format!("fetch: {error}"));
                return ExitCode::from(if matches!(error, StorageError::Cancelled { .. }) {
                    TERMINATED
                } else {
                    1
                });
            }
        }
    }
    ExitCode::SUCCESS
}

/// A bar on a terminal, a line every few seconds elsewhere.
fn report() -> Report {
    if !std::io::stderr().is_terminal() {
        let tell =
            |it: &Snapshot| say(&format!("fetch: {}{}", it.line(), if it.done { ", done" } else { "" }));
        return Report { every: Duration::from_secs(5), tell: Arc::new(tell) };
    }
    let tell = |it: &Snapshot| {
        const WIDTH: u64 = 30;
        let done = (it.bytes * WIDTH).checked_div(it.total).unwrap_or(0).min(WIDTH) as usize;
        let bar = format!("{}{}", "#".repeat(done), "-".repeat(WIDTH as usize - done));
        let end = if it.done { "\n" } else { "" };
        // The line is written over, and its rest cleared.
        let _ = write!(std::io::stderr(), "\r[{bar}] {}\x1b[K{end}", it.line());
    };
    Report { every: Duration::from_millis(200), tell: Arc::new(tell) }
}

/// Writes to standard error, where the log of an init container is looked for too.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
