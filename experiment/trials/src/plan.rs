//! Turns a plan, a YAML file with fixed settings and axes, into the trials of an experiment. Plans that cannot be run
//! are refused with line and field before anything starts.

mod changes;
mod file;
mod flags;
mod for_advice;
mod for_search;
mod grid;
mod reference;
#[cfg(test)]
mod tests;
mod text;
mod traces;
mod yaml;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wire::settings::MAX_FAILED;
use wire::{PayloadKeys, PayloadTemplate};

use self::file::PlanFile;
use self::flags::FLAG;
use self::traces::Traces;
use crate::cell::CellKey;
use crate::threshold::Threshold;
use crate::trial::{Trial, TrialSettings};

pub(crate) use self::flags::values;
pub use self::flags::{FlagField, THRESHOLD, flag_fields};
pub use self::reference::{page, schema};

pub const MAX_TRIALS: usize = 10_000;

/// Start, connection and clean-up of a trial, for estimating a plan's duration.
const TRIAL_OVERHEAD: Duration = Duration::from_secs(2);

/// A plan that can be run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: String,
    /// Windows of each trial that are run before the measured ones.
    pub warmup: u32,
    /// Measured windows of each trial.
    pub windows: u32,
    /// How often each cell is run.
    pub repeats: u32,
    /// How long a trial waits for results after its last window; then it is cut off.
    pub cut_off: Duration,
    pub order: Order,
    /// Seed of the order and, with the repeat added, of each trial.
    pub seed: u64,
    /// Events of the user's own.
    pub payloads: Option<Payloads>,
    /// Names, lengths and hashes of the files of latencies that its delays were read from.
    pub trace_files: Option<String>,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
    trials: Vec<Trial>,
}

/// Events of the user's own, in place of those of the generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payloads {
    /// The lines of a file.
    File {
        /// A path beside the plan's file unless it is absolute.
        path: PathBuf,
        /// Where each has its key.
        key_pointer: Option<String>,
    },
    /// A text with fields of each event.
    Template(String),
}

/// Such events as they were read before the first trial.
#[derive(Debug, Clone)]
pub struct OwnPayloads {
    pub payloads: Payloads,
    /// Their keys, if they have any.
    pub keys: Option<PayloadKeys>,
}

/// The order in which trials are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first axis changes slowest; repeats come after the whole grid.
    AsWritten,
    /// Shuffled with the plan's seed, the same on every run.
    Shuffled,
}

/// Why a plan cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    pub file: String,
    pub refusal: Refusal,
}

/// A line of a plan, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Line of the file, from 1; 0 for a flag.
    pub line: usize,
    /// Path of the field, such as `axes.rpu[1]`; empty for the whole file.
    pub field: String,
    /// The problem and what to do about it.
    pub problem: String,
}

impl Refusal {
    fn at(line: usize, field: &str, problem: impl ToString) -> Self {
        Self {
            line,
            field: field.to_owned(),
            problem: problem.to_string(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, field, problem } = self;
        match field.as_str() {
            "" => write!(f, "{line}: {problem}"),
            field => write!(f, "{line}: {field}: {problem}"),
        }
    }
}

/// `FILE:LINE: FIELD: PROBLEM`, or `FLAG: PROBLEM`.
impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, refusal } = self;
        if refusal.line != FLAG {
            return write!(f, "{file}:{refusal}");
        }
        match flags::flag_of(&refusal.field) {
            Some(flag) => write!(f, "{flag}: {}", refusal.problem),
            None => f.write_str(&refusal.problem),
        }
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    /// Reads a plan for this machine, whose number of cores some defaults depend on. `file_name` is for errors.
    ///
    /// # Errors
    /// Returns an error with line and field if the plan cannot be run.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, PlanError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self::parse_for(text, file_name, cores)
    }

    /// Reads a plan for a machine with this number of cores.
    ///
    /// # Errors
    /// Returns an error with line and field if the plan cannot be run.
    pub fn parse_for(text: &str, file_name: &str, cores: NonZeroUsize) -> Result<Self, PlanError> {
        Self::read(text, cores).map_err(|refusal| PlanError {
            file: file_name.to_owned(),
            refusal,
        })
    }

    /// A plan of a file (its text, and its name for errors), of flags (names of fields, and texts), or of both, for this
    /// machine; with its text as a file. A plan of flags alone is named after them where they do not name it.
    ///
    /// # Errors
    /// Returns an error with line and field, or with the flag, if the plan cannot be run or if a flag gives a field that the
    /// file gives.
    pub fn with_flags(
        file: Option<(&str, &str)>,
        flags: &[(&'static str, String)],
    ) -> Result<(Self, String), PlanError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let refused = |refusal| PlanError {
            file: file.map_or("", |(_, name)| name).to_owned(),
            refusal,
        };
        let mut written = Self::written(file, flags).map_err(refused)?;
        let mut plan = Self::of(&written, cores).map_err(refused)?;
        if written.name.is_empty() {
            written.name = format!("run-{:06x}", plan.hash() & 0xff_ffff);
            plan.name.clone_from(&written.name);
        }
        let text = match file {
            Some((text, _)) if flags.is_empty() && written.trace_files.is_none() => text.to_owned(),
            _ => text::text(&written),
        };
        Ok((plan, text))
    }

    /// A plan of a file with other `repeats`, and its text.
    ///
    /// # Errors
    /// Returns an error with line and field if the plan cannot be run.
    pub fn in_rounds(text: &str, file_name: &str, rounds: u32) -> Result<(Self, String), PlanError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let refused = |refusal| PlanError {
            file: file_name.to_owned(),
            refusal,
        };
        let mut written = Self::written(Some((text, file_name)), &[]).map_err(refused)?;
        written.repeats = rounds;
        if let Some(payloads) = &mut written.payloads {
            *payloads = beside(file_name, payloads);
        }
        let plan = Self::of(&written, cores).map_err(refused)?;
        Ok((plan, text::text(&written)))
    }

    /// What a file and flags write.
    fn written(file: Option<(&str, &str)>, flags: &[(&'static str, String)]) -> Result<PlanFile, Refusal> {
        let mut traces = Traces::beside(file.map_or("", |(_, name)| name));
        let mut written = match file {
            Some((text, _)) => {
                let mut document = yaml::read(text)?;
                traces.replace(&mut document)?;
                PlanFile::read(&document)?
            }
            None => PlanFile::empty(FLAG),
        };
        traces.begin_in_the_working_directory();
        for (name, text) in flags {
            flags::add(&mut written, name, &traces.of_flag(name, text)?)?;
        }
        written.trace_files = traces.fact();
        let is_kept_elsewhere = !flags.is_empty() || written.trace_files.is_some();
        if let (Some((_, name)), Some(payloads), true) = (file, &mut written.payloads, is_kept_elsewhere) {
            *payloads = beside(name, payloads);
        }
        Ok(written)
    }

    fn read(text: &str, cores: NonZeroUsize) -> Result<Self, Refusal> {
        Self::of(&PlanFile::read(&yaml::read(text)?)?, cores)
    }

    fn of(written: &PlanFile, cores: NonZeroUsize) -> Result<Self, Refusal> {
        let mut trials = grid::trials(written, cores)?;
        limit_failed(written, &mut trials)?;
        // Warm-up, windows and seed are equal in all trials, except that the repeat is added to the seed.
        let first = trials.iter().find(|trial| trial.repeat == 0);
        let Some(first) = first.map(|trial| trial.settings.clone()) else {
            return Err(Refusal::at(written.axes_line, "axes", "the plan has no trials"));
        };
        let payloads = payloads(written)?;
        Ok(Self {
            payloads,
            trace_files: written.trace_files.clone(),
            thresholds: written
                .thresholds
                .iter()
                .map(|(threshold, _)| threshold.clone())
                .collect(),
            seed: first.seed,
            name: written.name.clone(),
            warmup: first.warmup,
            windows: first.windows,
            repeats: written.repeats,
            cut_off: written.cut_off,
            order: written.order,
            trials,
        })
    }

    /// The thresholds of a plan's text; none if it cannot be read.
    pub fn thresholds_of(text: &str) -> Vec<Threshold> {
        let written = yaml::read(text).and_then(|node| PlanFile::read(&node));
        let thresholds = written.map(|plan| plan.thresholds).unwrap_or_default();
        thresholds.into_iter().map(|(threshold, _)| threshold).collect()
    }

    /// The trials in the order in which they are run.
    pub fn trials(&self) -> Vec<Trial> {
        self.trials.clone()
    }

    /// Estimated duration of the whole plan if every trial keeps up. A trial takes its windows, one more that closes the
    /// last, half a window of waiting for a boundary, and its overhead.
    pub fn duration(&self) -> Duration {
        let windows = self.warmup + self.windows + 1;
        self.trials
            .iter()
            .map(|trial| trial.settings.window)
            .map(|window| window * windows + window / 2 + TRIAL_OVERHEAD)
            .sum()
    }

    /// What has changed since `earlier`, in words; empty if nothing that matters has.
    pub fn changes_since(&self, earlier: &Self) -> String {
        changes::changes(earlier, self)
    }

    /// Equal for plans with the same name, trials and cut-off, regardless of layout, comments and order.
    pub fn hash(&self) -> u64 {
        let mut trials: Vec<String> = self
            .trials
            .iter()
            .map(|trial| format!("{}:{}", trial.id, meaning(&trial.settings)))
            .collect();
        trials.sort_unstable();
        fnv1a(format!("{}\n{:?}\n{}", self.name, self.cut_off, trials.join("\n")).as_bytes())
    }
}

/// Events of the user's own, if the plan has any.
fn payloads(written: &PlanFile) -> Result<Option<Payloads>, Refusal> {
    let refused = |field: &str, problem: &str| {
        let line = written.line_of(field).unwrap_or(1);
        Err(Refusal::at(line, field, problem))
    };
    let payloads = match (&written.payloads, &written.payload_template) {
        (Some(_), Some(_)) => {
            return refused("payload_template", "excludes `payloads`: leave one of them out");
        }
        (Some(path), None) => Payloads::File {
            path: PathBuf::from(path),
            key_pointer: written.key_pointer.clone(),
        },
        (None, Some(text)) => match PayloadTemplate::new(text, 0) {
            Ok(_) => Payloads::Template(text.clone()),
            Err(error) => return refused("payload_template", &error.to_string()),
        },
        (None, None) if written.key_pointer.is_some() => {
            let problem = "the generator's own events have no such place: name a file by `payloads`";
            return refused("key_pointer", problem);
        }
        (None, None) => return Ok(None),
    };
    if written.payload_template.is_some() && written.key_pointer.is_some() {
        let problem = "the keys of a template's events are the generator's: leave it out";
        return refused("key_pointer", problem);
    }
    if written.line_of("payload_size").is_some() {
        let problem = match payloads {
            Payloads::File { .. } => "has no effect with `payloads`: leave it out",
            Payloads::Template(_) => "has no effect with `payload_template`: leave it out",
        };
        return refused("payload_size", problem);
    }
    Ok(Some(payloads))
}

/// Checks that each threshold chooses a cell. One of `failed` is also what the verdict on its cells allows.
fn limit_failed(written: &PlanFile, trials: &mut [Trial]) -> Result<(), Refusal> {
    for (threshold, line) in &written.thresholds {
        let mut selected = trials
            .iter_mut()
            .filter(|trial| threshold.selects(&CellKey::of(&trial.settings)))
            .peekable();
        if selected.peek().is_none() {
            let problem = format!("`{threshold}` chooses none of the plan's cells");
            return Err(Refusal::at(*line, flag_or_field(*line), problem));
        }
        let Some(share) = threshold.failed_share() else {
            continue;
        };
        if let Some(line) = written.line_of(MAX_FAILED.name) {
            let problem = format!("is also limited by the threshold `{threshold}`: keep one of them");
            return Err(Refusal::at(line, MAX_FAILED.name, problem));
        }
        for trial in selected {
            let least = trial.settings.max_failed.unwrap_or(share);
            trial.settings.max_failed = Some(share.min(least));
        }
    }
    Ok(())
}

const fn flag_or_field(line: usize) -> &'static str {
    match line {
        FLAG => flags::THRESHOLD,
        _ => file::THRESHOLDS,
    }
}

/// The absolute path of a file beside another.
fn beside(file: &str, path: &str) -> String {
    let beside = Path::new(file).parent().unwrap_or(Path::new("")).join(path);
    let absolute = std::path::absolute(&beside).unwrap_or(beside);
    absolute.to_string_lossy().into_owned()
}

/// The settings as text, equal for equal trials.
fn meaning(settings: &TrialSettings) -> String {
    serde_json::to_string(settings).unwrap_or_else(|_| format!("{settings:?}"))
}

/// FNV-1a, 64 bits. Unlike the standard library's hashes it is stable across versions.
pub fn fnv1a<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
