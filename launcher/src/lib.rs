//! Starts programs, waits until they are ready and stops them. Mechanism only: the caller chooses command line and
//! environment, what to observe, and when to stop.
//!
//! # Layout
//!
//! - `child`: a child process with its group, life line, output and end.
//! - `place`: where a vertex serves: its socket and its server-info file.
//! - `error`: why a program cannot be started or has ended.

#![allow(
    missing_docs,
    reason = "used by this workspace alone: docs that only repeat a name are left out"
)]

mod child;
mod error;
mod place;

pub use child::{Child, Stderr};
pub use error::LaunchError;
pub use place::Place;
