//! What the tests share: the real binaries, started as anyone would start them.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

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
    pub fn start(name: &str, args: &[&str]) -> Self {
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

    /// The address from the line that a server writes when it accepts connections.
    pub async fn address(&mut self) -> std::net::SocketAddr {
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
