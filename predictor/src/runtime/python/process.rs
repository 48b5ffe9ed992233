//! One worker: a Python process with our script, spoken to over a Unix socket that is its standard input. It ends when the socket
//! does, and so with the predictor, however that ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_sdk::{Code, Env, Error, Tensor};

use super::frame::{self, Frame, Kind};

/// What runs in a worker, in the order its parts need each other.
const SCRIPT: &str = concat!(
    include_str!("worker/protocol.py"),
    include_str!("worker/kserve.py"),
    include_str!("worker/sklearn.py"),
    include_str!("worker/pytorch.py"),
    include_str!("worker/archive.py"),
    include_str!("worker/main.py"),
);
/// Reads the script from the socket, so that it is neither a file nor an endless argument.
const START: &str = include_str!("worker/start.py");
/// The longest line of a worker's that is logged whole.
const LONGEST_LINE: u64 = 8192;
/// How long a worker may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// How workers of one model are made.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) python: PathBuf,
    pub(super) env: Env,
    /// Where it runs: the model's folder.
    pub(super) folder: PathBuf,
    /// The first message.
    pub(super) load: Frame,
    pub(super) patience: Duration,
}

/// A process that has loaded the model.
pub(super) struct Worker {
    child: Child,
    stream: UnixStream,
}

/// Why a worker gave no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// It said so itself, and lives on.
    Said(Error),
    /// The request never left: another worker may take it.
    Unsent(String),
    /// It is gone, and took its request with it.
    Gone(Error),
}

impl Worker {
    /// Starts a process and lets it load the model; returns what it says of the model.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn start(recipe: &Recipe) -> Result<(Self, Frame), String> {
        let told = |error: std::io::Error| format!("cannot start {}: {error}", recipe.python.display());
        let (stream, theirs) = UnixStream::pair().map_err(told)?;
        let mut command = Command::new(&recipe.python);
        command.args(["-u", "-c", START]).current_dir(&recipe.folder);
        command.env_clear().envs(recipe.env.iter());
        // Ctrl-C at a terminal is for the predictor, which lets work in flight end.
        command.process_group(0);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(told)?;
        // The command keeps its end of the socket; without it, the end of the process is the end of the stream.
        drop(command);
        let pid = child.id();
        if let Some(out) = child.stdout.take() {
            log(pid, "stdout", out);
        }
        if let Some(out) = child.stderr.take() {
            log(pid, "stderr", out);
        }
        let mut worker = Self { child, stream };
        let said = worker.begin(recipe);
        match said {
            Ok(frame) => Ok((worker, frame)),
            Err(Broken::Said(error) | Broken::Gone(error)) => Err(error.message),
            Err(Broken::Unsent(text)) => Err(text),
        }
    }

    fn begin(&mut self, recipe: &Recipe) -> Result<Frame, Broken> {
        let until = Instant::now() + recipe.patience;
        let script = SCRIPT.as_bytes();
        let sent = self
            .stream
            .write_all(&(script.len() as u64).to_le_bytes())
            .and_then(|()| self.stream.write_all(script));
        if sent.is_err() {
            return Err(Broken::Gone(self.gone("while it started")));
        }
        self.ask(recipe.load.kind, &recipe.load.fields, &[], until)
    }

    /// Whether the process is there.
    pub(super) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a message and waits for what is said to it.
    pub(super) fn ask(
        &mut self,
        kind: Kind,
        fields: &[(String, Bytes)],
        tensors: &[Tensor],
        until: Instant,
    ) -> Result<Frame, Broken> {
        let mut stream = Timed { stream: &self.stream, until, moved: false };
        if let Err(error) = frame::write(&mut stream, kind, fields, tensors) {
            let unsent = !stream.moved;
            return Err(match error.kind() {
                std::io::ErrorKind::InvalidInput => {
                    Broken::Said(Error::new(Code::TooLarge, error.to_string()))
                }
                std::io::ErrorKind::TimedOut => Broken::Gone(self.too_late()),
                _ if unsent => Broken::Unsent(self.gone("while it waited for a request").message),
                _ => Broken::Gone(self.gone("while it took the request")),
            });
        }
        let answer = Frame::read(&mut stream);
        match answer {
            Ok(frame) if frame.kind == Kind::Done => Ok(frame),
            Ok(frame) if frame.kind == Kind::Failed => Err(Broken::Said(said(&frame))),
            Ok(frame) => Err(Broken::Gone(self.nonsense(&format!("a message of kind {:?}", frame.kind)))),
            Err(error) => Err(Broken::Gone(match error.kind() {
                std::io::ErrorKind::TimedOut => self.too_late(),
                std::io::ErrorKind::InvalidData => self.nonsense(&error.to_string()),
                _ => self.gone(if kind == Kind::Load { "while it loaded" } else { "while it answered" }),
            })),
        }
    }

    fn too_late(&mut self) -> Error {
        self.kill();
        let message = format!(
            "the model did not answer in time; its worker process {} was ended and is started again",
            self.pid()
        );
        Error::new(Code::Deadline, message)
    }

    fn nonsense(&mut self, text: &str) -> Error {
        self.kill();
        Error::new(Code::Inference, format!("the worker process {} spoke nonsense: {text}", self.pid()))
    }

    /// What became of a process that no longer speaks.
    fn gone(&mut self, when: &str) -> Error {
        let until = Instant::now() + Duration::from_secs(1);
        // Its socket may be closed a moment before it is gone.
        while Instant::now() < until && self.lives() {
            pause();
        }
        self.kill();
        let how = self.child.wait().map_or_else(|error| error.to_string(), how_it_ended);
        Error::new(Code::Inference, format!("the model's worker process {} {how} {when}", self.pid()))
    }

    fn kill(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes the socket, at which the process ends by itself, or is ended.
    pub(super) fn dismiss(self) {
        let Self { mut child, stream } = self;
        drop(stream);
        let end = move || {
            let until = Instant::now() + FAREWELL;
            while Instant::now() < until {
                if !matches!(child.try_wait(), Ok(None)) {
                    return;
                }
                pause();
            }
            // Fails only when it has ended.
            let _ = child.kill();
            let _ = child.wait();
        };
        let thread = std::thread::Builder::new().name("python-farewell".to_owned());
        if let Err(error) = thread.spawn(end) {
            tracing::warn!(%error, "cannot wait for a worker process to end; it ends by itself");
        }
    }
}

/// What a worker says went wrong.
fn said(frame: &Frame) -> Error {
    let code = frame.text("code").and_then(|it| Code::from_name(&it)).unwrap_or(Code::Inference);
    let message = frame.text("message").unwrap_or_else(|| "the model failed and did not say how".to_owned());
    Error::new(code, message)
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) => "was killed (SIGKILL; where memory is short, the system does that)".to_owned(),
        (Some(11), _) => "crashed (SIGSEGV, a fault in native code)".to_owned(),
        (Some(6), _) => "aborted (SIGABRT)".to_owned(),
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// A stream whose every read and write ends at the same moment.
struct Timed<'s> {
    stream: &'s UnixStream,
    until: Instant,
    /// Whether anything was sent.
    moved: bool,
}

impl Timed<'_> {
    fn left(&self) -> std::io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// A socket says `WouldBlock` when its time is up.
fn timed_out(error: std::io::Error) -> std::io::Error {
    if error.kind() == std::io::ErrorKind::WouldBlock { std::io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into).map_err(timed_out)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        let written = self.stream.write(bytes).map_err(timed_out)?;
        self.moved |= written > 0;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the model's code prints goes to the log, a line an event.
fn log(pid: u32, stream: &'static str, out: impl Read + Send + 'static) {
    let work = move || {
        let mut out = BufReader::new(out);
        let mut line = Vec::new();
        while let Ok(1..) = out.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            tracing::info!(worker = pid, stream, "{}", text.trim_end());
            line.clear();
        }
    };
    let thread = std::thread::Builder::new().name(format!("python-{stream}"));
    if let Err(error) = thread.spawn(work) {
        tracing::warn!(%error, worker = pid, "cannot read what a worker process prints");
    }
}

/// Waits a moment for a process that is about to end. Only the model's own threads come here, never those of the runtime.
#[expect(clippy::disallowed_methods, reason = "no thread of the runtime waits here")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}
