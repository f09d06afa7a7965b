//! The main chart: the axis that was varied, and marks inside their plot.

use std::num::NonZeroU64;
use std::time::Duration;

use proptest::prelude::*;
use trials::journal::JournalLine;
use trials::outcome::TrialOutcome;
use trials::trial::TrialSettings;
use wire::{Outcome, StartRule, StrategyKind};

use super::exactly;
use super::reading::{Report, text_of};
use super::synthetic::{Behaviour, classic, journal, settings, start_rules, trial};

/// A trial for each change of the settings.
fn varied(changes: &[&dyn Fn(&mut TrialSettings)]) -> Vec<JournalLine> {
    let trials = changes.iter().enumerate().map(|(number, change)| {
        let mut asked = settings(StrategyKind::Async, 10, "1s");
        change(&mut asked);
        let mut outcome = trial(asked, 0, &Behaviour::KeepsUp(Duration::from_millis(5)));
        outcome.trial.id = number.to_string();
        outcome
    });
    journal("varied", trials.collect())
}

fn number(value: u64) -> NonZeroU64 {
    NonZeroU64::new(value).unwrap()
}

/// Titles, ticks along the x axis and captions of the main chart's panels, and its legend.
struct Chart {
    titles: Vec<String>,
    ticks: Vec<String>,
    axis: String,
    legend: Vec<String>,
}

impl Chart {
    fn of(lines: &[JournalLine]) -> Self {
        let text = Report::of(lines).file("close-tail.svg");
        let document = roxmltree::Document::parse(&text).unwrap();
        let of_class = |node: &roxmltree::Node<'_, '_>, class: &str, middle: bool| -> Vec<String> {
            node.descendants()
                .filter(|node| node.attribute("class") == Some(class))
                .filter(|node| (node.attribute("text-anchor") == Some("middle")) == middle)
                .map(|node| text_of(&node))
                .filter(|text| !text.is_empty())
                .collect()
        };
        let charts: Vec<_> = document
            .descendants()
            .filter(|node| node.attribute("class") == Some("chart"))
            .collect();
        let title = |chart: &roxmltree::Node<'_, '_>| text_of(&chart.first_element_child().unwrap());
        Self {
            titles: charts.iter().map(title).collect(),
            ticks: of_class(&charts[0], "tick", true),
            axis: of_class(&charts[0], "axis-title", true).concat(),
            legend: of_class(&document.root(), "label", false),
        }
    }
}

#[test]
fn the_varied_setting_is_on_the_x_axis() {
    let cases: [(Vec<JournalLine>, &str, &[&str]); 7] = [
        (
            varied(&[
                &|s| s.max_workers = number(32),
                &|s| s.max_workers = number(64),
                &|s| s.max_workers = number(96),
            ]),
            "workers",
            &["32", "64", "96"],
        ),
        (
            varied(&[&|s| s.keys = number(1), &|s| s.keys = number(100), &|s| {
                s.keys = number(10_000)
            }]),
            "keys (logarithmic)",
            &["1", "100", "10,000"],
        ),
        (
            varied(&[&|s| s.window = Duration::from_secs(1), &|s| {
                s.window = Duration::from_secs(5)
            }]),
            "window",
            &["1 s", "5 s"],
        ),
        (
            varied(&[&|s| s.rpu = number(100), &|s| s.rpu = number(200)]),
            "RPU, events per second",
            &["100", "200"],
        ),
        (
            varied(&[
                &|s| s.io_delay = "0".parse().unwrap(),
                &|s| s.io_delay = "200us".parse().unwrap(),
                &|s| {
                    s.io_delay = "1s".parse().unwrap();
                },
            ]),
            "delay (logarithmic)",
            &["0", "200 µs", "1 s"],
        ),
        (
            // Two distributions of one mean have no place on a scale.
            varied(&[&|s| s.io_delay = "50ms".parse().unwrap(), &|s| {
                s.io_delay = "uniform(0,100ms)".parse().unwrap()
            }]),
            "delay",
            &["50 ms", "uniform(0,100ms)"],
        ),
        (
            varied(&[&|s| s.strategy = StrategyKind::Async, &|s| {
                s.strategy = StrategyKind::ThreadPool
            }]),
            "strategy",
            &["async", "thread-pool"],
        ),
    ];
    for (lines, axis, ticks) in cases {
        let chart = Chart::of(&lines);
        assert_eq!((chart.axis.as_str(), chart.titles.len()), (axis, 1));
        assert_eq!(chart.ticks, ticks, "{axis}");
    }
}

/// The axis with the most values is on x; the others are panels, and those of a strategy are series.
#[test]
fn other_axes_are_panels_and_series() {
    let chart = Chart::of(&classic());
    assert_eq!(
        chart.titles,
        [
            "Close tail against delay, RPU 10",
            "Close tail against delay, RPU 100"
        ]
    );
    let both = [32, 64, 128].into_iter().flat_map(|workers| {
        StartRule::ALL.iter().flat_map(move |rule| {
            [10, 20].map(|rpu| {
                let mut asked = settings(StrategyKind::ThreadPool, rpu, "1s");
                (asked.max_workers, asked.start_rule) = (number(workers), *rule);
                trial(asked, 0, &Behaviour::KeepsUp(Duration::from_millis(5)))
            })
        })
    });
    let chart = Chart::of(&journal("both", both.collect()));
    assert_eq!(
        chart.titles,
        [
            "Close tail against workers, RPU 10, delay 1 s",
            "Close tail against workers, RPU 20, delay 1 s"
        ]
    );
    assert_eq!(chart.ticks, ["32", "64", "128"]);
    assert_eq!(
        chart.legend[..2],
        ["thread-pool · at-arrival", "thread-pool · at-close"]
    );
}

/// Where all have the same start rule, the legend does not name it.
#[test]
fn the_legend_says_who_started_when() {
    let legend = Chart::of(&classic()).legend;
    let expected = [
        "sequential · at-arrival",
        "async · at-close",
        "thread-pool · at-arrival",
        "process-pool · at-arrival",
        "length of a window (10 s)",
        "fell behind",
        "windows without result (censored)",
    ];
    assert_eq!(legend, expected);
    let one_rule = varied(&[&|s| s.rpu = number(10), &|s| s.rpu = number(20)]);
    assert_eq!(Chart::of(&one_rule).legend[0], "async");
}

/// Verdicts differ in shape, not in colour alone, and calls that failed have no close tail.
#[test]
fn every_verdict_has_a_mark_of_its_own() {
    let at = |rpu, behaviour: &Behaviour| trial(settings(StrategyKind::Async, rpu, "1s"), 0, behaviour);
    let tail = Duration::from_secs(1);
    let mut refused = at(20, &Behaviour::KeepsUp(Duration::from_micros(7)));
    let ledger = refused.ledger.as_mut().unwrap();
    (ledger.ok, ledger.failed) = (0, ledger.ok);
    refused.outcomes = [(Outcome::Refused, ledger.failed)].into();
    let mut contradicting = at(30, &Behaviour::KeepsUp(tail));
    contradicting.ledger.as_mut().unwrap().ok -= 1;
    let mut short = settings(StrategyKind::Async, 40, "1s");
    short.windows = 1;
    let trials = vec![
        at(10, &Behaviour::KeepsUp(tail)),
        refused,
        contradicting,
        trial(short, 0, &Behaviour::KeepsUp(tail)),
        at(50, &Behaviour::FallsBehind(tail)),
        at(60, &Behaviour::Censored(0)),
        at(70, &Behaviour::Fails("no".to_owned())),
    ];
    let text = Report::of(&journal("verdicts", trials)).file("close-tail.svg");
    let document = roxmltree::Document::parse(&text).unwrap();
    let count = |class: &str| {
        document
            .descendants()
            .filter(|node| node.attribute("class") == Some(class))
            .count()
    };
    assert_eq!(
        count("mark c0"),
        3 + 1,
        "kept up, undecided, fell behind; and one in the legend"
    );
    let shapes = |class: &str| -> Vec<String> {
        let signs = document
            .descendants()
            .filter(|node| node.attribute("class") == Some(class));
        let shape = |node: roxmltree::Node<'_, '_>| {
            let path = node.attribute("d").unwrap();
            format!("{} {}", path.matches('M').count(), path.len())
        };
        signs.map(shape).collect()
    };
    let unique: std::collections::BTreeSet<String> = shapes("sign").into_iter().collect();
    assert_eq!(
        (shapes("sign").len(), unique.len(), shapes("sign c0").len()),
        (6, 6, 6)
    );
    let legend: Vec<String> = document
        .descendants()
        .filter(|node| node.attribute("class") == Some("label"))
        .map(|node| text_of(&node))
        .collect();
    let expected = [
        "undecided: too few windows",
        "fell behind",
        "windows without result (censored)",
        "calls failed",
        "not measured",
        "failed",
    ];
    assert_eq!(legend[2..], expected);
}

/// Every coordinate of every shape of a drawing with its size.
fn check_inside(chart: &roxmltree::Node<'_, '_>) {
    let size: Vec<f64> = chart
        .attribute("viewBox")
        .unwrap()
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    let inside = |x: f64, y: f64| {
        assert!(
            (0.0..=size[2]).contains(&x) && (0.0..=size[3]).contains(&y),
            "{x},{y} is outside {size:?}"
        );
    };
    for node in chart.descendants().filter(|node| node.is_element()) {
        let number = |name: &str| node.attribute(name).and_then(|text| text.parse::<f64>().ok());
        for (x, y) in [("x", "y"), ("x1", "y1"), ("x2", "y2")] {
            if let (Some(x), Some(y)) = (number(x), number(y)) {
                inside(x, y);
            }
        }
        if let Some(points) = node.attribute("points") {
            for point in points.split_whitespace() {
                let (x, y) = point.split_once(',').unwrap();
                inside(x.parse().unwrap(), y.parse().unwrap());
            }
        }
        if let Some(path) = node.attribute("d") {
            for point in path.split(['M', 'L', 'z']).filter(|part| part.contains(' ')) {
                let mut numbers = point.split([' ', 'a']).map(|text| text.parse::<f64>().unwrap());
                inside(numbers.next().unwrap(), numbers.next().unwrap());
            }
        }
    }
}

fn marks_are_inside(lines: &[JournalLine]) {
    let report = Report::of(lines);
    let document = report.document();
    let charts = document
        .descendants()
        .filter(|node| node.attribute("class") == Some("chart"));
    assert!(charts.map(|chart| check_inside(&chart)).count() > 0);
}

#[test]
fn marks_of_known_runs_stay_inside_their_plot() {
    for lines in [classic(), start_rules()] {
        marks_are_inside(&lines);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn marks_stay_inside_their_plot(
        tails in prop::collection::vec((0u64..60_000_000, 1u64..1_000_000, 1u64..1_000, 0usize..4, any::<bool>()), 1..24),
    ) {
        let of = |(tail_us, rpu, keys, strategy, censored): &(u64, u64, u64, usize, bool)| -> TrialOutcome {
            let mut asked = settings(StrategyKind::ALL[*strategy], *rpu, "1s");
            (asked.keys, asked.windows) = (number(*keys), 4);
            let behaviour = match censored {
                true => Behaviour::Censored(4),
                false => Behaviour::KeepsUp(Duration::from_micros(*tail_us)),
            };
            exactly(trial(asked, 0, &behaviour), Duration::from_micros(*tail_us))
        };
        marks_are_inside(&journal("any", tails.iter().map(of).collect()));
    }
}
