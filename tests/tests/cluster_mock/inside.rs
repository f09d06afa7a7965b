//! The experiment as a Job in the cluster: its journal on stdout, a summary in a ConfigMap, and how both are
//! collected.

use serde_json::{Value, json};
use tests::kube::{Cluster, Trouble};
use trials::outcome::TrialEnd;

use super::fixture::{Fixture, assert_whole, wait_for_line};
use super::run_dir::{signal, text};

const JOB: &str = "demo-experiment";
const BEGIN: &str = "-----BEGIN ASYNC-REDUCE JOURNAL-----";
const END: &str = "-----END ASYNC-REDUCE JOURNAL-----";

fn put_job(cluster: &Cluster, status: Value) -> Value {
    let job = json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": JOB, "labels": {"app.kubernetes.io/instance": "demo"}},
        "spec": {"selector": {"matchLabels": {"batch.kubernetes.io/job-name": JOB}}}, "status": status});
    cluster.put("batch", "jobs", job)
}

/// The Job's pod with its log, after the Job has ended.
fn put_pod(cluster: &Cluster, log: &str) {
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{JOB}-x2x4z"), "labels": {"job-name": JOB, "batch.kubernetes.io/job-name": JOB}},
        "spec": {"containers": [{"name": "experiment", "image": "async-reduce:0.1.0"}]},
        "status": {"phase": "Succeeded", "containerStatuses": [{"name": "experiment", "image": "async-reduce:0.1.0",
            "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}});
    cluster.put_pod(pod, "experiment", log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_prints_its_journal_and_it_is_collected() {
    let fixture = Fixture::new(Trouble::default()).await;
    let job = put_job(&fixture.cluster, json!({"active": 1}));
    let ended = fixture.run("async, thread-pool", &["--job", JOB]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    for outcome in fixture.outcomes() {
        assert_whole(&outcome);
    }
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let begin = lines.iter().position(|line| *line == BEGIN).unwrap();
    let end = lines.iter().position(|line| *line == END).unwrap();
    assert!(begin < end, "{lines:?}");

    let created = fixture.cluster.created();
    assert!(
        created.iter().all(|object| object["kind"] != "Lease"),
        "the Job is the owner"
    );
    for object in created.iter().filter(|object| object["kind"] == "Pipeline") {
        assert_eq!(
            object["metadata"]["ownerReferences"][0]["uid"],
            job["metadata"]["uid"]
        );
    }
    let summary = fixture
        .cluster
        .get("", "configmaps", &format!("{JOB}-summary"))
        .unwrap();
    assert_eq!(
        summary["metadata"]["ownerReferences"][0]["uid"],
        job["metadata"]["uid"]
    );
    assert!(
        summary["data"]
            .as_object()
            .unwrap()
            .values()
            .any(|text| text.as_str().unwrap().contains("thread-pool")),
        "{summary}"
    );

    // A pod's log has both streams in one.
    put_pod(&fixture.cluster, &format!("{}{}", ended.stderr, ended.stdout));
    put_job(
        &fixture.cluster,
        json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}),
    );
    let collected = fixture.experiment(&["collect", "--job", JOB, "--out", "c"]);
    assert_eq!(collected.status, Some(0), "{collected:?}");
    assert_eq!(fixture.dir.outcomes("c"), fixture.outcomes());
    assert!(fixture.dir.path("c/report.html").exists());
}

/// One worker is busy for four tenths of the time, which one trial shows, or its repeats.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_searches_and_what_it_found_is_collected() {
    let fixture = Fixture::new(Trouble::default()).await;
    put_job(&fixture.cluster, json!({"active": 1}));
    let plan = fixture.plan("async");
    let search = ["search", text(&plan), "--find", "demand", "--measure", "10s"];
    let ended =
        fixture.experiment(&[&search[..], &["--engine", "cluster", "--out", "o", "--job", JOB]].concat());
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcomes = fixture.outcomes();
    for outcome in &outcomes {
        assert_eq!(outcome.windows.len(), 21);
        assert_eq!(outcome.trial.settings.max_workers.get(), 1);
    }
    let found = std::fs::read_to_string(fixture.dir.path("o/search.json")).unwrap();
    let cell = serde_json::from_str::<Value>(&found).unwrap()["cells"][0].clone();
    assert_eq!(
        (&cell["found"], &cell["sustained"], &cell["predicted"]),
        (&json!("everything"), &json!(1), &json!(1)),
        "{cell}"
    );
    assert_eq!(cell["trials"], outcomes.len(), "{cell}");

    let summary = fixture.cluster.get("", "configmaps", &format!("{JOB}-summary"));
    let summary = summary.unwrap();
    assert_eq!(summary["data"]["search.json"], found.as_str());
    assert!(
        summary["data"]["search.md"]
            .as_str()
            .unwrap()
            .contains("the least max_workers")
    );
    put_pod(&fixture.cluster, &format!("{}{}", ended.stderr, ended.stdout));
    put_job(
        &fixture.cluster,
        json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}),
    );
    let collected = fixture.experiment(&["collect", "--job", JOB, "--out", "c"]);
    assert_eq!(collected.status, Some(0), "{collected:?}");
    assert!(
        collected.stdout.starts_with("demand: the least max_workers"),
        "{collected:?}"
    );
    assert_eq!(
        std::fs::read_to_string(fixture.dir.path("c/search.json")).unwrap(),
        found
    );
    let page = std::fs::read_to_string(fixture.dir.path("c/report.html")).unwrap();
    assert!(page.contains("What the search found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_job_keeps_its_finished_trials_and_ends_with_143() {
    let fixture = Fixture::new(Trouble::default()).await;
    put_job(&fixture.cluster, json!({"active": 1}));
    let (mut child, mut lines) = fixture.start("async, thread-pool", &["--job", JOB]);
    wait_for_line(&mut lines, "trial 2/2");
    fixture.await_pipeline();
    signal(&child, "TERM");
    let last = tokio::task::block_in_place(|| lines.map(Result::unwrap).last().unwrap());
    assert!(last.contains("interrupted: 1 trial is missing"), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(fixture.outcomes().len(), 1);
    let summary = fixture.cluster.get("", "configmaps", &format!("{JOB}-summary"));
    assert!(summary.is_some(), "what there is was published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_a_whole_journal_is_refused() {
    let fixture = Fixture::new(Trouble::default()).await;
    put_job(
        &fixture.cluster,
        json!({"failed": 1, "conditions": [{"type": "Failed", "status": "True"}]}),
    );
    put_pod(&fixture.cluster, &format!("trial 1/1\n{BEGIN}\n{{\"line\":"));
    let ended = fixture.experiment(&["collect", "--job", JOB, "--out", "c"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("journal") && ended.stderr.contains(JOB),
        "{ended:?}"
    );
    assert!(!fixture.dir.path("c/journal.jsonl").exists());
    let absent = fixture.experiment(&["collect", "--job", "other", "--out", "c"]);
    assert!(
        matches!(absent.status, Some(1 | 2)) && absent.stderr.contains("other"),
        "{absent:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_trial_fails_the_job_and_is_in_its_journal() {
    let fixture = Fixture::new(Trouble {
        sink_without_records: true,
        log_loses: Some(1),
        ..Trouble::default()
    })
    .await;
    put_job(&fixture.cluster, json!({"active": 1}));
    let ended = fixture.run("async", &["--job", JOB]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains(BEGIN) && ended.stdout.contains(END),
        "{ended:?}"
    );
    assert!(matches!(fixture.outcomes()[0].end, TrialEnd::Failed { .. }));
    let journal = std::fs::read_to_string(fixture.dir.path("o/journal.jsonl")).unwrap();
    assert!(journal.contains("failed"));
}
