//! Accepts connections and serves them, HTTP/1.1 and HTTP/2 alike, until told to stop; then lets them end.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Limits;
use super::mesh::Front;
use super::stall::Patient;
use crate::repoll::Repoll;

const WINDOW: u32 = 4 << 20;
/// What a call between services may have in headers beyond what its client sent, and what HTTP/2 counts beyond their bytes.
const HEADERS_BESIDE: u32 = 8 << 10;
/// Requests of one HTTP/2 connection at once; a client that has more waits.
const STREAMS: u32 = 1024;
/// Requests of one HTTP/2 connection that were cancelled before they were looked at: a client that has more has its connection
/// closed, since it costs work and waits for nothing.
const RESETS: usize = 20;
/// What a client beyond the last place is told, whatever version of HTTP it speaks.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 64\r\n\
    retry-after: 1\r\nconnection: close\r\n\r\n\
    {\"error\":\"this server has all the connections that it may have\"}";

/// How connections are taken in, and how many.
#[derive(Clone)]
pub(super) struct Doors {
    limits: Limits,
    places: Arc<Semaphore>,
}

impl Doors {
    pub(super) fn new(limits: &Limits) -> Self {
        let places = limits.max_connections.min(Semaphore::MAX_PERMITS);
        Self { limits: *limits, places: Arc::new(Semaphore::new(places)) }
    }
}

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

pub(super) async fn serve(
    listener: Listener,
    front: Front,
    doors: Doors,
    mut stopping: watch::Receiver<bool>,
) {
    let builder = connection_builder(&doors.limits);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // An error means that the sender is gone, and with it everybody who could say stop.
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(Stream::Tcp(stream)) => {
                let Ok(place) = Arc::clone(&doors.places).try_acquire_owned() else {
                    turn_away(&stream);
                    continue;
                };
                // An answer is one small write: to wait for more would only delay it.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                let stream = Patient::new(stream, doors.limits.keep_alive, doors.limits.write_timeout);
                spawn(&builder, &graceful, stream, front.clone(), Some(place));
            }
            // Peers on this host: there are as many as there are services.
            Ok(Stream::Unix(stream)) => spawn(&builder, &graceful, stream, front.clone(), None),
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

/// Closes a connection there is no place for: at once, so that its client can go elsewhere and not wait for a place that those
/// who have one need never give up.
fn turn_away(stream: &TcpStream) {
    tracing::debug!("a connection is turned away: all places are taken");
    // What a fresh connection takes at once is enough; whoever does not hear it finds the connection closed.
    let _ = stream.try_write(FULL);
}

fn spawn<S>(
    builder: &auto::Builder<Eager>,
    graceful: &GracefulShutdown,
    stream: S,
    front: Front,
    place: Option<OwnedSemaphorePermit>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = builder.serve_connection(TokioIo::new(stream), front).into_owned();
    let connection = Repoll::new(graceful.watch(connection));
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error, "a connection ended");
        }
        drop(place);
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

fn connection_builder(limits: &Limits) -> auto::Builder<Eager> {
    let mut builder = auto::Builder::new(Eager);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.keep_alive)
        .max_buf_size(limits.max_header_bytes as usize);
    builder
        .http2()
        // The date belongs to documents that are cached; no peer reads it off a call.
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(256 << 10)
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_header_list_size(limits.max_header_bytes + HEADERS_BESIDE)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
