//! Histograms in the journal's encoding. A run has tens of thousands, and a decoded one takes up to 100 KB, so each is
//! decoded only while a figure is computed from it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wire::Latencies;

/// Encoded latencies that are known to be decodable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedLatencies(Box<str>);

impl PackedLatencies {
    pub fn open(&self) -> Latencies {
        // Cannot fail: the text was decoded once or encoded here.
        Latencies::decode(&self.0).unwrap_or_default()
    }
}

impl Default for PackedLatencies {
    fn default() -> Self {
        Latencies::new().into()
    }
}

impl From<Latencies> for PackedLatencies {
    fn from(latencies: Latencies) -> Self {
        Self(latencies.encode().into())
    }
}

impl Serialize for PackedLatencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PackedLatencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Latencies::decode(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn packing_keeps_the_histogram() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_millis(3));
        let packed = PackedLatencies::from(latencies.clone());
        let text = serde_json::to_string(&packed).unwrap();
        assert_eq!(
            text,
            serde_json::to_string(&latencies).unwrap(),
            "the journal's form is one"
        );
        let back: PackedLatencies = serde_json::from_str(&text).unwrap();
        assert_eq!((back.open().count(), back.open().max()), (1, latencies.max()));
        assert_eq!(PackedLatencies::default().open().count(), 0);
        assert!(serde_json::from_str::<PackedLatencies>("\"HISTFAAA\"").is_err());
    }
}
