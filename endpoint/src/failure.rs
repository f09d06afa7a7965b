//! Deliberate failures: which call fails and how, drawn from a seed, so that the same calls in the same order get the
//! same failures and the same random delays.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A share of calls, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Share(f64);

/// Why a share is refused.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ShareError {
    #[error("`{0}` is not a share: expected a number from 0 to 1, like 0.05, or a percentage, like 5%")]
    Malformed(String),
    #[error(
        "the shares of --fail-status, --fail-reset, --fail-hang and --fail-body add up to {0}: at most 1 is possible"
    )]
    MoreThanAll(f64),
}

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

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = |text: &str| text.parse::<f64>().ok();
        let share = match text.strip_suffix('%') {
            Some(percent) => number(percent).map(|percent| percent / 100.0),
            None => number(text),
        };
        share
            .filter(|share| (0.0..=1.0).contains(share))
            .map(Self)
            .ok_or_else(|| ShareError::Malformed(text.to_owned()))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
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
    pub fn new(status: Share, reset: Share, hang: Share, body: Share) -> Result<Self, ShareError> {
        let sum = status.0 + reset.0 + hang.0 + body.0;
        // Decimal shares that add up to 1 may exceed it by a rounding error.
        if sum > 1.0 + 1e-9 {
            return Err(ShareError::MoreThanAll(sum));
        }
        let shares = [
            (Failure::Status, status.0),
            (Failure::Reset, reset.0),
            (Failure::Hang, hang.0),
            (Failure::Body, body.0),
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

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    #[test]
    fn shares_are_numbers_or_percentages_from_0_to_1() {
        assert_eq!(
            (share("0.05"), share("5%"), share("0"), share("100%")),
            (Share(0.05), Share(0.05), Share(0.0), Share(1.0))
        );
        for text in ["", "%", "1.1", "-0.1", "101%", "nan", "inf", "half", "5 %"] {
            assert_eq!(
                text.parse::<Share>(),
                Err(ShareError::Malformed(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn shares_above_all_calls_are_refused() {
        assert!(Failures::new(share("0.5"), share("0.5"), share("0.1"), share("0")).is_err());
        assert!(Failures::new(share("0.7"), share("0.1"), share("0.1"), share("0.1")).is_ok());
    }

    #[test]
    fn each_kind_gets_its_share_and_a_seed_repeats() {
        let failures = Failures::new(share("10%"), share("5%"), share("2%"), share("1%")).unwrap();
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
