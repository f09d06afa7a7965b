//! A connection of hyper and the future that drives it, polled together.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::unconstrained;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use wire::Outcome;

use crate::call::http::{read, unanswered};

/// Longest head of an answer, and how much of its body is read ahead.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// How a call waits for its sockets.
pub(super) trait Sockets {
    /// A socket whose connection hyper owns.
    type Socket: AsyncRead + AsyncWrite + Unpin;
    /// What the call keeps of it.
    type Handle;

    /// The addresses of a host.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Opens a socket, [`io::ErrorKind::TimedOut`] where that takes longer than `limit`.
    async fn connect(&self, address: SocketAddr, limit: Duration)
    -> io::Result<(Self::Socket, Self::Handle)>;

    /// Makes sure that the next read of a socket sees what has come while it was unused.
    async fn resume(&self, handle: &Self::Handle, unused: Duration);
}

/// A socket, with TLS or without. Boxed, as TLS needs a kilobyte that other connections need not have.
pub(super) type Transport<T> = Either<T, Box<TlsStream<T>>>;

type Driver<T> = http1::Connection<TokioIo<Transport<T>>, Empty<Bytes>>;

/// An open connection, with at most one request on it.
pub(super) struct Connection<S: Sockets> {
    sender: SendRequest<Empty<Bytes>>,
    /// Reads and writes when it is polled; nothing once it has ended. To drop it is what tells the sender.
    driver: Option<Driver<S::Socket>>,
    pub(super) handle: S::Handle,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// The connection was closed before it took the request, which can go over another one.
    Unsent(Box<Request<Empty<Bytes>>>),
    /// The call has this outcome.
    Failed(Outcome),
}

impl<S: Sockets> Connection<S> {
    pub(super) async fn new(transport: Transport<S::Socket>, handle: S::Handle) -> hyper::Result<Self> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_BUFFER_BYTES)
            // A request is a head alone, in one piece.
            .writev(false)
            .handshake(TokioIo::new(transport))
            .await?;
        Ok(Self {
            sender,
            driver: Some(driver),
            handle,
        })
    }

    /// Sends a request and reads its answer to the end. What has come over the connection before, or its end, is seen
    /// before the request is sent.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Vec<u8>>, Unanswered> {
        let sent = self.sender.try_send_request(request);
        let response = match self.drive(sent).await {
            Some(Ok(response)) => response,
            Some(Err(mut error)) => {
                return Err(match error.take_message() {
                    Some(request) => Unanswered::Unsent(Box::new(request)),
                    None => Unanswered::Failed(unanswered(error.error())),
                });
            }
            None => return Err(Unanswered::Failed(Outcome::Refused)),
        };
        let answer = self.drive(read(response)).await;
        answer
            .unwrap_or(Err(Outcome::BadBody))
            .map_err(Unanswered::Failed)
    }

    /// Drives the connection until what is awaited from it is there; nothing where the connection ends and it is not.
    async fn drive<F: Future>(&mut self, awaited: F) -> Option<F::Output> {
        // What is awaited can change only while the driver is polled, and is polled after that: it needs no waker of its
        // own, which would have the task polled twice. Unconstrained, as only a waker ends the pause of a spent budget.
        let mut awaited = pin!(unconstrained(awaited));
        poll_fn(|context| {
            let mut poll_awaited = || awaited.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(output) = poll_awaited() {
                return Poll::Ready(Some(output));
            }
            self.poll_driver(context);
            match poll_awaited() {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if self.driver.is_none() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Whether it can carry another request. What happens on it from now on wakes nothing.
    pub(super) fn park(&mut self) -> bool {
        self.poll_driver(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    fn poll_driver(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(context).is_ready()
        {
            // The sender, or the body, has the reason.
            self.driver = None;
        }
    }
}
