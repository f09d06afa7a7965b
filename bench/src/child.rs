//! Processes of a measurement: with a minimal environment, and with the tail of their standard error kept for errors.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use launcher::{Child, Stderr};
use tokio::process::Command;

use crate::error::BenchError;

/// How long a process may take to become ready.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Environment variables that a process inherits; any other could be a setting.
const KEPT: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"];

/// A command whose environment has only the variables of [`KEPT`].
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("RUST_LOG", "warn");
    command.envs(
        KEPT.iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?))),
    );
    command
}

pub fn spawn(name: &str, command: Command) -> Result<Child, BenchError> {
    Ok(Child::spawn(name, command, Stderr::Tail)?)
}

/// Reads the address that our servers announce in their first line.
pub async fn address(server: &mut Child) -> Result<SocketAddr, BenchError> {
    let announced: wire::AnnouncedAddress = server.read_json("its address", PATIENCE).await?;
    Ok(announced.listening)
}
