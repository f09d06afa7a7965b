//! Pods that do not start: the trial fails with the pod, the reason and the cluster's own message, and the plan
//! continues.

use tests::kube::{PodTrouble, Trouble};

use super::fixture::Fixture;

async fn reason(trouble: Trouble) -> String {
    let fixture = Fixture::new(trouble).await;
    let ended = fixture.run("async", &["--patience", "2s"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    fixture.assert_nothing_left();
    let reason = fixture.reason();
    assert!(!reason.contains('\n'), "{reason}");
    reason
}

fn assert_says(reason: &str, words: &[&str]) {
    for word in words {
        assert!(reason.contains(word), "`{word}` is not in: {reason}");
    }
}

fn vertex(name: &'static str, trouble: PodTrouble) -> Trouble {
    Trouble {
        vertex: Some((name, trouble)),
        ..Trouble::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled() {
    let reason = reason(vertex("udf", PodTrouble::ImagePull)).await;
    assert_says(&reason, &["udf", "image", "async-reduce:0.1.0", "--image"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ends_again_and_again() {
    let trouble = PodTrouble::CrashLoop {
        exit_code: 2,
        log: vec!["starting", "generator: rpu: `x` is not a number"],
    };
    let reason = reason(vertex("generator", trouble)).await;
    assert_says(&reason, &["generator", "exit", "2", "rpu: `x` is not a number"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_needs_more_memory_than_it_may() {
    let reason = reason(vertex("sink", PodTrouble::OutOfMemory)).await;
    assert_says(&reason, &["sink", "memory"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_no_node_takes() {
    let reason = reason(vertex("sink", PodTrouble::Unschedulable)).await;
    assert_says(&reason, &["sink", "Insufficient cpu"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_does_not_come_up() {
    let trouble = Trouble {
        endpoint: Some(PodTrouble::ImagePull),
        ..Trouble::default()
    };
    assert_says(&reason(trouble).await, &["endpoint", "image"]);
}
