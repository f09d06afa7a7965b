//! What source, UDF and sink share as processes: arguments, start, serving, stop, log, metrics. The SDK's server
//! accepts any socket path and returns `Ok` after internal errors; this crate reports both.
//!
//! # Layout
//!
//! - [`cost`]: processor time, memory and threads of a process and its descendants.
//! - [`machine`]: facts of the machine and its limits.
//! - [`metrics`]: metrics that every program has, as OpenMetrics text.
//! - `pace`: waiting for a due time more exactly than tokio's timer.
//! - [`proc`]: the reader of `/proc`.
//! - `stats`: the HTTP server of `/metrics` and `/healthz`.

pub mod cost;
pub mod machine;
pub mod metrics;
mod pace;
pub mod proc;
mod stats;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

pub use pace::Pace;
pub use stats::{StatsServer, routes};

/// Grace period for a signal to arrive after the server stops on its own.
const SIGNAL_GRACE: Duration = Duration::from_millis(200);

/// Where a vertex's process serves, and when it stops.
#[derive(Debug, Clone, clap::Args)]
pub struct VertexArgs {
    /// Unix socket to serve on [default: Numaflow's]
    #[arg(long, env = "SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// File that the server writes once it serves [default: Numaflow's]
    #[arg(long, env = "SERVER_INFO", value_name = "PATH")]
    pub server_info: Option<PathBuf>,
    /// Address of GET /metrics (Prometheus) and /healthz [default: none]; with port 0 the port is in the log
    #[arg(long, env = "STATS_LISTEN", value_name = "ADDRESS:PORT")]
    pub stats_listen: Option<SocketAddr>,
    /// How long to wait, after a stop, for a data plane that stays connected
    #[arg(long, env = "STOP_GRACE", value_name = "DURATION", default_value = "1s", value_parser = wire::parse_duration, allow_hyphen_values = true)]
    pub stop_grace: Duration,
    /// Stop when standard input closes, so that this process does not outlive its parent
    #[arg(long, env = "STOP_ON_STDIN_CLOSE")]
    pub stop_on_stdin_close: bool,
}

/// Why a vertex's process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum VertexError {
    /// The path is longer than a socket address allows.
    #[error("socket: `{}` ({} bytes) is too long for a Unix socket: choose a shorter path", .0.display(), .0.as_os_str().len())]
    PathTooLong(PathBuf),
    /// Another process serves there.
    #[error("socket: `{}` is held by a running process: stop it or choose another path", .0.display())]
    Held(PathBuf),
    /// The folder is missing or not writable.
    #[error("socket: cannot use `{}`: {source}: create its folder or choose another path", path.display())]
    Unusable {
        /// The socket's path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The SDK's server could not start.
    #[error("cannot serve on `{}`: {reason}", path.display())]
    Start {
        /// The socket's path.
        path: PathBuf,
        /// The SDK's error.
        reason: String,
    },
    /// The SDK's server stopped without having been asked to.
    #[error("the server stopped after an internal error: see the log above")]
    Internal,
    /// The address for metrics cannot be used.
    #[error("stats-listen: cannot listen on {address}: {source}: choose another address")]
    Stats {
        /// The address that was given.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// Handlers for signals cannot be installed.
    #[error("cannot listen to signals: {0}")]
    Signals(#[source] io::Error),
}

impl VertexArgs {
    /// The socket and the server-info file, by default Numaflow's paths; checks the socket.
    ///
    /// # Errors
    /// Returns an error if the socket's path is too long, its folder is missing, or a running process serves on it.
    pub fn paths(&self, socket: &str, server_info: &str) -> Result<(PathBuf, PathBuf), VertexError> {
        let socket = self.socket.clone().unwrap_or_else(|| socket.into());
        let server_info = self.server_info.clone().unwrap_or_else(|| server_info.into());
        check_socket(&socket)?;
        Ok((socket, server_info))
    }

    /// Serves `routes` at `--stats-listen`, if it was given.
    ///
    /// # Errors
    /// Returns an error if the server cannot listen there.
    pub fn serve_metrics(&self, routes: Router) -> Result<Option<StatsServer>, VertexError> {
        self.stats_listen
            .map(|address| StatsServer::start(address, routes))
            .transpose()
    }
}

fn check_socket(path: &Path) -> Result<(), VertexError> {
    if std::os::unix::net::SocketAddr::from_pathname(path).is_err() {
        return Err(VertexError::PathTooLong(path.to_owned()));
    }
    let unusable = |source| VertexError::Unusable {
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !std::fs::metadata(folder).map_err(unusable)?.is_dir() {
        return Err(unusable(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(VertexError::Held(path.to_owned())),
        Err(_) => Ok(()),
    }
}

/// Runs an SDK server until a stop is requested; `start` gets the receiver that stops the server. The SDK then
/// cancels open work and waits for its client to disconnect, for at most `--stop-grace`: a client that stays must not
/// keep the process alive.
///
/// # Errors
/// Returns an error if the server cannot start, or if it stops without a request.
pub async fn serve<F, Running>(socket: &Path, args: &VertexArgs, start: F) -> Result<(), VertexError>
where
    F: FnOnce(oneshot::Receiver<()>) -> Running,
    Running: Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>>,
{
    let stop = stop_requested(args.stop_on_stdin_close).map_err(VertexError::Signals)?;
    tokio::pin!(stop);
    let (stop_server, server_stop) = oneshot::channel();
    tracing::info!("serving on {}", socket.display());
    let server = start(server_stop);
    tokio::pin!(server);
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| VertexError::Start {
        path: socket.to_owned(),
        reason: error.to_string(),
    };
    tokio::select! {
        ended = &mut server => {
            ended.map_err(failed)?;
            // The SDK handles signals itself and may be faster than this process.
            tokio::time::timeout(SIGNAL_GRACE, stop).await.map_err(|_| VertexError::Internal)
        }
        () = &mut stop => {
            let _ = stop_server.send(());
            tokio::time::timeout(args.stop_grace, server).await.unwrap_or(Ok(())).map_err(failed)
        }
    }
}

/// A future that ends with SIGINT, SIGTERM or, if `on_stdin_close`, the end of standard input.
///
/// # Errors
/// Returns an error if the handlers of the signals cannot be installed.
pub fn stop_requested(on_stdin_close: bool) -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = stdin_closed(), if on_stdin_close => {}
        }
    })
}

/// Keeps SIGINT and SIGTERM from ending this process, a child whose end is that of its standard input. Both can reach a
/// whole group of processes, and the child would be gone before its parent has stopped.
///
/// # Errors
/// Returns an error if the handlers of the signals cannot be installed.
pub fn outlive_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        // The handlers stay when the runtime and what they notify are gone.
        drop(signal(SignalKind::interrupt())?);
        drop(signal(SignalKind::terminate())?);
        Ok(())
    })
}

/// Reads on its own thread: a blocking read would keep the runtime from shutting down after a signal.
async fn stdin_closed() {
    let (closed, on_close) = oneshot::channel();
    let reader = std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = closed.send(());
        });
    match reader {
        Ok(_) => drop(on_close.await),
        Err(error) => {
            tracing::error!("standard input is not watched: {error}");
            std::future::pending().await
        }
    }
}

/// An error and its causes in one line; leaves out a cause that the text already contains.
pub fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line.replace('\n', " ")
}

/// What to say of a TLS error in rustls's words, if the certificate has no authority that is trusted.
pub fn untrusted_certificate(error: &str) -> Option<&'static str> {
    // The signature is bad if another authority of the same name is trusted.
    let untrusted = ["UnknownIssuer", "BadSignature"]
        .iter()
        .any(|kind| error.contains(kind));
    untrusted.then_some("certificate not trusted: --ca-file or SSL_CERT_FILE")
}

/// Sends the log to stderr: level by `RUST_LOG` (default `info,numaflow=warn`), as JSON lines with `LOG_FORMAT=json`, without
/// colours with `NO_COLOR`.
pub fn init_logging() {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        // The SDK logs its internal structures at `info`.
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,numaflow=warn"));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours);
    let json = std::env::var("LOG_FORMAT").is_ok_and(|format| format == "json");
    // A second initialisation, as in tests, keeps the first.
    let _ = if json {
        log.json().try_init()
    } else {
        log.try_init()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(socket: Option<PathBuf>) -> VertexArgs {
        VertexArgs {
            socket,
            server_info: None,
            stats_listen: None,
            stop_grace: Duration::from_secs(1),
            stop_on_stdin_close: false,
        }
    }

    #[test]
    fn a_socket_is_refused_when_too_long_held_or_without_folder() {
        let folder = tempfile::tempdir().unwrap();
        let paths = |path: PathBuf| args(Some(path)).paths("unused", "info");

        assert!(matches!(
            paths(folder.path().join("x".repeat(120))),
            Err(VertexError::PathTooLong(_))
        ));
        assert!(matches!(
            paths(folder.path().join("none/s.sock")),
            Err(VertexError::Unusable { .. })
        ));
        let socket = folder.path().join("s.sock");
        assert_eq!(
            paths(socket.clone()).unwrap(),
            (socket.clone(), PathBuf::from("info"))
        );
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(paths(socket.clone()), Err(VertexError::Held(_))));
        drop(listener);
        assert!(paths(socket).is_ok(), "a stale socket is no obstacle");
    }

    #[test]
    fn causes_are_written_once() {
        let source = io::Error::other("no room");
        let error = VertexError::Unusable {
            path: "/s".into(),
            source,
        };
        assert_eq!(one_line(&error).matches("no room").count(), 1);
        let error = VertexError::Signals(io::Error::other("none left"));
        assert_eq!(one_line(&error), "cannot listen to signals: none left");
    }

    #[tokio::test]
    async fn a_server_that_stops_unasked_is_an_error() {
        let ended = serve(Path::new("s"), &args(None), |_stop| async { Ok(()) }).await;
        assert!(matches!(ended, Err(VertexError::Internal)));
        let ended = serve(Path::new("s"), &args(None), |_stop| async { Err("no".into()) }).await;
        assert!(matches!(ended, Err(VertexError::Start { .. })));
    }
}
