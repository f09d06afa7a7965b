//! Interrupted runs: the cluster is clean again, and the run resumes where it stopped.

use super::fixture::{Fixture, assert_whole, wait_for_line};
use super::run_dir::signal;
use tests::kube::Trouble;

#[tokio::test(flavor = "multi_thread")]
async fn one_interruption_removes_what_was_created_and_resume_goes_on() {
    let fixture = Fixture::new(Trouble::default()).await;
    let (mut child, mut lines) = fixture.start("async, thread-pool", &[]);
    wait_for_line(&mut lines, "trial 2/2");
    fixture.await_pipeline();
    signal(&child, "INT");
    let last = tokio::task::block_in_place(|| lines.map(Result::unwrap).last().unwrap());
    assert!(
        last.contains("interrupted") && last.contains("--resume"),
        "{last}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let first = fixture.outcomes();
    assert_eq!(first.len(), 1);
    fixture.assert_nothing_left();

    let resumed = fixture.run("async, thread-pool", &["--resume"]);
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    assert!(
        resumed.stderr.contains("trial 1/1"),
        "only the second is run: {resumed:?}"
    );
    let outcomes = fixture.outcomes();
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0], first[0]);
    assert_whole(&outcomes[1]);
    fixture.assert_nothing_left();
}
