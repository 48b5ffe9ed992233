//! What a request costs: CPU of the server's process for one request, beside a bare axum handler that answers a fixed body.
//!
//! `cargo bench -p weir-tests --bench serve`. Every server is a process of its own; rounds alternate between them, and the
//! median of the rounds is shown. CPU time is read from the kernel's scheduler, so a busy machine disturbs it little.

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use weir_tests::served::{Served, ask, free_port, median, root, wait_ready};

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
    println!("\nresident memory of the mesh after this: {:.1} MB", servers[2].served.resident_mb());
    drop(servers);
    let mut starts: Vec<f64> = (0..15).map(|_| start_to_ready()).collect();
    println!(
        "start to ready (exec to the first 200 of /v2/health/ready): median {:.1} ms",
        median(&mut starts)
    );
}

struct Server {
    name: &'static str,
    served: Served,
    path: &'static str,
}

impl Server {
    /// axum's own server and a handler that reads the body and answers a fixed one.
    fn bare() -> Self {
        let served = Served::start(Command::new(std::env::current_exe().unwrap()).arg("bare"));
        Self { name: "bare axum handler", served, path: "/v1/models/iris:predict" }
    }

    fn predictor() -> Self {
        let args = ["--model_name", "iris", "--model_dir", "deploy/samples/models/iris"];
        let served = Served::predictor(env!("CARGO_BIN_EXE_weir-under-test"), &args.map(str::to_owned));
        Self { name: "predictor alone", served, path: "/v1/models/iris:predict" }
    }

    fn chain() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-under-test"));
        command.args(["run", "-f", "deploy/samples/iris.yaml", "--http-port", "0"]);
        let served = Served::start(&mut command);
        wait_ready(served.address);
        Self { name: "chain: router and three hops", served, path: "/v1/models/iris:predict" }
    }

    /// One round: microseconds of CPU and of wall time for each request.
    fn round(&self, connections: usize) -> (f64, f64) {
        let before = self.served.cpu();
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| self.ask(REQUESTS / connections));
            }
        });
        let took = started.elapsed();
        let spent = self.served.cpu().saturating_sub(before);
        let per = |it: Duration| it.as_nanos() as f64 / 1000.0 / REQUESTS as f64;
        (per(spent), per(took))
    }

    fn ask(&self, count: usize) {
        let mut stream = TcpStream::connect(self.served.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
            self.path,
            BODY.len()
        );
        let mut answer = Vec::new();
        (0..count).for_each(|_| ask(&mut stream, request.as_bytes(), &mut answer));
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
