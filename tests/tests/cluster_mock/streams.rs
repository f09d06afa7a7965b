//! The sink's lines are read from its memory, or from a log that breaks off, loses lines, is rotated or starts anew.

use tests::kube::Trouble;

use super::fixture::{Fixture, assert_whole};
use super::run_dir::{text, tiny};

/// Number of requests for the log of a sink's pod.
fn logs_asked_for(fixture: &Fixture) -> usize {
    let seen = fixture.cluster.seen();
    seen.iter()
        .filter(|line| line.contains("-sink-") && line.contains("/log "))
        .count()
}

/// Number of answers from the memory of a sink.
fn answers_of_memory(fixture: &Fixture) -> usize {
    let seen = fixture.cluster.seen();
    seen.iter()
        .filter(|line| line.contains("-sink-") && line.ends_with("/proxy/records 200"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_log_costs_no_record_as_they_are_read_from_the_sinks_memory() {
    let fixture = Fixture::new(Trouble {
        log_rotates: true,
        ..Trouble::default()
    })
    .await;
    let ended = fixture.run("async", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_whole(&fixture.outcomes()[0]);
    assert!(answers_of_memory(&fixture) >= 2, "{:#?}", fixture.cluster.seen());
    assert_eq!(logs_asked_for(&fixture), 0, "{:#?}", fixture.cluster.seen());
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_left_the_sinks_memory_fail_the_trial_by_number() {
    let fixture = Fixture::new(Trouble::default()).await;
    let base = include_str!("../../../manifests/experiment/base.yaml");
    let own = fixture.dir.path("base.yaml");
    // The environment of the sink, the last container of the Pipeline; no line fits into a byte.
    let (before, after) = base.split_once("command: [/usr/local/bin/sink]").unwrap();
    let after = after.replacen(
        "env:\n",
        "env:\n              - {name: KEPT_BYTES, value: \"1\"}\n",
        1,
    );
    std::fs::write(&own, format!("{before}command: [/usr/local/bin/sink]{after}")).unwrap();
    let ended = fixture.run("async", &["--base", text(&own)]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let reason = fixture.reason();
    assert!(
        reason.starts_with("lines 0 to ") && reason.contains("memory") && reason.contains("KEPT_BYTES"),
        "{reason}"
    );
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_log_stream_of_an_older_sink_is_resumed_and_nothing_missed() {
    let fixture = Fixture::new(Trouble {
        sink_without_records: true,
        log_breaks_after: Some(1),
        ..Trouble::default()
    })
    .await;
    let ended = fixture.run("async", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_whole(&fixture.outcomes()[0]);
    assert!(logs_asked_for(&fixture) >= 2, "{:#?}", fixture.cluster.seen());
    assert_eq!(answers_of_memory(&fixture), 0, "{:#?}", fixture.cluster.seen());
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_log_fails_the_trial_by_name() {
    for (trouble, words) in [
        (
            Trouble {
                log_loses: Some(1),
                ..Trouble::default()
            },
            "line 1 of sink is missing in its log",
        ),
        // The stream breaks in the first window, and the file is rotated away before the next stream is opened.
        (
            Trouble {
                log_breaks_after: Some(1),
                log_rotates: true,
                ..Trouble::default()
            },
            "of sink is missing in its log",
        ),
    ] {
        let fixture = Fixture::new(Trouble {
            sink_without_records: true,
            ..trouble
        })
        .await;
        let ended = fixture.run("async", &[]);
        assert_eq!(ended.status, Some(1), "{ended:?}");
        let reason = fixture.reason();
        assert!(reason.contains(words), "{reason}");
        fixture.assert_nothing_left();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_restarts_in_between_is_on_record() {
    let fixture = Fixture::new(Trouble {
        restarts: Some("udf"),
        ..Trouble::default()
    })
    .await;
    // Records lost in the restart never arrive: the run does not wait long for their windows.
    let plan = fixture
        .dir
        .plan(&tiny("async").replace("cut_off: 10s", "cut_off: 1s"));
    let ended = fixture.experiment(&["run", text(&plan), "--engine", "cluster", "--out", "o"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let outcome = fixture.outcomes().remove(0);
    let ledger = outcome.ledger.as_ref().unwrap();
    let on_record = |error: &String| error.starts_with("the udf pod restarted");
    assert!(
        ledger.errors.iter().any(on_record) && !ledger.balances(),
        "{ledger:?}"
    );
    assert!(ledger.lost > 0 && ledger.repeated == 0, "{ledger:?}");
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_restarts_begins_its_lines_anew_and_loses_none_of_the_former_ones() {
    let fixture = Fixture::new(Trouble {
        restarts: Some("sink"),
        ..Trouble::default()
    })
    .await;
    let plan = fixture
        .dir
        .plan(&tiny("async").replace("cut_off: 10s", "cut_off: 1s"));
    let ended = fixture.experiment(&["run", text(&plan), "--engine", "cluster", "--out", "o"]);
    let outcome = fixture.outcomes().remove(0);
    let ledger = outcome.ledger.as_ref().unwrap_or_else(|| panic!("{ended:?}"));
    let on_record = |error: &String| error.starts_with("the sink pod restarted");
    assert!(ledger.errors.iter().any(on_record), "{ledger:?}");
    // The lines of the window before the restart, which the former process wrote.
    let first = outcome.windows[0].measured.as_ref().unwrap();
    assert_eq!((first.keys, first.events), (2, 20), "{outcome:?}");
    assert!(ledger.ok >= 20 && ledger.repeated == 0, "{ledger:?}");
    fixture.assert_nothing_left();
}
