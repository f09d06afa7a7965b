//! What the generator knows: which event is next, which are un-acked, which were put back, and what was
//! counted. Plain data with the time passed in; its lock is held for one event at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::{GeneratorStats, Latencies};

use crate::keys::Keys;
use crate::schedule::{Rate, first_due_ns};
use crate::windows::SentWindows;

/// Events that may be un-acked or put back at once; at the bound no new event is sent until one is acked.
/// About 50 bytes each.
pub const MAX_UNACKED: usize = 1_000_000;

/// An event sent later than this after it was due is overdue.
pub const OVERDUE: Duration = Duration::from_millis(1);

/// An event that has been given its key and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Number among all events.
    pub index: u64,
    /// Its key.
    pub key: u32,
    /// Number within the key.
    pub number: u64,
    /// Event time, nanoseconds since the Unix epoch.
    pub time_ns: u64,
}

/// What a read can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send this event: it counts as sent.
    Send(Drawn),
    /// The next event is due then, in nanoseconds since the Unix epoch.
    DueAt(u64),
    /// [`MAX_UNACKED`] events are un-acked.
    Full,
    /// All events have been sent.
    Finished,
}

/// Counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Events due.
    pub offered: u64,
    /// Events sent at least once.
    pub sent: u64,
    /// Events acknowledged.
    pub acked: u64,
    /// Times an event was put back.
    pub nacked: u64,
    /// Events sent later than [`OVERDUE`].
    pub overdue: u64,
    /// Events that could be read now; nothing where there is no end to them.
    pub pending: Option<u64>,
}

/// What decides which events there are.
#[derive(Debug)]
pub struct Plan {
    /// Events per second; without it every read is filled at once.
    pub rate: Option<Rate>,
    /// Number of events; without it there is no end.
    pub count: Option<u64>,
    /// Event 0 is due at a multiple of this.
    pub align: Option<Duration>,
}

/// The generator's state.
#[derive(Debug)]
pub struct State {
    plan: Plan,
    keys: Keys,
    t0_ns: Option<u64>,
    sent: u64,
    acked: u64,
    nacked: u64,
    overdue: u64,
    lateness: Latencies,
    unacked: BTreeMap<u64, Drawn>,
    put_back: BTreeMap<u64, Drawn>,
    windows: SentWindows,
}

impl State {
    /// Nothing sent yet; the schedule begins with the first read. `window` is the length of the windows by
    /// which sent events are told.
    pub fn new(plan: Plan, keys: Keys, window: Duration) -> Self {
        Self {
            plan,
            keys,
            t0_ns: None,
            sent: 0,
            acked: 0,
            nacked: 0,
            overdue: 0,
            lateness: Latencies::new(),
            unacked: BTreeMap::new(),
            put_back: BTreeMap::new(),
            windows: SentWindows::new(window),
        }
    }

    /// The next event for a reader, now being `now_ns`: put back ones first, then new ones that were due by
    /// `due_by_ns`, which must not lie after now.
    pub fn next(&mut self, now_ns: u64, due_by_ns: u64) -> Next {
        let t0_ns = *self.t0_ns.get_or_insert_with(|| match self.plan.rate {
            Some(_) => first_due_ns(now_ns, self.plan.align),
            None => now_ns,
        });
        if let Some((index, drawn)) = self.put_back.pop_first() {
            self.unacked.insert(index, drawn);
            return Next::Send(drawn);
        }
        let index = self.sent;
        if self.plan.count.is_some_and(|count| index >= count) {
            return Next::Finished;
        }
        if self.unacked.len() >= MAX_UNACKED {
            return Next::Full;
        }
        let time_ns = match self.plan.rate {
            Some(rate) => t0_ns.saturating_add(rate.due_after_ns(index)),
            None => due_by_ns,
        };
        if time_ns > due_by_ns {
            return Next::DueAt(time_ns);
        }
        if self.plan.rate.is_some() {
            let late = Duration::from_nanos(now_ns.saturating_sub(time_ns));
            self.lateness.record(late);
            self.overdue += u64::from(late > OVERDUE);
        }
        let (key, number) = self.keys.deal(index);
        let drawn = Drawn {
            index,
            key,
            number,
            time_ns,
        };
        self.windows.record(&drawn);
        self.unacked.insert(index, drawn);
        self.sent += 1;
        Next::Send(drawn)
    }

    /// Forgets an event; false where it was neither un-acked nor put back.
    pub fn ack(&mut self, index: u64) -> bool {
        let known = self
            .unacked
            .remove(&index)
            .or_else(|| self.put_back.remove(&index))
            .is_some();
        self.acked += u64::from(known);
        known
    }

    /// Puts an un-acked event back, to be sent again before new ones; false where it was not un-acked.
    pub fn nack(&mut self, index: u64) -> bool {
        let Some(drawn) = self.unacked.remove(&index) else {
            return false;
        };
        self.put_back.insert(index, drawn);
        self.nacked += 1;
        true
    }

    /// The counters, now being `now_ns`.
    pub fn counts(&self, now_ns: u64) -> Counts {
        let offered = match (self.plan.rate, self.t0_ns) {
            (Some(rate), Some(t0_ns)) if now_ns >= t0_ns => rate
                .due_by(now_ns - t0_ns)
                .min(self.plan.count.unwrap_or(u64::MAX)),
            (Some(_), _) => 0,
            (None, _) => self.sent,
        };
        let unsent = match self.plan.rate {
            Some(_) => Some(offered.saturating_sub(self.sent)),
            None => self.plan.count.map(|count| count - self.sent),
        };
        Counts {
            offered,
            sent: self.sent,
            acked: self.acked,
            nacked: self.nacked,
            overdue: self.overdue,
            pending: unsent.map(|unsent| unsent + self.put_back.len() as u64),
        }
    }

    /// Everything that is told at `/stats`.
    pub fn stats(&self, generator: u64, now_ns: u64) -> GeneratorStats {
        let counts = self.counts(now_ns);
        GeneratorStats {
            generator,
            t0_us: self.t0_ns.map(|t0_ns| t0_ns / 1_000),
            now_us: now_ns / 1_000,
            offered: counts.offered,
            sent: counts.sent,
            acked: counts.acked,
            nacked: counts.nacked,
            overdue: counts.overdue,
            lateness: self.lateness.clone(),
            windows: self.windows.told(&self.keys),
        }
    }

    /// The name of a key.
    pub fn key_name(&self, key: u32) -> &str {
        self.keys.name(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    const SECOND: u64 = 1_000_000_000;

    fn state(rpu: Option<u32>, count: Option<u64>) -> State {
        let rate = rpu.map(|rpu| Rate(NonZeroU32::new(rpu).unwrap()));
        let keys = Keys::new(NonZeroU32::new(2).unwrap(), 0.0, 0);
        State::new(
            Plan {
                rate,
                count,
                align: None,
            },
            keys,
            Duration::from_secs(10),
        )
    }

    fn sent(state: &mut State, now_ns: u64) -> Vec<u64> {
        std::iter::from_fn(|| match state.next(now_ns, now_ns) {
            Next::Send(drawn) => Some(drawn.index),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn a_reader_that_stalls_gets_everything_late_and_counted() {
        let mut state = state(Some(10), None);
        let t0 = 1_000 * SECOND;
        assert_eq!(sent(&mut state, t0), [0]);
        assert_eq!(state.next(t0, t0), Next::DueAt(t0 + SECOND / 10));
        assert_eq!(state.counts(t0 + SECOND).pending, Some(10));
        assert_eq!(sent(&mut state, t0 + SECOND), (1..=10).collect::<Vec<_>>());
        let counts = state.counts(t0 + SECOND);
        assert_eq!(
            (counts.offered, counts.sent, counts.overdue),
            (11, 11, 9),
            "the last was on time"
        );
        assert_eq!(counts.pending, Some(0), "events of the future are not pending");
    }

    #[test]
    fn put_back_events_come_first_and_as_they_were() {
        let mut state = state(Some(1_000), Some(5));
        let first: Vec<Next> = (0..5).map(|_| state.next(SECOND, SECOND)).take(1).collect();
        assert_eq!(sent(&mut state, 2 * SECOND), [1, 2, 3, 4]);
        assert!(state.ack(2) && !state.ack(2) && !state.ack(17));
        assert!(state.nack(3) && state.nack(0) && !state.nack(3) && !state.nack(2));
        assert_eq!(state.counts(2 * SECOND).pending, Some(2));
        assert_eq!(state.next(3 * SECOND, 3 * SECOND), first[0]);
        assert!(state.ack(3), "an ack of a put back event is an ack");
        assert_eq!(state.next(3 * SECOND, 3 * SECOND), Next::Finished);
        let counts = state.counts(3 * SECOND);
        assert_eq!(
            (counts.sent, counts.acked, counts.nacked, counts.pending),
            (5, 2, 2, Some(0))
        );
    }

    #[test]
    fn at_the_bound_nothing_new_is_sent_until_an_ack() {
        let mut state = state(None, None);
        assert_eq!(sent(&mut state, SECOND).len(), MAX_UNACKED);
        assert_eq!(state.next(SECOND, SECOND), Next::Full);
        assert!(state.nack(5));
        assert!(matches!(state.next(SECOND, SECOND), Next::Send(drawn) if drawn.index == 5));
        assert_eq!(state.next(SECOND, SECOND), Next::Full);
        assert!(state.ack(5));
        assert!(matches!(state.next(SECOND, SECOND), Next::Send(drawn) if drawn.index == MAX_UNACKED as u64));
        assert_eq!(state.counts(SECOND).pending, None, "there is no end to them");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_early(rpu in 1u32..5_000, steps in proptest::collection::vec((0u64..300_000_000, 0u8..4), 1..40)) {
            let mut state = state(Some(rpu), Some(200));
            let mut now = 1_000 * SECOND;
            let (mut open, mut acked) = (std::collections::BTreeSet::new(), 0u64);
            for (wait, deed) in steps {
                now += wait;
                for _ in 0..20 {
                    if let Next::Send(drawn) = state.next(now, now) {
                        prop_assert!(drawn.time_ns <= now);
                        prop_assert!(open.insert(drawn.index));
                    }
                }
                for index in open.iter().copied().step_by(2).collect::<Vec<u64>>() {
                    if deed == 1 {
                        prop_assert!(state.ack(index));
                        acked += 1;
                    } else if deed == 2 {
                        prop_assert!(state.nack(index));
                    }
                    if deed == 1 || deed == 2 {
                        open.remove(&index);
                    }
                }
                let counts = state.counts(now);
                prop_assert_eq!(counts.acked, acked);
                prop_assert_eq!(counts.sent + counts.pending.unwrap_or(0), counts.offered + state.put_back.len() as u64);
                prop_assert_eq!(counts.sent, counts.acked + (state.unacked.len() + state.put_back.len()) as u64);
            }
        }
    }
}
