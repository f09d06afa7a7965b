//! `experiment search`: the capacity or the demand of each cell of a plan, by trials whose levels depend on those before.

mod cells;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::ValueEnum;
use engine::run_loop::{RunEnd, run as run_trials};
use engine::{Engine, TrialProgress};
use local::LocalConfig;
use report::search::{COLUMNS, SearchReport};
use trials::endpoint_url::EndpointUrl;
use trials::journal::{self, Journal, RunFacts};
use trials::plan::OwnPayloads;
use trials::search::{Found, Quantity};
use trials::text::counted;
use trials::trial::Trial;
use vertex::machine;

use crate::engines::{self, LOCAL_PATIENCE};
use crate::failure::Failure;
use crate::output::{TableRow, check_folder, paint_stdout, print, table, width};
use crate::own_payloads;
use crate::plan_args::{PlanArgs, PlanText};
use crate::progress::{Notes, ProgressArgs, RunProgress, Within, rough};
use crate::run::{command_line, shell_command};
use crate::stop::{Stop, on_runtime};
use crate::url_parser::UrlParser;

use cells::{Cells, said};

#[derive(Debug, clap::Args)]
pub struct SearchArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// What to search for
    #[arg(long, value_enum, default_value_t = Find::Capacity)]
    find: Find,
    /// What must hold beside *sustained*, like `close_tail p95 < 1s`; several times for several. The plan's thresholds count too
    #[arg(long, value_name = "THRESHOLD")]
    objective: Vec<String>,
    /// Begin no trial that would end later; the brackets so far are kept
    #[arg(long, value_name = "DURATION", value_parser = wire::parse_duration)]
    budget: Option<Duration>,
    /// Folder for journal and results [default: out/NAME-OF-THE-PLAN-search]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue an earlier search: its trials count, those that found nothing out are run again
    #[arg(long)]
    resume: bool,
    /// Shell command that starts your own reduce UDF
    #[arg(long, env = "UDF_COMMAND", value_name = "COMMAND", value_parser = shell_command)]
    udf_command: Option<String>,
    /// Use your own endpoint: every call is `GET URL/ping?delay=…`
    #[arg(long, env = "ENDPOINT_URL", value_name = "URL", hide_env_values = true, value_parser = UrlParser)]
    endpoint_url: Option<EndpointUrl>,
    /// PEM file with authorities to trust beside those of the system
    #[arg(long, env = "CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How long the processes of a trial may take to become ready [default: 10s]
    #[arg(long, env = "PATIENCE", value_name = "DURATION", value_parser = wire::parse_duration)]
    patience: Option<Duration>,
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

/// Files beside the journal.
const FILES: [&str; 3] = ["search.json", "search.md", "search.svg"];

pub fn search(args: SearchArgs) -> Result<(), Failure> {
    on_runtime(|stop| async move { search_plan(&args, &stop).await })
}

async fn search_plan(args: &SearchArgs, stop: &Stop) -> Result<(), Failure> {
    let quantity = match args.find {
        Find::Capacity => Quantity::Capacity,
        Find::Demand => Quantity::Demand,
    };
    let written = args.plan.for_search(quantity, &args.objective)?;
    if let Some(threshold) = written.plan.thresholds.iter().find(|one| one.run().is_some()) {
        return Err(Failure::wrong_use(anyhow!(
            "`{threshold}`: a search has levels that no other run has: write a bound in place of the change"
        )));
    }
    let name = format!("{}-search", written.plan.name);
    let out = args.out.clone().unwrap_or_else(|| Path::new("out").join(name));
    check_folder(&out)?;
    let mut cells = Cells::new(&written.plan, quantity, machine::cores());
    let payloads = own_payloads::check(&written)?;
    let (payloads, payload_fact) = payloads.map(|file| (file.payloads, file.fact)).unzip();
    let mut engine = local_engine(args, &written, payloads)?;
    stop.or(engine.check(&cells.first_trials(), &Notes)).await?;
    let facts = facts(args, &written, engine.as_ref(), cells.len(), payload_fact).await;
    let mut journal = Journal::open(&out, facts, args.resume)?;
    let ended = run_all(args, &mut cells, engine.as_mut(), &mut journal, &out, stop).await;
    if let Err(error) = engine.finish(&Notes).await {
        Notes.note(&format!("experiment: {}", vertex::one_line(&error)));
    }
    if cells.trials() > 0 {
        report::write(&out, journal.lines()).map_err(anyhow::Error::from)?;
    }
    let report = cells.report(&written.plan);
    keep(&out, &report)?;
    print(&text(&report))?;
    print(&format!("\nreport: {}\n", out.join("report.html").display()))?;
    ended?;
    finish(&report)
}

fn local_engine(
    args: &SearchArgs,
    written: &PlanText,
    payloads: Option<OwnPayloads>,
) -> Result<Box<dyn Engine>, Failure> {
    engines::local(LocalConfig {
        cut_off: written.plan.cut_off,
        patience: args.patience.unwrap_or(LOCAL_PATIENCE),
        udf_command: args.udf_command.clone(),
        udf_place: None,
        endpoint_url: args.endpoint_url.clone(),
        ca_file: args.ca_file.clone(),
        payloads,
    })
}

async fn facts(
    args: &SearchArgs,
    written: &PlanText,
    engine: &dyn Engine,
    cells: usize,
    payloads: Option<String>,
) -> RunFacts {
    let endpoint = args.endpoint_url.as_ref().map(ToString::to_string);
    let replaced = [endpoint, args.udf_command.clone(), payloads];
    let mut facts = machine::facts();
    facts.extend(journal::replaced(replaced));
    RunFacts {
        plan_name: written.plan.name.clone(),
        plan_text: written.text.clone(),
        trials: cells,
        engine: engine.name().to_owned(),
        started_us: wire::Clock::start().now_us(),
        machine: facts.into_iter().chain(engine.facts().await).collect(),
        command: command_line(),
        references: Vec::new(),
    }
}

/// Runs trials until every search has ended, or the budget is spent.
async fn run_all(
    args: &SearchArgs,
    cells: &mut Cells,
    engine: &mut dyn Engine,
    journal: &mut Journal,
    out: &Path,
    stop: &Stop,
) -> Result<(), Failure> {
    let start = Instant::now();
    let progress = RunProgress::on_stderr(args.progress, Some(out.to_owned()));
    cells.replay(journal.lines());
    progress.say(&format!(
        "{}, {} so far; journal and results: {}",
        counted(cells.len() as u64, "cell"),
        counted(cells.trials().into(), "trial"),
        out.display()
    ));
    let mut position = 0;
    while let Some((index, trial)) = cells.next() {
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
        run_one(&trial, engine, journal, &within, stop).await?;
        if let Some(judgement) = cells.take(index, &trial, journal.lines()) {
            progress.say(&format!("  {}", said(&judgement)));
        }
    }
    Ok(())
}

async fn run_one(
    trial: &Trial,
    engine: &mut dyn Engine,
    journal: &mut Journal,
    progress: &Within<'_>,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut arrived = None;
    let interrupted = async { arrived = Some(stop.requested().await) };
    let why = match run_trials(&[trial], engine, journal, progress, interrupted).await? {
        RunEnd::Finished => return Ok(()),
        RunEnd::Interrupted { .. } => "interrupted".to_owned(),
        RunEnd::Stopped { why, .. } => vertex::one_line(&why),
    };
    Err(Failure {
        error: anyhow!("{why}: finished trials are kept; continue with --resume"),
        exit: arrived.map_or(1, |signal| signal.exit()),
    })
}

fn keep(out: &Path, report: &SearchReport) -> Result<(), Failure> {
    let texts = [report.json(), report.markdown(), report.chart()];
    for (name, text) in FILES.into_iter().zip(texts) {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|error| anyhow!("cannot write `{}`: {error}", path.display()))?;
    }
    Ok(())
}

fn text(report: &SearchReport) -> String {
    let rows: Vec<TableRow<6>> = report
        .rows()
        .into_iter()
        .map(|(mut cells, below, tone)| {
            cells[5] = paint_stdout(tone, &cells[5]);
            TableRow { cells, below }
        })
        .collect();
    let table = table(COLUMNS, &["bracket", "predicted", "trials"], &rows, width());
    format!("{}\n\n{table}", report.heading())
}

/// Fails if a trial found nothing out, else if the objective holds at no level.
fn finish(report: &SearchReport) -> Result<(), Failure> {
    let all = report.cells.len();
    let failed = report.cells.iter().filter(|cell| cell.failed.is_some()).count();
    let none = report
        .cells
        .iter()
        .filter(|cell| cell.bracket.found == Found::Nothing);
    match (failed, none.count()) {
        (0, 0) => Ok(()),
        (0, none) => Err(Failure {
            error: anyhow!("{none} of {all} cells are sustained at no level: see the table"),
            exit: 3,
        }),
        (failed, _) => Err(anyhow!("{failed} of {all} searches failed: see the table").into()),
    }
}
