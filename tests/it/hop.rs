//! One hop: a peer that answers before it has read, that answers too much, that is not there.

use weir_sdk::{
    Call, Code, Context, DecodeLimits, Env, Face, Launch, Origin, Payload, Peer, Running, ServerFlags,
    Sockets, Target, Verb,
};

use crate::harness::root;

async fn predictor(max_in_flight: usize) -> Running {
    let folder = root().join("deploy/samples/models/iris").display().to_string();
    let args = ["--model_name", "iris", "--model_format", "sklearn", "--model_dir", &folder];
    let launch = Launch { args: args.map(str::to_owned).to_vec(), env: Env::default() };
    let mut service = weir_predictor::build(&launch).unwrap();
    service.flags = ServerFlags { max_in_flight, ..ServerFlags::loopback() };
    let sockets = Sockets::bind(&service.flags, &Env::default()).await.unwrap();
    service.start(sockets)
}

fn call(body: Vec<u8>) -> Call {
    Call {
        verb: Verb::Infer,
        model: "iris".to_owned(),
        version: String::new(),
        payload: Payload::new(Face::V1, body.into()),
        want: Face::V1,
        context: Context::default(),
        limits: DecodeLimits::default(),
    }
}

fn peer(running: &Running, max_message: usize) -> std::sync::Arc<Peer> {
    let target = Target::Tcp("127.0.0.1".to_owned(), running.http.port());
    Peer::new(Origin::Predictor, target, max_message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_refuses_before_it_has_read_is_heard() {
    let running = predictor(0).await;
    let peer = peer(&running, 1 << 30);
    for size in [10, 100_000, 10_000_000].repeat(20) {
        let error = peer.call(call(vec![b' '; size])).await.unwrap_err();
        assert_eq!((error.code, error.origin), (Code::Overloaded, Some(Origin::Predictor)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_the_limit_is_refused_and_the_connection_goes_on() {
    let running = predictor(100).await;
    let small = peer(&running, 40);
    weir_sdk::client::wait_ready(&peer(&running, 1 << 20), std::time::Duration::from_secs(10)).await.unwrap();
    let rows = |count: usize| format!("{{\"instances\": [{}]}}", ["[1.5, 1, 1, 1]"].repeat(count).join(","));
    let error = small.call(call(rows(100).into_bytes())).await.unwrap_err();
    assert_eq!(error.code, Code::TooLarge, "{error}");
    let answer = small.call(call(rows(1).into_bytes())).await.unwrap();
    assert!(answer.body.starts_with(b"{\"predictions\":["), "{:?}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_not_there_is_told_at_once() {
    let running = predictor(100).await;
    let peer = peer(&running, 1 << 20);
    drop(running);
    let started = std::time::Instant::now();
    let error = peer.call(call(b"{}".to_vec())).await.unwrap_err();
    assert_eq!((error.code, error.origin), (Code::NotReady, Some(Origin::Predictor)), "{error}");
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}
