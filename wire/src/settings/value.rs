//! The types of settings: how each is read from and written as the one spelling of its value.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Delay, Statuses, format_duration, parse_duration};

/// A type of settings. Reading and writing are of canonical text ([`crate::settings::Form::canonical`]).
pub trait Value: Sized + Clone + Send + Sync {
    /// The value that canonical text writes.
    fn read(text: &str) -> Option<Self>;

    /// The one spelling; absent where a journal did not record the setting.
    fn text(&self) -> Option<String>;

    /// Orders the values of a setting; equal values have equal ranks, values without an order of their own rank 0.
    fn rank(&self) -> u128;
}

/// A limit on a count; none is `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limit(pub Option<NonZeroU64>);

/// A duration after which something is given up; none is `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Option<Duration>);

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

whole_number!(u8, u16, u32, u64, usize, NonZeroU16, NonZeroU32, NonZeroU64);

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

impl Value for Statuses {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
    fn rank(&self) -> u128 {
        0
    }
}

impl Value for Limit {
    fn read(text: &str) -> Option<Self> {
        match text {
            "unlimited" => Some(Self(None)),
            number => number.parse().ok().map(|limit| Self(Some(limit))),
        }
    }
    fn text(&self) -> Option<String> {
        Some(
            self.0
                .map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string()),
        )
    }
    fn rank(&self) -> u128 {
        self.0.map_or(u128::MAX, |limit| u128::from(limit.get()))
    }
}

impl Value for Deadline {
    fn read(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self(None)),
            duration => parse_duration(duration).ok().map(|after| Self(Some(after))),
        }
    }
    fn text(&self) -> Option<String> {
        Some(self.0.map_or_else(|| "none".to_owned(), format_duration))
    }
    fn rank(&self) -> u128 {
        self.0.map_or(u128::MAX >> 1, |after| after.as_nanos())
    }
}

impl Serialize for Deadline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Deadline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let unreadable =
            || serde::de::Error::custom(format_args!("`{text}` is neither a duration nor `none`"));
        Self::read(&text).ok_or_else(unreadable)
    }
}

/// A setting that journals did not always record, or that is left to a rule where it is not given.
impl<T: Value> Value for Option<T> {
    fn read(text: &str) -> Option<Self> {
        match text {
            "" => Some(None),
            text => T::read(text).map(Some),
        }
    }
    fn text(&self) -> Option<String> {
        self.as_ref()?.text()
    }
    fn rank(&self) -> u128 {
        self.as_ref().map_or(0, |value| value.rank().saturating_add(1))
    }
}
