//! `journal.jsonl`: one line when a run starts or is resumed, one for every trial as it ends. The report is drawn
//! from it alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outcome::TrialOutcome;

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
