//! One connection, driven by whoever waits for its answer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use wire::Outcome;

use crate::call::http::{MAX_BODY_BYTES, is_encoded};

/// A request has none.
pub(super) type NoBody = Empty<Bytes>;

type Driver = http1::Connection<TokioIo<TcpStream>, NoBody>;

/// An open connection.
pub(super) struct Connection {
    sender: SendRequest<NoBody>,
    /// Nothing once it has ended.
    driver: Option<Box<Driver>>,
}

/// Why there is no whole answer.
pub(super) enum Failure {
    /// The connection was closed before; the request is as it was.
    Unsent(Box<Request<NoBody>>),
    /// The connection broke before the answer.
    NoAnswer,
    /// What came is no HTTP, too long, or not whole.
    BadAnswer,
}

impl Failure {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Unsent(_) | Self::NoAnswer => Outcome::Refused,
            Self::BadAnswer => Outcome::BadBody,
        }
    }
}

impl Connection {
    pub(super) async fn over(stream: TcpStream) -> hyper::Result<Self> {
        let (sender, driver) = http1::Builder::new()
            // A request without a body is one piece.
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::new(driver)),
        })
    }

    /// Sends a request and reads its answer to the end.
    pub(super) async fn exchange(&mut self, request: Request<NoBody>) -> Result<StatusCode, Failure> {
        let answer = self.sender.try_send_request(request);
        let answer = match drive(&mut self.driver, answer).await {
            Some(Ok(answer)) => answer,
            Some(Err(mut failed)) => {
                return Err(match failed.take_message() {
                    Some(unsent) => Failure::Unsent(Box::new(unsent)),
                    None if failed.error().is_parse() => Failure::BadAnswer,
                    None => Failure::NoAnswer,
                });
            }
            None => return Err(Failure::NoAnswer),
        };
        if is_encoded(answer.headers()) {
            return Err(Failure::BadAnswer);
        }
        let status = answer.status();
        let mut body = answer.into_body();
        let mut length = 0;
        while let Some(frame) = drive(&mut self.driver, body.frame())
            .await
            .ok_or(Failure::BadAnswer)?
        {
            let frame = frame.map_err(|_| Failure::BadAnswer)?;
            length += frame.data_ref().map_or(0, |data| data.len() as u64);
            if length > MAX_BODY_BYTES {
                return Err(Failure::BadAnswer);
            }
        }
        Ok(status)
    }

    /// Whether it can carry another request.
    pub(super) async fn reusable(&mut self) -> bool {
        let Some(driver) = &mut self.driver else {
            return false;
        };
        let open = poll_fn(|cx| Poll::Ready(Pin::new(&mut *driver).poll(cx).is_pending())).await;
        open && self.sender.is_ready()
    }
}

/// Waits for `wanted`, which only the connection can bring about; nothing where it ends without doing so.
async fn drive<F: Future>(driver: &mut Option<Box<Driver>>, wanted: F) -> Option<F::Output> {
    let mut wanted = pin!(wanted);
    poll_fn(|cx| {
        // The connection wakes this task, and `wanted` is looked at whenever it has: woken by that too, the task would
        // be polled twice for each answer.
        let mut unwoken = Context::from_waker(Waker::noop());
        // First: a body is read only once somebody has asked for it.
        if let Poll::Ready(output) = wanted.as_mut().poll(&mut unwoken) {
            return Poll::Ready(Some(output));
        }
        if driver
            .as_mut()
            .is_none_or(|driver| Pin::new(driver).poll(cx).is_ready())
        {
            // With it goes what waits in it: a request that it has not sent comes back.
            *driver = None;
        }
        match wanted.as_mut().poll(&mut unwoken) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if driver.is_none() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
