//! What goes together and what does not, on a model that tells how many rows it is asked for and waits to be let go.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::Duration;

use weir_proto::{Code, Data, DataType, Signature, TensorSpec};

use super::*;
use crate::pool::Share;
use crate::{Metrics, Model, Pool};

/// Answers the sum of each row. A row that holds a nought is refused, one that holds 13 panics.
struct Sums {
    signature: Signature,
    asked: mpsc::Sender<Vec<f32>>,
    go: Mutex<mpsc::Receiver<()>>,
    /// Answers that many rows more than it was asked for.
    more: usize,
}

impl Model for Sums {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let Data::Fp32(values) = &inputs[0].data else { panic!("of another type") };
        self.asked.send(values.to_vec()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        assert!(!values.contains(&13.0), "on purpose");
        if values.contains(&0.0) {
            return Err(Error::invalid("a row holds a nought"));
        }
        let width = inputs[0].row_len();
        let mut sums: Vec<f32> = values.chunks(width).map(|it| it.iter().sum()).collect();
        sums.extend((0..self.more).map(|_| 0.0));
        let sums = Tensor::new("sum", [sums.len()], Data::Fp32(sums.into()));
        Ok(wanted.iter().map(|_| sums.clone()).collect())
    }
}

struct Bench {
    batcher: Arc<Batcher>,
    model: Arc<dyn Model>,
    asked: mpsc::Receiver<Vec<f32>>,
    go: mpsc::Sender<()>,
}

type Answer<'b> = Pin<Box<dyn Future<Output = Result<Vec<f32>, Error>> + 'b>>;

impl Bench {
    fn new(rules: Rules) -> Self {
        Self::answering_more(rules, 0)
    }

    fn answering_more(rules: Rules, more: usize) -> Self {
        let (asked, is_asked) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        let signature = Signature {
            inputs: vec![TensorSpec::new("x", DataType::Fp32, [-1, -1])],
            outputs: vec![TensorSpec::new("sum", DataType::Fp32, [-1])],
            ..Signature::default()
        };
        let model: Arc<dyn Model> = Arc::new(Sums { signature, asked, go: Mutex::new(may_go), more });
        let share = Share { limit: 1, weight: 1, queue: 8 };
        let workers = Arc::new(Workers::new(&Pool::new(1), "model-sums", share));
        let batcher = Batcher::new(rules, 8, workers, Metrics::new().queue("sums"));
        Self { batcher, model, asked: is_asked, go }
    }

    /// A request of rows of so many equal values, which waits in the queue once this returns.
    fn ask(&self, width: usize, rows: &[f32]) -> Answer<'_> {
        self.ask_until(width, rows, None)
    }

    fn ask_until(&self, width: usize, rows: &[f32], until: Option<Instant>) -> Answer<'_> {
        let values: Vec<f32> = rows.iter().flat_map(|it| vec![*it; width]).collect();
        let inputs = vec![Tensor::new("x", [rows.len(), width], Data::Fp32(values.into()))];
        let chosen = Chosen::default_of(Arc::clone(&self.model));
        assert!(self.batcher.takes(&chosen, &inputs, &[0]));
        let caller = Caller { until, span: None };
        let mut answer: Answer<'_> = Box::pin(async move {
            let outputs = self.batcher.predict(chosen, inputs, vec![0], caller).await?;
            let Data::Fp32(sums) = &outputs[0].data else { panic!("of another type") };
            assert_eq!(outputs[0].shape, [sums.len()]);
            Ok(sums.to_vec())
        });
        // One poll puts it into the queue.
        let polled = answer.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        if let std::task::Poll::Ready(outcome) = polled {
            return Box::pin(std::future::ready(outcome));
        }
        answer
    }

    /// The values of the next prediction; lets it go.
    fn next(&self) -> Vec<f32> {
        let values = self.asked.recv().unwrap();
        self.go.send(()).unwrap();
        values
    }
}

fn gather(most_rows: usize) -> Rules {
    Rules { most_rows, latency: Duration::ZERO, sizes: Vec::new(), learns: false }
}

#[test]
fn who_is_alone_is_predicted_at_once_and_who_waits_goes_together() {
    // Without a clock: whoever waited for a time would panic.
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(adaptive());
}

async fn adaptive() {
    let bench = Bench::new(gather(4));
    let first = bench.ask(1, &[1.0]);
    assert_eq!(bench.asked.recv().unwrap(), [1.0]);
    // All threads are busy now.
    let others =
        [bench.ask(1, &[2.0, 3.0]), bench.ask(2, &[4.0]), bench.ask(1, &[5.0, 6.0]), bench.ask(1, &[7.0])];
    bench.go.send(()).unwrap();
    assert_eq!(first.await.unwrap(), [1.0]);
    // Up to four rows of one shape, in their order; nobody of the same shape overtakes.
    assert_eq!(bench.next(), [2.0, 3.0, 5.0, 6.0]);
    assert_eq!(bench.next(), [4.0, 4.0]);
    assert_eq!(bench.next(), [7.0]);
    let [a, b, c, d] = others;
    assert_eq!(a.await.unwrap(), [2.0, 3.0]);
    assert_eq!(b.await.unwrap(), [8.0]);
    assert_eq!(c.await.unwrap(), [5.0, 6.0]);
    assert_eq!(d.await.unwrap(), [7.0]);
}

#[tokio::test]
async fn a_row_that_is_refused_or_panics_costs_its_own_request() {
    let bench = Bench::new(gather(8));
    let first = bench.ask(1, &[1.0]);
    assert_eq!(bench.asked.recv().unwrap(), [1.0]);
    let others = [bench.ask(1, &[2.0]), bench.ask(1, &[0.0]), bench.ask(1, &[13.0]), bench.ask(1, &[3.0])];
    bench.go.send(()).unwrap();
    first.await.unwrap();
    assert_eq!(bench.next(), [2.0, 0.0, 13.0, 3.0]);
    assert_eq!([bench.next(), bench.next(), bench.next(), bench.next()], [[2.0], [0.0], [13.0], [3.0]]);
    let [good, refused, panicked, also] = others;
    assert_eq!((good.await.unwrap(), also.await.unwrap()), (vec![2.0], vec![3.0]));
    let refused = refused.await.unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (Code::InvalidInput, "a row holds a nought"));
    assert_eq!(panicked.await.unwrap_err().code, Code::Inference);
}

#[tokio::test]
async fn who_left_or_is_late_is_not_computed_and_leavers_make_place() {
    let bench = Bench::new(gather(8));
    let first = bench.ask(1, &[1.0]);
    assert_eq!(bench.asked.recv().unwrap(), [1.0]);
    let stays = bench.ask(1, &[2.0]);
    let late = bench.ask_until(1, &[3.0], Some(Instant::now()));
    drop((0..6).map(|_| bench.ask(1, &[4.0])).collect::<Vec<_>>());
    // The queue is of eight, six of whom have left.
    let also = (0..6).map(|_| bench.ask(1, &[5.0])).collect::<Vec<_>>();
    let refused = bench.ask(1, &[6.0]).await.unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    assert_eq!(refused.message, "the queue of `model-sums` is full (8 requests wait)");
    bench.go.send(()).unwrap();
    first.await.unwrap();
    assert_eq!(bench.next(), [2.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]);
    assert_eq!(stays.await.unwrap(), [2.0]);
    assert_eq!(late.await.unwrap_err().code, Code::Deadline);
    for it in also {
        assert_eq!(it.await.unwrap(), [5.0]);
    }
}

#[tokio::test]
async fn a_batch_is_filled_up_by_its_first_row() {
    let bench = Bench::new(Rules { sizes: vec![2, 4], ..gather(4) });
    let first = bench.ask(1, &[1.0]);
    assert_eq!(bench.next(), [1.0, 1.0]);
    assert_eq!(first.await.unwrap(), [1.0]);
    let three = bench.ask(1, &[3.0, 4.0, 5.0]);
    assert_eq!(bench.next(), [3.0, 4.0, 5.0, 3.0]);
    assert_eq!(three.await.unwrap(), [3.0, 4.0, 5.0]);
    // More than the largest size is one request, which is not cut.
    let five = bench.ask(1, &[1.0; 5]);
    assert_eq!(bench.next(), [1.0; 5]);
    assert_eq!(five.await.unwrap(), [1.0; 5]);
}

#[tokio::test]
async fn a_model_that_answers_other_rows_gets_each_request_by_itself() {
    let bench = Bench::answering_more(gather(8), 1);
    let first = bench.ask(1, &[1.0]);
    assert_eq!(bench.asked.recv().unwrap(), [1.0]);
    let (a, b) = (bench.ask(1, &[2.0]), bench.ask(1, &[3.0]));
    bench.go.send(()).unwrap();
    assert_eq!(first.await.unwrap(), [1.0, 0.0]);
    assert_eq!(bench.next(), [2.0, 3.0]);
    assert_eq!([bench.next(), bench.next()], [[2.0], [3.0]]);
    assert_eq!((a.await.unwrap(), b.await.unwrap()), (vec![2.0, 0.0], vec![3.0, 0.0]));
    let input = Tensor::new("x", [1, 1], Data::Fp32(vec![1.0].into()));
    assert!(!bench.batcher.takes(&Chosen::default_of(Arc::clone(&bench.model)), &[input], &[0]));
}

#[tokio::test]
async fn where_waiting_is_asked_for_the_first_waits_until_the_batch_is_full_or_its_time_is_over() {
    // An hour, which nobody waits for here.
    let bench = Bench::new(Rules { latency: Duration::from_secs(3600), ..gather(2) });
    let (other, a) = (bench.ask(2, &[9.0]), bench.ask(1, &[1.0]));
    assert!(bench.asked.try_recv().is_err());
    // Who came first is of another shape, and holds nobody up.
    let b = bench.ask(1, &[2.0]);
    assert_eq!(bench.asked.recv().unwrap(), [1.0, 2.0]);
    // While that is computed two batches more come together, and half of one.
    let more: Vec<_> = (3..8).map(|it| bench.ask(1, &[it as f32])).collect();
    bench.go.send(()).unwrap();
    assert_eq!([bench.next(), bench.next()], [[3.0, 4.0], [5.0, 6.0]]);
    assert_eq!((a.await.unwrap(), b.await.unwrap()), (vec![1.0], vec![2.0]));
    for (it, value) in more.into_iter().take(4).zip([3.0, 4.0, 5.0, 6.0]) {
        assert_eq!(it.await.unwrap(), [value]);
    }
    assert!(bench.asked.try_recv().is_err());
    drop(other);
    let bench = Bench::new(Rules { latency: Duration::from_millis(5), ..gather(2) });
    let alone = bench.ask(1, &[1.0]);
    bench.go.send(()).unwrap();
    assert_eq!(alone.await.unwrap(), [1.0]);
    let next = bench.ask(1, &[2.0]);
    bench.go.send(()).unwrap();
    assert_eq!(next.await.unwrap(), [2.0]);
}
