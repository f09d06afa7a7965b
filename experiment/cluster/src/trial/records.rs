//! The sink's lines, followed in its pod's log while the trial runs. A stream that breaks is taken up again from the
//! log's beginning: the lines' running numbers tell which are new, and that none is missing.

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

/// Before a stream that has ended is taken up again.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the log may be out of reach.
const OUT_OF_REACH: Duration = Duration::from_secs(60);

/// What has come from the sink; shared by whoever reads the log and the engine.
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
    /// None yet, for windows of so many milliseconds.
    pub fn new(window_ms: u64) -> Self {
        Self {
            window_ms,
            seen: Arc::default(),
        }
    }

    /// What has arrived.
    pub fn arrivals(&self) -> ByWindow {
        self.lock().arrivals.clone()
    }

    /// Of these windows (by their starts), those with a record of every key that was sent in them.
    pub fn complete(&self, starts: &[u64], generator: &GeneratorStats) -> BTreeSet<u64> {
        let seen = self.lock();
        starts
            .iter()
            .copied()
            .filter(|start_ms| complete(&seen.arrivals, *start_ms, generator))
            .collect()
    }

    /// Takes a line of the log. What is no line of a sink's is what its process logs of itself.
    fn take(&self, text: &str) -> Result<(), ClusterEngineError> {
        let Ok(line) = serde_json::from_str::<SinkLine>(text) else {
            return Ok(());
        };
        let mut seen = self.lock();
        match seen.sequence.take(line.process, line.line) {
            // Nothing could be measured by it: its data plane is out of sight here.
            Ok(Taken::New) if line.record.is_none() => return Err(ClusterEngineError::NoRecord),
            Ok(Taken::New) => windows::arrive(&mut seen.arrivals, line, self.window_ms),
            Ok(Taken::Repeated) => {}
            Err(Gap { expected, found }) => return Err(ClusterEngineError::SinkGap { expected, found }),
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the log for as long as it can be read.
    pub async fn follow(&self, objects: &TrialObjects) -> ClusterEngineError {
        let mut reached = Instant::now();
        loop {
            let said = match self.follow_once(objects).await {
                Ok(true) => {
                    reached = Instant::now();
                    "it ends at once".to_owned()
                }
                Ok(false) => "it ends at once".to_owned(),
                Err(Trouble::Fatal(error)) => return error,
                Err(Trouble::Passing(said)) => said,
            };
            if reached.elapsed() >= OUT_OF_REACH {
                return ClusterEngineError::Log {
                    pod: format!("{}-sink", objects.pipeline),
                    said,
                };
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads to the end of one stream; whether anything came, or it was at least silent for long.
    async fn follow_once(&self, objects: &TrialObjects) -> Result<bool, Trouble> {
        let began = Instant::now();
        let pod = objects.pod_of("sink").await.map_err(cluster_trouble)?;
        let pod = pod.ok_or_else(|| Trouble::Passing("there is no sink pod".to_owned()))?;
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
        let stream = stream.map_err(|error| Trouble::Passing(describe_error(&error)))?;
        let lines = self.read(stream).await?;
        Ok(lines > 0 || began.elapsed() > PAUSE * 10)
    }

    /// A container that was started again has left lines that may not have been read.
    async fn take_previous(&self, api: &kube::Api<Pod>, pod: &str) -> Result<(), Trouble> {
        let params = LogParams {
            container: Some(CONTAINER.to_owned()),
            previous: true,
            ..LogParams::default()
        };
        // Another container of the pod may be the one that was started again.
        if let Ok(text) = api.logs(pod, &params).await {
            for line in text.lines() {
                self.take(line).map_err(Trouble::Fatal)?;
            }
        }
        Ok(())
    }

    async fn read(&self, stream: impl AsyncBufRead) -> Result<u64, Trouble> {
        let mut count = 0;
        let lines = stream.lines();
        futures_util::pin_mut!(lines);
        // A broken stream is one that has ended.
        while let Some(Ok(line)) = lines.next().await {
            self.take(&line).map_err(Trouble::Fatal)?;
            count += 1;
        }
        Ok(count)
    }
}

/// Why a stream could not be read.
enum Trouble {
    /// It may be better in a moment.
    Passing(String),
    /// It cannot be.
    Fatal(ClusterEngineError),
}

fn cluster_trouble(error: ClusterError) -> Trouble {
    Trouble::Passing(error.to_string())
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
