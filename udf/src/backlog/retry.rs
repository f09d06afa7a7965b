//! The retry policy: a bounded number of attempts with exponential backoff and jitter, so that calls that failed
//! together are not retried together.

use std::time::Duration;

use wire::Outcome;

/// Upper bound of the pause before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Upper bound of any pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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

    /// Returns the pause before the next attempt, or `None` if the event has ended after `attempts` attempts. `random`
    /// returns 0 to 1: full jitter, as in Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015).
    pub(crate) fn pause(
        self,
        outcome: Outcome,
        attempts: u32,
        random: impl FnOnce() -> f64,
    ) -> Option<Duration> {
        let may_help = match outcome {
            Outcome::Ok | Outcome::Panic => false,
            Outcome::Timeout
            | Outcome::Refused
            | Outcome::Unresolved
            | Outcome::NoConnection
            | Outcome::Tls
            | Outcome::Broken
            | Outcome::OwnLimit
            | Outcome::BadStatus
            | Outcome::BadBody
            | Outcome::WorkerDied => true,
        };
        if !may_help || attempts > self.retries {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(16);
        Some(
            (FIRST_PAUSE * 2u32.pow(doublings))
                .min(LONGEST_PAUSE)
                .mul_f64(random()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_end_with_the_retries() {
        let retry = Retry::new(3);
        let pause = |attempts| retry.pause(Outcome::Timeout, attempts, || 1.0);
        assert_eq!(pause(1), Some(FIRST_PAUSE));
        assert_eq!(pause(3), Some(FIRST_PAUSE * 4));
        assert_eq!(pause(4), None);
        assert_eq!(retry.pause(Outcome::Ok, 1, || 1.0), None);
        assert_eq!(
            Retry::new(100).pause(Outcome::Broken, 90, || 1.0),
            Some(LONGEST_PAUSE)
        );
        assert_eq!(retry.pause(Outcome::Broken, 1, || 0.0), Some(Duration::ZERO));
    }
}
