//! When event 0 of the schedule is due.

use std::time::Duration;

use wire::whole_nanos;

/// An aligned schedule begins no sooner than this after the first read, so that event 0 can be on time.
pub const LEAD: Duration = Duration::from_millis(100);

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

    proptest! {
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
