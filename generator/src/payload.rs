//! Writes the payload of an event at a chosen size, and its offset. Both have a prefix that is the same for all events of
//! a generator, which is formatted once.

/// Length of an empty padding in an event's JSON: `,"padding":""`.
const PADDING_FIELD: usize = 13;
/// Largest number of decimal digits of a `u64`.
const DECIMALS: usize = 20;

/// Writes payloads of one size.
#[derive(Debug, Clone)]
pub struct Payloads {
    /// The JSON up to the index.
    start: Vec<u8>,
    size: usize,
}

/// Writes and reads offsets, the idempotency keys of one generator, and writes the ids of its events.
#[derive(Debug, Clone)]
pub struct Offsets {
    prefix: Vec<u8>,
}

impl Payloads {
    /// Payloads of `generator` with exactly `size` bytes, or as few as possible if `size` is too small.
    pub fn new(generator: u64, size: usize) -> Self {
        Self {
            start: format!(r#"{{"generator":{generator},"index":"#).into_bytes(),
            size,
        }
    }

    /// The JSON of an event, as [`wire::Event`] writes it.
    ///
    /// A gap too short for the field `padding` is filled with spaces, which JSON allows at its end.
    pub fn encode(&self, index: u64, number: u64) -> Vec<u8> {
        const BETWEEN: &[u8] = br#","number":"#;
        let longest = self.start.len() + BETWEEN.len() + 2 * DECIMALS + 1;
        let mut payload = Vec::with_capacity(self.size.max(longest));
        payload.extend_from_slice(&self.start);
        push_decimal(&mut payload, index);
        payload.extend_from_slice(BETWEEN);
        push_decimal(&mut payload, number);
        let gap = self.size.saturating_sub(payload.len() + 1);
        if gap > PADDING_FIELD {
            payload.extend_from_slice(br#","padding":""#);
            payload.resize(payload.len() + gap - PADDING_FIELD, b'x');
            payload.extend_from_slice(b"\"}");
        } else {
            payload.push(b'}');
            payload.resize(payload.len() + gap, b' ');
        }
        payload
    }
}

impl Offsets {
    /// Offsets of `generator`.
    pub fn new(generator: u64) -> Self {
        Self {
            prefix: wire::idempotency_prefix(generator).into_bytes(),
        }
    }

    /// The offset of an event.
    pub fn of(&self, index: u64) -> Vec<u8> {
        let mut offset = Vec::with_capacity(self.prefix.len() + DECIMALS);
        offset.extend_from_slice(&self.prefix);
        push_decimal(&mut offset, index);
        offset
    }

    /// The id of an event, as [`wire::event_id`] writes it: the offset and the event's number.
    pub fn event_id(&self, index: u64, number: u64) -> String {
        let mut id = Vec::with_capacity(self.prefix.len() + 2 * DECIMALS + 1);
        id.extend_from_slice(&self.prefix);
        push_decimal(&mut id, index);
        id.push(b'-');
        push_decimal(&mut id, number);
        // Digits and dashes are always UTF-8.
        String::from_utf8(id).unwrap_or_default()
    }

    /// The index in an offset; `None` for an offset of another generator, as after a restart.
    pub fn index(&self, offset: &[u8]) -> Option<u64> {
        let index = offset.strip_prefix(self.prefix.as_slice())?;
        std::str::from_utf8(index).ok()?.parse().ok()
    }
}

/// Appends a number in decimal, several times as fast as formatting.
fn push_decimal(bytes: &mut Vec<u8>, number: u64) {
    // Writing a number to memory cannot fail.
    let _ = serde_json::to_writer(bytes, &number);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::Event;

    proptest! {
        #[test]
        fn the_size_is_exact_and_the_event_readable(generator: u64, index: u64, number: u64, size in 0usize..400) {
            let payload = Payloads::new(generator, size).encode(index, number);
            let smallest = Event { generator, index, number, padding: String::new() }.encode().unwrap();
            prop_assert_eq!(payload.len(), size.max(smallest.len()));
            let event = Event::decode(&payload).unwrap();
            prop_assert_eq!((event.generator, event.index, event.number), (generator, index, number));
            prop_assert_eq!(Payloads::new(generator, 0).encode(index, number), smallest);
        }

        #[test]
        fn an_offset_is_its_idempotency_key(generator: u64, other: u64, index: u64) {
            let offset = Offsets::new(generator).of(index);
            prop_assert_eq!(&offset, &wire::idempotency_key(generator, index).into_bytes());
            prop_assert_eq!(Offsets::new(generator).index(&offset), Some(index));
            prop_assert_eq!(Offsets::new(other).index(&offset), (other == generator).then_some(index));
        }

        #[test]
        fn an_event_has_the_id_of_its_header(generator: u64, index: u64, number: u64) {
            let id = Offsets::new(generator).event_id(index, number);
            prop_assert_eq!(id, wire::event_id(generator, index, number));
        }

        #[test]
        fn bytes_that_are_no_offset_have_no_index(offset in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(Offsets::new(7).index(&offset), None);
        }
    }
}
