//! The sentences about the results.

use std::num::NonZeroU64;
use std::time::Duration;

use trials::outcome::TrialOutcome;
use wire::{Latencies, StartRule, StrategyKind};

use super::reading::{Report, text_of};
use super::synthetic::{Behaviour, classic, journal, settings, trial};
use super::{exactly, kept};

fn lead(report: &Report) -> String {
    let document = report.document();
    let lead = document
        .descendants()
        .find(|node| node.attribute("class") == Some("lead"));
    text_of(&lead.unwrap()).replace('\u{a0}', " ")
}

#[test]
fn the_classic_run_ends_in_advice() {
    let report = Report::of(&classic());
    let sentences = report.sentences();
    assert_eq!(sentences.len(), 4);
    assert_eq!(
        sentences[0],
        "async kept up in all 6 cells; thread-pool and process-pool kept up in 5 of 6 cells each; sequential kept up \
         in 4 of 6 cells."
    );
    assert!(
        sentences[1].starts_with("The close tails differ most at RPU 100, delay 1 s: 1.0"),
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
    assert_eq!(
        sentences[3],
        "Use sequential at arrival in 4 of 6 cells, which leaves at least 99 % of the window and at least 91 % of the time \
         between events; async at close with 1,000 workers at RPU 10, delay 1 s and at RPU 100, delay 1 s, which leaves at \
         least 89 % of the window."
    );
    assert_eq!(
        lead(&report),
        "Which of sequential, async, thread-pool and process-pool keeps up, and how does the time from the close of a \
         window to its result change with the RPU (10 or 100) and delay (0, 200 µs or 1 s)?"
    );
}

#[test]
fn the_question_names_what_was_varied() {
    let keys = |keys| {
        let mut asked = settings(StrategyKind::Async, 10, "1s");
        asked.keys = NonZeroU64::new(keys).unwrap();
        trial(asked, 0, &Behaviour::KeepsUp(Duration::from_millis(5)))
    };
    let report = Report::of(&journal("keys", vec![keys(1), keys(1_000)]));
    assert_eq!(
        lead(&report),
        "Does async keep up, and how does the time from the close of a window to its result change with the keys (1 or \
         1,000)?"
    );
    assert!(
        report
            .page
            .contains("Each event needs a call to an endpoint of 1\u{a0}s, at 10 events per second (RPU).")
    );
    let workers = |workers, rule| {
        let mut asked = settings(StrategyKind::ThreadPool, 10, "1s");
        (asked.max_workers, asked.start_rule) = (NonZeroU64::new(workers).unwrap(), rule);
        trial(asked, 0, &Behaviour::KeepsUp(Duration::from_millis(5)))
    };
    let all = [32, 64]
        .into_iter()
        .flat_map(|count| StartRule::ALL.iter().map(move |rule| workers(count, *rule)));
    assert!(
        lead(&Report::of(&journal("workers", all.collect())))
            .ends_with(" with the start rule (at-arrival or at-close) and workers (32 or 64)?")
    );
    let alone = Report::of(&journal("alone", vec![keys(1)]));
    assert_eq!(
        lead(&alone),
        "Does async keep up, and how long after its close does a window give its result?"
    );
}

#[test]
fn the_cell_is_compared_in_numbers() {
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
         cell; nothing can be said of process-pool in 1 cell (trials failed)."
    );
    assert_eq!(
        sentences[1],
        "The close tails differ most at RPU 100, delay 1 s: 1.00 s with async and 2.50 s with \
         thread-pool, 2.5 times as long; sequential gave no result there."
    );
}

/// A cell that was not decided is not one that kept up.
#[test]
fn cells_without_a_verdict_are_not_passed_over() {
    let few = |strategy, rpu| {
        let mut asked = settings(strategy, rpu, "1s");
        asked.windows = 1;
        trial(asked, 0, &Behaviour::KeepsUp(Duration::from_secs(1)))
    };
    let lines = journal(
        "partly",
        vec![
            kept(StrategyKind::Async, 10, "1s", 5),
            kept(StrategyKind::Async, 20, "1s", 5),
            few(StrategyKind::Async, 30),
            few(StrategyKind::ThreadPool, 10),
            trial(
                settings(StrategyKind::ThreadPool, 20, "1s"),
                0,
                &Behaviour::Fails("no".into()),
            ),
        ],
    );
    assert_eq!(
        Report::of(&lines).sentences()[0],
        "async kept up in 2 of 2 decided cells; nothing can be said of async and thread-pool in 1 cell each (too few \
         windows to tell), nor of thread-pool in 1 cell (trials failed)."
    );
}

/// Two figures of which one is below what the instruments themselves add have no ratio, and few windows have none.
#[test]
fn no_ratio_below_the_noise_or_of_two_windows() {
    let pair = |low: Duration, high: Duration, windows: u32, excess: Duration| {
        let one = |strategy, tail| {
            let mut asked = settings(strategy, 10, "1s");
            asked.windows = windows;
            let mut outcome = exactly(trial(asked, 0, &Behaviour::KeepsUp(tail)), tail);
            let mut latencies = Latencies::new();
            latencies.record(excess);
            outcome.instruments.as_mut().unwrap().endpoint_excess = Some(latencies.into());
            outcome
        };
        let lines = journal(
            "pair",
            vec![one(StrategyKind::Async, low), one(StrategyKind::ThreadPool, high)],
        );
        Report::of(&lines).sentences()[1].clone()
    };
    let (micros, millis) = (Duration::from_micros, Duration::from_millis);
    let start = "The close tails differ at RPU 10, delay 1 s: ";
    let none = micros(1);
    assert_eq!(
        pair(millis(10), millis(80), 3, none),
        format!("{start}10.0 ms with async and 80.0 ms with thread-pool, 8 times as long.")
    );
    assert_eq!(
        pair(millis(10), millis(80), 3, millis(20)),
        format!("{start}10.0 ms with async and 80.0 ms with thread-pool."),
        "10 ms is below the noise"
    );
    assert_eq!(
        pair(millis(10), millis(80), 2, none),
        format!("{start}10.0 ms (in 2 windows) with async and 80.0 ms (in 2 windows) with thread-pool.")
    );
    assert_eq!(
        pair(millis(10), millis(15), 3, millis(20)),
        "In no cell do the close tails of two choices differ by more than the noise of the instruments, 20.0 ms."
    );
}

#[test]
fn advice_is_the_cheapest_choice_with_room() {
    let pool = |workers, cpu_us: u64, tail| {
        let mut asked = settings(StrategyKind::ThreadPool, 100, "1s");
        asked.max_workers = NonZeroU64::new(workers).unwrap();
        let mut outcome = exactly(trial(asked, 0, &Behaviour::KeepsUp(tail)), tail);
        outcome.cost.as_mut().unwrap().cpu_us = cpu_us;
        outcome
    };
    let advice = |trials| Report::of(&journal("advice", trials)).sentences().pop().unwrap();
    let second = Duration::from_secs(1);
    // 125 workers are the cheapest, but 100 calls of a second keep four fifths of them busy.
    assert_eq!(
        advice(vec![
            pool(125, 1_000, second),
            pool(200, 3_000, second),
            pool(400, 2_000, second)
        ]),
        "Use thread-pool at arrival with 400 workers at RPU 100, delay 1 s, which leaves 90 % of the window and 74 % of the \
         workers."
    );
    assert_eq!(
        advice(vec![pool(200, 3_000, second), pool(400, 2_000, second * 3)]),
        "Use thread-pool at arrival with 200 workers at RPU 100, delay 1 s, which leaves 90 % of the window and 49 % of the \
         workers.",
        "the close tail comes first"
    );
}

#[test]
fn sentences_are_true_of_odd_runs() {
    let mut one_window = settings(StrategyKind::Async, 10, "1s");
    one_window.windows = 1;
    let cases: [(&str, Vec<TrialOutcome>, &[&str]); 7] = [
        (
            "one window",
            vec![exactly(
                trial(one_window, 0, &Behaviour::KeepsUp(Duration::from_secs(1))),
                Duration::from_secs(1),
            )],
            &[
                "Nothing can be said of async in 1 cell (too few windows to tell).",
                "The close tail was 1.00 s (in 1 window) (async at RPU 10, delay 1 s).",
                "There is nothing to advise: it takes more windows to tell what keeps up at RPU 10, delay 1 s, at least 2.",
            ],
        ),
        ("nothing", vec![], &["No trial has ended."]),
        (
            "one strategy in one cell",
            vec![exactly(
                kept(StrategyKind::Async, 10, "1s", 1),
                Duration::from_millis(1_010),
            )],
            &[
                "async kept up in its only cell.",
                "The close tail was 1.01 s (async at RPU 10, delay 1 s).",
                "The prediction's verdict was right in the one case it decided; the median close tail was within 20 ms \
                 or 10 % of the predicted one in the one case that has both.",
                "Use async at close with 1,000 workers at RPU 10, delay 1 s, which leaves 89 % of the window.",
            ],
        ),
        (
            "all censored",
            vec![trial(
                settings(StrategyKind::Async, 10, "1s"),
                0,
                &Behaviour::Censored(0),
            )],
            &[
                "async did not keep up in its only cell.",
                "The prediction's verdict was wrong in the one case it decided.",
                "There is nothing to advise: nothing kept up at RPU 10, delay 1 s, where calls need 10 in flight on average.",
            ],
        ),
        (
            "one failed",
            vec![trial(
                settings(StrategyKind::Async, 10, "1s"),
                0,
                &Behaviour::Fails("no socket".into()),
            )],
            &["The only trial failed, so nothing was measured: no socket"],
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
            &["All 2 trials failed, so nothing was measured; the first: no"],
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
            &[
                "thread-pool did not keep up in its only cell.",
                "The close tail was 3.00 s (in 3 of 13 windows) (thread-pool at RPU 100, delay 1 s).",
                "The prediction called every measured case critical, where either outcome may happen.",
                "There is nothing to advise: nothing kept up at RPU 100, delay 1 s, where calls need 100 in flight on \
                 average.",
            ],
        ),
    ];
    for (name, trials, expected) in cases {
        assert_eq!(Report::of(&journal(name, trials)).sentences(), expected, "{name}");
    }
}
