//! The state of the generator: the next event, the events that are un-acked or put back, and the counters. Plain data
//! with the time passed in; its lock is held for a few events at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::{GeneratorStats, Keys, Latencies, Rate};

use crate::event::Drawn;
use crate::schedule::first_due_ns;
use crate::windows::SentWindows;

/// Upper bound of events that are un-acked or put back, about 50 bytes each. At the bound no new event is sent until one
/// is acked.
pub const MAX_UNACKED: usize = 1_000_000;

/// An event sent later than this after it was due is overdue.
pub const OVERDUE: Duration = Duration::from_millis(1);

/// What a read does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send this event: it counts as sent.
    Send(Drawn),
    /// Wait: the next event is due at this time, in nanoseconds since the Unix epoch.
    DueAt(u64),
    /// [`MAX_UNACKED`] events are un-acked.
    Full,
    /// The schedule waits for [`State::start`].
    Held,
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
    /// Events that could be read now; `None` if their number is unlimited.
    pub pending: Option<u64>,
}

/// Which events there are, and when.
#[derive(Debug)]
pub struct Plan {
    /// Events per second; `None` fills every read at once.
    pub rate: Option<Rate>,
    /// Number of events; `None` for no end.
    pub count: Option<u64>,
    /// Event 0 is due at a multiple of this duration.
    pub align: Option<Duration>,
    /// The schedule begins with the first read after [`State::start`], instead of the first read.
    pub hold: bool,
}

/// The state of the generator.
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
    /// Creates a state with nothing sent. The schedule begins with the first read, or waits for [`State::start`].
    /// `window` is the length of the windows by which sent events are reported.
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

    /// Lets a schedule that waits begin with the next read. Has no effect on one that has begun.
    pub fn start(&mut self) {
        self.plan.hold = false;
    }

    /// Returns the next event for a reader at `now_ns`: events that were put back first, then new events that were due by
    /// `due_by_ns`, which must not be after `now_ns`.
    pub fn next(&mut self, now_ns: u64, due_by_ns: u64) -> Next {
        if self.plan.hold {
            return Next::Held;
        }
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
        let (key, number) = self.keys.assign(index);
        let drawn = Drawn {
            index,
            key,
            number,
            time_ns,
        };
        self.windows.record(&drawn, &self.keys);
        self.unacked.insert(index, drawn);
        self.sent += 1;
        Next::Send(drawn)
    }

    /// Removes an event. Returns `false` if it was neither un-acked nor put back.
    pub fn ack(&mut self, index: u64) -> bool {
        let known = self
            .unacked
            .remove(&index)
            .or_else(|| self.put_back.remove(&index))
            .is_some();
        self.acked += u64::from(known);
        known
    }

    /// Puts an un-acked event back, to be sent again before new ones. Returns `false` if it was not un-acked.
    pub fn nack(&mut self, index: u64) -> bool {
        let Some(drawn) = self.unacked.remove(&index) else {
            return false;
        };
        self.put_back.insert(index, drawn);
        self.nacked += 1;
        true
    }

    /// The counters at `now_ns`.
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
            None if self.plan.hold => Some(0),
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

    /// The body of `/stats`.
    pub fn stats(&self, generator: u64, now_ns: u64) -> GeneratorStats {
        let counts = self.counts(now_ns);
        GeneratorStats {
            generator,
            t0_us: self.t0_ns.map(|t0_ns| t0_ns / 1_000),
            t0_ns: self.plan.rate.and(self.t0_ns),
            now_us: now_ns / 1_000,
            offered: counts.offered,
            sent: counts.sent,
            acked: counts.acked,
            nacked: counts.nacked,
            overdue: counts.overdue,
            lateness: self.lateness.clone(),
            windows: self.windows.sent(&self.keys),
        }
    }

    /// The name of a key.
    pub fn key_name(&self, key: u32) -> &str {
        self.keys.name(key)
    }
}

#[cfg(test)]
mod tests;
