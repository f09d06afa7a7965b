//! The types of settings: how each is read from and written as the one spelling of its value.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::{Delay, format_duration, parse_duration};

/// A type of settings. Reading and writing are of canonical text ([`crate::settings::Form::canonical`]).
pub trait Value: Sized + Clone + Send + Sync {
    /// The value that canonical text writes.
    fn read(text: &str) -> Option<Self>;

    /// The one spelling; absent where a journal did not record the setting.
    fn text(&self) -> Option<String>;

    /// Orders the values of a setting; equal values have equal ranks, values without an order of their own rank 0.
    fn rank(&self) -> u128;
}

macro_rules! whole_number {
    ($($type:ty),+) => { $(
        impl Value for $type {
            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }
            fn rank(&self) -> u128 {
                self.to_string().parse().unwrap_or(0)
            }
        }
    )+ };
}

whole_number!(u32, u64, usize, NonZeroU64);

impl Value for f64 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
    fn rank(&self) -> u128 {
        // Finer than any value that is given by hand.
        (self * 1e9) as u128
    }
}

/// A share that may be left to a rule.
impl Value for Option<f64> {
    fn read(text: &str) -> Option<Self> {
        match text {
            "" => Some(None),
            number => number.parse().ok().map(Some),
        }
    }
    fn text(&self) -> Option<String> {
        self.map(|share| share.to_string())
    }
    fn rank(&self) -> u128 {
        self.map_or(0, |share| 1 + share.rank())
    }
}

impl Value for bool {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
    fn rank(&self) -> u128 {
        u128::from(*self)
    }
}

impl Value for Duration {
    fn read(text: &str) -> Option<Self> {
        parse_duration(text).ok()
    }
    fn text(&self) -> Option<String> {
        Some(format_duration(*self))
    }
    fn rank(&self) -> u128 {
        self.as_nanos()
    }
}

impl Value for Delay {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
    fn rank(&self) -> u128 {
        self.mean().as_nanos()
    }
}

/// A limit; none is `unlimited`.
impl Value for Option<NonZeroU64> {
    fn read(text: &str) -> Option<Self> {
        match text {
            "unlimited" => Some(None),
            number => number.parse().ok().map(Some),
        }
    }
    fn text(&self) -> Option<String> {
        Some(self.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string()))
    }
    fn rank(&self) -> u128 {
        self.map_or(u128::MAX, |limit| u128::from(limit.get()))
    }
}
