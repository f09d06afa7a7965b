//! A set of HTTP statuses as text: numbers with spaces or commas between them, or `none`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// HTTP statuses of failures, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<u16>);

/// A text that is no set of statuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be statuses from 400 to 599 with spaces between them, like `429 503`, or `none`, not `{0}`")]
pub struct StatusesError(String);

impl Statuses {
    /// Whether it has this status.
    pub fn contains(&self, status: u16) -> bool {
        self.0.binary_search(&status).is_ok()
    }
}

impl FromStr for Statuses {
    type Err = StatusesError;

    fn from_str(text: &str) -> Result<Self, StatusesError> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let parts = text.split([' ', ',']).filter(|part| !part.is_empty());
        let status = |part: &str| part.parse().ok().filter(|status| (400..600).contains(status));
        let statuses: Option<Vec<u16>> = parts.map(status).collect();
        let mut statuses = statuses
            .filter(|statuses| !statuses.is_empty())
            .ok_or_else(|| StatusesError(text.to_owned()))?;
        statuses.sort_unstable();
        statuses.dedup();
        Ok(Self(statuses))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else {
            return f.write_str("none");
        };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|status| write!(f, " {status}"))
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_one_spelling() {
        for (text, canonical) in [
            ("503", "503"),
            ("503 429", "429 503"),
            ("503,429, 503", "429 503"),
            ("none", "none"),
        ] {
            let statuses: Statuses = text.parse().unwrap();
            assert_eq!(statuses.to_string(), canonical, "{text}");
            assert_eq!(canonical.parse(), Ok(statuses));
        }
        let statuses: Statuses = "429 503".parse().unwrap();
        assert_eq!(
            [429, 500, 503].map(|status| statuses.contains(status)),
            [true, false, true]
        );
        for text in ["", " ", "200", "600", "4xx", "all", "none 503", "-503"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }
}
