//! What an experiment is about, without where it runs and how it is drawn: plan, trial, prediction, outcome, ledger,
//! verdict, journal.

pub mod endpoint_url;
pub mod journal;
pub mod ledger;
pub mod outcome;
pub mod plan;
pub mod predict;
pub mod trial;
pub mod verdict;
