//! Where the programs are: ours beside this one, the peers' where `peers/set-up` has put them.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::child::command;
use crate::error::BenchError;
use crate::line::Goal;

/// Where `peers/set-up` installs the peers.
pub const CACHE: &str = ".cache/bench";

/// The UDF on pynumaflow.
const PYTHON_UDF: &str = "bench/peers/python/udf.py";

/// Where the peers on pynumaflow are, and the function that some of them call.
const PYTHON_PEERS: &str = "bench/peers/python";

/// The pool of an ordinary function on pynumaflow.
const PYTHON_LEGACY: &str = "bench/peers/python/legacy.py";

/// `examples/score` on pynumaflow.
const PYTHON_SCORE: &str = "bench/peers/python/score.py";

/// The function in a loop, without a UDF.
const PYTHON_LOOP: &str = "bench/peers/python/loop.py";

/// The worker of a process pool in Python, of whatever function.
const PYTHON_WORKER: &str = "examples/workers/python/async_reduce_worker.py";

/// Our programs.
const OURS: [&str; 8] = [
    "endpoint",
    "generator",
    "udf",
    "sink",
    "experiment",
    "nothing",
    "score",
    "score-reqwest",
];

/// The programs of this machine.
#[derive(Debug)]
pub struct Programs {
    own: PathBuf,
    folder: PathBuf,
}

/// A reduce UDF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Udf {
    /// Ours with its default HTTP client, hyper.
    Ours,
    /// Ours with reqwest.
    Reqwest,
    /// The same on the Go SDK.
    Go,
    /// The same on pynumaflow.
    Python,
    /// The same, with a connection for each call, as the original's thread pool has it.
    PythonAnew,
    /// A reducer on the Rust SDK that only counts.
    Counter,
    /// The same on one thread.
    CounterOnOneThread,
    /// A program on our library whose calls do nothing and whose aggregate counts.
    Nothing,
    /// The same with records beside its results.
    Recorded,
    /// Ours with workers in Python.
    Worker,
    /// The same function in the pool of pynumaflow.
    PythonLegacy,
    /// `examples/score` with the library's HTTP client.
    Score,
    /// The same with reqwest.
    ScoreReqwest,
    /// The same on the Go SDK.
    ScoreGo,
    /// The same on pynumaflow.
    ScorePython,
}

impl Udf {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Reqwest => "ours, --http-client reqwest",
            Self::Go | Self::ScoreGo => "Go SDK",
            Self::Python | Self::ScorePython => "pynumaflow",
            Self::PythonAnew => "pynumaflow, a connection per call",
            Self::Counter => "bare counter",
            Self::CounterOnOneThread => "bare counter on one thread",
            Self::Nothing => "calls that do nothing",
            Self::Recorded => "calls that do nothing, with records",
            Self::Worker => "ours, workers in Python",
            Self::PythonLegacy => "pynumaflow, ProcessPoolExecutor",
            Self::Score => "score",
            Self::ScoreReqwest => "score-reqwest",
        }
    }

    /// The goals are those of the default client; the other stands beside it to be seen.
    pub fn goal(self, goal: Goal) -> Goal {
        match self {
            Self::Reqwest => Goal::Seen,
            _ => goal,
        }
    }
}

impl Programs {
    /// Finds our programs beside this one.
    pub fn find() -> Result<Self, BenchError> {
        let own = std::env::current_exe().map_err(|source| BenchError::File {
            doing: "finding",
            path: "bench".into(),
            source,
        })?;
        let folder = own.parent().unwrap_or(Path::new(".")).to_owned();
        for name in OURS {
            let path = folder.join(name);
            if !path.is_file() {
                return Err(BenchError::Missing(path));
            }
        }
        Ok(Self { own, folder })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A command for one of our programs.
    pub fn ours(&self, name: &str) -> Command {
        let mut command = command(&self.path(name));
        command.env("STOP_ON_STDIN_CLOSE", "true");
        command
    }

    /// A command for one of the minimal programs, which are subcommands of this one.
    pub fn bare(&self, name: &str) -> Command {
        let mut command = command(&self.own);
        command.args(["bare", name]);
        command
    }

    /// A command for the loop over a function in Python; `None` if Python is not installed.
    pub fn bare_python(&self) -> Option<Command> {
        let mut command = command(&cached("python/bin/python")?);
        command.arg(PYTHON_LOOP);
        Some(command)
    }

    /// A command for a UDF; `None` if it is not installed.
    pub fn udf(&self, udf: Udf) -> Option<Command> {
        Some(match udf {
            Udf::Ours => self.ours("udf"),
            Udf::Reqwest => {
                let mut command = self.ours("udf");
                command.env("HTTP_CLIENT", "reqwest");
                command
            }
            Udf::Go => command(&cached("go-udf")?),
            Udf::Python | Udf::PythonAnew => {
                let mut command = command(&cached("python/bin/python")?);
                command.arg(PYTHON_UDF);
                if udf == Udf::PythonAnew {
                    command.env("CONNECTIONS", "per-call");
                }
                command
            }
            Udf::Counter => self.bare("counter"),
            Udf::CounterOnOneThread => {
                let mut command = self.bare("counter");
                command.arg("--one-thread");
                command
            }
            Udf::Nothing => self.ours("nothing"),
            Udf::Recorded => {
                let mut command = self.ours("nothing");
                command.env("RECORDS", "beside");
                command
            }
            Udf::Worker => {
                let python = cached("python/bin/python")?;
                let mut command = self.ours("udf");
                command.env("PYTHONPATH", PYTHON_PEERS).env(
                    "WORKER_COMMAND",
                    format!("{} {PYTHON_WORKER} no_time:score", python.display()),
                );
                command
            }
            Udf::Score => self.ours("score"),
            Udf::ScoreReqwest => self.ours("score-reqwest"),
            Udf::ScoreGo => command(&cached("go-score")?),
            Udf::PythonLegacy | Udf::ScorePython => {
                let mut command = command(&cached("python/bin/python")?);
                command.arg(match udf {
                    Udf::ScorePython => PYTHON_SCORE,
                    _ => PYTHON_LEGACY,
                });
                command
            }
        })
    }
}

/// A program that `peers/set-up` has installed.
fn cached(name: &str) -> Option<PathBuf> {
    Some(Path::new(CACHE).join(name)).filter(|path| path.exists())
}
