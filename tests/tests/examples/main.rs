//! Examples that need more than Rust: a database, other languages. `make test-examples` runs them.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

mod ci;
mod legacy_python;
mod own_udf_page;
mod postgres;
mod workers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trials::journal::{self, JournalLine};
use trials::outcome::{TrialEnd, TrialOutcome};

/// The folder of an example.
fn folder(example: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    examples.join(example).canonicalize().unwrap()
}

/// The trials of a run, in their order.
fn trials_of(out: &Path) -> Vec<TrialOutcome> {
    let trials = journal::read(out)
        .unwrap()
        .into_iter()
        .filter_map(|line| match line {
            JournalLine::Trial(outcome) => Some(*outcome),
            JournalLine::Run(_) => None,
        });
    trials.collect()
}

/// The shortest close tail of the measured windows of a run's trials, by `max_workers`. Every event of theirs was called with
/// success.
fn tails(out: &Path, events: u64) -> BTreeMap<u32, Duration> {
    let tail = |outcome: TrialOutcome| {
        assert_eq!(outcome.end, TrialEnd::Completed);
        let ledger = outcome.ledger.unwrap();
        assert!(
            ledger.balances() && ledger.ok == events && ledger.lost == 0,
            "{ledger:?}"
        );
        let measured = outcome.windows.iter().filter(|window| !window.warmup);
        let tails = measured.map(|window| window.measured.as_ref().unwrap().close_tail_us);
        let max_workers = outcome.trial.settings.max_workers.get().try_into().unwrap();
        (max_workers, Duration::from_micros(tails.min().unwrap()))
    };
    trials_of(out).into_iter().map(tail).collect()
}
