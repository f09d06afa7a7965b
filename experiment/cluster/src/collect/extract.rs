//! Extracts the journal from a container's log. The runtime may have put lines of standard error between those of the
//! journal; they are left out. A journal with a part missing is refused.

use crate::job::{BEGIN, END};
use trials::journal::JournalLine;

/// The beginning of every line of a journal: its tag comes first.
const LINE: &str = r#"{"line":""#;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract<'a> {
    pub journal: String,
    /// The log after the journal.
    pub after: &'a str,
}

/// Why no whole journal was found.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error("it holds no journal: the experiment ended before its first trial, or was killed")]
    Absent,
    #[error("the journal's beginning is missing: the log was rotated away; run the plan in parts")]
    Rotated,
    #[error("the journal's end is missing: the pod was ended before it had written all of it")]
    Cut,
    #[error("line {line} is a broken line of the journal: {source}")]
    Broken {
        /// Number of the line in the log, from 1.
        line: usize,
        source: serde_json::Error,
    },
    /// Another stream's text and a line of the journal share a line.
    #[error("in line {line} something else runs into a line of the journal")]
    Mixed {
        /// Number of the line in the log, from 1.
        line: usize,
    },
    /// The first line is not that of a run.
    #[error("the journal does not begin with a run")]
    NoRun,
}

/// Extracts the journal from a log.
///
/// # Errors
/// Returns an error if the log has no journal or only a part of it.
pub fn extract(log: &str) -> Result<Extract<'_>, ExtractError> {
    let mut journal = String::new();
    let mut inside = false;
    let mut read = 0;
    for (number, line) in log.split_inclusive('\n').enumerate() {
        read += line.len();
        let text = line.trim_end_matches(['\n', '\r']);
        match (text, inside) {
            (BEGIN, _) => inside = true,
            (END, false) => return Err(ExtractError::Rotated),
            (END, true) => {
                return match journal.is_empty() {
                    true => Err(ExtractError::NoRun),
                    false => Ok(Extract {
                        journal,
                        after: &log[read..],
                    }),
                };
            }
            (text, true) => {
                if let Some(line) = journal_line(number + 1, text, journal.is_empty())? {
                    journal.push_str(line);
                    journal.push('\n');
                }
            }
            (_, false) => {}
        }
    }
    Err(if inside {
        ExtractError::Cut
    } else {
        ExtractError::Absent
    })
}

/// The text if it is a line of the journal; `None` if it is another line.
fn journal_line(number: usize, text: &str, first: bool) -> Result<Option<&str>, ExtractError> {
    if !text.starts_with(LINE) {
        return match text.contains(LINE) {
            true => Err(ExtractError::Mixed { line: number }),
            false => Ok(None),
        };
    }
    let line: JournalLine =
        serde_json::from_str(text).map_err(|source| ExtractError::Broken { line: number, source })?;
    if first && !matches!(line, JournalLine::Run(_)) {
        return Err(ExtractError::NoRun);
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;
    use crate::job::write_journal;

    const JOURNAL: &str = include_str!("../../../../results/2026-11-23-start-rules/journal.jsonl");

    fn log() -> String {
        let mut log = b"trial 1/8\nTABLE\n".to_vec();
        write_journal(JOURNAL.as_bytes(), &mut log).unwrap();
        log.extend_from_slice(b"experiment: 1 of 8 trials failed\n");
        String::from_utf8(log).unwrap()
    }

    /// Any text, or a line that has a meaning in a log.
    fn any_line() -> impl Strategy<Value = String> {
        let run = JOURNAL.lines().next().unwrap();
        prop_oneof![
            "\\PC{0,200}",
            "\\PC{0,20}".prop_map(|rest| format!("{LINE}{rest}")),
            Just(BEGIN.to_owned()),
            Just(END.to_owned()),
            Just(run.to_owned()),
        ]
    }

    /// A journal that is found can be parsed, and its first line is that of a run.
    fn assert_whole_or_refused(log: &str) -> Result<(), TestCaseError> {
        let Ok(found) = extract(log) else { return Ok(()) };
        let lines = found.journal.lines().map(serde_json::from_str::<JournalLine>);
        let lines: Result<Vec<JournalLine>, _> = lines.collect();
        prop_assert!(
            matches!(lines.as_deref(), Ok([JournalLine::Run(_), ..])),
            "{:?}",
            found.journal
        );
        Ok(())
    }

    #[test]
    fn a_written_journal_is_found() {
        let log = log();
        let found = extract(&log).unwrap();
        assert_eq!(found.journal, JOURNAL);
        assert_eq!(found.after, "experiment: 1 of 8 trials failed\n");
    }

    proptest! {
        #[test]
        fn lines_between_are_left_out(at in 0_usize..11, line in "[ -z]{0,40}") {
            let log = log();
            let mut lines: Vec<&str> = log.lines().collect();
            lines.insert(at, &line);
            let log = lines.join("\n") + "\n";
            prop_assert_eq!(extract(&log).unwrap().journal, JOURNAL);
        }

        #[test]
        fn a_log_that_was_cut_gives_nothing(cut in 1_usize..70_000) {
            let log = log();
            let end = log.find(END).unwrap() + END.len();
            let cut = String::from_utf8_lossy(&log.as_bytes()[..end.saturating_sub(cut)]);
            prop_assert!(extract(&cut).is_err());
        }

        #[test]
        fn no_log_panics(lines in proptest::collection::vec(any_line(), 0..12)) {
            assert_whole_or_refused(&lines.join("\n"))?;
        }

        #[test]
        fn a_changed_log_is_whole_or_refused(at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = log().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            assert_whole_or_refused(&String::from_utf8_lossy(&bytes))?;
        }
    }

    #[test]
    fn every_defect_has_its_message() {
        let log = log();
        let error = |log: &str| extract(log).unwrap_err().to_string();
        assert!(error("no\n").starts_with("it holds no journal"));
        assert!(error(&log[log.find("{\"line\":\"trial").unwrap()..]).contains("rotated"));
        let broken = log.replacen(",\"ledger\":", "interrupted\n,\"ledger\":", 1);
        assert!(
            error(&broken).starts_with("line 5 is a broken line"),
            "{}",
            error(&broken)
        );
        let mixed = log.replacen("{\"line\":\"trial", "oops{\"line\":\"trial", 1);
        assert_eq!(
            error(&mixed),
            "in line 5 something else runs into a line of the journal"
        );
        let no_run = format!("{BEGIN}\n{END}\n");
        assert_eq!(error(&no_run), "the journal does not begin with a run");
    }
}
