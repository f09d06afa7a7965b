//! A process of a measurement: in a group of its own, killed with it when dropped, its standard error in a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::cost::{self, Cpu};
use crate::error::BenchError;

/// How long a process may take to say its first line.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of standard error that an error repeats.
const TAIL_BYTES: usize = 600;

/// Environment that is handed on; anything else could hold a setting.
const KEPT: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"];

/// A running process.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    process: Process,
    id: u32,
    group: Option<Pid>,
    /// The life line of our own programs.
    _stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    errors: PathBuf,
}

/// A command with nothing but [`KEPT`] in its environment.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("RUST_LOG", "warn");
    command.envs(
        KEPT.iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?))),
    );
    command
}

impl Child {
    /// Starts `command` as `name`; `folder` takes what it says on standard error.
    pub fn spawn(name: &'static str, mut command: Command, folder: &Path) -> Result<Self, BenchError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let errors = folder.join(format!("{name}.stderr"));
        let file = File::create(&errors).map_err(|source| BenchError::File {
            doing: "creating",
            path: errors.clone(),
            source,
        })?;
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| BenchError::Spawn {
                name,
                program,
                source,
            })?;
        let id = process.id().unwrap_or_default();
        Ok(Self {
            name,
            id,
            group: i32::try_from(id).ok().and_then(Pid::from_raw),
            _stdin: process.stdin.take(),
            stdout: process.stdout.take().map(BufReader::new),
            process,
            errors,
        })
    }

    /// Processor time, memory and threads of it and its children by now.
    pub fn cost(&self) -> Result<Cpu, BenchError> {
        cost::of(self.id)
    }

    /// Its standard output; nothing once it has been taken.
    pub fn take_stdout(&mut self) -> Option<BufReader<ChildStdout>> {
        self.stdout.take()
    }

    /// The next line of its standard output as JSON.
    pub async fn says<T: serde::de::DeserializeOwned>(
        &mut self,
        awaited: &'static str,
        patience: Duration,
    ) -> Result<T, BenchError> {
        let mut said = String::new();
        if let Some(stdout) = &mut self.stdout {
            // An error or the end of the time leaves a line that is none.
            let _ = timeout(patience, stdout.read_line(&mut said)).await;
        }
        serde_json::from_str(&said).map_err(|_| BenchError::Said {
            name: self.name,
            awaited,
            said: said.trim().to_owned(),
            tail: self.tail(),
        })
    }

    /// The address that our servers announce on their first line.
    pub async fn address(&mut self) -> Result<std::net::SocketAddr, BenchError> {
        let announced: wire::AnnouncedAddress = self.says("an address", PATIENCE).await?;
        Ok(announced.listening)
    }

    /// The end of its standard error, in one line.
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.errors).unwrap_or_default();
        let end = &text[text.len().saturating_sub(TAIL_BYTES)..];
        String::from_utf8_lossy(end).trim().replace('\n', " | ")
    }

    /// Awaits its end, which must be a success, for at most `patience`; the highest resident memory seen, bytes.
    pub async fn peak_until_end(&mut self, look: Duration, patience: Duration) -> Result<u64, BenchError> {
        let mut peak = 0;
        // What it prints must not hold it up.
        let printed = self.stdout.take();
        let printed = tokio::spawn(async move {
            if let Some(mut stdout) = printed {
                let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
            }
        });
        let ended = timeout(patience, async {
            loop {
                match timeout(look, self.process.wait()).await {
                    Ok(ended) => break ended,
                    Err(_) => peak = peak.max(high_water_bytes(self.id)),
                }
            }
        })
        .await;
        printed.abort();
        match ended {
            Ok(Ok(status)) if status.success() => Ok(peak),
            _ => Err(BenchError::Said {
                name: self.name,
                awaited: "its end as a success",
                said: String::new(),
                tail: self.tail(),
            }),
        }
    }

    /// Kills it and its children and waits for its end.
    pub async fn end(mut self) {
        self.kill();
        let _ = self.process.wait().await;
    }

    fn kill(&mut self) {
        // Taken, because the id may belong to others once the group is empty.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `VmHWM` of `/proc/PID/status` (proc_pid_status(5)), bytes; 0 where it cannot be read.
fn high_water_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kibibytes = status.lines().find_map(|line| {
        let value = line.strip_prefix("VmHWM:")?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    kibibytes.unwrap_or(0) * 1024
}
