//! Builds the engine from the arguments; the only place that does.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use cluster::base::Base;
use cluster::{ClusterConfig, ClusterEngine, ClusterEngineError};
use engine::{Engine, EngineError};
use local::{LocalConfig, LocalEngine};
use trials::plan::Plan;

use crate::failure::Failure;
use crate::run::RunArgs;

/// Default time for processes to become ready.
const LOCAL_PATIENCE: Duration = Duration::from_secs(10);

/// Default time for a pipeline to run in a cluster, where images may have to be pulled.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(180);

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EngineKind {
    /// On this machine, with an embedded data plane
    Local,
    /// In Kubernetes, by Numaflow
    Cluster,
}

pub async fn engine(args: &RunArgs, plan: &Plan) -> Result<Box<dyn Engine>, Failure> {
    match args.engine {
        EngineKind::Local => local_engine(args, plan),
        EngineKind::Cluster => cluster_engine(args, plan).await,
    }
}

fn local_engine(args: &RunArgs, plan: &Plan) -> Result<Box<dyn Engine>, Failure> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let config = LocalConfig {
        cut_off: plan.cut_off,
        patience: args.patience.unwrap_or(LOCAL_PATIENCE),
        udf_command: args.udf_command.clone(),
        endpoint_url: args.endpoint_url.clone(),
    };
    let folder = program.parent().unwrap_or(Path::new("."));
    let engine = LocalEngine::new(folder, config).map_err(EngineError::from)?;
    Ok(Box::new(engine))
}

async fn cluster_engine(args: &RunArgs, plan: &Plan) -> Result<Box<dyn Engine>, Failure> {
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
    };
    let engine = ClusterEngine::new(cluster, config)?;
    Ok(Box::new(engine))
}
