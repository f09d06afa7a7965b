//! `experiment clean`: removes what dead runs left, or what a release of the chart must not leave.

use std::time::Duration;

use anyhow::Context;
use cluster::ClusterError;
use cluster::cleanup::{clean as remove_dead_runs, release};

use crate::cluster_args::ClusterArgs;
use crate::failure::Failure;
use crate::output::say;
use crate::progress;

/// What to remove.
#[derive(Debug, clap::Args)]
pub struct CleanArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// End this release of the chart instead: its experiment and its Pipelines, until Numaflow has cleaned up after them
    #[arg(long, env = "RELEASE", value_name = "NAME")]
    release: Option<String>,
    /// How long it may take until all of it is gone
    #[arg(long, env = "WITHIN", value_name = "DURATION", default_value = "110s", value_parser = wire::parse_duration)]
    within: Duration,
}

/// `experiment clean`.
pub fn clean(args: CleanArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let report = runtime.block_on(run(args))?;
    say(&report)
}

async fn run(args: CleanArgs) -> Result<String, ClusterError> {
    let CleanArgs {
        cluster,
        release: name,
        within,
    } = args;
    let cluster = cluster.connect().await?;
    if let Some(name) = name {
        release(&cluster, &name, within, &progress::say).await?;
        return Ok(format!("nothing of release {name} is left to wait for\n"));
    }
    let cleaned = remove_dead_runs(&cluster, within, &progress::say).await?;
    let lines = |what: &str, runs: &[String]| -> String {
        runs.iter().map(|run| format!("{what} {run}\n")).collect()
    };
    let report = lines("removed", &cleaned.removed) + &lines("kept", &cleaned.kept);
    Ok(if report.is_empty() {
        format!("no run has left anything in namespace {}\n", cluster.namespace)
    } else {
        report
    })
}
