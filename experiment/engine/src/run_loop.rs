//! The loop over the trials of a plan: appends each outcome to the journal as the trial ends, and stops when interrupted.
//! Independent of the engine.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use trials::journal::{Journal, JournalError, JournalLine, latest};
use trials::outcome::{PackedLatencies, TrialEnd, TrialOutcome};
use trials::predict::predict;
use trials::trial::Trial;
use trials::verdict::Verdict;
use vertex::machine;
use wire::Clock;

use crate::{Engine, EngineError, TrialProgress};

/// Receives the progress of a run.
pub trait Progress: TrialProgress {
    /// A trial starts: number `position` (from 1) of `all` in this run. `left` is the expected time for it and those after
    /// it.
    fn trial_started(&self, position: usize, all: usize, trial: &Trial, left: Duration);
    /// A trial has ended and is the last of the journal's `lines`.
    fn trial_ended(&self, outcome: &TrialOutcome, lines: &[JournalLine]);
}

#[derive(Debug)]
pub enum RunEnd {
    /// Every trial has an outcome.
    Finished,
    Interrupted {
        /// Trials without an outcome, including the abandoned one.
        missing: usize,
    },
    /// The engine cannot run further trials.
    Stopped {
        /// Trials without an outcome.
        missing: usize,
        why: EngineError,
    },
}

/// The trials that still have to be run: those without an outcome, and those that found nothing out.
pub fn remaining<'a>(trials: &'a [Trial], lines: &[JournalLine]) -> Vec<&'a Trial> {
    let done: BTreeSet<&str> = latest(lines)
        .into_iter()
        .filter(|(_, outcome)| !Verdict::of(outcome).kind.is_failure())
        .map(|(id, _)| id)
        .collect();
    trials
        .iter()
        .filter(|trial| !done.contains(trial.id.as_str()))
        .collect()
}

/// Runs the trials one after another. A failed trial is journalled, and the next one runs. The caller must call
/// [`Engine::finish`] afterwards.
///
/// # Errors
/// Returns an error if the journal cannot be written; no further trial is run then.
pub async fn run(
    trials: &[&Trial],
    engine: &mut dyn Engine,
    journal: &mut Journal,
    progress: &dyn Progress,
    interrupted: impl Future<Output = ()>,
) -> Result<RunEnd, JournalError> {
    let clock = Clock::start();
    let expected: Vec<Duration> = trials.iter().map(|trial| engine.expected(trial)).collect();
    tokio::pin!(interrupted);
    for (index, trial) in trials.iter().enumerate() {
        let left = expected[index..].iter().sum();
        progress.trial_started(index + 1, trials.len(), trial, left);
        let outcome = tokio::select! {
            biased;
            // Drops the trial, which ends its processes.
            () = &mut interrupted => return Ok(RunEnd::Interrupted { missing: trials.len() - index }),
            outcome = run_trial(trial, engine, progress, &clock) => outcome,
        };
        journal.append(JournalLine::Trial(Box::new(outcome.clone())))?;
        progress.trial_ended(&outcome, journal.lines());
        if let Some(why) = engine.stopped() {
            let missing = trials.len() - index - 1;
            return Ok(RunEnd::Stopped { missing, why });
        }
    }
    Ok(RunEnd::Finished)
}

async fn run_trial(
    trial: &Trial,
    engine: &mut dyn Engine,
    progress: &dyn Progress,
    clock: &Clock,
) -> TrialOutcome {
    let prediction = predict(&trial.settings, machine::cores());
    let started_us = clock.now_us();
    let observed = engine.run(trial, progress).await;
    let mut outcome = TrialOutcome {
        trial: trial.clone(),
        prediction,
        started_us,
        ended_us: clock.now_us(),
        end: TrialEnd::Completed,
        windows: Vec::new(),
        ledger: None,
        outcomes: wire::OutcomeCounts::new(),
        latency: PackedLatencies::default(),
        failed_latency: None,
        slot_wait: PackedLatencies::default(),
        instruments: None,
        cost: None,
        call_account: None,
    };
    match observed {
        Ok(observed) => {
            outcome.end = observed.end;
            outcome.windows = observed.windows;
            outcome.ledger = observed.ledger;
            outcome.outcomes = observed.outcomes;
            outcome.latency = observed.latency.into();
            outcome.failed_latency = observed.failed_latency.map(PackedLatencies::from);
            outcome.slot_wait = observed.slot_wait.into();
            outcome.instruments = observed.instruments;
            outcome.cost = observed.cost;
            outcome.call_account = observed.call_account;
        }
        Err(error) => {
            outcome.end = TrialEnd::Failed {
                reason: error.to_string(),
            }
        }
    }
    outcome
}
