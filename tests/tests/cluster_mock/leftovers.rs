//! Objects that killed runs leave behind, and which commands may remove them.

use serde_json::{Value, json};
use tests::kube::{NUMAFLOW, Trouble};

use super::fixture::Fixture;

const LEASES: &str = "coordination.k8s.io";

/// A run that was killed during a trial; its Lease is still valid.
async fn killed() -> (Fixture, String) {
    let fixture = Fixture::new(Trouble::default()).await;
    let (mut child, _lines) = fixture.start("async", &[]);
    let pipeline = fixture.await_pipeline();
    child.kill().unwrap();
    child.wait().unwrap();
    let run = pipeline["metadata"]["labels"]["async-reduce/run"]
        .as_str()
        .unwrap()
        .to_owned();
    (fixture, run)
}

/// Sets the last renewal of the Lease to long ago.
pub fn expire(fixture: &Fixture, run: &str) {
    let name = format!("async-reduce-{run}");
    let mut lease = fixture.cluster.get(LEASES, "leases", &name).unwrap();
    lease["spec"]["renewTime"] = json!("2026-01-01T00:00:00.000000Z");
    fixture.cluster.put(LEASES, "leases", lease);
}

fn pipelines(fixture: &Fixture) -> Vec<String> {
    let of = |pipeline: &Value| pipeline["metadata"]["name"].as_str().unwrap().to_owned();
    fixture
        .cluster
        .list(NUMAFLOW, "pipelines")
        .iter()
        .map(of)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_removes_what_a_dead_run_left_and_nothing_of_a_live_one() {
    let (fixture, run) = killed().await;
    let before = pipelines(&fixture);
    assert_eq!(before.len(), 1);
    let live = fixture.experiment(&["clean"]);
    assert_eq!(live.status, Some(0), "{live:?}");
    assert_eq!(pipelines(&fixture), before, "its Lease still counts: {live:?}");
    expire(&fixture, &run);
    let dead = fixture.experiment(&["clean"]);
    assert_eq!(dead.status, Some(0), "{dead:?}");
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_removes_what_a_dead_one_left() {
    let (fixture, run) = killed().await;
    expire(&fixture, &run);
    let next = fixture.run("async", &["--resume"]);
    assert_eq!(next.status, Some(0), "{next:?}");
    assert_eq!(fixture.outcomes().len(), 1);
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_finished_job_goes_and_to_an_active_one_stays() {
    let fixture = Fixture::new(Trouble::default()).await;
    for (job, run, status) in [
        (
            "ended",
            "aaaaaa",
            json!({"conditions": [{"type": "Failed", "status": "True"}], "failed": 1}),
        ),
        ("active", "bbbbbb", json!({"active": 1})),
    ] {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job}, "spec": {}, "status": status});
        let job = fixture.cluster.put("batch", "jobs", job);
        let lone = pipeline(&format!("ar-{run}-1"), json!({"async-reduce/run": run}), &job);
        fixture.cluster.put(NUMAFLOW, "pipelines", lone);
    }
    let ended = fixture.experiment(&["clean"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(pipelines(&fixture), ["ar-bbbbbb-1"]);
    assert!(
        fixture.cluster.get("batch", "jobs", "ended").is_some(),
        "its log may still be wanted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_removed_with_all_its_pipelines_and_no_others() {
    let fixture = Fixture::new(Trouble::default()).await;
    let no_owner = json!({});
    for (name, release) in [("mine", "mine"), ("ar-cccccc-1", "mine"), ("theirs", "theirs")] {
        let labels = json!({"app.kubernetes.io/instance": release});
        fixture
            .cluster
            .put(NUMAFLOW, "pipelines", pipeline(name, labels, &no_owner));
    }
    let labels = json!({"app.kubernetes.io/instance": "mine", "app.kubernetes.io/component": "experiment",
        "app.kubernetes.io/name": "async-reduce"});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "mine-experiment", "labels": labels},
        "spec": {"suspend": false}, "status": {"active": 1}});
    fixture.cluster.put("batch", "jobs", job);
    let ended = fixture.experiment(&["clean", "--release", "mine"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(pipelines(&fixture), ["theirs"]);
    let jobs = fixture.cluster.list("batch", "jobs");
    assert!(
        jobs.is_empty(),
        "the experiment has ended, and Numaflow's clean-up was waited for: {jobs:?}"
    );
}

/// A Pipeline without running processes: its isbsvc is missing.
fn pipeline(name: &str, labels: Value, owner: &Value) -> Value {
    let owners = match owner["metadata"]["uid"].as_str() {
        Some(uid) => {
            json!([{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": uid}])
        }
        None => json!([]),
    };
    json!({"apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": name, "labels": labels, "ownerReferences": owners},
        "spec": {"vertices": [], "edges": []}})
}
