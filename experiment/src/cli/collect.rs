//! `experiment collect`: an experiment that ran as a Job ends here as if it had been run here.

use anyhow::{Context, anyhow};
use experiment::cluster::Cluster;
use experiment::cluster::collect::{CollectError, Collected, check_folder, collect as bring, keep};
use experiment::{journal, progress};

use super::{Failure, journal_failure, write_report};
use crate::CollectArgs;

/// `experiment collect`.
pub fn collect(args: CollectArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let collected = runtime.block_on(run(&args)).map_err(collect_failure)?;
    write_report(&args.out, &journal::read(&args.out).map_err(journal_failure)?)?;
    let Collected { job, exit, said, .. } = collected;
    match exit {
        0 => Ok(()),
        exit => Err(Failure {
            error: anyhow!("the experiment of Job {job} ended with exit status {exit}: {said}"),
            exit,
        }),
    }
}

async fn run(args: &CollectArgs) -> Result<Collected, CollectError> {
    check_folder(&args.out)?;
    let (context, namespace) = (args.cluster.context.as_deref(), args.cluster.namespace.as_deref());
    let cluster = Cluster::connect(context, namespace).await?;
    let collected = bring(&cluster, &args.job, args.within, &progress::say).await?;
    keep(&args.out, &collected.journal)?;
    Ok(collected)
}

fn collect_failure(error: CollectError) -> Failure {
    let exit = if error.is_wrong_use() { 2 } else { 1 };
    Failure {
        error: error.into(),
        exit,
    }
}
