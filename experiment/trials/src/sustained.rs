//! Whether the trials of a level show that its rate is sustained, and what set the limit if it is not.
//!
//! *Sustained*: every measured window gives its result, nothing is unsent, the result lag does not grow, and the objective
//! holds. The lag grows by the slope over the windows after the warm-up, of all repeats together: sustained if its 95 %
//! upper bound lies below [`TOLERATED`] of a window per window, not sustained if the lower bound lies above.

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use wire::Workload;

use crate::metric::micros;
use crate::outcome::{PackedLatencies, TrialOutcome};
use crate::search::Answer;
use crate::text::{count, counted, share};
use crate::threshold::{Status, Threshold, judge};
use crate::trial::TrialSettings;
use crate::verdict::growth::{Growth, MIN_WINDOWS_FOR_INTERVAL};
use crate::verdict::{Kind, Verdict};

/// Windows before the measured ones of a trial in a search.
pub const WARMUP: u32 = 1;

/// Measured windows, unless the objective needs more.
pub const WINDOWS: u32 = 10;

/// Growth of the result lag per window, as a fraction of the window's length.
pub const TOLERATED: f64 = crate::predict::TOLERATED_GROWTH;

/// What the trials of a level say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    pub answer: Answer,
    /// Why it is not sustained or not decided; empty if it is sustained.
    pub reason: String,
    /// What set the limit; `None` unless it is not sustained.
    pub limit: Option<Limit>,
    /// The rate by the highest one that would be sustained; `None` unless it is not, and the lag tells.
    pub overload: Option<f64>,
}

/// Why the last trial of a level says nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NoAnswer {
    pub reason: String,
    /// Whether it failed, as where ports, memory or descriptors do not suffice; else its figures contradict each other.
    pub failed: bool,
}

/// What keeps a level from being sustained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Calls waited for a slot, or a close took as long as a window.
    Strategy,
    /// Calls took longer than they were asked to.
    Endpoint,
    /// The UDF used the cores, or the endpoint could not keep its time, or calls took longer although it had room.
    Cores,
    /// Calls did not wait, but events came late to the UDF.
    DataPlane,
    /// Events were due and not read, although the UDF had room for them.
    Generator,
    /// A trial failed at this level, as for want of ports, memory or descriptors.
    Machine,
    /// The trial did not record what tells.
    Unknown,
}

impl Limit {
    /// Whether the machine sets it, so that it says nothing of the strategy.
    pub const fn is_of_the_machine(self) -> bool {
        match self {
            Self::Endpoint | Self::Cores | Self::DataPlane | Self::Generator | Self::Machine => true,
            Self::Strategy | Self::Unknown => false,
        }
    }

    pub const fn words(self) -> &'static str {
        match self {
            Self::Strategy => "the strategy",
            Self::Endpoint => "the endpoint",
            Self::Cores => "the cores",
            Self::DataPlane => "the data plane",
            Self::Generator => "the generator",
            Self::Machine => "the machine",
            Self::Unknown => "not known",
        }
    }
}

/// How many measured windows a trial needs so that the objective can be judged.
pub fn windows_needed(objective: &[Threshold]) -> u32 {
    let needed = objective.iter().map(Threshold::windows_needed);
    needed.fold(WINDOWS, u32::max)
}

/// Judges the trials of a level, its repeats, by an objective, on a machine with `cores` cores.
///
/// # Errors
/// Returns the reason if the last trial found nothing out.
pub fn judgement(
    trials: &[&TrialOutcome],
    objective: &[Threshold],
    cores: NonZeroUsize,
) -> Result<Judgement, NoAnswer> {
    let Some(last) = trials.last() else {
        let reason = "no trial has run".to_owned();
        return Err(NoAnswer {
            reason,
            failed: false,
        });
    };
    let verdict = Verdict::of(last);
    if let Kind::Failed | Kind::NotMeasured = verdict.kind {
        return Err(NoAnswer {
            reason: verdict.text(),
            failed: verdict.kind == Kind::Failed,
        });
    }
    if let Some(reason) = missed(last, &verdict) {
        return Ok(not_sustained(last, reason, cores));
    }
    let judged = judge(objective, &[], trials);
    if let Some(missed) = judged.iter().find(|judged| judged.status == Status::Missed) {
        let mut judgement = not_sustained(last, missed.text(), cores);
        // What the objective bounds may be long though nothing waits.
        if let Some(Limit::DataPlane | Limit::Generator | Limit::Unknown) = judgement.limit {
            judgement.limit = Some(Limit::Strategy);
        }
        return Ok(judgement);
    }
    let undecided = |reason: String| Judgement {
        answer: Answer::Undecided,
        reason,
        limit: None,
        overload: None,
    };
    let lags: Vec<Vec<f64>> = trials.iter().map(|trial| lags(trial)).collect();
    let series: Vec<&[f64]> = lags.iter().map(Vec::as_slice).collect();
    let windows = lags.iter().map(Vec::len).max().unwrap_or(0);
    let growth = Growth::of_series(&series, 0.0).filter(|_| windows >= MIN_WINDOWS_FOR_INTERVAL);
    let Some(growth) = growth else {
        let windows = counted(windows as u64, "window");
        return Ok(undecided(format!("{windows} are too few")));
    };
    let window_us = micros(last.trial.settings.window);
    let (low, high) = (growth.at_least / window_us, growth.at_most / window_us);
    if low > TOLERATED {
        let reason = format!("the lag grows by at least {} of a window per window", share(low));
        return Ok(not_sustained(last, reason, cores));
    }
    if high >= TOLERATED {
        return Ok(undecided(format!(
            "the lag may grow by {} of a window per window",
            share(high)
        )));
    }
    if let Some(open) = judged.iter().find(|judged| judged.status == Status::Undecided) {
        return Ok(undecided(open.text()));
    }
    Ok(Judgement {
        answer: Answer::Sustained,
        reason: String::new(),
        limit: None,
        overload: None,
    })
}

/// Why a trial is not sustained whatever its lag and the objective: failed calls, windows without a result, unsent events.
fn missed(outcome: &TrialOutcome, verdict: &Verdict) -> Option<String> {
    if verdict.kind == Kind::CallsFailed {
        return Some(verdict.text());
    }
    let windows: Vec<_> = outcome.windows.iter().filter(|window| !window.warmup).collect();
    let missing = windows.iter().filter(|window| window.measured.is_none()).count() as u64;
    if missing > 0 {
        let all = counted(windows.len() as u64, "window");
        return Some(format!("no result of {} of {all}", count(missing)));
    }
    let unsent = outcome.ledger.as_ref().map_or(0, |ledger| ledger.unsent);
    (unsent > last_read(&outcome.trial.settings)).then(|| format!("{} unsent", counted(unsent, "event")))
}

fn not_sustained(outcome: &TrialOutcome, reason: String, cores: NonZeroUsize) -> Judgement {
    Judgement {
        answer: Answer::NotSustained,
        reason,
        limit: Some(limit(outcome, cores)),
        overload: overload(outcome),
    }
}

/// The result lags of the measured windows, µs.
fn lags(outcome: &TrialOutcome) -> Vec<f64> {
    let measured = outcome.windows.iter().filter(|window| !window.warmup);
    measured
        .filter_map(|window| Some(window.measured.as_ref()?.result_lag_us as f64))
        .collect()
}

/// The rate of an overloaded trial by the highest that would be sustained. The lag grows by what working off a window takes
/// longer than it lasts. `None` if it does not grow by more than is tolerated.
fn overload(outcome: &TrialOutcome) -> Option<f64> {
    let window_us = micros(outcome.trial.settings.window);
    // Results come in order, so those that are missing are the last.
    let lags: Vec<f64> = outcome
        .windows
        .iter()
        .map_while(|window| Some(window.measured.as_ref()?.result_lag_us as f64))
        .collect();
    let growth = match lags.as_slice() {
        // Not one window was worked off in all the time.
        [] => outcome.ended_us.saturating_sub(outcome.started_us) as f64 / window_us - 1.0,
        [lag] => lag / window_us,
        lags => Growth::of(lags, 0.0)?.typical / window_us,
    };
    (growth > TOLERATED).then_some((1.0 + growth) / (1.0 + TOLERATED))
}

/// Events that may be unsent at the end of a trial whose rate is sustained: reading stops with a read, so those of one
/// read timeout are due by then.
fn last_read(settings: &TrialSettings) -> u64 {
    (settings.rpu.get() as f64 * settings.read_timeout.as_secs_f64()).ceil() as u64
}

/// Calls that take this much longer than asked, as a fraction of the median delay, and this long, waited elsewhere.
const LONGER: f64 = 0.2;
const LONGER_US: f64 = 5_000.0;

/// A wait for a slot that is shorter is none.
const WAITED_US: f64 = 1_000.0;

/// Fraction of the cores that the UDF can use at most: endpoint, generator and data plane run on the same.
const BUSY: f64 = 0.6;

/// What set the limit in a trial that is not sustained.
fn limit(outcome: &TrialOutcome, cores: NonZeroUsize) -> Limit {
    let settings = &outcome.trial.settings;
    let quantile = |latencies: &PackedLatencies, q: f64| latencies.open().quantile(q).map(micros);
    let cpu = outcome.cost.as_ref().map(|cost| cost.cpu_us as f64);
    let lasted_us = outcome.ended_us.saturating_sub(outcome.started_us) as f64;
    if cpu.is_some_and(|cpu| lasted_us > 0.0 && cpu / lasted_us > BUSY * cores.get() as f64) {
        return Limit::Cores;
    }
    if settings.workload == Workload::Http {
        let asked = micros(settings.io_delay.quantile(0.5));
        let beyond = asked.max(LONGER_US / LONGER) * LONGER;
        let excess = outcome
            .instruments
            .as_ref()
            .and_then(|one| one.endpoint_excess.as_ref());
        if excess
            .and_then(|excess| quantile(excess, 0.5))
            .is_some_and(|excess| excess > beyond)
        {
            return Limit::Cores;
        }
        if quantile(&outcome.latency, 0.5).is_some_and(|latency| latency > asked + beyond) {
            let peak = outcome
                .instruments
                .as_ref()
                .and_then(|one| one.endpoint_peak_in_flight);
            return match (peak, settings.capacity) {
                // Ours kept its time and had room, so the calls waited for the cores.
                (Some(peak), capacity) if capacity.0.is_none_or(|capacity| peak < capacity.get()) => {
                    Limit::Cores
                }
                _ => Limit::Endpoint,
            };
        }
    }
    let waited = quantile(&outcome.slot_wait, 0.9);
    let measured = outcome
        .windows
        .iter()
        .filter_map(|window| window.measured.as_ref());
    let stopped = measured.clone().any(|window| window.reading_stopped > 0);
    let stalled = measured
        .clone()
        .any(|window| window.close_tail_us as f64 >= micros(settings.window));
    match waited {
        _ if stopped || stalled => Limit::Strategy,
        Some(waited) if waited > WAITED_US => Limit::Strategy,
        None => Limit::Unknown,
        Some(_) => match outcome.ledger.as_ref().map(|ledger| ledger.unsent) {
            Some(unsent) if unsent > last_read(settings) => Limit::Generator,
            _ => Limit::DataPlane,
        },
    }
}
