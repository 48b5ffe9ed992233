//! A panic while a request is served costs that request, not its connection and not the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use weir_proto::{Code, Error};

use crate::BoxFuture;

/// Wraps a future so that its panic becomes an `Inference` error. The panic hook has written the details to the log.
pub(super) fn panics<T>(work: BoxFuture<'_, Result<T, Error>>) -> Caught<'_, T> {
    Caught(work)
}

pub(super) struct Caught<'a, T>(BoxFuture<'a, Result<T, Error>>);

impl<T> Future for Caught<'_, T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // After a panic the future is never polled again: it is dropped with this one.
        catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))).unwrap_or_else(|_| {
            Poll::Ready(Err(Error::new(
                Code::Inference,
                "the service failed unexpectedly; its log tells more",
            )))
        })
    }
}
