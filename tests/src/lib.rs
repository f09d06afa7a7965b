//! What the tests share. They run the real binaries over real sockets.
//!
//! # Layout
//!
//! - [`architecture`]: the crates and their allowed dependencies.
//! - [`chart_page`]: the tables of values in the chart's README.
//! - [`hostile`]: an HTTP endpoint that misbehaves.
//! - [`kube`]: a mock of the Kubernetes API server and of Numaflow's controller, with real processes behind it.
//! - [`manifests`]: checks of rendered Kubernetes objects.
//! - [`page`]: the blocks of a page of the documentation.
//! - [`pipeline`]: the four processes with the embedded data plane.
//! - [`proxy`]: an HTTP proxy.
//! - [`process`]: memory, descriptors, signals and the end of a process.
//! - [`reduce`]: a UDF with a client of its gRPC service.
//! - [`scrape`]: reads `/metrics`.
//! - [`source`]: the generator with a client of its gRPC service.

#![allow(
    missing_docs,
    reason = "used by this workspace alone: docs that only repeat a name are left out"
)]

pub mod architecture;
pub mod chart_page;
pub mod hostile;
pub mod kube;
pub mod manifests;
pub mod page;
pub mod pipeline;
pub mod process;
pub mod proxy;
pub mod reduce;
pub mod scrape;
pub mod source;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use launcher::{Child, Place, Stderr};
use tokio::process::Command;
use tonic::transport::{Channel, Endpoint};
pub use vertex::proc::children as children_of;

/// How long to wait for a process that starts or ends on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The path of one of the workspace's binaries, in the folder of the running test.
///
/// # Panics
/// Panics if it is not built: `make test` builds all of them first.
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

/// Starts the command of a vertex with metrics, and returns their address, which its log contains. The rest of the
/// log goes to standard error.
///
/// # Panics
/// Panics if the process ends before it logs the address.
pub async fn spawn_with_metrics(mut command: Command) -> (Child, SocketAddr) {
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
    // If the test is killed or interrupted, its processes end too.
    command.env("STOP_ON_STDIN_CLOSE", "true");
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    Child::spawn(&program, command, stderr).expect("a built binary starts")
}

/// Starts an endpoint with arguments on a free port; returns its URL.
pub async fn endpoint(args: &[&str]) -> (Child, String) {
    let mut endpoint = start("endpoint", &[&["--listen", "127.0.0.1:0"], args].concat());
    let url = format!("http://{}", address(&mut endpoint).await);
    (endpoint, url)
}

/// The address that a server announces once it accepts connections.
///
/// # Panics
/// Panics if it announces none in time.
pub async fn address(server: &mut Child) -> SocketAddr {
    let announced = server.read_json::<wire::AnnouncedAddress>("its address", PATIENCE);
    announced.await.expect("a server").listening
}

/// A gRPC channel to a vertex, once it serves.
///
/// # Panics
/// Panics if the vertex ends before it is ready or is not ready in time.
pub async fn connect(vertex: &mut Child, place: &Place) -> Channel {
    place.ready(vertex, PATIENCE).await.expect("a vertex");
    let address = format!("unix:{}", place.socket.display());
    let endpoint = Endpoint::from_shared(address).expect("an address");
    endpoint.connect().await.expect("a server answers")
}

/// Installs the TLS provider of rustls, without which reqwest builds no client, not even for plain HTTP.
pub fn provide_tls() {
    // Fails if a provider is installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// GETs JSON.
///
/// # Panics
/// Panics if there is no answer or it has another form.
pub async fn get_json<T: serde::de::DeserializeOwned>(url: &str) -> T {
    provide_tls();
    reqwest::get(url)
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON of that shape")
}
