//! `experiment clean`: removes what dead runs left, or what a release of the chart must not leave.

use anyhow::Context;
use experiment::cluster::clean::{clean as remove_dead_runs, release};
use experiment::cluster::{Cluster, ClusterError};
use experiment::progress;

use super::{Failure, cluster_failure, say};
use crate::CleanArgs;

/// `experiment clean`.
pub fn clean(args: CleanArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let report = runtime.block_on(run(args)).map_err(cluster_failure)?;
    say(&report)
}

async fn run(args: CleanArgs) -> Result<String, ClusterError> {
    let CleanArgs {
        cluster,
        release: name,
        within,
    } = args;
    let cluster = Cluster::connect(cluster.context.as_deref(), cluster.namespace.as_deref()).await?;
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
