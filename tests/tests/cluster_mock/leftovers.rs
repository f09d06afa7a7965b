//! What runs that were killed leave behind, and who may remove it.

use serde_json::{Value, json};
use tests::kube::{NUMAFLOW, Trouble};

use super::stage::Stage;

const LEASES: &str = "coordination.k8s.io";

/// A run that was killed in the middle of a trial; its Lease still counts.
async fn killed() -> (Stage, String) {
    let stage = Stage::new(Trouble::default()).await;
    let (mut child, _lines) = stage.start("async", &[]);
    let pipeline = stage.await_pipeline();
    child.kill().unwrap();
    child.wait().unwrap();
    let run = pipeline["metadata"]["labels"]["async-reduce/run"]
        .as_str()
        .unwrap()
        .to_owned();
    (stage, run)
}

/// As if the last renewal had been long ago.
pub fn expire(stage: &Stage, run: &str) {
    let name = format!("async-reduce-{run}");
    let mut lease = stage.cluster.get(LEASES, "leases", &name).unwrap();
    lease["spec"]["renewTime"] = json!("2026-01-01T00:00:00.000000Z");
    stage.cluster.put(LEASES, "leases", lease);
}

fn pipelines(stage: &Stage) -> Vec<String> {
    let of = |pipeline: &Value| pipeline["metadata"]["name"].as_str().unwrap().to_owned();
    stage.cluster.list(NUMAFLOW, "pipelines").iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_removes_what_a_dead_run_left_and_nothing_of_a_live_one() {
    let (stage, run) = killed().await;
    let before = pipelines(&stage);
    assert_eq!(before.len(), 1);
    let live = stage.does(&["clean"]);
    assert_eq!(live.status, Some(0), "{live:?}");
    assert_eq!(pipelines(&stage), before, "its Lease still counts: {live:?}");
    expire(&stage, &run);
    let dead = stage.does(&["clean"]);
    assert_eq!(dead.status, Some(0), "{dead:?}");
    stage.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_removes_what_a_dead_one_left() {
    let (stage, run) = killed().await;
    expire(&stage, &run);
    let next = stage.run("async", &["--resume"]);
    assert_eq!(next.status, Some(0), "{next:?}");
    assert_eq!(stage.outcomes().len(), 1);
    stage.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_finished_job_goes_and_to_an_active_one_stays() {
    let stage = Stage::new(Trouble::default()).await;
    for (job, run, status) in [
        (
            "ended",
            "aaaaaa",
            json!({"conditions": [{"type": "Failed", "status": "True"}], "failed": 1}),
        ),
        ("active", "bbbbbb", json!({"active": 1})),
    ] {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job}, "spec": {}, "status": status});
        let job = stage.cluster.put("batch", "jobs", job);
        let lone = pipeline(&format!("ar-{run}-1"), json!({"async-reduce/run": run}), &job);
        stage.cluster.put(NUMAFLOW, "pipelines", lone);
    }
    let ended = stage.does(&["clean"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(pipelines(&stage), ["ar-bbbbbb-1"]);
    assert!(
        stage.cluster.get("batch", "jobs", "ended").is_some(),
        "its log may still be wanted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_removed_with_all_its_pipelines_and_no_others() {
    let stage = Stage::new(Trouble::default()).await;
    let nobody = json!({});
    for (name, release) in [("mine", "mine"), ("ar-cccccc-1", "mine"), ("theirs", "theirs")] {
        let labels = json!({"app.kubernetes.io/instance": release});
        stage
            .cluster
            .put(NUMAFLOW, "pipelines", pipeline(name, labels, &nobody));
    }
    let labels = json!({"app.kubernetes.io/instance": "mine", "app.kubernetes.io/component": "experiment",
        "app.kubernetes.io/name": "async-reduce"});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "mine-experiment", "labels": labels},
        "spec": {"suspend": false}, "status": {"active": 1}});
    stage.cluster.put("batch", "jobs", job);
    let ended = stage.does(&["clean", "--release", "mine"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(pipelines(&stage), ["theirs"]);
    let jobs = stage.cluster.list("batch", "jobs");
    assert!(
        jobs.is_empty(),
        "the experiment has ended, and Numaflow's clean-up was waited for: {jobs:?}"
    );
}

/// A Pipeline in which nothing runs: its isbsvc is not there.
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
