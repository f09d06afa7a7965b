//! What measurements say of the times that a prediction assumes: of an earlier run, for predictions of other trials, or of
//! a trial itself, which explains its result. A latency begins at the slot of a call, so it has no wait for one; the wait
//! for the endpoint's capacity is taken out by the endpoint's own account.

mod latencies;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::time::Duration;

use wire::settings::Limit;
use wire::{Delay, Latencies, StartRule, StrategyKind, Workload};

use crate::journal::{self, JournalLine};
use crate::outcome::{PackedLatencies, READ_BATCHES, TrialOutcome, WindowMeasure};
use crate::predict::{Assumptions, Prediction, predict_with};
use crate::text::counted;
use crate::trial::TrialSettings;
use crate::verdict::Verdict;

pub use latencies::{CALLS_FOR_P99, delay, highest_sure};

/// Trials of a service whose median latency is longer than the shortest one by more than this waited for its capacity.
const CALM: f64 = 1.05;

/// Share of the cores that a UDF uses at least where its processor time is that of calls.
const BUSY: f64 = 0.2;

/// What was learned from an earlier run or from calls to a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    samples: Vec<Sample>,
    /// The delay of the user's own service, which stands in place of a plan's.
    service: Option<Delay>,
    /// The delay of our endpoint, if all trials had the same.
    endpoint: Option<Delay>,
    /// Where it was learned, for people.
    source: String,
}

/// Why nothing can be learned from a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    #[error("none of its trials has calls that succeeded and were measured: choose a run that kept up")]
    NoCalls,
}

/// What one trial says; what it does not say is absent.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    strategy: StrategyKind,
    start_rule: StartRule,
    /// Calls that can begin at the same time: they wait for the processor with each other.
    at_once: f64,
    call_overhead: Option<Duration>,
    processor_time: Option<Duration>,
    batch_time: Option<Duration>,
    key_time: Option<Duration>,
}

impl Learned {
    /// From the latest outcome of each trial of a journal; failed trials say nothing.
    ///
    /// # Errors
    /// Returns an error if no trial has calls that were measured.
    pub fn from_run(lines: &[JournalLine], source: &str) -> Result<Self, LearnError> {
        let outcomes: Vec<&TrialOutcome> = journal::latest(lines)
            .into_values()
            .filter(|outcome| !Verdict::of(outcome).kind.is_failure())
            .filter(|outcome| outcome.latency.open().count() > 0)
            .collect();
        if outcomes.is_empty() {
            return Err(LearnError::NoCalls);
        }
        let (of_endpoint, of_service): (Vec<&TrialOutcome>, Vec<&TrialOutcome>) = outcomes
            .iter()
            .filter(|outcome| outcome.trial.settings.workload == Workload::Http)
            .partition(|outcome| calls_endpoint(outcome));
        let facts = lines.iter().rev().find_map(|line| match line {
            JournalLine::Run(facts) => Some(facts),
            JournalLine::Trial(_) => None,
        });
        let cores = facts.and_then(|facts| facts.machine.get("cores")?.parse().ok());
        let delay_of = |outcome: &TrialOutcome| outcome.trial.settings.io_delay.clone();
        let endpoint = of_endpoint.first().map(|first| delay_of(first));
        Ok(Self {
            samples: outcomes
                .iter()
                .map(|outcome| Sample::of(outcome, cores))
                .collect(),
            service: service_delay(&of_service),
            endpoint: endpoint.filter(|delay| of_endpoint.iter().all(|other| delay_of(other) == *delay)),
            source: format!("{} of {source}", counted(outcomes.len() as u64, "trial")),
        })
    }

    /// From the latencies of calls to the user's own service; `None` without any.
    pub fn from_calls(latencies: &Latencies, source: &str) -> Option<Self> {
        Some(Self {
            samples: Vec::new(),
            service: Some(delay(latencies, Assumptions::default().call_overhead)?),
            endpoint: None,
            source: format!("{} to {source}", counted(latencies.count(), "call")),
        })
    }

    /// Predicts a trial by what was learned.
    pub fn predict(&self, settings: &TrialSettings, cores: NonZeroUsize) -> Prediction {
        let assumptions = self.assumptions(settings);
        predict_with(&self.settings(settings), cores, &assumptions)
    }

    /// The settings with the delay of the user's own service, if it was learned, in place of the plan's.
    pub fn settings(&self, settings: &TrialSettings) -> TrialSettings {
        let mut settings = settings.clone();
        if let (Some(delay), Workload::Http) = (&self.service, settings.workload) {
            settings.io_delay = delay.clone();
        }
        settings
    }

    /// What the trials that are most like this one measured; what none of them did is assumed.
    pub fn assumptions(&self, settings: &TrialSettings) -> Assumptions {
        let assumed = Assumptions::default();
        let of = |of: fn(&Sample) -> Option<Duration>| self.nearest(settings, of);
        Assumptions {
            call_overhead: of(|sample| sample.call_overhead).unwrap_or(assumed.call_overhead),
            call_processor_time: of(|sample| sample.processor_time).unwrap_or(assumed.call_processor_time),
            batch_time: of(|sample| sample.batch_time).unwrap_or(assumed.batch_time),
            key_time: of(|sample| sample.key_time).unwrap_or(assumed.key_time),
            ..assumed
        }
    }

    /// The delay where no plan gives one: of the service, or of the endpoint if all trials had the same.
    pub fn delay(&self) -> Option<&Delay> {
        self.service.as_ref().or(self.endpoint.as_ref())
    }

    /// Whether the delay is of the user's own service.
    pub fn is_of_service(&self) -> bool {
        self.service.is_some()
    }

    /// Where it was learned, as `12 trials of out/x`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The mean of the samples that have a value and are equally near: by strategy, then start rule, then calls at once.
    fn nearest(&self, settings: &TrialSettings, value: fn(&Sample) -> Option<Duration>) -> Option<Duration> {
        let at_once = at_once(settings);
        let distance = |sample: &Sample| {
            let ratio = (sample.at_once / at_once).ln().abs();
            (
                sample.strategy != settings.strategy,
                sample.start_rule != settings.start_rule,
                // In whole percents: repeats are equally near.
                (ratio * 100.0).round() as u64,
            )
        };
        let known: Vec<_> = self
            .samples
            .iter()
            .filter_map(|sample| Some((distance(sample), value(sample)?)))
            .collect();
        let least = known.iter().map(|(distance, _)| *distance).min()?;
        let near: Vec<Duration> = known
            .into_iter()
            .filter(|(distance, _)| *distance == least)
            .map(|(_, value)| value)
            .collect();
        Some(near.iter().sum::<Duration>() / near.len() as u32)
    }
}

impl Sample {
    fn of(outcome: &TrialOutcome, cores: Option<NonZeroUsize>) -> Self {
        let settings = &outcome.trial.settings;
        let is_http = settings.workload == Workload::Http;
        Self {
            strategy: settings.strategy,
            start_rule: settings.start_rule,
            at_once: at_once(settings),
            call_overhead: Some(outcome).filter(|_| is_http).and_then(call_overhead),
            processor_time: cores
                .filter(|_| is_http)
                .and_then(|cores| processor_time(outcome, cores)),
            batch_time: batch_time(outcome),
            key_time: key_time(outcome),
        }
    }
}

/// Predicts a trial again by what its repeats measured: its calls lasted as long as they did, waits at the endpoint
/// included. It explains the result and judges nothing. `None` if the journal does not record what it needs.
pub fn explain(outcomes: &[&TrialOutcome], cores: NonZeroUsize) -> Option<Prediction> {
    let mut settings = outcomes.first()?.trial.settings.clone();
    let mean = |of: fn(&TrialOutcome) -> Option<Duration>| {
        let all: Vec<Duration> = outcomes.iter().filter_map(|outcome| of(outcome)).collect();
        (!all.is_empty()).then(|| all.iter().sum::<Duration>() / all.len() as u32)
    };
    let mut assumptions = Assumptions::default();
    match settings.workload {
        Workload::Http => {
            settings.io_delay = latencies::curve(&merged(outcomes), Duration::ZERO)?;
            // The waits for it and for the processor are part of the latencies.
            settings.capacity = Limit(None);
            assumptions.call_overhead = Duration::ZERO;
            assumptions.call_processor_time = Duration::ZERO;
        }
        Workload::Cpu => settings.io_delay = Delay::Fixed(mean(cost_of_a_call)?),
    }
    assumptions.batch_time = mean(batch_time).unwrap_or(assumptions.batch_time);
    assumptions.key_time = mean(key_time).unwrap_or(assumptions.key_time);
    Some(predict_with(&settings, cores, &assumptions))
}

fn merged(outcomes: &[&TrialOutcome]) -> Latencies {
    let mut merged = Latencies::new();
    for outcome in outcomes {
        merged.merge(&outcome.latency.open());
    }
    merged
}

/// Whether the calls reached the experiment's own endpoint, so that the plan's delay was theirs.
fn calls_endpoint(outcome: &TrialOutcome) -> bool {
    let served = outcome.instruments.as_ref().and_then(|one| one.endpoint_served);
    served.is_some_and(|served| served > 0)
}

/// The delay of a service: of the trials that did not wait for its capacity.
fn service_delay(outcomes: &[&TrialOutcome]) -> Option<Delay> {
    let medians = outcomes
        .iter()
        .filter_map(|outcome| Some((*outcome, outcome.latency.open().quantile(0.5)?)));
    let medians: Vec<(&TrialOutcome, Duration)> = medians.collect();
    let shortest = medians.iter().map(|(_, median)| *median).min()?;
    let calm: Vec<&TrialOutcome> = medians
        .into_iter()
        .filter(|(_, median)| *median <= shortest.mul_f64(CALM))
        .map(|(outcome, _)| outcome)
        .collect();
    delay(&merged(&calm), Assumptions::default().call_overhead)
}

/// Calls that can begin at the same time: of a window at its close, of a read batch and of a delay at arrival.
fn at_once(settings: &TrialSettings) -> f64 {
    let limit = match settings.strategy {
        StrategyKind::Sequential => settings.reduce_keys(),
        StrategyKind::Async | StrategyKind::ThreadPool | StrategyKind::ProcessPool => settings.max_workers,
    };
    let ready = match settings.start_rule {
        StartRule::AtClose => settings.events_per_window() as f64,
        StartRule::AtArrival => {
            settings.rpu.get() as f64 * (settings.io_delay.mean() + settings.read_timeout).as_secs_f64()
        }
    };
    (limit.get() as f64).min(ready).max(1.0)
}

/// The mean time of a call beyond its delay, without its wait for the endpoint's capacity. Without the endpoint's account
/// of both it is known only where no call can have waited and all delays are equal. A service's is part of its delay.
fn call_overhead(outcome: &TrialOutcome) -> Option<Duration> {
    if !calls_endpoint(outcome) {
        return None;
    }
    let mean = |packed: &PackedLatencies| packed.open().mean();
    let instruments = outcome.instruments.as_ref()?;
    let settings = &outcome.trial.settings;
    match (
        &instruments.endpoint_given,
        &instruments.endpoint_excess,
        &settings.io_delay,
    ) {
        (Some(given), Some(excess), _) => {
            let as_asked = mean(given)?.saturating_sub(mean(excess)?);
            Some(mean(&outcome.latency)?.saturating_sub(as_asked))
        }
        (None, _, Delay::Fixed(delay)) if settings.capacity.0.is_none() => {
            Some(outcome.latency.open().quantile(0.5)?.saturating_sub(*delay))
        }
        _ => None,
    }
}

/// Processor time of the UDF for each call, with what it uses without any.
fn cost_of_a_call(outcome: &TrialOutcome) -> Option<Duration> {
    let cost = outcome.cost.as_ref().filter(|cost| cost.calls > 0)?;
    Some(Duration::from_nanos(
        cost.cpu_us.saturating_mul(1_000) / cost.calls,
    ))
}

/// Processor time of a call on all cores: where all calls of a window begin at once, of what the close takes beyond one
/// call; else the cost of a call, where the UDF was busy enough that little of it is idle time.
fn processor_time(outcome: &TrialOutcome, cores: NonZeroUsize) -> Option<Duration> {
    let settings = &outcome.trial.settings;
    let events = settings.events_per_window();
    let is_burst = settings.start_rule == StartRule::AtClose
        && settings.strategy != StrategyKind::Sequential
        && settings.max_workers.get() >= events
        && settings.capacity.0.is_none();
    match (&settings.io_delay, call_overhead(outcome)) {
        (Delay::Fixed(delay), Some(overhead)) if is_burst => {
            let keys = settings.reduce_keys().get().min(events) as u32;
            let of_keys = Assumptions::default().key_time.saturating_mul(keys);
            let beyond = median_tail(outcome, |_| 1)?.saturating_sub(*delay + overhead + of_keys);
            Some(beyond.mul_f64(cores.get() as f64 / events.max(1) as f64))
        }
        _ => {
            let cost = outcome.cost.as_ref()?;
            let lasted_us = outcome.ended_us.saturating_sub(outcome.started_us) * cores.get() as u64;
            let is_busy = lasted_us > 0 && cost.cpu_us as f64 / lasted_us as f64 >= BUSY;
            is_busy.then(|| cost_of_a_call(outcome)).flatten()
        }
    }
}

/// Time between two reads beyond the reads themselves, where reads ended by their timeout and not because they were full.
fn batch_time(outcome: &TrialOutcome) -> Option<Duration> {
    let settings = &outcome.trial.settings;
    let engine = &outcome.instruments.as_ref()?.engine;
    let (read, batches) = (*engine.get("read")?, *engine.get(READ_BATCHES)?);
    let ledger = outcome.ledger.as_ref()?;
    let most = Assumptions::default().read_batch.get();
    let is_full = settings.rpu.get() as f64 * settings.read_timeout.as_secs_f64() >= f64::from(most);
    if batches < 2 || is_full || ledger.unsent > 0 {
        return None;
    }
    let period = Duration::from_secs_f64(read as f64 / settings.rpu.get() as f64 / batches as f64);
    Some(period.saturating_sub(settings.read_timeout))
}

/// Median time of a close for each key, where all calls have ended by then.
fn key_time(outcome: &TrialOutcome) -> Option<Duration> {
    let settings = &outcome.trial.settings;
    let has_ended = outcome.latency.open().max()? < settings.read_timeout / 2;
    if settings.start_rule == StartRule::AtClose || !has_ended {
        return None;
    }
    median_tail(outcome, |measure| measure.keys)
}

/// The median close tail of the measured windows, each divided by a number.
fn median_tail(outcome: &TrialOutcome, by: fn(&WindowMeasure) -> u64) -> Option<Duration> {
    let windows = outcome.windows.iter().filter(|window| !window.warmup);
    let mut nanos: Vec<u64> = windows
        .filter_map(|window| window.measured.as_ref())
        .map(|measure| measure.close_tail_us.saturating_mul(1_000) / by(measure).max(1))
        .collect();
    nanos.sort_unstable();
    let middle = nanos.len().checked_sub(1)? / 2;
    nanos.get(middle).map(|nanos| Duration::from_nanos(*nanos))
}
