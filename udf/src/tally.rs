//! What came of the calls of one window and key.

use std::time::Duration;

use wire::{Latencies, Outcome, OutcomeCounts};

/// So many durations are kept one by one: a key with few events needs no histogram of 16 KiB while its window is open.
const FEW: usize = 64;

/// Counts of outcomes and times of calls.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// In the order of [`Outcome::ALL`].
    by_outcome: [u64; Outcome::ALL.len()],
    /// Attempts made.
    pub(crate) attempts: u64,
    /// Time of every event's last attempt.
    pub(crate) latency: Durations,
    /// Time from when a call might begin to its first slot.
    pub(crate) slot_wait: Durations,
    /// Highest number of calls in flight at once.
    pub(crate) peak_in_flight: u64,
}

/// Durations that become a histogram once they are many.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    few: Vec<Duration>,
    many: Option<Latencies>,
}

impl Tally {
    /// Counts an event that ended so after so many attempts, the last of which took `latency`.
    pub(crate) fn ended(&mut self, outcome: Outcome, attempts: u32, latency: Option<Duration>) {
        self.by_outcome[outcome as usize] += 1;
        self.attempts += u64::from(attempts);
        if let Some(latency) = latency {
            self.latency.record(latency);
        }
    }

    /// Events by how their call ended; outcomes that did not occur are absent.
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
        tally.ended(Outcome::Ok, 1, None);
        tally.ended(Outcome::Timeout, 3, None);
        assert_eq!(
            tally.outcomes(),
            OutcomeCounts::from([(Outcome::Ok, 1), (Outcome::Timeout, 1)])
        );
        assert_eq!(tally.attempts, 4);
    }
}
