//! `ModelStreamInfer`, in Triton's dialect: for each request, in their order, one `ModelStreamInferResponse` that holds an
//! answer or why there is none. An error of one request goes in this way, and the stream goes on.
//!
//! MLServer's method of the same name answers with a bare `ModelInferResponse`: the same field numbers mean other things there,
//! so no answer can be read by the clients of both.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use prost::Message;
use weir_proto::generated::inference::{ModelInferResponse, ModelStreamInferResponse};
use weir_proto::{Code, Error, oip};

use super::compress::{self, Encoding};
use super::message::Messages;
use super::{Grpc, infer, place, respond};
use crate::Context;
use crate::call::REQUEST_ID;
use crate::server::app::App;

/// Answers with the stream's head at once; what follows is the task's.
pub(super) fn infer(grpc: &Grpc, request: Request<Incoming>) -> Response<Body> {
    let app = &grpc.app;
    let (head, body) = request.into_parts();
    let start = || {
        let mut context = Context::of(&head.headers, &app.travellers)?;
        let id = app.identify(&mut context);
        context.remaining()?;
        Ok((context, id, place(&grpc.streams, "streams", app.limits.max_in_flight)?))
    };
    let (context, id, place) = match start() {
        Ok(started) => started,
        Err(error) => return respond::refuse(app, error),
    };
    let encoding = Encoding::for_answers(&head.headers);
    let messages = Messages::new(body, app.limits.max_receive_message, app.limits.body_timeout);
    let mut stream = Stream { app: Arc::clone(app), headers: head.headers, messages, context, encoding };
    let mut response =
        respond::stream(place, app.handle.component(), |out| async move { stream.run(&out).await });
    respond::set_encoding(&mut response, encoding);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

struct Stream {
    app: Arc<App>,
    headers: HeaderMap,
    messages: Messages<Incoming>,
    context: Context,
    encoding: Option<Encoding>,
}

impl Stream {
    /// Serves one request after the other until the client has sent its last. While one is served none is read, so a client
    /// that sends faster is held back by HTTP/2's own flow control.
    async fn run(&mut self, out: &respond::Out) -> Result<(), Error> {
        let app = Arc::clone(&self.app);
        loop {
            let message = tokio::select! {
                biased;
                message = self.next() => message?,
                () = app.stopping() => return Err(going_away()),
            };
            let Some(message) = message else { return Ok(()) };
            let (head, answer) = self.answer(message).await;
            out.send(compress::frame(&head, answer, self.encoding).await?).await?;
        }
    }

    /// The next request, within the stream's deadline and the time that it may lie idle.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let idle = self.app.limits.stream_idle;
        let left = self.context.remaining()?;
        let wait = left.map_or(idle, |left| left.min(idle));
        tokio::time::timeout(wait, self.messages.next(&self.headers)).await.unwrap_or_else(|_| {
            self.context.remaining()?;
            Err(idle_too_long(idle))
        })
    }

    /// The answer to a request, as the first bytes of its message and the rest.
    async fn answer(&self, message: Bytes) -> (Bytes, Bytes) {
        let asked = match oip::envelope(&message) {
            Ok(asked) => asked,
            Err(error) => return refusal(String::new(), error.message),
        };
        let id = asked.id.clone();
        let served = async {
            // Let in one by one: an open stream that asks nothing takes nobody's place.
            let _admitted = self.app.admit()?;
            infer::predict(&self.app, asked, message, self.context.clone()).await
        };
        match served.await {
            Ok(answer) => (infer_response(answer.len()), answer),
            Err(error) => refusal(id, error.message),
        }
    }
}

/// The tag and the length of field `infer_response`, which the answer then follows as it is.
fn infer_response(length: usize) -> Bytes {
    const FIELD: u32 = 2;
    let mut head = BytesMut::with_capacity(12);
    prost::encoding::encode_key(FIELD, prost::encoding::WireType::LengthDelimited, &mut head);
    prost::encoding::encode_varint(length as u64, &mut head);
    head.freeze()
}

/// Why a request has no answer, with its id: so a client can tell which it was.
fn refusal(id: String, error_message: String) -> (Bytes, Bytes) {
    let infer_response = Some(ModelInferResponse { id, ..ModelInferResponse::default() });
    let message = ModelStreamInferResponse { error_message, infer_response };
    let mut body = BytesMut::with_capacity(message.encoded_len());
    body.put(message.encode_to_vec().as_slice());
    (Bytes::new(), body.freeze())
}

fn idle_too_long(idle: Duration) -> Error {
    Error::new(Code::Deadline, format!("no request came whole on the stream within {idle:?}; open a new one"))
}

/// What a stream ends with when its server does. What was not answered by then was not served.
pub(super) fn going_away() -> Error {
    Error::new(Code::NotReady, "the server is on its way out; open the stream again elsewhere")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_wrapped_without_being_decoded() {
        let inner = ModelInferResponse { id: "x".repeat(300), ..ModelInferResponse::default() };
        let body = inner.encode_to_vec();
        let message = [&infer_response(body.len())[..], &body].concat();
        let read = ModelStreamInferResponse::decode(&message[..]).unwrap();
        assert_eq!((read.error_message.as_str(), read.infer_response), ("", Some(inner)));
    }
}
