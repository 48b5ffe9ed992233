//! `ModelInfer`. A request is passed on as the bytes it came in: whoever needs its numbers decodes them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use weir_proto::oip::{Contents, Envelope, envelope};
use weir_proto::{Error, Face};

use super::compress::{self, Encoding};
use super::message::Messages;
use super::{Grpc, respond};
use crate::call::REQUEST_ID;
use crate::server::app::App;
use crate::server::stall::in_pieces;
use crate::{Call, Context, Payload, Verb};

pub(super) async fn infer(
    grpc: Arc<Grpc>,
    request: Request<Incoming>,
    patience: Option<Duration>,
) -> Response<Body> {
    let app = &grpc.app;
    let (head, body) = request.into_parts();
    let mut id = None;
    let mut response = match unary(app, &head.headers, body, &mut id).await {
        Ok((framed, encoding)) => {
            let mut response = respond::ok(framed);
            respond::set_encoding(&mut response, encoding);
            response
        }
        Err(error) => respond::refuse(app, error),
    };
    // A request that was refused before its headers were read has at least the id it came with.
    if let Some(id) = id.or_else(|| head.headers.get(REQUEST_ID).cloned()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    in_pieces(response, patience)
}

async fn unary(
    app: &App,
    headers: &HeaderMap,
    body: Incoming,
    id: &mut Option<HeaderValue>,
) -> Result<(Bytes, Option<Encoding>), Error> {
    let _admitted = app.admit()?;
    let mut context = Context::of(headers, &app.travellers)?;
    *id = Some(app.identify(&mut context));
    let message = Messages::new(body, app.limits.max_receive_message, app.limits.body_timeout)
        .only(headers, &context)
        .await?;
    let asked = envelope(&message)?;
    let answer = predict(app, asked, message, context).await?;
    // Asked only where it matters: headers are not looked up for the usual, small answer.
    let encoding = if answer.len() < compress::WORTH { None } else { Encoding::for_answers(headers) };
    Ok((compress::frame(&[], answer, encoding).await?, encoding))
}

/// Serves one request of whom has been let in; the answer is an encoded `ModelInferResponse`.
pub(super) async fn predict(
    app: &App,
    asked: Envelope,
    message: Bytes,
    context: Context,
) -> Result<Bytes, Error> {
    // Whoever sends typed contents reads typed contents.
    let face = match asked.contents {
        Contents::Raw => Face::Tensors,
        Contents::Typed => Face::TypedTensors,
    };
    let call = Call {
        verb: Verb::Infer,
        model: asked.model,
        version: asked.version,
        payload: Payload::new(face, message),
        want: face,
        context,
        limits: app.limits.decode,
    };
    let answer = app.serve(call).await?.body;
    respond::check_length(answer.len(), app.limits.max_send_message)?;
    Ok(answer)
}
