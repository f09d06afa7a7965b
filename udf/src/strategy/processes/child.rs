//! One child process of the pool.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::prefetch::{Pace, Prefetched};
use crate::call::Answer;
use crate::event::Event;
use crate::worker::frame::{self, Answered};

/// How to start a worker process.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// Path of the program.
    pub program: PathBuf,
    /// Arguments of the program.
    pub args: Vec<OsString>,
}

/// A child process.
pub(super) struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Events that were written to it and are not answered yet.
    unanswered: usize,
    /// Whether its greeting was read.
    greeted: bool,
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
            unanswered: 0,
            greeted: false,
            pace: Pace::default(),
        })
    }

    pub(super) fn is_alive(&mut self) -> bool {
        // While calls are unanswered, reading the answer shows whether it is alive.
        self.unanswered > 0 || matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends its input, at which it ends by itself. It is killed if it is dropped before.
    pub(super) fn end_input(self) -> Child {
        self.child
    }

    /// Its process id, while it is not known to have ended.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Writes the events that the child does not have yet, and reads the answer to the first. Prefetched calls follow
    /// without a pause.
    pub(super) async fn answer<A: Answer>(
        &mut self,
        event: &Event,
        prefetched: &Prefetched<'_, A>,
    ) -> io::Result<Answered<A>> {
        let mut frames = Vec::new();
        if self.unanswered == 0 {
            frame::encode_event(&mut frames, &event.place, &event.meta, &event.payload)?;
            self.unanswered = 1;
        }
        for reserved in prefetched.iter().skip(self.unanswered - 1) {
            let event = reserved.event();
            frame::encode_event(&mut frames, &event.place, &event.meta, &event.payload)?;
            self.unanswered += 1;
        }
        if !frames.is_empty() {
            self.stdin.write_all(&frames).await?;
        }
        if !self.greeted {
            frame::check_greeting(&frame::read(&mut self.stdout).await?)?;
            self.greeted = true;
        }
        let answered = frame::decode_answer(&frame::read(&mut self.stdout).await?)?;
        self.unanswered -= 1;
        self.pace.record(answered.took);
        Ok(answered)
    }
}
