//! The form of an error in a pipe of the process pool.

use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::Outcome;

use super::CallError;
use super::kinds::{known, own_kind};

#[derive(Serialize, Deserialize)]
#[serde(rename = "CallError")]
struct Piped<T> {
    kind: T,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<NonZeroU16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<T>,
}

impl Serialize for CallError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Piped {
            kind: self.kind(),
            status: self.status,
            retry: self.retry,
            after_ms: self
                .after
                .map(|after| after.as_millis().try_into().unwrap_or(u64::MAX)),
            reason: self.reason.as_deref(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CallError {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let piped: Piped<String> = Piped::deserialize(deserializer)?;
        let (outcome, named) = match known(&piped.kind) {
            Some(outcome) => (outcome, None),
            None => {
                let leak = || Box::leak(piped.kind.clone().into_boxed_str()) as &'static str;
                (Outcome::Failed, Some(own_kind(&piped.kind, leak)))
            }
        };
        let mut error = Self {
            status: piped.status,
            named,
            retry: piped.retry,
            after: piped.after_ms.map(Duration::from_millis),
            ..Self::from(outcome)
        };
        if let Some(reason) = piped.reason {
            error = error.because(reason);
        }
        Ok(error)
    }
}
