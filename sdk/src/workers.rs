//! A model's own threads: work that takes longer than microseconds runs here, behind a bounded queue.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use weir_proto::{Code, Error};

type Job = Box<dyn FnOnce() + Send>;

/// Threads and their queue. They start with the first job: a model of microseconds never needs them.
pub struct Workers {
    name: String,
    threads: usize,
    queue: usize,
    sender: OnceLock<SyncSender<Job>>,
}

impl Workers {
    /// Creates workers: so many threads, and so many jobs that may wait.
    pub fn new(name: impl Into<String>, threads: usize, queue: usize) -> Self {
        Self { name: name.into(), threads: threads.max(1), queue, sender: OnceLock::new() }
    }

    /// Runs a job. A caller who has left by the time its turn comes is skipped, not computed.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full; `Inference` when the job panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let span = tracing::Span::current();
        let job: Job = Box::new(move || {
            if !reply.is_closed() {
                // The receiver may leave while the job runs; then nobody wants the answer.
                let _ = reply.send(span.in_scope(job));
            }
        });
        match self.sender().try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                let message = format!("the queue of `{}` is full ({} requests wait)", self.name, self.queue);
                return Err(Error::new(Code::Overloaded, message).retry_after(Duration::from_secs(1)));
            }
            Err(TrySendError::Disconnected(_)) => return Err(panicked(&self.name)),
        }
        answer.await.unwrap_or_else(|_| Err(panicked(&self.name)))
    }

    fn sender(&self) -> &SyncSender<Job> {
        self.sender.get_or_init(|| {
            let (sender, receiver) = sync_channel(self.queue);
            let receiver = Arc::new(Mutex::new(receiver));
            for index in 0..self.threads {
                let receiver = Arc::clone(&receiver);
                let thread = std::thread::Builder::new().name(format!("{}-{index}", self.name));
                if let Err(error) = thread.spawn(move || work(&receiver)) {
                    tracing::error!(%error, model = self.name, "cannot start a worker thread");
                }
            }
            sender
        })
    }
}

fn panicked(name: &str) -> Error {
    Error::new(Code::Inference, format!("the model `{name}` failed unexpectedly"))
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    loop {
        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic costs its own request only; its caller sees the reply dropped.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_its_own_request_only() {
        let workers = Workers::new("m", 1, 4);
        let error = workers.run::<()>(|| panic!("on purpose")).await.unwrap_err();
        assert_eq!(error.code, Code::Inference);
        assert_eq!(workers.run(|| Ok(5)).await, Ok(5));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_caller_who_left_is_skipped() {
        let workers = Arc::new(Workers::new("m", 1, 1));
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
        let busy = tokio::spawn({
            let workers = Arc::clone(&workers);
            async move {
                let job = move || {
                    let _ = started.send(());
                    let _ = held.recv();
                    Ok(())
                };
                workers.run(job).await
            }
        });
        has_started.recv().await.unwrap();
        let (ran, mut has_run) = tokio::sync::mpsc::unbounded_channel();
        let mut leaver = Box::pin(workers.run(move || {
            let _ = ran.send(());
            Ok(())
        }));
        // One poll puts it into the queue.
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(leaver.as_mut().poll(cx).is_pending())).await
        );
        assert_eq!(workers.run(|| Ok(())).await.unwrap_err().code, Code::Overloaded);
        drop(leaver);
        hold.send(()).unwrap();
        busy.await.unwrap().unwrap();
        // The job nobody waits for is still in the queue until the thread has passed it over.
        while workers.run(|| Ok(())).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(has_run.try_recv().is_err());
    }
}
