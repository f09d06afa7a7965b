//! `experiment collect`: fetches the journal of an experiment that ran as a Job, draws its report, and exits with its status.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::builder::NonEmptyStringValueParser;
use cluster::collect::{Collected, check_folder, collect as fetch, keep};

use crate::cluster_args::ClusterArgs;
use crate::failure::Failure;
use crate::output::{check_folder as check_report_folder, draw_report};
use crate::progress;
use crate::stop::until_stopped;

#[derive(Debug, clap::Args)]
pub struct CollectArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The Job's name, or a prefix of it
    #[arg(long, env = "JOB_NAME", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    job: String,
    /// Folder for journal and report
    #[arg(long, env = "OUT", value_name = "DIR")]
    out: PathBuf,
    /// How long to wait for the end of the experiment
    #[arg(long, env = "WITHIN", value_name = "DURATION", default_value = "1h", value_parser = wire::parse_duration)]
    within: Duration,
}

pub fn collect(args: CollectArgs) -> Result<(), Failure> {
    let collected = until_stopped(run(&args))?;
    draw_report(&args.out)?;
    let Collected {
        job,
        exit,
        last_lines,
        ..
    } = collected;
    match exit {
        0 => Ok(()),
        exit => Err(Failure {
            error: anyhow!("the experiment of Job {job} ended with exit status {exit}: {last_lines}"),
            exit,
        }),
    }
}

async fn run(args: &CollectArgs) -> Result<Collected, Failure> {
    check_folder(&args.out)?;
    check_report_folder(&args.out)?;
    let cluster = args.cluster.connect().await?;
    let collected = fetch(&cluster, &args.job, args.within, &progress::note).await?;
    keep(&args.out, &collected.journal)?;
    Ok(collected)
}
