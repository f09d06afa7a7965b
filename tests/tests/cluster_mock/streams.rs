//! The sink's records come by a log that breaks, loses lines or begins anew.

use tests::kube::Trouble;

use super::place::{text, tiny};
use super::stage::{Stage, assert_whole};

/// Requests for the log of a sink's pod.
fn logs_asked_for(stage: &Stage) -> usize {
    let seen = stage.cluster.seen();
    seen.iter()
        .filter(|line| line.contains("-sink-") && line.contains("/log "))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_log_stream_is_resumed_and_nothing_missed() {
    let stage = Stage::new(Trouble {
        log_breaks_after: Some(1),
        ..Trouble::default()
    })
    .await;
    let ended = stage.run("async", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_whole(&stage.outcomes()[0]);
    assert!(logs_asked_for(&stage) >= 2, "{:#?}", stage.cluster.seen());
    stage.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_log_fails_the_trial_by_name() {
    let stage = Stage::new(Trouble {
        log_loses: Some(1),
        ..Trouble::default()
    })
    .await;
    let ended = stage.run("async", &[]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let reason = stage.reason();
    assert!(reason.contains("log") && reason.contains("missing"), "{reason}");
    stage.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_restarts_in_between_is_on_record() {
    let stage = Stage::new(Trouble {
        udf_restarts: true,
        ..Trouble::default()
    })
    .await;
    // What the restart lost never comes: the windows are not waited for long.
    let plan = stage
        .place
        .plan(&tiny("async").replace("cut_off: 10s", "cut_off: 1s"));
    let ended = stage.does(&["run", text(&plan), "--engine", "cluster", "--out", "o"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let outcome = stage.outcomes().remove(0);
    let ledger = outcome.ledger.as_ref().unwrap();
    let on_record = |error: &String| error.starts_with("the udf pod restarted");
    assert!(
        ledger.errors.iter().any(on_record) && !ledger.balances(),
        "{ledger:?}"
    );
    assert!(ledger.lost > 0 && ledger.repeated == 0, "{ledger:?}");
    stage.assert_nothing_left();
}
