//! The commands: from arguments to the library and from its errors to exit statuses.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::CommandFactory;
use experiment::engine::Engine;
use experiment::engine::local::{LocalConfig, LocalEngine};
use experiment::journal::{self, Journal, JournalLine, RunFacts};
use experiment::outcome::{TrialEnd, TrialOutcome};
use experiment::plan::Plan;
use experiment::predict::predict as predict_trial;
use experiment::run::{RunEnd, remaining, run as run_trials};
use experiment::trial::Trial;
use experiment::{machine, progress, report};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::{Cli, EngineKind, RunArgs};

/// The exit status after a second Ctrl-C: 128 and the signal's number.
const EXIT_STOPPED: i32 = 130;

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

/// `experiment run`.
pub fn run(args: RunArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime
        .context("cannot start the runtime")?
        .block_on(run_plan(args))
}

async fn run_plan(args: RunArgs) -> Result<(), Failure> {
    let (plan, text) = read_plan(&args.plan)?;
    let trials = plan.trials();
    let wanted: Vec<Trial> = match &args.only {
        Some(only) => trials
            .iter()
            .filter(|trial| trial.id.contains(only))
            .cloned()
            .collect(),
        None => trials.clone(),
    };
    if wanted.is_empty() {
        let only = args.only.unwrap_or_default();
        return Err(wrong_use(anyhow!(
            "--only: no trial's id contains `{only}`; `experiment predict` lists them"
        )));
    }
    let mut engine = engine(&args, &plan)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("out").join(&plan.name));
    let facts = RunFacts {
        plan_name: plan.name.clone(),
        plan_text: text,
        trials: trials.len(),
        engine: engine.name().to_owned(),
        started_us: wire::Clock::start().now_us(),
        machine: machine::facts(),
        command: command_line(),
    };
    let mut journal = Journal::open(&out, facts, args.resume).map_err(journal_failure)?;

    let interrupted = interruptions().context("cannot listen to signals")?;
    let missing = remaining(&wanted, journal.lines());
    let progress = progress::on_stderr();
    let end = run_trials(
        &missing,
        engine.as_mut(),
        &mut journal,
        progress.as_ref(),
        interrupted,
    )
    .await;
    drop(progress);
    let end = end.map_err(journal_failure)?;
    if journal
        .lines()
        .iter()
        .any(|line| matches!(line, JournalLine::Trial(_)))
    {
        write_report(&out, journal.lines())?;
    }
    if let RunEnd::Interrupted { missing } = end {
        let error = anyhow!(
            "interrupted: {missing} trials are missing, what there is has been kept; continue with --resume"
        );
        return Err(error.into());
    }
    verdict(&wanted, journal.lines())
}

fn engine(args: &RunArgs, plan: &Plan) -> Result<Box<dyn Engine>, Failure> {
    match args.engine {
        EngineKind::Local => {
            let own = std::env::current_exe().context("cannot tell where this program is")?;
            let config = LocalConfig {
                cut_off: plan.cut_off,
                patience: args.patience,
                udf_command: args.udf_command.clone(),
            };
            let folder = own.parent().unwrap_or(Path::new("."));
            let engine = LocalEngine::new(folder, config).map_err(|error| {
                let exit = if error.is_wrong_use() { 2 } else { 1 };
                Failure {
                    error: error.into(),
                    exit,
                }
            })?;
            Ok(Box::new(engine))
        }
    }
}

/// `experiment predict`.
pub fn predict(path: &Path) -> Result<(), Failure> {
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
    say(&aligned(&rows))
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

/// Whether every wanted trial ran to its end with a ledger that balances.
fn verdict(wanted: &[Trial], lines: &[JournalLine]) -> Result<(), Failure> {
    let latest = journal::latest(lines);
    let outcomes = wanted
        .iter()
        .filter_map(|trial| latest.get(trial.id.as_str()).copied());
    let bad = |outcome: &&TrialOutcome| {
        matches!(outcome.end, TrialEnd::Failed { .. })
            || outcome.ledger.as_ref().is_some_and(|ledger| !ledger.balances())
    };
    let (all, bad) = (wanted.len(), outcomes.filter(bad).count());
    match bad {
        0 => Ok(()),
        bad => Err(anyhow!(
            "{bad} of {all} trials failed or have a ledger that does not balance: see the table"
        )
        .into()),
    }
}

/// Ends with the first SIGINT or SIGTERM; the second ends the process at once.
fn interruptions() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (first, interrupted) = oneshot::channel();
    tokio::spawn(async move {
        let mut first = Some(first);
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            let Some(first) = first.take() else {
                std::process::exit(EXIT_STOPPED)
            };
            progress::say(
                "interrupted: stopping the running trial, the report shows what there is; again to stop at once",
            );
            // Nobody listens once all trials have been run: then the report is being written.
            let _ = first.send(());
        }
    });
    Ok(async {
        if interrupted.await.is_err() {
            std::future::pending().await
        }
    })
}

fn journal_failure(error: journal::JournalError) -> Failure {
    let exit = if error.is_wrong_use() { 2 } else { 1 };
    Failure {
        error: error.into(),
        exit,
    }
}

/// The command that was given, quoted for a shell where it must be.
fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    let quoted = |arg: String| {
        if !arg.is_empty() && arg.chars().all(plain) {
            arg
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        }
    };
    let program = "experiment".to_owned();
    let args = std::env::args_os()
        .skip(1)
        .map(|arg| quoted(arg.to_string_lossy().into_owned()));
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
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
