//! What ends a client that stalls: one that says nothing on its connection, or takes nothing of its answer.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The bytes that tell which version of HTTP a client speaks.
const PREFACE: usize = 24;
/// Answers of more bytes are given out in pieces of so many: what is handed over whole cannot be taken back. To copy a piece
/// costs little beside what the network's own copies do, and nothing for answers of the usual size.
const PIECE: usize = 256 << 10;

/// A connection that must begin to speak in time, and must take what is written to it.
///
/// In between it is for HTTP to say who is late: header timeouts in HTTP/1.1, pings in HTTP/2.
pub(super) struct Patient<S> {
    stream: S,
    /// When the client must have begun; `None` once it has.
    begin: Option<Pin<Box<Sleep>>>,
    /// How much was read, as far as it matters.
    read: usize,
    /// When what waits to be written must have got on.
    stalled: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, begin: Duration, write_timeout: Duration) -> Self {
        let begin = Some(Box::pin(tokio::time::sleep(begin)));
        Self { stream, begin, read: 0, stalled: None, write_timeout }
    }

    /// What a write came to: one that waits is given up when none has got on for too long.
    fn wrote<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some(begin) = &mut self.begin else { return outcome };
        if outcome.is_pending() {
            ready!(begin.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client says nothing")));
        }
        self.read += buffer.filled().len() - before;
        if self.read >= PREFACE {
            self.begin = None;
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, data);
        self.wrote(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.wrote(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wrote(cx, outcome)
    }
}

/// Gives a large answer out in pieces, and lets go of what is left when its client has taken none for too long.
///
/// An HTTP/2 client can stop one stream and keep its connection alive, so the connection does not tell.
pub(super) fn in_pieces(response: Response<Body>, timeout: Option<Duration>) -> Response<Body> {
    let Some(timeout) = timeout else { return response };
    if response.body().size_hint().lower() > PIECE as u64 {
        return response.map(|body| Body::new(Pieces::new(body, timeout)));
    }
    response
}

/// The pieces of one answer.
struct Pieces {
    left: Arc<Left>,
    hint: SizeHint,
    watch: tokio::task::AbortHandle,
}

/// What is left of an answer.
struct Left {
    parts: Mutex<Option<Parts>>,
    taken: AtomicU64,
}

struct Parts {
    body: Body,
    /// What the body has given and was not handed over yet.
    data: Bytes,
}

impl Pieces {
    fn new(body: Body, timeout: Duration) -> Self {
        let hint = body.size_hint();
        let parts = Mutex::new(Some(Parts { body, data: Bytes::new() }));
        let left = Arc::new(Left { parts, taken: AtomicU64::new(0) });
        let watch = tokio::spawn(watch(Arc::clone(&left), timeout)).abort_handle();
        Self { left, hint, watch }
    }
}

/// Drops what is left once nothing was taken for too long.
async fn watch(left: Arc<Left>, timeout: Duration) {
    let mut taken = 0;
    loop {
        tokio::time::sleep(timeout).await;
        let now = left.taken.load(Ordering::Relaxed);
        if now == taken {
            tracing::debug!("a client takes nothing of its answer");
            *left.parts.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return;
        }
        taken = now;
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let left = Arc::clone(&self.left);
        let mut parts = left.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Parts { body, data }) = &mut *parts else {
            let gone = io::Error::new(io::ErrorKind::TimedOut, "the client took nothing of its answer");
            return Poll::Ready(Some(Err(axum::Error::new(gone))));
        };
        if data.is_empty() {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(all) => *data = all,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        // A copy: a slice would keep the whole answer for as long as it waits to be sent.
        let piece = Bytes::copy_from_slice(&data.split_to(data.len().min(PIECE)));
        left.taken.fetch_add(1, Ordering::Relaxed);
        let still = self.hint.lower().saturating_sub(piece.len() as u64);
        self.hint = match self.hint.exact() {
            Some(_) => SizeHint::with_exact(still),
            // Only the lower bound is needed: how much there is at least.
            None => at_least(still),
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

fn at_least(bytes: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(bytes);
    hint
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_large_answer_comes_whole_and_what_nobody_takes_is_let_go() {
        let whole = Bytes::from(vec![7; 3 * PIECE + 1]);
        let body = in_pieces(Response::new(Body::from(whole.clone())), Some(SOON)).into_body();
        assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
        assert_eq!(body.collect().await.unwrap().to_bytes(), whole);

        let mut body = in_pieces(Response::new(Body::from(whole.clone())), Some(SOON)).into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), PIECE);
        let until = std::time::Instant::now() + Duration::from_secs(10);
        // The bytes are shared with `whole` alone once the answer has let go of its part.
        let mut whole = whole;
        loop {
            match whole.try_into_mut() {
                Ok(_) => break,
                Err(shared) => whole = shared,
            }
            assert!(std::time::Instant::now() < until, "the rest of the answer is still held");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_or_takes_nothing_is_given_up() {
        let (_client, server) = tokio::io::duplex(16);
        let mut server = Patient::new(server, SOON, SOON);
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(server.write_all(&[0; 64]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
