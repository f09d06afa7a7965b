//! A container's process: the real binary with the container's environment; its output goes to the container's log.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use launcher::{Child, Place, Stderr};
use serde_json::Value;
use tokio::io::{AsyncBufRead, Lines};
use tokio::process::Command;

use super::Inner;
use super::log::Log;
use crate::binary;

/// How long a process may take to end after its standard input has closed.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// The pod that a container runs in.
pub(super) struct Pod<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub address: Ipv4Addr,
    /// Where a vertex serves, in a folder that stands for `/var/run/numaflow`.
    pub serves: Option<&'a Place>,
    /// Paths in the container, and the folders of this machine that stand for them.
    pub mounts: &'a [(String, PathBuf)],
}

/// Starts the container's program; `log` gets its standard output and error, as a pod's log contains both.
pub(super) fn start(inner: &Inner, container: &Value, pod: &Pod<'_>, log: &Arc<Log>) -> Child {
    let path = container["command"][0].as_str().unwrap_or_default();
    let name = Path::new(path).file_name().unwrap_or_default();
    assert!(
        path.starts_with("/usr/local/bin/"),
        "the image's programs are there, not at `{path}`"
    );
    let name = name.to_string_lossy();
    let mut command = Command::new(binary(&name));
    command.env_clear();
    // Tests find leftovers by TMPDIR; in a cluster the container would have its own.
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
        command.env(name, pod.seen_from_here(inner, name, value));
    }
    command.env("STOP_ON_STDIN_CLOSE", "true");
    if let Some(place) = pod.serves {
        command.envs(place.variables());
        command.env("NUMAFLOW_REPLICA", "0").env("NUMAFLOW_POD", pod.name);
    }
    let mut child = Child::spawn(&name, command, Stderr::Lines).expect("a built binary starts");
    if let Some(stdout) = child.take_stdout() {
        inner.spawn(copy(stdout, Arc::clone(log)));
    }
    if let Some(stderr) = child.take_stderr() {
        inner.spawn(copy(stderr, Arc::clone(log)));
    }
    child
}

impl Pod<'_> {
    /// There is no pod network and no DNS: addresses become loopback addresses of this machine.
    fn seen_from_here(&self, inner: &Inner, name: &str, value: &str) -> String {
        if let Some(port) = value.strip_prefix("0.0.0.0:") {
            return format!("{}:{port}", self.address);
        }
        for (path, folder) in self.mounts {
            if let Some(file) = value.strip_prefix(&format!("{path}/")) {
                return folder.join(file).display().to_string();
            }
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

async fn copy(mut lines: Lines<impl AsyncBufRead + Unpin>, log: Arc<Log>) {
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(&line);
    }
}
