//! What the windows of a trial are expected to do: simulated, or by arithmetic where they are too large.

use wire::StartRule;

use super::simulation::{self, Simulated};
use super::{CANNOT_FROM, CRITICAL_FROM, Model, TailPercentiles, Verdict, tail};

/// Growth of the result lag per window, as a fraction of the window, above which a strategy falls behind.
pub const TOLERATED_GROWTH: f64 = 0.02;

/// How much faster or slower than assumed a machine may be. A verdict that changes within it is critical.
const MARGIN: f64 = 0.03;

/// Load below which closes that are shorter than half a window leave so much room that a margin decides nothing.
const CERTAIN_BELOW: f64 = 0.6;

/// What is expected of a trial's windows.
#[derive(Debug)]
pub(super) struct Expected {
    pub verdict: Verdict,
    pub tails: Tails,
    /// How much later each window's result comes than that of the window before, seconds.
    pub growth_s: f64,
    /// Share of the time in which a window closes.
    pub stall_share: f64,
}

/// The close tail over the windows, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tails {
    pub p50_s: f64,
    pub p90_s: f64,
    pub p95_s: f64,
    pub p99_s: f64,
}

impl Expected {
    pub(super) fn of(model: &Model<'_>) -> Self {
        match simulation::windows(model, 1.0) {
            Some(simulated) => Self::simulated(model, &simulated),
            None => Self::by_arithmetic(model),
        }
    }

    fn simulated(model: &Model<'_>, simulated: &Simulated) -> Self {
        let window_s = model.settings.window.as_secs_f64();
        let grows =
            |simulated: &Simulated, speed: f64| simulated.growth_s > TOLERATED_GROWTH * window_s / speed;
        let grows_at = |speed: f64| simulation::windows(model, speed).is_some_and(|one| grows(&one, speed));
        let tails = Tails::each(|share| simulated.tail_s(share));
        let is_certain = model.utilization() < CERTAIN_BELOW && tails.p95_s < window_s / 2.0;
        let verdict = match grows(simulated, 1.0) {
            true if grows_at(1.0 - MARGIN) => Verdict::Cannot,
            false if is_certain || !grows_at(1.0 + MARGIN) => Verdict::KeepsUp,
            _ => Verdict::Critical,
        };
        Self {
            verdict,
            tails,
            growth_s: match verdict {
                Verdict::KeepsUp => 0.0,
                _ => simulated.growth_s,
            },
            stall_share: simulated.stall_share,
        }
    }

    pub(super) fn by_arithmetic(model: &Model<'_>) -> Self {
        let settings = model.settings;
        let window_s = settings.window.as_secs_f64();
        let deadline_s = settings
            .close_deadline()
            .map_or(f64::INFINITY, |deadline| deadline.as_secs_f64());
        let tails = Tails::each(|share| {
            let tail_s = match settings.start_rule {
                StartRule::AtClose => {
                    let processor_s = settings.events_per_window() as f64 * model.processor_s;
                    tail::at_close(model, share).max(processor_s)
                }
                StartRule::AtArrival => tail::at_arrival(model, share),
            };
            (tail_s + model.keys_s()).min(deadline_s)
        });
        let by_close = tails.p50_s / window_s;
        let highest = match deadline_s.is_finite() {
            // Whatever is left of a window at its deadline is no load of the next one.
            true => by_close.max(model.utilization().min(deadline_s / window_s)),
            false => by_close.max(model.utilization()),
        };
        Self {
            verdict: match highest {
                load if load >= CANNOT_FROM => Verdict::Cannot,
                load if load >= CRITICAL_FROM => Verdict::Critical,
                _ => Verdict::KeepsUp,
            },
            tails,
            growth_s: (highest - 1.0).max(0.0) * window_s,
            stall_share: by_close.min(1.0),
        }
    }
}

impl Tails {
    fn each(tail_s: impl Fn(f64) -> f64) -> Self {
        Self {
            p50_s: tail_s(0.5),
            p90_s: tail_s(0.9),
            p95_s: tail_s(0.95),
            p99_s: tail_s(0.99),
        }
    }

    pub(super) fn in_micros(self) -> TailPercentiles {
        let [p50_us, p90_us, p95_us, p99_us] =
            [self.p50_s, self.p90_s, self.p95_s, self.p99_s].map(|seconds| (seconds * 1e6).round() as u64);
        TailPercentiles {
            p50_us,
            p90_us,
            p95_us,
            p99_us,
        }
    }
}
