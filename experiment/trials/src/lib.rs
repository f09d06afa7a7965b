//! The data and arithmetic of an experiment, independent of where it runs and how it is drawn. Depends on serde and
//! `wire` only.
//!
//! # Layout
//!
//! - [`plan`]: a YAML plan becomes trials; impossible plans are refused with line and field.
//! - [`trial`]: one run of the pipeline with one set of settings.
//! - [`predict`]: what a trial is expected to do, by queueing arithmetic.
//! - [`trace`]: measured latencies as a delay.
//! - [`learn`]: what an earlier run, or calls to a service, say in place of what a prediction assumes.
//! - [`probe`]: calls to the user's own service, and when to stop them.
//! - [`endpoint_url`]: the address of the user's own endpoint, and which trials can run against it.
//! - [`outcome`]: the measurements of a trial, as the journal stores them.
//! - [`ledger`]: accounts for every event of a trial by its number.
//! - [`verdict`]: whether a strategy kept up, and whether the trial can say so.
//! - [`threshold`]: what must hold, and whether it did; [`metric`]: what it speaks of; [`cell`]: what repeats have in common.
//! - [`search`]: the next level of a search for a capacity or a demand; [`sustained`]: what the trials of a level say;
//!   [`searches`]: those of all cells, and what they found by a journal.
//! - [`advise`]: which settings are predicted to hold an objective, cheapest first.
//! - [`comparison`]: two runs, cell by cell; [`statistics`]: intervals and tests, pure.
//! - [`journal`]: the file that stores runs and outcomes, one line each.
//! - [`text`]: figures for people, the one home of number formats.

#![allow(
    missing_docs,
    reason = "used by this workspace only: a name that says what it holds needs no second sentence"
)]

pub mod advise;
pub mod cell;
pub mod comparison;
pub mod endpoint_url;
pub mod journal;
pub mod learn;
pub mod ledger;
pub mod metric;
pub mod outcome;
pub mod plan;
pub mod predict;
pub mod probe;
pub mod search;
pub mod searches;
pub mod statistics;
pub mod sustained;
pub mod text;
pub mod threshold;
pub mod trace;
pub mod trial;
pub mod verdict;
