//! Measures: a plan becomes trials, an engine runs them, a journal keeps what came of them, a report shows it.

pub mod cluster;
pub mod cost;
pub mod engine;
mod exposition;
pub mod journal;
pub mod ledger;
pub mod machine;
pub mod outcome;
pub mod plan;
pub mod predict;
pub mod progress;
pub mod report;
pub mod run;
pub mod summary;
pub mod trial;
