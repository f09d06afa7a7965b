//! The headers of a message in one allocation. As a map they would take several times their text while the event waits.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, Serializer};

use super::Headers;

/// Names and values in turns, each after its length (u32).
#[derive(Clone)]
pub(crate) struct PackedHeaders(Arc<[u8]>);

impl PackedHeaders {
    /// `None` without any headers.
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        let texts = || headers.iter().flat_map(|(name, value)| [name, value]);
        let mut packed = Vec::with_capacity(texts().map(|text| 4 + text.len()).sum());
        for text in texts() {
            // Cannot truncate: a message of gRPC is shorter.
            packed.extend_from_slice(&(text.len() as u32).to_le_bytes());
            packed.extend_from_slice(text.as_bytes());
        }
        (!packed.is_empty()).then(|| Self(packed.into()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || Some((next(&mut rest)?, next(&mut rest)?)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Bytes that they take.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Takes the next text off; `None` at the end.
fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

/// In whatever order.
impl PartialEq for PackedHeaders {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Eq for PackedHeaders {}

/// Without their texts, which may be secrets.
impl fmt::Debug for PackedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of headers", self.len())
    }
}

/// As a map.
impl Serialize for PackedHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::hash_map;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_survive_their_packing(headers in hash_map("\\PC{0,4}", "\\PC{0,4}", 0..4)) {
            let packed = PackedHeaders::of(&headers);
            prop_assert_eq!(packed.is_none(), headers.is_empty());
            let texts = packed.iter().flat_map(|packed| packed.iter());
            let unpacked: Headers = texts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(&unpacked, &headers);
            for (name, value) in &headers {
                prop_assert_eq!(packed.as_ref().and_then(|packed| packed.get(name)), Some(&value[..]));
            }
            prop_assert_eq!(packed.as_ref().and_then(|packed| packed.get("longer than any")), None);
            // A copy of the map has another order.
            prop_assert!(PackedHeaders::of(&unpacked) == packed);
        }
    }

    #[test]
    fn headers_with_another_value_are_not_equal() {
        let packed = |value: &str| PackedHeaders::of(&Headers::from([("a".to_owned(), value.to_owned())]));
        assert!(packed("1") != packed("2"));
        assert_eq!(format!("{:?}", packed("1").unwrap()), "10 bytes of headers");
    }
}
