//! Accepts connections and serves them, HTTP/1.1 and HTTP/2 alike, until told to stop; then lets them end.

use std::task::{Context, Waker};
use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

use super::mesh::Front;
use crate::repoll::Repoll;

/// How long a client may take from one request to the headers of the next, idle time counted: beyond the 60 seconds that
/// proxies keep an idle connection.
const HEADERS: Duration = Duration::from_secs(75);
const WINDOW: u32 = 4 << 20;

/// A bound socket of either kind.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Stream> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

pub(super) async fn serve(listener: Listener, front: Front, mut stopping: watch::Receiver<bool>) {
    let builder = connection_builder();
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // An error means that the sender is gone, and with it everybody who could say stop.
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(Stream::Tcp(stream)) => {
                // An answer is one small write: to wait for more would only delay it.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                spawn(&builder, &graceful, stream, front.clone());
            }
            Ok(Stream::Unix(stream)) => spawn(&builder, &graceful, stream, front.clone()),
            Err(error) => {
                // Out of file descriptors, most likely: to try again at once would spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

fn spawn<S>(builder: &auto::Builder<Eager>, graceful: &GracefulShutdown, stream: S, front: Front)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = builder.serve_connection(TokioIo::new(stream), front).into_owned();
    let connection = Repoll::new(graceful.watch(connection));
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error, "a connection ended");
        }
    });
}

/// Runs a stream where its connection is read, as far as it goes without waiting; only what waits becomes a task.
///
/// A request for a model of microseconds is answered so without a task being made, queued and perhaps moved to another core,
/// which cost more than the model does. Work that takes long goes to the model's own threads, so it waits, too.
#[derive(Debug, Clone, Copy)]
struct Eager;

impl<F> Executor<F> for Eager
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let mut stream = Box::pin(stream);
        // Whoever is to be woken is asked again by the task's own first poll.
        let mut cx = Context::from_waker(Waker::noop());
        if stream.as_mut().poll(&mut cx).is_pending() {
            tokio::spawn(stream);
        }
    }
}

fn connection_builder() -> auto::Builder<Eager> {
    let mut builder = auto::Builder::new(Eager);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(64 << 10);
    builder
        .http2()
        // The date belongs to documents that are cached; no peer reads it off a call.
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(256 << 10)
        .max_concurrent_streams(1024)
        .max_header_list_size(32 << 10)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
