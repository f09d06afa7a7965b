//! The sink's records come by a log that breaks, loses lines or begins anew.

use tests::kube::Trouble;

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
    let ended = stage.run("async", &[]);
    let outcome = stage.outcomes().remove(0);
    let told = format!("{outcome:?}");
    assert!(told.contains("restart"), "{ended:?} {told}");
    stage.assert_nothing_left();
}
