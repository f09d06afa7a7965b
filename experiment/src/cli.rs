//! The commands: from arguments to the library and from its errors to exit statuses.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::CommandFactory;
use experiment::journal::{self, JournalLine};
use experiment::plan::Plan;
use experiment::predict::predict as predict_trial;
use experiment::{machine, report};

pub use self::address::Address;
pub use self::clean::clean;
pub use self::collect::collect;
pub use self::run::run;
pub use self::scale::ScaleArgs;
pub use self::verify::verify;
use crate::Cli;

mod address;
mod clean;
mod collect;
mod job;
mod run;
mod scale;
mod verify;

/// Why a command failed, with its exit status.
pub struct Failure {
    /// What to say.
    pub error: anyhow::Error,
    /// 1 for a failure, 2 for wrong use.
    pub exit: u8,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, exit: 1 }
    }
}

fn wrong_use(error: impl Into<anyhow::Error>) -> Failure {
    Failure {
        error: error.into(),
        exit: 2,
    }
}

/// `experiment predict`.
pub fn predict(path: &Path, scale: &ScaleArgs) -> Result<(), Failure> {
    let (plan, _) = read_plan(path)?;
    let cores = machine::cores();
    let mut rows = vec![["trial", "verdict", "load", "in flight", "close tail", "why"].map(str::to_owned)];
    for trial in plan.trials() {
        let prediction = predict_trial(&trial.settings, cores);
        let tail = prediction
            .close_tail()
            .map(|tail| format!("{:.3} s", tail.as_secs_f64()));
        rows.push([
            trial.id,
            verdict_name(prediction.verdict),
            format!("{:.2}", prediction.load_factor),
            format!("{:.1}", prediction.needed_in_flight),
            tail.unwrap_or_else(|| "grows".to_owned()),
            prediction.why,
        ]);
    }
    say(&(aligned(&rows) + &scale.section(&plan).unwrap_or_default()))
}

/// `experiment report`.
pub fn report(folder: &Path) -> Result<(), Failure> {
    let lines = journal::read(folder).map_err(journal_failure)?;
    write_report(folder, &lines)
}

/// `experiment completions`.
pub fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "experiment", &mut script);
    say(&String::from_utf8_lossy(&script))
}

fn read_plan(path: &Path) -> Result<(Plan, String), Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the plan `{name}`"));
    let text = text.map_err(wrong_use)?;
    let plan = Plan::parse(&text, &name).map_err(wrong_use)?;
    Ok((plan, text))
}

fn write_report(folder: &Path, lines: &[JournalLine]) -> Result<(), Failure> {
    say(&report::table(lines))?;
    let path = report::write(folder, lines).map_err(anyhow::Error::from)?;
    say(&format!("\nreport: {}\n", path.display()))
}

/// Writes to standard output; whoever has closed it, as `head` does, wants no more.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow!("cannot write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

fn journal_failure(error: journal::JournalError) -> Failure {
    let exit = if error.is_wrong_use() { 2 } else { 1 };
    Failure {
        error: error.into(),
        exit,
    }
}

fn cluster_failure(error: experiment::cluster::ClusterError) -> Failure {
    let exit = if error.is_wrong_use() { 2 } else { 1 };
    Failure {
        error: error.into(),
        exit,
    }
}

fn verdict_name(verdict: experiment::predict::Verdict) -> String {
    use experiment::predict::Verdict;
    match verdict {
        Verdict::KeepsUp => "keeps up",
        Verdict::Critical => "critical",
        Verdict::Cannot => "cannot",
    }
    .to_owned()
}

/// Columns of equal width, the last one ragged.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        })
        .collect()
}
