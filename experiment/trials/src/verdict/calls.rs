//! The calls of a trial: how many failed and why, how many may fail, and whether the endpoint served those that the UDF
//! recorded.

use std::cmp::Reverse;

use wire::{Calls, Outcome, Workload};

use crate::outcome::TrialOutcome;
use crate::text::count;
use crate::trial::TrialSettings;

/// Failed calls beyond what the plan asks of the endpoint that a trial may have, as a share.
pub(crate) const TOLERATED: f64 = 0.01;

/// Standard deviations that the endpoint's random failures may exceed their share by.
const DEVIATIONS: f64 = 3.0;

/// The failed calls of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCalls {
    /// Events that were called, or whose payload could not be read.
    pub events: u64,
    /// Those whose last attempt failed.
    pub failed: u64,
    /// The commonest way in which they failed; `None` if none did.
    pub commonest: Option<&'static str>,
    /// Whether there were other ways.
    pub others: bool,
}

impl FailedCalls {
    /// By the UDF's records, or without any by the endpoint's account; `None` if there is neither.
    pub(super) fn of(outcome: &TrialOutcome) -> Option<Self> {
        if !outcome.outcomes.is_empty() {
            let counts = outcome.outcomes.iter();
            return Some(Self::from(counts.map(|(outcome, count)| {
                ((*outcome != Outcome::Ok).then(|| outcome.name()), *count)
            })));
        }
        let instruments = outcome.instruments.as_ref()?;
        let (served, failed, unanswered) = (
            instruments.endpoint_served?,
            instruments.endpoint_failed?,
            instruments.endpoint_unanswered?,
        );
        let counts = [
            (None, served.saturating_sub(failed)),
            (Some("bad answers"), failed),
            (Some("unanswered"), unanswered),
        ];
        Some(Self::from(counts.into_iter())).filter(|calls| calls.events > 0)
    }

    /// From counts by way of failing; `None` for success.
    fn from(counts: impl Iterator<Item = (Option<&'static str>, u64)>) -> Self {
        let (mut events, mut ways) = (0u64, Vec::new());
        for (way, count) in counts.filter(|(_, count)| *count > 0) {
            events = events.saturating_add(count);
            ways.extend(way.map(|way| (way, count)));
        }
        ways.sort_by_key(|(_, count)| Reverse(*count));
        Self {
            events,
            failed: ways.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count)),
            commonest: ways.first().map(|(way, _)| *way),
            others: ways.len() > 1,
        }
    }

    /// Failed ones among all, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.failed as f64 / self.events.max(1) as f64
    }

    /// Rounded, e.g. `12 %`; 0 and 100 % are exact.
    pub(super) fn share_in_words(&self) -> String {
        match self.share() * 100.0 {
            percent if self.failed == self.events => format!("{percent:.0} %"),
            percent if percent >= 9.95 => format!("{:.0} %", percent.min(99.0)),
            percent if percent >= 0.1 => format!("{percent:.1} %"),
            _ => "under 0.1 %".to_owned(),
        }
    }

    /// Share and number, then the commonest way of failing.
    pub(super) fn in_words(&self) -> String {
        let mostly = if self.others { "mostly " } else { "" };
        let (share, way) = (self.share_in_words(), self.commonest.unwrap_or_default());
        format!("{share} of {}, {mostly}{way}", count(self.events))
    }

    /// Whether more failed than the plan allows.
    pub(super) fn beyond(&self, settings: &TrialSettings) -> bool {
        let most = settings.max_failed.unwrap_or_else(|| {
            let asked = asked(settings);
            let deviation = (asked * (1.0 - asked) / self.events.max(1) as f64).sqrt();
            asked + DEVIATIONS * deviation + TOLERATED
        });
        self.share() > most
    }
}

/// The share of calls that the plan asks the endpoint to fail.
pub(super) fn asked(settings: &TrialSettings) -> f64 {
    match settings.workload {
        Workload::Http => settings.failing_share(),
        Workload::Cpu => 0.0,
    }
}

/// The result of comparing the UDF's records with the endpoint's count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Comparison {
    Agrees,
    /// The endpoint is not ours, or the plan does not say for which events it is called.
    NotCompared,
    /// In words.
    Contradicts(String),
}

/// Compares what the UDF says of its calls with what the endpoint served.
pub(super) fn compare(outcome: &TrialOutcome) -> Comparison {
    let settings = &outcome.trial.settings;
    let Some(instruments) = outcome.instruments.as_ref() else {
        return Comparison::NotCompared;
    };
    let (Some(served), Workload::Http) = (instruments.endpoint_served, settings.workload) else {
        return Comparison::NotCompared;
    };
    let events = events_answered(outcome);
    let too_few = match settings.calls.unwrap_or(Calls::Each) {
        Calls::None => return Comparison::NotCompared,
        Calls::Some => served == 0 && events > 0,
        // Without records the endpoint alone knows of calls that were given up.
        Calls::Each if outcome.outcomes.is_empty() && served > 0 => instruments
            .endpoint_unanswered
            .is_some_and(|unanswered| served.saturating_add(unanswered) < events),
        Calls::Each => served < events,
    };
    if too_few {
        return Comparison::Contradicts(format!(
            "the endpoint served {} calls for {} events",
            count(served),
            count(events)
        ));
    }
    match (settings.calls, most_attempts(outcome)) {
        (Some(Calls::Some), _) => Comparison::NotCompared,
        (_, Some(most)) if served > most => Comparison::Contradicts(format!(
            "the endpoint served {} calls, and the UDF made {} attempts at most",
            count(served),
            count(most)
        )),
        _ => Comparison::Agrees,
    }
}

/// Events whose call got an answer by the UDF's records, or without any the events that it received.
fn events_answered(outcome: &TrialOutcome) -> u64 {
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
    match outcome.call_account {
        Some(account) => account.answered,
        None if outcome.outcomes.is_empty() => {
            let measured = outcome
                .windows
                .iter()
                .filter_map(|window| window.measured.as_ref());
            sum(&mut measured.map(|window| window.events))
        }
        // An older journal, where a bad body may be of an event that could not be read and was not called.
        None => {
            let answered = [Outcome::Ok, Outcome::BadStatus];
            sum(&mut answered
                .iter()
                .filter_map(|answered| outcome.outcomes.get(answered).copied()))
        }
    }
}

/// The attempts and reconnects in the records, and the attempts that windows without a record and one more may have made:
/// calls go on while the counts are read. `None` if the UDF does not count attempts or the events without a record are unknown.
fn most_attempts(outcome: &TrialOutcome) -> Option<u64> {
    let account = outcome.call_account.filter(|account| account.attempts > 0)?;
    let ledger = outcome.ledger.as_ref()?;
    let settings = &outcome.trial.settings;
    let unrecorded = [
        ledger.open,
        ledger.lost,
        ledger.unknown,
        settings.events_per_window(),
    ];
    let unrecorded = unrecorded.into_iter().fold(0, u64::saturating_add);
    let attempts = unrecorded.saturating_mul(1 + u64::from(settings.retries));
    Some(
        account
            .attempts
            .saturating_add(account.reconnects)
            .saturating_add(attempts),
    )
}
