//! The events that were sent, by window of their event time and by key: the left side of the ledger. Memory is bounded;
//! the oldest windows are removed first.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wire::{Keys, Ranges, SentWindow};

use crate::event::Drawn;

/// Upper bound of windows kept.
const MAX_WINDOWS: usize = 1_000;
/// Upper bound of pairs of window and key over all windows but the newest; about 40 bytes each.
const MAX_PAIRS: usize = 1_000_000;

/// First and last number by key.
type Spans = BTreeMap<u32, (u64, u64)>;

/// Events sent, by window and key. Events come in the order of their time and numbers, so those of a window
/// and key are one range.
#[derive(Debug)]
pub struct SentWindows {
    length_ms: u64,
    /// By window, oldest first: its start and what was sent.
    windows: VecDeque<(u64, Spans)>,
    pairs: usize,
}

impl SentWindows {
    /// Creates an empty set of windows of this length, at least a millisecond.
    pub fn new(length: Duration) -> Self {
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            length_ms,
            windows: VecDeque::new(),
            pairs: 0,
        }
    }

    /// Records an event that is sent for the first time, under the key that the reduce sees.
    pub fn record(&mut self, drawn: &Drawn, keys: &Keys) {
        let time_ms = drawn.time_ns / 1_000_000;
        let start_ms = time_ms - time_ms % self.length_ms;
        if self.windows.back().is_none_or(|(newest, _)| *newest < start_ms) {
            self.remove_oldest();
            self.windows.push_back((start_ms, BTreeMap::new()));
        }
        if let Some((_, spans)) = self.windows.back_mut() {
            let pairs = &mut self.pairs;
            let (_, last) = spans.entry(keys.of_reduce(drawn.key)).or_insert_with(|| {
                *pairs += 1;
                (drawn.number, drawn.number)
            });
            *last = drawn.number;
        }
    }

    fn remove_oldest(&mut self) {
        while self.windows.len() >= MAX_WINDOWS || self.pairs > MAX_PAIRS {
            let Some((_, keys)) = self.windows.pop_front() else {
                return;
            };
            self.pairs -= keys.len();
        }
    }

    /// The windows as `/stats` reports them, oldest first.
    pub fn sent(&self, keys: &Keys) -> Vec<SentWindow> {
        let numbers = |by_key: &Spans| {
            by_key
                .iter()
                .map(|(key, (first, last))| (keys.reduce_name(*key).to_owned(), Ranges::span(*first, *last)))
                .collect()
        };
        self.windows
            .iter()
            .map(|(start_ms, by_key)| SentWindow {
                window_start_ms: *start_ms,
                numbers: numbers(by_key),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    #[test]
    fn events_are_reported_by_window_and_the_oldest_windows_are_removed() {
        let mut keys = Keys::new(NonZeroU64::new(2).unwrap(), 0.0, 0, true);
        let mut windows = SentWindows::new(Duration::from_secs(10));
        for index in 0..4_040u64 {
            let (key, number) = keys.assign(index);
            // Four events per window, beginning at 1,000 s.
            let drawn = Drawn {
                index,
                key,
                number,
                time_ns: (1_000_000 + index * 2_500) * 1_000_000,
            };
            windows.record(&drawn, &keys);
        }
        let sent = windows.sent(&keys);
        assert_eq!(sent.len(), MAX_WINDOWS);
        assert_eq!(sent[0].window_start_ms, 1_000_000 + 10 * 10_000);
        assert_eq!(sent[0].numbers.get("key-1").unwrap().to_string(), "20-21");
        assert_eq!(
            sent[MAX_WINDOWS - 1].numbers.get("key-0").unwrap().to_string(),
            "2018-2019"
        );
        assert_eq!(windows.pairs, 2 * MAX_WINDOWS);
    }

    #[test]
    fn an_unkeyed_reduce_has_one_range_for_each_window() {
        let mut keys = Keys::new(NonZeroU64::new(3).unwrap(), 0.0, 0, false);
        let mut windows = SentWindows::new(Duration::from_secs(1));
        for index in 0..25u64 {
            let (key, number) = keys.assign(index);
            let drawn = Drawn {
                index,
                key,
                number,
                time_ns: index * 100_000_000,
            };
            windows.record(&drawn, &keys);
        }
        let sent: Vec<String> = windows
            .sent(&keys)
            .iter()
            .map(|window| format!("{:?}", window.numbers.iter().collect::<Vec<_>>()))
            .collect();
        let of = |first, last| format!("{:?}", [(wire::UNKEYED, Ranges::span(first, last))]);
        assert_eq!(sent, [of(0, 9), of(10, 19), of(20, 24)]);
    }
}
