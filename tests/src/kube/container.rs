//! A container's process: the real binary with the container's environment, its output in the container's log.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::Inner;
use super::log::Log;
use crate::binary;

/// How long a process may take to end when its standard input does.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Where a container runs, and as which vertex, if any.
pub(super) struct Place<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    pub address: Ipv4Addr,
    /// Folder that stands for `/var/run/numaflow`.
    pub run: Option<&'a Path>,
}

/// A running process. Dropped, it is killed.
pub(super) struct Process {
    pub child: Child,
    /// Held here, because waiting for a child closes the one it has.
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts what the container says; `log` gets its standard output and error, as a pod's log has both.
    pub fn start(inner: &Inner, container: &Value, place: &Place<'_>, log: &Arc<Log>) -> Self {
        let path = container["command"][0].as_str().unwrap_or_default();
        let name = Path::new(path).file_name().unwrap_or_default();
        assert!(
            path.starts_with("/usr/local/bin/"),
            "the image's programs are there, not at `{path}`"
        );
        let mut command = Command::new(binary(&name.to_string_lossy()));
        command.env_clear();
        // The test finds what is left over by TMPDIR; the rest would be the container's own.
        command.envs(
            ["PATH", "TMPDIR"]
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().into_iter().flatten();
            list.filter_map(|one| one.as_str().map(str::to_owned)).collect()
        };
        command.args(texts(&container["command"]).iter().skip(1));
        command.args(texts(&container["args"]));
        for variable in container["env"].as_array().into_iter().flatten() {
            let (Some(name), Some(value)) = (variable["name"].as_str(), variable["value"].as_str()) else {
                continue;
            };
            command.env(name, place.seen_from_here(inner, name, value));
        }
        command.env("STOP_ON_STDIN_CLOSE", "true");
        if let Some(run) = place.run {
            command
                .env("SOCKET", run.join("socket"))
                .env("SERVER_INFO", run.join("info"));
            command
                .env("NUMAFLOW_REPLICA", "0")
                .env("NUMAFLOW_POD", place.pod);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a built binary starts");
        if let Some(stdout) = child.stdout.take() {
            inner.spawn(copy(stdout, Arc::clone(log)));
        }
        if let Some(stderr) = child.stderr.take() {
            inner.spawn(copy(stderr, Arc::clone(log)));
        }
        let stdin = child.stdin.take();
        Self { child, stdin }
    }

    /// Lets it end, and kills it where it does not.
    pub async fn stop(mut self) {
        drop(self.stdin.take());
        if timeout(STOP_PATIENCE, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// As the kernel does when there is no memory left.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }
}

impl Place<'_> {
    /// A pod's own network and its names are not there: addresses become those of this machine.
    fn seen_from_here(&self, inner: &Inner, name: &str, value: &str) -> String {
        if let Some(port) = value.strip_prefix("0.0.0.0:") {
            return format!("{}:{port}", self.address);
        }
        if name != "ENDPOINT_URL" {
            return value.to_owned();
        }
        let Some((host, port)) = value
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once(':'))
        else {
            return value.to_owned();
        };
        let service = host.split('.').next().unwrap_or_default();
        inner
            .service_address(self.namespace, service, port.trim_end_matches('/').parse().ok())
            .map_or_else(|| value.to_owned(), |address| format!("http://{address}"))
    }
}

async fn copy(from: impl AsyncRead + Unpin, log: Arc<Log>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(&line);
    }
}
