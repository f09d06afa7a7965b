//! The connections: accepted up to a bound, served one request at a time, reset or broken off where a
//! call asks for it, and brought to an end within a bound.

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
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ping::{Endpoint, Reset};

/// Connections that the system holds until they are accepted; a further one is not answered.
const BACKLOG: u32 = 4_096;
/// Open files that are no connections: standard streams, listener, the runtime's own.
const OTHER_FILES: u64 = 64;
/// The wait after the system refused to accept, out of files or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Why the endpoint cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody listens there.
    #[error("listen: {0} is taken by another process: stop it or choose another address with --listen")]
    Taken(SocketAddr),
    /// The address is not one of this machine, or needs rights.
    #[error("listen: cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// How much is held at once and how long an end may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections served at once; each has one call at a time. Further ones wait to be accepted.
    pub connections: usize,
    /// How long calls in flight may go on after the stop; what is left then is dropped.
    pub stop_grace: Duration,
}

/// Listens; to be called within a runtime.
///
/// # Errors
/// Where the address is taken or cannot be used.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // Connections of an ended process must not keep its successor from the port.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::Taken(address),
        _ => ServeError::Listen { address, source },
    })
}

/// Raises the number of files that may be open to what the system allows, and says how many of `wanted`
/// connections that is enough for.
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

/// Serves until `stop`, then lets the calls in flight end.
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
            // Never closed, so there is always a permit in the end.
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            listener.accept().await.map(|(stream, _)| (stream, permit))
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = next => match accepted {
                Ok((stream, permit)) => {
                    // A token of its own, as it is looked at with every step of the connection: one lock for
                    // all connections would be what they wait for.
                    let (endpoint, stopped) = (Arc::clone(&endpoint), stopped.child_token());
                    connections.spawn(async move {
                        connection(stream, endpoint, stopped).await;
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
        let dropped = endpoint.figures().snapshot().in_flight;
        tracing::warn!(
            dropped,
            "calls were still in flight at the end of the stop's grace"
        );
    }
}

async fn connection(stream: TcpStream, endpoint: Arc<Endpoint>, stopped: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let answer =
        service_fn(move |request: Request<Incoming>| Box::pin(Arc::clone(&endpoint).answer(request)));
    let mut connection = http1::Builder::new()
        // A head and a few bytes are cheaper copied together than gathered by the system.
        .writev(false)
        .serve_connection(TokioIo::new(stream), answer);
    let mut stopping = pin!(stopped.cancelled());
    let mut told = false;
    let ended = poll_fn(|context| {
        if !told && stopping.as_mut().poll(context).is_ready() {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(context)
    })
    .await;
    let mut stream = connection.into_parts().io.into_inner();
    let reset = ended
        .as_ref()
        .is_err_and(|error| error.source().is_some_and(|cause| cause.is::<Reset>()));
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
