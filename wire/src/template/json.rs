//! Finds values in JSON as they are written: a number keeps its digits, and nothing is copied.

use std::cell::OnceCell;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, from_str};

use super::{Problem, Spot};

/// A place in JSON (RFC 6901), like `/user/0/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    tokens: Vec<String>,
}

/// A text that may be JSON, which is checked when something in it is looked for.
#[derive(Debug)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    json: OnceCell<Option<&'a str>>,
}

/// Whether a text ends within a string of JSON.
#[derive(Debug, Default)]
pub(super) struct State {
    in_string: bool,
    escaped: bool,
}

impl Pointer {
    /// Reads a pointer, which begins with a slash.
    pub fn read(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?.split('/');
        let tokens = tokens.map(|token| token.replace("~1", "/").replace("~0", "~"));
        Some(Self {
            text: text.to_owned(),
            tokens: tokens.collect(),
        })
    }

    /// The text of the value in `json`, which must be valid. Of names that come twice the last counts, as for most readers.
    pub fn find<'a>(&self, json: &'a str) -> Option<&'a str> {
        let mut found = json.trim_ascii();
        for token in &self.tokens {
            found = member(found, token)?;
        }
        Some(found)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'a> Payload<'a> {
    /// Of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            json: OnceCell::new(),
        }
    }

    /// The value at a place.
    ///
    /// # Errors
    /// Returns an error if it is no JSON or has nothing there.
    pub fn at(&self, pointer: &Pointer) -> Result<&'a str, Problem> {
        pointer.find(self.whole()?).ok_or(Problem::Absent)
    }

    /// All of it.
    ///
    /// # Errors
    /// Returns an error if it is no JSON.
    pub fn whole(&self) -> Result<&'a str, Problem> {
        let json = self.json.get_or_init(|| {
            let text = str::from_utf8(self.bytes).ok()?;
            from_str::<IgnoredAny>(text).ok().map(|_| text)
        });
        json.ok_or(Problem::NoJson)
    }
}

impl State {
    pub(super) fn spot(&self) -> Spot {
        match self.in_string {
            true => Spot::JsonString,
            false => Spot::JsonValue,
        }
    }

    pub(super) fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ => {}
            }
        }
    }
}

/// The member of an object, or the element of an array, in valid JSON.
fn member<'a>(json: &'a str, token: &str) -> Option<&'a str> {
    let is_object = json.starts_with('{');
    if !is_object && !json.starts_with('[') {
        return None;
    }
    let index = || {
        token
            .parse()
            .ok()
            .filter(|index: &usize| index.to_string() == token)
    };
    let index = if is_object { None } else { Some(index()?) };
    let mut found = None;
    let mut rest = json[1..].trim_ascii_start();
    for place in 0.. {
        if rest.starts_with(['}', ']']) {
            break;
        }
        let mut is_it = index == Some(place);
        if is_object {
            let (name, after) = first::<String>(rest)?;
            is_it = name.0 == token;
            rest = after.strip_prefix(':')?.trim_ascii_start();
        }
        let (value, after) = first::<IgnoredAny>(rest)?;
        if is_it {
            found = Some(value.1);
        }
        if is_it && !is_object {
            break;
        }
        rest = after.strip_prefix(',').unwrap_or(after).trim_ascii_start();
    }
    found
}

/// The value at the beginning of `text`, how it is written, and what comes after it and white space.
fn first<'a, T: Deserialize<'a>>(text: &'a str) -> Option<((T, &'a str), &'a str)> {
    let mut values = Deserializer::from_str(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    let (written, after) = text.split_at(values.byte_offset());
    Some(((value, written), after.trim_ascii_start()))
}
