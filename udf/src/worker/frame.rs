//! The frames between a process pool and its children: a length (u32, little endian) and that many bytes.

use std::io::{self, ErrorKind, Read};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use wire::Outcome;

use crate::call::{Event, EventId, Reconnects};
use crate::call_error::{CallError, outcome};

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

/// What a child answers for an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) result: Result<(), CallError>,
    /// Requests that were sent again.
    pub(crate) reconnects: u32,
    /// Duration of the call.
    pub(crate) took: Duration,
}

/// Returns the frame of an answer: the call's duration in nanoseconds (u64), and lines of text: the outcome's name and,
/// unless it is a good one at once, the number of requests that were sent again, the status (0 for none) and the reason.
pub(crate) fn encode_answer(answer: &Answer) -> Vec<u8> {
    let took_ns = u64::try_from(answer.took.as_nanos()).unwrap_or(u64::MAX);
    let mut frame = vec![0; 4];
    frame.extend_from_slice(&took_ns.to_le_bytes());
    frame.extend_from_slice(outcome(&answer.result).name().as_bytes());
    let error = answer.result.as_ref().err();
    if error.is_some() || answer.reconnects > 0 {
        let status = error.and_then(|error| error.status).map_or(0, NonZeroU16::get);
        let reason = error
            .and_then(|error| error.reason.as_deref())
            .unwrap_or_default();
        frame.extend_from_slice(format!("\n{}\n{status}\n{reason}", answer.reconnects).as_bytes());
    }
    // A reason has a bound, so the length fits.
    let length = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&length.to_le_bytes());
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
        reconnects: Reconnects::default(),
    })
}

/// Decodes the content of an answer's frame.
///
/// # Errors
/// Returns an error if the content is too short or names no outcome.
pub(crate) fn decode_answer(content: &[u8]) -> io::Result<Answer> {
    let short = || invalid("a frame is too short for an answer");
    let (took_ns, text) = content.split_first_chunk::<8>().ok_or_else(short)?;
    let text = std::str::from_utf8(text).map_err(|_| invalid("an answer is not text"))?;
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let name = line();
    let outcome = name
        .parse()
        .map_err(|_| invalid(format!("`{name}` is not an outcome")))?;
    let reconnects = line().parse().unwrap_or(0);
    let status = line().parse().ok();
    let reason = Some(line()).filter(|reason| !reason.is_empty()).map(Into::into);
    let result = match outcome {
        Outcome::Ok => Ok(()),
        outcome => Err(CallError {
            outcome,
            status,
            reason,
        }),
    };
    Ok(Answer {
        result,
        reconnects,
        took: Duration::from_nanos(u64::from_le_bytes(*took_ns)),
    })
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
            let id = EventId { generator, index };
            let event = Event { keys: Arc::from(keys), payload, id, reconnects: Reconnects::default() };
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
        fn answers_survive_their_frames(
            which in 0..Outcome::ALL.len(),
            took_ns: u64,
            reconnects: u32,
            status: u16,
            reason in proptest::option::of("\\PC{1,20}"),
        ) {
            let result = match Outcome::ALL[which] {
                Outcome::Ok => Ok(()),
                outcome => Err(CallError {
                    outcome,
                    status: NonZeroU16::new(status),
                    reason: reason.map(Into::into),
                }),
            };
            let answer = Answer { result, reconnects, took: Duration::from_nanos(took_ns) };
            let frame = encode_answer(&answer);
            let content = read_blocking(&mut frame.as_slice()).unwrap();
            prop_assert_eq!(decode_answer(&content).unwrap(), answer);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode_event(&bytes);
            let _ = decode_answer(&bytes);
            let _ = read_blocking(&mut bytes.as_slice());
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_memory_is_taken() {
        let error = read_blocking(&mut u32::MAX.to_le_bytes().as_slice()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
