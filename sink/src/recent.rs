//! The last lines of the output, in memory. A container's log is rotated and the API server serves its newest file only,
//! so a reader of many records takes them from here: `/records?from=LINE`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use wire::KeptLines;

/// Bytes of lines that are kept by default.
pub const DEFAULT_CAPACITY_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of lines in one answer, unless its first line alone is longer. The reader asks again for the rest.
const ANSWER_BYTES: usize = 1024 * 1024;

/// The lines that are kept. Clones share them.
#[derive(Debug, Clone)]
pub struct Recent(Arc<Mutex<Ring>>);

#[derive(Debug)]
struct Ring {
    process: u64,
    capacity_bytes: usize,
    /// Number of the oldest line; of the next one if there is none.
    oldest: u64,
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
}

/// The query of a request.
#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    from: u64,
}

impl Recent {
    /// Keeps at most `capacity_bytes` of the lines of the process with this nonce.
    pub fn new(process: u64, capacity_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Ring {
            process,
            capacity_bytes,
            oldest: 0,
            lines: VecDeque::new(),
            bytes: 0,
        })))
    }

    /// Adds the next line, with its line break. Returns how many lines, the oldest first, are dropped to make room; a
    /// line longer than the capacity is dropped at once.
    pub fn push(&self, line: Vec<u8>) -> u64 {
        let mut ring = self.lock();
        ring.bytes += line.len();
        ring.lines.push_back(line.into_boxed_slice());
        let mut dropped = 0;
        while ring.bytes > ring.capacity_bytes
            && let Some(oldest) = ring.lines.pop_front()
        {
            ring.bytes -= oldest.len();
            dropped += 1;
        }
        ring.oldest += dropped;
        dropped
    }

    /// What is kept, as a line of JSON ([`KeptLines`]), and the lines from number `from` on, or from the oldest if that is
    /// later.
    ///
    /// # Errors
    /// Returns the error of the JSON writer; numbers cause none.
    pub fn answer(&self, from: u64) -> serde_json::Result<Vec<u8>> {
        let ring = self.lock();
        let kept = KeptLines {
            process: ring.process,
            oldest: ring.oldest,
            next: ring.oldest + ring.lines.len() as u64,
        };
        let mut answer = serde_json::to_vec(&kept)?;
        answer.push(b'\n');
        let first = usize::try_from(from.saturating_sub(ring.oldest)).unwrap_or(usize::MAX);
        let mut room = ANSWER_BYTES;
        for (position, line) in ring.lines.iter().skip(first).enumerate() {
            match room.checked_sub(line.len()) {
                Some(rest) => room = rest,
                None if position == 0 => room = 0,
                None => break,
            }
            answer.extend_from_slice(line);
        }
        Ok(answer)
    }

    /// The route `/records`.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/records", get(records))
            .with_state(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn records(State(recent): State<Recent>, Query(asked): Query<Asked>) -> Response {
    match recent.answer(asked.from) {
        Ok(lines) => ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(recent: &Recent, from: u64) -> (KeptLines, Vec<String>) {
        let answer = String::from_utf8(recent.answer(from).unwrap()).unwrap();
        assert!(answer.ends_with('\n'));
        let mut lines = answer.lines().map(str::to_owned);
        let kept = serde_json::from_str(&lines.next().unwrap()).unwrap();
        (kept, lines.collect())
    }

    proptest! {
        /// Lines are named by their number and their length.
        #[test]
        fn the_last_lines_within_the_capacity_are_kept_under_their_numbers(
            lengths in proptest::collection::vec(1usize..40, 0..60),
            capacity_bytes in 0usize..200,
            from in 0u64..70,
        ) {
            let line = |(number, length): (usize, &usize)| format!("{number}:{}\n", "x".repeat(*length));
            let all: Vec<String> = lengths.iter().enumerate().map(line).collect();
            let recent = Recent::new(7, capacity_bytes);
            let dropped: u64 = all.iter().map(|line| recent.push(line.clone().into_bytes())).sum();
            let (kept, lines) = read(&recent, from);
            let mut bytes = 0;
            let fits = |line: &&String| {
                bytes += line.len();
                bytes <= capacity_bytes
            };
            let fitting = all.iter().rev().take_while(fits).count();
            prop_assert_eq!(kept, KeptLines { process: 7, oldest: dropped, next: all.len() as u64 });
            prop_assert_eq!(dropped as usize, all.len() - fitting);
            let expected: Vec<&str> = all.iter().skip(from.max(dropped) as usize).map(|line| line.trim_end()).collect();
            prop_assert_eq!(lines, expected);
        }
    }

    #[test]
    fn an_answer_is_bounded_and_the_next_one_has_the_rest() {
        let recent = Recent::new(7, DEFAULT_CAPACITY_BYTES);
        let line = |letter: &str, bytes: usize| (letter.repeat(bytes - 1) + "\n").into_bytes();
        let half = ANSWER_BYTES / 2;
        for (letter, bytes) in [
            ("a", half),
            ("b", half),
            ("c", 2),
            ("d", 2 * ANSWER_BYTES),
            ("e", 2),
        ] {
            assert_eq!(recent.push(line(letter, bytes)), 0);
        }
        let first_letters = |from| -> String {
            let (_, lines) = read(&recent, from);
            lines.iter().map(|line| &line[..1]).collect()
        };
        assert_eq!(
            [0, 1, 2, 3, 4, 5, u64::MAX].map(first_letters),
            ["ab", "bc", "c", "d", "e", "", ""]
        );
    }
}
