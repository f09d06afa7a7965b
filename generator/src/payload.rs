//! The bytes of an event at a chosen size.

use wire::Event;

/// What an empty padding adds to an event's JSON: `,"padding":""`.
const PADDING_FIELD: usize = 13;

/// The JSON of an event, exactly `size` bytes long, or as short as it can be where `size` is below that.
///
/// Gaps too short for the field `padding` are filled with spaces, which JSON allows at its end.
///
/// # Errors
/// Those of the JSON writer; none for values of this type.
pub fn encode(generator: u64, index: u64, number: u64, size: usize) -> serde_json::Result<Vec<u8>> {
    // An event without padding has at most 98 bytes.
    let mut payload = Vec::with_capacity(size.max(98));
    serde_json::to_writer(
        &mut payload,
        &Event {
            generator,
            index,
            number,
            padding: String::new(),
        },
    )?;
    let gap = size.saturating_sub(payload.len());
    if gap > PADDING_FIELD {
        payload.pop();
        payload.extend_from_slice(br#","padding":""#);
        payload.resize(payload.len() + gap - PADDING_FIELD, b'x');
        payload.extend_from_slice(b"\"}");
    } else {
        payload.resize(payload.len() + gap, b' ');
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_size_is_exact_and_the_event_readable(generator: u64, index: u64, number: u64, size in 0usize..400) {
            let payload = encode(generator, index, number, size).unwrap();
            let smallest = Event { generator, index, number, padding: String::new() }.encode().unwrap().len();
            prop_assert_eq!(payload.len(), size.max(smallest));
            let event = Event::decode(&payload).unwrap();
            prop_assert_eq!((event.generator, event.index, event.number), (generator, index, number));
        }
    }
}
