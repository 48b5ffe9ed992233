//! Answers, errors and streams of answers as HTTP responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use weir_proto::{Code, Error, Origin};

use super::compress::{self, ACCEPT, ENCODING, Encoding};
use crate::grpc::status_of;
use crate::server::app::App;
use crate::wire::{Answer, GRPC, GRPC_STATUS};

/// The longest that a client may leave one message of a stream unread.
const UNREAD: Duration = Duration::from_secs(60);

/// The answer of a call that went well: one framed message.
pub(super) fn ok(framed: Bytes) -> Response<Body> {
    of_body(Body::new(Answer::ok(framed)))
}

fn of_body(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

/// An error, this service's where nobody else said it.
pub(super) fn refuse(app: &App, error: Error) -> Response<Body> {
    let unsupported = error.code == Code::Unsupported;
    let status = status_of(&error.or_origin(app.handle.component()));
    let mut response = status.into_http::<tonic::body::Body>().map(Body::new);
    if unsupported {
        // How the client can compress instead, if that is what was not offered.
        let name = HeaderName::from_static(ACCEPT);
        response.headers_mut().insert(name, HeaderValue::from_static(compress::READ));
    }
    response
}

/// Says in the headers how messages are compressed.
pub(super) fn set_encoding(response: &mut Response<Body>, encoding: Option<Encoding>) {
    if let Some(encoding) = encoding {
        response.headers_mut().insert(HeaderName::from_static(ENCODING), encoding.header());
    }
}

/// Checks an answer's length.
pub(super) fn check_length(length: usize, limit: usize) -> Result<(), Error> {
    if length <= limit {
        return Ok(());
    }
    let message = format!(
        "the answer has {length} bytes, the limit is {limit} (`--grpc_max_send_message_length`); ask for fewer rows or \
         outputs"
    );
    Err(Error::new(Code::TooLarge, message))
}

/// Where the messages of a stream go.
pub(super) struct Out(mpsc::Sender<Frame<Bytes>>);

impl Out {
    /// Sends a framed message; returns when the client has room for it.
    pub(super) async fn send(&self, framed: Bytes) -> Result<(), Error> {
        self.put(Frame::data(framed)).await
    }

    async fn put(&self, frame: Frame<Bytes>) -> Result<(), Error> {
        match tokio::time::timeout(UNREAD, self.0.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Error::new(Code::NotReady, "the client has left")),
            Err(_) => Err(Error::new(Code::Deadline, format!("the client read nothing for {UNREAD:?}"))),
        }
    }
}

/// A stream of answers that `work` makes. It has a task of its own, so that its time runs also while the client does not read;
/// the task ends with the work, or when the client has left.
pub(super) fn stream<W>(
    place: OwnedSemaphorePermit,
    origin: Origin,
    work: impl FnOnce(std::sync::Arc<Out>) -> W,
) -> Response<Body>
where
    W: Future<Output = Result<(), Error>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(1);
    let out = std::sync::Arc::new(Out(sender));
    let work = work(std::sync::Arc::clone(&out));
    tokio::spawn(async move {
        let _place = place;
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = out.0.closed() => return,
        };
        let trailers = trailers(outcome.map_err(|error| error.or_origin(origin)));
        // Fails only when nobody is there to read it.
        let _ = out.put(Frame::trailers(trailers)).await;
    });
    of_body(Body::new(Frames(receiver)))
}

fn trailers(outcome: Result<(), Error>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    match outcome {
        Ok(()) => {
            trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        }
        Err(error) => status_of(&error)
            .add_header(&mut trailers)
            .expect("a status of the table is made of header values; its text is percent-encoded"),
    }
    trailers
}

/// The body of a stream.
struct Frames(mpsc::Receiver<Frame<Bytes>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}
