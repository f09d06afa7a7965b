//! Errors of the local engine, each one line for the user.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::EngineError;
use launcher::LaunchError;
use trials::endpoint_url::NeedsOurEndpoint;

use crate::fixed_place::FixedPlaceError;

/// Why a trial could not be run to its end, or the engine could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("the program `{process}` is missing: expected it beside experiment, at `{}`; build all of them first", path.display())]
    Missing { process: &'static str, path: PathBuf },
    #[error("TMPDIR: cannot create a folder for sockets in `{}`: {source}", parent.display())]
    Folder { parent: PathBuf, source: io::Error },
    #[error("TMPDIR: `{}` is too long for the path of a Unix socket in it: choose a shorter one", parent.display())]
    FolderTooLong { parent: PathBuf },
    #[error("cannot create an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// No HTTP answer from the user's own endpoint.
    #[error("--endpoint-url: `{url}`: {reason}{}", mend(reason))]
    EndpointSilent { url: String, reason: String },
    /// The file of further authorities could not be read.
    #[error("--ca-file: `{}`: {reason}", path.display())]
    CaFile { path: PathBuf, reason: String },
    /// An answer without a success status from the user's own endpoint.
    #[error("--endpoint-url: `{url}` answers {status}: {advice}; it must answer with a 2xx status")]
    EndpointStatus {
        url: String,
        status: reqwest::StatusCode,
        advice: &'static str,
    },
    #[error(transparent)]
    NeedsOurEndpoint(#[from] NeedsOurEndpoint),
    #[error(transparent)]
    FixedPlace(#[from] FixedPlaceError),
    /// A process could not be started, ended early, or was not ready in time.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The user's own UDF runs, but does not serve where it should.
    #[error("{}{}{stderr}", no_server_info(path, *patience, *fixed),
        if stderr.is_empty() { "" } else { "; its standard error follows\n" })]
    NoServerInfo {
        path: PathBuf,
        patience: Duration,
        /// Whether the user has named the path.
        fixed: bool,
        /// The last lines of its standard error.
        stderr: String,
    },
    #[error("data plane: {0}")]
    DataPlane(#[source] dataplane::Error),
    #[error("the data plane or the sink's output ended before the trial")]
    Stopped,
    #[error("cannot read the output of sink: {0}")]
    SinkRead(#[source] io::Error),
    #[error("sink wrote a line that cannot be parsed: {source}")]
    SinkLine { source: serde_json::Error },
    #[error("line {expected} of sink is missing: the next one is {found}")]
    SinkGap { expected: u64, found: u64 },
    #[error("line {line} of sink is repeated")]
    SinkRepeats { line: u64 },
    #[error("cannot read /stats of {process}: {source}")]
    Stats {
        process: &'static str,
        source: reqwest::Error,
    },
}

impl LocalError {
    /// Whether a setting is wrong, as opposed to a failure.
    pub fn is_wrong_use(&self) -> bool {
        matches!(
            self,
            Self::Folder { .. }
                | Self::FolderTooLong { .. }
                | Self::CaFile { .. }
                | Self::NeedsOurEndpoint(_)
                | Self::FixedPlace(_)
        )
    }
}

impl From<LocalError> for EngineError {
    fn from(error: LocalError) -> Self {
        Self::new(error.is_wrong_use(), error)
    }
}

fn no_server_info(path: &Path, patience: Duration, fixed: bool) -> String {
    let (path, patience) = (path.display(), wire::format_duration(patience));
    match fixed {
        true => format!(
            "--udf-server-info: the UDF wrote no server-info file to `{path}` within {patience}: name the paths that it \
             uses, here and by --udf-socket"
        ),
        false => format!(
            "--udf-command: the UDF wrote no server-info file within {patience}: its SDK's server must write it to the \
             path in the variable SERVER_INFO (`{path}`) once it serves on the socket in SOCKET; for a UDF with paths of \
             its own, name these by --udf-socket and --udf-server-info"
        ),
    }
}

/// What to do about an endpoint that gives no answer, unless the reason says it.
fn mend(reason: &str) -> &'static str {
    match reason.contains("--ca-file") {
        true => "",
        false => "; start your endpoint there or correct the URL",
    }
}
