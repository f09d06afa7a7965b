//! Payloads of the user's own: read from their file at start, with the key of each at a JSON pointer if there is one.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;
use wire::settings::whole_number;
use wire::{MAX_PAYLOADS_BYTES, PayloadFile, PayloadFileError};

use crate::keys::Keys;

/// Upper bound of keys, as of `--keys`.
const MAX_KEYS: usize = 1_000_000;

/// Flags for payloads of the user's own.
#[derive(Debug, clap::Args)]
pub struct OwnPayloads {
    /// Send the lines of this file as payloads, in turn, and from the first again after the last; each has its number in
    /// the header `async-reduce-id` (--payload-size has no effect)
    #[arg(long, env, value_name = "FILE")]
    payloads: Option<PathBuf>,
    /// Most bytes of all lines of --payloads together: they are kept in memory
    #[arg(long, env, value_name = "BYTES", default_value_t = MAX_PAYLOADS_BYTES, value_parser = whole_number::<u32>(1, u64::from(u32::MAX)), allow_hyphen_values = true)]
    max_payloads_bytes: u32,
    /// Where a line of --payloads, which is JSON then, has its key: a JSON pointer like /user to a text or a number
    /// (--keys and --key-skew have no effect)
    #[arg(long, env, value_name = "POINTER", requires = "payloads", value_parser = pointer)]
    key_pointer: Option<String>,
}

/// A file that cannot be sent.
#[derive(Debug)]
pub struct Refused {
    path: PathBuf,
    error: PayloadFileError,
}

/// The keys of payloads while they are read.
#[derive(Debug, Default)]
struct Found {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    of_payloads: Vec<u32>,
}

impl OwnPayloads {
    /// Reads the file, if there is one, and the keys in it, if they are wanted.
    ///
    /// # Errors
    /// Returns an error if the file gives no payloads or a line has no key.
    pub fn read(&self, keyed: bool) -> Result<Option<(PayloadFile, Option<Keys>)>, Refused> {
        let Some(path) = &self.payloads else {
            return Ok(None);
        };
        let mut found = Found::default();
        let pointer = self.key_pointer.as_deref();
        let file = PayloadFile::open(path, self.max_payloads_bytes, |payload| match pointer {
            Some(pointer) => found.add(payload, pointer),
            None => Ok(()),
        });
        let file = file.map_err(|error| Refused {
            path: path.clone(),
            error,
        })?;
        let keys = pointer.map(|_| Keys::of_payloads(found.names, found.of_payloads, keyed));
        Ok(Some((file, keys)))
    }
}

impl Found {
    fn add(&mut self, payload: &[u8], pointer: &str) -> Result<(), String> {
        let name = key(payload, pointer)?;
        let number = match self.numbers.get(&name) {
            Some(number) => *number,
            None if self.names.len() == MAX_KEYS => {
                return Err(format!("more than {MAX_KEYS} keys at {pointer}"));
            }
            None => {
                let number = self.names.len() as u32;
                self.names.push(name.clone());
                self.numbers.insert(name, number);
                number
            }
        };
        self.of_payloads.push(number);
        Ok(())
    }
}

/// The key in a payload. An error does not quote the payload.
fn key(payload: &[u8], pointer: &str) -> Result<String, String> {
    let payload: Value =
        serde_json::from_slice(payload).map_err(|error| format!("no JSON, at column {}", error.column()))?;
    match payload.pointer(pointer) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err(format!("expected a text or a number at {pointer} for the key")),
        None => Err(format!("nothing at {pointer} for the key")),
    }
}

fn pointer(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err("a JSON pointer begins with a slash, like /user")
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "payloads: `{}`: {}", self.path.display(), self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_text_or_a_number() {
        let payload = br#"{"user": "u1", "id": 7, "no": [null, {"a/b": "c"}], "": "e", "blank": ""}"#;
        for (pointer, expected) in [
            ("/user", Ok("u1")),
            ("/id", Ok("7")),
            ("/no/1/a~1b", Ok("c")),
            ("/", Ok("e")),
            ("/no", Err("expected a text or a number at /no for the key")),
            ("/no/0", Err("expected a text or a number at /no/0 for the key")),
            ("/blank", Err("expected a text or a number at /blank for the key")),
            ("/amount", Err("nothing at /amount for the key")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(key(payload, pointer), expected);
        }
        assert_eq!(key(b"secret", "/user").unwrap_err(), "no JSON, at column 1");
    }

    #[test]
    fn equal_texts_are_one_key() {
        let mut found = Found::default();
        for payload in [r#"{"k":"a"}"#, r#"{"k":1}"#, r#"{"k":"1"}"#, r#"{"k":"a"}"#] {
            found.add(payload.as_bytes(), "/k").unwrap();
        }
        assert_eq!(
            (found.names, found.of_payloads),
            (vec!["a".into(), "1".into()], vec![0, 1, 1, 0])
        );
    }
}
