//! Durations as text, as Go writes them: decimal numbers with units (`ns`, `us` or `µs`, `ms`, `s`, `m`, `h`), one after
//! the other, like `1m30s`; or a bare `0`.

use std::time::Duration;

/// The longest duration that any text may give: one day.
pub const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a text is not a duration.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum DurationError {
    /// Not numbers with units.
    #[error(
        "`{0}` is not a duration: expected a number and a unit (ns, us, ms, s, m, h), like 200us, 1.5s or 1m30s"
    )]
    Malformed(String),
    /// Finer than a nanosecond or above [`MAX_DURATION`].
    #[error("`{0}` is out of range: expected a duration from 0 to 24h in whole nanoseconds")]
    OutOfRange(String),
}

const UNITS: [(&str, u128); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The other spellings of `us`: with the micro sign, as Go writes it, and with the Greek letter mu.
const MICROS: [&str; 2] = ["\u{b5}s", "\u{3bc}s"];

/// Reads a duration exactly, without floating point: one number with its unit, or several that are added up.
///
/// # Errors
/// Returns an error if the text is malformed, negative, above a day or finer than a nanosecond.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    nanoseconds(text).map_err(|kind| kind(text.to_owned()))
}

/// The kind of an error, to be given the whole text.
type ErrorKind = fn(String) -> DurationError;

fn nanoseconds(text: &str) -> Result<Duration, ErrorKind> {
    let malformed: ErrorKind = DurationError::Malformed;
    let out_of_range: ErrorKind = DurationError::OutOfRange;
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let in_number = |c: char| c.is_ascii_digit() || c == '.';
    let (mut nanos, mut rest) = (0u128, text);
    loop {
        let (number, after) = rest.split_at(rest.find(|c| !in_number(c)).ok_or(malformed)?);
        let (unit, after) = after.split_at(after.find(in_number).unwrap_or(after.len()));
        let unit = if MICROS.contains(&unit) { "us" } else { unit };
        let unit = UNITS.iter().find(|(name, _)| *name == unit).ok_or(malformed)?;
        nanos = nanos.checked_add(product(number, unit.1)?).ok_or(out_of_range)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let duration = u64::try_from(nanos).map(Duration::from_nanos).ok();
    duration
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or(out_of_range)
}

/// A decimal number times a unit, which must be whole.
fn product(number: &str, unit: u128) -> Result<u128, ErrorKind> {
    let out_of_range: ErrorKind = DurationError::OutOfRange;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(DurationError::Malformed);
    }
    let digits = u32::try_from(fraction.len()).map_err(|_| out_of_range)?;
    let scale = 10u128.checked_pow(digits).ok_or(out_of_range)?;
    let times = |digits: &str| digits.parse::<u128>().ok()?.checked_mul(unit);
    let fraction = times(fraction)
        .filter(|product| product.is_multiple_of(scale))
        .ok_or(out_of_range)?;
    times(whole)
        .and_then(|whole| whole.checked_add(fraction / scale))
        .ok_or(out_of_range)
}

/// Writes a duration in the largest unit up to seconds that needs at most three decimals: `0`, `200us`, `1.5s`, `90s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0".to_owned();
    }
    let (name, unit) = UNITS[..4]
        .iter()
        .rev()
        .find(|(_, unit)| nanos >= *unit && (nanos * 1_000).is_multiple_of(*unit))
        .or_else(|| {
            UNITS[..4]
                .iter()
                .rev()
                .find(|(_, unit)| nanos.is_multiple_of(*unit))
        })
        .copied()
        .unwrap_or(UNITS[0]);
    let thousandths = nanos * 1_000 / unit;
    let (whole, fraction) = (thousandths / 1_000, thousandths % 1_000);
    if fraction == 0 {
        format!("{whole}{name}")
    } else {
        let fraction = format!("{fraction:03}");
        format!("{whole}.{}{name}", fraction.trim_end_matches('0'))
    }
}

/// For `#[serde(with = "wire::duration_text")]`: a duration as its text.
pub mod duration_text {
    use super::{Duration, format_duration, parse_duration};
    use serde::{Deserializer, Serializer};

    /// Writes the text of a duration.
    ///
    /// # Errors
    /// Returns the serializer's error.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*duration))
    }

    /// Reads a duration from text, or from a bare `0`.
    ///
    /// # Errors
    /// Returns an error if [`parse_duration`] refuses the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = super::text_or_number(deserializer)?;
        parse_duration(&text).map_err(serde::de::Error::custom)
    }

    /// The same for a duration that may be absent; with `default` and `skip_serializing_if`.
    pub mod optional {
        use super::{Deserializer, Duration, Serializer};

        /// Writes the text of a duration, or nothing.
        ///
        /// # Errors
        /// Returns the serializer's error.
        pub fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, serializer),
                None => serializer.serialize_none(),
            }
        }

        /// Reads a duration.
        ///
        /// # Errors
        /// Returns an error if [`super::parse_duration`] refuses the text.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}

/// YAML reads a zero delay as the number 0: accept a number if its text is a valid duration.
pub(crate) fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Text;
    impl serde::de::Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a duration like 0, 200us or 1.5s")
        }
        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
        fn visit_u64<E>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_i64<E>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_f64<E>(self, number: f64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    deserializer.deserialize_any(Text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_texts() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("200us", 200_000),
            ("1s", 1_000_000_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("24h", 86_400_000_000_000),
            ("1m30s", 90_000_000_000),
            ("2h45m", 9_900_000_000_000),
            ("1h0m0.5s", 3_600_500_000_000),
            ("200\u{b5}s", 200_000),
            ("200\u{3bc}s", 200_000),
            ("1s1.5ms", 1_001_500_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(format_duration(Duration::from_micros(200)), "200us");
        assert_eq!(format_duration(Duration::from_millis(1_500)), "1.5s");
        assert_eq!(
            format_duration(Duration::from_nanos(1_000_000_001)),
            "1000000.001us"
        );
    }

    #[test]
    fn bad_texts_are_refused() {
        for text in [
            "",
            "1",
            "1sec",
            "-1s",
            "1e99s",
            "s",
            ".5s",
            "1.s",
            "1.2.3s",
            "25h",
            "0.1ns",
            "1 s",
            "99999999999999999999999999999999999999999s",
            "+1s",
            "1S",
            "1m 30s",
            "1m30",
            "1m-30s",
            "12h12h0.1s",
            "µs",
            "1ss",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    /// The text of Go's `time.Duration.String`.
    fn written_by_go(nanos: u64) -> String {
        let decimal = |unit: u64| {
            let text = format!("{}.{:09}", nanos / unit, nanos % unit * (1_000_000_000 / unit));
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => format!("{}\u{b5}s", decimal(1_000)),
            1_000_000..1_000_000_000 => format!("{}ms", decimal(1_000_000)),
            _ => {
                let (minutes, nanos) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
                let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
                let seconds = text.trim_end_matches('0').trim_end_matches('.');
                match (minutes / 60, minutes % 60) {
                    (0, 0) => format!("{seconds}s"),
                    (0, minutes) => format!("{minutes}m{seconds}s"),
                    (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_duration_survives_its_text(nanos in 0u64..=86_400_000_000_000) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_duration_is_read_as_go_writes_it(nanos in prop_oneof![0u64..5_000_000_000, 0u64..=86_400_000_000_000]) {
            prop_assert_eq!(parse_duration(&written_by_go(nanos)), Ok(Duration::from_nanos(nanos)));
        }

        #[test]
        fn a_text_is_read_exactly_or_refused(
            (unit, unit_ns) in prop::sample::select(vec![
                ("ns", 1_u64), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
            ]),
            whole in prop_oneof![0_u64..100, any::<u64>()],
            thousandths in 0_u64..1_000,
        ) {
            let thousandth_ns = u128::from(unit_ns) * (u128::from(whole) * 1_000 + u128::from(thousandths));
            let expected = u64::try_from(thousandth_ns / 1_000)
                .ok()
                .filter(|nanos| thousandth_ns % 1_000 == 0 && *nanos <= MAX_DURATION.as_nanos() as u64)
                .map(Duration::from_nanos);
            prop_assert_eq!(parse_duration(&format!("{whole}.{thousandths:03}{unit}")).ok(), expected);
        }

        #[test]
        fn any_text_that_is_read_survives_its_own(text in "\\PC{0,40}") {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            }
        }
    }
}
