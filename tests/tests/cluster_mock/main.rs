//! The experiment on a mocked cluster: the real `experiment` uses a mock of the API server, behind which the real
//! generator, UDF, sink and endpoint run. One test for each event of a cluster.

// Clippy's exception for tests does not apply to functions that tests share.
#![allow(clippy::unwrap_used)]

mod credentials;
mod fixture;
mod inside;
mod interruptions;
mod leftovers;
mod mock;
mod payloads;
mod refusals;
#[allow(
    dead_code,
    reason = "shared with the tests of the local engine, which use more of it"
)]
#[path = "../experiment/run_dir.rs"]
mod run_dir;
mod runs;
mod streams;
mod troubles;
