//! What a request costs: CPU of the server's process for one request, beside a bare axum handler that answers a fixed body.
//!
//! `cargo bench -p weir-tests --bench serve`. Every server is a process of its own; rounds alternate between them, and the
//! median of the rounds is shown. CPU time is read from the kernel's scheduler, so a busy machine disturbs it little.

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BODY: &str = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;
const ROUNDS: usize = 9;
const REQUESTS: usize = 4000;

fn main() {
    if std::env::args().any(|it| it == "bare") {
        return bare();
    }
    let servers = [Server::bare(), Server::predictor(), Server::chain()];
    println!("{} requests a round, {ROUNDS} rounds; one V1 predict of iris, HTTP/1.1 keep-alive", REQUESTS);
    for connections in [1, 16] {
        let mut cpu = vec![Vec::new(); servers.len()];
        let mut wall = vec![Vec::new(); servers.len()];
        for _ in 0..ROUNDS {
            for (index, server) in servers.iter().enumerate() {
                let (spent, took) = server.round(connections);
                cpu[index].push(spent);
                wall[index].push(took);
            }
        }
        println!(
            "\n{connections} connection(s):  {:<34} {:>10} {:>8} {:>12}",
            "", "CPU us/req", "ratio", "wall us/req"
        );
        let base = median(&mut cpu[0]);
        for (index, server) in servers.iter().enumerate() {
            let cpu = median(&mut cpu[index]);
            let wall = median(&mut wall[index]);
            println!("                  {:<34} {cpu:>10.1} {:>7.2}x {wall:>12.1}", server.name, cpu / base);
        }
    }
    println!("\nresident memory of the mesh after this: {:.1} MB", servers[2].resident_mb());
    drop(servers);
    let mut starts: Vec<f64> = (0..15).map(|_| start_to_ready()).collect();
    println!(
        "start to ready (exec to the first 200 of /v2/health/ready): median {:.1} ms",
        median(&mut starts)
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    path: &'static str,
}

impl Server {
    /// axum's own server and a handler that reads the body and answers a fixed one.
    fn bare() -> Self {
        let program = std::env::current_exe().unwrap();
        Self::start("bare axum handler", Command::new(program).arg("bare"), "/v1/models/iris:predict")
    }

    fn predictor() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-under-test"));
        let port = free_port();
        command.args(["predictor", "--model_name", "iris", "--model_dir", "deploy/samples/models/iris"]);
        command.args([
            "--host",
            "127.0.0.1",
            "--http_port",
            &port.to_string(),
            "--grpc_port",
            "0",
            "--admin_port",
            "0",
        ]);
        let child = command.current_dir(root()).stderr(Stdio::null()).spawn().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = Self { name: "predictor alone", child, address, path: "/v1/models/iris:predict" };
        server.wait_ready();
        server
    }

    fn chain() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-under-test"));
        command.args(["run", "-f", "deploy/samples/iris.yaml", "--http-port", "0"]);
        let server = Self::start("chain: router and three hops", &mut command, "/v1/models/iris:predict");
        server.wait_ready();
        server
    }

    /// Starts a server that prints its address as `http://host:port/...`.
    fn start(name: &'static str, command: &mut Command, path: &'static str) -> Self {
        let mut child =
            command.current_dir(root()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let address = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((address, _)) = line.strip_prefix("http://").and_then(|it| it.split_once('/')) {
                break address.parse().unwrap();
            }
        };
        Self { name, child, address, path }
    }

    fn wait_ready(&self) {
        wait_ready(self.address);
    }

    /// One round: microseconds of CPU and of wall time for each request.
    fn round(&self, connections: usize) -> (f64, f64) {
        let before = self.cpu();
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| self.ask(REQUESTS / connections));
            }
        });
        let took = started.elapsed();
        let spent = self.cpu().saturating_sub(before);
        let per = |it: Duration| it.as_nanos() as f64 / 1000.0 / REQUESTS as f64;
        (per(spent), per(took))
    }

    fn ask(&self, count: usize) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
            self.path,
            BODY.len()
        );
        let mut answer = [0; 4096];
        for _ in 0..count {
            stream.write_all(request.as_bytes()).unwrap();
            let read = stream.read(&mut answer).unwrap();
            assert!(
                answer[..read].starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&answer[..read])
            );
        }
    }

    /// The CPU time of every thread so far.
    fn cpu(&self) -> Duration {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            nanos += text.split(' ').next().and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
        }
        Duration::from_nanos(nanos)
    }

    fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|it| it.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Milliseconds from starting the whole mesh to its readiness.
fn start_to_ready() -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-under-test"));
    let port = free_port();
    let started = Instant::now();
    let mut child = command
        .args(["run", "-f", "deploy/samples/iris.yaml", "--http-port", &port.to_string()])
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_ready(address);
    let took = started.elapsed();
    let _ = child.kill();
    let _ = child.wait();
    took.as_secs_f64() * 1000.0
}

fn wait_ready(address: SocketAddr) {
    let started = Instant::now();
    while !ready(address) {
        assert!(started.elapsed() < Duration::from_secs(10), "the server does not become ready");
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

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[tokio::main]
async fn bare() {
    let answer = axum::routing::post(|_body: bytes::Bytes| async {
        ([("content-type", "application/json")], r#"{"predictions":["versicolor"]}"#)
    });
    let router = axum::Router::new().route("/v1/models/{model}", answer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}/", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}
