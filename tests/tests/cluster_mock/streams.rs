//! The sink's log breaks off, loses lines or starts anew while its records are read.

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

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_log_stream_is_resumed_and_nothing_missed() {
    let fixture = Fixture::new(Trouble {
        log_breaks_after: Some(1),
        ..Trouble::default()
    })
    .await;
    let ended = fixture.run("async", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_whole(&fixture.outcomes()[0]);
    assert!(logs_asked_for(&fixture) >= 2, "{:#?}", fixture.cluster.seen());
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_log_fails_the_trial_by_name() {
    let fixture = Fixture::new(Trouble {
        log_loses: Some(1),
        ..Trouble::default()
    })
    .await;
    let ended = fixture.run("async", &[]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let reason = fixture.reason();
    assert!(reason.contains("log") && reason.contains("missing"), "{reason}");
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_restarts_in_between_is_on_record() {
    let fixture = Fixture::new(Trouble {
        udf_restarts: true,
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
