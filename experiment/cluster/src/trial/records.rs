//! Follows the sink's lines in its pod's log while the trial runs. A broken stream is read again from the beginning of the
//! log: the lines are numbered, which shows the new ones and any gap.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::AsyncBufReadExt;
use futures_util::io::AsyncBufRead;
use futures_util::stream::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use tokio::time::{Instant, sleep};
use wire::{GeneratorStats, SinkLine};

use super::objects::TrialObjects;
use crate::client::{ClusterError, describe_error};
use crate::diagnosis::restarts;
use crate::error::ClusterEngineError;
use engine::sequence::{Gap, Sequence, Taken};
use engine::windows::{self, ByWindow};

/// The sink's container in its pod.
const CONTAINER: &str = "udsink";

/// Pause before a stream that has ended is opened again.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the log may be unreadable.
const OUT_OF_REACH: Duration = Duration::from_secs(60);

/// What has arrived from the sink; shared by the reader of the log and the run of the trial.
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

    /// Takes a line of the log. Any text that is not a line of the sink's output is a log message of its process.
    fn take(&self, text: &str) -> Result<(), ClusterEngineError> {
        let Ok(line) = serde_json::from_str::<SinkLine>(text) else {
            return Ok(());
        };
        let mut seen = self.lock();
        match seen.sequence.take(line.process, line.line) {
            // Without its record the window cannot be measured, as the data plane is not observed here.
            Ok(Taken::New) if line.record.is_none() => return Err(ClusterEngineError::NoRecord),
            Ok(Taken::New) => windows::add_line(&mut seen.arrivals, line, self.window_ms),
            Ok(Taken::Repeated) => {}
            Err(Gap { expected, found }) => return Err(ClusterEngineError::SinkGap { expected, found }),
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the log until it cannot be read any more. Returns the reason.
    pub async fn follow(&self, objects: &TrialObjects) -> ClusterEngineError {
        let mut readable = Instant::now();
        loop {
            let message = match self.follow_once(objects).await {
                Ok(true) => {
                    readable = Instant::now();
                    "it ends at once".to_owned()
                }
                Ok(false) => "it ends at once".to_owned(),
                Err(ReadError::Fatal(error)) => return error,
                Err(ReadError::Transient(message)) => message,
            };
            if readable.elapsed() >= OUT_OF_REACH {
                return ClusterEngineError::Log {
                    pod: format!("{}-sink", objects.pipeline),
                    message,
                };
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads one stream to its end. Returns whether it had any line, or at least stayed open for a while.
    async fn follow_once(&self, objects: &TrialObjects) -> Result<bool, ReadError> {
        let began = Instant::now();
        let pod = objects.pod_of("sink").await.map_err(transient)?;
        let pod = pod.ok_or_else(|| ReadError::Transient("there is no sink pod".to_owned()))?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        let api = objects.pod_api();
        if restarts(&pod) > 0 {
            self.take_previous(&api, &name).await?;
        }
        let params = LogParams {
            container: Some(CONTAINER.to_owned()),
            follow: true,
            ..LogParams::default()
        };
        let stream = api.log_stream(&name, &params).await;
        let stream = stream.map_err(|error| ReadError::Transient(describe_error(&error)))?;
        let lines = self.read(stream).await?;
        Ok(lines > 0 || began.elapsed() > PAUSE * 10)
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

/// Why a stream could not be read.
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
