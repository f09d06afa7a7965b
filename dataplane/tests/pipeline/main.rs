//! Drives the data plane against real SDK servers over real sockets.

#![allow(clippy::unwrap_used, missing_docs)]

mod flow;
mod servers;
mod support;
mod trouble;
