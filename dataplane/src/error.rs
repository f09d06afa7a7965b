//! What can go wrong while a pipeline is driven, always with the vertex that it went wrong at.

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
    /// The vertex' process has not said that it is up.
    #[error("{vertex}: server-info file `{}` was not complete within {patience:?}: is its process running?", path.display())]
    ServerInfo {
        /// The vertex.
        vertex: Vertex,
        /// The file that was awaited.
        path: PathBuf,
        /// How long it was awaited.
        patience: Duration,
    },
    /// The vertex does not answer on its socket, or does not say that it is ready.
    #[error("{vertex}: not ready on socket `{}` within {patience:?}: {reason}", socket.display())]
    NotReady {
        /// The vertex.
        vertex: Vertex,
        /// Its socket.
        socket: PathBuf,
        /// How long it was tried.
        patience: Duration,
        /// What the last try said.
        reason: String,
    },
    /// A call to the vertex failed, or its process is gone.
    #[error("{vertex}: {doing} failed: {} ({:?})", status.message(), status.code())]
    Call {
        /// The vertex.
        vertex: Vertex,
        /// What was being done.
        doing: &'static str,
        /// What gRPC said.
        status: Box<tonic::Status>,
    },
    /// The vertex answered what Numaflow's protocol does not allow.
    #[error("{vertex}: breaks the protocol: {reason}")]
    Protocol {
        /// The vertex.
        vertex: Vertex,
        /// What it did.
        reason: String,
    },
    /// The sink went on failing.
    #[error("sink: {failed} messages still failed after {tries} tries, the last said: {reason}")]
    SinkRetries {
        /// Messages without success.
        failed: usize,
        /// How often they were tried.
        tries: u32,
        /// The sink's words.
        reason: String,
    },
    /// A part of the data plane broke down: a defect here.
    #[error("the data plane broke down: {0}")]
    Stage(#[source] tokio::task::JoinError),
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
    /// An error of gRPC while `doing` something with this vertex.
    pub(crate) fn failed(self, doing: &'static str) -> impl FnOnce(tonic::Status) -> Error {
        move |status| Error::Call {
            vertex: self,
            doing,
            status: Box::new(status),
        }
    }

    /// A breach of the protocol by this vertex.
    pub(crate) fn broke(self, reason: impl Into<String>) -> Error {
        Error::Protocol {
            vertex: self,
            reason: reason.into(),
        }
    }
}
