//! Predicts a trial before it runs, by Little's law and queueing arithmetic. Pure: the number of cores is an argument.
//!
//! **Capacity.** By Little's law (J. D. C. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9,
//! 1961) `rpu` calls a second that take `S` each keep `rpu × S` calls in flight. A strategy with a lower limit falls
//! behind without bound, whatever its buffers. The limit is `max_workers` for `async` and the pools, and one per key for
//! `sequential` (so its busiest key decides; with skew, by the Zipf distribution; an unkeyed reduce has one key). It never exceeds the endpoint's
//! capacity or, for the workload `cpu`, the cores.
//!
//! **Stalls.** Numaflow closes windows one after another and sends the reducer nothing while one closes (its reducer
//! awaits the closing window's task: `reduce/reducer/aligned/reducer.rs` in Numaflow 1.8). So the close tail must be
//! shorter than the window even if the capacity suffices. At close the tail is all the work of the window:
//! `⌈N ÷ C⌉ × S`.
//!
//! **Deadlines.** With a close deadline no close lasts longer, and a backlog ends with its window: what has not ended is
//! missed, a share that `missed` computes.
//!
//! **Read batches.** At arrival most calls have ended before the close. `tail` computes what is left.

pub mod deployment;
mod duration;
mod missed;
mod reason;
mod tail;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::settings::SEQUENTIAL_MOST;
use wire::{Delay, StartRule, StrategyKind, Workload};

pub use self::duration::duration;
use self::reason::Reason;
use crate::trial::TrialSettings;

/// Duration of an HTTP call beyond its delay: both ways and the endpoint's own work. Assumed: the order of magnitude of a
/// local socket, to be compared with the measured latencies.
pub const CALL_OVERHEAD: Duration = Duration::from_micros(300);

/// Processor time of an HTTP call in UDF and endpoint on the same cores. Assumed. It bounds the rate of calls without
/// delay.
pub const CALL_PROCESSOR_TIME: Duration = Duration::from_micros(60);

/// Messages of a read batch (Numaflow's `limits.readBatchSize`).
pub const READ_BATCH: u32 = 500;

/// Utilization from which small disturbances are not worked off within the next windows.
pub const CRITICAL_FROM: f64 = 0.9;

/// Utilization from which a strategy certainly falls behind. Above 1 because of the assumptions above: a trial that needs
/// exactly its capacity is critical.
pub const CANNOT_FROM: f64 = 1.02;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Utilization: the fraction of its capacity that a strategy needs. At arrival, RPU × delay ÷ workers (for
    /// `sequential`, of its busiest key); at close, close tail ÷ window if that is more, as no call starts before.
    pub load_factor: f64,
    /// Calls in flight needed to keep up (Little's law: RPU × delay).
    pub needed_in_flight: f64,
    /// Expected close tail of a window, µs; `None` if the strategy cannot keep up, so that the tail grows without bound.
    pub close_tail_us: Option<u64>,
    /// Share of events that will be missed at the close deadline; `None` without one, or if it cannot be computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_share: Option<f64>,
    pub verdict: Verdict,
    /// The reason, one sentence.
    pub why: String,
}

impl Prediction {
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
    /// Near its capacity: small disturbances add up.
    Critical,
    /// It falls behind further with every window.
    Cannot,
}

/// Service time of an event, in seconds of a worker.
#[derive(Debug, Clone)]
struct Service {
    /// Mean, failed attempts included.
    mean_s: f64,
    /// Share of calls that last until their timeout.
    hanging: f64,
    delay: Delay,
    /// The delay's distribution, unless it is fixed.
    varying: Option<Delay>,
    /// Timeout of an attempt.
    limit_s: f64,
    overhead_s: f64,
    attempts: f64,
}

/// The servers of the queueing model: workers that share the events of a window.
#[derive(Debug, Clone, Copy)]
struct Servers {
    /// Maximum calls in flight, over all keys.
    in_flight: f64,
    /// Time between two events of the same worker, seconds.
    interval_s: f64,
    /// Events of a window at the busiest worker.
    max_events: f64,
}

/// A window whose calls have a close deadline.
#[derive(Debug)]
struct Bounded {
    deadline: Duration,
    /// The close tail without it.
    unbounded_s: f64,
    tail_s: f64,
    missed_share: Option<f64>,
}

/// Predicts a trial on a machine with `cores` cores.
pub fn predict(settings: &TrialSettings, cores: NonZeroUsize) -> Prediction {
    let cores = cores.get() as f64;
    let rpu = settings.rpu.get() as f64;
    let window_s = settings.window.as_secs_f64();
    let service = Service::of(settings);
    let servers = Servers::of(settings, cores);
    let processor_s = match settings.workload {
        Workload::Http => CALL_PROCESSOR_TIME.as_secs_f64() / cores,
        Workload::Cpu => 0.0,
    };
    let utilization = (service.mean_s / servers.interval_s).max(rpu * processor_s);
    let tail_s = match settings.start_rule {
        StartRule::AtClose => tail::at_close(settings, &service, &servers)
            .max(settings.events_per_window() as f64 * processor_s),
        StartRule::AtArrival => tail::at_arrival(settings, &service, &servers),
    };
    let load_factor = match settings.start_rule {
        StartRule::AtClose => utilization.max(tail_s / window_s),
        StartRule::AtArrival => utilization,
    };
    let deadline = settings
        .close_deadline()
        .map(|deadline| Bounded::new(settings, &service, &servers, deadline, tail_s, utilization));
    let (highest, tail_s) = match &deadline {
        // Whatever is left of a window at its deadline is no load of the next one.
        Some(bounded) => (bounded.tail_s / window_s, bounded.tail_s),
        None => (utilization.max(tail_s / window_s), tail_s),
    };
    let verdict = match highest {
        load if load >= CANNOT_FROM => Verdict::Cannot,
        load if load >= CRITICAL_FROM => Verdict::Critical,
        _ => Verdict::KeepsUp,
    };
    Prediction {
        load_factor,
        needed_in_flight: rpu * service.mean_s,
        close_tail_us: (verdict != Verdict::Cannot).then_some((tail_s * 1e6).round() as u64),
        missed_share: deadline.as_ref().and_then(|bounded| bounded.missed_share),
        verdict,
        why: Reason {
            settings,
            service: &service,
            servers: &servers,
            utilization,
            tail_s,
            deadline: deadline.as_ref(),
            verdict,
        }
        .sentence(),
    }
}

impl Bounded {
    fn new(
        settings: &TrialSettings,
        service: &Service,
        servers: &Servers,
        deadline: Duration,
        tail_s: f64,
        utilization: f64,
    ) -> Self {
        let deadline_s = deadline.as_secs_f64();
        // At arrival, what an overloaded strategy has left at the close.
        let backlog_s = (utilization - 1.0) * settings.window.as_secs_f64();
        let unbounded_s = tail_s.max(backlog_s);
        Self {
            deadline,
            unbounded_s,
            tail_s: unbounded_s.min(deadline_s),
            missed_share: missed::share(settings, service, servers, deadline_s),
        }
    }
}

impl Service {
    fn of(settings: &TrialSettings) -> Self {
        // A computation has no timeout and does not use the endpoint.
        let (limit_s, overhead, retried, hanging) = match settings.workload {
            Workload::Http => (
                settings.timeout.as_secs_f64(),
                CALL_OVERHEAD,
                settings.retried_share(),
                settings.fail_hang.unwrap_or_default(),
            ),
            Workload::Cpu => (f64::INFINITY, Duration::ZERO, 0.0, 0.0),
        };
        let varying = Some(settings.io_delay.clone()).filter(|delay| !matches!(delay, Delay::Fixed(_)));
        let delay_s = settings.io_delay.mean().as_secs_f64();
        let retried = if varying.is_none() && delay_s >= limit_s {
            1.0
        } else {
            retried
        };
        let attempts = (0..=settings.retries)
            .map(|attempt| retried.powi(attempt as i32))
            .sum();
        let overhead_s = overhead.as_secs_f64();
        // A call that hangs lasts until its timeout.
        let hanging_s = if hanging > 0.0 { hanging * limit_s } else { 0.0 };
        let mean_s = (delay_s.min(limit_s) * (1.0 - hanging) + hanging_s + overhead_s) * attempts;
        Self {
            mean_s,
            hanging,
            delay: settings.io_delay.clone(),
            varying,
            limit_s,
            overhead_s,
            attempts,
        }
    }

    /// Whether all calls take the same time.
    fn is_fixed(&self) -> bool {
        self.varying.is_none() && self.hanging == 0.0
    }

    /// The chance that a call lasts longer than this, its further attempts left aside.
    fn lasts_longer_than(&self, seconds: f64) -> f64 {
        let by_timeout = f64::from(self.limit_s + self.overhead_s > seconds);
        // The fraction of delays that are short enough, by bisection of the quantiles.
        let (mut short, mut long) = (0.0, 1.0);
        for _ in 0..40 {
            let middle = (short + long) / 2.0;
            if self.delay.quantile(middle).as_secs_f64() + self.overhead_s <= seconds {
                short = middle;
            } else {
                long = middle;
            }
        }
        by_timeout * (self.hanging + (1.0 - self.hanging) * (1.0 - short))
    }

    /// Estimate of the longest of `calls` calls: the delay that one of them exceeds on average.
    fn longest_of(&self, calls: f64) -> f64 {
        if self.hanging * calls >= 1.0 {
            return (self.limit_s + self.overhead_s) * self.attempts;
        }
        let Some(delay) = self.varying.as_ref().filter(|_| calls > 1.0) else {
            return self.mean_s;
        };
        let longest_s = delay.quantile(1.0 - 1.0 / calls).as_secs_f64().min(self.limit_s);
        ((longest_s + self.overhead_s) * self.attempts).max(self.mean_s)
    }
}

impl Servers {
    fn of(settings: &TrialSettings, cores: f64) -> Self {
        let rpu = settings.rpu.get() as f64;
        let bound = match settings.workload {
            Workload::Http => settings
                .capacity
                .0
                .map_or(f64::INFINITY, |capacity| capacity.get() as f64),
            Workload::Cpu => cores,
        };
        let events = settings.events_per_window() as f64;
        match settings.strategy {
            StrategyKind::Sequential => {
                let bound = bound.min(SEQUENTIAL_MOST as f64);
                let fraction = busiest_key_fraction(settings.reduce_keys().get(), settings.key_skew);
                Self {
                    in_flight: bound.min(settings.reduce_keys().get() as f64),
                    interval_s: (1.0 / (rpu * fraction)).min(bound / rpu),
                    max_events: (events * fraction - 1e-9).ceil().max(events / bound),
                }
            }
            StrategyKind::Async | StrategyKind::ThreadPool | StrategyKind::ProcessPool => {
                let in_flight = bound.min(settings.max_workers.get() as f64);
                Self {
                    in_flight,
                    interval_s: in_flight / rpu,
                    max_events: (events / in_flight).ceil(),
                }
            }
        }
    }
}

/// Fraction of events with the busiest key, by Zipf's law: 1 ÷ Σ k^−skew.
fn busiest_key_fraction(keys: u64, skew: f64) -> f64 {
    if skew == 0.0 {
        return 1.0 / keys as f64;
    }
    1.0 / (1..=keys).map(|key| (key as f64).powf(-skew)).sum::<f64>()
}
