//! Polls a connection again when it has woken itself, instead of letting the runtime queue it.
//!
//! A task that wakes itself while it runs is put at the end of a queue, and an idle core is woken up to take it over: a few
//! microseconds of the kernel's time for what is one more turn of a loop. A connection that answers where it reads does so
//! with every request.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// After so many turns the runtime gets its turn: one connection must not keep the others from theirs.
const TURNS: usize = 16;

/// A future polled again at once when it was woken while it was polled.
pub(crate) struct Repoll<F> {
    future: Pin<Box<F>>,
    gate: Arc<Gate>,
}

/// The waker of the future: holds back what comes while it is polled.
struct Gate {
    polling: AtomicBool,
    woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<F: Future> Repoll<F> {
    pub(crate) fn new(future: F) -> Self {
        let (polling, woken) = (AtomicBool::new(false), AtomicBool::new(false));
        let gate = Arc::new(Gate { polling, woken, task: Mutex::new(None) });
        Self { future: Box::pin(future), gate }
    }
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: whoever polls looks at `woken` after it has taken `polling` back, so one of the two sees the other.
        self.woken.store(true, Ordering::SeqCst);
        if !self.polling.load(Ordering::SeqCst) {
            self.wake_task();
        }
    }
}

impl Gate {
    fn wake_task(&self) {
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.wake_by_ref();
        }
    }

    fn set_task(&self, task: &Waker) {
        let mut kept = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.as_ref().is_some_and(|it| it.will_wake(task)) {
            *kept = Some(task.clone());
        }
    }
}

impl<F: Future> Future for Repoll<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.gate.set_task(cx.waker());
        let waker = Waker::from(Arc::clone(&self.gate));
        let mut inner = Context::from_waker(&waker);
        for _ in 0..TURNS {
            self.gate.woken.store(false, Ordering::SeqCst);
            self.gate.polling.store(true, Ordering::SeqCst);
            let polled = self.future.as_mut().poll(&mut inner);
            self.gate.polling.store(false, Ordering::SeqCst);
            if polled.is_ready() {
                return polled;
            }
            if !self.gate.woken.load(Ordering::SeqCst) {
                return Poll::Pending;
            }
        }
        self.gate.wake_task();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn polls(turns: usize) -> (Arc<Count>, Poll<()>) {
        let mut left = turns;
        let mut future = Repoll::new(std::future::poll_fn(move |cx| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        (count, polled)
    }

    #[test]
    fn a_future_that_wakes_itself_goes_on_at_once_but_not_for_ever() {
        let (count, polled) = polls(TURNS - 1);
        assert_eq!((count.0.load(Ordering::SeqCst), polled), (0, Poll::Ready(())));
        let (count, polled) = polls(TURNS + 1);
        assert_eq!((count.0.load(Ordering::SeqCst), polled), (1, Poll::Pending));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_wake_from_another_thread_is_lost() {
        for _ in 0..200 {
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<u32>(1);
            let sending = tokio::spawn(async move {
                for number in 0..100 {
                    sender.send(number).await.unwrap();
                }
            });
            let received = Repoll::new(async move {
                let mut sum = 0;
                while let Some(number) = receiver.recv().await {
                    sum += number;
                }
                sum
            });
            let sum = tokio::time::timeout(std::time::Duration::from_secs(10), tokio::spawn(received));
            assert_eq!(sum.await.unwrap().unwrap(), 4950);
            sending.await.unwrap();
        }
    }
}
