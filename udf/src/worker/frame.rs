//! Frames between the pool and its child processes: a length (u32, little endian) and as many bytes.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::Outcome;

use crate::call::{Event, EventId};

/// Longest frame: Numaflow's largest gRPC message, 64 MiB, and room for keys.
const MAX_FRAME_BYTES: u32 = 65 * 1024 * 1024;

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

/// The frame of a content.
pub(crate) fn with_length(content: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(content.len())
        .ok()
        .filter(|length| *length <= MAX_FRAME_BYTES);
    let length = length.ok_or_else(|| invalid(format!("a frame of {} bytes is too long", content.len())))?;
    let mut frame = Vec::with_capacity(content.len() + 4);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(content);
    Ok(frame)
}

/// An event as a whole frame: generator and index (u64), the length of the keys' JSON (u32), the keys, the payload.
pub(crate) fn encode_event(event: &Event) -> io::Result<Vec<u8>> {
    let keys = serde_json::to_vec(&event.keys[..])?;
    let mut content = Vec::with_capacity(20 + keys.len() + event.payload.len());
    content.extend_from_slice(&event.id.generator.to_le_bytes());
    content.extend_from_slice(&event.id.index.to_le_bytes());
    let keys_length = u32::try_from(keys.len()).map_err(|_| invalid("keys are too long"))?;
    content.extend_from_slice(&keys_length.to_le_bytes());
    content.extend_from_slice(&keys);
    content.extend_from_slice(&event.payload);
    with_length(&content)
}

/// Reads the content of an event's frame.
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

/// Reads the content of an outcome's frame: its name.
pub(crate) fn decode_outcome(content: &[u8]) -> io::Result<Outcome> {
    let name = std::str::from_utf8(content).map_err(|_| invalid("an outcome is not text"))?;
    name.parse()
        .map_err(|_| invalid(format!("`{name}` is not an outcome")))
}

/// Writes a whole frame.
pub(crate) async fn write<W: AsyncWrite + Unpin>(writer: &mut W, frame: &[u8]) -> io::Result<()> {
    writer.write_all(frame).await?;
    writer.flush().await
}

/// Reads the content of the next frame.
pub(crate) async fn read<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Vec<u8>> {
    let length = checked(reader.read_u32_le().await?)?;
    let mut content = vec![0; length];
    reader.read_exact(&mut content).await?;
    Ok(content)
}

/// Reads the content of the next frame; `UnexpectedEof` where there is none.
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
            let frame = encode_event(&event).unwrap();
            let content = read_blocking(&mut frame.as_slice()).unwrap();
            prop_assert_eq!(decode_event(&content).unwrap(), event);
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
