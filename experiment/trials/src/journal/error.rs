//! Errors of the journal, each one line for the user.

use std::io;
use std::path::PathBuf;

use super::FILE_NAME;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("--out: cannot create the folder `{}`: {source}", folder.display())]
    CreateFolder { folder: PathBuf, source: io::Error },
    #[error("cannot open `{}`: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("--out: another run is writing to `{}`: wait for its end or choose another folder", .0.display())]
    Held(PathBuf),
    #[error("--out: `{}` holds a journal of an earlier run: continue it with --resume, or choose another folder", .0.display())]
    Exists(PathBuf),
    /// It was written with another endpoint, UDF or file, see [`super::REPLACEABLE`].
    #[error("--out: `{}` holds the journal of a run with another {part}: choose another folder", path.display())]
    OtherPart { path: PathBuf, part: &'static str },
    #[error("--out: `{}` holds the journal of another plan (`{found}`): choose another folder", path.display())]
    OtherPlan {
        path: PathBuf,
        /// Name of the plan in the journal.
        found: String,
    },
    #[error("--out: the plan `{name}` has changed since the run in `{}`: {changes}: change it back, or choose another folder", path.display())]
    ChangedPlan {
        path: PathBuf,
        name: String,
        /// In words, such as `rpu 10 → 20`.
        changes: String,
    },
    #[error("`{}` holds no journal with a run: expected {FILE_NAME} as `experiment run` writes it", .0.display())]
    Missing(PathBuf),
    #[error("`{}` line {line} is not a line of a journal: {}", path.display(), without_line(error))]
    Line {
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Not a source: the message contains it.
        error: serde_json::Error,
    },
    /// A line could not be written; the file is unchanged.
    #[error("cannot write to `{}`: {source}; all trials before are kept, make room and continue with --resume", path.display())]
    Append { path: PathBuf, source: io::Error },
}

impl JournalError {
    /// Whether the command line is at fault, as opposed to the system.
    pub fn is_wrong_use(&self) -> bool {
        !matches!(self, Self::Append { .. } | Self::Line { .. })
    }
}

/// The parser counts lines of what it reads, which is one line of the journal.
fn without_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}
