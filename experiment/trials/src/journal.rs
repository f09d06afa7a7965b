//! `journal.jsonl`: one line when a run starts or is resumed, and one when a trial ends. It is the only input of the
//! report.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::outcome::{TrialEnd, TrialOutcome};
use crate::plan::Plan;
use crate::search::SearchFacts;
use crate::threshold::Reference;

pub use error::JournalError;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "line")]
pub enum JournalLine {
    /// A run started, or was resumed.
    Run(RunFacts),
    /// A trial ended.
    Trial(Box<TrialOutcome>),
}

/// Facts that hold for all trials of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    pub plan_name: String,
    /// The plan's file, unchanged.
    pub plan_text: String,
    /// Number of trials in the plan, regardless of `--only`.
    pub trials: usize,
    /// Name of the engine.
    pub engine: String,
    /// When it started, microseconds since the epoch.
    pub started_us: u64,
    /// Facts of the machine and versions, by name: `os`, `kernel`, `cpu`, `cores`, `memory`, `async-reduce`, ….
    pub machine: BTreeMap<String, String>,
    /// The command line, for repeating the run.
    pub command: String,
    /// The figures of kept runs that its thresholds are compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// `None` unless its trials are those of a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchFacts>,
}

/// Parts that a user may replace. A replaced part is named in [`RunFacts::machine`].
pub const REPLACEABLE: [&str; 4] = ["endpoint", UDF, "payload file", "payload template"];

/// The facts of the parts that are replaced, in the order of [`REPLACEABLE`].
pub fn replaced(parts: [Option<String>; REPLACEABLE.len()]) -> impl Iterator<Item = (String, String)> {
    let named = REPLACEABLE.into_iter().zip(parts);
    named.filter_map(|(name, part)| Some((name.to_owned(), format!("your own, {}", part?))))
}

/// The fact that names the user's own UDF.
pub const UDF: &str = "udf";

pub const FILE_NAME: &str = "journal.jsonl";

/// The journal of a running experiment, locked against other writers.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    whole: WholeLines<File>,
    lines: Vec<JournalLine>,
}

/// A file, or a fake in tests.
trait Storage: Write {
    /// Returns when everything written is on disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Truncates to `length` bytes.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Appends lines, each completely or not at all.
#[derive(Debug)]
struct WholeLines<S> {
    storage: S,
    /// Length of the complete lines in bytes.
    length: u64,
}

impl<S: Storage> WholeLines<S> {
    fn append(&mut self, line: &JournalLine) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let written = self.storage.write_all(&bytes).and_then(|()| self.storage.sync());
        match written {
            Ok(()) => self.length += bytes.len() as u64,
            // If this fails too, an incomplete last line remains, which readers ignore.
            Err(_) => drop(self.storage.truncate(self.length)),
        }
        written
    }
}

impl Journal {
    /// Opens the journal in `folder`, creating both if needed, and appends the first line of this run.
    /// With `resume`, continues an earlier run of the same plan; an incomplete last line is removed.
    ///
    /// # Errors
    /// Returns an error if there is a journal and `resume` is false, if the journal belongs to another plan, is locked
    /// or unreadable, or if the folder cannot be written to.
    pub fn open(folder: &Path, facts: RunFacts, resume: bool) -> Result<Self, JournalError> {
        std::fs::create_dir_all(folder).map_err(|source| JournalError::CreateFolder {
            folder: folder.to_owned(),
            source,
        })?;
        let path = folder.join(FILE_NAME);
        let open_error = |source| JournalError::Open {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(open_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Held(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(open_error(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(open_error)?;
        let (lines, length) = parse(&path, &bytes)?;
        if let Some(found) = lines.iter().find_map(other_plan(&facts)) {
            return Err(match changes(found, &facts) {
                Some(changes) => JournalError::ChangedPlan {
                    path,
                    name: facts.plan_name,
                    changes,
                },
                None => JournalError::OtherPlan {
                    path,
                    found: found.plan_name.clone(),
                },
            });
        }
        if let Some(part) = other_part(&lines, &facts) {
            return Err(JournalError::OtherPart { path, part });
        }
        if !lines.is_empty() && !resume {
            return Err(JournalError::Exists(folder.to_owned()));
        }
        file.set_len(length).map_err(open_error)?;
        // A new file's name is durable only after its folder has been synced.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(open_error)?;
        let mut journal = Self {
            path,
            whole: WholeLines {
                storage: file,
                length,
            },
            lines,
        };
        journal.append(JournalLine::Run(facts))?;
        Ok(journal)
    }

    /// Appends a line and syncs it to disk.
    ///
    /// # Errors
    /// Returns [`JournalError::Append`] if it cannot be written; the file is then unchanged.
    pub fn append(&mut self, line: JournalLine) -> Result<(), JournalError> {
        self.whole.append(&line).map_err(|source| JournalError::Append {
            path: self.path.clone(),
            source,
        })?;
        self.lines.push(line);
        Ok(())
    }

    /// All lines, oldest first.
    pub fn lines(&self) -> &[JournalLine] {
        &self.lines
    }
}

/// Reads the journal in a folder. An incomplete last line is ignored.
///
/// # Errors
/// Returns an error if there is no journal or one of its lines cannot be parsed.
pub fn read(folder: &Path) -> Result<Vec<JournalLine>, JournalError> {
    let path = folder.join(FILE_NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(JournalError::Missing(folder.to_owned()));
        }
        Err(source) => return Err(JournalError::Open { path, source }),
    };
    let (lines, _) = parse(&path, &bytes)?;
    if lines.is_empty() {
        return Err(JournalError::Missing(folder.to_owned()));
    }
    Ok(lines)
}

/// The latest outcome of each trial, by its id; earlier ones do not count.
pub fn latest(lines: &[JournalLine]) -> BTreeMap<&str, &TrialOutcome> {
    let outcomes = lines.iter().filter_map(|line| match line {
        JournalLine::Trial(outcome) => Some((outcome.trial.id.as_str(), outcome.as_ref())),
        JournalLine::Run(_) => None,
    });
    outcomes.collect()
}

/// The complete lines and their length in bytes.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<JournalLine>, u64), JournalError> {
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate();
    let lines = lines.map(|(number, line)| {
        serde_json::from_slice(line).map_err(|error| JournalError::Line {
            path: path.to_owned(),
            line: number + 1,
            error,
        })
    });
    Ok((lines.collect::<Result<_, _>>()?, whole as u64))
}

/// Returns the run of a line if its plan is another than that of `facts`.
fn other_plan(facts: &RunFacts) -> impl Fn(&JournalLine) -> Option<&RunFacts> {
    |line| match line {
        JournalLine::Run(run) if !same_plan(&run.plan_text, &facts.plan_text) => Some(run),
        _ => None,
    }
}

/// In what a plan of the same name has changed, if both can be read.
fn changes(earlier: &RunFacts, now: &RunFacts) -> Option<String> {
    let plan = |text| Plan::parse(text, "plan").ok();
    let (before, after) = (plan(&earlier.plan_text)?, plan(&now.plan_text)?);
    (before.name == after.name).then(|| after.changes_since(&before))
}

/// Returns the replaceable part that differs between `facts` and a run with usable outcomes: measurements of two UDFs
/// must not be merged into one report. Failed trials do not count, since they are run again.
fn other_part(lines: &[JournalLine], facts: &RunFacts) -> Option<&'static str> {
    let mut other = None;
    for line in lines {
        match line {
            JournalLine::Run(run) => {
                let differs = |part: &&'static str| run.machine.get(*part) != facts.machine.get(*part);
                other = REPLACEABLE.into_iter().find(differs);
            }
            JournalLine::Trial(outcome) if matches!(outcome.end, TrialEnd::Failed { .. }) => {}
            JournalLine::Trial(_) if other.is_some() => return other,
            JournalLine::Trial(_) => {}
        }
    }
    None
}

/// Whether two texts are the same plan, apart from layout and comments.
fn same_plan(a: &str, b: &str) -> bool {
    let hash = |text| Plan::parse(text, "plan").map(|plan| plan.hash());
    a == b || matches!((hash(a), hash(b)), (Ok(a), Ok(b)) if a == b)
}
