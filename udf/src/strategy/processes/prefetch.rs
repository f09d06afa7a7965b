//! The calls that a child has before it needs them. Without, a child that makes short calls stands still from each
//! answer until this process, which competes with it for a core, has handed over the next event.
//!
//! Beside pynumaflow's in the same run, http, delay 0, two children: 16.6 times its events per second without, 23 times
//! with. Close tail of 1,000 computed events of 1 ms on two cores, by arithmetic 500 ms: 557 ms without, 524 ms with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::backlog::{Backlog, Reserved};

/// How much work a child may have ahead, which waits for it even if another becomes free meanwhile: about as long as
/// this process may have to wait for a core on which others compute.
const AHEAD: Duration = Duration::from_millis(5);

/// Most calls ahead.
const MOST_AHEAD: u128 = 64;

/// How long a child's calls took lately, the latest counting most; nothing before the first.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<Duration>);

/// What a child has ahead, in the order of its calls.
pub(super) struct Ahead<'a>(VecDeque<Reserved<'a>>);

impl Pace {
    pub(super) fn record(&mut self, took: Duration) {
        self.0 = Some(self.0.map_or(took, |pace| (pace * 3 + took) / 4));
    }

    /// How many calls the child may have ahead.
    fn most_ahead(&self) -> usize {
        let calls = self.0.map_or(0, |pace| AHEAD.as_nanos() / pace.as_nanos().max(1));
        calls.min(MOST_AHEAD) as usize
    }
}

impl<'a> Ahead<'a> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Reserves as many events as a child of this pace may have.
    pub(super) fn fill(&mut self, backlog: &'a Arc<Backlog>, pace: &Pace) {
        let most = pace.most_ahead();
        // By halves, so that there is one write for some calls.
        if self.0.len() <= most / 2 {
            let room = most - self.0.len();
            self.0.extend(std::iter::from_fn(|| backlog.reserve()).take(room));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Reserved<'a>> {
        self.0.iter()
    }

    /// The next call.
    pub(super) fn pop(&mut self) -> Option<Reserved<'a>> {
        self.0.pop_front()
    }

    /// Gives all back, the last first, as each becomes the next of its key.
    pub(super) fn release(&mut self) {
        self.0.drain(..).rev().for_each(Reserved::release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::millis;

    #[test]
    fn a_child_has_five_milliseconds_of_calls_ahead_and_no_more_than_64() {
        for (took, most) in [
            (Duration::ZERO, 64),
            (Duration::from_micros(1), 64),
            (Duration::from_micros(100), 50),
            (millis(1), 5),
            (millis(5), 1),
            (millis(6), 0),
            (Duration::MAX / 4, 0),
        ] {
            let mut pace = Pace::default();
            assert_eq!(pace.most_ahead(), 0, "nothing is known before the first call");
            pace.record(took);
            assert_eq!(pace.most_ahead(), most, "{took:?}");
        }
    }

    #[test]
    fn the_latest_calls_count_most() {
        let mut pace = Pace::default();
        pace.record(millis(1));
        pace.record(millis(9));
        assert_eq!(pace.0, Some(millis(3)));
        (0..20).for_each(|_| pace.record(millis(9)));
        assert_eq!(pace.most_ahead(), 0);
    }
}
