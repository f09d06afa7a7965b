//! Measures: a plan becomes trials, an engine runs them, a journal keeps what came of them, a report shows it.

pub mod journal;
pub mod outcome;
pub mod predict;
pub mod trial;
