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
use std::path::PathBuf;
use std::time::Duration;

use launcher::{Child, Place, Stderr};
use tokio::process::Command;
use tonic::transport::{Channel, Endpoint};
pub use vertex::proc::children as children_of;

/// Patience with a process that starts or ends on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

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

/// Starts a binary of the workspace with arguments; standard error is inherited.
pub fn start<A: AsRef<OsStr>>(name: &str, args: &[A]) -> Child {
    let mut command = Command::new(binary(name));
    command.args(args);
    spawn(command)
}

/// Starts a prepared command; standard error is inherited unless the command sends it elsewhere.
pub fn spawn(command: Command) -> Child {
    launch(command, Stderr::Inherit)
}

/// Starts a prepared command of a vertex that tells metrics, and gives where: its log says so. The rest of the log
/// goes to standard error.
///
/// # Panics
/// Where the process ends before it has said so.
pub async fn spawn_telling(mut command: Command) -> (Child, SocketAddr) {
    command
        .env("STATS_LISTEN", "127.0.0.1:0")
        .env("LOG_FORMAT", "json");
    let mut child = launch(command, Stderr::Lines);
    let mut log = child.take_stderr().expect("stderr is piped");
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
    (child, address)
}

fn launch(mut command: Command, stderr: Stderr) -> Child {
    // A test that is killed, or interrupted at its terminal, leaves nothing running.
    command.env("STOP_ON_STDIN_CLOSE", "true");
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    Child::spawn(&program, command, stderr).expect("a built binary starts")
}

/// Starts an endpoint with arguments on a free port, and gives its URL.
pub async fn endpoint(args: &[&str]) -> (Child, String) {
    let mut endpoint = start("endpoint", &[&["--listen", "127.0.0.1:0"], args].concat());
    let url = format!("http://{}", address(&mut endpoint).await);
    (endpoint, url)
}

/// The address that a server announces when it accepts connections.
///
/// # Panics
/// Where it announces none in time.
pub async fn address(server: &mut Child) -> SocketAddr {
    let announced = server.read_json::<wire::AnnouncedAddress>("its address", PATIENCE);
    announced.await.expect("a server").listening
}

/// A gRPC channel to a vertex, once it serves.
///
/// # Panics
/// Where it ends before or is not ready in time.
pub async fn connect(vertex: &mut Child, place: &Place) -> Channel {
    place.ready(vertex, PATIENCE).await.expect("a vertex");
    let address = format!("unix:{}", place.socket.display());
    let endpoint = Endpoint::from_shared(address).expect("an address");
    endpoint.connect().await.expect("a server answers")
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
