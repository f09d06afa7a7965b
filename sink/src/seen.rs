//! Which windows and keys have been written: the last ones, so that memory is bounded.

use std::collections::{HashSet, VecDeque};

/// Pairs of window and key that are remembered; a repetition that comes later than that many is not marked.
pub const REMEMBERED: usize = 100_000;

/// A window and key: the end of the window in milliseconds since the epoch, and the keys.
pub type WindowKey = (i64, Vec<String>);

/// The last [`REMEMBERED`] windows and keys.
#[derive(Debug, Default)]
pub struct Seen {
    known: HashSet<WindowKey>,
    order: VecDeque<WindowKey>,
}

impl Seen {
    /// Whether it is among those remembered.
    pub fn contains(&self, window_key: &WindowKey) -> bool {
        self.known.contains(window_key)
    }

    /// Remembers one; the oldest is forgotten at the bound.
    pub fn insert(&mut self, window_key: WindowKey) {
        if !self.known.insert(window_key.clone()) {
            return;
        }
        self.order.push_back(window_key);
        if self.order.len() > REMEMBERED
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
    fn the_oldest_is_forgotten_at_the_bound() {
        let mut seen = Seen::default();
        let window_key = |end: usize| (end as i64, vec!["key-0".to_owned()]);
        for end in 0..=REMEMBERED {
            seen.insert(window_key(end));
            seen.insert(window_key(end));
        }
        assert!(!seen.contains(&window_key(0)));
        assert!(seen.contains(&window_key(1)) && seen.contains(&window_key(REMEMBERED)));
        assert_eq!((seen.known.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
    }
}
