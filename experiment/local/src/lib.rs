//! Runs trials on this machine: the real programs as child processes, connected by the embedded data plane over their real
//! sockets. All processes of a trial end with it, however it ends.
//!
//! # Layout
//!
//! From the top down; a module uses only those below it.
//!
//! - [`LocalEngine`] (`local_engine`): the engine that the run loop calls.
//! - `pipeline`: the child processes of one trial and the data plane between them.
//! - `observation`: computes the observation from what a trial left behind.
//! - `recorder`: collects closed windows, drops and records while a trial runs.
//! - `memory`: the bound of the runner's buffers, and which trials need more memory than may wait.
//! - [`Service`] (`service`): the user's own service as a probe calls it.
//! - `user_endpoint`: checks that the user's own endpoint answers.
//! - `trial_folder`: the folder for the sockets of a trial, and the removal of those that killed runs left behind.
//! - `fixed_place`: where a UDF serves that does not let its paths be chosen.
//! - `commands`: command lines and environment of the child processes.
//! - [`LocalConfig`] (`config`) and [`LocalError`] (`error`).

#![allow(
    missing_docs,
    reason = "used by this workspace only: a name that says what it holds needs no second sentence"
)]

mod commands;
mod config;
mod error;
mod fixed_place;
mod local_engine;
mod memory;
mod observation;
mod pipeline;
mod recorder;
mod service;
mod trial_folder;
mod user_endpoint;

pub use launcher::Place;

pub use self::config::LocalConfig;
pub use self::error::LocalError;
pub use self::fixed_place::{FixedPlace, FixedPlaceError};
pub use self::local_engine::{LocalEngine, expected};
pub use self::memory::memory_note;
pub use self::service::{Service, ServiceError, ServiceRequest};
