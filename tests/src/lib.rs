//! What the tests share: the real binaries, started as anyone would start them.

pub mod architecture;
pub mod hostile;
pub mod kube;
pub mod manifests;
pub mod pipeline;
pub mod process;
pub mod reduce;
pub mod scrape;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdout, Command};
use tonic::transport::{Channel, Endpoint};

/// The path of one of the workspace's binaries, built beside the running test.
///
/// # Panics
/// Where it has not been built: `make test` builds all of them first.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/debug/deps/test");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not built: run `make test`, which builds it first",
        path.display()
    );
    path
}

/// A running process that is killed when dropped.
pub struct Running {
    /// The process.
    pub child: Child,
    /// Its standard output, line by line.
    pub lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts a binary of the workspace with arguments; standard input stays open, standard error is inherited.
    pub fn start<A: AsRef<OsStr>>(name: &str, args: &[A]) -> Self {
        let mut command = Command::new(binary(name));
        command.args(args);
        Self::spawn(command)
    }

    /// Starts a prepared command.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a built binary starts");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Self { child, lines }
    }

    /// Starts a prepared command of a vertex that tells metrics, and gives where: its log says so. The rest of the log
    /// goes to standard error.
    ///
    /// # Panics
    /// Where the process ends before it has said so.
    pub async fn spawn_telling(mut command: Command) -> (Self, SocketAddr) {
        command
            .env("STATS_LISTEN", "127.0.0.1:0")
            .env("LOG_FORMAT", "json")
            .stderr(Stdio::piped());
        let mut running = Self::spawn(command);
        let mut log = BufReader::new(running.child.stderr.take().expect("stderr is piped")).lines();
        let address = loop {
            let line = log.next_line().await.expect("the log is text");
            let line = line.expect("an address before the end");
            eprintln!("{line}");
            let event: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
            if let Some(address) = event["fields"]["stats_listen"].as_str() {
                break address.parse().expect("an address");
            }
        };
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                eprintln!("{line}");
            }
        });
        (running, address)
    }

    /// The address from the line that a server writes when it accepts connections.
    pub async fn address(&mut self) -> SocketAddr {
        let line = self
            .lines
            .next_line()
            .await
            .expect("stdout is text")
            .expect("an address before the end");
        serde_json::from_str::<wire::AnnouncedAddress>(&line)
            .expect("an announced address")
            .listening
    }
}

/// A gRPC channel to a server on a Unix socket, once its server-info file is whole.
///
/// # Panics
/// Where the server is not up within `patience`.
pub async fn connect(socket: &Path, server_info: &Path, patience: Duration) -> Channel {
    let whole = async {
        loop {
            let content = tokio::fs::read_to_string(server_info).await.unwrap_or_default();
            if content.ends_with("U+005C__END__") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(patience, whole)
        .await
        .expect("the server-info file is written in time");
    let socket = socket.to_owned();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The address is not used: the connector knows the socket.
    Endpoint::from_static("http://[::]:50051")
        .connect_with_connector(connector)
        .await
        .expect("a server answers")
}

/// Installs what reqwest takes TLS from, without which it builds no client, not even for plain HTTP.
pub fn provide_tls() {
    // Fails where a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// GETs JSON.
///
/// # Panics
/// Where nobody answers or the answer is of another shape.
pub async fn get_json<T: serde::de::DeserializeOwned>(url: &str) -> T {
    provide_tls();
    reqwest::get(url)
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON of that shape")
}

/// The child processes of a process.
///
/// # Panics
/// Where the system does not tell them.
#[cfg(target_os = "linux")]
pub fn children_of(process: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{process}/task")).expect("a list of processes") {
        let path = task.expect("a list of processes").path().join("children");
        let list = std::fs::read_to_string(path).unwrap_or_default();
        children.extend(
            list.split_whitespace()
                .map(|id| id.parse::<u32>().expect("a list of processes")),
        );
    }
    children
}

/// The child processes of a process.
///
/// # Panics
/// Where the system does not tell them.
#[cfg(not(target_os = "linux"))]
pub fn children_of(process: u32) -> Vec<u32> {
    let list = std::process::Command::new("pgrep")
        .args(["-P", &process.to_string()])
        .output()
        .expect("a list of processes");
    String::from_utf8(list.stdout)
        .expect("a list of processes")
        .split_whitespace()
        .map(|id| id.parse().expect("a list of processes"))
        .collect()
}
