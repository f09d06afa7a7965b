//! The HTTP server of a vertex's metrics and health. It has its own thread: calls that burn processor time may block
//! all threads of the runtime, which is when its metrics are needed most.

use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::oneshot;

use crate::{VertexError, metrics};

/// How long the vertex's own socket may take to accept a connection before the vertex counts as unhealthy.
const ACCEPT_PATIENCE: Duration = Duration::from_secs(1);

/// The server at `--stats-listen`; it stops when this is dropped.
#[derive(Debug)]
pub struct StatsServer {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl StatsServer {
    /// Serves `routes` at `address`, and logs the address.
    ///
    /// # Errors
    /// Returns an error if it cannot listen there or cannot start its thread.
    pub fn start(address: SocketAddr, routes: Router) -> Result<Self, VertexError> {
        Self::spawn(address, routes).map_err(|source| VertexError::Stats { address, source })
    }

    fn spawn(address: SocketAddr, routes: Router) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = async move {
            let served = async {
                axum::serve(TcpListener::from_std(listener)?, routes)
                    .into_future()
                    .await
            };
            tokio::select! {
                Err(error) = served => tracing::error!("stats-listen: serving failed: {error}"),
                _ = stopped => {}
            }
        };
        std::thread::Builder::new()
            .name("stats".to_owned())
            .spawn(move || runtime.block_on(serve))?;
        tracing::info!(stats_listen = %address, "metrics are served");
        Ok(Self { address, _stop: stop })
    }

    /// The address it listens on, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// `/metrics`, with the OpenMetrics text that `text` returns, and `/healthz`, which is ok while `socket` accepts
/// connections.
pub fn routes<T>(socket: &Path, text: T) -> Router
where
    T: Fn() -> Result<String, fmt::Error> + Clone + Send + Sync + 'static,
{
    let socket: Arc<Path> = socket.into();
    let health = move || {
        let socket = Arc::clone(&socket);
        async move { health(&socket).await }
    };
    let metrics = move || {
        let text = text.clone();
        async move { answer(text()) }
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
}

fn answer(text: Result<String, fmt::Error>) -> Response {
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn health(socket: &Path) -> (StatusCode, &'static str) {
    match tokio::time::timeout(ACCEPT_PATIENCE, UnixStream::connect(socket)).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not serving\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: vertex\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_is_healthy_while_its_socket_accepts() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s.sock");
        let routes = routes(&socket, || Ok("# EOF\n".to_owned()));
        let server = StatsServer::start("127.0.0.1:0".parse().unwrap(), routes).unwrap();
        assert!(get(server.address(), "/healthz").starts_with("HTTP/1.1 503"));
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(get(server.address(), "/healthz").ends_with("\r\n\r\nok\n"));
        drop(listener);
        assert!(get(server.address(), "/healthz").starts_with("HTTP/1.1 503"));

        let page = get(server.address(), "/metrics");
        assert!(
            page.contains(metrics::CONTENT_TYPE) && page.ends_with("\r\n\r\n# EOF\n"),
            "{page}"
        );
    }

    #[test]
    fn an_address_that_is_taken_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = StatsServer::start(address, Router::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("stats-listen: cannot listen on {address}: ")),
            "{error}"
        );
    }
}
