//! One HTTP/2 connection to a peer. A call is a stream of it, driven by the caller's own task: nothing is queued in between.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use weir_proto::Code;

use super::Target;
use crate::repoll::Repoll;

/// Windows wide enough that a tensor of megabytes does not wait for updates on a local network.
const WINDOW: u32 = 4 << 20;
/// A peer that vanished without a word is found out within these two, also while nothing is asked.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_WAIT: Duration = Duration::from_secs(5);

/// A connection. Clones share it.
pub(super) struct Link {
    sender: SendRequest<Bytes>,
    driver: tokio::task::JoinHandle<()>,
}

/// A whole answer: headers, data, trailers.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) data: Bytes,
    pub(super) trailers: HeaderMap,
}

/// What went wrong with the connection, as against what the peer answered.
#[derive(Debug)]
pub(super) enum LinkError {
    /// The request never left: it may be sent again.
    NotSent(h2::Error),
    /// It may have left, and no whole answer came back.
    Broken(h2::Error),
    /// The answer is larger than what is taken.
    TooLarge(usize),
    /// The peer answered with a status that gRPC never has.
    Status(http::StatusCode),
}

impl Link {
    pub(super) async fn connect(target: &Target) -> io::Result<Self> {
        match target {
            Target::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // A call is one small write: to wait for more would only delay it.
                stream.set_nodelay(true)?;
                Self::handshake(stream).await
            }
            Target::Unix(path) => Self::handshake(UnixStream::connect(path).await?).await,
        }
    }

    async fn handshake(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> io::Result<Self> {
        let (sender, mut connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(256 << 10)
            .enable_push(false)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        let pings = connection.ping_pong();
        let driver = tokio::spawn(Repoll::new(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to a peer ended");
                },
                () = keep_alive(pings) => tracing::debug!("a peer does not answer pings"),
            }
        }));
        Ok(Self { sender, driver })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Sends one message and waits for the whole answer, no larger than `max` bytes.
    pub(super) async fn unary(
        &self,
        request: Request<()>,
        message: Bytes,
        max: usize,
    ) -> Result<Answer, LinkError> {
        let mut sender = self.sender.clone().ready().await.map_err(LinkError::NotSent)?;
        let (response, mut stream) = sender.send_request(request, false).map_err(LinkError::NotSent)?;
        // Fails when the peer has ended the stream already: it has answered without the body, or the answer will tell why.
        let _ = stream.send_data(message, true);
        let response = response.await.map_err(LinkError::of)?;
        if response.status() != http::StatusCode::OK {
            return Err(LinkError::Status(response.status()));
        }
        receive(response, max).await
    }
}

async fn receive(response: Response<h2::RecvStream>, max: usize) -> Result<Answer, LinkError> {
    let (head, mut body) = response.into_parts();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(data) = until_reset(body.data().await)? {
        // What was received makes room for more; fails only when the stream has ended.
        let _ = body.flow_control().release_capacity(data.len());
        if first.len() + rest.len() + data.len() > max {
            return Err(LinkError::TooLarge(max));
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    let trailers = until_reset(body.trailers().await.transpose())?.unwrap_or_default();
    let data = if rest.is_empty() { first } else { Bytes::from([&first[..], &rest[..]].concat()) };
    Ok(Answer { headers: head.headers, data, trailers })
}

/// A peer that needs no more of a request than it has read resets the stream with `NO_ERROR` behind its whole answer, which is
/// not to be discarded for that (RFC 9113, section 8.1).
fn until_reset<T>(part: Option<Result<T, h2::Error>>) -> Result<Option<T>, LinkError> {
    match part {
        Some(Err(error)) if error.reason() == Some(h2::Reason::NO_ERROR) => Ok(None),
        other => other.transpose().map_err(LinkError::of),
    }
}

/// Pings a peer for as long as it answers.
async fn keep_alive(pings: Option<h2::PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        tokio::time::sleep(PING_EVERY).await;
        match tokio::time::timeout(PING_WAIT, pings.ping(h2::Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

impl LinkError {
    fn of(error: h2::Error) -> Self {
        // The one reset that promises that nothing was done.
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        if refused { Self::NotSent(error) } else { Self::Broken(error) }
    }

    /// The code of the error that the caller is answered.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::NotSent(_) | Self::Broken(_) | Self::Status(_) => Code::Upstream,
            Self::TooLarge(_) => Code::TooLarge,
        }
    }
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(error) | Self::Broken(error) => write!(f, "{error}"),
            Self::TooLarge(max) => write!(f, "the answer is larger than {max} bytes"),
            Self::Status(status) => write!(f, "HTTP status {status}"),
        }
    }
}
