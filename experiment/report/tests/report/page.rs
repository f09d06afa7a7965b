//! The page: well-formed, self-contained, with text of others escaped.

use trials::journal::JournalLine;
use trials::outcome::ProcessMeasure;
use wire::StrategyKind;

use super::kept;
use super::reading::{Report, text_of, value};
use super::synthetic::{self, classic, journal, start_rules};

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
fn partitions_stand_side_by_side_if_there_are_several() {
    let mut outcome = kept(StrategyKind::Async, 10, "1s", 5);
    let alone = Report::of(&journal("one", vec![outcome.clone()]));
    assert!(!alone.page.contains("id=\"partitions\""));
    let shares = |first_us: u64| {
        [(1, 6, 60, first_us), (0xabcd, 4, 40, 2_500_000)]
            .map(|(process, keys, events, close_tail_us)| ProcessMeasure {
                process,
                keys,
                events,
                close_tail_us,
            })
            .to_vec()
    };
    let measures = outcome
        .windows
        .iter_mut()
        .filter_map(|window| window.measured.as_mut());
    for (measure, first_us) in measures.zip([9_000_000, 9_000_000, 9_000_000, 1_000_000].into_iter().cycle())
    {
        measure.processes = shares(first_us);
    }
    let report = Report::of(&journal("two", vec![outcome]));
    let document = report.document();
    let section = document
        .descendants()
        .find(|node| node.attribute("id") == Some("partitions"))
        .unwrap();
    let rows: Vec<String> = section
        .descendants()
        .filter(|node| node.has_tag_name("tr"))
        .map(|row| {
            let cells = row.children().filter(|node| node.is_element());
            let texts: Vec<String> = cells.map(|cell| text_of(&cell).trim().to_owned()).collect();
            texts.join(" | ").replace('\u{a0}', " ")
        })
        .collect();
    assert_eq!(
        rows[2..],
        [
            "async, process 00000001 | 13 | 6 | 60 | 9.00 s | 1.00 s – 9.00 s",
            "async, process 0000abcd | 13 | 4 | 40 | 2.50 s | 2.50 s – 2.50 s",
        ]
    );
}

#[test]
fn every_prediction_says_why() {
    let mut kept_up = kept(StrategyKind::Async, 10, "1s", 5);
    kept_up.prediction.why = "10 calls a second < 20 % of the capacity & so on.".to_owned();
    let mut silent = kept(StrategyKind::ThreadPool, 10, "1s", 5);
    silent.prediction.why.clear();
    let report = Report::of(&journal("why", vec![kept_up, silent]));
    let document = report.document();
    let rows: Vec<_> = document
        .descendants()
        .filter(|node| node.attribute("class") == Some("why"))
        .collect();
    assert_eq!(rows.len(), 1, "nothing below a row without a reason");
    assert_eq!(
        text_of(&rows[0]).replace('\u{a0}', " ").trim(),
        "10 calls a second < 20 % of the capacity & so on."
    );
    let cell = rows[0].first_element_child().unwrap();
    assert_eq!(cell.attribute("colspan"), Some("9"), "as wide as the table");
    let above = rows[0].prev_sibling_element().unwrap();
    assert!(text_of(&above).contains("async"), "below its own row");
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
fn numaflows_own_figures_stand_beside_ours() {
    let mut outcome = kept(StrategyKind::Async, 10, "1s", 5);
    let instruments = outcome.instruments.as_mut().unwrap();
    instruments.engine = [
        ("nacked", 5),
        ("numaflow_udf_read", 1_234),
        ("numaflow_generator_dropped_late_message", 3),
        ("numaflow_udf_dropped_old_message_popped_up", 4),
        ("numaflow_sink_dropped_dropped_upstream", 9),
        ("numaflow_udf_watermark_behind_ms", 1_500),
        ("numaflow_generator_buffer_use_permille", 125),
        ("numaflow_udf_read_errors", 0),
    ]
    .map(|(name, count)| (name.to_owned(), count))
    .into();
    let report = Report::of(&journal("numaflow", vec![outcome]));
    let document = report.document();
    let section = document
        .descendants()
        .find(|node| node.attribute("id") == Some("numaflow"))
        .unwrap();
    let entries: Vec<String> = section
        .descendants()
        .filter(|node| node.has_tag_name("td"))
        .map(|node| text_of(&node).replace('\u{a0}', " ").trim().to_owned())
        .collect();
    let shown = ["1,234", "7", "1.50 s", "–", "–", "12.5 %", "–", "–", "0"];
    assert!(entries.ends_with(&shown.map(str::to_owned)), "{entries:?}");
    let of_one_machine = Report::of(&classic());
    assert!(!of_one_machine.page.contains("id=\"numaflow\""));
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
fn very_many_windows_are_bundled_on_the_page_and_whole_in_the_csv() {
    let report = Report::of(&synthetic::huge(4, 5_000));
    assert!(
        report
            .page
            .contains("each point is the slowest of 21 windows, and the shade reaches to the fastest")
    );
    assert_eq!(report.page.matches("<polyline class=\"shade").count(), 4);
    assert!(report.page.len() < 400_000, "{} bytes", report.page.len());
    assert_eq!(report.file("windows.csv").lines().count(), 4 * 5_003 + 1);
    report.document();
}

#[test]
fn very_many_trials_are_counted_on_the_page_and_whole_in_the_csv() {
    let report = Report::of(&synthetic::grid(1_003));
    // Ledger and instruments by trial, the other tables by row.
    assert_eq!(report.page.matches("3 more rows are in summary.csv").count(), 8);
    assert_eq!(report.page.matches("✓ balances").count(), 1_000);
    let records = report.records("summary.csv");
    assert_eq!(records.len(), 1_003);
    let mut explained = records.iter().map(|record| value(record, "explained_verdict"));
    assert!(explained.all(str::is_empty), "each takes milliseconds");
    assert!(
        report
            .page
            .contains("delay (one of 26 values from 0 to 125\u{a0}ms)?")
    );
    report.document();
}

#[test]
fn the_main_chart_is_a_picture_of_its_own() {
    let many: Vec<_> = (1..40)
        .map(|delay| kept(StrategyKind::Async, 10, &format!("{delay}ms"), delay))
        .collect();
    let mut hostile = classic();
    if let Some(JournalLine::Run(facts)) = hostile.first_mut() {
        facts.plan_name = "</title><script>alert(1)</script> & \u{0}".to_owned();
    }
    for (lines, panels) in [
        (classic(), 2),
        (start_rules(), 2),
        (journal("many", many), 1),
        (hostile, 2),
        (journal("empty", vec![]), 0),
        (vec![], 0),
    ] {
        let report = Report::of(&lines);
        let text = report.file("close-tail.svg");
        let document = roxmltree::Document::parse(&text).unwrap();
        let root = document.root_element();
        assert!(root.has_tag_name(("http://www.w3.org/2000/svg", "svg")));
        let number = |node: &roxmltree::Node<'_, '_>, name| -> f64 {
            node.attribute(name).map_or(0.0, |value| value.parse().unwrap())
        };
        let (width, height) = (number(&root, "width"), number(&root, "height"));
        assert_eq!(
            root.attribute("viewBox"),
            Some(format!("0 0 {width} {height}").as_str())
        );
        let charts: Vec<_> = root
            .descendants()
            .filter(|node| node.attribute("class") == Some("chart"))
            .collect();
        assert_eq!(charts.len(), panels);
        for part in root.children().filter(|node| node.has_tag_name("svg")) {
            let (right, bottom) = (
                number(&part, "x") + number(&part, "width"),
                number(&part, "y") + number(&part, "height"),
            );
            assert!(right <= width && bottom <= height, "inside: {right} {bottom}");
        }
        // Every panel is the page's own.
        for chart in &charts {
            assert!(report.page.contains(&text[chart.range()]));
        }
        // Nothing is fetched, and every colour is said here.
        for word in ["<script", "href", "url(", "@import", "var("] {
            assert!(!text.contains(word), "{word}");
        }
        assert!(
            text.contains(".ground { fill: #ffffff;"),
            "readable on any ground"
        );
    }
}
