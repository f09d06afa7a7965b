//! Payloads made from a template: a text with the key, the numbers and the time of each event, and with random numbers
//! that follow from the seed.

use std::borrow::Cow;
use std::fmt;

use crate::MAX_PAYLOAD_LINE_BYTES;
use crate::template::{Field, Problem, Template, TemplateError, Value};

/// What the payload of an event may have.
#[derive(Debug, Clone, Copy)]
pub struct PayloadFields<'a> {
    /// The name of its key.
    pub key: &'a str,
    /// Its number among all events.
    pub index: u64,
    /// Its number within its key.
    pub number: u64,
    /// Its event time, nanoseconds since the Unix epoch.
    pub time_ns: u64,
}

/// A field of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
enum EventField {
    /// `${key}`: the name of its key.
    Key,
    /// `${index}`: its number among all events.
    Index,
    /// `${number}`: its number within its key.
    Number,
    /// `${time_ms}`: its event time, milliseconds since the Unix epoch.
    TimeMs,
    /// `${uniform:LOW:HIGH}`: a whole number between the two, each as likely.
    Uniform { low: u64, high: u64 },
}

/// Writes payloads from a template.
#[derive(Debug, Clone)]
pub struct PayloadTemplate {
    template: Template<EventField>,
    seed: u64,
    /// Length of the text without values.
    length: usize,
}

/// Why a text is no template of payloads.
#[derive(Debug, thiserror::Error)]
pub enum PayloadTemplateError {
    /// It cannot be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// No message may have so many bytes.
    #[error("has more than {MAX_PAYLOAD_LINE_BYTES} bytes, the most that a message may have")]
    TooLong,
    /// It has nothing but blanks.
    #[error("is empty")]
    Empty,
}

impl PayloadTemplate {
    /// Reads a template. One that begins like a JSON object or array gives JSON, whatever the values are.
    ///
    /// # Errors
    /// Returns an error if a field is unknown, if it begins like JSON and is none, or if it is too long.
    pub fn new(text: &str, seed: u64) -> Result<Self, PayloadTemplateError> {
        let text = text.trim_ascii_end();
        if text.is_empty() {
            return Err(PayloadTemplateError::Empty);
        }
        if text.len() > MAX_PAYLOAD_LINE_BYTES {
            return Err(PayloadTemplateError::TooLong);
        }
        let template = match text.trim_ascii_start().starts_with(['{', '[']) {
            true => Template::json(text)?,
            false => Template::text(text)?,
        };
        Ok(Self {
            template,
            seed,
            length: text.len(),
        })
    }

    /// The payload of an event.
    pub fn payload(&self, event: &PayloadFields<'_>) -> Vec<u8> {
        let mut text = String::with_capacity(self.length + event.key.len());
        let mut draws = 0;
        // A text and a number can stand at any place of JSON and of a text, so this cannot fail.
        let _ = self.template.render(&mut text, |field| {
            Ok::<_, Problem>(match *field {
                EventField::Key => Value::Text(Cow::Borrowed(event.key)),
                EventField::Index => Value::Number(event.index),
                EventField::Number => Value::Number(event.number),
                EventField::TimeMs => Value::Number(event.time_ns / 1_000_000),
                EventField::Uniform { low, high } => {
                    draws += 1;
                    // Another sequence for each field.
                    let seed = crate::splitmix64(self.seed, draws);
                    Value::Number(within(low, high, crate::splitmix64(seed, event.index)))
                }
            })
        });
        text.into_bytes()
    }
}

/// Maps 64 random bits to a number between two, without division.
fn within(low: u64, high: u64, random: u64) -> u64 {
    let count = u128::from(high - low) + 1;
    // Less than `count`.
    low + ((u128::from(random) * count) >> 64) as u64
}

impl Field for EventField {
    const NAMES: &'static str = "`${key}`, `${index}`, `${number}`, `${time_ms}`, `${uniform:LOW:HIGH}`";

    fn read(name: &str) -> Option<Self> {
        match name {
            "key" => Some(Self::Key),
            "index" => Some(Self::Index),
            "number" => Some(Self::Number),
            "time_ms" => Some(Self::TimeMs),
            _ => {
                let (low, high) = name.strip_prefix("uniform:")?.split_once(':')?;
                let (low, high) = (low.parse().ok()?, high.parse().ok()?);
                (low <= high).then_some(Self::Uniform { low, high })
            }
        }
    }
}

impl fmt::Display for EventField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("key"),
            Self::Index => f.write_str("index"),
            Self::Number => f.write_str("number"),
            Self::TimeMs => f.write_str("time_ms"),
            Self::Uniform { low, high } => write!(f, "uniform:{low}:{high}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENT: PayloadFields<'static> = PayloadFields {
        key: "key \"1\"",
        index: 7,
        number: 3,
        time_ns: 1_700_000_000_123_456_789,
    };

    fn payload(text: &str, event: &PayloadFields<'_>) -> String {
        let template = PayloadTemplate::new(text, 5).unwrap();
        String::from_utf8(template.payload(event)).unwrap()
    }

    #[test]
    fn each_field_is_the_value_of_its_event() {
        assert_eq!(
            payload(
                r#"{"user": ${key}, "id": "${index}/${number}", "at": ${time_ms}, "literal": "$${key}"}"#,
                &EVENT
            ),
            r#"{"user": "key \"1\"", "id": "7/3", "at": 1700000000123, "literal": "${key}"}"#
        );
        assert_eq!(payload("${key},${number}\n", &EVENT), "key \"1\",3");
    }

    #[test]
    fn random_numbers_follow_from_seed_index_and_field() {
        let text = "[${uniform:0:18446744073709551615},${uniform:0:18446744073709551615}]";
        let of = |index| payload(text, &PayloadFields { index, ..EVENT });
        let numbers: Vec<u64> = serde_json::from_str(&of(7)).unwrap();
        assert_ne!(numbers[0], numbers[1]);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        let other = PayloadTemplate::new(text, 6).unwrap();
        assert_ne!(other.payload(&EVENT), of(7).into_bytes());
        let mut counts = [0; 4];
        for index in 0..4_000 {
            let number: usize = payload("${uniform:2:5}", &PayloadFields { index, ..EVENT })
                .parse()
                .unwrap();
            counts[number - 2] += 1;
        }
        // Five standard deviations of a binomial count are below 150; the seed is fixed.
        assert!(
            counts.iter().all(|count| (850..1_150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn what_is_no_template_is_refused_in_a_sentence() {
        let refusal = |text: &str| PayloadTemplate::new(text, 1).unwrap_err().to_string();
        for field in ["user", "uniform:5:2", "uniform:1", "uniform:-1:2", "header:x"] {
            let refused = refusal(&format!("{{\"a\": ${{{field}}}}}"));
            assert!(
                refused.contains(&format!("`${{{field}}}` is no field: known are `${{key}}`")),
                "{refused}"
            );
        }
        assert!(refusal(r#"{"user": "${key}""#).contains("no JSON"));
        assert!(refusal("${key").contains("is not closed"));
        assert_eq!(refusal(" \n"), "is empty");
        assert!(refusal(&"x".repeat(MAX_PAYLOAD_LINE_BYTES + 1)).contains("more than 1000000 bytes"));
    }

    proptest! {
        #[test]
        fn a_number_is_between_its_two(one: u64, other: u64, random: u64) {
            let (low, high) = (one.min(other), one.max(other));
            let found = within(low, high, random);
            prop_assert!(low <= found && found <= high);
            prop_assert_eq!(within(low, high, 0), low);
            prop_assert_eq!(within(low, high, u64::MAX), high);
        }
    }
}
