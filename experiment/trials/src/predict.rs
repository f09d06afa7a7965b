//! Predicts a trial before it runs, by Little's law and a simulation. Pure: the number of cores is an argument.
//!
//! **Capacity.** By Little's law (J. D. C. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9,
//! 1961) `rpu` calls a second that take `S` each keep `rpu × S` calls in flight. A strategy with a lower limit falls
//! behind without bound, whatever its buffers. The limit is `max_workers` for `async` and the pools, and one per key for
//! `sequential` (so its busiest key decides; with skew, by the Zipf distribution; an unkeyed reduce has one key). It never exceeds the endpoint's
//! capacity or, for the workload `cpu`, the cores.
//!
//! **Stalls.** Numaflow closes windows one after another and sends the reducer nothing while one closes (its reducer
//! awaits the closing window's task: `reduce/reducer/aligned/reducer.rs` in Numaflow 1.8). So slots that are free in a close
//! are lost, and capacity is needed for that too.
//!
//! **Windows.** `simulation` runs some windows event by event, from which `expected` has the close tail over the windows,
//! the growth of the lag and the verdict; windows that are too large for it are computed by `tail`.
//!
//! **Deadlines.** With a close deadline no close lasts longer, and a backlog ends with its window: what has not ended is
//! missed, a share that `missed` computes.

mod assumptions;
pub mod deployment;
mod duration;
mod expected;
mod missed;
mod reason;
mod simulation;
mod tail;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::settings::SEQUENTIAL_MOST;
use wire::{Delay, StartRule, StrategyKind, Workload};

pub use self::assumptions::Assumptions;
pub use self::duration::duration;
use self::expected::Expected;
pub use self::expected::TOLERATED_GROWTH;
use self::reason::Reason;
pub use self::reason::STALLED_FROM;
use crate::text;
use crate::trial::TrialSettings;

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
    /// Expected close tail, the median over windows, µs; `None` if the result lag grows, and with it the tail.
    pub close_tail_us: Option<u64>,
    /// How much later each window's result comes than that of the window before, µs, the stall of each close included; 0 if
    /// the strategy keeps up, `None` if not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth_per_window_us: Option<u64>,
    /// The close tail over the windows; `None` if it grows without bound, or if not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_tail_percentiles: Option<TailPercentiles>,
    /// Share of the time in which the pod stands still because a window closes; `None` if not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_share: Option<f64>,
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

    /// The expected close tail, or by how much the result lag grows with every window.
    pub fn close_tail_in_words(&self) -> String {
        match (self.close_tail(), self.growth_per_window_us) {
            (Some(tail), _) => text::duration(tail),
            (None, Some(growth_us)) => {
                format!("+{} a window", text::duration(Duration::from_micros(growth_us)))
            }
            (None, None) => "grows".to_owned(),
        }
    }

    /// Whether the result lag grows by more than is tolerated, in windows of this length.
    pub fn grows(&self, window: Duration) -> bool {
        match self.growth_per_window_us {
            Some(growth_us) => growth_us as f64 > TOLERATED_GROWTH * window.as_micros() as f64,
            None => self.verdict == Verdict::Cannot,
        }
    }
}

/// The close tail that a share of the windows does not exceed, µs. They may coincide where calls take equal times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailPercentiles {
    pub p50_us: u64,
    pub p90_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
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
    /// Mean attempts of a call.
    attempts: f64,
    /// Share of attempts that are followed by another one, as long as there are any.
    retried: f64,
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

/// A trial as a queueing system.
#[derive(Debug)]
struct Model<'a> {
    settings: &'a TrialSettings,
    assumptions: &'a Assumptions,
    service: Service,
    servers: Servers,
    /// Processor time of a call, as a share of all cores, in seconds.
    processor_s: f64,
}

/// Predicts a trial on a machine with `cores` cores.
pub fn predict(settings: &TrialSettings, cores: NonZeroUsize) -> Prediction {
    predict_with(settings, cores, &Assumptions::default())
}

/// Predicts a trial on a machine with `cores` cores and these costs.
pub fn predict_with(settings: &TrialSettings, cores: NonZeroUsize, assumptions: &Assumptions) -> Prediction {
    let model = Model::new(settings, cores.get() as f64, assumptions);
    prediction(&model, &Expected::of(&model))
}

/// The same by arithmetic alone, which is a thousand times faster and knows less of how a close delays the next.
pub fn predict_roughly(
    settings: &TrialSettings,
    cores: NonZeroUsize,
    assumptions: &Assumptions,
) -> Prediction {
    let model = Model::new(settings, cores.get() as f64, assumptions);
    prediction(&model, &Expected::by_arithmetic(&model))
}

fn prediction(model: &Model<'_>, expected: &Expected) -> Prediction {
    let settings = model.settings;
    let window_s = settings.window.as_secs_f64();
    let utilization = model.utilization();
    let tail_s = expected.tails.p50_s;
    let load_factor = match settings.start_rule {
        StartRule::AtClose => utilization.max(tail_s / window_s),
        StartRule::AtArrival => utilization,
    };
    let deadline = settings
        .close_deadline()
        .map(|deadline| Bounded::new(model, deadline, tail_s, utilization));
    let grows = expected.growth_s > TOLERATED_GROWTH * window_s;
    let micros = |seconds: f64| (seconds * 1e6).round() as u64;
    Prediction {
        load_factor,
        needed_in_flight: settings.rpu.get() as f64 * model.service.mean_s,
        close_tail_us: (!grows).then_some(micros(tail_s)),
        growth_per_window_us: Some(micros(expected.growth_s)),
        close_tail_percentiles: (!grows).then(|| expected.tails.in_micros()),
        stall_share: Some(expected.stall_share),
        missed_share: deadline.as_ref().and_then(|bounded| bounded.missed_share),
        verdict: expected.verdict,
        why: Reason {
            model,
            utilization,
            expected,
            deadline: deadline.as_ref(),
        }
        .sentence(),
    }
}

impl<'a> Model<'a> {
    fn new(settings: &'a TrialSettings, cores: f64, assumptions: &'a Assumptions) -> Self {
        Self {
            settings,
            assumptions,
            service: Service::of(settings, assumptions),
            servers: Servers::of(settings, cores),
            processor_s: match settings.workload {
                Workload::Http => assumptions.call_processor_time.as_secs_f64() / cores,
                Workload::Cpu => 0.0,
            },
        }
    }

    fn utilization(&self) -> f64 {
        let by_processor = self.settings.rpu.get() as f64 * self.processor_s;
        (self.service.mean_s / self.servers.interval_s).max(by_processor)
    }

    /// Time from one read batch of the source to the next, in seconds.
    fn period_s(&self) -> f64 {
        let full_s = f64::from(self.assumptions.read_batch.get()) / self.settings.rpu.get() as f64;
        self.settings.read_timeout.as_secs_f64().min(full_s) + self.assumptions.batch_time.as_secs_f64()
    }

    /// Time that the keys of a window add to its close, in seconds.
    fn keys_s(&self) -> f64 {
        let keys = self
            .settings
            .reduce_keys()
            .get()
            .min(self.settings.events_per_window());
        keys as f64 * self.assumptions.key_time.as_secs_f64()
    }
}

impl Bounded {
    fn new(model: &Model<'_>, deadline: Duration, tail_s: f64, utilization: f64) -> Self {
        let deadline_s = deadline.as_secs_f64();
        // At arrival, what an overloaded strategy has left at the close.
        let backlog_s = (utilization - 1.0) * model.settings.window.as_secs_f64();
        let unbounded_s = tail_s.max(backlog_s);
        Self {
            deadline,
            unbounded_s,
            tail_s: unbounded_s.min(deadline_s),
            missed_share: missed::share(model, deadline_s),
        }
    }
}

impl Service {
    fn of(settings: &TrialSettings, assumptions: &Assumptions) -> Self {
        // A computation has no timeout and does not use the endpoint.
        let (limit_s, overhead, retried, hanging) = match settings.workload {
            Workload::Http => (
                settings.timeout.as_secs_f64(),
                assumptions.call_overhead,
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
            retried,
        }
    }

    /// Whether all calls take the same time.
    fn is_fixed(&self) -> bool {
        self.varying.is_none() && self.hanging == 0.0
    }

    /// The chance that a call lasts longer than this, its further attempts left aside.
    fn lasts_longer_than(&self, seconds: f64) -> f64 {
        let by_timeout = f64::from(self.limit_s + self.overhead_s > seconds);
        let longer = self.delay.share_longer_than(seconds - self.overhead_s);
        by_timeout * (self.hanging + (1.0 - self.hanging) * longer)
    }

    /// The longest of `calls` calls that a `share` of such sets of calls does not exceed.
    fn longest_of(&self, calls: f64, share: f64) -> f64 {
        if self.hanging * calls >= 1.0 {
            return (self.limit_s + self.overhead_s) * self.attempts;
        }
        let Some(delay) = self.varying.as_ref().filter(|_| calls > 1.0) else {
            return self.mean_s;
        };
        let longest_s = delay
            .quantile(share.powf(1.0 / calls))
            .as_secs_f64()
            .min(self.limit_s);
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
