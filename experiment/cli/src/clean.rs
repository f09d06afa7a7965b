//! `experiment clean`: removes what killed runs left behind, or ends a release of the chart.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use cluster::ClusterError;
use cluster::cleanup::{clean as remove_dead_runs, release};

use crate::cluster_args::ClusterArgs;
use crate::failure::Failure;
use crate::output::print;
use crate::progress;
use crate::stop::until_stopped;

#[derive(Debug, clap::Args)]
pub struct CleanArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// End this release of the chart instead: delete its experiment and Pipelines and wait for Numaflow's clean-up
    #[arg(long, env = "RELEASE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    release: Option<String>,
    /// How long removal may take
    #[arg(long, env = "WITHIN", value_name = "DURATION", default_value = "110s", value_parser = wire::parse_duration)]
    within: Duration,
}

pub fn clean(args: CleanArgs) -> Result<(), Failure> {
    print(&until_stopped(run(args))?)
}

async fn run(args: CleanArgs) -> Result<String, ClusterError> {
    let CleanArgs {
        cluster,
        release: name,
        within,
    } = args;
    let cluster = cluster.connect().await?;
    if let Some(name) = name {
        release(&cluster, &name, within, &progress::note).await?;
        return Ok(format!(
            "release {name}: everything that Numaflow cleans up is gone\n"
        ));
    }
    let cleaned = remove_dead_runs(&cluster, within, &progress::note).await?;
    let lines = |what: &str, runs: &[String]| -> String {
        runs.iter().map(|run| format!("{what} {run}\n")).collect()
    };
    let report = lines("removed", &cleaned.removed) + &lines("kept", &cleaned.kept);
    Ok(if report.is_empty() {
        format!(
            "namespace {}: nothing left behind by any run\n",
            cluster.namespace
        )
    } else {
        report
    })
}
