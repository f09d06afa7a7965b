//! `journal.jsonl`: one line when a run starts or is resumed, one for every trial as it ends. The report is drawn
//! from it alone.

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

pub use error::JournalError;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "line")]
pub enum JournalLine {
    /// A run started, or was resumed.
    Run(RunFacts),
    /// A trial ended.
    Trial(Box<TrialOutcome>),
}

/// What is true of a whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Name of the plan.
    pub plan_name: String,
    /// The plan's text as it was read.
    pub plan_text: String,
    /// Number of trials the plan has (`--only` not counted).
    pub trials: usize,
    /// Engine that runs the trials.
    pub engine: String,
    /// When it started, microseconds since the epoch.
    pub started_us: u64,
    /// Facts of the machine and versions, by name: `os`, `kernel`, `cpu`, `cores`, `memory`, `async-reduce`, ….
    pub machine: BTreeMap<String, String>,
    /// The command that repeats it.
    pub command: String,
}

/// Parts that a user may replace; where one is, the machine's facts name it.
pub const REPLACEABLE: [&str; 2] = ["endpoint", "udf"];

/// The journal's name in its folder.
pub const FILE_NAME: &str = "journal.jsonl";

/// The journal of a run that is under way; nobody else can open it for writing meanwhile.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    whole: WholeLines<File>,
    lines: Vec<JournalLine>,
}

/// What lines are added to: a file, or what a test puts in its place.
trait Storage: Write {
    /// Returns when everything written is safe.
    fn sync(&mut self) -> io::Result<()>;
    /// Takes off what is beyond so many bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Adds lines, each whole or not at all.
#[derive(Debug)]
struct WholeLines<S> {
    storage: S,
    /// Bytes of the lines that are whole.
    length: u64,
}

impl<S: Storage> WholeLines<S> {
    fn append(&mut self, line: &JournalLine) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let written = self.storage.write_all(&bytes).and_then(|()| self.storage.sync());
        match written {
            Ok(()) => self.length += bytes.len() as u64,
            // If this fails too, the half line that stays is one that readers take as absent.
            Err(_) => drop(self.storage.cut(self.length)),
        }
        written
    }
}

impl Journal {
    /// Opens the journal in `folder`, which is made if need be, and writes the line that a run starts with.
    /// With `resume` an earlier run of the same plan is continued: a last line that was cut is taken off.
    ///
    /// # Errors
    /// Where there is a journal without `resume`, one of another plan, one that is held or broken, or the
    /// folder cannot be written to.
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
            return Err(JournalError::OtherPlan { path, found });
        }
        if let Some(part) = other_part(&lines, &facts) {
            return Err(JournalError::OtherPart { path, part });
        }
        if !lines.is_empty() && !resume {
            return Err(JournalError::Exists(folder.to_owned()));
        }
        file.set_len(length).map_err(open_error)?;
        // The name of a new file is safe only when its folder is.
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

    /// Adds a line; on return it is on the disk, whole.
    ///
    /// # Errors
    /// [`JournalError::Append`]; the file is then as it was before.
    pub fn append(&mut self, line: JournalLine) -> Result<(), JournalError> {
        self.whole.append(&line).map_err(|source| JournalError::Append {
            path: self.path.clone(),
            source,
        })?;
        self.lines.push(line);
        Ok(())
    }

    /// Its lines, oldest first.
    pub fn lines(&self) -> &[JournalLine] {
        &self.lines
    }
}

/// Reads the journal in a folder; a last line that was cut is taken as absent.
///
/// # Errors
/// Where there is none, or one of its lines is broken.
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

/// The outcome that counts for every trial, by its id: the latest.
pub fn latest(lines: &[JournalLine]) -> BTreeMap<&str, &TrialOutcome> {
    let outcomes = lines.iter().filter_map(|line| match line {
        JournalLine::Trial(outcome) => Some((outcome.trial.id.as_str(), outcome.as_ref())),
        JournalLine::Run(_) => None,
    });
    outcomes.collect()
}

/// The whole lines and the bytes they take.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<JournalLine>, u64), JournalError> {
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate();
    let lines = lines.map(|(number, line)| {
        serde_json::from_slice(line).map_err(|source| JournalError::Line {
            path: path.to_owned(),
            line: number + 1,
            source,
        })
    });
    Ok((lines.collect::<Result<_, _>>()?, whole as u64))
}

/// Finds the name of a plan that is not the one of `facts`.
fn other_plan(facts: &RunFacts) -> impl Fn(&JournalLine) -> Option<String> {
    |line| match line {
        JournalLine::Run(run) if !same_plan(&run.plan_text, &facts.plan_text) => Some(run.plan_name.clone()),
        _ => None,
    }
}

/// Finds a part, with which a trial has an outcome that counts, that is not the one of `facts`: figures of two UDFs must
/// not become one report. Failed trials are run again, as after a wrong command.
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

/// Whether two texts ask the same, be it in other words.
fn same_plan(a: &str, b: &str) -> bool {
    let hash = |text| Plan::parse(text, "plan").map(|plan| plan.hash());
    a == b || matches!((hash(a), hash(b)), (Ok(a), Ok(b)) if a == b)
}
