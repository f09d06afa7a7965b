//! Clusters in which no trial could run: one sentence, and nothing is created.

use tests::kube::{Buffers, Trouble};

use super::fixture::Fixture;

/// The run ends with one sentence before it creates anything.
async fn refused(trouble: Trouble, words: &[&str]) {
    let fixture = Fixture::new(trouble).await;
    let ended = fixture.run("async", &["--patience", "2s"]);
    assert!(matches!(ended.status, Some(1 | 2)), "{ended:?}");
    let waiting = |line: &&str| line.starts_with("waiting for ");
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !waiting(line)).collect();
    assert_eq!(lines.len(), 1, "{ended:?}");
    for word in words {
        assert!(lines[0].contains(word), "`{word}` is not in: {}", lines[0]);
    }
    assert_eq!(fixture.cluster.names(), Vec::<String>::new());
    assert!(
        fixture
            .cluster
            .created()
            .iter()
            .all(|object| object["kind"] != "Pipeline")
    );
    assert!(!fixture.dir.path("o/journal.jsonl").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn numaflow_is_not_installed() {
    let trouble = Trouble {
        numaflow_missing: true,
        ..Trouble::default()
    };
    refused(trouble, &["Numaflow", "install"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_isbsvc() {
    let trouble = Trouble {
        buffers: Buffers::Absent,
        ..Trouble::default()
    };
    refused(trouble, &["InterStepBufferService", "default", "demo"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_isbsvc_is_not_healthy() {
    let trouble = Trouble {
        buffers: Buffers::Pending,
        ..Trouble::default()
    };
    refused(trouble, &["InterStepBufferService", "default", "Pending"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_is_denied() {
    for (verb, resource) in [
        ("create", "pipelines"),
        ("get", "pods/log"),
        ("get", "pods/proxy"),
    ] {
        let trouble = Trouble {
            denied: vec![(verb, resource)],
            ..Trouble::default()
        };
        refused(trouble, &[verb, resource]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unkeyed_trial_over_several_partitions() {
    let fixture = Fixture::new(Trouble::default()).await;
    let base = include_str!("../../../manifests/experiment/base.yaml");
    let own = fixture.dir.path("base.yaml");
    std::fs::write(&own, base.replace("partitions: 1", "partitions: 2")).unwrap();
    let plan = super::run_dir::tiny("async").replace("axes: {", "axes: {keyed: [true, false], ");
    let plan = fixture.dir.plan(&plan);
    let args = [
        "run",
        super::run_dir::text(&plan),
        "--engine",
        "cluster",
        "--base",
        super::run_dir::text(&own),
        "--out",
        "o",
    ];
    let ended = fixture.experiment(&args);
    ended.assert_refused(&["keyed", "one partition", "udf.partitions=1"]);
    assert!(!fixture.dir.path("o/journal.jsonl").exists());
    assert_eq!(fixture.cluster.names(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_api_server_answers() {
    let fixture = Fixture::new(Trouble::default()).await;
    let super::fixture::Fixture { cluster, dir } = fixture;
    drop(cluster);
    let plan = dir.plan(&super::run_dir::tiny("async"));
    let mut command = dir.command(&[
        "run",
        super::run_dir::text(&plan),
        "--engine",
        "cluster",
        "--out",
        "o",
    ]);
    command.env("KUBECONFIG", dir.path("kubeconfig"));
    let ended = super::run_dir::Ended::of(&tokio::task::block_in_place(|| command.output().unwrap()));
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(ended.stderr.contains("cannot be reached"), "{ended:?}");
}
