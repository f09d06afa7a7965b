//! When each event is due: an open-loop schedule, computed from the event's index alone in whole nanoseconds, so that it
//! neither drifts nor slows down for the reader.

use std::num::NonZeroU64;
use std::time::Duration;

use wire::whole_nanos;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// An aligned schedule begins no sooner than this after the first read, so that event 0 can be on time.
pub const LEAD: Duration = Duration::from_millis(100);

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
}

/// When event 0 is due, in nanoseconds since the Unix epoch: now, or with `align` at its first multiple that is at least
/// [`LEAD`] away.
pub fn first_due_ns(now_ns: u64, align: Option<Duration>) -> u64 {
    match align.map(whole_nanos).filter(|align_ns| *align_ns > 0) {
        None => now_ns,
        Some(align_ns) => now_ns
            .saturating_add(whole_nanos(LEAD))
            .div_ceil(align_ns)
            .saturating_mul(align_ns),
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
        fn an_aligned_start_is_a_multiple_in_reach(now in 0u64..4_000_000_000_000_000_000, align_ms in 1u64..100_000) {
            let first = first_due_ns(now, Some(Duration::from_millis(align_ms)));
            prop_assert_eq!(first % (align_ms * 1_000_000), 0);
            prop_assert!(first >= now + 100_000_000);
            prop_assert!(first < now + 100_000_000 + align_ms * 1_000_000);
        }
    }

    #[test]
    fn without_alignment_the_first_event_is_due_at_once() {
        assert_eq!(first_due_ns(17, None), 17);
        assert_eq!(first_due_ns(17, Some(Duration::ZERO)), 17);
    }
}
