//! Figures: what they include, what they leave out, what is an error.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use trials::journal::JournalLine;
use trials::outcome::{TrialEnd, TrialOutcome};
use trials::trial::TrialSettings;
use wire::{Calls, StrategyKind};

use super::reading::{Report, text_of, value};
use super::synthetic::{Behaviour, classic, journal, settings, trial};
use super::{exactly, kept};

fn trials(lines: &[JournalLine]) -> impl Iterator<Item = &TrialOutcome> {
    lines.iter().filter_map(|line| match line {
        JournalLine::Trial(outcome) => Some(outcome.as_ref()),
        JournalLine::Run(_) => None,
    })
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
    assert_eq!(drawn("sign c0"), 16);
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
    let shown = ["close_tail_median_us", "measured", "censored", "verdict"].map(|name| value(&rows[0], name));
    assert_eq!(shown, ["3000000", "3", "10", "no-result"]);
    assert!(report.page.contains(">3 of 13<") && report.page.contains(">3.00 s (3 of 13)<"));
    assert!(
        report
            .file("summary.md")
            .contains("| 3.00 s | 3.00 s – 3.00 s | 3 of 13 |")
    );
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
        "verdict",
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
            changed(StrategyKind::Async, &|settings| settings.max_workers = number(50)),
            changed(StrategyKind::Async, &|settings| settings.keys = number(5)),
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
fn a_cell_names_a_switch_and_its_value_once() {
    let trials = [Some(true), Some(false), None].map(|keyed| {
        let mut asked = settings(StrategyKind::Async, 10, "1s");
        asked.keyed = keyed;
        let mut trial = trial(asked, 0, &Behaviour::KeepsUp(Duration::from_millis(5)));
        trial.trial.id = format!("{keyed:?}");
        trial
    });
    let cells: BTreeSet<String> = Report::of(&journal("switch", trials.to_vec()))
        .records("summary.csv")
        .iter()
        .map(|row| value(row, "cell").to_owned())
        .collect();
    let expected = ["keyed false", "keyed not recorded", "keyed true"];
    assert_eq!(
        cells,
        expected.map(|keyed| format!("RPU 10, delay 1 s, {keyed}")).into()
    );
}

#[test]
fn the_overhead_of_stream_and_data_plane_is_beside_the_close_tail() {
    let mut measured = exactly(kept(StrategyKind::Async, 10, "1s", 5), Duration::from_millis(5));
    for (index, window) in measured.windows.iter_mut().enumerate() {
        if let Some(measure) = window.measured.as_mut() {
            measure.stream_tail_us = Some(measure.close_tail_us + 100 * index as u64);
        }
    }
    // Without records only the data plane measures a close.
    let mut foreign = kept(StrategyKind::ThreadPool, 10, "1s", 5);
    for measure in foreign
        .windows
        .iter_mut()
        .filter_map(|window| window.measured.as_mut())
    {
        measure.ok = 0;
    }
    let lines = journal("overhead", vec![measured, foreign.clone()]);
    let report = Report::of(&lines);
    let rows = report.records("summary.csv");
    let shown = |row: usize| {
        ["p50", "p99", "max"].map(|name| value(&rows[row], &format!("stream_share_{name}_us")).to_owned())
    };
    // Windows 3 to 15 are measured.
    assert_eq!(shown(0), ["900", "1500", "1500"]);
    assert_eq!(shown(1), ["", "", ""]);
    let text = text_of(&report.document().root_element()).replace('\u{a0}', " ");
    let sentence = "Over 13 windows, stream and data plane added 900 µs to a close at the median, 1.50 ms at p99 and 1.50 ms at most.";
    assert!(text.contains(sentence));
    assert!(
        !Report::of(&journal("foreign", vec![foreign]))
            .page
            .contains("stream and data plane")
    );
}

/// The window after the measured ones is always open, so only what is open besides is a warning.
#[test]
fn open_is_a_warning_only_beyond_the_unmeasured_window() {
    let tones = |outcome: TrialOutcome| {
        let report = Report::of(&journal("open", vec![outcome]));
        let document = report.document();
        let section = document
            .descendants()
            .find(|node| node.attribute("id") == Some("ledger"));
        let cells = section
            .unwrap()
            .descendants()
            .filter(|node| node.has_tag_name("td"));
        let classes: Vec<String> = cells
            .map(|cell| cell.attribute("class").unwrap().to_owned())
            .collect();
        // The columns: offered, unsent, late, ok, failed, open, …
        [4, 5].map(|column| classes[column].clone())
    };
    let ledger = |change: &dyn Fn(&mut trials::outcome::Ledger)| {
        let mut outcome = kept(StrategyKind::Async, 10, "1s", 5);
        change(outcome.ledger.as_mut().unwrap());
        outcome
    };
    let good = ledger(&|ledger| (ledger.offered, ledger.open) = (ledger.offered + 100, 100));
    assert_eq!(tones(good), ["n muted", "n muted"]);
    let failed = ledger(&|ledger| (ledger.ok, ledger.failed) = (ledger.ok - 3, 3));
    assert_eq!(tones(failed), ["n edge", "n muted"]);
    let censored = trial(
        settings(StrategyKind::Async, 10, "1s"),
        0,
        &Behaviour::Censored(5),
    );
    assert_eq!(tones(censored), ["n muted", "n edge"]);
}

/// The endpoint's peak is the process's; a window and key may have had fewer at once.
#[test]
fn the_peak_in_flight_is_the_processs() {
    let mut outcome = kept(StrategyKind::Async, 10, "1s", 5);
    outcome.instruments.as_mut().unwrap().endpoint_peak_in_flight = Some(1_234);
    for measure in outcome
        .windows
        .iter_mut()
        .filter_map(|window| window.measured.as_mut())
    {
        measure.peak_in_flight = 567;
    }
    let mut own_endpoint = outcome.clone();
    own_endpoint.trial.id.push_str("_own");
    own_endpoint.trial.settings.strategy = StrategyKind::ThreadPool;
    own_endpoint.instruments.as_mut().unwrap().endpoint_peak_in_flight = None;
    let mut own_service = outcome.clone();
    own_service.trial.id.push_str("_service");
    own_service.trial.settings.strategy = StrategyKind::ProcessPool;
    own_service.trial.settings.calls = Some(Calls::None);
    own_service.instruments.as_mut().unwrap().endpoint_peak_in_flight = Some(0);
    let report = Report::of(&journal("peaks", vec![outcome, own_endpoint, own_service]));
    let peaks = |row: usize| {
        let records = report.records("summary.csv");
        ["peak_in_flight", "peak_in_flight_of_a_key"].map(|name| value(&records[row], name).to_owned())
    };
    assert_eq!(
        (peaks(0), peaks(1), peaks(2)),
        (
            ["1234", "567"].map(str::to_owned),
            ["", "567"].map(str::to_owned),
            ["", "567"].map(str::to_owned)
        )
    );
    let markdown = report.file("summary.md");
    let columns: Vec<&str> = markdown
        .lines()
        .find(|line| line.starts_with("| cell |"))
        .unwrap()
        .split(" | ")
        .collect();
    let row: Vec<&str> = markdown
        .lines()
        .find(|line| line.contains("| async |"))
        .unwrap()
        .split(" | ")
        .collect();
    let at = columns
        .iter()
        .position(|name| name.starts_with("peak in flight"))
        .unwrap();
    assert_eq!(row[at].trim_end_matches(" |"), "1,234");
}

/// A number of four digits or more has its commas, a number and its unit have a space, and programs get no rounding errors.
#[test]
fn numbers_have_one_style() {
    let mut outcome = kept(StrategyKind::ThreadPool, 100, "1s", 1_234);
    outcome.prediction = trials::predict::predict(&outcome.trial.settings, std::num::NonZeroUsize::MIN);
    outcome.prediction.load_factor = 0.051_500_000_000_000_004;
    outcome.instruments.as_mut().unwrap().endpoint_served = Some(123_456);
    let report = Report::of(&journal("style", vec![outcome]));
    assert_eq!(
        value(&report.records("summary.csv")[0], "predicted_load_factor"),
        "0.0515"
    );
    let document = report.document();
    let machine = ["machine", "again"];
    let texts = document
        .descendants()
        .filter(|node| {
            node.is_text()
                && !node
                    .ancestors()
                    .any(|a| a.attribute("id").is_some_and(|id| machine.contains(&id)))
        })
        .filter(|node| {
            !node
                .ancestors()
                .any(|a| a.has_tag_name("style") || a.attribute("class") == Some("meta"))
        })
        .filter_map(|node| node.text());
    let markdown = report.file("summary.md");
    let table = report::table(&journal("style", vec![kept(StrategyKind::Async, 10, "1s", 5)]));
    let mut numbers = 0;
    for word in texts
        .chain([markdown.as_str(), table.as_str()])
        .flat_map(|text| text.split([' ', '\n', '\u{a0}', '(', ')', ';']))
    {
        let word = word.trim_matches(|c: char| ",.:".contains(c));
        if !word.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        numbers += 1;
        let digits = word.chars().take_while(char::is_ascii_digit).count();
        assert!(digits < 4, "`{word}` has no comma");
        assert!(
            !["s", "ms", "us", "µs", "%"]
                .iter()
                .any(|unit| word.ends_with(unit)),
            "`{word}` has no space"
        );
    }
    assert!(numbers > 50, "{numbers}");
}
