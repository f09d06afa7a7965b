//! `experiment search`: the capacity or the demand of each cell of a plan, by trials whose levels depend on those before.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::ValueEnum;
use engine::{Engine, TrialProgress};
use trials::journal::{Journal, RunFacts};
use trials::search::{Answer, Effort, Found, Quantity};
use trials::searches::{SearchedCell, Searches};
use trials::sustained::Judgement;
use trials::text::counted;
use vertex::machine;

use crate::engines::{EngineArgs, EngineKind};
use crate::failure::Failure;
use crate::one_trial::run_one;
use crate::output::{check_folder, write_report};
use crate::own_payloads;
use crate::plan_args::PlanArgs;
use crate::progress::{Notes, ProgressArgs, RunProgress, Within, rough};
use crate::run::first_error;
use crate::run_facts::run_facts;
use crate::stop::{Stop, on_runtime};

#[derive(Debug, clap::Args)]
pub struct SearchArgs {
    // First: what is read of the command line is taken from it.
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    plan: PlanArgs,
    /// What to search for
    #[arg(long, value_enum, default_value_t = Find::Capacity)]
    find: Find,
    /// What must hold beside *sustained*, like `close_tail p95 < 1s`; several times for several. The plan's thresholds count too
    #[arg(long, value_name = "THRESHOLD")]
    objective: Vec<String>,
    /// The bracket is close enough if high ÷ low is this at most [default: 1.10, for demand 1.02, in a cluster 1.25]
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    precision: Option<f64>,
    /// The measured windows of a trial, ten at least, last this long together [default: no bound, in a cluster 2m]
    #[arg(long, value_name = "DURATION", value_parser = wire::parse_duration)]
    measure: Option<Duration>,
    /// Begin no trial that would end later; the brackets so far are kept
    #[arg(long, value_name = "DURATION", value_parser = wire::parse_duration)]
    budget: Option<Duration>,
    /// Folder for journal and results [default: out/NAME-OF-THE-PLAN-search]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue an earlier search: its trials count, those that found nothing out are run again
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    progress: ProgressArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Find {
    /// The highest RPU; the plan's rpu has no effect
    Capacity,
    /// The least max_workers that sustain the plan's rpu
    Demand,
}

/// The ratio of the ends of a bracket.
fn ratio(text: &str) -> Result<f64, &'static str> {
    let ratio: Option<f64> = text.parse().ok().filter(|ratio| (1.01..=10.0).contains(ratio));
    ratio.ok_or("must be a number from 1.01 to 10, like 1.1")
}

impl SearchArgs {
    fn effort(&self, quantity: Quantity) -> Effort {
        let of_the_engine = match self.engine.kind() {
            EngineKind::Local => Effort::local(quantity),
            EngineKind::Cluster => Effort::CLUSTER,
        };
        Effort {
            precision: self.precision.unwrap_or(of_the_engine.precision),
            measure: self.measure.unwrap_or(of_the_engine.measure),
            ..of_the_engine
        }
    }
}

pub fn search(args: SearchArgs) -> Result<(), Failure> {
    on_runtime(|stop| async move { search_plan(&args, &stop).await })
}

async fn search_plan(args: &SearchArgs, stop: &Stop) -> Result<(), Failure> {
    args.engine.refuse_options_of_the_other()?;
    let quantity = match args.find {
        Find::Capacity => Quantity::Capacity,
        Find::Demand => Quantity::Demand,
    };
    let effort = args.effort(quantity);
    let written = args.plan.for_search(quantity, &effort, &args.objective)?;
    if let Some(threshold) = written.plan.thresholds.iter().find(|one| one.run().is_some()) {
        return Err(Failure::wrong_use(anyhow!(
            "`{threshold}`: a search has levels that no other run has: write a bound in place of the change"
        )));
    }
    let search = Searches::facts(&written.plan, quantity, &effort, machine::cores());
    let mut cells = Searches::new(&written.plan, &search);
    let job = args.engine.job(&cells.most_trials(), &written.text).await?;
    let out = args.out.clone().unwrap_or_else(|| match &job {
        Some(job) => job.folder(),
        None => Path::new("out").join(format!("{}-search", written.plan.name)),
    });
    check_folder(&out)?;
    let own_payloads::CheckedPayloads { payloads, facts } = own_payloads::check(&written)?;
    let mut engine = stop
        .or(args.engine.engine(written.plan.cut_off, payloads))
        .await?;
    stop.or(engine.check(&cells.first_trials(), &Notes)).await?;
    let facts = args.engine.facts(facts);
    let facts = RunFacts {
        search: Some(search),
        ..run_facts(&written, cells.len(), facts, engine.as_ref(), Vec::new()).await
    };
    let mut result = run_into(args, &mut cells, facts, engine.as_mut(), &out, stop).await;
    if let Some(job) = job {
        result = first_error(result, job.publish(&out).await);
    }
    // Last, because a pod that is being terminated may not have the time. Its owner's deletion removes the rest.
    if let Err(error) = engine.finish(&Notes).await {
        Notes.note(&format!("experiment: {}", vertex::one_line(&error)));
    }
    result
}

/// Runs the searches and writes journal, report and results to `out`.
async fn run_into(
    args: &SearchArgs,
    cells: &mut Searches,
    facts: RunFacts,
    engine: &mut dyn Engine,
    out: &Path,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut journal = Journal::open(out, facts, args.resume)?;
    let ended = run_all(args, cells, engine, &mut journal, out, stop).await;
    if cells.trials() > 0 || ended.is_ok() {
        write_report(out, journal.lines())?;
    }
    ended?;
    finish(&cells.cells())
}

/// Runs trials until every search has ended, or the budget is spent.
async fn run_all(
    args: &SearchArgs,
    cells: &mut Searches,
    engine: &mut dyn Engine,
    journal: &mut Journal,
    out: &Path,
    stop: &Stop,
) -> Result<(), Failure> {
    let start = Instant::now();
    let progress = RunProgress::on_stderr(args.progress, Some(out.to_owned()));
    cells.replay(journal.lines(), false);
    progress.say(&format!(
        "{}, {} so far; journal and results: {}",
        counted(cells.len() as u64, "cell"),
        counted(cells.trials().into(), "trial"),
        out.display()
    ));
    let mut position = 0;
    while let Some((index, trial)) = cells.next_trial() {
        let expected = engine.expected(&trial);
        if args
            .budget
            .is_some_and(|budget| start.elapsed() + expected > budget)
        {
            progress.say(&format!(
                "the budget of {} is spent: the brackets so far are kept; continue with --resume",
                rough(args.budget.unwrap_or_default())
            ));
            return Ok(());
        }
        position += 1;
        let left = cells.expected_trials();
        let within = Within {
            all: &progress,
            position,
            of: position - 1 + left as usize,
            left: expected * left,
            prefix: "",
        };
        run_one(&trial, engine, journal, &within, None, stop).await?;
        if let Some(judgement) = cells.take(index, &trial, journal.lines()) {
            progress.say(&format!("  {}", said(&judgement)));
        }
    }
    Ok(())
}

/// Fails if a trial found nothing out, else if the objective holds at no level.
fn finish(cells: &[SearchedCell]) -> Result<(), Failure> {
    let all = cells.len();
    let failed = cells.iter().filter(|cell| cell.failed.is_some()).count();
    let none = cells.iter().filter(|cell| cell.bracket.found == Found::Nothing);
    match (failed, none.count()) {
        (0, 0) => Ok(()),
        (0, none) => Err(Failure {
            error: anyhow!("{none} of {all} cells are sustained at no level: see the table"),
            exit: 3,
        }),
        (failed, _) => Err(anyhow!("{failed} of {all} searches failed: see the table").into()),
    }
}

/// A judgement in a line.
fn said(judgement: &Judgement) -> String {
    let says = match judgement.answer {
        Answer::Sustained => "✓ sustained",
        Answer::NotSustained => "✗ not sustained",
        Answer::Undecided => "? undecided",
    };
    let mut line = says.to_owned();
    if !judgement.reason.is_empty() {
        line.push_str(&format!(": {}", judgement.reason));
    }
    if let Some(limit) = judgement.limit {
        line.push_str(&format!("; limited by {}", limit.words()));
    }
    line
}
