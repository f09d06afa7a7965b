//! The course of one trial: applied, ready, released, followed to its last window or the cut-off, figures read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, sleep};
use wire::GeneratorStats;

use super::ClusterEngineError;
use super::assemble::{Evidence, Usage, assemble};
use super::base::Objects;
use super::figures;
use super::reach::{Place, Port, Reach};
use super::ready::ready;
use super::records::Records;
use super::stage::{Snapshot, Stage, VERTICES};
use crate::cluster::diagnosis::restarts;
use crate::engine::windows::{window_ms, window_starts};
use crate::engine::{Observation, TrialProgress};
use crate::trial::TrialSettings;

/// Between two looks at the generator's account.
const POLL: Duration = Duration::from_secs(1);

/// How long a pod may be out of reach.
const OUT_OF_REACH: Duration = Duration::from_secs(30);

/// How long the generator may take to begin once it is released; it waits for a window's boundary besides.
const BEGIN_WITHIN: Duration = Duration::from_secs(30);

/// What Numaflow may take to close a window after its end, added to the cut-off: the watermark trails by a read batch,
/// by the interval at which it is published (1 s at each hop in the chart's base), and by steps of the idle source.
const CLOSING_DELAY: Duration = Duration::from_secs(10);

/// One trial under way.
pub(super) struct Course<'a> {
    /// Its objects.
    pub stage: &'a Stage,
    /// How its pods are reached.
    pub reach: &'a Reach,
    /// What is asked.
    pub settings: &'a TrialSettings,
    /// How long its pipeline may take to run.
    pub patience: Duration,
    /// How long after the last window's end it is cut off, [`CLOSING_DELAY`] apart.
    pub cut_off: Duration,
}

/// What was seen when the last look was taken.
struct Ended {
    t0_ms: u64,
    complete: BTreeSet<u64>,
    generator: GeneratorStats,
}

/// What the UDF's process uses, look by look.
#[derive(Debug, Clone, Copy, Default)]
struct Meter {
    first_seconds: Option<f64>,
    last_seconds: f64,
    peak_bytes: u64,
}

impl Meter {
    fn take(&mut self, metrics: &str) {
        if let Some((seconds, bytes)) = figures::process(metrics) {
            self.first_seconds.get_or_insert(seconds);
            self.last_seconds = seconds;
            self.peak_bytes = self.peak_bytes.max(bytes);
        }
    }

    fn usage(self) -> Option<Usage> {
        let seconds = (self.last_seconds - self.first_seconds?).max(0.0);
        Some(Usage {
            cpu_us: Duration::from_secs_f64(seconds).as_micros() as u64,
            peak_memory_bytes: self.peak_bytes,
        })
    }
}

impl Course<'_> {
    /// Runs it.
    pub async fn run(
        &self,
        objects: &Objects,
        progress: &dyn TrialProgress,
    ) -> Result<Observation, ClusterEngineError> {
        self.stage.apply(objects).await?;
        let before = ready(self.stage, self.patience).await?;
        match self.measure(&before, progress).await {
            Err(error) if error.may_be_explained() => Err(self.explained(error).await),
            other => other,
        }
    }

    /// The error, with what the cluster tells of the pods.
    async fn explained(&self, error: ClusterEngineError) -> ClusterEngineError {
        let Ok(snapshot) = self.stage.look().await else {
            return error;
        };
        match self.stage.explain(&snapshot, true).await {
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
        let mut meter = Meter::default();
        let ended = tokio::select! {
            ended = self.watch(before, &records, &mut meter, progress) => ended?,
            error = records.follow(self.stage) => return Err(error),
        };
        let after = self.stage.look().await?;
        let (figures, dropped) = self.figures(&after, ended.generator.now_us).await?;
        let endpoint = match after.endpoint() {
            Some(pod) => Some(
                self.reach
                    .json(&Place::of("endpoint", pod), Port::Endpoint, "/stats")
                    .await?,
            ),
            None => None,
        };
        let voided = voided(before, &after);
        let evidence = Evidence {
            t0_ms: ended.t0_ms,
            arrivals: records.arrivals(),
            complete: ended.complete,
            generator: ended.generator,
            endpoint,
            dropped,
            figures,
            usage: meter.usage(),
            voided,
        };
        Ok(assemble(self.settings, evidence))
    }

    /// Releases the generator and looks until all windows are complete or the time is up.
    async fn watch(
        &self,
        before: &Snapshot,
        records: &Records,
        meter: &mut Meter,
        progress: &dyn TrialProgress,
    ) -> Result<Ended, ClusterEngineError> {
        let generator = place(before, "generator")?;
        let udf = place(before, "udf")?;
        self.meter(&udf, meter).await;
        let first = self.release(&generator).await?;
        let t0_us = first.t0_us.unwrap_or(first.now_us);
        let all = self.settings.warmup + self.settings.windows;
        let starts = window_starts(self.settings, t0_us / 1_000);
        // By the generator's clock, which need not be this machine's.
        let to_t0 = Duration::from_micros(t0_us.saturating_sub(first.now_us));
        let deadline = Instant::now() + to_t0 + self.settings.window * all + self.cut_off + CLOSING_DELAY;
        let mut reached = Instant::now();
        loop {
            sleep(POLL).await;
            self.meter(&udf, meter).await;
            let stats = match self.stats(&generator).await {
                Ok(stats) => stats,
                Err(error) if reached.elapsed() >= OUT_OF_REACH => return Err(error),
                Err(_) => continue,
            };
            reached = Instant::now();
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

    /// Lets the generator begin; its account once its first event has a time.
    async fn release(&self, generator: &Place) -> Result<GeneratorStats, ClusterEngineError> {
        let within = BEGIN_WITHIN + self.settings.window;
        let deadline = Instant::now() + within;
        loop {
            // Told again and again: the first answer may have been lost, and once is as good as twice.
            let stats = match self.reach.post(generator, Port::Program, "/start").await {
                Ok(()) => self.stats(generator).await,
                Err(error) => Err(error),
            };
            match stats {
                Ok(stats) if stats.t0_us.is_some() => return Ok(stats),
                Ok(_) if Instant::now() >= deadline => return Err(ClusterEngineError::NoStart(within)),
                Err(error) if Instant::now() >= deadline => return Err(error),
                _ => sleep(POLL / 2).await,
            }
        }
    }

    async fn stats(&self, generator: &Place) -> Result<GeneratorStats, ClusterEngineError> {
        self.reach.json(generator, Port::Program, "/stats").await
    }

    /// A UDF that is not ours need not have metrics.
    async fn meter(&self, udf: &Place, meter: &mut Meter) {
        if let Ok(text) = self.reach.text(udf, Port::Program, "/metrics").await {
            meter.take(&text);
        }
    }

    /// Numaflow's own figures, and how many events it dropped.
    async fn figures(
        &self,
        after: &Snapshot,
        now_us: u64,
    ) -> Result<(BTreeMap<String, u64>, u64), ClusterEngineError> {
        let mut all = BTreeMap::new();
        let mut events_dropped = 0;
        for vertex in VERTICES {
            let place = place(after, vertex)?;
            let metrics = self.reach.text(&place, Port::Numaflow, "/metrics").await?;
            all.extend(figures::of_vertex(vertex, &metrics));
            if vertex == "sink" {
                // What it reads are records, not events.
                continue;
            }
            events_dropped += figures::dropped(&metrics);
            let watermark = self
                .reach
                .text(&place, Port::Numaflow, "/runtime/watermark")
                .await;
            if let Some(watermark_ms) = watermark.ok().and_then(|text| figures::watermark_ms(&text)) {
                let behind = (now_us / 1_000).saturating_sub(watermark_ms);
                all.insert(
                    format!("{}{vertex}_watermark_behind_ms", figures::NUMAFLOW_PREFIX),
                    behind,
                );
            }
        }
        Ok((all, events_dropped))
    }
}

fn place(snapshot: &Snapshot, vertex: &'static str) -> Result<Place, ClusterEngineError> {
    let pod = snapshot.of_vertex(vertex);
    pod.map(|pod| Place::of(vertex, pod))
        .ok_or(ClusterEngineError::NoPod(vertex))
}

/// Which pods are not what they were: their counters began anew.
fn voided(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let vertices = VERTICES.map(|vertex| (vertex, before.of_vertex(vertex), after.of_vertex(vertex)));
    let endpoint = ("endpoint", before.endpoint(), after.endpoint());
    let parts = vertices.into_iter().chain([endpoint]);
    parts
        .filter_map(|(part, before, after)| {
            let how = changed(before?, after)?;
            Some(format!(
                "the {part} pod {how} during the trial: what it counted is not complete"
            ))
        })
        .collect()
}

fn changed(before: &Pod, after: Option<&Pod>) -> Option<String> {
    let Some(after) = after else {
        return Some("was deleted".to_owned());
    };
    if before.metadata.uid != after.metadata.uid {
        return Some("was replaced".to_owned());
    }
    match restarts(after).saturating_sub(restarts(before)) {
        0 => None,
        1 => Some("restarted".to_owned()),
        times => Some(format!("restarted {times} times")),
    }
}
