//! A child process in a process group of its own. Its standard input stays open as a life line: a program started
//! with `--stop-on-stdin-close` ends when this process does, even by a kill. Dropping it kills it with its group.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child as Process, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::LaunchError;

/// Number of lines of standard error that an error includes.
const TAIL_LINES: usize = 20;

/// Bytes of standard error that are kept; older ones are discarded.
const TAIL_BYTES: usize = 8 * 1024;

/// How long to read the standard error of a process that has ended: a descendant may hold it open.
const TAIL_GRACE: Duration = Duration::from_millis(200);

/// How long to wait for the end of a killed process.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Where the standard error of a child goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stderr {
    /// To the command's own destination, such as a file; by default that of this process.
    Inherit,
    /// Its last lines are kept for the error that reports its death.
    Tail,
    /// To the caller, line by line, through [`Child::take_stderr`].
    Lines,
}

#[derive(Debug)]
pub struct Child {
    name: String,
    process: Process,
    group: Option<Pid>,
    stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Option<Lines<BufReader<ChildStderr>>>,
    tail: Arc<Mutex<VecDeque<u8>>>,
    tail_reader: JoinSet<()>,
}

impl Child {
    /// Starts the command; `name` is its name in errors.
    ///
    /// # Errors
    /// Returns an error if the system does not start the program.
    pub fn spawn(name: &str, mut command: Command, stderr: Stderr) -> Result<Self, LaunchError> {
        if stderr != Stderr::Inherit {
            command.stderr(Stdio::piped());
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal reaches every process of the foreground group; the caller decides whether the
            // child ends.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| LaunchError::Spawn {
                process: name.to_owned(),
                program: command.as_std().get_program().to_string_lossy().into_owned(),
                source,
            })?;
        let tail = Arc::default();
        let mut tail_reader = JoinSet::new();
        if stderr == Stderr::Tail
            && let Some(stderr) = process.stderr.take()
        {
            tail_reader.spawn(keep_tail(stderr, Arc::clone(&tail)));
        }
        Ok(Self {
            name: name.to_owned(),
            group: process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)),
            stdin: process.stdin.take(),
            stdout: process.stdout.take().map(|stdout| BufReader::new(stdout).lines()),
            stderr: process.stderr.take().map(|stderr| BufReader::new(stderr).lines()),
            process,
            tail,
            tail_reader,
        })
    }

    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Its standard output; `None` if it was taken before.
    pub fn take_stdout(&mut self) -> Option<Lines<BufReader<ChildStdout>>> {
        self.stdout.take()
    }

    /// Its standard error with [`Stderr::Lines`]; `None` if it was taken before.
    pub fn take_stderr(&mut self) -> Option<Lines<BufReader<ChildStderr>>> {
        self.stderr.take()
    }

    /// The last lines of its standard error so far; empty unless [`Stderr::Tail`] keeps them.
    pub fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.iter().copied().collect();
        last_lines(&String::from_utf8_lossy(&bytes))
    }

    /// Reads the next line of its standard output as JSON, such as the address that a server announces.
    ///
    /// # Errors
    /// Returns an error if the output ends, the line has another form, or no line arrives within `patience`.
    pub async fn read_json<T: DeserializeOwned>(
        &mut self,
        awaited: &'static str,
        patience: Duration,
    ) -> Result<T, LaunchError> {
        let value = async {
            let line = match &mut self.stdout {
                Some(stdout) => stdout.next_line().await,
                None => Ok(None),
            };
            let Ok(Some(line)) = line else {
                return Err(self.death().await);
            };
            serde_json::from_str(&line).map_err(|source| LaunchError::Line {
                process: self.name.clone(),
                awaited,
                line,
                source,
            })
        };
        let value = timeout(patience, value).await;
        value.unwrap_or_else(|_| Err(self.not_ready(patience)))
    }

    /// Closes its standard input: a program started with `--stop-on-stdin-close` ends.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends SIGTERM to the process and its group.
    pub fn terminate(&self) {
        self.signal_group(Signal::TERM);
    }

    /// Waits for its end. Standard input stays open, and processes that it has started keep running.
    ///
    /// # Errors
    /// Returns an error if the system does not report its end.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Its exit status; `None` while it runs.
    ///
    /// # Errors
    /// Returns an error if the system does not report its end.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Waits until it ends by itself, kills the rest of its group, and returns its end as an error.
    pub async fn death(&mut self) -> LaunchError {
        let ended = self.process.wait().await;
        self.kill_group();
        let _ = timeout(TAIL_GRACE, self.tail_reader.join_next()).await;
        LaunchError::Died {
            process: self.name.clone(),
            status: ended.map_or_else(|error| error.to_string(), |status| status.to_string()),
            stderr: self.tail(),
        }
    }

    /// Closes its standard input, waits up to `grace` for its end, then kills it and the rest of its group.
    pub async fn stop(mut self, grace: Duration) {
        self.close_stdin();
        let _ = timeout(grace, self.process.wait()).await;
        self.kill().await;
    }

    /// Kills it and its group, and waits up to five seconds for its end.
    pub async fn kill(mut self) {
        self.kill_group();
        let _ = timeout(KILL_GRACE, self.process.wait()).await;
    }

    pub(crate) fn not_ready(&self, patience: Duration) -> LaunchError {
        LaunchError::NotReady {
            process: self.name.clone(),
            patience,
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Fails only if no process of the group is left.
            let _ = kill_process_group(group, signal);
        }
    }

    fn kill_group(&mut self) {
        self.signal_group(Signal::KILL);
        // Once the group is empty, its id may belong to another process.
        self.group = None;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill_group();
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

/// The last lines of a text, empty ones left out.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any step here takes, even on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Two shells that ignore the end of their input and SIGTERM. Both hold standard output open while they run, so
    /// its end shows that no process of the group is left.
    const STUBBORN: &str = "trap '' TERM; (echo up; while :; do sleep 60; done) & while :; do sleep 60; done";

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::spawn("shell", command, Stderr::Tail).unwrap()
    }

    /// A script that has written the line `up`, and its output.
    async fn up(script: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut child = shell(script);
        let mut stdout = child.take_stdout().unwrap();
        assert_eq!(stdout.next_line().await.unwrap().as_deref(), Some("up"));
        (child, stdout)
    }

    async fn assert_nothing_left(mut stdout: Lines<BufReader<ChildStdout>>) {
        let end = timeout(PATIENCE, stdout.next_line()).await;
        assert_eq!(end.expect("every holder of the pipe is gone").unwrap(), None);
    }

    #[tokio::test]
    async fn a_death_has_the_status_and_the_last_lines() {
        let mut child = shell("yes filler | head -n 5000 >&2; echo '  the reason' >&2; exit 3");
        let death = child.death().await.to_string();
        assert!(
            death.starts_with("shell ended unexpectedly (exit status: 3)\nfiller\n"),
            "{death}"
        );
        assert!(
            death.ends_with("filler\n  the reason"),
            "its indentation is kept: {death}"
        );
        assert_eq!(death.lines().count(), 1 + TAIL_LINES);
        assert!(death.ends_with(&child.tail()), "{death}");
    }

    #[tokio::test]
    async fn a_line_is_read_or_its_absence_explained() {
        let mut child = shell("echo 7; read line");
        assert_eq!(child.read_json::<u64>("a number", PATIENCE).await.unwrap(), 7);
        let late = child
            .read_json::<u64>("a number", Duration::from_millis(20))
            .await;
        assert_eq!(late.unwrap_err().to_string(), "shell was not ready after 20ms");
        let wrong = shell("echo nonsense; read line")
            .read_json::<u64>("a number", PATIENCE)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            wrong.starts_with("shell wrote `nonsense` in place of a number: "),
            "{wrong}"
        );
        let died = shell("echo 'port taken' >&2; exit 2")
            .read_json::<u64>("a number", PATIENCE)
            .await;
        assert_eq!(
            died.unwrap_err().to_string(),
            "shell ended unexpectedly (exit status: 2): port taken"
        );
        let missing = Child::spawn("udf", Command::new("/nowhere/udf"), Stderr::Tail);
        let missing = missing.unwrap_err().to_string();
        assert!(
            missing.starts_with("cannot start udf (`/nowhere/udf`): "),
            "{missing}"
        );
    }

    #[tokio::test]
    async fn standard_error_is_read_line_by_line_or_sent_where_the_command_says() {
        let script = ["-c", "echo one >&2; echo two >&2"];
        let mut command = Command::new("sh");
        command.args(script);
        let mut child = Child::spawn("shell", command, Stderr::Lines).unwrap();
        let mut lines = child.take_stderr().unwrap();
        for line in [Some("one"), Some("two"), None] {
            assert_eq!(lines.next_line().await.unwrap().as_deref(), line);
        }
        assert_eq!(child.tail(), "");

        let file = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        command.args(script).stderr(file.reopen().unwrap());
        let mut child = Child::spawn("shell", command, Stderr::Inherit).unwrap();
        assert!(child.take_stderr().is_none());
        assert!(child.wait().await.unwrap().success());
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "one\ntwo\n");
    }

    #[tokio::test]
    async fn the_life_line_holds_while_it_is_waited_for() {
        let mut child = Child::spawn("cat", Command::new("cat"), Stderr::Inherit).unwrap();
        let early = timeout(Duration::from_millis(50), child.wait()).await;
        assert!(early.is_err(), "waiting does not close standard input");
        assert!(child.try_wait().unwrap().is_none() && child.id().is_some());
        child.close_stdin();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
        assert_eq!(child.id(), None);
    }

    #[tokio::test]
    async fn a_stop_gives_time_to_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!("read line; echo done > {}", file.path().display());
        shell(&script).stop(PATIENCE).await;
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "done\n");
    }

    #[tokio::test]
    async fn what_does_not_stop_is_killed_with_its_group() {
        let (child, stdout) = up(STUBBORN).await;
        child.terminate();
        child.stop(Duration::from_millis(20)).await;
        assert_nothing_left(stdout).await;
        let (child, stdout) = up(STUBBORN).await;
        child.kill().await;
        assert_nothing_left(stdout).await;
        let (child, stdout) = up(STUBBORN).await;
        drop(child);
        assert_nothing_left(stdout).await;
    }

    #[tokio::test]
    async fn a_termination_reaches_the_whole_group() {
        let (mut child, stdout) = up("(echo up; while :; do sleep 60; done) & wait").await;
        child.terminate();
        let ended = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(15));
        assert_nothing_left(stdout).await;
    }

    #[tokio::test]
    async fn a_death_leaves_nothing_of_the_group() {
        let (mut child, stdout) = up("(while :; do sleep 60; done) & echo up; exit 1").await;
        let died = child.death().await.to_string();
        assert!(died.contains("exit status: 1"), "{died}");
        assert_nothing_left(stdout).await;
    }
}
