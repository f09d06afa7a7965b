//! The connections: accepted up to a bound, served one request at a time, reset or broken off if a call is to fail
//! so, and closed within a bound after a stop.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ping::{Endpoint, KeepAlive, NoAnswer};

/// Length of the system's accept queue; further connections get no answer.
const BACKLOG: u32 = 4_096;
/// Open files that are not connections: standard streams, the listener, the runtime's own.
const OTHER_FILES: u64 = 64;
/// Pause after a failed accept, such as for lack of descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long after the keep-alive time the close of a connection arrives at its client, as over a slow network. A request
/// that is sent meanwhile is not answered.
const CLOSE_DELAY: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another process listens there.
    #[error("listen: {0} is taken by another process: stop it or choose another address with --listen")]
    Taken(SocketAddr),
    /// The address is not one of this machine, or needs privileges.
    #[error("listen: cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
}

#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections served at once, each with one call at a time. Further ones wait to be accepted.
    pub connections: usize,
    /// How long calls in flight may continue after the stop; then they are dropped.
    pub stop_grace: Duration,
    /// How long a connection may be idle; `None` is no limit.
    pub keep_alive: Option<Duration>,
}

/// Starts listening; must be called within a runtime.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // A restarted endpoint must not wait for connections of its predecessor in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::Taken(address),
        _ => ServeError::Listen { address, source },
    })
}

/// Raises the limit of open files as far as the system allows, and returns how many of `wanted` connections it
/// allows.
pub fn allowed_connections(wanted: usize) -> usize {
    let files = vertex::machine::raise_descriptor_limit(u64::MAX);
    let room = usize::try_from(files.saturating_sub(OTHER_FILES))
        .unwrap_or(usize::MAX)
        .max(1);
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            "max_connections: the limit of open files (ulimit -n) allows fewer"
        );
    }
    wanted.min(room)
}

/// Serves until `stop`, then lets the calls in flight end, up to `stop_grace`.
pub async fn serve(
    listener: TcpListener,
    endpoint: Arc<Endpoint>,
    bounds: Bounds,
    stopped: CancellationToken,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(bounds.connections));
    loop {
        let next = async {
            // Never closed, so a permit is always acquired eventually.
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            listener.accept().await.map(|(stream, _)| (stream, permit))
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = next => match accepted {
                Ok((stream, permit)) => {
                    // A child token for each connection: the token is polled at every step of a connection, and
                    // connections would contend for the lock of a shared one.
                    let (endpoint, stopped) = (Arc::clone(&endpoint), stopped.child_token());
                    connections.spawn(async move {
                        connection(stream, endpoint, bounds.keep_alive, stopped).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
    drop(listener);
    stopped.cancel();
    connections.close();
    if timeout(bounds.stop_grace, connections.wait()).await.is_err() {
        let dropped = endpoint.calls().snapshot().in_flight;
        tracing::warn!(
            dropped,
            "calls were still in flight at the end of the stop's grace"
        );
    }
}

async fn connection(
    stream: TcpStream,
    endpoint: Arc<Endpoint>,
    keep_alive: Option<Duration>,
    stopped: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    // Copying a head and a few bytes into one buffer is cheaper than writev(2).
    builder.writev(false);
    if let Some(limit) = keep_alive {
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limit.saturating_add(CLOSE_DELAY));
    }
    let keep_alive = keep_alive.map(|limit| Arc::new(KeepAlive::new(limit)));
    let answer = service_fn(move |request: Request<Incoming>| {
        Box::pin(Arc::clone(&endpoint).answer(request, keep_alive.clone()))
    });
    let mut connection = builder.serve_connection(TokioIo::new(stream), answer);
    let mut stopping = pin!(stopped.cancelled());
    let mut shutting_down = false;
    let ended = poll_fn(|context| {
        if !shutting_down && stopping.as_mut().poll(context).is_ready() {
            shutting_down = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(context)
    })
    .await;
    let mut stream = connection.into_parts().io.into_inner();
    let reset = ended
        .as_ref()
        .is_err_and(|error| error.source().and_then(|cause| cause.downcast_ref()) == Some(&NoAnswer::Reset));
    if reset {
        // Closing without lingering sends RST instead of FIN.
        let _ = stream.set_zero_linger();
    } else {
        let _ = stream.shutdown().await;
    }
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
