//! `experiment`: runs a plan, predicts it, or draws its report again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use experiment::engine::local::EndpointUrl;

mod cli;

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
    Predict {
        /// The plan
        plan: PathBuf,
        #[command(flatten)]
        scale: cli::ScaleArgs,
    },
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
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How to run a plan.
#[derive(Debug, Args)]
struct RunArgs {
    /// The plan, in YAML
    plan: PathBuf,
    /// Where the trials run
    #[arg(long, env = "ENGINE", value_enum, default_value_t = EngineKind::Local)]
    engine: EngineKind,
    /// Folder for journal and report [default: out/NAME-OF-THE-PLAN]
    #[arg(long, env = "OUT", value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue an earlier run: trials that have an outcome are kept, failed ones are run again
    #[arg(long)]
    resume: bool,
    /// Run only the trials whose id contains this
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// Shell command that starts another reduce UDF instead of ours; it gets SOCKET, SERVER_INFO, ENDPOINT_URL,
    /// IO_DELAY, STRATEGY, MAX_WORKERS, … in its environment
    #[arg(long, env = "UDF_COMMAND", value_name = "COMMAND")]
    udf_command: Option<String>,
    /// Your own endpoint instead of ours: every call is `GET URL/ping?delay=…`
    #[arg(long, env = "ENDPOINT_URL", value_name = "URL", hide_env_values = true, value_parser = cli::Address)]
    endpoint_url: Option<EndpointUrl>,
    /// How long what runs for a trial may take to become ready [default: 10s; in a cluster 3m]
    #[arg(long, env = "PATIENCE", value_name = "DURATION", value_parser = wire::parse_duration)]
    patience: Option<Duration>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// In a Job of the cluster: its name. What is created belongs to it, and the journal goes to standard output
    #[arg(long, env = "JOB_NAME", value_name = "NAME")]
    job: Option<String>,
    /// In a cluster: what trials are made of, rendered by the chart [default: built in]
    #[arg(long, env = "BASE", value_name = "FILE")]
    base: Option<PathBuf>,
    /// In a cluster: the image of all our containers [default: the base's]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
}

/// Which cluster.
#[derive(Debug, Args)]
struct ClusterArgs {
    /// Namespace of everything that is created [default: the context's, or the pod's]
    #[arg(long, short, env = "NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// Context of the kubeconfig [default: the current one, or the credentials of the pod that this runs in]
    #[arg(long, env = "CONTEXT", value_name = "NAME")]
    context: Option<String>,
}

/// What to bring.
#[derive(Debug, Args)]
struct CollectArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The Job, or the beginning of its name
    #[arg(long, env = "JOB_NAME", value_name = "NAME")]
    job: String,
    /// Folder for journal and report
    #[arg(long, env = "OUT", value_name = "DIR")]
    out: PathBuf,
    /// How long to wait for the end of the experiment
    #[arg(long, env = "WITHIN", value_name = "DURATION", default_value = "1h", value_parser = wire::parse_duration)]
    within: Duration,
}

/// What to remove.
#[derive(Debug, Args)]
struct CleanArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// End this release of the chart instead: its experiment and its Pipelines, until Numaflow has cleaned up after them
    #[arg(long, env = "RELEASE", value_name = "NAME")]
    release: Option<String>,
    /// How long it may take until all of it is gone
    #[arg(long, env = "WITHIN", value_name = "DURATION", default_value = "110s", value_parser = wire::parse_duration)]
    within: Duration,
}

/// How to see that records come out of a pipeline.
#[derive(Debug, Args)]
struct VerifyArgs {
    /// Where the sink serves its metrics, such as http://async-reduce-sink-headless:9100/metrics
    #[arg(long, env = "SINK_METRICS", value_name = "URL")]
    sink_metrics: reqwest::Url,
    /// How long it may take
    #[arg(long, env = "WITHIN", value_name = "DURATION", default_value = "2m", value_parser = wire::parse_duration)]
    within: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EngineKind {
    /// On this machine, with an embedded data plane
    Local,
    /// In Kubernetes, by Numaflow
    Cluster,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => cli::run(*args),
        Command::Predict { plan, scale } => cli::predict(&plan, &scale),
        Command::Report { folder } => cli::report(&folder),
        Command::Collect(args) => cli::collect(args),
        Command::Clean(args) => cli::clean(args),
        Command::Verify(args) => cli::verify(args),
        Command::Completions { shell } => cli::completions(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            experiment::progress::say(&format!(
                "experiment: {}",
                vertex::one_line(failure.error.as_ref())
            ));
            ExitCode::from(failure.exit)
        }
    }
}
