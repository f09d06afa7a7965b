//! The experiment in a Kubernetes cluster, with the real Numaflow. Everything that a run creates has an owner; what a
//! killed run leaves behind is removed by the next one; a failure is diagnosed from the state of the cluster.
//!
//! # Layout
//!
//! From the top down; a module uses only those below it.
//!
//! - [`ClusterEngine`] (`cluster_engine`): the engine that the run loop calls, and its settings.
//! - `preflight`: checks before the first trial.
//! - `payloads`: events of the user's own, in a ConfigMap of the run or on a volume.
//! - `trial`: one trial, from the manifests that are applied to the observation.
//! - `error`: [`ClusterEngineError`], the errors of engine, preflight and trial.
//! - [`collect`]: fetches the journal of an experiment that ran in a Job, from the log of its pod.
//! - [`job`]: what an experiment in a Job writes out: its journal and its summary.
//! - [`cleanup`]: removes what dead runs, or a release of the chart, leave behind.
//! - [`verify`]: whether a pipeline gives results.
//! - [`ownership`]: the Job or Lease that owns a run's objects.
//! - [`base`]: the manifests that trials are made from.
//! - `diagnosis`: the cause of a failure, from the state of pods and of Numaflow's objects.
//! - `client`: the connection to the cluster, requests with their retries and errors, and requests to pods.
//! - `poll`, `completion`, `exposition`, `labels`, `text`: bounded waiting, the end of Jobs and pods, Prometheus' text
//!   format, names of labels, shortened texts.

#![allow(
    missing_docs,
    reason = "used by the experiment alone: what a field's name says already is not said again"
)]

pub mod base;
pub mod cleanup;
mod client;
mod cluster_engine;
pub mod collect;
mod completion;
mod diagnosis;
mod error;
mod exposition;
pub mod job;
mod labels;
pub mod ownership;
mod payloads;
mod poll;
mod preflight;
mod text;
mod trial;
pub mod verify;

pub use self::client::{Cluster, ClusterError, PodError};
pub use self::cluster_engine::{ClusterConfig, ClusterEngine, expected};
pub use self::error::ClusterEngineError;
