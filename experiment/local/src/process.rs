//! One child process of a trial: in a group of its own, its standard input kept open as its life line, the end of
//! what it says on standard error kept for the error that its death becomes.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::LocalError;

/// Lines of standard error that an error repeats.
const TAIL_LINES: usize = 20;

/// Bytes of standard error that are kept; older ones are forgotten.
const TAIL_BYTES: usize = 8 * 1024;

/// How long the standard error of a dead process is read: a grandchild may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A running child; dropped, it is killed with all of its group.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    group: Option<Pid>,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    tail: Arc<Mutex<VecDeque<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the command as `name`.
    pub fn spawn(name: &'static str, mut command: Command) -> Result<Self, LocalError> {
        let spawn_error = |source| LocalError::Spawn {
            process: name,
            source,
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C on a terminal reaches every process of the group, and the SDK would drop its windows on it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn_error)?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let reader = child
            .stderr
            .take()
            .map(|stderr| tokio::spawn(keep_tail(stderr, Arc::clone(&tail))));
        Ok(Self {
            name,
            group: child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)),
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            child,
            tail,
            reader,
        })
    }

    /// Its process id; nothing once it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its standard output; nothing once it has been taken.
    pub fn take_stdout(&mut self) -> Option<BufReader<ChildStdout>> {
        self.stdout.take()
    }

    /// The address that it announces on the first line of its standard output.
    pub async fn address(&mut self) -> Result<std::net::SocketAddr, LocalError> {
        let mut line = String::new();
        if let Some(stdout) = &mut self.stdout {
            let read = stdout.read_line(&mut line).await;
            if matches!(read, Err(_) | Ok(0)) {
                return Err(self.death().await);
            }
        }
        let announced: Result<wire::AnnouncedAddress, _> = serde_json::from_str(&line);
        announced
            .map(|announced| announced.listening)
            .map_err(|source| LocalError::Announcement {
                process: self.name,
                source,
            })
    }

    /// Waits until it ends by itself and tells so.
    pub async fn death(&mut self) -> LocalError {
        let ended = self.child.wait().await;
        self.kill_group();
        if let Some(reader) = &mut self.reader {
            let _ = timeout(LAST_WORDS, reader).await;
            self.reader = None;
        }
        LocalError::Died {
            process: self.name,
            status: describe(ended),
            said: self.last_words(),
        }
    }

    /// Lets it end: its standard input is closed, with `terminate` it gets the signal, after `patience` it is killed.
    pub async fn stop(mut self, terminate: bool, patience: Duration) {
        drop(self.stdin.take());
        if let (true, Some(group)) = (terminate, self.group) {
            let _ = kill_process_group(group, Signal::TERM);
        }
        let _ = timeout(patience, self.child.wait()).await;
        self.kill_group();
        // Killed or ended, it must not stay as a zombie.
        let _ = timeout(patience, self.child.wait()).await;
    }

    fn kill_group(&mut self) {
        // Taken, because the id may belong to others once the group is empty.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    fn last_words(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.iter().copied().collect();
        one_line(&String::from_utf8_lossy(&bytes))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

async fn keep_tail(mut stderr: ChildStderr, tail: Arc<Mutex<VecDeque<u8>>>) {
    let mut buffer = vec![0; 4 * 1024];
    while let Ok(read) = stderr.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&buffer[..read]);
        let excess = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..excess);
    }
}

/// The last lines of a text in one.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join(" | ")
}

fn describe(ended: std::io::Result<ExitStatus>) -> String {
    ended.map_or_else(|error| error.to_string(), |status| status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("shell", command).unwrap()
    }

    #[tokio::test]
    async fn a_death_tells_status_and_last_words() {
        let mut process = shell("yes filler | head -n 5000 >&2; echo 'the reason' >&2; exit 3");
        let death = process.death().await.to_string();
        assert!(
            death.starts_with("shell ended unexpectedly (exit status: 3): "),
            "{death}"
        );
        assert!(death.ends_with("filler | the reason"), "{death}");
        assert_eq!(death.matches(" | ").count(), TAIL_LINES - 1);
    }

    #[tokio::test]
    async fn an_address_is_read_or_its_absence_explained() {
        let mut process = shell(r#"echo '{"listening":"127.0.0.1:80"}'; read line"#);
        assert_eq!(process.address().await.unwrap(), "127.0.0.1:80".parse().unwrap());
        process.stop(false, Duration::from_secs(5)).await;
        let failed = shell("echo nonsense; read line").address().await.unwrap_err();
        assert!(matches!(
            failed,
            LocalError::Announcement { process: "shell", .. }
        ));
        let died = shell("echo 'port taken' >&2; exit 2")
            .address()
            .await
            .unwrap_err()
            .to_string();
        assert!(
            died.contains("exit status: 2") && died.contains("port taken"),
            "{died}"
        );
    }

    #[tokio::test]
    async fn what_does_not_stop_is_killed_with_its_group() {
        // Neither shell heeds the end of its input; both keep standard output open until they are gone.
        let mut process = shell("echo up; (while :; do sleep 60; done) & while :; do sleep 60; done");
        let mut stdout = process.take_stdout().unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        process.stop(false, Duration::from_millis(20)).await;
        let mut rest = String::new();
        let end = timeout(Duration::from_secs(5), stdout.read_to_string(&mut rest)).await;
        assert!(matches!(end, Ok(Ok(0))), "every holder of the pipe is gone");
    }
}
