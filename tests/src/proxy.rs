//! A proxy that hands every connection to one server, whatever name was asked for, and remembers the requests that it got.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Longer than the head of any request here.
const LONGEST_HEAD: usize = 16 * 1024;

/// A running proxy for plain HTTP and for tunnels (`CONNECT`).
pub struct Proxy {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts it in front of `upstream`.
    ///
    /// # Panics
    /// Panics if it cannot listen.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that breaks its connection is its own matter.
                tokio::spawn(pass(stream, upstream, Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    /// First lines of the connections so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn pass(
    mut client: TcpStream,
    upstream: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        head.push(client.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&head)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    let is_tunnel = line.starts_with("CONNECT ");
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    let mut server = TcpStream::connect(upstream).await?;
    match is_tunnel {
        true => client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?,
        false => server.write_all(&head).await?,
    }
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
