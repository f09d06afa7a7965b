//! One child process of the pool.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use wire::Outcome;

use super::prefetch::{Ahead, Pace};
use crate::call::Event;
use crate::worker::frame;

/// How to start a worker process.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// A child process.
pub(super) struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Events that it has and has not answered.
    given: usize,
    pace: Pace,
}

impl Worker {
    pub(super) fn start(command: &WorkerCommand) -> io::Result<Self> {
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("the child has no pipe");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Self {
            child,
            stdin,
            stdout,
            given: 0,
            pace: Pace::default(),
        })
    }

    pub(super) fn is_alive(&mut self) -> bool {
        // One that has calls tells by its answer.
        self.given > 0 || matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// What came of a call, and how long it took; those ahead begin right after it. What it was given before is not
    /// given again.
    pub(super) async fn answer(
        &mut self,
        event: &Event,
        ahead: &Ahead<'_>,
    ) -> io::Result<(Outcome, Duration)> {
        let mut frames = Vec::new();
        if self.given == 0 {
            frame::encode_event(&mut frames, &event.keys, event.id, &event.payload)?;
            self.given = 1;
        }
        for reserved in ahead.iter().skip(self.given - 1) {
            let (keys, id, payload) = reserved.event();
            frame::encode_event(&mut frames, keys, id, payload)?;
            self.given += 1;
        }
        if !frames.is_empty() {
            self.stdin.write_all(&frames).await?;
        }
        let (outcome, took) = frame::decode_outcome(&frame::read(&mut self.stdout).await?)?;
        self.given -= 1;
        self.pace.record(took);
        Ok((outcome, took))
    }
}
