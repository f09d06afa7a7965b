//! Runs one trial: applies it, waits until it runs, starts the generator, follows the records until the last window or
//! the cut-off, and reads the metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wire::GeneratorStats;

use super::baseline::{Meters, voided};
use super::metrics;
use super::objects::TrialObjects;
use super::observation::{Evidence, observe};
use super::ready::ready;
use super::records::Records;
use super::snapshot::{Snapshot, VERTICES};
use crate::base::Manifests;
use crate::client::PodError;
use crate::client::pod_client::{PodClient, PodTarget, Port};
use crate::error::ClusterEngineError;
use crate::poll::Poll;
use engine::windows::{window_ms, window_starts};
use engine::{Observation, TrialProgress};
use trials::ledger::Timetable;
use trials::outcome::NUMAFLOW_PREFIX;
use trials::trial::TrialSettings;

/// Between two reads of the generator's counters.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long the generator may fail to answer.
const OUT_OF_REACH: Duration = Duration::from_secs(30);

/// How long the generator may take to start, in addition to its wait for the next window boundary.
const BEGIN_WITHIN: Duration = Duration::from_secs(30);

/// How long Numaflow may take to close a window after its end, added to the cut-off: the watermark lags by a read batch,
/// by the interval at which it is published (1 s at each hop in the chart's base), and by steps of the idle source.
const CLOSING_DELAY: Duration = Duration::from_secs(10);

/// One trial and the means to run it.
pub(crate) struct TrialRun<'a> {
    pub objects: &'a TrialObjects,
    pub client: &'a PodClient,
    pub settings: &'a TrialSettings,
    /// How long the pipeline may take until it runs.
    pub patience: Duration,
    /// Time from the last window's end to the cut-off, without [`CLOSING_DELAY`].
    pub cut_off: Duration,
    /// With the user's own payloads: what decides which event has which time.
    pub timetable: Option<Timetable<'a>>,
}

/// The state at the last check.
struct Ended {
    t0_ms: u64,
    complete: BTreeSet<u64>,
    generator: GeneratorStats,
}

impl TrialRun<'_> {
    pub async fn run(
        &self,
        manifests: &Manifests,
        progress: &dyn TrialProgress,
    ) -> Result<Observation, ClusterEngineError> {
        self.objects.apply(manifests).await?;
        let before = ready(self.objects, self.patience).await?;
        match self.measure(&before, progress).await {
            Err(error) if error.may_be_explained() => Err(self.explained(error).await),
            other => other,
        }
    }

    /// Adds the cause that the state of the pods shows.
    async fn explained(&self, error: ClusterEngineError) -> ClusterEngineError {
        let Ok(snapshot) = self.objects.snapshot().await else {
            return error;
        };
        match self.objects.explain(&snapshot, true).await {
            Some(diagnosis) => ClusterEngineError::Explained {
                error: Box::new(error),
                why: diagnosis.to_string(),
            },
            None => error,
        }
    }

    async fn measure(
        &self,
        before: &Snapshot,
        progress: &dyn TrialProgress,
    ) -> Result<Observation, ClusterEngineError> {
        let records = Records::new(window_ms(self.settings));
        let mut meters = Meters::new(before);
        let ended = tokio::select! {
            ended = self.watch(before, &records, &mut meters, progress) => ended?,
            error = records.follow(self.objects, self.client) => return Err(error),
        };
        if records.missing() {
            return Err(ClusterEngineError::NoRecord);
        }
        let after = self.objects.snapshot().await?;
        let mut voided = voided(before, &after);
        let (metrics, dropped) = self.metrics(&after, ended.generator.now_us, &mut voided).await;
        // Read again: the counters must include every event that has been dropped by now.
        let generator = match self.stats(&target(before, "generator")?).await {
            Ok(stats) if stats.generator == ended.generator.generator => stats,
            _ => ended.generator,
        };
        let endpoint = match after.endpoint() {
            Some(pod) => {
                let target = PodTarget::of("endpoint", pod);
                let stats = self.client.json(&target, Port::Endpoint, "/stats").await;
                stats.map_err(|error| voided.push(error.to_string())).ok()
            }
            None => None,
        };
        let evidence = Evidence {
            t0_ms: ended.t0_ms,
            arrivals: records.arrivals(),
            complete: ended.complete,
            generator,
            endpoint,
            dropped,
            metrics,
            usage: meters.usage(),
            voided,
            timetable: self.timetable,
        };
        Ok(observe(self.settings, evidence))
    }

    /// Starts the generator and checks until all windows are complete or the time is up.
    async fn watch(
        &self,
        before: &Snapshot,
        records: &Records,
        meters: &mut Meters,
        progress: &dyn TrialProgress,
    ) -> Result<Ended, ClusterEngineError> {
        let generator = target(before, "generator")?;
        meters.read(self.client).await;
        let first = self.release(&generator).await?;
        let t0_us = first.t0_us.unwrap_or(first.now_us);
        let all = self.settings.warmup + self.settings.windows;
        let starts = window_starts(self.settings, t0_us / 1_000);
        // In the generator's clock, which may differ from this machine's.
        let to_t0 = Duration::from_micros(t0_us.saturating_sub(first.now_us));
        let deadline = Instant::now() + to_t0 + self.settings.window * all + self.cut_off + CLOSING_DELAY;
        let mut answered = Instant::now();
        loop {
            sleep(CHECK_EVERY).await;
            meters.read(self.client).await;
            let stats = match self.stats(&generator).await {
                Ok(stats) => stats,
                Err(error) if answered.elapsed() >= OUT_OF_REACH => return Err(error.into()),
                Err(_) => continue,
            };
            answered = Instant::now();
            if stats.generator != first.generator {
                return Err(ClusterEngineError::GeneratorRestarted);
            }
            let complete = records.complete(&starts, &stats);
            progress.windows(u32::try_from(complete.len()).unwrap_or(u32::MAX), all);
            if complete.len() == starts.len() || Instant::now() >= deadline {
                return Ok(Ended {
                    t0_ms: t0_us / 1_000,
                    complete,
                    generator: stats,
                });
            }
        }
    }

    /// Starts the generator and returns its counters once its first event has a time.
    async fn release(&self, generator: &PodTarget) -> Result<GeneratorStats, ClusterEngineError> {
        let poll = Poll::new(CHECK_EVERY / 2, BEGIN_WITHIN + self.settings.window);
        loop {
            // Posted until it has worked: an answer may have been lost, and a second start changes nothing.
            let stats = match self.client.post(generator, Port::Program, "/start").await {
                Ok(()) => self.stats(generator).await,
                Err(error) => Err(error),
            };
            match stats {
                Ok(stats) if stats.t0_us.is_some() => return Ok(stats),
                _ if poll.again().await => {}
                Ok(_) => return Err(ClusterEngineError::NoStart(poll.within())),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn stats(&self, generator: &PodTarget) -> Result<GeneratorStats, PodError> {
        self.client.json(generator, Port::Program, "/stats").await
    }

    /// Numaflow's own metrics, and how many events it dropped. A pod that does not answer is recorded in `voided`: the rest
    /// of the trial is worth keeping.
    async fn metrics(
        &self,
        after: &Snapshot,
        now_us: u64,
        voided: &mut Vec<String>,
    ) -> (BTreeMap<String, u64>, u64) {
        let mut all = BTreeMap::new();
        let mut events_dropped = 0;
        for vertex in VERTICES {
            let pods = after.all_of_vertex(vertex);
            for pod in pods.filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
                let target = PodTarget::of(vertex, pod);
                match self.client.text(&target, Port::Numaflow, "/metrics").await {
                    Ok(text) => {
                        let (metrics, dropped) = metrics::of_vertex(vertex, &text);
                        metrics::merge(&mut all, metrics);
                        // A sink drops records, not events.
                        events_dropped += dropped * u64::from(vertex != "sink");
                    }
                    Err(error) => voided.push(error.to_string()),
                }
                metrics::merge(&mut all, self.watermark(&target, now_us).await);
            }
        }
        (all, events_dropped)
    }

    /// How far a vertex's watermark is behind the generator's clock. A sink has none, nor has a vertex that has read nothing.
    async fn watermark(&self, target: &PodTarget, now_us: u64) -> BTreeMap<String, u64> {
        let text = self
            .client
            .text(target, Port::Numaflow, "/runtime/watermark")
            .await;
        let watermark_ms = text.ok().and_then(|text| metrics::watermark_ms(&text));
        let name = format!("{}{}_watermark_behind_ms", NUMAFLOW_PREFIX, target.part);
        let behind = watermark_ms.map(|watermark_ms| (now_us / 1_000).saturating_sub(watermark_ms));
        behind.map(|behind| (name, behind)).into_iter().collect()
    }
}

fn target(snapshot: &Snapshot, vertex: &'static str) -> Result<PodTarget, ClusterEngineError> {
    let pod = snapshot.of_vertex(vertex);
    pod.map(|pod| PodTarget::of(vertex, pod))
        .ok_or(ClusterEngineError::NoPod(vertex))
}
