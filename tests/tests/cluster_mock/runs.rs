//! Runs without faults, or with faults that do not matter.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::kube::{NUMAFLOW, Trouble};
use trials::journal::{self, JournalLine};
use trials::outcome::TrialEnd;

use super::fixture::{Fixture, assert_whole};
use super::run_dir::{text, tiny};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_run_and_everything_created_is_gone_again() {
    let fixture = Fixture::new(Trouble::default()).await;
    let ended = fixture.run("async, thread-pool", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcomes = fixture.outcomes();
    assert_eq!(outcomes.len(), 2);
    for outcome in &outcomes {
        assert_whole(outcome);
        let instruments = outcome.instruments.as_ref().unwrap();
        assert!(instruments.endpoint_served.unwrap() >= 40, "{instruments:?}");
    }
    let lines = journal::read(&fixture.dir.path("o")).unwrap();
    assert!(
        matches!(&lines[0], JournalLine::Run(facts) if facts.engine == "cluster"),
        "{:?}",
        lines[0]
    );
    assert!(fixture.dir.path("o/report.html").exists());
    fixture.assert_nothing_left();
}

/// Kinds that the experiment itself creates.
const OURS: [&str; 4] = ["Lease", "Pipeline", "Deployment", "Service"];

#[tokio::test(flavor = "multi_thread")]
async fn every_created_object_names_its_run_its_trial_and_its_owner() {
    let fixture = Fixture::new(Trouble::default()).await;
    let ended = fixture.run("async, thread-pool", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let created = fixture.cluster.created();
    let ours: Vec<&Value> = created
        .iter()
        .filter(|object| OURS.iter().any(|kind| object["kind"] == *kind))
        .collect();
    let runs: BTreeSet<&str> = ours
        .iter()
        .map(|object| {
            object["metadata"]["labels"]["async-reduce/run"]
                .as_str()
                .unwrap_or("none")
        })
        .collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let run = *runs.first().unwrap();
    assert_eq!(run.len(), 6);
    let of = |kind: &str| -> Vec<&Value> {
        ours.iter()
            .copied()
            .filter(|object| object["kind"] == kind)
            .collect()
    };
    assert_eq!(
        (
            of("Lease").len(),
            of("Pipeline").len(),
            of("Deployment").len(),
            of("Service").len()
        ),
        (1, 2, 2, 2)
    );
    let lease = of("Lease")[0];
    assert_eq!(lease["metadata"]["name"], format!("async-reduce-{run}"));
    let trials: BTreeSet<String> = fixture
        .outcomes()
        .into_iter()
        .map(|outcome| outcome.trial.id)
        .collect();
    for object in ours.iter().filter(|object| object["kind"] != "Lease") {
        let metadata = &object["metadata"];
        assert_eq!(
            metadata["ownerReferences"][0]["uid"], lease["metadata"]["uid"],
            "{metadata}"
        );
        let trial = metadata["annotations"]["async-reduce/trial"]
            .as_str()
            .unwrap_or_default();
        assert!(trials.contains(trial), "{metadata}");
        let name = metadata["name"].as_str().unwrap();
        assert!(name.starts_with(&format!("ar-{run}-")), "{name}");
    }
    for object in of("Deployment").iter().chain(&of("Service")) {
        assert!(
            object["metadata"]["name"]
                .as_str()
                .unwrap()
                .ends_with("-endpoint")
        );
    }
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_and_an_image_of_ones_own_are_used() {
    let fixture = Fixture::new(Trouble::default()).await;
    let base = include_str!("../../../manifests/experiment/base.yaml");
    let own = fixture.dir.path("base.yaml");
    std::fs::write(
        &own,
        base.replace("deletionGracePeriodSeconds: 5", "deletionGracePeriodSeconds: 7"),
    )
    .unwrap();
    let ended = fixture.run(
        "async",
        &["--base", text(&own), "--image", "registry.example/mine:1"],
    );
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_whole(&fixture.outcomes()[0]);
    let created = fixture.cluster.created();
    let pipeline = created
        .iter()
        .find(|object| object["kind"] == "Pipeline")
        .unwrap();
    assert_eq!(pipeline["spec"]["lifecycle"]["deletionGracePeriodSeconds"], 7);
    let images: BTreeSet<&str> = pipeline["spec"]["vertices"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|vertex| {
            [
                &vertex["source"]["udsource"],
                &vertex["udf"],
                &vertex["sink"]["udsink"],
            ]
        })
        .filter_map(|user| user["container"]["image"].as_str())
        .collect();
    assert_eq!(
        images.into_iter().collect::<Vec<_>>(),
        ["registry.example/mine:1"]
    );
    fixture.assert_nothing_left();
}

/// A base whose UDF has an image of its own and sends what `records` says.
fn own_udf(records: &str) -> String {
    let base = include_str!("../../../manifests/experiment/base.yaml");
    let (before, udf) = base.split_once("    - name: udf\n").unwrap();
    let image = format!("image: \"async-reduce:{}\"", env!("CARGO_PKG_VERSION"));
    let own = format!("image: \"team/score:1\"\n          args: [--records={records}]");
    format!("{before}    - name: udf\n{}", udf.replacen(&image, &own, 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn results_beside_the_records_of_an_own_udf_change_nothing() {
    let fixture = Fixture::new(Trouble::default()).await;
    let base = fixture.dir.path("base.yaml");
    std::fs::write(&base, own_udf("beside")).unwrap();
    let ended = fixture.run("async", &["--base", text(&base), "--image", "ours:2"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_whole(&fixture.outcomes()[0]);
    let created = fixture.cluster.created();
    let pipeline = created.iter().find(|object| object["kind"] == "Pipeline");
    let image = |place: &str| {
        pipeline
            .unwrap()
            .pointer(&format!("/spec/vertices/{place}/image"))
    };
    let images = [
        "0/source/udsource/container",
        "1/udf/container",
        "2/sink/udsink/container",
    ]
    .map(image);
    assert_eq!(
        images.map(|image| image.and_then(Value::as_str)),
        [Some("ours:2"), Some("team/score:1"), Some("ours:2")]
    );
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_udf_without_records_fails_its_trial_with_what_to_do() {
    let fixture = Fixture::new(Trouble::default()).await;
    let base = fixture.dir.path("base.yaml");
    std::fs::write(&base, own_udf("off")).unwrap();
    let ended = fixture.run("async", &["--base", text(&base)]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let reason = fixture.reason();
    assert!(
        reason.starts_with("no result of the UDF is a record") && reason.contains("--udf-command"),
        "{reason}"
    );
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_ones_own_is_called_and_none_deployed() {
    let fixture = Fixture::new(Trouble::default()).await;
    let (_endpoint, url) = tests::endpoint(&[]).await;
    let ended = fixture.run("async", &["--endpoint-url", &url]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_whole(&fixture.outcomes()[0]);
    let stats: wire::EndpointStats = tests::get_json(&format!("{url}/stats")).await;
    assert!(stats.served >= 40, "{stats:?}");
    assert!(
        fixture
            .cluster
            .created()
            .iter()
            .all(|object| object["kind"] != "Deployment")
    );
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unkeyed_reduce_is_made_of_the_base_and_balances() {
    let fixture = Fixture::new(Trouble::default()).await;
    let plan = fixture
        .dir
        .plan(&tiny("async").replace("keys: 2", "keys: 5, keyed: false"));
    let ended = fixture.experiment(&["run", text(&plan), "--engine", "cluster", "--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcome = fixture.outcomes().remove(0);
    assert_eq!(outcome.end, TrialEnd::Completed);
    let ledger = outcome.ledger.as_ref().unwrap();
    assert!(
        ledger.balances() && ledger.ok >= 40 && ledger.lost + ledger.repeated + ledger.late == 0,
        "{ledger:?}"
    );
    for window in &outcome.windows {
        let measured = window.measured.as_ref().unwrap();
        assert_eq!((measured.keys, measured.events, measured.ok), (1, 20, 20));
    }
    let created = fixture.cluster.created();
    let pipeline = created.iter().find(|object| object["kind"] == "Pipeline");
    let group_by = pipeline.unwrap().pointer("/spec/vertices/1/udf/groupBy/keyed");
    assert_eq!(group_by, Some(&Value::Bool(false)));
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_is_counted_as_late_and_not_as_lost() {
    let trouble = Trouble {
        watermark_runs_ahead: true,
        ..Trouble::default()
    };
    let fixture = Fixture::new(trouble).await;
    let ended = fixture.run("async", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcome = fixture.outcomes().remove(0);
    let ledger = outcome.ledger.as_ref().unwrap();
    assert!(
        ledger.balances() && ledger.late > 0 && ledger.lost == 0,
        "{ledger:?}"
    );
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_pass_are_waited_for() {
    let fixture = Fixture::new(Trouble {
        refusals: vec![429, 500, 503],
        ..Trouble::default()
    })
    .await;
    let (mut child, mut lines) = fixture.start("async", &[]);
    fixture.await_pipeline();
    fixture
        .cluster
        .trouble(|trouble| trouble.refusals = vec![500, 503, 504, 429, 500]);
    let heard = tokio::task::block_in_place(|| lines.by_ref().map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(child.wait().unwrap().code(), Some(0), "{heard:#?}");
    assert_whole(&fixture.outcomes()[0]);
    let seen = fixture.cluster.seen();
    let refused = |code: &str| seen.iter().filter(|line| line.ends_with(code)).count();
    assert_eq!(
        (refused(" 500"), refused(" 429"), refused(" 503")),
        (3, 2, 2),
        "{seen:#?}"
    );
    assert_eq!(fixture.cluster.list(NUMAFLOW, "pipelines").len(), 0);
    fixture.assert_nothing_left();
}
