//! One HTTP/2 connection to a peer, as a tower service.

use std::error::Error as _;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpStream, UnixStream};
use tonic::body::Body;

use super::Target;

/// Windows wide enough that a tensor of megabytes does not wait for updates on a local network.
const WINDOW: u32 = 4 << 20;

/// A connection. Clones share it.
#[derive(Clone)]
pub(super) struct Link(SendRequest<Body>);

impl Link {
    pub(super) async fn connect(target: &Target) -> io::Result<Self> {
        match target {
            Target::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // A call is one small write: to wait for more would only delay it.
                stream.set_nodelay(true)?;
                Self::handshake(TokioIo::new(stream)).await
            }
            Target::Unix(path) => Self::handshake(TokioIo::new(UnixStream::connect(path).await?)).await,
        }
    }

    async fn handshake<I>(io: I) -> io::Result<Self>
    where
        I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(256 << 10)
            // A peer that vanished without a word is found out within fifteen seconds, also while nothing is asked.
            .keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a peer ended");
            }
        });
        Ok(Self(sender))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl tower::Service<http::Request<Body>> for Link {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// What went wrong with the connection, as against what the peer answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkError {
    /// The request never left: it may be sent again.
    NotSent,
    /// It may have left, and nothing came back.
    Broken,
}

impl LinkError {
    /// Returns what the connection did, or `None` when the peer itself answered with that status.
    pub(super) fn of(status: &tonic::Status) -> Option<Self> {
        let mut cause = status.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<hyper::Error>() {
                let not_sent = error.is_canceled() || error.is_closed();
                return Some(if not_sent { Self::NotSent } else { Self::Broken });
            }
            cause = error.source();
        }
        None
    }
}
