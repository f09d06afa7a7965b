//! What a trial will do, by Little's law and queueing arithmetic, before it runs. Pure: the number of cores is given.
//!
//! **Capacity.** By Little's law (J. D. C. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9,
//! 1961) calls that come `rpu` times a second and take `S` keep `rpu × S` in flight. A strategy that allows fewer falls
//! behind for ever, whatever its buffers. How many it allows: `max_workers` for `async` and the pools, one per key for
//! `sequential` (so its busiest key decides; with skew that key's share of the Zipf distribution is taken), and never
//! more than the endpoint's capacity or, for the workload `cpu`, the cores.
//!
//! **Stalls.** Numaflow closes windows one after another and hands the reducer nothing while one closes (its reducer
//! awaits the closing window's task: `reduce/reducer/aligned/reducer.rs` in Numaflow 1.8). So the close tail must be shorter than the window even where the capacity
//! suffices. At close the tail is all the work of the window: `⌈N ÷ C⌉ × S`.
//!
//! **Read batches.** At arrival most calls have ended before the close. The arithmetic of what is left is in `tail`.

mod reason;
pub mod scale;
mod tail;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::{Delay, StartRule, StrategyKind, Workload};

use crate::trial::TrialSettings;
use reason::Reason;

/// What an HTTP call takes beside its delay: sending, the endpoint's own work, the way back. Assumed: an
/// order of magnitude for a local socket, to be compared with the measured latencies.
pub const CALL_OVERHEAD: Duration = Duration::from_micros(300);

/// Processor time of an HTTP call, of the UDF and the endpoint together, where both run on the same cores. Assumed.
/// It bounds how fast calls that cost no waiting can be made.
pub const CALL_PROCESSOR_TIME: Duration = Duration::from_micros(60);

/// Messages of a read batch (Numaflow's `limits.readBatchSize`).
pub const READ_BATCH: u32 = 500;

/// From this share of the capacity on small disturbances are not worked off within the next windows.
pub const CRITICAL_FROM: f64 = 0.9;

/// From this share on a strategy falls behind for certain. It leaves room for the assumptions above: a trial that needs
/// exactly its capacity is critical, not hopeless.
pub const CANNOT_FROM: f64 = 1.02;

/// What is expected of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The share of its capacity that a strategy needs. At arrival RPU × delay ÷ workers (for `sequential`, of its busiest
    /// key); at close the close tail ÷ the window, where that is more: nothing is called before the close.
    pub load_factor: f64,
    /// Calls that must be in flight at once to keep up (Little's law: RPU × delay).
    pub needed_in_flight: f64,
    /// Expected close tail of a window, µs; absent where the strategy cannot keep up and the tail grows without bound.
    pub close_tail_us: Option<u64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub why: String,
}

impl Prediction {
    /// The expected close tail of a window.
    pub fn close_tail(&self) -> Option<Duration> {
        self.close_tail_us.map(Duration::from_micros)
    }
}

/// Whether a strategy will keep up with its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It has capacity to spare.
    KeepsUp,
    /// It is at the edge: small disturbances add up.
    Critical,
    /// It falls behind further with every window.
    Cannot,
}

/// What one event costs, in seconds of a worker.
#[derive(Debug, Clone)]
struct Service {
    /// On average, attempts that fail included.
    mean_s: f64,
    /// The delay, if it is not always the same.
    varying: Option<Delay>,
    /// An attempt is given up after this time.
    limit_s: f64,
    overhead_s: f64,
    attempts: f64,
}

/// The workers that share the events of a window.
#[derive(Debug, Clone, Copy)]
struct Crew {
    /// Calls in flight at once, over all keys.
    in_flight: f64,
    /// Time between two events that the same worker gets, seconds.
    step_s: f64,
    /// Events of a window that the busiest worker gets at most.
    most_events: f64,
}

/// What is expected of a trial on a machine with so many cores.
pub fn predict(settings: &TrialSettings, cores: NonZeroUsize) -> Prediction {
    let cores = cores.get() as f64;
    let rpu = settings.rpu.get() as f64;
    let window_s = settings.window.as_secs_f64();
    let service = Service::of(settings);
    let crew = Crew::of(settings, cores);
    let processor_s = match settings.workload {
        Workload::Http => CALL_PROCESSOR_TIME.as_secs_f64() / cores,
        Workload::Cpu => 0.0,
    };
    let capacity_share = (service.mean_s / crew.step_s).max(rpu * processor_s);
    let tail_s = match settings.start_rule {
        StartRule::AtClose => {
            tail::at_close(settings, &service, &crew).max(settings.events_per_window() as f64 * processor_s)
        }
        StartRule::AtArrival => tail::at_arrival(settings, &service, &crew),
    };
    let stalled_share = tail_s / window_s;
    let pressure = capacity_share.max(stalled_share);
    let verdict = match pressure {
        share if share >= CANNOT_FROM => Verdict::Cannot,
        share if share >= CRITICAL_FROM => Verdict::Critical,
        _ => Verdict::KeepsUp,
    };
    let load_factor = match settings.start_rule {
        StartRule::AtClose => pressure,
        StartRule::AtArrival => capacity_share,
    };
    Prediction {
        load_factor,
        needed_in_flight: rpu * service.mean_s,
        close_tail_us: (verdict != Verdict::Cannot).then_some((tail_s * 1e6).round() as u64),
        verdict,
        why: Reason {
            settings,
            service: &service,
            crew: &crew,
            capacity_share,
            tail_s,
            verdict,
        }
        .sentence(),
    }
}

impl Service {
    fn of(settings: &TrialSettings) -> Self {
        // An attempt at the processor cannot be given up, and the endpoint's failures do not reach it.
        let (limit_s, overhead, fails) = match settings.workload {
            Workload::Http => (
                settings.timeout.as_secs_f64(),
                CALL_OVERHEAD,
                settings.fail_status,
            ),
            Workload::Cpu => (f64::INFINITY, Duration::ZERO, 0.0),
        };
        let varying = Some(settings.io_delay.clone()).filter(|delay| !matches!(delay, Delay::Fixed(_)));
        let delay_s = settings.io_delay.mean().as_secs_f64();
        let fails = if varying.is_none() && delay_s >= limit_s {
            1.0
        } else {
            fails
        };
        let attempts = (0..=settings.retries)
            .map(|attempt| fails.powi(attempt as i32))
            .sum();
        let overhead_s = overhead.as_secs_f64();
        let mean_s = (delay_s.min(limit_s) + overhead_s) * attempts;
        Self {
            mean_s,
            varying,
            limit_s,
            overhead_s,
            attempts,
        }
    }

    /// About the longest of so many calls: the delay that one of them exceeds on average.
    fn longest_of(&self, calls: f64) -> f64 {
        let Some(delay) = self.varying.as_ref().filter(|_| calls > 1.0) else {
            return self.mean_s;
        };
        let longest_s = delay.quantile(1.0 - 1.0 / calls).as_secs_f64().min(self.limit_s);
        ((longest_s + self.overhead_s) * self.attempts).max(self.mean_s)
    }
}

impl Crew {
    fn of(settings: &TrialSettings, cores: f64) -> Self {
        let rpu = settings.rpu.get() as f64;
        let bound = match settings.workload {
            Workload::Http => settings
                .capacity
                .map_or(f64::INFINITY, |capacity| capacity.get() as f64),
            Workload::Cpu => cores,
        };
        let events = settings.events_per_window() as f64;
        match settings.strategy {
            StrategyKind::Sequential => {
                let share = busiest_share(settings.keys.get(), settings.key_skew);
                Self {
                    in_flight: bound.min(settings.keys.get() as f64),
                    step_s: (1.0 / (rpu * share)).min(bound / rpu),
                    most_events: (events * share - 1e-9).ceil().max(events / bound),
                }
            }
            StrategyKind::Async | StrategyKind::ThreadPool | StrategyKind::ProcessPool => {
                let in_flight = bound.min(settings.max_workers.get() as f64);
                Self {
                    in_flight,
                    step_s: in_flight / rpu,
                    most_events: (events / in_flight).ceil(),
                }
            }
        }
    }
}

/// The share of events that the busiest of the keys gets, by Zipf's law: 1 ÷ Σ k^−skew.
fn busiest_share(keys: u64, skew: f64) -> f64 {
    if skew == 0.0 {
        return 1.0 / keys as f64;
    }
    1.0 / (1..=keys).map(|key| (key as f64).powf(-skew)).sum::<f64>()
}
