//! A message of a window, and its way into the SDK's: bounded in size, with the keys of its window by default.

use numaflow::reduce::Message as SdkMessage;
use serde::Serialize;
use serde_json::json;

use crate::event::Place;

/// Tag of the message that a key and window send in place of their result if their aggregate failed.
pub const TAG_FAILURE: &str = "async-reduce-failure";

/// A message that a window sends to the next vertex. Numaflow gives it the end of the window as its event time, and no
/// headers.
///
/// # Examples
/// ```
/// use async_reduce::Message;
///
/// #[derive(serde::Serialize)]
/// struct Mean { mean: f64, scored: u64 }
///
/// let message = Message::json(&Mean { mean: 0.25, scored: 4 }).tag("scored").keys(["means", "u1"]);
/// assert_eq!(message, Message::new(r#"{"mean":0.25,"scored":4}"#).tag("scored").keys(["means", "u1"]));
/// // Split where it is too long for one message.
/// let all = Message::json_array(["a", "b"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    keys: Option<Vec<String>>,
    tags: Vec<String>,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Bytes(Vec<u8>),
    /// The elements of a JSON array, which may be split.
    Array(Vec<Vec<u8>>),
    /// Why the value is no JSON.
    Unwritable(String),
}

/// The messages of a key and window on their way to the SDK.
pub(crate) struct Outgoing<'a> {
    pub(crate) place: &'a Place,
    /// Longest message: JetStream refuses a larger one for ever, and the vertex would stall.
    pub(crate) max_bytes: usize,
}

impl Message {
    /// A message with these bytes.
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self::of(Body::Bytes(payload.into()))
    }

    /// A message with this value as JSON. A value that JSON cannot express fails the window.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        Self::of(match serde_json::to_vec(value) {
            Ok(bytes) => Body::Bytes(bytes),
            Err(error) => Body::Unwritable(error.to_string()),
        })
    }

    /// A JSON array of these values; several messages if it would be longer than `--max-message-bytes`.
    pub fn json_array<T: Serialize>(values: impl IntoIterator<Item = T>) -> Self {
        let elements: Result<_, _> = values
            .into_iter()
            .map(|value| serde_json::to_vec(&value))
            .collect();
        Self::of(match elements {
            Ok(elements) => Body::Array(elements),
            Err(error) => Body::Unwritable(error.to_string()),
        })
    }

    fn of(body: Body) -> Self {
        Self {
            keys: None,
            tags: Vec::new(),
            body,
        }
    }

    /// The same with these keys in place of the window's.
    #[must_use]
    pub fn keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// The same with one more tag, for edges with conditions.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

impl Outgoing<'_> {
    /// The messages in the SDK's form.
    ///
    /// # Errors
    /// Returns an error that says what is wrong if one of them is too long or is no JSON.
    pub(crate) fn all(&self, messages: Vec<Message>) -> Result<Vec<SdkMessage>, String> {
        let mut all = Vec::with_capacity(messages.len());
        for Message { keys, tags, body } in messages {
            let payloads = match body {
                Body::Bytes(bytes) => vec![self.checked(bytes)?],
                Body::Array(elements) => self.split(elements)?,
                Body::Unwritable(error) => {
                    return Err(format!("a result cannot be written as JSON: {error}"));
                }
            };
            let keys = keys.unwrap_or_else(|| self.place.keys.to_vec());
            for payload in payloads {
                all.push(
                    SdkMessage::new(payload)
                        .with_keys(keys.clone())
                        .with_tags(tags.clone()),
                );
            }
        }
        Ok(all)
    }

    /// The message in place of a result.
    pub(crate) fn failure(&self, reason: &str) -> SdkMessage {
        let window = &self.place.window;
        let failure = json!({
            "failure": reason,
            "keys": self.place.keys[..],
            "window_start_ms": window.start.timestamp_millis(),
            "window_end_ms": window.end.timestamp_millis(),
        });
        SdkMessage::new(failure.to_string().into_bytes())
            .with_keys(self.place.keys.to_vec())
            .with_tags(vec![TAG_FAILURE.to_owned()])
    }

    fn checked(&self, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        if payload.len() <= self.max_bytes {
            return Ok(payload);
        }
        Err(self.too_long("a result", payload.len()))
    }

    fn too_long(&self, what: &str, bytes: usize) -> String {
        format!(
            "{what} of {bytes} bytes is longer than max_message_bytes ({})",
            self.max_bytes
        )
    }

    /// The elements as few arrays, each within the bound.
    fn split(&self, elements: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, String> {
        let mut arrays = Vec::new();
        let mut array = vec![b'['];
        for element in elements {
            // With the brackets.
            if element.len() + 2 > self.max_bytes {
                return Err(self.too_long("an answer", element.len() + 2));
            }
            // With a comma and the last bracket.
            if array.len() > 1 && array.len() + element.len() + 2 > self.max_bytes {
                array.push(b']');
                arrays.push(std::mem::replace(&mut array, vec![b'[']));
            }
            if array.len() > 1 {
                array.push(b',');
            }
            array.extend_from_slice(&element);
        }
        array.push(b']');
        arrays.push(array);
        Ok(arrays)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fixtures::place;

    fn sent(max_bytes: usize, message: Message) -> Result<Vec<String>, String> {
        let place = place();
        let outgoing = Outgoing {
            place: &place,
            max_bytes,
        };
        let text = |message: SdkMessage| String::from_utf8(message.value).unwrap();
        Ok(outgoing.all(vec![message])?.into_iter().map(text).collect())
    }

    #[test]
    fn an_array_is_split_at_the_bound_and_nowhere_before() {
        let numbers = || Message::json_array([1, 22, 333, 4]);
        assert_eq!(sent(12, numbers()).unwrap(), ["[1,22,333,4]"]);
        assert_eq!(sent(11, numbers()).unwrap(), ["[1,22,333]", "[4]"]);
        assert_eq!(sent(10, numbers()).unwrap(), ["[1,22,333]", "[4]"]);
        assert_eq!(sent(9, numbers()).unwrap(), ["[1,22]", "[333,4]"]);
        assert_eq!(sent(5, numbers()).unwrap(), ["[1]", "[22]", "[333]", "[4]"]);
        assert_eq!(
            sent(4, numbers()).unwrap_err(),
            "an answer of 5 bytes is longer than max_message_bytes (4)"
        );
        assert_eq!(sent(2, Message::json_array([0; 0])).unwrap(), ["[]"]);
    }

    #[test]
    fn a_million_answers_are_messages_within_the_bound_and_in_order() {
        let max_bytes = 1_000_000;
        let sent = sent(max_bytes, Message::json_array(0..1_000_000_u32)).unwrap();
        // 6,888,890 bytes of digits and commas.
        assert_eq!(sent.len(), 7);
        assert!(sent.iter().all(|text| text.len() <= max_bytes));
        let numbers = sent
            .iter()
            .flat_map(|text| serde_json::from_str::<Vec<u32>>(text).unwrap());
        assert!(numbers.eq(0..1_000_000));
    }

    #[test]
    fn another_result_that_is_too_long_is_refused_by_name() {
        assert_eq!(sent(3, Message::new("abc")).unwrap(), ["abc"]);
        assert_eq!(
            sent(3, Message::json("abc")).unwrap_err(),
            "a result of 5 bytes is longer than max_message_bytes (3)"
        );
        let no_json = BTreeMap::from([((1, 2), 3)]);
        assert!(
            sent(100, Message::json(&no_json))
                .unwrap_err()
                .contains("as JSON")
        );
    }

    #[test]
    fn keys_are_those_of_the_window_or_its_own() {
        let place = place();
        let outgoing = Outgoing {
            place: &place,
            max_bytes: 9,
        };
        let messages = vec![Message::new("a").tag("x").tag("y"), Message::new("b").keys(["k"])];
        let all = outgoing.all(messages).unwrap();
        assert_eq!(all[0].keys.as_deref(), Some(&place.keys[..]));
        assert_eq!(
            all[0].tags.as_deref(),
            Some(&["x".to_owned(), "y".to_owned()][..])
        );
        assert_eq!(all[1].keys.as_deref(), Some(&["k".to_owned()][..]));
    }
}
