//! Runs that are interrupted: the cluster is clean again, and the run goes on from where it was.

use super::place::signal;
use super::stage::{Stage, assert_whole, hear};
use tests::kube::Trouble;

#[tokio::test(flavor = "multi_thread")]
async fn one_interruption_removes_what_was_created_and_resume_goes_on() {
    let stage = Stage::new(Trouble::default()).await;
    let (mut child, mut lines) = stage.start("async, thread-pool", &[]);
    hear(&mut lines, "trial 2/2");
    stage.await_pipeline();
    signal(&child, "INT");
    let last = tokio::task::block_in_place(|| lines.map(Result::unwrap).last().unwrap());
    assert!(
        last.contains("interrupted") && last.contains("--resume"),
        "{last}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let first = stage.outcomes();
    assert_eq!(first.len(), 1);
    stage.assert_nothing_left();

    let resumed = stage.run("async, thread-pool", &["--resume"]);
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    assert!(
        resumed.stderr.contains("trial 1/1"),
        "only the second is run: {resumed:?}"
    );
    let outcomes = stage.outcomes();
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0], first[0]);
    assert_whole(&outcomes[1]);
    stage.assert_nothing_left();
}
