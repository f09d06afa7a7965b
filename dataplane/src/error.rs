//! Errors of a run, each with the vertex at which it occurred.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A vertex of the pipeline that the data plane drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vertex {
    /// The user-defined source.
    Source,
    /// The reduce UDF.
    Reduce,
    /// The user-defined sink.
    Sink,
}

/// Why the data plane cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot work.
    #[error("{setting} {reason}")]
    Config {
        /// The field of the configuration.
        setting: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The server-info file of the vertex's process did not appear in time.
    #[error("{vertex}: its process has not written the server-info file `{}` within {patience:?}; an SDK's server writes it once it serves", path.display())]
    ServerInfo {
        /// The vertex.
        vertex: Vertex,
        /// The missing or incomplete file.
        path: PathBuf,
        /// How long the data plane waited for it.
        patience: Duration,
    },
    /// The vertex does not answer on its socket, or answers that it is not ready.
    #[error("{vertex}: not ready on socket `{}` within {patience:?}: {reason}", socket.display())]
    NotReady {
        /// The vertex.
        vertex: Vertex,
        /// Its socket.
        socket: PathBuf,
        /// How long the data plane tried.
        patience: Duration,
        /// Why the last try failed.
        reason: String,
    },
    /// A call to the vertex failed, or its process has ended.
    #[error("{vertex}: {doing} failed: {} ({:?})", status.message(), status.code())]
    Call {
        /// The vertex.
        vertex: Vertex,
        /// The operation that failed.
        doing: &'static str,
        /// The status of the call.
        status: Box<tonic::Status>,
    },
    /// The vertex sent what Numaflow's protocol does not allow.
    #[error("{vertex}: breaks the protocol: {reason}")]
    Protocol {
        /// The vertex.
        vertex: Vertex,
        /// What it sent or left out.
        reason: String,
    },
    /// The sink refused results in every try.
    #[error("sink: {failed} messages still failed after {tries} tries, the last said: {reason}")]
    SinkRetries {
        /// Messages that failed in the last try.
        failed: usize,
        /// Number of tries.
        tries: u32,
        /// The sink's error message for one of them.
        reason: String,
    },
    /// A task of the data plane panicked: a defect in this crate.
    #[error("the data plane broke down: {0}")]
    Task(#[source] tokio::task::JoinError),
}

impl fmt::Display for Vertex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Source => "source",
            Self::Reduce => "reduce",
            Self::Sink => "sink",
        })
    }
}

impl Vertex {
    /// Turns a status into the error of the operation `doing` at this vertex.
    pub(crate) fn call_error(self, doing: &'static str) -> impl FnOnce(tonic::Status) -> Error {
        move |status| Error::Call {
            vertex: self,
            doing,
            status: Box::new(status),
        }
    }

    /// A violation of the protocol by this vertex.
    pub(crate) fn protocol_error(self, reason: impl Into<String>) -> Error {
        Error::Protocol {
            vertex: self,
            reason: reason.into(),
        }
    }
}
