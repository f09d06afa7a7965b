//! `experiment`: runs a plan, predicts it, or draws its report again.
//!
//! # Layout
//!
//! A module for each command has its arguments and a function of the same name.
//!
//! - `run`, `predict`, `advise`, `search`, `compare`, `collect`, `clean`, `verify`: the commands. `scale`: the section of `predict --scale`.
//! - `engines`: arguments that choose an engine, which it builds. `run_facts`: what a journal says at the start. `one_trial`: a trial of a command that runs them one by one.
//! - `given`: which options the command line has. `job_run`: a run inside a Job.
//! - `learn`, `probe`: what predictions take from an earlier run or from calls to the user's own service.
//! - `plan_args`: the plan's file and its fields as flags.
//! - `cluster_args`, `url_parser`: arguments that several commands share, and the parser of `--endpoint-url`.
//! - `progress`, `output`: stderr and stdout. `failure`: an error with its exit status. `stop`: SIGINT and SIGTERM.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use advise::AdviseArgs;
use clean::CleanArgs;
use collect::CollectArgs;
use compare::CompareArgs;
use failure::Failure;
use predict::PredictArgs;
use run::RunArgs;
use search::SearchArgs;
use verify::VerifyArgs;

mod advise;
mod clean;
mod cluster_args;
mod collect;
mod compare;
mod engines;
mod failure;
mod given;
mod job_run;
mod learn;
mod one_trial;
mod output;
mod own_payloads;
mod plan_args;
mod predict;
mod probe;
mod progress;
mod run;
mod run_facts;
mod scale;
mod search;
mod stop;
mod url_parser;
mod verify;

/// Measures how a Numaflow reduce UDF should do slow work for each event: with which strategy, with how many calls
/// in flight, and up to which rate it keeps up. Runs the trials of a plan and writes a report.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  experiment run plans/quick.yaml                 run a plan; the report is at out/quick/report.html
  experiment run --strategy async,thread-pool --rpu 300 --io-delay 20ms --max-workers 32,64   without a plan's file
  experiment run plans/quick.yaml --windows 5     a field that the plan's file leaves out
  experiment run plans/classic.yaml --resume      continue after an interruption
  experiment run plans/classic.yaml --only async  only the trials whose id contains `async`
  experiment run plans/quick.yaml --udf-command 'python3 udf.py' --out out/python
  experiment run plans/quick.yaml --endpoint-url http://127.0.0.1:9888   measure against your own endpoint
  experiment run plans/quick.yaml --engine cluster --namespace me        in Kubernetes, by Numaflow
  experiment predict plans/classic.yaml           print the predictions without running anything
  experiment predict plans/classic.yaml --scale 1000000   and how many pods a million events per second need
  experiment predict plans/classic.yaml --from out/quick      by what an earlier run measured
  experiment advise --io-delay 'lognormal(50=80ms,99=400ms)' --rpu 300 --keys 20 --window 60s --objective 'close_tail p99 < 1s'
  experiment search plans/quick.yaml --objective 'close_tail p95 < 1s' --budget 20m   the highest rate of each cell
  experiment compare results/main out/quick       two kept runs, cell by cell
  experiment compare plans/quick.yaml --udf-command ./old --udf-command ./new --fail-on worse   two UDFs in turns
  experiment report out/quick                     draw the report again from its journal

Exit status: 130 after SIGINT, 143 after SIGTERM, else 2 wrong use, else 1 a trial or the run failed, else 3 a threshold
was not met, a comparison found what --fail-on names, a search found no level that is sustained, or no setting is
advised or the advised one did not hold, else 0.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the trials of a plan and write journal and report
    Run(Box<RunArgs>),
    /// Print the prediction for every trial of a plan without running it
    Predict(Box<PredictArgs>),
    /// Say which settings are predicted to hold an objective, cheapest first, or what must change; with --verify, run it
    Advise(Box<AdviseArgs>),
    /// Search for the capacity of each cell (the highest RPU that is sustained) or its demand (the least max_workers)
    Search(Box<SearchArgs>),
    /// Draw the report again from the journal in a folder
    Report {
        /// The folder that `run` wrote to
        folder: PathBuf,
    },
    /// Compare two kept runs, or run a plan in rounds with two UDFs: which cells are worse, better, or the same
    Compare(Box<CompareArgs>),
    /// Fetch the journal of an experiment that runs as a Job in a cluster, and draw its report
    Collect(CollectArgs),
    /// Remove what killed runs left behind in a cluster
    Clean(CleanArgs),
    /// Wait until a pipeline's sink has received further records
    Verify(VerifyArgs),
    /// Print the JSON schema of a plan, for editors
    Schema,
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(*args),
        Command::Predict(args) => predict::predict(&args),
        Command::Advise(args) => advise::advise(*args),
        Command::Search(args) => search::search(*args),
        Command::Report { folder } => output::draw_report(&folder),
        Command::Compare(args) => compare::compare(*args),
        Command::Collect(args) => collect::collect(args),
        Command::Clean(args) => clean::clean(args),
        Command::Verify(args) => verify::verify(args),
        Command::Schema => output::print(&format!("{:#}\n", trials::plan::schema())),
        Command::Completions { shell } => completions(shell),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::note(&format!(
                "experiment: {}",
                vertex::one_line(failure.error.as_ref())
            ));
            ExitCode::from(failure.exit)
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "experiment", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
