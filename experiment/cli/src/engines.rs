//! Builds the engine from the arguments; the only place that does.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use cluster::base::Base;
use cluster::{ClusterConfig, ClusterEngine, ClusterEngineError};
use engine::{Engine, EngineError};
use local::{LocalConfig, LocalEngine, Place};
use trials::plan::{OwnPayloads, Plan};

use crate::failure::Failure;
use crate::run::RunArgs;

/// Default time for processes to become ready.
pub const LOCAL_PATIENCE: Duration = Duration::from_secs(10);

/// Default time for a pipeline to run in a cluster, where images may have to be pulled.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(180);

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EngineKind {
    /// On this machine, with an embedded data plane
    Local,
    /// In Kubernetes, by Numaflow
    Cluster,
}

/// Options of one engine that the other one ignores: their ids and flags.
const OF_THE_CLUSTER: [(&str, &str); 5] = [
    ("namespace", "--namespace"),
    ("context", "--context"),
    ("job", "--job"),
    ("base", "--base"),
    ("image", "--image"),
];
const OF_THIS_MACHINE: [(&str, &str); 4] = [
    ("udf_command", "--udf-command"),
    ("udf_socket", "--udf-socket"),
    ("udf_server_info", "--udf-server-info"),
    ("ca_file", "--ca-file"),
];

/// Refuses an option of the engine that is not chosen. The environment may name one for another command.
///
/// # Errors
/// Returns an error that names the option.
pub fn refuse_options_of_the_other(args: &RunArgs) -> Result<(), Failure> {
    let (others, other) = match args.engine {
        EngineKind::Local => (OF_THE_CLUSTER.as_slice(), "--engine cluster"),
        EngineKind::Cluster => (OF_THIS_MACHINE.as_slice(), "--engine local"),
    };
    match others.iter().find(|(id, _)| args.given.has(id)) {
        Some((_, flag)) => Err(Failure::wrong_use(anyhow!(
            "{flag}: has an effect with {other} only: leave it out, or add {other}"
        ))),
        None => Ok(()),
    }
}

pub async fn engine(
    args: &RunArgs,
    plan: &Plan,
    payloads: Option<OwnPayloads>,
) -> Result<Box<dyn Engine>, Failure> {
    match args.engine {
        EngineKind::Local => local_engine(args, plan, payloads),
        EngineKind::Cluster => cluster_engine(args, plan, payloads).await,
    }
}

fn local_engine(
    args: &RunArgs,
    plan: &Plan,
    payloads: Option<OwnPayloads>,
) -> Result<Box<dyn Engine>, Failure> {
    local(LocalConfig {
        cut_off: plan.cut_off,
        patience: args.patience.unwrap_or(LOCAL_PATIENCE),
        udf_command: args.udf_command.clone(),
        udf_place: udf_place(args),
        endpoint_url: args.endpoint_url.clone(),
        ca_file: args.ca_file.clone(),
        payloads,
    })
}

fn udf_place(args: &RunArgs) -> Option<Place> {
    let (socket, server_info) = args.udf_socket.clone().zip(args.udf_server_info.clone())?;
    Some(Place { socket, server_info })
}

/// The engine of this machine, which starts the programs beside this one.
pub fn local(config: LocalConfig) -> Result<Box<dyn Engine>, Failure> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let folder = program.parent().unwrap_or(Path::new("."));
    let engine = LocalEngine::new(folder, config).map_err(EngineError::from)?;
    Ok(Box::new(engine))
}

async fn cluster_engine(
    args: &RunArgs,
    plan: &Plan,
    payloads: Option<OwnPayloads>,
) -> Result<Box<dyn Engine>, Failure> {
    let base = Base::read(args.base.as_deref())
        .map_err(ClusterEngineError::from)
        .map_err(EngineError::from)?;
    let cluster = args
        .cluster
        .connect()
        .await
        .map_err(ClusterEngineError::from)
        .map_err(EngineError::from)?;
    let config = ClusterConfig {
        cut_off: plan.cut_off,
        patience: args.patience.unwrap_or(CLUSTER_PATIENCE),
        udf_command: args.udf_command.clone(),
        endpoint_url: args.endpoint_url.clone(),
        base,
        image: args.image.clone(),
        job: args.job.clone(),
        payloads,
    };
    let engine = ClusterEngine::new(cluster, config)?;
    Ok(Box::new(engine))
}
