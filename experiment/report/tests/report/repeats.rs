//! Repeats of a cell: their spread, their drift, and how many a comparison needs.

use std::time::Duration;

use trials::outcome::TrialOutcome;
use wire::StrategyKind;

use super::reading::{Report, value};
use super::synthetic::journal;
use super::{exactly, kept};

/// Repeats one after the other whose close tails are these, in microseconds.
fn repeats(strategy: StrategyKind, tails_us: &[u64]) -> Vec<TrialOutcome> {
    let one = |(repeat, tail_us): (u32, &u64)| {
        let mut outcome = exactly(kept(strategy, 10, "1s", 5), Duration::from_micros(*tail_us));
        outcome.trial.repeat = repeat;
        outcome.trial.id = format!("rpu=10,strategy={strategy},repeat={repeat}");
        outcome.started_us += u64::from(repeat) * 1_000_000;
        outcome
    };
    (0..).zip(tails_us).map(one).collect()
}

const STEADY: [u64; 6] = [100_000, 103_000, 98_000, 101_000, 99_000, 102_000];

#[test]
fn repeats_are_shown_with_their_interval() {
    let report = Report::of(&journal("repeated", repeats(StrategyKind::Async, &STEADY)));
    // The mean of logarithms is 100.486 ms, its standard error 0.76 %, t(0.975; 5) = 2.571.
    let row = &report.records("summary.csv")[0];
    let figures = [
        "repeats",
        "repeats_close_tail_median_us",
        "repeats_close_tail_low_us",
        "repeats_close_tail_high_us",
    ];
    let [number, median, low, high] = figures.map(|name| value(row, name).parse::<u64>().unwrap());
    assert_eq!((number, median), (6, 100_500));
    assert!(
        low.abs_diff(98_530) < 60 && high.abs_diff(102_480) < 60,
        "{low} to {high}"
    );
    assert_eq!(value(row, "repeats_for_10_percent"), "3");
    let shown = "| 6 | 101 ms | 98.5 ms – 102 ms | – | 3 |";
    let markdown = report.file("summary.md");
    assert!(
        markdown.contains("## Repeats") && markdown.contains(shown),
        "{markdown}"
    );
    assert!(
        report
            .page
            .contains("median 101 ms (95 % interval 98.5 ms to 102 ms) of 6 repeats")
    );
    assert!(!report.sentences().join(" ").contains("first repeat"));
}

#[test]
fn a_drift_is_told() {
    let drifting = [100_000, 103_200, 106_100, 109_300, 111_800, 115_100];
    let mut trials = repeats(StrategyKind::Async, &drifting);
    trials.extend(repeats(StrategyKind::ThreadPool, &STEADY));
    let report = Report::of(&journal("drifting", trials));
    let sentences = report.sentences().join(" ");
    let told = "The close tail of async at RPU 10, delay 1 s changed by +14.9 % from its first repeat to its last: machine or service";
    assert!(sentences.replace('\u{a0}', " ").contains(told), "{sentences}");
    assert!(report.file("summary.md").contains("| +14.9 % |"));
}

#[test]
fn two_repeats_have_no_interval() {
    let report = Report::of(&journal("twice", repeats(StrategyKind::Async, &STEADY[..2])));
    assert!(!report.file("summary.md").contains("## Repeats"));
    assert!(!report.page.contains("id=\"repeats\""));
    assert_eq!(value(&report.records("summary.csv")[0], "repeats"), "");
}
