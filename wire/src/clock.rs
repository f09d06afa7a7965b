//! A process's clock: wall time at its start, monotonic from there on, so that a stamp can be compared
//! with other processes' and the difference of two stamps is a true duration even if the wall clock is set.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Stamps in microseconds since the Unix epoch that never go back within a process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall_at_start: Duration,
    start: Instant,
}

impl Clock {
    /// Reads both clocks once.
    #[expect(
        clippy::disallowed_methods,
        reason = "once, so that stamps can be compared with other processes'"
    )]
    pub fn start() -> Self {
        let wall_at_start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::anchored(wall_at_start, Instant::now())
    }

    /// A clock that showed `wall_at_start` since the epoch at `start`.
    pub fn anchored(wall_at_start: Duration, start: Instant) -> Self {
        Self { wall_at_start, start }
    }

    /// Now, in microseconds since the Unix epoch.
    pub fn now_us(&self) -> u64 {
        self.stamp_us(Instant::now())
    }

    /// The stamp of an instant, in microseconds since the Unix epoch.
    pub fn stamp_us(&self, at: Instant) -> u64 {
        let since_start = at.saturating_duration_since(self.start);
        let before_start = self.start.saturating_duration_since(at);
        let wall = (self.wall_at_start + since_start).saturating_sub(before_start);
        u64::try_from(wall.as_micros()).unwrap_or(u64::MAX)
    }

    /// The instant of a stamp; the earliest representable where the stamp lies before.
    pub fn instant(&self, stamp_us: u64) -> Instant {
        let stamp = Duration::from_micros(stamp_us);
        match stamp.checked_sub(self.wall_at_start) {
            Some(after) => self.start + after,
            None => self
                .start
                .checked_sub(self.wall_at_start - stamp)
                .unwrap_or(self.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a wall clock shows when a process starts is whatever it has been set to. From there on it is not
        /// looked at again, so only the anchors of two processes can differ, never a duration within one.
        #[test]
        fn durations_do_not_depend_on_the_wall_clock(wall_us in 0u64..1 << 53, step_us in 0u64..1 << 40, a in 0u64..1 << 40, b in 0u64..1 << 40) {
            let start = Instant::now();
            let clock = Clock::anchored(Duration::from_micros(wall_us), start);
            let stepped = Clock::anchored(Duration::from_micros(wall_us + step_us), start);
            let (early, late) = (start + Duration::from_micros(a.min(b)), start + Duration::from_micros(a.max(b)));
            let of = |clock: Clock| clock.stamp_us(late).checked_sub(clock.stamp_us(early));
            prop_assert_eq!(of(clock), Some(a.max(b) - a.min(b)), "never negative");
            prop_assert_eq!(of(clock), of(stepped));
            prop_assert_eq!(stepped.stamp_us(early) - clock.stamp_us(early), step_us);
        }

        #[test]
        fn no_stamp_panics(wall_us: u64, stamp_us: u64) {
            let clock = Clock::anchored(Duration::from_micros(wall_us), Instant::now());
            let _ = clock.stamp_us(clock.instant(stamp_us));
        }
    }

    #[test]
    fn stamps_and_instants_agree() {
        let start = Instant::now();
        let clock = Clock::anchored(Duration::from_secs(1_000), start);
        assert_eq!(clock.stamp_us(start), 1_000_000_000);
        assert_eq!(clock.stamp_us(start + Duration::from_micros(7)), 1_000_000_007);
        assert_eq!(clock.instant(1_000_000_007), start + Duration::from_micros(7));
        assert_eq!(clock.stamp_us(clock.instant(999_999_999)), 999_999_999);
    }
}
