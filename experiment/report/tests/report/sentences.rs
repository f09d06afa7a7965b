//! The three sentences about the results.

use std::time::Duration;

use trials::journal::JournalLine;
use trials::outcome::TrialOutcome;
use wire::StrategyKind;

use super::reading::Report;
use super::synthetic::{Behaviour, classic, journal, settings, trial};
use super::{exactly, kept};

#[test]
fn the_classic_run_has_three_sentences() {
    let lines: Vec<JournalLine> = classic();
    let report = Report::of(&lines);
    let sentences = report.sentences();
    assert_eq!(sentences[0], "async kept up in all 6 cells; thread-pool and process-pool kept up in 5 of 6 cells each; sequential kept up in 4 of 6 cells.".to_owned());
    assert!(
        sentences[1].starts_with("At the hardest cell (RPU 100, delay 1 s) the median close tail ranged from 1.00 s (async) to 6.20 s"),
        "{}",
        sentences[1]
    );
    assert!(
        sentences[1].ends_with(
            " times as long; thread-pool and process-pool did not keep up there; sequential gave no result there."
        ),
        "{}",
        sentences[1]
    );
    assert!(
        sentences[2].starts_with(
            "The prediction's verdict was right in all 22 cases it decided (2 more it called critical);"
        ),
        "{}",
        sentences[2]
    );
    assert!(report.page.contains("10 or 100 events per second (RPU)?"));
    assert!(report.page.contains("takes 0, 200\u{a0}µs or 1\u{a0}s,"));
}

#[test]
fn the_hardest_cell_is_compared_in_numbers() {
    let tail = Duration::from_millis;
    let lines = journal(
        "two",
        vec![
            exactly(kept(StrategyKind::Async, 100, "1s", 1), tail(1_000)),
            exactly(kept(StrategyKind::ThreadPool, 100, "1s", 1), tail(2_500)),
            kept(StrategyKind::Async, 10, "1s", 1),
            trial(
                settings(StrategyKind::Sequential, 100, "1s"),
                0,
                &Behaviour::Censored(0),
            ),
            trial(
                settings(StrategyKind::ProcessPool, 100, "1s"),
                0,
                &Behaviour::Fails("no".into()),
            ),
        ],
    );
    let sentences = Report::of(&lines).sentences();
    assert_eq!(
        sentences[0],
        "async kept up in both cells; thread-pool kept up in its only cell; sequential did not keep up in its only \
         cell; nothing can be said of process-pool in 1 cell, whose trials failed."
    );
    assert_eq!(
        sentences[1],
        "At the hardest cell (RPU 100, delay 1 s) the median close tail ranged from \
         1.00 s (async) to 2.50 s (thread-pool), 2.5 times as long; sequential gave no result there; process-pool \
         failed there."
    );
}

#[test]
fn sentences_are_true_of_odd_runs() {
    let cases: [(&str, Vec<TrialOutcome>, [&str; 3]); 5] = [
        (
            "nothing",
            vec![],
            [
                "No trial has ended.",
                "No window gave a result, so there is no close tail to compare.",
                "Nothing was measured to compare the prediction with.",
            ],
        ),
        (
            "one strategy in one cell",
            vec![exactly(
                kept(StrategyKind::Async, 10, "1s", 1),
                Duration::from_millis(1_010),
            )],
            [
                "async kept up in its only cell.",
                "The median close tail was 1.01 s (async at RPU 10, delay 1 s); no cell has two strategies to compare.",
                "The prediction's verdict was right in the one case it decided; the median close tail was within 20 ms \
                 or 10 % of the predicted one in the one case that has both.",
            ],
        ),
        (
            "all censored",
            vec![trial(
                settings(StrategyKind::Async, 10, "1s"),
                0,
                &Behaviour::Censored(0),
            )],
            [
                "async did not keep up in its only cell.",
                "No window gave a result, so there is no close tail to compare.",
                "The prediction's verdict was wrong in the one case it decided.",
            ],
        ),
        (
            "all failed",
            vec![
                trial(
                    settings(StrategyKind::Async, 10, "1s"),
                    0,
                    &Behaviour::Fails("no".into()),
                ),
                trial(
                    settings(StrategyKind::Async, 100, "1s"),
                    0,
                    &Behaviour::Fails("no".into()),
                ),
            ],
            [
                "None of the 2 trials could be run to its end, so nothing was measured.",
                "No window gave a result, so there is no close tail to compare.",
                "Nothing was measured to compare the prediction with.",
            ],
        ),
        (
            "only critical, partly censored",
            vec![exactly(
                trial(
                    settings(StrategyKind::ThreadPool, 100, "1s"),
                    0,
                    &Behaviour::Censored(6),
                ),
                Duration::from_secs(3),
            )],
            [
                "thread-pool did not keep up in its only cell.",
                "The median close tail was 3.00 s, the median of 3 of 13 windows (thread-pool at RPU 100, delay 1 s); \
                 no cell has two strategies to compare.",
                "The prediction called every measured case critical, where either outcome may happen.",
            ],
        ),
    ];
    for (name, trials, expected) in cases {
        assert_eq!(Report::of(&journal(name, trials)).sentences(), expected, "{name}");
    }
}
