//! The retry policy: a bounded number of attempts with exponential backoff and jitter, so that calls that failed
//! together are not retried together.

use std::time::Duration;

use wire::{Outcome, Statuses};

use crate::call_error::CallError;

/// Upper bound of any pause, unless the first may be longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Upper bound of the pause that a failure asks for.
const LONGEST_ASKED_FOR: Duration = Duration::from_secs(60);

/// Decides whether and when a failed event is attempted again.
#[derive(Debug, Clone)]
pub struct Retry {
    /// Attempts after the first.
    pub retries: u32,
    /// Upper bound of the pause before the second attempt.
    pub first_pause: Duration,
    /// Statuses of answers after which another attempt may help.
    pub statuses: Statuses,
    /// Whether an attempt that may have reached the service, and has no answer, may be made again.
    pub repeatable: bool,
}

impl Retry {
    /// Returns the pause before the next attempt, or `None` if the event has ended after `attempts` attempts, the last of
    /// which failed with `error`. `random` returns 0 to 1: full jitter, as in Brooker, "Exponential Backoff and Jitter"
    /// (AWS Architecture Blog, 2015).
    pub(crate) fn pause(
        &self,
        error: &CallError,
        attempts: u32,
        random: impl FnOnce() -> f64,
    ) -> Option<Duration> {
        if !self.may_help(error) || attempts > self.retries {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(16);
        let pause = self
            .first_pause
            .saturating_mul(2u32.pow(doublings))
            .min(LONGEST_PAUSE.max(self.first_pause))
            .mul_f64(random());
        let asked_for = error.retry_pause().unwrap_or_default().min(LONGEST_ASKED_FOR);
        Some(pause.max(asked_for))
    }

    /// Whether another attempt may help.
    fn may_help(&self, error: &CallError) -> bool {
        match (error.outcome(), error.retry, error.status) {
            (Outcome::Timeout | Outcome::Broken | Outcome::BadBody | Outcome::WorkerDied, ..)
                if !self.repeatable =>
            {
                false
            }
            (Outcome::BadStatus, None, Some(status)) => self.statuses.contains(status.get()),
            _ => error.may_retry(),
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::Outcome;

    use super::*;

    fn retry(retries: u32, first_pause: Duration) -> Retry {
        Retry {
            retries,
            first_pause,
            statuses: "429 503".parse().unwrap(),
            repeatable: true,
        }
    }

    #[test]
    fn what_may_have_been_done_is_not_done_twice_unless_that_is_harmless() {
        let once = Retry {
            repeatable: false,
            ..retry(1, Duration::ZERO)
        };
        let again = |retry: &Retry, error: CallError| retry.pause(&error, 1, || 1.0).is_some();
        for outcome in Outcome::ALL.iter().copied() {
            let never_arrived = matches!(
                outcome,
                Outcome::Refused
                    | Outcome::Unresolved
                    | Outcome::NoConnection
                    | Outcome::Tls
                    | Outcome::OwnLimit
            );
            let error = || CallError::from(outcome);
            let by_status = outcome == Outcome::BadStatus;
            assert_eq!(again(&once, error()), never_arrived || by_status, "{outcome}");
            assert!(
                again(&retry(1, Duration::ZERO), error()) || !error().may_retry(),
                "{outcome}"
            );
        }
        assert!(again(&once, CallError::status(503)) && !again(&once, CallError::status(500)));
    }

    #[test]
    fn pauses_double_up_to_their_limit_and_end_with_the_retries() {
        let first = Duration::from_millis(50);
        let timeout = CallError::from(Outcome::Timeout);
        let pause = |attempts| retry(3, first).pause(&timeout, attempts, || 1.0);
        assert_eq!(pause(1), Some(first));
        assert_eq!(pause(3), Some(first * 4));
        assert_eq!(pause(4), None);
        let panic = CallError::from(Outcome::Panic);
        assert_eq!(retry(3, first).pause(&panic, 1, || 1.0), None);
        let broken = CallError::from(Outcome::Broken);
        let late = |first| retry(100, first).pause(&broken, 90, || 1.0);
        assert_eq!(late(first), Some(LONGEST_PAUSE));
        assert_eq!(late(2 * LONGEST_PAUSE), Some(2 * LONGEST_PAUSE));
        assert_eq!(retry(3, first).pause(&broken, 1, || 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn a_failure_may_ask_for_a_longer_pause_up_to_a_minute() {
        let first = Duration::from_millis(50);
        for (asked_for, pause) in [
            (Duration::ZERO, first),
            (LONGEST_PAUSE, LONGEST_PAUSE),
            (Duration::MAX, LONGEST_ASKED_FOR),
        ] {
            let error = CallError::status(429).retry_after(asked_for);
            assert_eq!(retry(1, first).pause(&error, 1, || 1.0), Some(pause));
        }
    }

    #[test]
    fn only_some_statuses_are_worth_another_attempt() {
        let retry = retry(1, Duration::ZERO);
        let again = |status| retry.pause(&CallError::status(status), 1, || 1.0).is_some();
        assert_eq!(
            [404, 429, 500, 503].map(again),
            [false, true, false, true],
            "429 and 503 alone"
        );
    }
}
