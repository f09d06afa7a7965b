//! The last windows and keys that have been written; a bounded number, so that memory is bounded.

use std::collections::{HashSet, VecDeque};

/// Number of pairs of window and key that are kept. A repetition after more pairs than that is not marked.
pub const CAPACITY: usize = 100_000;

/// A window and key: the end of the window in milliseconds since the epoch, and the keys; and whether it is of a record.
/// A window may send its record beside results of its own.
pub type WindowKey = (i64, Vec<String>, bool);

/// The last [`CAPACITY`] windows and keys.
#[derive(Debug, Default)]
pub struct Seen {
    known: HashSet<WindowKey>,
    order: VecDeque<WindowKey>,
}

impl Seen {
    /// Whether the pair is among those kept.
    pub fn contains(&self, window_key: &WindowKey) -> bool {
        self.known.contains(window_key)
    }

    /// Adds a pair and drops the oldest beyond the bound.
    pub fn insert(&mut self, window_key: WindowKey) {
        if !self.known.insert(window_key.clone()) {
            return;
        }
        self.order.push_back(window_key);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_dropped_at_the_bound() {
        let mut seen = Seen::default();
        let window_key = |end: usize| (end as i64, vec!["key-0".to_owned()], true);
        for end in 0..=CAPACITY {
            seen.insert(window_key(end));
            seen.insert(window_key(end));
        }
        assert!(!seen.contains(&window_key(0)));
        assert!(seen.contains(&window_key(1)) && seen.contains(&window_key(CAPACITY)));
        assert_eq!((seen.known.len(), seen.order.len()), (CAPACITY, CAPACITY));
    }
}
