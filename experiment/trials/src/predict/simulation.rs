//! The windows of a trial event by event, as the data plane and the UDF treat them: reads in batches, closes that block
//! the intake, one queue of calls with a limited number of servers. Random numbers come from a fixed seed.
//!
//! The work is bounded by [`EVENTS`]. A longer window than its close depends on is simulated by its end: where calls start
//! at arrival by its last seconds, where they start at close by its last rounds of calls.

mod call_times;
mod run;
mod turns;

use std::time::Duration;

use wire::{StartRule, StrategyKind};

use self::run::{Closed, Run};
use super::Model;

/// Events that are simulated, at most.
const EVENTS: u64 = 40_000;
/// Events of a window from which it is too large.
const MOST_OF_A_WINDOW: u64 = EVENTS / 4;
/// Windows that are simulated: more say little of the percentiles.
const WINDOWS: u64 = 256;
/// Share of the windows that are left out at the start, as the pod is empty then.
const WARM_UP: f64 = 0.125;

/// What a simulation showed.
#[derive(Debug)]
pub(super) struct Simulated {
    /// Ascending.
    tails_s: Vec<f64>,
    /// How much later each window's result comes than that of the window before.
    pub growth_s: f64,
    /// Share of the time in which a window closes.
    pub stall_share: f64,
}

/// Simulates a trial whose events come faster by the factor `speed`, in windows that are as much shorter. `None` if its
/// windows are too large.
pub(super) fn windows(model: &Model<'_>, speed: f64) -> Option<Simulated> {
    let cut = Cut::of(model, speed)?;
    let closed = Run::new(model, &cut, speed).closed();
    let from = (closed.len() as f64 * WARM_UP).ceil() as usize;
    let counted = closed
        .get(from..)
        .filter(|counted| !counted.is_empty())
        .unwrap_or(&closed);
    let mut tails_s: Vec<f64> = counted
        .iter()
        .map(|closed| closed.tail_s + cut.left_out_s)
        .collect();
    tails_s.sort_by(f64::total_cmp);
    let mean_s = tails_s.iter().sum::<f64>() / tails_s.len().max(1) as f64;
    let window_s = model.settings.window.as_secs_f64() / speed;
    let growth_s = match cut.left_out_s > 0.0 {
        // Every close takes as long, however late it begins.
        true => (mean_s - window_s).max(0.0),
        // What is left out has the same load, and no close.
        false => match growth_s(counted) {
            growth_s if growth_s > 0.0 => {
                let left_out_s = window_s - cut.window_s;
                (growth_s + (model.utilization() * speed - 1.0) * left_out_s).max(0.0)
            }
            _ => 0.0,
        },
    };
    Some(Simulated {
        growth_s,
        stall_share: (mean_s / (window_s + growth_s)).min(1.0),
        tails_s,
    })
}

/// The close tails of the first windows, in order.
#[cfg(test)]
pub(super) fn first_tails_s(model: &Model<'_>, windows: usize) -> Vec<f64> {
    let cut = Cut::of(model, 1.0);
    let closed = cut.map_or_else(Vec::new, |cut| Run::new(model, &cut, 1.0).closed());
    closed.iter().take(windows).map(|closed| closed.tail_s).collect()
}

impl Simulated {
    /// The close tail that this share of the windows does not exceed, in seconds.
    pub(super) fn tail_s(&self, share: f64) -> f64 {
        let position = (share * self.tails_s.len() as f64).ceil() as usize;
        self.tails_s.get(position.max(1) - 1).copied().unwrap_or(0.0)
    }
}

/// Growth of the lag per window: the difference between the means of the first and the last third.
fn growth_s(closed: &[Closed]) -> f64 {
    let third = closed.len().div_ceil(3);
    let between = closed.len() - third;
    if between == 0 {
        return 0.0;
    }
    let mean_s = |part: &[Closed]| part.iter().map(|closed| closed.lag_s).sum::<f64>() / part.len() as f64;
    ((mean_s(&closed[between..]) - mean_s(&closed[..third])) / between as f64).max(0.0)
}

/// The part of each window that is simulated.
struct Cut {
    /// Length of a simulated window.
    window_s: f64,
    windows: u64,
    /// What the calls before it take of each close, if they start at close.
    left_out_s: f64,
}

impl Cut {
    fn of(model: &Model<'_>, speed: f64) -> Option<Self> {
        let (settings, service) = (model.settings, &model.service);
        let rate = settings.rpu.get() as f64 * speed;
        let whole_s = settings.window.as_secs_f64() / speed;
        let load = model.utilization() * speed;
        let window_s = match settings.start_rule {
            StartRule::AtClose => {
                // Whole rounds of calls are left out.
                let (calls, round) = (rate * whole_s, model.servers.in_flight);
                let simulated = (4.0 * round).max(MOST_OF_A_WINDOW as f64 / 4.0);
                (calls - ((calls - simulated) / round).floor().max(0.0) * round) / rate
            }
            StartRule::AtArrival => {
                let room = (1.0 - load).max(f64::MIN_POSITIVE);
                let longest_s = service.longest_of(rate * service.mean_s.max(1.0), 0.99);
                // How long a queue takes to settle, and the backlog of a close to be worked off.
                let shared = match settings.strategy {
                    StrategyKind::Sequential => 1.0,
                    _ => model.servers.in_flight,
                };
                let settles_s = service.mean_s / shared / (1.0 - load.min(1.0).sqrt()).powi(2);
                let recovers_s = longest_s * load / room;
                let end_s = 10.0 * model.period_s() + 10.0 * service.mean_s + longest_s;
                let most_s = MOST_OF_A_WINDOW as f64 / rate;
                whole_s
                    .min(end_s + 5.0 * settles_s + 2.0 * recovers_s)
                    .min(most_s.max(end_s))
            }
        };
        let events = (rate * window_s).ceil().max(1.0) as u64;
        let needs = rate * service.mean_s;
        if events > MOST_OF_A_WINDOW || load < 1.0 && needs > events as f64 {
            return None;
        }
        let is_cut = window_s < whole_s;
        Some(Self {
            window_s,
            windows: (EVENTS / events).clamp(4, WINDOWS),
            left_out_s: match settings.start_rule {
                StartRule::AtClose if is_cut => load * (whole_s - window_s),
                _ => 0.0,
            },
        })
    }
}

fn nanos(nanos: f64) -> u64 {
    nanos as u64
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
