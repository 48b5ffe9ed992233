//! Limits hold before memory is spent, and nobody keeps a place for ever: seen through real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use weir_sdk::{
    BoxFuture, Call, Code, Env, Error, Face, Handle, Metadata, Metrics, ModelStatus, Origin, Payload,
    Running, Server, ServerFlags, Sockets, Verb,
};

use crate::harness::{Process, client, get, post, root, wait_for};

const BODY: &str = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;
const PREDICT: &str = "POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\n";
/// Long beside what a limit of a test is set to, short beside its default.
const LATE: Duration = Duration::from_secs(20);

/// A model whose answers are of some size, and how many of them are still held.
struct Echo {
    size: usize,
    held: Arc<AtomicUsize>,
}

/// An answer's bytes, which are counted while anybody holds them.
struct Held(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handle for Echo {
    fn component(&self) -> Origin {
        Origin::Predictor
    }

    fn verbs(&self) -> &[Verb] {
        &[Verb::Infer]
    }

    fn call(&self, mut call: Call) -> BoxFuture<'_, Result<Payload, Error>> {
        Box::pin(async move {
            call.take_request()?;
            self.held.fetch_add(1, Ordering::Relaxed);
            let held = Held(vec![b' '; self.size], Arc::clone(&self.held));
            Ok(Payload::new(Face::V1, Bytes::from_owner(held)))
        })
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>> {
        Box::pin(std::future::ready(vec![ModelStatus::ready("m", "1")]))
    }

    fn metadata<'a>(&'a self, model: &'a str, _: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        Box::pin(std::future::ready(Err(Error::new(Code::NotFound, model))))
    }
}

/// Starts a server of answers of that size.
async fn serve(size: usize, flags: ServerFlags) -> (Running, Arc<AtomicUsize>) {
    let held = Arc::new(AtomicUsize::new(0));
    let echo = Echo { size, held: Arc::clone(&held) };
    let sockets = Sockets::bind(&flags, &Env::default()).await.unwrap();
    let server = Server::new(Arc::new(echo), (&flags).into(), Metrics::new()).switched((&flags).into());
    (server.start(sockets), held)
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Writes, as far as the other end still takes it.
async fn say(stream: &mut TcpStream, text: impl AsRef<[u8]>) -> std::io::Result<()> {
    stream.write_all(text.as_ref()).await
}

/// Reads until the other end closes.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = async {
        let mut some = [0; 4096];
        loop {
            match stream.read(&mut some).await {
                Ok(0) | Err(_) => return,
                Ok(read) => all.extend_from_slice(&some[..read]),
            }
        }
    };
    tokio::time::timeout(LATE, read).await.expect("the connection is closed in time");
    String::from_utf8_lossy(&all).into_owned()
}

/// Whether a request on a connection of its own is answered with that status.
async fn answers(address: SocketAddr, status: &str) -> bool {
    let mut stream = connect(address).await;
    let asked = say(
        &mut stream,
        format!("{PREDICT}connection: close\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len()),
    );
    // Whoever is turned away may find the connection closed before it has asked.
    let _ = asked.await;
    until_closed(&mut stream).await.starts_with(&format!("HTTP/1.1 {status}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_drip_and_connections_that_say_nothing_are_ended() {
    let flags = ServerFlags { timeout_keep_alive: Duration::from_millis(300), ..ServerFlags::loopback() };
    let (running, _) = serve(10, flags).await;
    let mut silent = connect(running.http).await;
    let mut begun = connect(running.http).await;
    say(&mut begun, "POST /v1").await.unwrap();
    let mut drips = connect(running.http).await;
    let (started, mut sent) = (Instant::now(), 0);
    say(&mut drips, PREDICT).await.unwrap();
    // A byte now and then is progress, but no request.
    while say(&mut drips, "x").await.is_ok() {
        sent += 1;
        assert!(started.elapsed() < LATE, "still open after {sent} bytes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until_closed(&mut silent).await;
    until_closed(&mut begun).await;
    // An idle connection is one that was used, too.
    let mut idle = connect(running.http).await;
    say(&mut idle, format!("{PREDICT}content-length: {}\r\n\r\n{BODY}", BODY.len())).await.unwrap();
    assert!(until_closed(&mut idle).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_answered_that_its_time_is_up() {
    let flags = ServerFlags { body_timeout_seconds: Duration::from_millis(300), ..ServerFlags::loopback() };
    let (running, _) = serve(10, flags).await;
    let (mut reader, mut writer) = connect(running.http).await.into_split();
    writer.write_all(format!("{PREDICT}content-length: 100000\r\n\r\n").as_bytes()).await.unwrap();
    let drip = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = [0; 512];
    let read = tokio::time::timeout(LATE, reader.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("did not arrive whole"), "{answer}");
    drop(reader);
    tokio::time::timeout(LATE, drip).await.expect("the connection is closed").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_too_large_or_too_many_are_refused_over_both_versions_of_http() {
    let (running, _) = serve(10, ServerFlags::loopback()).await;
    let large = format!("x-large: {}\r\n", "a".repeat(80_000));
    let many: String = (0..200).map(|at| format!("x-{at}: 1\r\n")).collect();
    for headers in [&large, &many] {
        let mut stream = connect(running.http).await;
        // It may be refused before all of it is sent.
        let _ = say(&mut stream, format!("{PREDICT}{headers}content-length: 2\r\n\r\n{{}}")).await;
        let answer = until_closed(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let mut stream = connect(running.http).await;
    let _ = say(&mut stream, format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(80_000))).await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"), "{answer}");

    let mut h2 = handshake(running.http).await;
    let large = post_h2().header("x-large", "a".repeat(80_000));
    assert_eq!(status_h2(&mut h2, large.body(()).unwrap()).await, 431);
    let many = (0..200).fold(post_h2(), |request, at| request.header(format!("x-{at}"), "1"));
    assert_eq!(status_h2(&mut h2, many.body(()).unwrap()).await, 431);
    // What is refused costs nobody else of the connection anything.
    assert_eq!(status_h2(&mut h2, post_h2().body(()).unwrap()).await, 200);
}

type H2 = h2::client::SendRequest<Bytes>;

async fn handshake(address: SocketAddr) -> H2 {
    let (sender, connection) = h2::client::handshake(connect(address).await).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn post_h2() -> http::request::Builder {
    http::Request::post("http://x/v1/models/m:predict")
}

async fn status_h2(sender: &mut H2, request: http::Request<()>) -> u16 {
    let mut ready = sender.clone().ready().await.unwrap();
    let (answer, mut body) = ready.send_request(request, false).unwrap();
    // Fails when the answer is there already.
    let _ = body.send_data(Bytes::from_static(BODY.as_bytes()), true);
    tokio::time::timeout(LATE, answer).await.unwrap().unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_cancelled_by_the_thousand_end_their_connection() {
    let (running, held) = serve(10, ServerFlags::loopback()).await;
    let mut h2 = handshake(running.http).await;
    let mut cancelled = 0;
    let started = Instant::now();
    while let Ok(mut ready) = h2.clone().ready().await {
        let Ok((answer, mut body)) = ready.send_request(post_h2().body(()).unwrap(), false) else { break };
        body.send_reset(h2::Reason::CANCEL);
        drop(answer);
        cancelled += 1;
        assert!(started.elapsed() < LATE, "{cancelled} requests were cancelled, and the connection lives");
    }
    assert!(cancelled > 20, "{cancelled}");
    h2 = handshake(running.http).await;
    assert_eq!(status_h2(&mut h2, post_h2().body(()).unwrap()).await, 200);
    assert_eq!(held.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_end_is_refused_at_the_byte_that_is_too_many() {
    let flags = ServerFlags { max_body_bytes: 1 << 20, ..ServerFlags::loopback() };
    let (running, _) = serve(10, flags).await;
    let mut stream = connect(running.http).await;
    say(&mut stream, format!("{PREDICT}transfer-encoding: chunked\r\n\r\n")).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(1 << 16));
    let mut sent = 0;
    while sent < 1000 && say(&mut stream, &chunk).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 1000, "64 MB went into a server that takes one");
    let flags = ServerFlags { max_body_bytes: 100, ..ServerFlags::loopback() };
    let (running, _) = serve(10, flags).await;
    let answer = post(&format!("http://{}/v1/models/m:predict", running.http), " ".repeat(101)).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_and_elements_have_flags() {
    let flags = ServerFlags { max_json_depth: 4, max_tensor_elements: 6, ..ServerFlags::loopback() };
    let (running, _) = serve(10, flags).await;
    let url = format!("http://{}/v1/models/m:predict", running.http);
    for (body, status, part) in [
        (r#"{"instances": [[1, 2, 3], [4, 5, 6]]}"#.to_owned(), 200, ""),
        (r#"{"instances": [[[[1]]]]}"#.to_owned(), 400, "nested"),
        (r#"{"instances": [[1, 2, 3, 4], [5, 6, 7, 8]]}"#.to_owned(), 413, "more than 6 elements"),
        (format!("{{\"instances\": {}", "[".repeat(100_000)), 400, "nested"),
    ] {
        let answer = post(&url, body).await;
        assert!(answer.status == status && answer.text.contains(part), "{} {}", answer.status, answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_last_place_connections_are_turned_away_until_one_is_free() {
    let flags = ServerFlags {
        max_connections: 3,
        timeout_keep_alive: Duration::from_secs(2),
        ..ServerFlags::loopback()
    };
    let (running, _) = serve(10, flags).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(connect(running.http).await);
    }
    wait_for(LATE, || answers(running.http, "503")).await;
    let told = until_closed(&mut connect(running.grpc).await).await;
    assert!(told.contains("all the connections that it may have"), "{told}");
    let length = told.split_once("content-length: ").unwrap().1.split_once("\r\n").unwrap().0;
    assert_eq!(told.split_once("\r\n\r\n").unwrap().1.len().to_string(), length);
    // Probes have places of their own.
    assert_eq!(get(&format!("http://{}/livez", running.admin.unwrap())).await.unwrap().status, 200);
    idle.pop();
    wait_for(LATE, || answers(running.http, "200")).await;
    // Whoever only holds a place loses it.
    for mut stream in idle {
        until_closed(&mut stream).await;
    }
    assert!(answers(running.http, "200").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_its_answer_holds_nothing_for_ever() {
    let flags = ServerFlags { write_timeout_seconds: Duration::from_millis(300), ..ServerFlags::loopback() };
    // More than all buffers of a connection take.
    let (running, held) = serve(64 << 20, flags).await;
    let free = || async { held.load(Ordering::Relaxed) == 0 };

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(running.http).await.unwrap();
    say(&mut stream, format!("{PREDICT}content-length: {}\r\n\r\n{BODY}", BODY.len())).await.unwrap();
    wait_for(LATE, || async { held.load(Ordering::Relaxed) == 1 }).await;
    wait_for(LATE, free).await;

    // Over HTTP/2 a client can leave one answer and go on with others on the same connection; so it can over gRPC.
    let mut grpc = handshake(running.http).await;
    let request = http::Request::post("http://x/inference.GRPCInferenceService/ModelInfer");
    let request =
        request.header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap();
    let (called, mut body) = grpc.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"\0\0\0\0\x03\x0a\x01m"), true).unwrap();
    let mut called = called.await.unwrap().into_body();

    let mut h2 = handshake(running.http).await;
    let (answer, mut body) = h2.send_request(post_h2().body(()).unwrap(), false).unwrap();
    body.send_data(Bytes::from_static(BODY.as_bytes()), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!((answer.status().as_u16(), held.load(Ordering::Relaxed)), (200, 1));
    wait_for(LATE, free).await;
    let live = http::Request::get("http://x/v2/health/live").body(()).unwrap();
    assert_eq!(status_h2(&mut h2, live).await, 200);

    // The call was first, so its time is up as well: whoever begins to read now gets what was on its way, and an error.
    let mut got = 0;
    let ended = loop {
        match called.data().await {
            Some(Ok(data)) => {
                got += data.len();
                called.flow_control().release_capacity(data.len()).unwrap();
            }
            other => break other,
        }
    };
    assert!(matches!(ended, Some(Err(_))) && got < 64 << 20, "{got} bytes, then {ended:?}");

    // And whoever reads, gets it all.
    let whole = client().post(format!("http://{}/v1/models/m:predict", running.http)).body(BODY).send().await;
    assert_eq!(whole.unwrap().bytes().await.unwrap().len(), 64 << 20);
    wait_for(LATE, free).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_grpc_its_methods_are_refused_and_its_port_is_not_there() {
    let flags = ServerFlags { enable_grpc: false, ..ServerFlags::loopback() };
    let (running, _) = serve(10, flags).await;
    assert_eq!(running.grpc, running.http);
    let mut h2 = handshake(running.http).await;
    let request = http::Request::post("http://x/inference.GRPCInferenceService/ModelInfer");
    let request = request.header("content-type", "application/grpc").body(()).unwrap();
    let (answer, _body) = h2.send_request(request, false).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "12", "{answer:?}");
    assert!(answers(running.http, "200").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_models_are_not_to_be_changed_load_and_unload_are_forbidden() {
    let models = root().join("deploy/samples/models/iris").display().to_string();
    let args = ["--model_name=iris", "--model_control_mode=none", "--model_dir", &models];
    let launch = weir_sdk::Launch { args: args.map(str::to_owned).to_vec(), env: Env::default() };
    let mut service = weir_predictor::build(&launch).unwrap();
    service.flags =
        ServerFlags { model_control_mode: service.flags.model_control_mode, ..ServerFlags::loopback() };
    let sockets = Sockets::bind(&service.flags, &Env::default()).await.unwrap();
    let running = service.start(sockets);
    for verb in ["load", "unload"] {
        let url = format!("http://{}/v2/repository/models/iris/{verb}", running.http);
        let answer = post(&url, "{}").await;
        assert_eq!(answer.status, 403, "{}", answer.text);
        assert!(answer.text.contains("`--model_control_mode` is `none`"), "{}", answer.text);
    }
}

/// The most memory a process has had, in megabytes.
fn high_water(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

const SIZE: usize = 90 << 20;

/// A list of as many empty strings as there is room for.
fn strings() -> String {
    format!("[{}\"\"]", "\"\",".repeat(SIZE / 3))
}

/// A V2 request of ten such lists, each a tenth as long.
fn ten_inputs() -> String {
    let count = SIZE / 30;
    let data = format!("[{}\"\"]", "\"\",".repeat(count - 1));
    let input = |at: u8| {
        format!("{{\"name\": \"i{at}\", \"shape\": [{count}], \"datatype\": \"BYTES\", \"data\": {data}}}")
    };
    format!("{{\"inputs\": [{}]}}", (0..10).map(input).collect::<Vec<_>>().join(", "))
}

fn a_million_keys() -> String {
    let keys: Vec<String> = (0..1_000_000).map(|at| format!("\"k{at}\": 1")).collect();
    format!("{{\"instances\": [{{{}}}]}}", keys.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_cost_no_more_memory_than_a_few_times_their_size() {
    let one_input = "{\"name\": \"x\", \"shape\": [1], \"datatype\": \"BYTES\", \"data\": ";
    for (what, path, body) in [
        ("rows of strings", "/v1/models/iris:predict", format!("{{\"instances\": [{}]}}", strings())),
        ("a row of keys", "/v1/models/iris:predict", a_million_keys()),
        (
            "more than a shape says",
            "/v2/models/iris/infer",
            format!("{{\"inputs\": [{one_input}{}}}]}}", strings()),
        ),
        ("ten inputs", "/v2/models/iris/infer", ten_inputs()),
    ] {
        let process = Process::start(&["-f", "deploy/samples/iris.yaml"], &[]);
        process.ready().await;
        let before = high_water(process.pid());
        let answer = post(&process.url(path), body).await;
        assert!(matches!(answer.status, 400 | 413), "{what}: {} {}", answer.status, answer.text);
        check_grown(what, &process, before);
    }
}

/// Every hop of a chain in one process holds the body: what came in, what goes out, and what it is received into, which grows
/// by doubling. Beyond that a body may cost what its limit of strings takes.
fn check_grown(what: &str, process: &Process, before: usize) {
    let grown = high_water(process.pid()) - before;
    println!("{what}: {grown} MB");
    assert!(grown < 700, "{what}: {grown} MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_empty_inputs_costs_no_more_than_a_few_times_its_size() {
    let process = Process::start(&["-f", "deploy/samples/iris.yaml"], &[]);
    process.ready().await;
    let before = high_water(process.pid());
    // The name of the model, and inputs of no fields: two bytes each.
    let mut message = b"\x0a\x04iris".to_vec();
    message.extend([0x2a, 0].repeat(SIZE / 2));
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let address = process.door.strip_prefix("http://").unwrap().parse().unwrap();
    let mut h2 = handshake(address).await;
    let request = http::Request::post("http://x/inference.GRPCInferenceService/ModelInfer");
    let request =
        request.header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap();
    let (answer, mut body) = h2.send_request(request, false).unwrap();
    body.send_data(framed.into(), true).unwrap();
    let answer = tokio::time::timeout(LATE, answer).await.unwrap().unwrap();
    assert_eq!(answer.headers()["grpc-status"], "8", "{answer:?}");
    check_grown("empty inputs", &process, before);
}
