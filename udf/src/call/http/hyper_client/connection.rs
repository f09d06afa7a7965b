//! A connection of hyper and the future that drives it, polled together.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use wire::Outcome;

use crate::call::http::{Request, read};
use crate::call_error::CallError;

/// Longest head of an answer, and how much of its body is read ahead.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// How a call waits for its sockets.
pub(super) trait Sockets {
    /// A socket whose connection hyper owns.
    type Socket: AsyncRead + AsyncWrite + Unpin;
    /// What the call keeps to reach the socket while hyper owns it.
    type Handle;

    /// The addresses of a host.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Opens a socket; [`io::ErrorKind::TimedOut`] if that takes longer than `limit`.
    async fn connect(&self, address: SocketAddr, limit: Duration)
    -> io::Result<(Self::Socket, Self::Handle)>;

    /// Makes sure that the next read of a socket sees what has come while it was unused.
    async fn resume(&self, handle: &Self::Handle, unused: Duration);
}

/// A socket, with TLS or without. Boxed, as TLS needs a kilobyte that other connections need not have.
pub(super) type Transport<T> = Either<T, Box<TlsStream<T>>>;

/// A transport that notes whether anything was read from it.
struct Noted<T> {
    transport: Transport<T>,
    was_read: Arc<AtomicBool>,
}

type Driver<T> = http1::Connection<TokioIo<Noted<T>>, Full<Bytes>>;

/// An open connection, with at most one request on it.
pub(super) struct Connection<S: Sockets> {
    sender: SendRequest<Full<Bytes>>,
    /// Reads and writes when it is polled; `None` once it has ended, as dropping it fails what the sender still awaits.
    driver: Option<Driver<S::Socket>>,
    /// Whether anything was read since the request was sent.
    was_read: Arc<AtomicBool>,
    pub(super) handle: S::Handle,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// The connection was closed before it took this request, which can go over another one.
    Unsent(Box<Request>),
    /// The connection ended before a byte of the answer.
    Ended(CallError),
    /// Any other failure.
    Failed(CallError),
}

impl<S: Sockets> Connection<S> {
    pub(super) async fn new(transport: Transport<S::Socket>, handle: S::Handle) -> hyper::Result<Self> {
        let was_read = Arc::new(AtomicBool::new(false));
        let transport = Noted {
            transport,
            was_read: Arc::clone(&was_read),
        };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_BUFFER_BYTES)
            // Head and body in one piece: most requests are short, and a copy costs less than a further system call.
            .writev(false)
            .handshake(TokioIo::new(transport))
            .await?;
        Ok(Self {
            sender,
            driver: Some(driver),
            was_read,
            handle,
        })
    }

    /// Sends a request and reads its answer to the end. What has come over the connection before, or its end, is seen before
    /// the request is sent.
    pub(super) async fn send(
        &mut self,
        request: Request,
        max_answer_bytes: usize,
    ) -> Result<Response<Vec<u8>>, Unanswered> {
        self.was_read.store(false, Ordering::Relaxed);
        let sent = self.sender.try_send_request(request);
        let response = match self.drive(pin!(sent)).await {
            Some(Ok(response)) => response,
            Some(Err(mut error)) => {
                return Err(match error.take_message() {
                    Some(request) => Unanswered::Unsent(Box::new(request)),
                    None => self.unanswered(CallError::of(error.error(), Outcome::Broken)),
                });
            }
            None => return Err(self.unanswered(Outcome::Broken.into())),
        };
        let answer = self.drive(pin!(read(response, max_answer_bytes))).await;
        answer
            .unwrap_or_else(|| Err(Outcome::BadBody.into()))
            .map_err(Unanswered::Failed)
    }

    fn unanswered(&self, error: CallError) -> Unanswered {
        match error.outcome() {
            Outcome::Broken if !self.was_read.load(Ordering::Relaxed) => Unanswered::Ended(error),
            _ => Unanswered::Failed(error),
        }
    }

    /// Drives the connection until `awaited` is ready; `None` if the connection ends without that.
    fn drive<F: Future>(&mut self, mut awaited: Pin<&mut F>) -> impl Future<Output = Option<F::Output>> {
        // `awaited` changes only while the driver is polled, and is polled right after it. A waker of its own would have
        // the task polled a second time for each answer. Without that waker it must not pause for tokio's task budget.
        let mut poll_awaited = move || {
            let mut unconstrained = unconstrained(awaited.as_mut());
            Pin::new(&mut unconstrained).poll(&mut Context::from_waker(Waker::noop()))
        };
        poll_fn(move |context| {
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
    }

    /// Whether it can carry another request. Replaces the task's waker, so that the next request, or the peer's close,
    /// does not wake a task that has moved on.
    pub(super) fn park(&mut self) -> bool {
        self.poll_driver(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    fn poll_driver(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(context).is_ready()
        {
            // The sender or the body reports why.
            self.driver = None;
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Noted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.transport).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.was_read.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Noted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}
