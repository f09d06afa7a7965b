//! The experiment as anyone runs it: a plan goes in; journal, report, exit status and one clear line come out, and
//! nothing stays behind. Windows are of half a second, so that a trial takes two.

// The lint's exception for tests does not reach the functions they share.
#![allow(clippy::unwrap_used)]

mod deaths;
mod full_disk;
mod interruptions;
mod own_endpoint;
mod place;
mod refusals;
mod runs;
mod udfs;
