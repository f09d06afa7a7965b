//! Verdicts in all files of a report: a trial that shows nothing of its strategy looks like none that does.

use std::time::Duration;

use trials::journal::JournalLine;
use trials::outcome::{PackedLatencies, TrialOutcome};
use wire::{Latencies, Outcome, StrategyKind};

use super::kept;
use super::reading::{Report, text_of, value};
use super::synthetic::journal;

/// Of 1,600 events 400 time out, each after two seconds.
fn timed_out(strategy: StrategyKind) -> TrialOutcome {
    let mut outcome = kept(strategy, 10, "1s", 5);
    outcome.outcomes = [
        (Outcome::Ok, 1_200),
        (Outcome::Timeout, 300),
        (Outcome::Panic, 100),
    ]
    .into();
    let ledger = outcome.ledger.as_mut().unwrap();
    (ledger.ok, ledger.failed) = (1_200, 400);
    outcome.call_account.as_mut().unwrap().answered = 1_200;
    let mut failed = Latencies::new();
    (0..300).for_each(|_| failed.record(Duration::from_secs(2)));
    outcome.failed_latency = Some(PackedLatencies::from(failed));
    outcome
}

const WORDS: &str = "calls failed: 25 % of 1,600, mostly timeout";

#[test]
fn failed_calls_are_said_in_every_file_and_compared_with_nothing() {
    let lines = journal(
        "failing",
        vec![
            timed_out(StrategyKind::Async),
            kept(StrategyKind::ThreadPool, 10, "1s", 900),
        ],
    );
    let report = Report::of(&lines);
    let marked = format!("✗ {WORDS}");
    assert!(report.file("summary.md").contains(&marked));
    assert!(report::table(&lines).contains(&marked));
    assert!(report::table(&lines).contains("CALLS FAILED rpu=10_delay=1s_async"));
    let rows = report.records("summary.csv");
    let shown = [
        "verdict",
        "failed_share",
        "verdict_agrees",
        "close_tail_as_predicted",
    ];
    assert_eq!(
        shown.map(|name| value(&rows[0], name)),
        ["calls-failed", "0.25", "", ""]
    );
    assert_eq!(value(&rows[0], "verdict_reason"), WORDS);
    assert_eq!(value(&rows[1], "verdict"), "kept-up");
    let sentences = report.sentences().join("\n");
    assert!(
        sentences.contains("nothing can be said of async in 1 cell (calls failed)"),
        "{sentences}"
    );
    assert!(
        sentences.contains("The close tail was") && !sentences.contains("async at RPU"),
        "one tail is left: {sentences}"
    );
    assert!(sentences.contains("right in the one case"), "{sentences}");
    // The chart has a mark of its own and no tail.
    let document = report.document();
    let chart = document
        .descendants()
        .find(|node| node.attribute("class") == Some("chart"))
        .unwrap();
    let signs = chart.descendants().filter(|node| {
        node.attribute("class")
            .is_some_and(|class| class.starts_with("sign"))
    });
    assert_eq!(signs.count(), 1);
    let tails = chart.descendants().filter(|node| {
        node.attribute("class")
            .is_some_and(|class| class.starts_with("mark"))
    });
    assert_eq!(tails.count(), 1);
    assert!(report.page.contains("trials with failed calls"));
}

#[test]
fn latencies_of_failed_calls_stand_beside_those_of_good_ones() {
    let shown = |outcome: TrialOutcome| {
        let report = Report::of(&journal("latency", vec![outcome]));
        let document = report.document();
        let section = document
            .descendants()
            .find(|node| node.attribute("id") == Some("latency"))
            .unwrap();
        let texts = |tag: &str| -> Vec<String> {
            let nodes = section.descendants().filter(|node| node.has_tag_name(tag));
            nodes.map(|node| text_of(&node).replace('\u{a0}', " ")).collect()
        };
        let rows = report.records("summary.csv");
        let counts = ["latency_count", "failed_latency_count"];
        let counts = counts.map(|name| value(&rows[0], name).to_owned());
        (texts("th"), texts("td"), counts)
    };
    let (head, entries, counts) = shown(timed_out(StrategyKind::Async));
    let at = head.iter().position(|name| name == "failed calls").unwrap() - 1;
    assert_eq!(entries[at..at + 4], ["300", "2.00 s", "2.00 s", "2.00 s"]);
    assert_eq!(counts, ["500", "300"]);
    let mut old = timed_out(StrategyKind::Async);
    old.failed_latency = None;
    let (_, entries, counts) = shown(old);
    assert_eq!(entries[at], "not recorded");
    assert_eq!(counts, ["500", ""]);
    let (head, ..) = shown(kept(StrategyKind::Async, 10, "1s", 5));
    assert!(!head.iter().any(|name| name.starts_with("failed")));
}

#[test]
fn a_strategy_of_a_foreign_udf_is_the_plans_label() {
    let mut lines = journal("foreign", vec![kept(StrategyKind::Async, 10, "1s", 5)]);
    let headings = |lines: &[JournalLine]| {
        let report = Report::of(lines);
        let table = report::table(lines).lines().next().unwrap().to_owned();
        (table, report.file("summary.md"), report.page)
    };
    let (table, markdown, page) = headings(&lines);
    assert!(table.starts_with("strategy  ") && markdown.contains("| cell | strategy |"));
    assert!(page.contains(">strategy</th>") && !page.contains("plan&#x27;s label"));
    if let Some(JournalLine::Run(facts)) = lines.first_mut() {
        let command = "your own, python3 udf.py".to_owned();
        facts.machine.insert("udf".to_owned(), command);
    }
    let (table, markdown, page) = headings(&lines);
    assert!(table.starts_with("plan's label  ") && markdown.contains("| cell | plan's label |"));
    assert!(page.contains(">plan&#x27;s label</th>") && !page.contains(">strategy</th>"));
    assert!(page.contains("The UDF is not ours"));
}

#[test]
fn an_undecided_row_is_marked_and_not_advised() {
    let mut outcome = kept(StrategyKind::Async, 10, "1s", 5);
    outcome.windows.truncate(4);
    let report = Report::of(&journal("few", vec![outcome]));
    assert!(
        report
            .file("summary.md")
            .contains("? undecided, 2 windows would decide")
    );
    let sentences = report.sentences();
    assert_eq!(
        sentences[0],
        "Nothing can be said of async in 1 cell (too few windows to tell)."
    );
    assert!(!sentences.join(" ").contains("Use "), "{sentences:?}");
    let rows = report.records("summary.csv");
    assert_eq!(value(&rows[0], "verdict_agrees"), "");
}

#[test]
fn a_run_that_measured_nothing_says_why_in_one_sentence() {
    let mut uncalled = kept(StrategyKind::Async, 10, "1s", 5);
    uncalled.instruments.as_mut().unwrap().endpoint_served = Some(0);
    for (outcomes, sentence) in [
        (
            vec![uncalled.clone()],
            "The only trial measured nothing: the endpoint served 0 calls for 1,600 events",
        ),
        (
            vec![timed_out(StrategyKind::Async)],
            "The only trial measured nothing: calls failed: 25 % of 1,600, mostly timeout",
        ),
        (
            vec![uncalled, timed_out(StrategyKind::ThreadPool)],
            "All 2 trials measured nothing; the first: the endpoint served 0 calls for 1,600 events",
        ),
    ] {
        assert_eq!(Report::of(&journal("nothing", outcomes)).sentences(), [sentence]);
    }
}
