//! Parses YAML into a tree with the line of every key and value. Only this file uses the YAML library.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

/// Values that a plan may have, those that aliases and merge keys repeat included: ten times what the longest plan needs.
const MAX_EVENTS: usize = 200_000;

use super::Refusal;

/// A value and its first line, from 1.
#[derive(Debug)]
pub(super) struct Node {
    pub line: usize,
    pub value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// A string, number, boolean or null, as text.
    Scalar(String),
    List(Vec<Node>),
    /// Unique keys in the order of the file, without those that begin with `x-`.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub(super) struct Key {
    pub line: usize,
    pub name: String,
}

/// Parses a document. Aliases and merge keys (`<<`) are replaced by what they stand for.
///
/// # Errors
/// Returns an error if the text is not YAML, has several documents, or repeats a key.
pub(super) fn read(text: &str) -> Result<Node, Refusal> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options())
        .map(Node::from)
        .map_err(|error| refusal(text, &error))
}

/// Strings that YAML 1.1 read as numbers and booleans stay strings.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_events: MAX_EVENTS },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_EVENTS },
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    }
}

fn refusal(text: &str, error: &serde_saphyr::Error) -> Refusal {
    let line = error.location().map_or(1, at);
    let by_tab = text
        .lines()
        .zip(1usize..)
        .find(|(content, at)| at.abs_diff(line) <= 1 && content.trim_start_matches(' ').starts_with('\t'));
    if let Some((_, line)) = by_tab {
        return Refusal::at(
            line,
            "",
            "is indented with a tab, which YAML does not allow; use spaces",
        );
    }
    Refusal::at(line, "", problem(error.without_snippet()))
}

fn problem(error: &serde_saphyr::Error) -> String {
    match error {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{key}` is given twice; remove one of them")
        }
        serde_saphyr::Error::AliasError { error, .. } => problem(error),
        serde_saphyr::Error::Budget { .. } | serde_saphyr::Error::AliasReplayLimitExceeded { .. } => {
            format!("is too large: with what its aliases repeat, a plan may have {MAX_EVENTS} values")
        }
        error => UserMessageFormatter
            .format_message(error)
            .lines()
            .collect::<Vec<_>>()
            .join(" "),
    }
}

fn at(location: Location) -> usize {
    usize::try_from(location.line()).unwrap_or(usize::MAX).max(1)
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self {
            line: at(spanned.referenced),
            value: spanned.value,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Scalar(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.visit_str("null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            items.push(item.into());
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key {
                line: at(key.referenced),
                name: key.value,
            };
            let node = map.next_value::<Spanned<Value>>()?.into();
            if !key.name.starts_with("x-") {
                entries.push((key, node));
            }
        }
        Ok(Value::Map(entries))
    }
}
