//! Latencies as an HDR histogram in microseconds. Histograms are merged; percentiles are never averaged.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HdrDeserializer, Serializer as _, V2Serializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Three significant digits: a percentile is off by at most 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Bytes before the counts in HdrHistogram's V2 format.
const HEADER: usize = 40;

/// The first four bytes of an uncompressed histogram in that format.
const COOKIE: u32 = 0x1c84_9313;

/// A mergeable histogram of durations with microsecond resolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Latencies {
    micros: Histogram<u64>,
}

/// Why an encoded histogram cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LatenciesError {
    /// Not base64.
    #[error("a histogram is not base64")]
    Base64(#[from] base64::DecodeError),
    /// Not a histogram that this crate wrote.
    #[error(
        "a histogram's header is not that of whole microseconds with three digits, uncompressed and complete"
    )]
    Header,
    /// Not HdrHistogram's V2 format.
    #[error("a histogram is not in HdrHistogram's V2 format: {0:?}")]
    Format(hdrhistogram::serialization::DeserializeError),
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// An empty histogram, which grows with the values recorded.
    pub fn new() -> Self {
        match Histogram::new(SIGNIFICANT_DIGITS) {
            Ok(micros) => Self { micros },
            Err(_) => unreachable!("three digits are within the library's one to five"),
        }
    }

    /// Counts one duration, rounded to microseconds.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from((duration.as_nanos() + 500) / 1_000).unwrap_or(u64::MAX);
        // Growing fails only for counts beyond the address space; `saturating_record` alone would never grow.
        if self.micros.record(micros).is_err() {
            self.micros.saturating_record(micros);
        }
    }

    /// Adds all of another histogram's counts.
    pub fn merge(&mut self, other: &Self) {
        // An auto-resizing histogram accepts any other, so the error cannot occur.
        let _ = self.micros.add(&other.micros);
    }

    /// Number of durations recorded.
    pub fn count(&self) -> u64 {
        self.micros.len()
    }

    /// The duration that a `fraction` (0 to 1) of those recorded does not exceed; `None` if nothing was recorded.
    pub fn quantile(&self, fraction: f64) -> Option<Duration> {
        (!self.micros.is_empty()).then(|| Duration::from_micros(self.micros.value_at_quantile(fraction)))
    }

    /// The longest duration; `None` if nothing was recorded.
    pub fn max(&self) -> Option<Duration> {
        (!self.micros.is_empty()).then(|| Duration::from_micros(self.micros.max()))
    }

    /// The mean; `None` if nothing was recorded.
    pub fn mean(&self) -> Option<Duration> {
        (!self.micros.is_empty()).then(|| Duration::from_nanos((self.micros.mean() * 1_000.0) as u64))
    }

    /// HdrHistogram's V2 format in base64.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail, and counts are below the format's limit of i64.
        let _ = V2Serializer::new().serialize(&self.micros, &mut bytes);
        BASE64.encode(bytes)
    }

    /// Reads what [`Latencies::encode`] wrote.
    ///
    /// # Errors
    /// Returns an error if the text is not base64 of HdrHistogram's V2 format, or if the histogram has other
    /// parameters than [`Latencies::encode`] writes.
    pub fn decode(text: &str) -> Result<Self, LatenciesError> {
        let bytes = BASE64.decode(text)?;
        if !header_is_ours(&bytes) {
            return Err(LatenciesError::Header);
        }
        let mut micros: Histogram<u64> = HdrDeserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(LatenciesError::Format)?;
        micros.auto(true);
        Ok(Self { micros })
    }
}

/// Whether the header is one that [`Latencies::encode`] writes. The library trusts any header: it would decompress
/// the data and allocate as many counts as the header announces, which may be gigabytes.
fn header_is_ours(bytes: &[u8]) -> bool {
    let word = |at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
        word.map(u32::from_be_bytes)
    };
    let counts = bytes.len().checked_sub(HEADER);
    let counts = counts.and_then(|counts| u32::try_from(counts).ok());
    counts.is_some()
        && (word(0), word(4)) == (Some(COOKIE), counts)
        && word(12) == Some(SIGNIFICANT_DIGITS.into())
        && (word(16), word(20)) == (Some(0), Some(1))
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::decode(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merged_is_as_if_recorded_together(a in proptest::collection::vec(0u64..100_000_000, 1..50), b in proptest::collection::vec(0u64..100_000_000, 0..50)) {
            let fill = |values: &mut dyn Iterator<Item = &u64>| {
                let mut latencies = Latencies::new();
                values.for_each(|us| latencies.record(Duration::from_micros(*us)));
                latencies
            };
            let (mut merged, other) = (fill(&mut a.iter()), fill(&mut b.iter()));
            merged.merge(&other);
            let together = fill(&mut a.iter().chain(&b));
            prop_assert_eq!(merged.quantile(0.5), together.quantile(0.5));
            prop_assert_eq!(merged.max(), together.max());
            prop_assert_eq!(merged.count(), together.count());
            let back = Latencies::decode(&merged.encode()).unwrap();
            prop_assert_eq!(back.quantile(0.99), merged.quantile(0.99));
            prop_assert_eq!(back.count(), merged.count());
        }

        #[test]
        fn a_text_without_our_header_is_refused(text in "[A-Za-z0-9+/=]{0,80}") {
            prop_assert!(Latencies::decode(&text).is_err());
        }

        #[test]
        fn a_changed_byte_is_read_in_bounded_memory_or_refused(
            values in proptest::collection::vec(0u64..100_000_000, 0..20),
            at in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            let mut latencies = Latencies::new();
            values.iter().for_each(|us| latencies.record(Duration::from_micros(*us)));
            let changed = |mut bytes: Vec<u8>| {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes
            };
            let text = changed(latencies.encode().into_bytes());
            let bytes = changed(BASE64.decode(latencies.encode()).unwrap());
            for text in [String::from_utf8_lossy(&text).into_owned(), BASE64.encode(bytes)] {
                if let Ok(read) = Latencies::decode(&text) {
                    prop_assert!(read.micros.distinct_values() <= COUNTS_OF_ALL, "{}", read.micros.distinct_values());
                    let mut merged = latencies.clone();
                    merged.merge(&read);
                    prop_assert!(merged.count() >= latencies.count());
                    let _ = (read.quantile(0.5), read.max(), read.mean());
                }
            }
        }
    }

    /// Counts of a histogram covering all microseconds of a `u64`: 1,024 for each power of two above 1,024.
    const COUNTS_OF_ALL: usize = 55 * 1_024;

    #[test]
    fn a_header_is_not_taken_at_its_word() {
        let right = BASE64.decode(Latencies::new().encode()).unwrap();
        let with = |at: usize, word: u32| {
            let mut bytes = right.clone();
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
            Latencies::decode(&BASE64.encode(bytes))
        };
        let compressed = with(0, COOKIE + 1);
        let (four_gigabytes, five_digits, coarse) = (with(4, u32::MAX), with(12, 5), with(16, 1));
        for read in [compressed, four_gigabytes, five_digits, coarse] {
            assert!(matches!(read, Err(LatenciesError::Header)), "{read:?}");
        }
        assert!(with(12, 3).is_ok());
        // Covering all microseconds takes no more room than one long duration.
        assert!(with(24, u32::MAX).unwrap().micros.distinct_values() <= COUNTS_OF_ALL);
    }

    #[test]
    fn no_duration_is_capped() {
        for secs in [1u64, 60, 86_400] {
            let (mut latencies, duration) = (Latencies::new(), Duration::from_secs(secs));
            latencies.record(Duration::from_micros(200));
            latencies.record(duration);
            let back = Latencies::decode(&latencies.encode()).unwrap();
            let mut merged = Latencies::new();
            merged.merge(&back);
            for read in [&latencies, &back, &merged] {
                assert!(
                    read.max().unwrap().abs_diff(duration) <= duration / 1_000,
                    "{:?}",
                    read.max()
                );
                assert!(read.quantile(1.0).unwrap().abs_diff(duration) <= duration / 1_000);
                assert_eq!(read.quantile(0.5), Some(Duration::from_micros(200)));
            }
        }
    }

    #[test]
    fn an_empty_histogram_has_no_percentile_and_survives() {
        let empty = Latencies::decode(&Latencies::new().encode()).unwrap();
        assert_eq!(
            (empty.quantile(0.5), empty.max(), empty.mean(), empty.count()),
            (None, None, None, 0)
        );
    }
}
