//! Starts programs, waits until they are ready and stops them. Mechanism only: command line, environment, what is
//! observed and when to stop are the caller's.
//!
//! # Layout
//!
//! - `child`: a child process with its group, life line, output and end.
//! - `place`: where a vertex serves: its socket and its server-info file.
//! - `error`: why a program cannot be started or has ended.

mod child;
mod error;
mod place;

pub use child::{Child, Stderr};
pub use error::LaunchError;
pub use place::Place;
