//! The text forms of settings: which texts are values, the one spelling of each, and what is said of any other text.

use super::{Value, nearest};
use crate::{Delay, DelayError, DurationError, Statuses, StatusesError, format_duration, parse_duration};

/// Which texts are values of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// A whole number.
    Count {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// A whole number, or `unlimited`.
    Limit {
        /// The largest number; the smallest is 1.
        most: u64,
    },
    /// A number from 0.
    Number {
        /// The largest.
        most: f64,
    },
    /// A share, from 0 to 1 as a number or a percentage: `0.05` or `5%`.
    Share,
    /// A duration longer than 0.
    Duration,
    /// A duration from 0.
    Wait,
    /// A duration longer than 0, or `none`.
    Deadline,
    /// A duration longer than 0, in whole milliseconds.
    Millis,
    /// A fixed or random delay.
    Delay,
    /// A set of HTTP statuses.
    Statuses,
    /// `true` or `false`.
    Switch,
    /// One of some names.
    Name {
        /// What is named, e.g. `start rule`.
        set: &'static str,
        /// The names.
        names: &'static [&'static str],
    },
    /// The path of a file.
    Path,
    /// Any text, without the blanks at its end.
    Text,
    /// A place in JSON (RFC 6901).
    Pointer,
}

/// Why a text is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Not a whole number within the bounds.
    #[error("must be a whole number{}{or_unlimited}, not `{text}`", bounds(*least, *most))]
    Count {
        /// The smallest that is possible.
        least: u64,
        /// The largest that is possible.
        most: u64,
        /// What else is possible.
        or_unlimited: &'static str,
        /// What was given.
        text: String,
    },
    /// Not a number within the bounds.
    #[error("must be a number from 0 to {most}, not `{text}`")]
    Number {
        /// The largest that is possible.
        most: String,
        /// What was given.
        text: String,
    },
    /// Not a share.
    #[error("must be a number from 0 to 1, like 0.05, or a percentage, like 5%, not `{0}`")]
    Share(String),
    /// Not a duration.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// A duration of 0.
    #[error("must be longer than 0")]
    Zero,
    /// A duration with a part of a millisecond.
    #[error("must be whole milliseconds, not `{0}`")]
    PartOfMilli(String),
    /// Not a delay.
    #[error(transparent)]
    Delay(#[from] DelayError),
    /// No set of statuses.
    #[error(transparent)]
    Statuses(#[from] StatusesError),
    /// Neither `true` nor `false`.
    #[error("must be true or false, not `{0}`")]
    Switch(String),
    /// None of the names.
    #[error("unknown {set} `{text}`: {}", meant(text, names))]
    Name {
        /// What is named.
        set: &'static str,
        /// What was given.
        text: String,
        /// The names.
        names: &'static [&'static str],
    },
    /// No path.
    #[error("must be the path of a file")]
    Path,
    /// No text.
    #[error("must be a text")]
    Text,
    /// No JSON pointer.
    #[error("must be a JSON pointer, which begins with a slash, like /user, not `{0}`")]
    Pointer(String),
    /// A value of the form that the setting's type does not have: a table that contradicts itself.
    #[error("`{0}` cannot be read")]
    Unreadable(String),
}

impl Form {
    /// The one spelling of the value that `text` writes.
    ///
    /// # Errors
    /// Returns an error that says which values are possible.
    pub fn canonical(&self, text: &str) -> Result<String, FormError> {
        match *self {
            Self::Count { least, most } => count(text, least, most, ""),
            Self::Limit { .. } if text == "unlimited" || text == "null" => Ok("unlimited".to_owned()),
            Self::Limit { most } => count(text, 1, most, ", or `unlimited`"),
            Self::Number { most } => within(text, most)
                .map(|number| number.to_string())
                .ok_or_else(|| FormError::Number {
                    most: most.to_string(),
                    text: text.to_owned(),
                }),
            Self::Share => share(text)
                .map(|share| share.to_string())
                .ok_or_else(|| FormError::Share(text.to_owned())),
            Self::Wait => Ok(format_duration(parse_duration(text)?)),
            Self::Deadline if text == "none" || text == "null" => Ok("none".to_owned()),
            Self::Duration | Self::Deadline | Self::Millis => match parse_duration(text)? {
                duration if duration.is_zero() => Err(FormError::Zero),
                duration if *self == Self::Millis && duration.subsec_nanos() % 1_000_000 != 0 => {
                    Err(FormError::PartOfMilli(text.to_owned()))
                }
                duration => Ok(format_duration(duration)),
            },
            Self::Delay => Ok(text.parse::<Delay>()?.to_string()),
            Self::Statuses => Ok(text.parse::<Statuses>()?.to_string()),
            // YAML's other spellings of the two, which its parsers turn into these.
            Self::Switch if matches!(text, "true" | "True" | "TRUE") => Ok("true".to_owned()),
            Self::Switch if matches!(text, "false" | "False" | "FALSE") => Ok("false".to_owned()),
            Self::Switch => Err(FormError::Switch(text.to_owned())),
            Self::Name { names, .. } if names.contains(&text) => Ok(text.to_owned()),
            Self::Name { set, names } => Err(FormError::Name {
                set,
                text: text.to_owned(),
                names,
            }),
            Self::Path if text.is_empty() || text.contains(['\0', '\n']) => Err(FormError::Path),
            Self::Path => Ok(text.to_owned()),
            Self::Text if text.trim().is_empty() || text.contains('\0') => Err(FormError::Text),
            Self::Text => Ok(text.trim_end().to_owned()),
            Self::Pointer if text.starts_with('/') => Ok(text.to_owned()),
            Self::Pointer => Err(FormError::Pointer(text.to_owned())),
        }
    }

    /// The values in words, for help and pages.
    pub fn words(&self) -> String {
        match self {
            Self::Count {
                least,
                most: u64::MAX,
            } => format!("a whole number from {least}"),
            Self::Count { least, most } => format!("{least} to {most}"),
            Self::Limit { most } => format!("1 to {most}, or `unlimited`"),
            Self::Number { most } => format!("0 to {most}"),
            Self::Share => "0 to 1, or a percentage like `5%`".to_owned(),
            Self::Duration => "a duration like `200us`, `1.5s`, `1m30s`, longer than 0".to_owned(),
            Self::Wait => "a duration like `200us`, `1.5s`, or `0`".to_owned(),
            Self::Deadline => "a duration like `500ms`, `5s`, longer than 0, or `none`".to_owned(),
            Self::Millis => "a duration of whole milliseconds like `10s`, longer than 0".to_owned(),
            Self::Delay => {
                "`200us`, `1s`, `uniform(10ms,50ms)`, `exponential(200ms)`, `lognormal(50=80ms,99=400ms)`, `percentiles(50=10ms,99=1s)`, \
                 which is linear between its points and ends at the last one"
                    .to_owned()
            }
            Self::Statuses => "statuses from 400 to 599 like `429 503`, or `none`".to_owned(),
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Name { names, .. } => format!("`{}`", names.join("`, `")),
            Self::Path => "the path of a file".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Pointer => "a JSON pointer like `/user`".to_owned(),
        }
    }
}

/// For a flag that is no setting: reads a whole number within bounds, with the refusal of [`Form::Count`].
pub fn whole_number<T: Value>(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<T, FormError> + Clone + Send + Sync + 'static {
    move |text| {
        let text = Form::Count { least, most }.canonical(text)?;
        T::read(&text).ok_or(FormError::Unreadable(text))
    }
}

/// What is said in place of a name that there is not: the one that was meant, or all of them.
pub fn meant(given: &str, names: &[&str]) -> String {
    match nearest(given, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected one of {}", names.join(", ")),
    }
}

fn bounds(least: u64, most: u64) -> String {
    match most {
        u64::MAX if least == 0 => String::new(),
        u64::MAX => format!(" of at least {least}"),
        most => format!(" from {least} to {most}"),
    }
}

fn count(text: &str, least: u64, most: u64, or_unlimited: &'static str) -> Result<String, FormError> {
    whole(text)
        .filter(|number| (least..=most).contains(number))
        .map(|number| number.to_string())
        .ok_or_else(|| FormError::Count {
            least,
            most,
            or_unlimited,
            text: text.to_owned(),
        })
}

/// A whole number in any spelling of a decimal one, like `1e3`; such a spelling is exact up to 2^53.
fn whole(text: &str) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    text.parse().ok().or_else(|| {
        let number = within(text, EXACT)?;
        (number.fract() == 0.0).then_some(number as u64)
    })
}

fn within(text: &str, most: f64) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    // The sum turns -0 into 0.
    (0.0..=most).contains(&number).then_some(number + 0.0)
}

/// A percentage is read as the decimal number that it is: 0.7 ÷ 100 is another number than 0.007.
fn share(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percent) => within(percent, 100.0)
            .and_then(|number| within(&format!("{percent}e-2"), 1.0).or(Some(number / 100.0))),
        None => within(text, 1.0),
    }
}
