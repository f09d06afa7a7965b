//! The course of one trial: applied, ready, released, followed to its last window or the cut-off, figures read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wire::GeneratorStats;

use super::ClusterEngineError;
use super::assemble::{Evidence, assemble};
use super::base::Objects;
use super::figures;
use super::reach::{Place, Port, Reach};
use super::ready::ready;
use super::records::Records;
use super::since::{Meters, voided};
use super::stage::{Snapshot, Stage, VERTICES};
use ::engine::windows::{window_ms, window_starts};
use ::engine::{Observation, TrialProgress};
use trials::outcome::NUMAFLOW_PREFIX;
use trials::trial::TrialSettings;

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
        let mut meters = Meters::new(before);
        let ended = tokio::select! {
            ended = self.watch(before, &records, &mut meters, progress) => ended?,
            error = records.follow(self.stage) => return Err(error),
        };
        let after = self.stage.look().await?;
        let mut voided = voided(before, &after);
        let (figures, dropped) = self.figures(&after, ended.generator.now_us, &mut voided).await;
        // What has been dropped by now was sent before: an older account would not have all of it.
        let generator = match self.stats(&place(before, "generator")?).await {
            Ok(stats) if stats.generator == ended.generator.generator => stats,
            _ => ended.generator,
        };
        let endpoint = match after.endpoint() {
            Some(pod) => {
                let place = Place::of("endpoint", pod);
                let stats = self.reach.json(&place, Port::Endpoint, "/stats").await;
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
            figures,
            usage: meters.usage(),
            voided,
        };
        Ok(assemble(self.settings, evidence))
    }

    /// Releases the generator and looks until all windows are complete or the time is up.
    async fn watch(
        &self,
        before: &Snapshot,
        records: &Records,
        meters: &mut Meters,
        progress: &dyn TrialProgress,
    ) -> Result<Ended, ClusterEngineError> {
        let generator = place(before, "generator")?;
        meters.look(self.reach).await;
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
            meters.look(self.reach).await;
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

    /// Numaflow's own figures, and how many events it dropped. A pod that does not tell is on record in `voided`: what
    /// else is known of the trial is worth keeping.
    async fn figures(
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
                let place = Place::of(vertex, pod);
                match self.reach.text(&place, Port::Numaflow, "/metrics").await {
                    Ok(metrics) => {
                        let (figures, dropped) = figures::of_vertex(vertex, &metrics);
                        figures::merge(&mut all, figures);
                        // What a sink drops are records, not events.
                        events_dropped += dropped * u64::from(vertex != "sink");
                    }
                    Err(error) => voided.push(error.to_string()),
                }
                figures::merge(&mut all, self.watermark(&place, now_us).await);
            }
        }
        (all, events_dropped)
    }

    /// How far a vertex' watermark is behind the generator's clock; a sink has none, nor one that has read nothing.
    async fn watermark(&self, place: &Place, now_us: u64) -> BTreeMap<String, u64> {
        let text = self.reach.text(place, Port::Numaflow, "/runtime/watermark").await;
        let watermark_ms = text.ok().and_then(|text| figures::watermark_ms(&text));
        let name = format!("{}{}_watermark_behind_ms", NUMAFLOW_PREFIX, place.part);
        let behind = watermark_ms.map(|watermark_ms| (now_us / 1_000).saturating_sub(watermark_ms));
        behind.map(|behind| (name, behind)).into_iter().collect()
    }
}

fn place(snapshot: &Snapshot, vertex: &'static str) -> Result<Place, ClusterEngineError> {
    let pod = snapshot.of_vertex(vertex);
    pod.map(|pod| Place::of(vertex, pod))
        .ok_or(ClusterEngineError::NoPod(vertex))
}
