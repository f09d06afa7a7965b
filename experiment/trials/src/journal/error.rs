//! Why a journal cannot be read or written, each in one line for the user.

use std::io;
use std::path::PathBuf;

use super::FILE_NAME;

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder cannot be made.
    #[error("--out: cannot create the folder `{}`: {source}", folder.display())]
    CreateFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be opened.
    #[error("cannot open `{}`: {source}", path.display())]
    Open {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run holds it.
    #[error("--out: another run is writing to `{}`: wait for its end or choose another folder", .0.display())]
    Held(PathBuf),
    /// There is one already.
    #[error("--out: `{}` holds a journal of an earlier run: continue it with --resume, or choose another folder", .0.display())]
    Exists(PathBuf),
    /// It was written with another endpoint or UDF.
    #[error("--out: `{}` holds the journal of a run with another {part}: choose another folder", path.display())]
    OtherPart {
        /// The journal.
        path: PathBuf,
        /// Which part.
        part: &'static str,
    },
    /// It belongs to another plan.
    #[error("--out: `{}` holds the journal of another plan (`{found}`): choose another folder", path.display())]
    OtherPlan {
        /// The journal.
        path: PathBuf,
        /// Name of the plan it belongs to.
        found: String,
    },
    /// There is none.
    #[error("`{}` holds no journal with a run: expected {FILE_NAME} as `experiment run` writes it", .0.display())]
    Missing(PathBuf),
    /// A line that is not the last is no journal line.
    #[error("`{}` line {line} is not a line of a journal: {source}", path.display())]
    Line {
        /// The journal.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line could not be written; what was written of it has been taken back.
    #[error("cannot write to `{}`: {source}; all trials before are kept, make room and continue with --resume", path.display())]
    Append {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl JournalError {
    /// Whether the command was wrong, in contrast to something that failed.
    pub fn is_wrong_use(&self) -> bool {
        !matches!(self, Self::Append { .. } | Self::Line { .. })
    }
}
