//! What no file can show: loads and predictions that end when the test says so.

use std::sync::atomic::AtomicU64;
use std::sync::mpsc;

use bytes::Bytes;
use weir_proto::{Data, DataType, DecodeLimits, Face, Signature, Tensor, TensorSpec};

use super::*;
use crate::{Context, Model};

/// A model that answers its version, once it may.
struct Numbered {
    signature: Signature,
    version: u64,
    /// Whoever predicts says so, and waits for a word.
    gate: Option<Gate>,
}

/// Tells that somebody has come, and waits until it may go on.
struct Gate(Mutex<mpsc::Sender<()>>, Mutex<mpsc::Receiver<()>>);

impl Gate {
    fn pair() -> (Self, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((come, came), (go, may_go)) = (mpsc::channel(), mpsc::channel());
        (Self(Mutex::new(come), Mutex::new(may_go)), came, go)
    }

    fn pass(&self) {
        self.0.lock().unwrap().send(()).unwrap();
        self.1.lock().unwrap().recv().unwrap();
    }
}

impl Model for Numbered {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, _: &[Tensor], _: &[usize]) -> Result<Vec<Tensor>, Error> {
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        Ok(vec![Tensor::new("y", [1], Data::Int64(vec![self.version as i64].into()))])
    }

    fn cost(&self, _: usize) -> Duration {
        // On the model's own threads: the test's are few.
        Duration::from_secs(1)
    }

    fn memory(&self) -> Option<u64> {
        Some(100)
    }
}

/// Versions that a test adds; each is loaded once somebody lets it.
#[derive(Default)]
struct Shelf {
    versions: Mutex<Vec<Found>>,
    gates: Mutex<Vec<Gate>>,
    predicting: Mutex<Vec<Gate>>,
    loads: AtomicU64,
}

impl Source for Arc<Shelf> {
    fn look(&self, policy: &VersionPolicy, _: bool) -> Result<Vec<Found>, String> {
        let versions = self.versions.lock().unwrap();
        let chosen = policy.choose(versions.iter().map(|it| it.version));
        Ok(chosen.into_iter().map(|version| Found { version, stamp: version, bytes: None }).collect())
    }

    fn load(&self, found: &Found) -> Result<Loaded, String> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = self.gates.lock().unwrap().pop() {
            gate.pass();
        }
        let spec = |name: &str| vec![TensorSpec::new(name, DataType::Int64, [-1])];
        let signature = Signature { inputs: spec("x"), outputs: spec("y"), ..Signature::default() };
        let gate = self.predicting.lock().unwrap().pop();
        let model = Numbered { signature, version: found.version, gate };
        Ok(Loaded { version: found.version.to_string(), ..Loaded::unversioned(Box::new(model)) })
    }
}

impl Shelf {
    fn put(&self, version: u64) {
        self.versions.lock().unwrap().push(Found { version, stamp: version, bytes: None });
    }
}

fn host(shelf: &Arc<Shelf>, care: Care) -> Arc<ModelHost> {
    let asked = Asked {
        options: ModelOptions::new("m"),
        policy: VersionPolicy::default(),
        declared: None,
        mark: 0,
        source: Arc::new(Arc::clone(shelf)),
    };
    ModelHost::of(Box::new(Single(asked)), care).unwrap()
}

async fn ask(host: &ModelHost) -> Result<String, Error> {
    let body = Bytes::from_static(br#"{"instances": [1]}"#);
    let call = Call {
        verb: Verb::Infer,
        model: "m".to_owned(),
        version: String::new(),
        payload: Payload::new(Face::V1, body),
        want: Face::V1,
        context: Context::default(),
        limits: DecodeLimits::default(),
    };
    host.call(call).await.map(|it| String::from_utf8_lossy(&it.body).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_freed_once_its_last_request_has_been_answered() {
    let shelf = Arc::new(Shelf::default());
    let (gate, came, go) = Gate::pair();
    shelf.predicting.lock().unwrap().push(gate);
    shelf.put(1);
    let host = host(&shelf, Care::default());
    let load = |host: &Arc<ModelHost>| {
        let host = Arc::clone(host);
        tokio::task::spawn_blocking(move || host.change(RepositoryVerb::Load, "m"))
    };
    load(&host).await.unwrap().unwrap();
    let old = {
        let Look::Served(it) = host.find("m", "").unwrap_or_else(|_| panic!("it is there")) else { panic!() };
        Arc::downgrade(it.live.model())
    };
    let last = tokio::spawn({
        let host = Arc::clone(&host);
        async move { ask(&host).await }
    });
    tokio::task::spawn_blocking(move || came.recv().unwrap()).await.unwrap();
    shelf.put(2);
    load(&host).await.unwrap().unwrap();
    assert_eq!(ask(&host).await.unwrap(), r#"{"predictions":[2]}"#);
    // It is in no table, and somebody still has it: it is counted.
    assert!(old.upgrade().is_some());
    assert!(host.shared.reap());
    let held: Vec<_> = host.memory().into_iter().map(|it| (it.version, it.bytes)).collect();
    assert_eq!(held, [("1".to_owned(), 100), ("2".to_owned(), 100)]);
    go.send(()).unwrap();
    assert_eq!(last.await.unwrap().unwrap(), r#"{"predictions":[1]}"#);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while host.shared.reap() {
        assert!(std::time::Instant::now() < until, "it is still held");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(old.upgrade().is_none());
    assert_eq!(host.memory().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_load_serves_all_who_wait_and_one_who_leaves_does_not_end_it() {
    let shelf = Arc::new(Shelf::default());
    shelf.put(1);
    let host = host(&shelf, Care::default());
    let loading = Arc::clone(&host);
    tokio::task::spawn_blocking(move || loading.load()).await.unwrap().unwrap();
    let resting = Arc::clone(&host);
    // The first look takes back that it was just loaded.
    tokio::task::spawn_blocking(move || resting.rest(Duration::ZERO)).await.unwrap();
    assert_eq!(host.memory(), []);
    assert!(host.models().await[0].is_ready());
    let (gate, came, go) = Gate::pair();
    shelf.gates.lock().unwrap().push(gate);
    let impatient = tokio::time::timeout(Duration::from_millis(20), ask(&host)).await;
    assert!(impatient.is_err());
    tokio::task::spawn_blocking(move || came.recv().unwrap()).await.unwrap();
    let waiting: Vec<_> = (0..16)
        .map(|_| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { ask(&host).await })
        })
        .collect();
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    for it in waiting {
        assert_eq!(it.await.unwrap().unwrap(), r#"{"predictions":[1]}"#);
    }
    assert_eq!(shelf.loads.load(Ordering::SeqCst), 2);
}
