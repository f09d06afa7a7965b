//! The keys of payloads: the text or number that each has at a JSON pointer.

use std::collections::HashMap;

use serde_json::Value;

/// Upper bound of keys, as of the setting `keys`.
const MAX_KEYS: usize = 1_000_000;

/// The keys of payloads in the order in which they first come.
#[derive(Debug, Clone, Default)]
pub struct PayloadKeys {
    /// Their names.
    pub names: Vec<String>,
    /// The key of each payload, by its place in `names`.
    pub of_payloads: Vec<u32>,
    places: HashMap<String, u32>,
}

impl PayloadKeys {
    /// Adds the key of the next payload.
    pub(super) fn add(&mut self, payload: &[u8], pointer: &str) -> Result<(), String> {
        let name = key(payload, pointer)?;
        let place = match self.places.get(&name) {
            Some(place) => *place,
            None if self.names.len() == MAX_KEYS => {
                return Err(format!("more than {MAX_KEYS} keys at {pointer}"));
            }
            None => {
                let place = self.names.len() as u32;
                self.names.push(name.clone());
                self.places.insert(name, place);
                place
            }
        };
        self.of_payloads.push(place);
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
        let mut found = PayloadKeys::default();
        for payload in [r#"{"k":"a"}"#, r#"{"k":1}"#, r#"{"k":"1"}"#, r#"{"k":"a"}"#] {
            found.add(payload.as_bytes(), "/k").unwrap();
        }
        assert_eq!(
            (found.names, found.of_payloads),
            (vec!["a".into(), "1".into()], vec![0, 1, 1, 0])
        );
    }
}
