//! The retry policy: a bounded number of attempts with exponential backoff and jitter, so that calls that failed
//! together are not retried together.

use std::time::Duration;

use crate::call_error::CallError;

/// Upper bound of the pause before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Upper bound of any pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Upper bound of the pause that a failure asks for.
const LONGEST_ASKED_FOR: Duration = Duration::from_secs(60);

/// Decides whether and when a failed event is attempted again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    /// Attempts after the first.
    retries: u32,
}

impl Retry {
    pub(crate) fn new(retries: u32) -> Self {
        Self { retries }
    }

    /// Returns the pause before the next attempt, or `None` if the event has ended after `attempts` attempts, the last of
    /// which failed with `error`. `random`
    /// returns 0 to 1: full jitter, as in Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015).
    pub(crate) fn pause(
        self,
        error: &CallError,
        attempts: u32,
        random: impl FnOnce() -> f64,
    ) -> Option<Duration> {
        if !error.may_retry() || attempts > self.retries {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(16);
        let pause = (FIRST_PAUSE * 2u32.pow(doublings))
            .min(LONGEST_PAUSE)
            .mul_f64(random());
        let asked_for = error.retry_pause().unwrap_or_default().min(LONGEST_ASKED_FOR);
        Some(pause.max(asked_for))
    }
}

#[cfg(test)]
mod tests {
    use wire::Outcome;

    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_end_with_the_retries() {
        let retry = Retry::new(3);
        let pause = |attempts| retry.pause(&CallError::timeout(), attempts, || 1.0);
        assert_eq!(pause(1), Some(FIRST_PAUSE));
        assert_eq!(pause(3), Some(FIRST_PAUSE * 4));
        assert_eq!(pause(4), None);
        assert_eq!(retry.pause(&CallError::bad_input(""), 1, || 1.0), None);
        assert_eq!(
            Retry::new(100).pause(&Outcome::Broken.into(), 90, || 1.0),
            Some(LONGEST_PAUSE)
        );
        assert_eq!(
            retry.pause(&Outcome::Broken.into(), 1, || 0.0),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn a_failure_may_ask_for_a_longer_pause_up_to_a_minute() {
        let retry = Retry::new(1);
        for (asked_for, pause) in [
            (Duration::ZERO, FIRST_PAUSE),
            (LONGEST_PAUSE, LONGEST_PAUSE),
            (Duration::MAX, LONGEST_ASKED_FOR),
        ] {
            let error = CallError::status(429).retry_after(asked_for);
            assert_eq!(retry.pause(&error, 1, || 1.0), Some(pause));
        }
    }
}
