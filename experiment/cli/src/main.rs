//! `experiment`: runs a plan, predicts it, or draws its report again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use clean::CleanArgs;
use collect::CollectArgs;
use failure::Failure;
use predict::PredictArgs;
use run::RunArgs;
use verify::VerifyArgs;

mod address;
mod clean;
mod cluster_args;
mod collect;
mod engines;
mod failure;
mod job;
mod output;
mod predict;
mod progress;
mod run;
mod scale;
mod verify;

/// How should a Numaflow reduce UDF do slow work for each event, how many calls at once, and up to which rate
/// does it keep up? Runs the trials of a plan and reports.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  experiment run plans/quick.yaml                 run a plan; the report is at out/quick/report.html
  experiment run plans/classic.yaml --resume      continue after an interruption
  experiment run plans/classic.yaml --only async  only the trials whose id contains `async`
  experiment run plans/quick.yaml --udf-command 'python3 udf.py' --out out/python
  experiment run plans/quick.yaml --endpoint-url http://127.0.0.1:9888   measure against your own endpoint
  experiment run plans/quick.yaml --engine cluster --namespace me        in Kubernetes, by Numaflow
  experiment predict plans/classic.yaml           what to expect, without running anything
  experiment predict plans/classic.yaml --scale 1000000   and how many pods so many events per second take
  experiment report out/quick                     draw the report again from its journal

Exit status: 0 every trial ran and its ledger balances, 1 something failed, 2 wrong use.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the trials of a plan and write journal and report
    Run(Box<RunArgs>),
    /// Print what is expected of every trial of a plan, without running it
    Predict(PredictArgs),
    /// Draw the report again from the journal in a folder
    Report {
        /// The folder that `run` wrote to
        folder: PathBuf,
    },
    /// Bring the journal of an experiment that runs as a Job in a cluster, and draw its report
    Collect(CollectArgs),
    /// Remove from a cluster what runs left there that were killed
    Clean(CleanArgs),
    /// Wait until the count of records of a pipeline's sink rises
    Verify(VerifyArgs),
    /// Print the JSON schema of a plan, for editors
    Schema,
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(*args),
        Command::Predict(args) => predict::predict(&args),
        Command::Report { folder } => output::draw_report(&folder),
        Command::Collect(args) => collect::collect(args),
        Command::Clean(args) => clean::clean(args),
        Command::Verify(args) => verify::verify(args),
        Command::Schema => output::say(&format!("{:#}\n", trials::plan::schema())),
        Command::Completions { shell } => completions(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::say(&format!(
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
    output::say(&String::from_utf8_lossy(&script))
}
