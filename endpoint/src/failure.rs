//! Deliberate failures: which call fails and how, drawn from a seed, so that the same calls in the same order get the
//! same failures and the same random delays.

use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The shares of failures add up to more than all calls.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error(
    "the shares of --fail-status, --fail-reset, --fail-hang and --fail-body add up to {0}: at most 1 is possible"
)]
pub struct MoreThanAll(f64);

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// An answer with an error status.
    Status,
    /// A connection reset instead of an answer.
    Reset,
    /// No answer until the client disconnects.
    Hang,
    /// A response body that ends before its announced length.
    Body,
}

/// The share of each failure; at most 1 in total.
#[derive(Debug, Clone, Copy)]
pub struct Failures {
    shares: [(Failure, f64); 4],
}

/// Random numbers for the calls, in order of arrival.
#[derive(Debug)]
pub struct Dice {
    rng: Mutex<StdRng>,
}

/// The random numbers of one call, in [0, 1). Both are drawn for every call, so that failures do not change the
/// delays of later calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roll {
    pub failure: f64,
    pub delay: f64,
}

impl Failure {
    pub const ALL: [Self; 4] = [Self::Status, Self::Reset, Self::Hang, Self::Body];

    /// Its name in `/stats` and `/metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::Body => "body",
        }
    }
}

impl Failures {
    pub fn new(status: f64, reset: f64, hang: f64, body: f64) -> Result<Self, MoreThanAll> {
        let sum = status + reset + hang + body;
        // Decimal shares that add up to 1 may exceed it by a rounding error.
        if sum > 1.0 + 1e-9 {
            return Err(MoreThanAll(sum));
        }
        let shares = [
            (Failure::Status, status),
            (Failure::Reset, reset),
            (Failure::Hang, hang),
            (Failure::Body, body),
        ];
        Ok(Self { shares })
    }

    /// How the call with this random number in [0, 1) fails, if it does.
    pub fn pick(&self, draw: f64) -> Option<Failure> {
        let mut below = 0.0;
        self.shares
            .iter()
            .find(|(_, share)| {
                below += share;
                draw < below
            })
            .map(|(failure, _)| *failure)
    }
}

impl Dice {
    pub fn seeded(seed: u64) -> Self {
        Self {
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    pub fn roll(&self) -> Roll {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        Roll {
            failure: rng.random(),
            delay: rng.random(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_above_all_calls_are_refused() {
        assert!(Failures::new(0.5, 0.5, 0.1, 0.0).is_err());
        assert!(Failures::new(0.7, 0.1, 0.1, 0.1).is_ok());
    }

    #[test]
    fn each_kind_gets_its_share_and_a_seed_repeats() {
        let failures = Failures::new(0.1, 0.05, 0.02, 0.01).unwrap();
        let draw = |seed| {
            let dice = Dice::seeded(seed);
            (0..100_000)
                .map(|_| failures.pick(dice.roll().failure))
                .collect::<Vec<_>>()
        };
        let drawn = draw(7);
        assert_eq!(drawn, draw(7));
        assert_ne!(drawn, draw(8));
        for (kind, expected) in Failure::ALL.into_iter().zip([10_000usize, 5_000, 2_000, 1_000]) {
            let count = drawn.iter().filter(|failure| **failure == Some(kind)).count();
            // Six standard deviations of a binomial count are below 600.
            assert!(count.abs_diff(expected) < 600, "{kind:?}: {count} of {expected}");
        }
    }
}
