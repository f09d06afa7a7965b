//! Response bodies, including one that breaks off, and the responses built from them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// The length that a broken body announces.
const BROKEN_LENGTH: u64 = 64;
/// The bytes that a broken body sends.
const BROKEN_START: &[u8] = b"pong, bu";

/// A complete body, or one that ends before its announced length.
#[derive(Debug)]
pub enum Answer {
    Whole(Full<Bytes>),
    Broken(Break),
}

/// Progress of a broken body.
#[derive(Debug, Clone, Copy)]
pub enum Break {
    Start,
    /// Its first bytes are written but not yet flushed.
    Written,
    Sent,
}

#[derive(Debug, thiserror::Error)]
#[error("the body ends before its announced length, on purpose")]
pub struct BrokenOff;

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut *self {
            Self::Whole(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never: Infallible| match never {}),
            Self::Broken(at) => match *at {
                Break::Start => {
                    *at = Break::Written;
                    Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(BROKEN_START)))))
                }
                // The server flushes what it has while a body is pending; returning the error at once would lose the
                // first bytes.
                Break::Written => {
                    *at = Break::Sent;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Break::Sent => Poll::Ready(Some(Err(BrokenOff))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Broken(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Broken(_) => SizeHint::with_exact(BROKEN_LENGTH),
        }
    }
}

/// A plain-text response.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Answer> {
    typed(status, "text/plain; charset=utf-8", body)
}

/// A response with the given content type.
pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(Full::new(body.into())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A response whose body ends before its announced length.
pub fn broken() -> Response<Answer> {
    Response::new(Answer::Broken(Break::Start))
}
