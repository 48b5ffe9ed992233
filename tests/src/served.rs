//! A server in a process of its own, whose CPU time is told: what benches measure.

// A bench has nobody to hand an error to.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that serves. Its drop ends it.
pub struct Served {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
}

impl Served {
    /// Starts a predictor of that program with those arguments, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn predictor(program: &str, args: &[String]) -> Self {
        let port = free_port().to_string();
        let mut command = Command::new(program);
        command.args([
            "predictor",
            "--host=127.0.0.1",
            "--grpc_port=0",
            "--admin_port=0",
            "--http_port",
            &port,
        ]);
        let child = command.args(args).current_dir(root()).stderr(Stdio::null()).spawn().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let served = Self { child, address };
        wait_ready(address);
        served
    }

    /// Starts a server that prints its address as `http://host:port/...`.
    ///
    /// # Panics
    /// When it ends before it does.
    pub fn start(command: &mut Command) -> Self {
        let mut child =
            command.current_dir(root()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((address, _)) = line.strip_prefix("http://").and_then(|it| it.split_once('/')) {
                break address.parse().unwrap();
            }
        };
        Self { child, address }
    }

    /// The CPU time of every thread so far.
    ///
    /// # Panics
    /// When the process has ended.
    pub fn cpu(&self) -> Duration {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            nanos += text.split(' ').next().and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
        }
        Duration::from_nanos(nanos)
    }

    /// The megabytes that it holds.
    ///
    /// # Panics
    /// When the process has ended.
    pub fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|it| it.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value in the middle.
///
/// # Panics
/// When there is none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Sends a request over a connection that stays, and reads the whole answer, which has to be a 200.
///
/// # Panics
/// When it is another.
pub fn ask(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) {
    stream.write_all(request).unwrap();
    answer.clear();
    let mut chunk = [0; 16384];
    loop {
        let read = stream.read(&mut chunk).unwrap();
        answer.extend_from_slice(&chunk[..read]);
        assert!(read > 0 && answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
        let Some(head) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let (_, length) = text.split_once("\r\ncontent-length: ").unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        if answer.len() >= head + 4 + length {
            return;
        }
    }
}

/// Waits until the server there is ready.
///
/// # Panics
/// When it does not become so.
pub fn wait_ready(address: SocketAddr) {
    let started = Instant::now();
    while !ready(address) {
        assert!(started.elapsed() < Duration::from_secs(20), "the server does not become ready");
        std::thread::yield_now();
    }
}

fn ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let asked =
        stream.write_all(b"GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut answer = [0; 64];
    asked.is_ok() && stream.read(&mut answer).is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

/// A port that nobody listens on.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The repository's root.
///
/// # Panics
/// Never: this crate lies in it.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
