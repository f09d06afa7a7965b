//! An event that waits for its first attempt, in little memory: there may be a million of them.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::event::{EventId, Meta, PackedHeaders};

/// An event that waits for its first attempt.
pub(crate) struct Waiting {
    content: Content,
    event_time_ns: i64,
    /// Of an event of the first generator that the key has seen; the numbers of others are read from their payload again.
    index: u64,
    position: u32,
    watermark_ms: SixBytes,
    /// Time of arrival, in microseconds since the key was created.
    arrived_us: SixBytes,
}

/// Its size is what a window costs in memory.
const _: () = assert!(size_of::<Waiting>() <= 48);

/// Most events have no headers; those pay for an allocation more.
enum Content {
    Payload(Box<[u8]>),
    WithHeaders(Box<(Box<[u8]>, PackedHeaders)>),
}

/// Stands for no index.
const NO_INDEX: u64 = u64::MAX;

/// A number of 48 bits with its sign: as milliseconds, more than 4,000 years before and after the epoch.
#[derive(Clone, Copy)]
struct SixBytes([u8; 6]);

impl SixBytes {
    const MOST: i64 = (1 << 47) - 1;

    /// This number, or the nearest that there is.
    fn of(number: i64) -> Self {
        let [a, b, c, d, e, f, ..] = number.clamp(!Self::MOST, Self::MOST).to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    fn get(self) -> i64 {
        let [a, b, c, d, e, f] = self.0;
        i64::from_le_bytes([0, 0, a, b, c, d, e, f]) >> 16
    }
}

impl Waiting {
    /// `generator` is that of the first event of the key that has one.
    pub(super) fn new(payload: Vec<u8>, meta: Meta, generator: &OnceLock<u64>, arrived_us: u64) -> Self {
        let payload = payload.into_boxed_slice();
        let of_first = |id: &EventId| *generator.get_or_init(|| id.generator) == id.generator;
        Self {
            content: match meta.headers {
                None => Content::Payload(payload),
                Some(headers) => Content::WithHeaders(Box::new((payload, headers))),
            },
            event_time_ns: meta.event_time_ns,
            index: meta.id.filter(of_first).map_or(NO_INDEX, |id| id.index),
            position: meta.position,
            watermark_ms: SixBytes::of(meta.watermark_ms),
            arrived_us: SixBytes::of(arrived_us.try_into().unwrap_or(i64::MAX)),
        }
    }

    pub(super) fn payload(&self) -> &[u8] {
        match &self.content {
            Content::Payload(payload) => payload,
            Content::WithHeaders(content) => &content.0,
        }
    }

    pub(super) fn headers(&self) -> Option<&PackedHeaders> {
        match &self.content {
            Content::Payload(_) => None,
            Content::WithHeaders(content) => Some(&content.1),
        }
    }

    pub(super) fn arrived_us(&self) -> u64 {
        self.arrived_us.get().unsigned_abs()
    }

    pub(super) fn meta(&self, generator: &OnceLock<u64>) -> Meta {
        let index = Some(self.index).filter(|index| *index != NO_INDEX);
        Meta {
            headers: self.headers().cloned(),
            id: generator.get().zip(index).map(|(generator, index)| EventId {
                generator: *generator,
                index,
            }),
            event_time_ns: self.event_time_ns,
            watermark_ms: self.watermark_ms.get(),
            position: self.position,
        }
    }

    pub(super) fn into_payload(self) -> Bytes {
        match self.content {
            Content::Payload(payload) => payload.into(),
            Content::WithHeaders(content) => content.0.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::backlog::{KeyCalls, Room};
    use crate::event::Headers;
    use crate::fixtures::place;

    proptest! {
        #[test]
        fn what_waits_is_the_event_that_arrived(
            payload in proptest::collection::vec(any::<u8>(), 0..50),
            headers in proptest::collection::hash_map("\\PC{0,4}", "\\PC{0,4}", 0..3),
            id in proptest::option::of((0_u64..2, 0..u64::MAX)),
            event_time_ns: i64,
            watermark_ms in -SixBytes::MOST..=SixBytes::MOST,
            position: u32,
            arrived_us in 0..=SixBytes::MOST as u64,
        ) {
            let calls = KeyCalls::<()>::new(place(), None, Arc::new(Room::new(1, u64::MAX)));
            let generator = OnceLock::from(1);
            let meta = Meta {
                headers: PackedHeaders::of(&headers),
                id: id.map(|(generator, index)| EventId { generator, index }),
                event_time_ns,
                watermark_ms,
                position,
            };
            let waiting = Waiting::new(payload.clone(), meta.clone(), &generator, arrived_us);
            prop_assert_eq!(waiting.payload(), &payload[..]);
            prop_assert_eq!(waiting.arrived_us(), arrived_us);
            let of_first = Meta { id: meta.id.filter(|id| id.generator == 1), ..meta.clone() };
            prop_assert!(waiting.meta(&generator) == of_first);
            let event = calls.event(calls.waiting(payload.clone(), meta.clone(), Instant::now()));
            prop_assert!(event.meta == meta, "that of the first generator");
            prop_assert_eq!(&event.payload()[..], &payload);
        }
    }

    #[test]
    fn the_payload_is_not_copied() {
        let calls = KeyCalls::<()>::new(place(), None, Arc::new(Room::new(1, u64::MAX)));
        for headers in [Headers::new(), Headers::from([("tenant".into(), "t".into())])] {
            let payload = vec![7; 100];
            let at = payload.as_ptr();
            let meta = Meta {
                headers: PackedHeaders::of(&headers),
                ..crate::fixtures::meta(0)
            };
            let event = calls.event(calls.waiting(payload, meta, Instant::now()));
            assert_eq!(
                (event.payload().as_ptr(), event.headers().count()),
                (at, headers.len())
            );
        }
    }

    #[test]
    fn a_number_beyond_six_bytes_is_the_nearest() {
        for number in [0, 1, -1, SixBytes::MOST, !SixBytes::MOST] {
            assert_eq!(SixBytes::of(number).get(), number);
        }
        assert_eq!(SixBytes::of(i64::MAX).get(), SixBytes::MOST);
        assert_eq!(SixBytes::of(i64::MIN).get(), !SixBytes::MOST);
    }
}
