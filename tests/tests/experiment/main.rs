//! The experiment as a user runs it: a plan goes in; journal, report, exit status and one clear line come out, and no
//! process or file is left. Windows take half a second, so that a trial takes two.

// Clippy's exception for tests does not apply to functions that tests share.
#![allow(clippy::unwrap_used)]

mod advice;
mod comparisons;
mod deaths;
mod fixed_paths;
mod flags;
mod full_disk;
mod interruptions;
mod learning;
mod own_endpoint;
mod own_payloads;
mod probes;
mod refusals;
mod reports;
mod run_dir;
mod runs;
mod searches;
mod terminal;
mod thresholds;
mod traces;
mod udfs;
mod verdicts;
