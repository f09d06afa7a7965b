//! Where a process can be reached by TCP: only where it was told to listen.

use std::net::SocketAddr;

use tests::process::listening;
use tests::reduce::PATIENCE;
use tests::{Running, binary, connect};
use tokio::process::Command;

const VERTICES: [&str; 3] = ["generator", "udf", "sink"];

/// A vertex that serves on sockets in this folder.
fn vertex(name: &str, folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(binary(name));
    command.arg("--socket").arg(folder.path().join("socket"));
    command.arg("--server-info").arg(folder.path().join("info"));
    command
}

async fn serves(folder: &tempfile::TempDir) {
    let (socket, info) = (folder.path().join("socket"), folder.path().join("info"));
    connect(&socket, &info, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_listens_only_where_it_was_told_to() {
    for name in VERTICES {
        let folder = tempfile::tempdir().unwrap();
        let running = Running::spawn(vertex(name, &folder));
        serves(&folder).await;
        let nowhere: [SocketAddr; 0] = [];
        assert_eq!(listening(running.child.id().unwrap()), nowhere, "{name}");

        let folder = tempfile::tempdir().unwrap();
        let (running, told) = Running::spawn_telling(vertex(name, &folder)).await;
        serves(&folder).await;
        assert_eq!(listening(running.child.id().unwrap()), [told], "{name}");
    }
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let mut endpoint = Running::start("endpoint", &["--listen", address]);
        let told = endpoint.address().await;
        assert_eq!(listening(endpoint.child.id().unwrap()), [told]);
    }
}
