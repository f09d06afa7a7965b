//! The experiment on a mocked cluster: the real `experiment` talks to an API server in small, behind which the real
//! generator, UDF, sink and endpoint run. One test for each thing that happens in clusters.

// The lint's exception for tests does not reach the functions they share.
#![allow(clippy::unwrap_used)]

mod credentials;
mod inside;
mod interruptions;
mod leftovers;
mod mock;
#[allow(
    dead_code,
    reason = "shared with the tests of the local engine, which use more of it"
)]
#[path = "../experiment/place.rs"]
mod place;
mod refusals;
mod runs;
mod stage;
mod streams;
mod troubles;
