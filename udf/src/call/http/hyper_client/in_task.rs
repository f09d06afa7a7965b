//! Sockets of the runtime, for which a task waits.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

use super::connection::Sockets;
use super::idle::FRESH;

/// Waits by the task's waker.
pub(super) struct InTask;

impl Sockets for InTask {
    type Socket = TcpStream;
    type Handle = ();

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr, limit: Duration) -> io::Result<(TcpStream, ())> {
        let stream = tokio::time::timeout(limit, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok((stream, ()))
    }

    async fn resume(&self, (): &(), unused: Duration) {
        if unused > FRESH {
            // The runtime polls the system for the state of its sockets between tasks, not while one runs.
            tokio::task::yield_now().await;
        }
    }
}
