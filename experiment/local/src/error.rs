//! Why a trial on this machine cannot be run.

use std::io;
use std::path::PathBuf;

use launcher::LaunchError;

use engine::EngineError;
use trials::endpoint_url::NeedsOurEndpoint;

/// Why a trial could not be run to its end, or the engine not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A binary is not where the experiment's own is.
    #[error("the program `{process}` is missing: expected it beside experiment, at `{}`; build all of them first", path.display())]
    Missing {
        /// Its name.
        process: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A folder for the sockets cannot be made.
    #[error("TMPDIR: cannot make a folder for sockets in `{}`: {source}", parent.display())]
    Folder {
        /// The folder for temporary files.
        parent: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder for temporary files has too long a path.
    #[error("TMPDIR: `{}` is too long for the path of a Unix socket in it: choose a shorter one", parent.display())]
    FolderTooLong {
        /// The folder for temporary files.
        parent: PathBuf,
    },
    /// The client that reads `/stats` cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// Nothing that speaks HTTP answers at the user's own endpoint.
    #[error("--endpoint-url: `{url}`: {what}; start your endpoint there or correct the URL")]
    EndpointSilent {
        /// What was called.
        url: String,
        /// What happened.
        what: String,
    },
    /// The user's own endpoint does not answer calls with success.
    #[error("--endpoint-url: `{url}` answers {status}: {advice}; it must answer with a 2xx status")]
    EndpointStatus {
        /// What was called.
        url: String,
        /// The answer's status.
        status: reqwest::StatusCode,
        /// What that means.
        advice: &'static str,
    },
    /// A trial needs our own endpoint.
    #[error(transparent)]
    NeedsOurEndpoint(#[from] NeedsOurEndpoint),
    /// A process cannot be started, ended though it should not have, or was not ready in time.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The data plane failed.
    #[error("data plane: {0}")]
    DataPlane(#[source] dataplane::Error),
    /// The data plane or the sink's output ended without an error, but too early.
    #[error("the data plane or the sink's output ended before the trial")]
    Stopped,
    /// The sink's output cannot be read.
    #[error("cannot read the output of sink: {0}")]
    SinkRead(#[source] io::Error),
    /// The sink wrote something that is none of its lines.
    #[error("sink wrote a line that is not of its form: {source}")]
    SinkLine {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line of the sink is missing.
    #[error("line {expected} of sink is missing: the next one is {found}")]
    SinkGap {
        /// The number that was to come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A line of the sink came again.
    #[error("line {line} of sink came twice")]
    SinkRepeats {
        /// Its number.
        line: u64,
    },
    /// `/stats` cannot be read.
    #[error("cannot read /stats of {process}: {source}")]
    Stats {
        /// Its name.
        process: &'static str,
        /// What the client said.
        source: reqwest::Error,
    },
}

impl LocalError {
    /// Whether a setting is wrong, in contrast to something that failed.
    pub fn is_wrong_use(&self) -> bool {
        matches!(
            self,
            Self::Folder { .. } | Self::FolderTooLong { .. } | Self::NeedsOurEndpoint(_)
        )
    }
}

impl From<LocalError> for EngineError {
    fn from(error: LocalError) -> Self {
        Self::new(error.is_wrong_use(), error)
    }
}
