//! `experiment run`: what must be right before the first trial, the run itself, and what its end means.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use experiment::cluster::Cluster;
use experiment::engine::cluster::base::Base;
use experiment::engine::cluster::{ClusterConfig, ClusterEngine, ClusterEngineError};
use experiment::engine::local::{LocalConfig, LocalEngine};
use experiment::engine::{Engine, EngineError};
use experiment::journal::{self, Journal, JournalLine, RunFacts};
use experiment::outcome::{TrialEnd, TrialOutcome};
use experiment::plan::Plan;
use experiment::run::{RunEnd, remaining, run as run_trials};
use experiment::trial::Trial;
use experiment::{machine, progress};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::job::JobRun;
use super::{Failure, cluster_failure, journal_failure, read_plan, write_report, wrong_use};
use crate::{EngineKind, RunArgs};

/// How long processes may take to become ready where nothing else is said.
const LOCAL_PATIENCE: Duration = Duration::from_secs(10);

/// How long a pipeline may take to run in a cluster where nothing else is said: images may have to be pulled.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(180);

/// The exit status after a second Ctrl-C: 128 and the signal's number.
const EXIT_STOPPED: i32 = 130;

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
    let wanted = wanted(&trials, args.only.as_deref())?;
    let job = job_run(&args, &wanted, &text).await?;
    let out = args.out.clone().unwrap_or_else(|| match &job {
        Some(job) => job.folder(),
        None => Path::new("out").join(&plan.name),
    });
    let mut engine = engine(&args, &plan).await?;
    engine.check(&wanted).await.map_err(engine_failure)?;
    let mut ran = run_into(&args, (&plan, text), &wanted, engine.as_mut(), &out).await;
    if let Some(job) = job {
        let published = job.publish(&out).await;
        ran = both(ran, published);
    }
    // At the very end: a pod that is being ended may not be given the time. What is left goes with its owner.
    if let Err(error) = engine.finish().await {
        progress::say(&format!("experiment: {}", vertex::one_line(&error)));
    }
    ran
}

/// What failed first counts; what failed after it is said.
fn both(first: Result<(), Failure>, then: Result<(), Failure>) -> Result<(), Failure> {
    match (first, then) {
        (Err(first), Err(then)) => {
            progress::say(&format!("experiment: {}", vertex::one_line(then.error.as_ref())));
            Err(first)
        }
        (first, then) => first.and(then),
    }
}

/// Runs the trials; journal and report go to `out`.
async fn run_into(
    args: &RunArgs,
    (plan, text): (&Plan, String),
    wanted: &[Trial],
    engine: &mut dyn Engine,
    out: &Path,
) -> Result<(), Failure> {
    let facts = RunFacts {
        plan_name: plan.name.clone(),
        plan_text: text,
        trials: plan.trials().len(),
        engine: engine.name().to_owned(),
        started_us: wire::Clock::start().now_us(),
        machine: facts_of_run(args)
            .into_iter()
            .chain(engine.facts().await)
            .collect(),
        command: command_line(),
    };
    let mut journal = Journal::open(out, facts, args.resume).map_err(journal_failure)?;

    let interrupted = interruptions().context("cannot listen to signals")?;
    let missing = remaining(wanted, journal.lines());
    let progress = progress::on_stderr();
    let end = run_trials(&missing, engine, &mut journal, progress.as_ref(), interrupted).await;
    drop(progress);
    let end = end.map_err(journal_failure)?;
    if journal
        .lines()
        .iter()
        .any(|line| matches!(line, JournalLine::Trial(_)))
    {
        write_report(out, journal.lines())?;
    }
    let (why, missing) = match end {
        RunEnd::Finished => return verdict(wanted, journal.lines()),
        RunEnd::Interrupted { missing } => ("interrupted".to_owned(), missing),
        RunEnd::Stopped { missing, why } => (vertex::one_line(&why), missing),
    };
    Err(
        anyhow!("{why}: {missing} trials are missing, what there is has been kept; continue with --resume")
            .into(),
    )
}

/// The Job that the run belongs to; its environment names it to programs that run elsewhere too.
async fn job_run(args: &RunArgs, wanted: &[Trial], plan_text: &str) -> Result<Option<JobRun>, Failure> {
    let (Some(name), EngineKind::Cluster) = (&args.job, args.engine) else {
        return Ok(None);
    };
    let (context, namespace) = (args.cluster.context.as_deref(), args.cluster.namespace.as_deref());
    let cluster = Cluster::connect(context, namespace)
        .await
        .map_err(cluster_failure)?;
    JobRun::new(cluster, name.clone(), wanted, plan_text).map(Some)
}

async fn engine(args: &RunArgs, plan: &Plan) -> Result<Box<dyn Engine>, Failure> {
    match args.engine {
        EngineKind::Local => local_engine(args, plan),
        EngineKind::Cluster => cluster_engine(args, plan).await,
    }
}

fn local_engine(args: &RunArgs, plan: &Plan) -> Result<Box<dyn Engine>, Failure> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let config = LocalConfig {
        cut_off: plan.cut_off,
        patience: args.patience.unwrap_or(LOCAL_PATIENCE),
        udf_command: args.udf_command.clone(),
        endpoint_url: args.endpoint_url.clone(),
    };
    let folder = own.parent().unwrap_or(Path::new("."));
    let engine = LocalEngine::new(folder, config).map_err(|error| engine_failure(error.into()))?;
    Ok(Box::new(engine))
}

async fn cluster_engine(args: &RunArgs, plan: &Plan) -> Result<Box<dyn Engine>, Failure> {
    let base = Base::read(args.base.as_deref()).map_err(|error| engine_failure(error.into()))?;
    let (context, namespace) = (args.cluster.context.as_deref(), args.cluster.namespace.as_deref());
    let cluster = Cluster::connect(context, namespace).await;
    let cluster = cluster.map_err(|error| engine_failure(ClusterEngineError::from(error).into()))?;
    let config = ClusterConfig {
        cut_off: plan.cut_off,
        patience: args.patience.unwrap_or(CLUSTER_PATIENCE),
        udf_command: args.udf_command.clone(),
        endpoint_url: args.endpoint_url.clone(),
        base,
        image: args.image.clone(),
        job: args.job.clone(),
    };
    let engine = ClusterEngine::new(cluster, config).map_err(engine_failure)?;
    Ok(Box::new(engine))
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
        return Err(wrong_use(anyhow!(
            "--only: no trial's id contains `{only}`; `experiment predict` lists them"
        )));
    }
    Ok(wanted)
}

/// The machine's facts, and what ran in place of ours.
fn facts_of_run(args: &RunArgs) -> std::collections::BTreeMap<String, String> {
    let mut facts = machine::facts();
    let endpoint = args.endpoint_url.as_ref().map(ToString::to_string);
    for (name, own) in journal::REPLACEABLE
        .into_iter()
        .zip([&endpoint, &args.udf_command])
    {
        if let Some(own) = own {
            facts.insert(name.to_owned(), format!("your own, {own}"));
        }
    }
    facts
}

fn engine_failure(error: EngineError) -> Failure {
    let exit = if error.is_wrong_use() { 2 } else { 1 };
    Failure {
        error: error.into(),
        exit,
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
