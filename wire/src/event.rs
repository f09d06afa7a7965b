//! An event: what the generator puts into a message and the UDF reads from it. JSON, so that a UDF in any language
//! can read it.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// The header that names a call to the endpoint, equal for every attempt and every repetition.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The one key of an unkeyed reduce: Numaflow's data plane puts it in place of the keys of each message.
pub const UNKEYED: &str = "NON_KEYED_STREAM";

/// The header that has the number of an event whose payload is not the generator's: `GENERATOR-INDEX-NUMBER`, in decimal.
/// Numaflow does not keep headers when it replays its file after a restart.
pub const EVENT_ID_HEADER: &str = "async-reduce-id";

/// The payload of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Nonce of the generator's process.
    pub generator: u64,
    /// Number of the event among all events of its generator, from 0.
    pub index: u64,
    /// Number of the event among those that the reduce groups under its key, from 0: its index if the reduce is unkeyed.
    pub number: u64,
    /// Fills the payload up to the configured size.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub padding: String,
}

/// The names of an event's fields in JSON, without their first quote.
const NAMES: [&[u8]; 4] = [b"generator\"", b"index\"", b"number\"", b"padding\""];

/// Writes the value of the header [`EVENT_ID_HEADER`].
pub fn event_id(generator: u64, index: u64, number: u64) -> String {
    format!("{generator}-{index}-{number}")
}

/// Reads generator, index and number from the header's value; `None` if the value has another form.
pub fn parse_event_id(text: &str) -> Option<(u64, u64, u64)> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

/// Number of an event: as its header [`EVENT_ID_HEADER`] has it, else its payload; `None` if neither does.
pub fn event_number(header: Option<&str>, payload: &[u8]) -> Option<u64> {
    match header.and_then(parse_event_id) {
        Some((_, _, number)) => Some(number),
        None => Event::decode(payload).map(|event| event.number),
    }
}

impl Event {
    /// The bytes of the message.
    ///
    /// # Errors
    /// Returns the error of the JSON writer; values of this type cause none.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads the bytes of a message; `None` if they are not the JSON object of an event.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        // Other payloads are common, and the error that a JSON reader makes of one costs more than to read an event. It
        // would also take an array of three numbers for an event.
        let object = bytes.trim_ascii_start().strip_prefix(b"{")?;
        let name = object.trim_ascii_start().strip_prefix(b"\"")?;
        NAMES.iter().find(|own| name.starts_with(own))?;
        serde_json::from_slice(bytes).ok()
    }
}

/// The value of the header [`IDEMPOTENCY_KEY`]: `GENERATOR-INDEX`, in decimal.
pub fn idempotency_key(generator: u64, index: u64) -> String {
    // Of the longest key: to grow would cost more than to write.
    let mut key = String::with_capacity(41);
    let _ = write!(key, "{generator}-{index}");
    key
}

/// What all values of the header [`IDEMPOTENCY_KEY`] of one generator start with; the index follows in decimal.
pub fn idempotency_prefix(generator: u64) -> String {
    format!("{generator}-")
}

/// Reads generator and index from the header's value; `None` if the value has another form.
pub fn parse_idempotency_key(text: &str) -> Option<(u64, u64)> {
    let (generator, index) = text.split_once('-')?;
    Some((generator.parse().ok()?, index.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_payload_of_somebody_else_is_no_event() {
        for payload in [
            "",
            "{",
            "{}",
            "[1,2,3]",
            r#"[1,2,3,"padding"]"#,
            r#"{"user":"u1","amount":12.5}"#,
            r#"{"generator":1,"index":2}"#,
            r#"{"generator":1,"index":2,"number":3,"user":"u1"}"#,
            r#"{"generator":1,"index":2,"number":3} "more""#,
            r#"{"generator_of":1,"index":2,"number":3}"#,
        ] {
            assert_eq!(Event::decode(payload.as_bytes()), None, "{payload}");
        }
    }

    proptest! {
        #[test]
        fn events_survive_their_bytes(generator: u64, index: u64, number: u64, padding in "[ -~]{0,20}") {
            let event = Event { generator, index, number, padding };
            prop_assert_eq!(Event::decode(&event.encode().unwrap()).unwrap(), event);
        }

        #[test]
        fn events_are_read_whoever_writes_them(generator: u64, padding in "\\PC{0,20}", blank in "[ \n\t]{0,2}") {
            let event = Event { generator, index: 1, number: 2, padding };
            let padding = serde_json::to_string(&event.padding).unwrap();
            let written = format!(
                "{blank}{{{blank}\"padding\": {padding}, \"number\":2,{blank}\"index\":1,\"generator\":{generator}}}{blank}"
            );
            prop_assert_eq!(Event::decode(written.as_bytes()), Some(event));
        }

        #[test]
        fn event_ids_survive_their_text(generator: u64, index: u64, number: u64) {
            prop_assert_eq!(parse_event_id(&event_id(generator, index, number)), Some((generator, index, number)));
        }

        #[test]
        fn a_number_is_in_the_header_else_in_the_payload(header: u64, number: u64) {
            let payload = Event { generator: 1, index: 2, number, padding: String::new() }.encode().unwrap();
            let id = event_id(1, 2, header);
            prop_assert_eq!(event_number(Some(&id), b"{}"), Some(header));
            prop_assert_eq!(event_number(Some(&id), &payload), Some(header));
            prop_assert_eq!(event_number(Some("1-2"), &payload), Some(number));
            prop_assert_eq!(event_number(None, &payload), Some(number));
            prop_assert_eq!(event_number(None, b"{}"), None);
        }

        #[test]
        fn idempotency_keys_survive_their_text(generator: u64, index: u64) {
            let key = idempotency_key(generator, index);
            prop_assert_eq!(parse_idempotency_key(&key), Some((generator, index)));
            prop_assert_eq!(key, idempotency_prefix(generator) + &index.to_string());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Event::decode(&bytes);
            let _ = parse_event_id(&String::from_utf8_lossy(&bytes));
        }
    }
}
