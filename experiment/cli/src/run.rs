//! `experiment run`: checks before the first trial, the run itself, and its exit status.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use engine::run_loop::{RunEnd, remaining, run as run_trials};
use engine::{Engine, TrialProgress};
use report::summary::Summary;
use trials::cell::CellKey;
use trials::journal::{self, Journal, JournalLine, RunFacts};
use trials::outcome::TrialOutcome;
use trials::plan::Plan;
use trials::text::counted;
use trials::threshold::{self, Judged, Reference, Status};
use trials::trial::Trial;
use trials::verdict::Kind;

use crate::engines::EngineArgs;
use crate::failure::Failure;
use crate::one_trial::unfinished;
use crate::output::{check_folder, write_report};
use crate::own_payloads;
use crate::plan_args::{PlanArgs, PlanText};
use crate::progress::{self, ProgressArgs, RunProgress, rough};
use crate::run_facts::run_facts;
use crate::stop::{Stop, on_runtime};

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    // First: what is read of the command line is taken from it.
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Folder for journal and report [default: out/NAME-OF-THE-PLAN]
    #[arg(long, env = "OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Continue an earlier run: trials that found something out are kept, those that failed, whose calls failed or that
    /// measured nothing are run again
    #[arg(long)]
    pub resume: bool,
    /// Run only the trials whose id contains this
    #[arg(long, value_name = "SUBSTRING")]
    pub only: Option<String>,
    #[command(flatten)]
    pub progress: ProgressArgs,
}

pub fn run(args: RunArgs) -> Result<(), Failure> {
    on_runtime(|stop| run_plan(args, stop))
}

async fn run_plan(args: RunArgs, stop: Stop) -> Result<(), Failure> {
    args.engine.refuse_options_of_the_other()?;
    let written = args.plan.read()?;
    let (plan, text) = (&written.plan, written.text.as_str());
    let trials = plan.trials();
    let wanted = wanted(&trials, args.only.as_deref())?;
    let job = args.engine.job(&wanted, text).await?;
    let out = args.out.clone().unwrap_or_else(|| match &job {
        Some(job) => job.folder(),
        None => Path::new("out").join(&plan.name),
    });
    check_folder(&out)?;
    written.check(&out)?;
    let own_payloads::CheckedPayloads { payloads, facts } = own_payloads::check(&written)?;
    let facts = args.engine.facts(facts);
    let references = references(plan, &facts)?;
    let mut engine = stop.or(args.engine.engine(plan.cut_off, payloads)).await?;
    stop.or(engine.check(&wanted, &progress::Notes)).await?;
    let facts = run_facts(&written, trials.len(), facts, engine.as_ref(), references).await;
    let mut result = run_into(&args, &written, facts, &wanted, engine.as_mut(), &out, &stop).await;
    if let Some(job) = job {
        result = first_error(result, job.publish(&out).await);
    }
    // Last, because a pod that is being terminated may not have the time. Its owner's deletion removes the rest.
    if let Err(error) = engine.finish(&progress::Notes).await {
        progress::note(&format!("experiment: {}", vertex::one_line(&error)));
    }
    result
}

/// Returns the first error; a second one is printed.
pub fn first_error(first: Result<(), Failure>, then: Result<(), Failure>) -> Result<(), Failure> {
    match (first, then) {
        (Err(first), Err(then)) => {
            progress::note(&format!("experiment: {}", vertex::one_line(then.error.as_ref())));
            Err(first)
        }
        (first, then) => first.and(then),
    }
}

/// Runs the trials and writes journal and report to `out`.
async fn run_into(
    args: &RunArgs,
    written: &PlanText,
    facts: RunFacts,
    wanted: &[Trial],
    engine: &mut dyn Engine,
    out: &Path,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut journal = Journal::open(out, facts, args.resume)?;
    written.keep(out)?;

    let missing = remaining(wanted, journal.lines());
    let progress = RunProgress::on_stderr(args.progress, Some(out.to_owned()));
    let expected = missing.iter().map(|trial| engine.expected(trial)).sum();
    progress.say(&format!(
        "{}, about {}; journal and report: {}",
        counted(missing.len() as u64, "trial"),
        rough(expected),
        out.display()
    ));
    let mut arrived = None;
    let interrupted = async {
        arrived = Some(stop.requested().await);
        progress.note(
            "interrupted: stopping the running trial, then writing the report; interrupt again to exit at once",
        );
    };
    let end = run_trials(&missing, engine, &mut journal, &progress, interrupted).await;
    drop(progress);
    let end = end?;
    if journal
        .lines()
        .iter()
        .any(|line| matches!(line, JournalLine::Trial(_)))
    {
        write_report(out, journal.lines())?;
    }
    match end {
        RunEnd::Finished => verdict(wanted, journal.lines()),
        RunEnd::Interrupted { missing } => Err(unfinished(None, Some(missing), arrived)),
        RunEnd::Stopped { missing, why } => Err(unfinished(Some(&why), Some(missing), arrived)),
    }
}

/// The figures of the kept runs that thresholds are compared with.
fn references(plan: &Plan, facts: &BTreeMap<String, String>) -> Result<Vec<Reference>, Failure> {
    threshold::references(&plan.thresholds, facts, |folder| {
        journal::read(folder).map_err(|error| {
            Failure::wrong_use(anyhow!(
                "thresholds: vs {}: {}",
                folder.display(),
                vertex::one_line(&error)
            ))
        })
    })
}

/// The trials whose id contains `only`.
fn wanted(trials: &[Trial], only: Option<&str>) -> Result<Vec<Trial>, Failure> {
    let only = only.unwrap_or_default();
    let wanted: Vec<Trial> = trials
        .iter()
        .filter(|trial| trial.id.contains(only))
        .cloned()
        .collect();
    if wanted.is_empty() {
        return Err(Failure::wrong_use(anyhow!(
            "--only: no trial's id contains `{only}`; `experiment predict` lists them"
        )));
    }
    Ok(wanted)
}

/// Fails if a wanted trial found nothing out, else if a threshold is not met.
fn verdict(wanted: &[Trial], lines: &[JournalLine]) -> Result<(), Failure> {
    let summary = Summary::new(lines);
    let is_wanted = |outcome: &TrialOutcome| wanted.iter().any(|trial| trial.id == outcome.trial.id);
    // Where a threshold limits failed calls, it judges them.
    let limited = |outcome: &TrialOutcome| {
        let key = CellKey::of(&outcome.trial.settings);
        let mut thresholds = summary.thresholds.iter();
        thresholds.any(|judged| judged.key == key && judged.threshold.failed_share().is_some())
    };
    let kinds: Vec<Kind> = summary
        .trials
        .iter()
        .zip(summary.verdicts())
        .filter(|(outcome, _)| is_wanted(outcome))
        .filter(|(outcome, verdict)| verdict.kind != Kind::CallsFailed || !limited(outcome))
        .map(|(_, verdict)| verdict.kind)
        .collect();
    let bad: Vec<String> = Kind::ALL
        .into_iter()
        .rev()
        .filter(|kind| kind.is_failure())
        .map(|kind| (kind, kinds.iter().filter(|one| **one == kind).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} of {} trials {}", wanted.len(), kind.in_plural()))
        .collect();
    if !bad.is_empty() {
        return Err(anyhow!("{}: see the table", bad.join(", ")).into());
    }
    let not_met: Vec<&Judged> = summary
        .thresholds
        .iter()
        .filter(|judged| judged.status != Status::Met)
        .collect();
    match not_met.as_slice() {
        [] => Ok(()),
        [first, ..] => {
            let all = counted(summary.thresholds.len() as u64, "threshold");
            let (count, first, cell) = (not_met.len(), first.text(), &first.cell);
            let error = match not_met.len() {
                1 => anyhow!("1 of {all} is not met: {first} ({cell})"),
                _ => anyhow!("{count} of {all} are not met, the first: {first} ({cell})"),
            };
            Err(Failure { error, exit: 3 })
        }
    }
}
