//! The sink's output: whole lines with running numbers. If a line could be written only in part, its rest is written
//! before any other line.

use std::io::{self, Write};

use wire::{SinkLine, WindowRecord};

use crate::metrics::Metrics;
use crate::recent::Recent;
use crate::seen::Seen;

/// What a line has of a payload that is no record: results may be long, and a log is no store.
const MAX_TEXT_BYTES: usize = 200;

/// A record to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// The message's id.
    pub id: String,
    /// When it arrived, microseconds since the epoch by the sink's clock.
    pub arrival_us: u64,
    /// The message's keys.
    pub keys: Vec<String>,
    /// The message's event time, milliseconds since the epoch.
    pub event_time_ms: i64,
    /// The message's bytes.
    pub payload: Vec<u8>,
}

/// Writes lines to `output`. It must not buffer: a line counts as written once `output` has accepted it.
#[derive(Debug)]
pub struct Log<W> {
    output: W,
    process: u64,
    /// Number of the next line.
    line: u64,
    seen: Seen,
    recent: Recent,
    metrics: Metrics,
    /// The rest of a line whose beginning has been written.
    unfinished: Vec<u8>,
    /// Whether the last write failed, so that only changes are logged.
    failing: bool,
}

impl<W: Write> Log<W> {
    /// An empty log for the process with this nonce. Lines are kept in `recent` and counted in `metrics`.
    pub fn new(output: W, process: u64, recent: Recent, metrics: Metrics) -> Self {
        Self {
            output,
            process,
            line: 0,
            seen: Seen::default(),
            recent,
            metrics,
            unfinished: Vec::new(),
            failing: false,
        }
    }

    /// Writes a line for each record. Returns for each its id, and the error if its line was not written whole. After the
    /// first failure no further line is tried.
    pub fn write_all(&mut self, records: Vec<Arrived>) -> Vec<(String, Result<(), String>)> {
        let mut failure = self.finish().err();
        let answers = records
            .into_iter()
            .map(|record| {
                let id = record.id.clone();
                if failure.is_none() {
                    failure = self.write(record).err();
                }
                (
                    id,
                    failure
                        .as_ref()
                        .map_or(Ok(()), |error| Err(format!("cannot write to stdout: {error}"))),
                )
            })
            .collect();
        match (&failure, self.failing) {
            (Some(error), false) => {
                tracing::error!(
                    "cannot write to stdout: {error}: records are refused until it can be written"
                );
            }
            (None, true) => tracing::info!("stdout can be written again"),
            _ => {}
        }
        self.failing = failure.is_some();
        answers
    }

    fn write(&mut self, arrived: Arrived) -> io::Result<()> {
        let record: Option<WindowRecord> = serde_json::from_slice(&arrived.payload).ok();
        let other = record.is_none().then_some(&arrived.payload);
        let text = other.map(|payload| {
            let first = &payload[..payload.len().min(MAX_TEXT_BYTES)];
            String::from_utf8_lossy(first).into_owned()
        });
        let bytes = other.map(|payload| payload.len() as u64);
        let end_ms = record
            .as_ref()
            .and_then(|record| i64::try_from(record.window_end_ms).ok());
        // A result's event time is the end of its window − 1 ms.
        let window_key = (
            end_ms.unwrap_or(arrived.event_time_ms.saturating_add(1)),
            arrived.keys.clone(),
            record.is_some(),
        );
        let line = SinkLine {
            process: self.process,
            line: self.line,
            arrival_us: arrived.arrival_us,
            id: arrived.id,
            keys: arrived.keys,
            event_time_ms: arrived.event_time_ms,
            duplicate: self.seen.contains(&window_key),
            record,
            text,
            bytes,
        };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        self.unfinished.clone_from(&bytes);
        let written = self.finish();
        if self.unfinished.len() == bytes.len() {
            // No byte was written, so the line does not count as tried.
            self.unfinished.clear();
        } else {
            self.line += 1;
            self.metrics.written(&line, window_key.0);
            self.metrics.dropped(self.recent.push(bytes));
            self.seen.insert(window_key);
        }
        written
    }

    /// Writes the rest of the unfinished line and flushes.
    fn finish(&mut self) -> io::Result<()> {
        while !self.unfinished.is_empty() {
            match self.output.write(&self.unfinished) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.unfinished.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recent::DEFAULT_CAPACITY_BYTES;

    /// Takes `room` bytes, then is full.
    #[derive(Default)]
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A log with room for so many bytes, and what it keeps in memory.
    fn log(room: usize, process: u64) -> (Log<Disk>, Recent) {
        let output = Disk {
            room,
            ..Disk::default()
        };
        let recent = Recent::new(process, DEFAULT_CAPACITY_BYTES);
        let log = Log::new(output, process, recent.clone(), Metrics::new());
        (log, recent)
    }

    fn arrived(id: &str, event_time_ms: i64) -> Arrived {
        Arrived {
            id: id.to_owned(),
            arrival_us: 5,
            keys: vec!["key-0".to_owned()],
            event_time_ms,
            payload: b"no record \xff".to_vec(),
        }
    }

    fn answered(answers: &[(String, Result<(), String>)]) -> Vec<(&str, bool)> {
        answers
            .iter()
            .map(|(id, answer)| (id.as_str(), answer.is_ok()))
            .collect()
    }

    #[test]
    fn wherever_the_disk_is_full_there_are_only_whole_lines_once_it_is_not() {
        let records = || vec![arrived("a", 9_999), arrived("b", 19_999), arrived("c", 29_999)];
        let (mut all, _) = log(usize::MAX, 1);
        all.write_all(records());
        for room in 0..all.output.bytes.len() {
            let (mut log, recent) = log(room, 1);
            let answers = log.write_all(records());
            let whole = log.output.bytes.iter().filter(|byte| **byte == b'\n').count();
            let expected: Vec<_> = ["a", "b", "c"]
                .into_iter()
                .enumerate()
                .map(|(i, id)| (id, i < whole))
                .collect();
            assert_eq!(answered(&answers), expected, "room for {room} bytes");

            log.output.room = usize::MAX;
            let failed = records().into_iter().skip(whole).collect();
            assert!(log.write_all(failed).iter().all(|(_, answer)| answer.is_ok()));
            let text = String::from_utf8(log.output.bytes).unwrap();
            let kept = String::from_utf8(recent.answer(0).unwrap()).unwrap();
            assert_eq!(kept.split_once('\n').unwrap().1, text, "room for {room} bytes");
            let lines: Vec<SinkLine> = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert!(
                lines
                    .iter()
                    .enumerate()
                    .all(|(number, line)| line.line == number as u64)
            );
            let mut first: Vec<&str> = lines
                .iter()
                .filter(|line| !line.duplicate)
                .map(|line| &*line.id)
                .collect();
            first.dedup();
            assert_eq!(first, ["a", "b", "c"], "room for {room} bytes");
            // The line that was cut is finished and, as its failure had been answered, written again.
            assert!(
                lines.len() <= 4 && lines.iter().filter(|line| line.duplicate).count() == lines.len() - 3
            );
        }
    }

    #[test]
    fn text_that_is_no_record_is_kept_as_text() {
        let (mut log, _) = log(usize::MAX, 7);
        let answers = log.write_all(vec![arrived("a", 9_999), arrived("b", 9_999)]);
        assert_eq!(answered(&answers), [("a", true), ("b", true)]);
        let text = String::from_utf8(log.output.bytes).unwrap();
        let lines: Vec<SinkLine> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0].text.as_deref(), Some("no record \u{fffd}"));
        assert_eq!(
            (lines[0].process, lines[0].line, lines[0].duplicate),
            (7, 0, false)
        );
        assert_eq!((lines[1].line, lines[1].duplicate), (1, true));
    }

    #[test]
    fn of_a_long_result_the_line_has_its_length_and_its_first_bytes() {
        let (mut log, _) = log(usize::MAX, 7);
        let payload = "ä".repeat(500_000).into_bytes();
        log.write_all(vec![Arrived {
            payload,
            ..arrived("a", 9_999)
        }]);
        let line: SinkLine = serde_json::from_slice(&log.output.bytes).unwrap();
        assert_eq!(
            (line.bytes, line.text.unwrap()),
            (Some(1_000_000), "ä".repeat(100))
        );
    }
}
