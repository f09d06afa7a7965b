//! `experiment compare`: two kept runs, or a plan run in rounds with two UDFs, cell by cell.

mod rounds;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use report::comparison::{COLUMNS, Comparison, tone};
use trials::comparison::{Design, Finding, Side, compare as compare_runs};
use trials::endpoint_url::EndpointUrl;
use trials::journal::{self, JournalLine};
use trials::metric::Metric;
use trials::outcome::TrialOutcome;
use wire::settings::Form;

use crate::engines::shell_command;
use crate::failure::Failure;
use crate::output::{TableRow, paint_stdout, print, table, width};
use crate::progress::ProgressArgs;
use crate::stop::on_runtime;
use crate::url_parser::UrlParser;

#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// The folders of two kept runs, or a plan to run with two UDFs
    #[arg(required = true, num_args = 1..=2, value_name = "FOLDER|PLAN")]
    targets: Vec<PathBuf>,
    /// With a plan: shell command of a UDF; twice, the old one first
    #[arg(long, value_name = "COMMAND", value_parser = shell_command)]
    udf_command: Vec<String>,
    /// With a plan: where both UDFs serve if they do not take the path in SOCKET: Numaflow's SDKs use
    /// /var/run/numaflow/reduce.sock unless told otherwise. The file is removed before and after each trial
    #[arg(long, value_name = "PATH", requires_all = ["udf_command", "udf_server_info"])]
    udf_socket: Option<PathBuf>,
    /// With a plan: their server-info file, with --udf-socket: /var/run/numaflow/reducer-server-info
    #[arg(long, value_name = "PATH", requires = "udf_socket")]
    udf_server_info: Option<PathBuf>,
    /// With a plan: how often each UDF runs each cell; the order within a round is drawn by the plan's seed [default: 5]
    #[arg(long, value_name = "NUMBER", value_parser = wire::settings::whole_number::<u32>(1, 10_000))]
    rounds: Option<u32>,
    /// With a plan: folder for journals, reports and comparison [default: out/NAME-OF-THE-PLAN-compared]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// With a plan: continue an earlier comparison
    #[arg(long)]
    resume: bool,
    /// With a plan: use your own endpoint
    #[arg(long, value_name = "URL", value_parser = UrlParser)]
    endpoint_url: Option<EndpointUrl>,
    /// With a plan: PEM file with authorities to trust beside those of the system
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// With a plan: how long the processes of a trial may take to become ready [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = wire::parse_duration)]
    patience: Option<Duration>,
    #[command(flatten)]
    progress: ProgressArgs,
    #[arg(long, default_value = Metric::CloseTail.name(), value_parser = metric, help = metrics())]
    metric: Metric,
    /// Cells that differ by less than this are the same; shares may differ by a tenth of it, in points
    #[arg(long, default_value = "10%", value_name = "SHARE", value_parser = margin)]
    margin: f64,
    /// What ends with exit status 3
    #[arg(long, value_enum, value_name = "FINDING")]
    fail_on: Option<FailOn>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// A cell that is worse
    Worse,
    /// A cell that is worse or undecided
    Undecided,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Json,
}

fn metric(text: &str) -> Result<Metric, String> {
    let names: Vec<&str> = Metric::ALL.into_iter().map(Metric::name).collect();
    Metric::named(text).ok_or_else(|| wire::settings::meant(text, &names))
}

/// The help of `--metric`.
fn metrics() -> String {
    let names: Vec<&str> = Metric::ALL.into_iter().map(Metric::name).collect();
    format!(
        "What decides: {}; of windows and calls the median of each trial",
        names.join(", ")
    )
}

fn margin(text: &str) -> Result<f64, String> {
    let share = Form::Share.canonical(text).map_err(|error| error.to_string())?;
    let share: Option<f64> = share.parse().ok().filter(|share| *share > 0.0);
    share.ok_or_else(|| "must be more than 0".to_owned())
}

pub fn compare(args: CompareArgs) -> Result<(), Failure> {
    if let [from, to] = args.targets.as_slice() {
        refuse_run_options(&args)?;
        let lines = [journal::read(from)?, journal::read(to)?];
        let names = [from, to].map(|folder| folder.display().to_string());
        let comparison = comparison(&args, &lines, names, Design::Kept);
        if comparison.cells.is_empty() {
            return Err(Failure::wrong_use(anyhow!(
                "`{}` and `{}` have no cell in common: compare runs of the same plan",
                from.display(),
                to.display()
            )));
        }
        return finish(&args, &comparison);
    }
    on_runtime(|stop| async move {
        let comparison = rounds::run(&args, &stop).await?;
        finish(&args, &comparison)
    })
}

/// Refuses what has a meaning with a plan only.
fn refuse_run_options(args: &CompareArgs) -> Result<(), Failure> {
    let given = [
        ("--udf-command", !args.udf_command.is_empty()),
        ("--udf-socket", args.udf_socket.is_some()),
        ("--rounds", args.rounds.is_some()),
        ("--out", args.out.is_some()),
        ("--resume", args.resume),
        ("--endpoint-url", args.endpoint_url.is_some()),
        ("--ca-file", args.ca_file.is_some()),
        ("--patience", args.patience.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::wrong_use(anyhow!(
            "{flag}: has an effect with a plan only: leave it out, or give one plan in place of two folders"
        ))),
        None => Ok(()),
    }
}

fn comparison(
    args: &CompareArgs,
    lines: &[Vec<JournalLine>; 2],
    [from, to]: [String; 2],
    design: Design,
) -> Comparison {
    let outcomes = lines.each_ref().map(|lines| outcomes(lines));
    let machines = lines.each_ref().map(|lines| machine(lines));
    let side = |index: usize| Side {
        outcomes: &outcomes[index],
        machine: &machines[index],
    };
    let cells = compare_runs(args.metric, side(0), side(1), design, args.margin);
    Comparison {
        metric: args.metric,
        design,
        margin: args.margin,
        from,
        to,
        cells,
    }
}

/// The latest outcome of each trial in the order of the journal.
fn outcomes(lines: &[JournalLine]) -> Vec<&TrialOutcome> {
    let mut latest: Vec<&TrialOutcome> = journal::latest(lines).into_values().collect();
    latest.sort_by_key(|outcome| outcome.started_us);
    latest
}

/// The facts of the latest start.
fn machine(lines: &[JournalLine]) -> BTreeMap<String, String> {
    let facts = lines.iter().rev().find_map(|line| match line {
        JournalLine::Run(facts) => Some(facts.machine.clone()),
        JournalLine::Trial(_) => None,
    });
    facts.unwrap_or_default()
}

fn finish(args: &CompareArgs, comparison: &Comparison) -> Result<(), Failure> {
    print(&match args.format {
        Format::Text => text(comparison),
        Format::Markdown => comparison.markdown(),
        Format::Json => format!("{}\n", comparison.json()),
    })?;
    let (worse, undecided) = (
        comparison.count(Finding::Worse),
        comparison.count(Finding::Undecided),
    );
    let fails = match args.fail_on {
        None => 0,
        Some(FailOn::Worse) => worse,
        Some(FailOn::Undecided) => worse + undecided,
    };
    match fails {
        0 => Ok(()),
        _ => Err(Failure {
            error: anyhow!(
                "of {} cells {worse} are worse and {undecided} undecided",
                comparison.cells.len()
            ),
            exit: 3,
        }),
    }
}

fn text(comparison: &Comparison) -> String {
    let rows: Vec<TableRow<6>> = comparison
        .rows()
        .into_iter()
        .map(|(mut cells, finding)| {
            cells[5] = paint_stdout(tone(finding), &cells[5]);
            TableRow {
                cells,
                below: String::new(),
            }
        })
        .collect();
    let table = table(
        COLUMNS,
        &["first", "second", "change", "99 % interval"],
        &rows,
        width(),
    );
    format!("{}\n\n{table}", comparison.heading())
}
