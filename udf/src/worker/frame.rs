//! The frames between a process pool and its children: a length (u32, little endian) and that many bytes.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use wire::Outcome;

use crate::call::{Event, EventId};

/// Longest frame: 64 MiB, the largest gRPC message of Numaflow, and room for keys.
const MAX_FRAME_BYTES: u32 = 65 * 1024 * 1024;

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

/// Appends the frame of an event: generator and index (u64), the length of the keys as JSON (u32), the keys, the payload.
///
/// # Errors
/// Returns an error if the event is too long for a frame.
pub(crate) fn encode_event(
    frames: &mut Vec<u8>,
    keys: &[String],
    id: EventId,
    payload: &[u8],
) -> io::Result<()> {
    let keys = serde_json::to_vec(keys)?;
    let length = u32::try_from(20 + keys.len() + payload.len())
        .ok()
        .filter(|length| *length <= MAX_FRAME_BYTES);
    let length = length.ok_or_else(|| invalid("an event is too long for a frame"))?;
    frames.extend_from_slice(&length.to_le_bytes());
    frames.extend_from_slice(&id.generator.to_le_bytes());
    frames.extend_from_slice(&id.index.to_le_bytes());
    // Cannot truncate: the length of the whole frame fits.
    frames.extend_from_slice(&(keys.len() as u32).to_le_bytes());
    frames.extend_from_slice(&keys);
    frames.extend_from_slice(payload);
    Ok(())
}

/// Returns the frame of an answer: the call's duration in nanoseconds (u64), the outcome's name.
pub(crate) fn encode_outcome(outcome: Outcome, took: Duration) -> Vec<u8> {
    let name = outcome.name().as_bytes();
    let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    let mut frame = (8 + name.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&took_ns.to_le_bytes());
    frame.extend_from_slice(name);
    frame
}

/// Decodes the content of an event's frame.
///
/// # Errors
/// Returns an error if the content is too short or the keys are not JSON.
pub(crate) fn decode_event(content: &[u8]) -> io::Result<Event> {
    let short = || invalid("a frame is too short for an event");
    let (generator, rest) = content.split_first_chunk::<8>().ok_or_else(short)?;
    let (index, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
    let (keys_length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let keys_length = u32::from_le_bytes(*keys_length) as usize;
    let (keys, payload) = rest.split_at_checked(keys_length).ok_or_else(short)?;
    let keys: Vec<String> = serde_json::from_slice(keys)?;
    Ok(Event {
        keys: Arc::from(keys),
        payload: payload.to_vec(),
        id: EventId {
            generator: u64::from_le_bytes(*generator),
            index: u64::from_le_bytes(*index),
        },
    })
}

/// Decodes the content of an answer's frame.
///
/// # Errors
/// Returns an error if the content is too short or names no outcome.
pub(crate) fn decode_outcome(content: &[u8]) -> io::Result<(Outcome, Duration)> {
    let short = || invalid("a frame is too short for an outcome");
    let (took_ns, name) = content.split_first_chunk::<8>().ok_or_else(short)?;
    let name = std::str::from_utf8(name).map_err(|_| invalid("an outcome is not text"))?;
    let outcome = name
        .parse()
        .map_err(|_| invalid(format!("`{name}` is not an outcome")))?;
    Ok((outcome, Duration::from_nanos(u64::from_le_bytes(*took_ns))))
}

/// Reads the content of the next frame.
///
/// # Errors
/// Returns an error if the input fails or ends, or the frame is longer than allowed.
pub(crate) async fn read<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Vec<u8>> {
    let length = checked(reader.read_u32_le().await?)?;
    let mut content = vec![0; length];
    reader.read_exact(&mut content).await?;
    Ok(content)
}

/// Reads the content of the next frame.
///
/// # Errors
/// Returns an error if the input fails, or the frame is longer than allowed; `UnexpectedEof` at the end of the input.
pub(crate) fn read_blocking<R: Read>(reader: &mut R) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let mut content = vec![0; checked(u32::from_le_bytes(length))?];
    reader.read_exact(&mut content)?;
    Ok(content)
}

fn checked(length: u32) -> io::Result<usize> {
    if length > MAX_FRAME_BYTES {
        return Err(invalid(format!(
            "a frame claims {length} bytes, {MAX_FRAME_BYTES} are allowed"
        )));
    }
    Ok(length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn events_survive_their_frames(
            keys in proptest::collection::vec("\\PC{0,8}", 0..4),
            payload in proptest::collection::vec(any::<u8>(), 0..50),
            generator: u64,
            index: u64,
        ) {
            let event = Event { keys: Arc::from(keys), payload, id: EventId { generator, index } };
            let mut frames = Vec::new();
            for _ in 0..2 {
                encode_event(&mut frames, &event.keys, event.id, &event.payload).unwrap();
            }
            let mut frames = frames.as_slice();
            for _ in 0..2 {
                prop_assert_eq!(&decode_event(&read_blocking(&mut frames).unwrap()).unwrap(), &event);
            }
            prop_assert!(frames.is_empty());
        }

        #[test]
        fn outcomes_survive_their_frames(which in 0..Outcome::ALL.len(), took_ns: u64) {
            let (outcome, took) = (Outcome::ALL[which], Duration::from_nanos(took_ns));
            let frame = encode_outcome(outcome, took);
            let content = read_blocking(&mut frame.as_slice()).unwrap();
            prop_assert_eq!(decode_outcome(&content).unwrap(), (outcome, took));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode_event(&bytes);
            let _ = decode_outcome(&bytes);
            let _ = read_blocking(&mut bytes.as_slice());
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_memory_is_taken() {
        let error = read_blocking(&mut u32::MAX.to_le_bytes().as_slice()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
