//! When each event is due: an open-loop schedule, computed from the event's index alone in whole nanoseconds, so that it
//! neither drifts nor slows down for the reader, and so that an event is found again by its time.

use std::num::NonZeroU64;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Events per second (RPU). Event *i* is due *i* / rate seconds after event 0, rounded down to a nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub NonZeroU64);

impl Rate {
    /// When event `index` is due, in nanoseconds after event 0; saturates at `u64::MAX`.
    pub fn due_after_ns(self, index: u64) -> u64 {
        // Up to event 18 billion the product fits, and a 64-bit division is faster.
        if let Some(nanos) = index.checked_mul(NANOS_PER_SECOND as u64) {
            return nanos / self.0.get();
        }
        let nanos = u128::from(index) * NANOS_PER_SECOND / u128::from(self.0.get());
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// Number of events due `elapsed_ns` nanoseconds after event 0, including event 0.
    pub fn due_by(self, elapsed_ns: u64) -> u64 {
        let events = (u128::from(elapsed_ns) + 1) * u128::from(self.0.get());
        u64::try_from(events.div_ceil(NANOS_PER_SECOND)).unwrap_or(u64::MAX)
    }

    /// The index of the event that is due exactly then, in nanoseconds after event 0; `None` between two events. No other
    /// is due then at rates up to one event a nanosecond.
    pub fn index_due_after_ns(self, elapsed_ns: u64) -> Option<u64> {
        let index = self.due_by(elapsed_ns) - 1;
        (self.due_after_ns(index) == elapsed_ns).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(rpu: u64) -> Rate {
        Rate(NonZeroU64::new(rpu).unwrap())
    }

    proptest! {
        #[test]
        fn an_event_is_due_from_its_due_time_on(rpu in 1u64..=1_000_000, index in 0u64..10_000_000_000) {
            let (rate, due) = (rate(rpu), rate(rpu).due_after_ns(index));
            prop_assert!(rate.due_by(due) > index);
            if due > 0 {
                prop_assert!(rate.due_by(due - 1) <= index);
            }
        }

        #[test]
        fn the_count_is_the_number_of_due_times_passed(rpu in 1u64..=1_000_000, elapsed in 0u64..2_000_000) {
            let rate = rate(rpu);
            let counted = (0..).take_while(|index| rate.due_after_ns(*index) <= elapsed).count() as u64;
            prop_assert_eq!(rate.due_by(elapsed), counted);
        }

        #[test]
        fn no_drift_every_second_has_exactly_rpu_events(rpu in 1u64..=1_000_000, second in 0u64..1_000_000_000) {
            let rate = rate(rpu);
            prop_assert_eq!(rate.due_after_ns(second * rpu), second * 1_000_000_000);
            prop_assert_eq!(rate.due_by(second * 1_000_000_000), second * rpu + 1);
        }

        #[test]
        fn due_times_never_go_back(rpu in 1u64..=1_000_000, index: u64) {
            let rate = rate(rpu);
            prop_assert!(rate.due_after_ns(index) <= rate.due_after_ns(index.saturating_add(1)));
            let all = (u128::from(u64::MAX) + 1) * u128::from(rpu);
            prop_assert_eq!(u128::from(rate.due_by(u64::MAX)), all.div_ceil(NANOS_PER_SECOND));
        }

        #[test]
        fn an_event_is_found_by_its_due_time_and_none_between_two(rpu in 1u64..=1_000_000, index in 0u64..10_000_000_000, off in 1u64..1_000) {
            let rate = rate(rpu);
            let due = rate.due_after_ns(index);
            prop_assert_eq!(rate.index_due_after_ns(due), Some(index));
            // Two events are at least a microsecond apart.
            prop_assert_eq!(rate.index_due_after_ns(due + off), (due + off == rate.due_after_ns(index + 1)).then_some(index + 1));
        }
    }
}
