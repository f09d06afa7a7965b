//! Processes listen on TCP only where they are configured to.

use std::net::SocketAddr;

use launcher::Place;
use tests::process::listening;
use tests::{address, binary, connect, spawn, spawn_with_metrics, start};
use tokio::process::Command;

const VERTICES: [&str; 3] = ["generator", "udf", "sink"];

/// A vertex that serves there.
fn vertex(name: &str, place: &Place) -> Command {
    let mut command = Command::new(binary(name));
    command.envs(place.variables());
    command
}

fn place(folder: &tempfile::TempDir) -> Place {
    Place::within(folder.path(), "v").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_listens_only_where_it_is_configured_to() {
    for name in VERTICES {
        let folder = tempfile::tempdir().unwrap();
        let place = self::place(&folder);
        let mut running = spawn(vertex(name, &place));
        connect(&mut running, &place).await;
        let nowhere: [SocketAddr; 0] = [];
        assert_eq!(listening(running.id().unwrap()), nowhere, "{name}");

        let folder = tempfile::tempdir().unwrap();
        let place = self::place(&folder);
        let (mut running, reported) = spawn_with_metrics(vertex(name, &place)).await;
        connect(&mut running, &place).await;
        assert_eq!(listening(running.id().unwrap()), [reported], "{name}");
    }
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        let mut endpoint = start("endpoint", &["--listen", listen]);
        let reported = address(&mut endpoint).await;
        assert_eq!(listening(endpoint.id().unwrap()), [reported]);
    }
}
