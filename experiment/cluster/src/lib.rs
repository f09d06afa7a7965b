//! A Kubernetes cluster as the experiment sees it: who talks to its API server and in which namespace. What is made
//! there has an owner, is cleaned up by whoever comes next, and is explained where it fails.

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
pub mod diagnosis;
mod error;
mod exposition;
pub mod job;
mod labels;
pub mod ownership;
pub mod poll;
mod preflight;
mod text;
mod trial;
pub mod verify;

pub use self::client::{Cluster, ClusterError, PodError};
pub use self::cluster_engine::{ClusterConfig, ClusterEngine};
pub use self::error::ClusterEngineError;
