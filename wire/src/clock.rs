//! A process's clock. It reads the wall clock once at its start and is monotonic from there on: stamps of different
//! processes can be compared, and the difference of two stamps of one process is a true duration even if the wall
//! clock is set.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Stamps since the Unix epoch that never go back within a process; they saturate in the year 2554.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall_at_start_ns: u64,
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

    /// A clock that read `wall_at_start` since the epoch at `start`.
    pub fn anchored(wall_at_start: Duration, start: Instant) -> Self {
        Self {
            wall_at_start_ns: whole_nanos(wall_at_start),
            start,
        }
    }

    /// The current time in microseconds since the Unix epoch.
    pub fn now_us(&self) -> u64 {
        self.stamp_us(Instant::now())
    }

    /// The stamp of an instant, in microseconds since the Unix epoch.
    pub fn stamp_us(&self, at: Instant) -> u64 {
        self.stamp_ns(at) / 1_000
    }

    /// The stamp of an instant, in nanoseconds since the Unix epoch.
    pub fn stamp_ns(&self, at: Instant) -> u64 {
        match at.checked_duration_since(self.start) {
            Some(after) => self.wall_at_start_ns.saturating_add(whole_nanos(after)),
            None => self.wall_at_start_ns.saturating_sub(whole_nanos(self.start - at)),
        }
    }

    /// The instant of a stamp in microseconds; see [`Self::instant_ns`].
    pub fn instant(&self, stamp_us: u64) -> Instant {
        self.instant_ns(stamp_us.saturating_mul(1_000))
    }

    /// The instant of a stamp in nanoseconds; the clock's start if the stamp is earlier than the system can
    /// represent.
    pub fn instant_ns(&self, stamp_ns: u64) -> Instant {
        match stamp_ns.checked_sub(self.wall_at_start_ns) {
            Some(after) => self.start + Duration::from_nanos(after),
            None => {
                let before = Duration::from_nanos(self.wall_at_start_ns - stamp_ns);
                self.start.checked_sub(before).unwrap_or(self.start)
            }
        }
    }
}

/// Nanoseconds of a duration, saturating at `u64::MAX` (584 years).
pub fn whole_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The wall clock may have been set to anything before the process started. It is read only once, so only the
        /// anchors of two processes can differ, never a duration within one.
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
        fn neither_do_differences_in_nanoseconds(wall_ns in 0u64..1 << 62, set_ns in 0u64..1 << 62, a in 0u64..1 << 60, b in 0u64..1 << 60) {
            let start = Instant::now();
            let (early, late) = (start + Duration::from_nanos(a.min(b)), start + Duration::from_nanos(a.max(b)));
            for wall_ns in [wall_ns, set_ns] {
                let clock = Clock::anchored(Duration::from_nanos(wall_ns), start);
                prop_assert_eq!(clock.stamp_ns(late).checked_sub(clock.stamp_ns(early)), Some(a.max(b) - a.min(b)), "never negative");
                prop_assert_eq!(clock.instant_ns(clock.stamp_ns(late)), late);
            }
        }

        #[test]
        fn it_never_falls(wall_ns: u64, a: u64, b: u64, before_ns in 0u64..1 << 40, stamp_ns: u64) {
            let start = Instant::now();
            let clock = Clock::anchored(Duration::from_nanos(wall_ns), start);
            let before = start.checked_sub(Duration::from_nanos(before_ns)).unwrap_or(start);
            let (early, late) = (start + Duration::from_nanos(a.min(b)), start + Duration::from_nanos(a.max(b)));
            prop_assert_eq!(clock.stamp_ns(before), wall_ns.saturating_sub(whole_nanos(start - before)));
            prop_assert_eq!(clock.stamp_ns(start), wall_ns);
            prop_assert!(stamp_ns < wall_ns || clock.instant_ns(stamp_ns) >= start);
            prop_assert!(wall_ns <= clock.stamp_ns(early) && clock.stamp_ns(early) <= clock.stamp_ns(late));
        }

        #[test]
        fn every_stamp_survives_its_instant(wall_ns: u64, stamp_ns: u64) {
            let clock = Clock::anchored(Duration::from_nanos(wall_ns), Instant::now());
            let back_ns = clock.stamp_ns(clock.instant_ns(stamp_ns));
            // The system's earliest instant may be later than the stamp.
            prop_assert!(back_ns == stamp_ns || (stamp_ns < wall_ns && back_ns == wall_ns), "{back_ns}");
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
