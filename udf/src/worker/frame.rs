//! The frames between a process pool and its children: a length (u32, little endian) and that many bytes. `docs/workers.md`
//! describes them for children in other languages.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::call_error::CallError;
use crate::event::{Event, EventId, Headers, Meta, PackedHeaders, Place, Reconnects, Window};

/// Longest frame: 64 MiB, the largest gRPC message of Numaflow, and room for keys and headers.
const MAX_FRAME_BYTES: u32 = 65 * 1024 * 1024;

/// What the first frame of a child is, before its version.
const GREETING: &[u8] = b"async-reduce worker ";

/// Version of these frames.
const VERSION: &[u8] = b"1";

/// What the frame of an event has before its payload, as JSON.
#[derive(Serialize, Deserialize)]
struct Head<Keys, HeadersOf> {
    keys: Keys,
    /// Start and end, milliseconds since the epoch.
    window_ms: [i64; 2],
    event_time_ns: i64,
    /// Milliseconds since the epoch; −1 if it is not known.
    watermark_ms: i64,
    /// Number in the order of arrival within key and window.
    position: u32,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    headers: Option<HeadersOf>,
    /// Generator and index of an event of the experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<[u64; 2]>,
}

fn none<T>() -> Option<T> {
    None
}

/// What a child answers for an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered<A> {
    pub(crate) answer: Result<A, CallError>,
    /// Requests that were sent again.
    pub(crate) reconnects: u32,
    /// Duration of the call.
    pub(crate) took: Duration,
}

/// An answer, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer<A> {
    Ok(A),
    Error(CallError),
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

/// Returns the first frame of a child.
pub(crate) fn greeting() -> Vec<u8> {
    let content = [GREETING, VERSION].concat();
    let mut frame = (content.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&content);
    frame
}

/// Checks the content of a child's first frame.
///
/// # Errors
/// Returns an error if it is of no worker, or of one with frames of another version.
pub(crate) fn check_greeting(content: &[u8]) -> io::Result<()> {
    let version = content.strip_prefix(GREETING);
    let version = version.ok_or_else(|| invalid("its output begins with no greeting of a worker"))?;
    if version != VERSION {
        return Err(invalid(format!(
            "it speaks version {} of the frames, this program version {}",
            String::from_utf8_lossy(&version[..version.len().min(9)]),
            String::from_utf8_lossy(VERSION)
        )));
    }
    Ok(())
}

/// Appends the frame of an event: the length of its head (u32), the head as JSON, the payload.
///
/// # Errors
/// Returns an error if the event is too long for a frame.
pub(crate) fn encode_event(
    frames: &mut Vec<u8>,
    place: &Place,
    meta: &Meta,
    payload: &[u8],
) -> io::Result<()> {
    let window = &place.window;
    let head = Head {
        keys: &place.keys[..],
        window_ms: [window.start.timestamp_millis(), window.end.timestamp_millis()],
        event_time_ns: meta.event_time_ns,
        watermark_ms: meta.watermark_ms,
        position: meta.position,
        headers: meta.headers.as_ref(),
        id: meta.id.map(|id| [id.generator, id.index]),
    };
    let start = frames.len();
    frames.extend_from_slice(&[0; 8]);
    serde_json::to_writer(&mut *frames, &head)?;
    let head_length = frames.len() - start - 8;
    frames.extend_from_slice(payload);
    let length = u32::try_from(frames.len() - start - 4)
        .ok()
        .filter(|length| *length <= MAX_FRAME_BYTES);
    let Some(length) = length else {
        frames.truncate(start);
        return Err(invalid("an event is too long for a frame"));
    };
    frames[start..start + 4].copy_from_slice(&length.to_le_bytes());
    // Cannot truncate: the length of the whole frame fits.
    frames[start + 4..start + 8].copy_from_slice(&(head_length as u32).to_le_bytes());
    Ok(())
}

/// Returns the frame of an answer: the call's duration in nanoseconds (u64), the number of requests that were sent again
/// (u32), then `{"ok":ANSWER}` or `{"error":{…}}`. An answer that is too long, or that JSON cannot express, is an error of
/// the call.
pub(crate) fn encode_answer<A: Serialize>(answered: Answered<A>) -> Vec<u8> {
    let Answered {
        answer,
        reconnects,
        took,
    } = answered;
    let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    let mut frame = vec![0; 4];
    frame.extend_from_slice(&took_ns.to_le_bytes());
    frame.extend_from_slice(&reconnects.to_le_bytes());
    let start = frame.len();
    let written = match answer {
        Ok(answer) => serde_json::to_writer(&mut frame, &Answer::Ok(answer)),
        Err(error) => serde_json::to_writer(&mut frame, &Answer::<A>::Error(error)),
    };
    let problem = match written {
        Err(error) => Some(format!("the answer cannot be written as JSON: {error}")),
        Ok(()) if frame.len() - 4 > MAX_FRAME_BYTES as usize => Some("the answer is too long".to_owned()),
        Ok(()) => None,
    };
    if let Some(problem) = problem {
        frame.truncate(start);
        let error = Answer::<()>::Error(CallError::bad_body(problem).retry(false));
        // A kind and a text are always JSON.
        let _ = serde_json::to_writer(&mut frame, &error);
    }
    let length = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame
}

/// Decodes the content of an event's frame, whose payload is not copied. `event_id` is where a payload has its identity.
///
/// # Errors
/// Returns an error if the content is too short or its head is not as it should be.
pub(crate) fn decode_event(content: Vec<u8>, event_id: Option<&Arc<str>>) -> io::Result<Event> {
    let short = || invalid("a frame is too short for an event");
    let content = Bytes::from(content);
    let (length, rest) = content.split_first_chunk::<4>().ok_or_else(short)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, _) = rest.split_at_checked(length).ok_or_else(short)?;
    let head: Head<Vec<String>, Headers> = serde_json::from_slice(head)?;
    let at = |ms: i64| DateTime::from_timestamp_millis(ms).ok_or_else(|| invalid("a window beyond all time"));
    Ok(Event {
        place: Arc::new(Place {
            keys: Arc::from(head.keys),
            window: Window {
                start: at(head.window_ms[0])?,
                end: at(head.window_ms[1])?,
            },
            event_id: event_id.cloned(),
        }),
        payload: content.slice(4 + length..),
        meta: Meta {
            headers: head.headers.as_ref().and_then(PackedHeaders::of),
            id: head.id.map(|[generator, index]| EventId { generator, index }),
            event_time_ns: head.event_time_ns,
            watermark_ms: head.watermark_ms,
            position: head.position,
        },
        reconnects: Reconnects::default(),
    })
}

/// Decodes the content of an answer's frame.
///
/// # Errors
/// Returns an error if the content is too short or no answer.
pub(crate) fn decode_answer<A: DeserializeOwned>(content: &[u8]) -> io::Result<Answered<A>> {
    let short = || invalid("a frame is too short for an answer");
    let (took_ns, rest) = content.split_first_chunk::<8>().ok_or_else(short)?;
    let (reconnects, answer) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let answer = match serde_json::from_slice(answer) {
        Ok(Answer::Ok(answer)) => Ok(answer),
        Ok(Answer::Error(error)) => Err(error),
        // The frame is whole, so the worker may go on. Without the error's text, which quotes the answer.
        Err(error) if error.is_data() => {
            let reason = "the worker's answer is not of the type that this program expects";
            Err(CallError::bad_body(reason).retry(false))
        }
        Err(error) => {
            return Err(invalid(format!(
                "an answer is no JSON: {:?} error",
                error.classify()
            )));
        }
    };
    Ok(Answered {
        answer,
        reconnects: u32::from_le_bytes(*reconnects),
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
            "a frame claims {length} bytes, {MAX_FRAME_BYTES} are allowed: does it print to its standard output?"
        )));
    }
    Ok(length as usize)
}

#[cfg(test)]
mod tests;
