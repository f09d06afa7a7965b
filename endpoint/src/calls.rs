//! Counts, latencies and idempotency keys of the endpoint's calls. Each change takes one short lock; memory is
//! bounded for any number of callers and any running time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::{DelayStats, EndpointStats, Latencies, Ranges};

use crate::failure::Failure;

/// Generators whose idempotency keys are remembered; one more replaces the generator that has been silent longest.
pub const MAX_GENERATORS: usize = 64;

/// Ranges remembered per generator (16 bytes each); beyond them, a number that extends no range is not remembered.
pub const MAX_RANGES: usize = 65_536;

#[derive(Debug, Default)]
pub struct Calls {
    counted: Mutex<CallCounts>,
}

/// All counts; more than [`EndpointStats`] reports.
#[derive(Debug, Clone, Default)]
pub struct CallCounts {
    /// Calls answered, including failures on purpose but not hanging calls.
    pub served: u64,
    /// Calls received and not yet answered, including those waiting for capacity.
    pub in_flight: u64,
    /// Highest number in flight at once.
    pub peak_in_flight: u64,
    /// Calls past the wait for capacity and not yet answered.
    pub in_service: u64,
    /// Highest number in service at once; never above the capacity.
    pub peak_in_service: u64,
    /// Calls whose client disconnected before the answer.
    pub abandoned: u64,
    /// Calls refused, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Idempotency keys that were not remembered because the bounds were reached.
    pub forgotten: u64,
    pub failures: BTreeMap<Failure, u64>,
    asked: Latencies,
    given: Latencies,
    excess: Latencies,
    generators: BTreeMap<u64, Called>,
    keys_seen: u64,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Its query is invalid.
    Query,
    /// It lacks the header that is required.
    Header,
    /// Its body is too long, breaks off, or lacks a value that its answer has.
    Body,
}

/// Calls of one generator.
#[derive(Debug, Clone, Default)]
struct Called {
    indices: Ranges,
    repeats: u64,
    /// [`CallCounts::keys_seen`] at its latest call.
    latest: u64,
}

/// A call in flight. Dropped before it is answered, it counts as abandoned.
#[derive(Debug)]
pub struct Call {
    calls: Arc<Calls>,
    arrived: Instant,
    served_from: Option<Instant>,
    answered: bool,
}

impl Refusal {
    pub const ALL: [Self; 3] = [Self::Query, Self::Header, Self::Body];

    /// Its name in `/metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Header => "header",
            Self::Body => "body",
        }
    }
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, CallCounts> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the arrival of a call. `key` is generator and index from its idempotency key. The call is in service
    /// immediately if `at_once`, else from [`Call::served_from`] on.
    pub fn arrived(self: &Arc<Self>, arrived: Instant, key: Option<(u64, u64)>, at_once: bool) -> Call {
        let mut counted = self.lock();
        counted.in_flight += 1;
        counted.peak_in_flight = counted.peak_in_flight.max(counted.in_flight);
        if let Some((generator, index)) = key {
            counted.remember(generator, index);
        }
        if at_once {
            counted.enter_service();
        }
        let served_from = at_once.then_some(arrived);
        Call {
            calls: Arc::clone(self),
            arrived,
            served_from,
            answered: false,
        }
    }

    pub fn refused(&self, reason: Refusal) {
        *self.lock().refused.entry(reason).or_default() += 1;
    }

    pub fn snapshot(&self) -> CallCounts {
        self.lock().clone()
    }
}

impl Call {
    /// The call's service, and with it its delay, begins.
    pub fn served_from(&mut self, start: Instant) {
        self.served_from = Some(start);
        self.calls.lock().enter_service();
    }

    /// The call will never be answered.
    pub fn hangs(&self) {
        *self.calls.lock().failures.entry(Failure::Hang).or_default() += 1;
    }

    /// The call is answered now, after the delay that it requested.
    pub fn answered(mut self, asked: Duration, failure: Option<Failure>) {
        let now = Instant::now();
        let service = now.duration_since(self.served_from.unwrap_or(self.arrived));
        self.answered = true;
        let mut counted = self.calls.lock();
        counted.leave(self.served_from.is_some());
        counted.served += 1;
        if let Some(failure) = failure {
            *counted.failures.entry(failure).or_default() += 1;
        }
        counted.asked.record(asked);
        counted.given.record(now.duration_since(self.arrived));
        counted.excess.record(service.saturating_sub(asked));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.answered {
            let mut counted = self.calls.lock();
            counted.leave(self.served_from.is_some());
            counted.abandoned += 1;
        }
    }
}

impl CallCounts {
    fn enter_service(&mut self) {
        self.in_service += 1;
        self.peak_in_service = self.peak_in_service.max(self.in_service);
    }

    fn leave(&mut self, service: bool) {
        self.in_flight -= 1;
        self.in_service -= u64::from(service);
    }

    fn remember(&mut self, generator: u64, index: u64) {
        if !self.generators.contains_key(&generator) && self.generators.len() >= MAX_GENERATORS {
            let silent = self
                .generators
                .iter()
                .min_by_key(|(_, called)| called.latest)
                .map(|(name, _)| *name);
            if let Some(called) = silent.and_then(|name| self.generators.remove(&name)) {
                self.forgotten += called.indices.len();
            }
        }
        self.keys_seen += 1;
        let called = self.generators.entry(generator).or_default();
        called.latest = self.keys_seen;
        let full = called.indices.parts().len() >= MAX_RANGES;
        if full && !called.indices.contains(index) {
            self.forgotten += 1;
        } else if !called.indices.insert(index) {
            called.repeats += 1;
        }
    }

    /// The counts as `/stats` reports them.
    pub fn stats(&self) -> EndpointStats {
        let count = |kind: &Failure| self.failures.get(kind).copied().unwrap_or_default();
        EndpointStats {
            served: self.served,
            in_flight: self.in_flight,
            peak_in_flight: self.peak_in_flight,
            failures: Failure::ALL
                .iter()
                .map(|kind| (kind.name().to_owned(), count(kind)))
                .collect(),
            abandoned: self.abandoned,
            refused: self.refused.values().sum(),
            repeats: self
                .generators
                .iter()
                .map(|(name, called)| (*name, called.repeats))
                .collect(),
            called: self
                .generators
                .iter()
                .map(|(name, called)| (*name, called.indices.clone()))
                .collect(),
            delay: DelayStats {
                asked: self.asked.clone(),
                given: self.given.clone(),
                excess: self.excess.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_in_flight_until_it_is_answered_or_dropped() {
        let calls = Arc::new(Calls::default());
        let now = Instant::now();
        let mut first = calls.arrived(now, None, false);
        let second = calls.arrived(now, None, false);
        first.served_from(now);
        let counted = calls.snapshot();
        assert_eq!((counted.in_flight, counted.in_service), (2, 1));
        first.answered(Duration::ZERO, Some(Failure::Status));
        drop(second);
        let counted = calls.snapshot();
        assert_eq!(
            (
                counted.in_flight,
                counted.in_service,
                counted.served,
                counted.abandoned
            ),
            (0, 0, 1, 1)
        );
        assert_eq!((counted.peak_in_flight, counted.peak_in_service), (2, 1));
        assert_eq!(counted.stats().failures["status"], 1);
        assert_eq!(counted.stats().delay.asked.count(), 1);
    }

    #[test]
    fn repeats_are_counted_by_generator_and_the_silent_one_is_forgotten() {
        let mut counted = CallCounts::default();
        for (generator, index) in [(1, 0), (1, 1), (1, 1), (2, 1), (1, 0)] {
            counted.remember(generator, index);
        }
        let stats = counted.stats();
        assert_eq!(stats.repeats, BTreeMap::from([(1, 2), (2, 0)]));
        assert_eq!(stats.called[&1], Ranges::span(0, 1));
        for generator in 3..=MAX_GENERATORS as u64 + 1 {
            counted.remember(generator, 0);
        }
        assert_eq!(counted.generators.len(), MAX_GENERATORS);
        assert!(!counted.generators.contains_key(&2), "1 called after 2");
        assert_eq!(counted.forgotten, 1);
    }

    #[test]
    fn numbers_full_of_holes_do_not_fill_the_memory() {
        let mut counted = CallCounts::default();
        (0..MAX_RANGES as u64 + 10).for_each(|i| counted.remember(1, i * 2));
        counted.remember(1, 0);
        assert_eq!(counted.generators[&1].indices.parts().len(), MAX_RANGES);
        assert_eq!((counted.forgotten, counted.generators[&1].repeats), (10, 1));
    }
}
