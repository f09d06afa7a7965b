//! Counts and latencies of the calls of one key and window.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::{Latencies, Outcome, OutcomeCounts};

use crate::call_error::CallError;

/// Durations kept as a list before they become a histogram, which takes 16 KiB: a key with few events does without.
const FEW: usize = 64;

/// How an event ended: by what it is counted.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// The program's own name for its failure.
    pub(crate) named: Option<&'static str>,
    pub(crate) reason: Option<Box<str>>,
}

/// Counts of outcomes and times of calls.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// In the order of [`Outcome::ALL`].
    by_outcome: [u64; Outcome::ALL.len()],
    /// Of the outcome `failed`, by the program's names; there are few.
    named: BTreeMap<&'static str, u64>,
    /// The cause of the first event that ended so.
    pub(crate) causes: BTreeMap<Outcome, Box<str>>,
    /// Attempts made.
    pub(crate) attempts: u64,
    /// Requests sent again within their attempt.
    pub(crate) reconnects: u64,
    /// Duration of the last attempt of each event that ended as [`Outcome::Ok`].
    pub(crate) latency: Durations,
    /// Of each that ended otherwise.
    pub(crate) failed_latency: Durations,
    /// Time from when a call might begin until its first attempt begins.
    pub(crate) slot_wait: Durations,
    /// Highest number of calls in flight at once.
    pub(crate) peak_in_flight: u64,
}

/// A list of durations that becomes a histogram when it grows.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    few: Vec<Duration>,
    many: Option<Latencies>,
}

impl Ended {
    pub(crate) fn of<A>(answer: &Result<A, CallError>) -> Self {
        match answer {
            Ok(_) => Outcome::Ok.into(),
            Err(error) => Self {
                outcome: error.outcome(),
                named: error.named(),
                reason: error.reason.clone(),
            },
        }
    }
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            named: None,
            reason: None,
        }
    }
}

impl Tally {
    /// Counts an event that ended after `attempts` attempts, the last of which took `latency`.
    pub(crate) fn ended(&mut self, ended: Ended, attempts: u32, latency: Option<Duration>) {
        self.by_outcome[ended.outcome as usize] += 1;
        if let Some(name) = ended.named {
            *self.named.entry(name).or_default() += 1;
        }
        if let Some(reason) = ended.reason {
            self.causes.entry(ended.outcome).or_insert(reason);
        }
        self.attempts += u64::from(attempts);
        let latencies = match ended.outcome {
            Outcome::Ok => &mut self.latency,
            _ => &mut self.failed_latency,
        };
        if let Some(latency) = latency {
            latencies.record(latency);
        }
    }

    /// Counts events that were missed after so many attempts in all.
    pub(crate) fn missed(&mut self, events: u64, attempts: u64) {
        if events > 0 {
            self.by_outcome[Outcome::Missed as usize] += events;
            let error = CallError::missed();
            self.causes
                .extend(error.reason.map(|reason| (Outcome::Missed, reason)));
        }
        self.attempts += attempts;
    }

    /// Number of events by the program's names for their failure.
    pub(crate) fn named(&self) -> BTreeMap<String, u64> {
        let counts = self.named.iter();
        counts.map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    /// Number of events by outcome, without outcomes that did not occur.
    pub(crate) fn outcomes(&self) -> OutcomeCounts {
        let counts = Outcome::ALL.iter().copied().zip(self.by_outcome);
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

impl Durations {
    pub(crate) fn record(&mut self, duration: Duration) {
        match &mut self.many {
            Some(many) => many.record(duration),
            None => self.few.push(duration),
        }
        if self.few.len() == FEW {
            self.many = Some(std::mem::take(self).latencies());
        }
    }

    pub(crate) fn latencies(self) -> Latencies {
        let mut latencies = self.many.unwrap_or_default();
        for duration in self.few {
            latencies.record(duration);
        }
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_durations_are_all_counted() {
        for count in [0, 1, FEW as u64 - 1, FEW as u64, FEW as u64 + 1, 1_000] {
            let mut durations = Durations::default();
            (1..=count).for_each(|micros| durations.record(Duration::from_micros(micros)));
            let latencies = durations.latencies();
            assert_eq!(latencies.count(), count);
            assert_eq!(
                latencies.max(),
                (count > 0).then_some(Duration::from_micros(count))
            );
        }
    }

    #[test]
    fn outcomes_that_did_not_occur_are_absent() {
        let mut tally = Tally::default();
        tally.ended(Outcome::Ok.into(), 1, None);
        tally.ended(Outcome::Timeout.into(), 3, None);
        assert_eq!(
            tally.outcomes(),
            OutcomeCounts::from([(Outcome::Ok, 1), (Outcome::Timeout, 1)])
        );
        assert_eq!(tally.attempts, 4);
    }

    #[test]
    fn latencies_of_failed_calls_are_kept_apart() {
        let mut tally = Tally::default();
        let millis = Duration::from_millis;
        tally.ended(Outcome::Ok.into(), 1, Some(millis(3)));
        tally.ended(Outcome::Ok.into(), 2, Some(millis(5)));
        tally.ended(Outcome::Broken.into(), 1, Some(millis(1)));
        let (ok, failed) = (tally.latency.latencies(), tally.failed_latency.latencies());
        assert_eq!((ok.count(), failed.count()), (2, 1));
        assert!(ok.max() >= Some(millis(5)) && failed.max() < Some(millis(2)));
    }

    #[test]
    fn the_first_cause_of_each_outcome_is_kept() {
        let mut tally = Tally::default();
        for cause in ["first", "second"] {
            let failed: Result<(), _> = Err(CallError::from(Outcome::Broken).because(cause));
            tally.ended(Ended::of(&failed), 1, None);
        }
        tally.ended(Outcome::Timeout.into(), 1, None);
        assert_eq!(tally.causes, BTreeMap::from([(Outcome::Broken, "first".into())]));
    }
}
