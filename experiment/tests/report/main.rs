//! What a report says of runs whose outcome is known beforehand.

#![allow(clippy::unwrap_used)]

mod reading;
mod synthetic;

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use experiment::journal::JournalLine;
use experiment::outcome::{TrialEnd, TrialOutcome};
use experiment::report;
use experiment::trial::TrialSettings;
use reading::{Report, text_of, value};
use synthetic::{Behaviour, classic, journal, settings, start_rules, trial};
use wire::StrategyKind;

fn kept(strategy: StrategyKind, rpu: u64, delay: &str, tail_ms: u64) -> TrialOutcome {
    trial(
        settings(strategy, rpu, delay),
        0,
        &Behaviour::KeepsUp(Duration::from_millis(tail_ms)),
    )
}

/// Takes the randomness out of the close tails.
fn exactly(mut outcome: TrialOutcome, tail: Duration) -> TrialOutcome {
    for measure in outcome
        .windows
        .iter_mut()
        .filter_map(|window| window.measured.as_mut())
    {
        measure.close_tail_us = tail.as_micros() as u64;
    }
    outcome
}

fn trials(lines: &[JournalLine]) -> impl Iterator<Item = &TrialOutcome> {
    lines.iter().filter_map(|line| match line {
        JournalLine::Trial(outcome) => Some(outcome.as_ref()),
        JournalLine::Run(_) => None,
    })
}

#[test]
fn the_page_is_well_formed_and_stands_alone() {
    for lines in [classic(), start_rules(), journal("empty", vec![]), vec![]] {
        let report = Report::of(&lines);
        let document = report.document();
        for node in document.descendants().filter(|node| node.is_element()) {
            assert!(!["script", "link", "img", "iframe"].contains(&node.tag_name().name()));
            for attribute in ["src", "href"] {
                assert_eq!(node.attribute(attribute), None);
            }
        }
        assert!(!report.page.contains("url(") && !report.page.contains("@import"));
        let charts: Vec<_> = document
            .descendants()
            .filter(|node| node.attribute("class") == Some("chart"))
            .collect();
        for chart in &charts {
            let ids = chart.attribute("aria-labelledby").unwrap();
            for id in ids.split(' ') {
                let named = chart.children().filter(|child| child.attribute("id") == Some(id));
                let texts: Vec<String> = named.map(|node| text_of(&node)).collect();
                assert!(matches!(texts.as_slice(), [text] if !text.is_empty()), "{id}");
            }
            assert!(chart.attribute("viewBox").is_some());
        }
        let mut ids: Vec<&str> = document
            .descendants()
            .filter_map(|node| node.attribute("id"))
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "ids are unique");
    }
}

#[test]
fn the_classic_run_is_told_in_three_sentences() {
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
                "Nothing was measured that the prediction could be held against.",
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
                "Nothing was measured that the prediction could be held against.",
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

#[test]
fn a_censored_window_is_never_a_number() {
    let lines = classic();
    let report = Report::of(&lines);
    let censored = trials(&lines)
        .flat_map(|t| &t.windows)
        .filter(|w| w.measured.is_none())
        .count();
    assert_eq!(censored, 16 + 15);
    let records = report.records("windows.csv");
    assert_eq!(records.len(), 24 * 16);
    let without: Vec<_> = records
        .iter()
        .filter(|record| value(record, "censored") == "true")
        .collect();
    assert_eq!(without.len(), censored);
    for record in without {
        for (name, field) in record.iter() {
            let measured = name.ends_with("_tail_us")
                || ["execution_time_us", "result_lag_us", "events"].contains(&name.as_str());
            assert!(!measured || field.is_empty(), "{name} = {field}");
        }
    }
    let rows = report.records("summary.csv");
    assert_eq!(rows.len(), 24);
    let row = rows.iter().find(|row| {
        [value(row, "strategy"), value(row, "rpu"), value(row, "io_delay")] == ["sequential", "100", "1s"]
    });
    let row = row.unwrap();
    assert_eq!(["0", "13"], [value(row, "measured"), value(row, "censored")]);
    for name in [
        "close_tail_median_us",
        "execution_time_max_us",
        "result_lag_min_us",
        "predicted_close_tail_us",
    ] {
        assert_eq!(value(row, name), "", "{name}");
    }
    // On the page: a line through measured windows only, a cross for each of the others.
    let document = report.document();
    let panel = document
        .descendants()
        .filter(|node| node.attribute("class") == Some("chart"))
        .find(|node| text_of(node).starts_with("Execution time of each window, RPU 100, delay 1 s"))
        .unwrap();
    let drawn = |class: &str| {
        panel
            .descendants()
            .filter(|n| n.attribute("class") == Some(class))
            .count()
    };
    assert_eq!(drawn("cross c0"), 16);
    assert_eq!((drawn("line c0 d0 thin"), drawn("mark c0")), (0, 0));
    assert_eq!((drawn("line c1 d0 thin"), drawn("mark c1")), (1, 16));
    assert!(text_of(&panel).contains("sequential, window 7: no result"));
}

#[test]
fn medians_leave_out_what_is_censored_and_say_so() {
    let censored = trial(
        settings(StrategyKind::ThreadPool, 100, "1s"),
        0,
        &Behaviour::Censored(6),
    );
    let lines = journal("partly", vec![exactly(censored, Duration::from_secs(3))]);
    let report = Report::of(&lines);
    let rows = report.records("summary.csv");
    let shown =
        ["close_tail_median_us", "measured", "censored", "condition"].map(|name| value(&rows[0], name));
    assert_eq!(shown, ["3000000", "3", "10", "no-result-in-time"]);
    assert!(report.page.contains(">3 of 13<") && report.page.contains(">3.00 s (3 of 13)<"));
    assert!(report.file("summary.md").contains("| 3 of 13 | 3.00 s |"));
    assert!(report::table(&lines).contains("3 of 13"));
}

#[test]
fn repeats_are_merged_and_the_latest_outcome_counts() {
    let again = |repeat, tail_ms| {
        let behaviour = Behaviour::KeepsUp(Duration::from_millis(1));
        exactly(
            trial(settings(StrategyKind::Async, 10, "1s"), repeat, &behaviour),
            Duration::from_millis(tail_ms),
        )
    };
    let lines = journal("repeats", vec![again(0, 900), again(1, 30), again(0, 10)]);
    let report = Report::of(&lines);
    let rows = report.records("summary.csv");
    assert_eq!(rows.len(), 1);
    let names = [
        "trials",
        "windows",
        "close_tail_min_us",
        "close_tail_median_us",
        "close_tail_max_us",
        "latency_count",
    ];
    assert_eq!(
        names.map(|name| value(&rows[0], name)),
        ["2", "26", "10000", "20000", "30000", "1000"]
    );
    assert_eq!(report.records("windows.csv").len(), 32);
    assert!(report.page.contains("async, repeat 2"));
}

#[test]
fn a_failed_trial_is_named_and_in_no_figure() {
    let mut broken = kept(StrategyKind::Async, 10, "1s", 5);
    broken.end = TrialEnd::Failed {
        reason: "the udf <died> & \"left\"\u{1b}[31m".to_owned(),
    };
    let lines = journal("failed", vec![broken]);
    let report = Report::of(&lines);
    let rows = report.records("summary.csv");
    let shown = [
        "trials",
        "failed_trials",
        "windows",
        "close_tail_median_us",
        "condition",
    ];
    assert_eq!(
        shown.map(|name| value(&rows[0], name)),
        ["1", "1", "0", "", "failed"]
    );
    assert!(text_of(&report.document().root_element()).contains("the udf <died> & \"left\"\u{fffd}[31m"));
    assert!(
        report::table(&lines)
            .contains("FAILED rpu=10_delay=1s_async_at-close_workers=1000_keys=1_repeat=0: the udf <died>")
    );
    assert!(!report::table(&lines).contains('\u{1b}'));
}

#[test]
fn an_endpoint_that_was_not_measured_is_no_zero() {
    let mut outcome = kept(StrategyKind::Async, 10, "1s", 5);
    let instruments = outcome.instruments.as_mut().unwrap();
    instruments.endpoint_excess = None;
    instruments.endpoint_served = None;
    instruments.endpoint_peak_in_flight = None;
    instruments.endpoint_repeats = None;
    let report = Report::of(&journal("own endpoint", vec![outcome]));
    let document = report.document();
    let unmeasured = document
        .descendants()
        .filter(|node| node.has_tag_name("td") && text_of(node) == "not measured");
    assert_eq!(unmeasured.count(), 5);
}

#[test]
fn an_unbalanced_ledger_is_an_error_in_red() {
    let mut outcome = kept(StrategyKind::Async, 10, "1s", 5);
    let ledger = outcome.ledger.as_mut().unwrap();
    ledger.ok -= 2;
    ledger.errors = vec!["2 events of key-0 are nowhere: 4-5".to_owned()];
    let lines = journal(
        "unbalanced",
        vec![outcome, kept(StrategyKind::ThreadPool, 10, "1s", 5)],
    );
    let report = Report::of(&lines);
    let document = report.document();
    let bad = document
        .descendants()
        .find(|node| text_of(node) == "✗ ERROR: 2 events of key-0 are nowhere: 4-5");
    assert!(bad.is_some_and(|node| {
        document.descendants().any(|n| {
            n.attribute("class").is_some_and(|class| class.starts_with("bad"))
                && text_of(&n) == text_of(&node)
        })
    }));
    assert!(report.page.contains("The ledger of 1 trial does not balance"));
    assert!(text_of(&document.root_element()).contains("1 of 2"));
    let table = report::table(&lines);
    assert!(table.contains("LEDGER DOES NOT BALANCE rpu=10") && table.contains("ERROR"));
}

#[test]
fn whatever_others_wrote_stays_text() {
    let hostile = "</title><script>alert(1)</script> & \" ' | \u{0} {{ 7000*7001 }}";
    let mut outcome = kept(StrategyKind::Async, 10, "1s", 5);
    outcome.trial.id = hostile.to_owned();
    outcome.ledger.as_mut().unwrap().errors = vec![hostile.to_owned()];
    let mut lines = journal(hostile, vec![outcome]);
    if let Some(JournalLine::Run(facts)) = lines.first_mut() {
        facts.command = hostile.to_owned();
        facts.plan_text = hostile.to_owned();
        facts.engine = hostile.to_owned();
        facts.machine.insert(hostile.to_owned(), hostile.to_owned());
    }
    let report = Report::of(&lines);
    assert!(
        !report.page.contains("<script") && !report.page.contains("49007000"),
        "neither markup nor template"
    );
    let shown = hostile.replace('\u{0}', "\u{fffd}");
    let title = report
        .document()
        .descendants()
        .find(|node| node.has_tag_name("h1"))
        .map(|node| text_of(&node));
    assert_eq!(title.as_deref(), Some(shown.as_str()));
    let rows = report.records("windows.csv");
    assert_eq!(rows.len(), 16);
    let trial = hostile.replace('"', "");
    assert_eq!(
        value(&rows[0], "trial"),
        trial,
        "the tests' reader drops doubled quotes"
    );
    assert!(!report.file("summary.md").contains("<script"));
}

#[test]
fn what_varies_splits_cells_and_series() {
    let changed = |strategy, change: &dyn Fn(&mut TrialSettings)| {
        let mut asked = settings(strategy, 10, "1s");
        change(&mut asked);
        trial(asked, 0, &Behaviour::KeepsUp(Duration::from_millis(5)))
    };
    let number = |value| NonZeroU64::new(value).unwrap();
    let lines = journal(
        "axes",
        vec![
            changed(StrategyKind::Async, &|_| {}),
            changed(StrategyKind::Async, &|asked| asked.max_workers = number(50)),
            changed(StrategyKind::Async, &|asked| asked.keys = number(5)),
            changed(StrategyKind::ThreadPool, &|_| {}),
        ],
    );
    let names: Vec<(String, String)> = Report::of(&lines)
        .records("summary.csv")
        .iter()
        .map(|row| (value(row, "cell").to_owned(), value(row, "series").to_owned()))
        .collect();
    let expected = [
        ("RPU 10, delay 1 s, keys 1", "async · 50 workers"),
        ("RPU 10, delay 1 s, keys 1", "async · 1,000 workers"),
        ("RPU 10, delay 1 s, keys 1", "thread-pool"),
        ("RPU 10, delay 1 s, keys 5", "async · 1,000 workers"),
    ];
    assert_eq!(
        names,
        expected.map(|(cell, series)| (cell.to_owned(), series.to_owned()))
    );
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_leaves_no_part() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("summary.csv")).unwrap();
    let error = report::write(folder.path(), &classic()).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot write ") && error.contains("summary.csv"),
        "{error}"
    );
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().contains("partial")),
        "{names:?}"
    );
    let error = report::write(Path::new("/nowhere/at/all"), &classic())
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("does the folder exist?"), "{error}");
}

#[test]
fn the_same_journal_gives_the_same_files() {
    let (a, b) = (Report::of(&start_rules()), Report::of(&start_rules()));
    assert_eq!(a.page, b.page);
    for name in ["windows.csv", "summary.csv", "summary.md"] {
        assert_eq!(a.file(name), b.file(name), "{name}");
    }
}

#[test]
fn very_many_windows_are_bundled_on_the_page_and_whole_in_the_csv() {
    let report = Report::of(&synthetic::huge(4, 5_000));
    assert!(report.page.contains("each point is the slowest of 21 windows"));
    assert!(report.page.len() < 400_000, "{} bytes", report.page.len());
    assert_eq!(report.file("windows.csv").lines().count(), 4 * 5_003 + 1);
    report.document();
}
