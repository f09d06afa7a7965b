//! Reads the sink's lines while the trial runs: from the sink's memory or, for an older sink, from its pod's log. A broken
//! stream of the log is read again from its beginning: the lines are numbered, which shows the new ones and any gap.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::AsyncBufReadExt;
use futures_util::io::AsyncBufRead;
use futures_util::stream::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use tokio::time::{Instant, sleep};
use wire::{GeneratorStats, KeptLines, SinkLine};

use super::objects::TrialObjects;
use crate::client::pod_client::{PodClient, PodTarget, Port};
use crate::client::{ClusterError, describe_error};
use crate::diagnosis::restarts;
use crate::error::ClusterEngineError;
use engine::sequence::{Gap, Sequence, Taken};
use engine::windows::{self, ByWindow};

/// The sink's container in its pod.
const CONTAINER: &str = "udsink";

/// Between two reads of the sink's memory, and before a stream of its log that has ended is opened again.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the sink's lines may be unreadable.
const OUT_OF_REACH: Duration = Duration::from_secs(60);

/// What has arrived from the sink; shared by its reader and the run of the trial.
#[derive(Debug, Clone)]
pub(super) struct Records {
    window_ms: u64,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    arrivals: ByWindow,
    sequence: Sequence,
}

impl Records {
    pub fn new(window_ms: u64) -> Self {
        Self {
            window_ms,
            seen: Arc::default(),
        }
    }

    pub fn arrivals(&self) -> ByWindow {
        self.lock().arrivals.clone()
    }

    /// Those of the windows with these starts that have a record of every key that was sent in them.
    pub fn complete(&self, starts: &[u64], generator: &GeneratorStats) -> BTreeSet<u64> {
        let seen = self.lock();
        starts
            .iter()
            .copied()
            .filter(|start_ms| complete(&seen.arrivals, *start_ms, generator))
            .collect()
    }

    /// Whether there are results and no record: without one a window cannot be measured, as the data plane is not observed
    /// here.
    pub fn missing(&self) -> bool {
        windows::records_missing(&self.lock().arrivals)
    }

    /// Takes a line of the sink's output. Any text that is not a line of the sink's output is a log message of its process.
    fn take(&self, text: &str) -> Result<(), ClusterEngineError> {
        let Ok(line) = serde_json::from_str::<SinkLine>(text) else {
            return Ok(());
        };
        let mut seen = self.lock();
        match seen.sequence.take(line.process, line.line) {
            Ok(Taken::New) => windows::add_line(&mut seen.arrivals, line, self.window_ms),
            Ok(Taken::Repeated) => {}
            Err(Gap { expected, found }) => return Err(ClusterEngineError::SinkGap { expected, found }),
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the sink's lines until they cannot be read any more. Returns the reason.
    pub async fn follow(&self, objects: &TrialObjects, client: &PodClient) -> ClusterEngineError {
        let mut readable = Instant::now();
        loop {
            let message = match self.follow_once(objects, client, &mut readable).await {
                Ok(()) => "its log ends at once".to_owned(),
                Err(ReadError::Fatal(error)) => return error,
                Err(ReadError::Transient(message)) => message,
            };
            if readable.elapsed() >= OUT_OF_REACH {
                return ClusterEngineError::Records {
                    pod: format!("{}-sink", objects.pipeline),
                    message,
                };
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads the sink's pod until it fails, its sink restarts or its log ends. Sets `readable` whenever it could be read.
    async fn follow_once(
        &self,
        objects: &TrialObjects,
        client: &PodClient,
        readable: &mut Instant,
    ) -> Result<(), ReadError> {
        let pod = objects.pod_of("sink").await.map_err(transient)?;
        let pod = pod.ok_or_else(|| ReadError::Transient("there is no sink pod".to_owned()))?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        let api = objects.pod_api();
        if restarts(&pod) > 0 {
            self.take_previous(&api, &name).await?;
        }
        let target = PodTarget::of("sink", &pod);
        match self.follow_memory(client, &target, readable).await? {
            // The pod's status may not show the restart yet.
            Memory::Restarted => self.take_previous(&api, &name).await,
            Memory::NotServed => self.follow_log(&api, &name, readable).await,
        }
    }

    /// Reads the lines that the sink keeps in memory: unlike its log, they are not rotated away under a reader.
    async fn follow_memory(
        &self,
        client: &PodClient,
        target: &PodTarget,
        readable: &mut Instant,
    ) -> Result<Memory, ReadError> {
        // Of the process that answered first.
        let mut process = None;
        loop {
            let from = process.map_or(0, |process| self.lock().sequence.next(process));
            let path = format!("/records?from={from}");
            let answer = match client.text(target, Port::Program, &path).await {
                Ok(answer) => answer,
                Err(error) if error.is_not_served() => return Ok(Memory::NotServed),
                Err(error) => return Err(ReadError::Transient(error.to_string())),
            };
            let Some(kept) = self.take_answer(&answer, &mut process)? else {
                return Ok(Memory::Restarted);
            };
            *readable = Instant::now();
            let next = self.lock().sequence.next(kept.process);
            // An answer is bounded; the rest is read at once, unless nothing came.
            if next == from || next >= kept.next {
                sleep(PAUSE).await;
            }
        }
    }

    /// Takes an answer of `/records`. Returns `None` if it is of another process than `process`, which is set at first.
    fn take_answer(&self, answer: &str, process: &mut Option<u64>) -> Result<Option<KeptLines>, ReadError> {
        let (kept, lines) = answer.split_once('\n').unwrap_or((answer, ""));
        let kept: KeptLines = serde_json::from_str(kept)
            .map_err(|error| ReadError::Transient(format!("/records is not of its form: {error}")))?;
        if *process.get_or_insert(kept.process) != kept.process {
            return Ok(None);
        }
        let first = self.lock().sequence.next(kept.process);
        if kept.oldest > first {
            let last = kept.oldest - 1;
            return Err(ReadError::Fatal(ClusterEngineError::SinkDropped { first, last }));
        }
        for line in lines.lines() {
            self.take(line).map_err(ReadError::Fatal)?;
        }
        Ok(Some(kept))
    }

    /// Follows the log to its end. It was readable if it had any line, or at least stayed open for a while.
    async fn follow_log(
        &self,
        api: &kube::Api<Pod>,
        pod: &str,
        readable: &mut Instant,
    ) -> Result<(), ReadError> {
        let began = Instant::now();
        let params = LogParams {
            container: Some(CONTAINER.to_owned()),
            follow: true,
            ..LogParams::default()
        };
        let stream = api.log_stream(pod, &params).await;
        let stream = stream.map_err(|error| ReadError::Transient(describe_error(&error)))?;
        let lines = self.read(stream).await?;
        if lines > 0 || began.elapsed() > PAUSE * 10 {
            *readable = Instant::now();
        }
        Ok(())
    }

    /// Takes the lines of the previous instance of the container: some may not have been read before its restart.
    async fn take_previous(&self, api: &kube::Api<Pod>, pod: &str) -> Result<(), ReadError> {
        let params = LogParams {
            container: Some(CONTAINER.to_owned()),
            previous: true,
            ..LogParams::default()
        };
        // There is no such log if another container of the pod was restarted.
        if let Ok(text) = api.logs(pod, &params).await {
            for line in text.lines() {
                self.take(line).map_err(ReadError::Fatal)?;
            }
        }
        Ok(())
    }

    async fn read(&self, stream: impl AsyncBufRead) -> Result<u64, ReadError> {
        let mut count = 0;
        let lines = stream.lines();
        futures_util::pin_mut!(lines);
        // A broken stream counts as ended.
        while let Some(Ok(line)) = lines.next().await {
            self.take(&line).map_err(ReadError::Fatal)?;
            count += 1;
        }
        Ok(count)
    }
}

/// Why the sink's memory is not read any further.
enum Memory {
    /// The sink is older than this way to read it.
    NotServed,
    /// Another process answers.
    Restarted,
}

/// Why lines could not be read.
enum ReadError {
    Transient(String),
    Fatal(ClusterEngineError),
}

fn transient(error: ClusterError) -> ReadError {
    ReadError::Transient(error.to_string())
}

fn complete(arrivals: &ByWindow, start_ms: u64, generator: &GeneratorStats) -> bool {
    let sent = generator
        .windows
        .iter()
        .find(|window| window.window_start_ms == start_ms);
    let (Some(sent), Some(arrived)) = (sent, arrivals.get(&start_ms)) else {
        return false;
    };
    let recorded: BTreeSet<&str> = arrived.records.iter().map(|record| &*record.key).collect();
    !sent.numbers.is_empty() && sent.numbers.keys().all(|key| recorded.contains(&**key))
}

#[cfg(test)]
mod tests;
