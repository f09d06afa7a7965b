//! Sockets for which a thread waits, without a runtime: the same futures as in a task, with the thread as executor.
//!
//! The sockets do not block, as hyper reads a connection before it writes a request to it, and a read of a blocking
//! socket would never return. Where a socket is not ready the future is pending, and the thread waits in poll(2) until
//! the socket is, or until the deadline of the call.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Sockets;
use super::idle::FRESH;

/// Most that is read at once.
const PIECE_BYTES: usize = 8 * 1024;

/// The executor of one call.
pub(super) struct OnThread {
    /// `None` if it is later than the clock can express.
    deadline: Option<Instant>,
    /// The one that the call uses now.
    socket: RefCell<Option<Arc<State>>>,
}

/// A socket that does not block.
pub(super) struct Socket(Arc<State>);

/// Shared by the connection, which reads and writes, and the executor, which waits.
pub(super) struct State {
    stream: TcpStream,
    /// False once a read has emptied the socket: another one is not tried until poll(2) reports new bytes.
    readable: AtomicBool,
    /// The same of writes.
    writable: AtomicBool,
}

/// Set when one part of the future wakes another without the socket: to take a frame of a body makes room for the next,
/// which may have been read already.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl OnThread {
    /// For a call that lasts at most `timeout` from now on.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            deadline: Instant::now().checked_add(timeout),
            socket: RefCell::default(),
        }
    }

    /// Runs a future that waits for nothing but sockets of this call; `None` if the deadline passes first.
    pub(super) fn block_on<F: Future>(&self, future: F) -> Option<F::Output> {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            let left = self.left();
            if left.is_zero() {
                return None;
            }
            if !woken.0.swap(false, Ordering::Relaxed) {
                self.wait(left);
            }
        }
    }

    fn left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        })
    }

    /// Returns when the socket is ready for what it was not, or after `limit`. May return early.
    fn wait(&self, limit: Duration) {
        let socket = self.socket.borrow();
        let mut polled = socket.as_ref().map(|state| {
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, !state.readable.load(Ordering::Relaxed));
            events.set(PollFlags::OUT, !state.writable.load(Ordering::Relaxed));
            PollFd::new(&state.stream, events)
        });
        // A limit that the system cannot express is as good as none.
        let limit = Timespec::try_from(limit).ok();
        if let Ok(1..) = poll(polled.as_mut_slice(), limit.as_ref())
            && let Some(state) = &*socket
        {
            state.readable.store(true, Ordering::Relaxed);
            state.writable.store(true, Ordering::Relaxed);
        }
    }
}

impl Sockets for OnThread {
    type Socket = Socket;
    type Handle = Arc<State>;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.collect())
    }

    async fn connect(&self, address: SocketAddr, limit: Duration) -> io::Result<(Socket, Arc<State>)> {
        let limit = limit.min(self.left());
        if limit.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let state = Arc::new(State {
            stream,
            readable: AtomicBool::new(true),
            writable: AtomicBool::new(true),
        });
        self.socket.replace(Some(Arc::clone(&state)));
        Ok((Socket(Arc::clone(&state)), state))
    }

    async fn resume(&self, state: &Arc<State>, unused: Duration) {
        if unused > FRESH {
            state.readable.store(true, Ordering::Relaxed);
        }
        self.socket.replace(Some(Arc::clone(state)));
    }
}

/// Tries once if the socket may be `ready`; a transfer of less than there is `room` for says that another one would find
/// nothing.
fn attempt(
    ready: &AtomicBool,
    room: usize,
    mut transfer: impl FnMut() -> rustix::io::Result<usize>,
) -> Poll<io::Result<usize>> {
    if !ready.load(Ordering::Relaxed) {
        return Poll::Pending;
    }
    match retry_on_intr(&mut transfer) {
        Ok(bytes) => {
            ready.store(bytes == room || bytes == 0, Ordering::Relaxed);
            Poll::Ready(Ok(bytes))
        }
        Err(Errno::WOULDBLOCK) => {
            ready.store(false, Ordering::Relaxed);
            Poll::Pending
        }
        Err(error) => Poll::Ready(Err(error.into())),
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let State { stream, readable, .. } = &*self.0;
        // Uninitialised: only the bytes that are read are touched.
        let mut room = [const { MaybeUninit::uninit() }; PIECE_BYTES];
        let room = &mut room[..PIECE_BYTES.min(buffer.remaining())];
        attempt(readable, room.len(), || {
            let ((read, _), _) = recv(stream, &mut *room, RecvFlags::empty())?;
            buffer.put_slice(read);
            Ok(read.len())
        })
        .map_ok(|_| ())
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let State { stream, writable, .. } = &*self.0;
        attempt(writable, bytes.len(), || send(stream, bytes, SendFlags::NOSIGNAL))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.stream.shutdown(std::net::Shutdown::Write))
    }
}
