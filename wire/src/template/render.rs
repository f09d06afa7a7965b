//! Writes the values of fields into a text, each as its spot demands.

use std::borrow::Cow;
use std::fmt::{Display, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Part, Spot, Template};

/// What is percent-encoded in a value of a URL: all but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number.
    Number(u64),
    /// A value as valid JSON writes it.
    Json(&'a str),
}

/// Why a template cannot be rendered for an event. It names the field and quotes no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`${{{field}}}`: {problem}")]
pub struct RenderError {
    /// The field.
    pub field: String,
    /// What is wrong with its value.
    pub problem: Problem,
}

/// What is wrong with the value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A payload that is no JSON.
    #[error("the payload is no JSON")]
    NoJson,
    /// Nothing there.
    #[error("the event has no such value")]
    Absent,
    /// Null, an array or an object where only a text can be.
    #[error("expected a text, a number or a boolean")]
    NoText,
    /// A line break or the like in a header.
    #[error("the value has a control character, which no header can have")]
    Control,
    /// Nothing in the path of a URL: the path would be another one.
    #[error("the value is empty, which would make another path of the URL's")]
    Empty,
    /// A segment of dots in the path of a URL: the path would be another one.
    #[error("the value makes a segment of dots in the URL's path")]
    Dots,
}

impl<F: Display> Template<F> {
    /// Appends the text with the values that `value` gives.
    ///
    /// # Errors
    /// Returns an error if there is no value, or one that cannot stand at its spot.
    pub fn render<'v>(
        &self,
        out: &mut String,
        mut value: impl FnMut(&F) -> Result<Value<'v>, Problem>,
    ) -> Result<(), RenderError> {
        let start = out.len();
        let error = |field: &F, problem| RenderError {
            field: field.to_string(),
            problem,
        };
        let mut in_path = None;
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field { field, spot } => {
                    let value = value(field).map_err(|problem| error(field, problem))?;
                    put(out, *spot, &value).map_err(|problem| error(field, problem))?;
                    if *spot == Spot::Path {
                        in_path = Some(field);
                    }
                }
            }
        }
        match in_path {
            Some(field) if has_dots(&out[start..]) => Err(error(field, Problem::Dots)),
            _ => Ok(()),
        }
    }
}

/// Appends a value.
fn put(out: &mut String, spot: Spot, value: &Value<'_>) -> Result<(), Problem> {
    match (spot, value) {
        (Spot::JsonValue, Value::Json(json)) => out.push_str(json),
        (_, Value::Number(number)) => {
            // Writing to a string does not fail.
            let _ = write!(out, "{number}");
        }
        (Spot::JsonString, Value::Json(json)) => out.push_str(match json.strip_prefix('"') {
            // Escaped as it is.
            Some(text) => text.strip_suffix('"').unwrap_or(text),
            None => scalar(json)?,
        }),
        (Spot::JsonValue | Spot::JsonString, Value::Text(text)) => out.push_str(&json_text(text, spot)),
        (Spot::Path | Spot::Query | Spot::Header | Spot::Text, value) => {
            let text = text(value)?;
            match spot {
                Spot::Path if text.is_empty() => return Err(Problem::Empty),
                Spot::Header if has_control(&text) => return Err(Problem::Control),
                Spot::Path | Spot::Query => out.extend(utf8_percent_encode(&text, RESERVED)),
                _ => out.push_str(&text),
            }
        }
    }
    Ok(())
}

/// A value as text.
fn text<'a>(value: &'a Value<'_>) -> Result<Cow<'a, str>, Problem> {
    match value {
        Value::Text(text) => Ok(Cow::Borrowed(text)),
        Value::Number(number) => Ok(Cow::Owned(number.to_string())),
        Value::Json(json) if !json.starts_with('"') => scalar(json).map(Cow::Borrowed),
        Value::Json(json) if json.contains('\\') => {
            // Half of a surrogate pair is valid in JSON and no text.
            serde_json::from_str(json)
                .map(Cow::Owned)
                .map_err(|_| Problem::NoText)
        }
        Value::Json(json) => Ok(Cow::Borrowed(json.trim_matches('"'))),
    }
}

/// A number or a boolean.
fn scalar(json: &str) -> Result<&str, Problem> {
    match json.starts_with(['{', '[', 'n']) {
        true => Err(Problem::NoText),
        false => Ok(json),
    }
}

/// A text as JSON writes it, without quotes if it is within a string.
pub(super) fn json_text(text: &str, spot: Spot) -> String {
    let json = serde_json::Value::from(text).to_string();
    match spot {
        Spot::JsonString => json[1..json.len() - 1].to_owned(),
        _ => json,
    }
}

/// A text as the query or the user of a URL has it.
pub(super) fn percent_encoded(text: &str) -> impl Display {
    utf8_percent_encode(text, RESERVED)
}

/// Whether no header can have this value.
pub(super) fn has_control(text: &str) -> bool {
    text.bytes()
        .any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
}

/// Whether a segment of a path is `.` or `..`, also where a dot is written as `%2e`: clients and servers resolve those.
pub(super) fn has_dots(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path.split('/').any(|segment| {
        let bytes = segment.as_bytes();
        // The longest is `%2e%2e`.
        let may_be = bytes.len() <= 6 && matches!(bytes.first(), Some(b'.' | b'%'));
        may_be && matches!(&*segment.to_ascii_lowercase().replace("%2e", "."), "." | "..")
    })
}
