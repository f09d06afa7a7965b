//! A plan with events of the user's own: they reach the generator of each trial, in a ConfigMap that goes with the run.

use std::fs;

use serde_json::Value;
use tests::kube::Trouble;
use trials::journal::{self, JournalLine};

use super::fixture::{Fixture, assert_whole};
use super::run_dir::{Ended, tiny};

const PAYMENTS: [&str; 2] = [r#"{"user":"u1","amount":12.5}"#, r#"{"user":"u2","amount":3}"#];

/// Runs the tiny plan with this file beside it.
fn run(fixture: &Fixture, payments: &str, more: &[&str]) -> Ended {
    fs::write(fixture.dir.path("payments.jsonl"), payments).unwrap();
    let own = "payloads: payments.jsonl\nkey_pointer: /user\n";
    let plan = fixture.dir.plan(&format!("{}{own}", tiny("async, thread-pool")));
    let args = ["run", plan.to_str().unwrap(), "--engine", "cluster", "--out", "o"];
    fixture.experiment(&[&args[..], more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn own_events_reach_every_trial_and_go_with_the_run() {
    let fixture = Fixture::new(Trouble::default()).await;
    let ended = run(&fixture, &PAYMENTS.join("\r\n"), &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcomes = fixture.outcomes();
    assert_eq!(outcomes.len(), 2);
    for outcome in &outcomes {
        assert_whole(outcome);
    }
    let created = fixture.cluster.created();
    let of = |kind: &str| -> Vec<&Value> {
        let all = created.iter();
        all.filter(|object| object["kind"] == kind).collect()
    };
    let [config_map] = of("ConfigMap")[..] else {
        panic!("one for both trials: {:?}", of("ConfigMap"))
    };
    assert_eq!(config_map["data"]["payloads.jsonl"], PAYMENTS.join("\r\n"));
    assert_eq!(config_map["immutable"], true);
    let [lease] = of("Lease")[..] else { panic!() };
    assert_eq!(
        config_map["metadata"]["ownerReferences"][0]["name"],
        lease["metadata"]["name"]
    );
    let JournalLine::Run(facts) = &journal::read(&fixture.dir.path("o")).unwrap()[0] else {
        panic!("no facts")
    };
    let fact = &facts.machine["payload file"];
    assert!(
        fact.contains("2 lines, FNV-1a ") && fact.ends_with(", keys at /user"),
        "{fact}"
    );
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_events_than_a_config_map_has_room_for_are_refused_before_anything_is_created() {
    let fixture = Fixture::new(Trouble::default()).await;
    let ended = run(
        &fixture,
        &format!("{}\n", PAYMENTS.join("\n")).repeat(20_000),
        &[],
    );
    assert_eq!(ended.status, Some(1), "{ended:?}");
    for words in [
        "payments.jsonl",
        "1060000 bytes",
        "generator.payloads.existingClaim",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    assert_eq!(fixture.cluster.names(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_a_variable_of_the_generator() {
    const TEMPLATE: &str = r#"{"user": ${key}, "amount": ${uniform:1:100}}"#;
    let fixture = Fixture::new(Trouble::default()).await;
    let plan = fixture
        .dir
        .plan(&format!("{}payload_template: '{TEMPLATE}'\n", tiny("async")));
    let args = ["run", plan.to_str().unwrap(), "--engine", "cluster", "--out", "o"];
    let ended = fixture.experiment(&args);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_whole(&fixture.outcomes()[0]);
    let created = fixture.cluster.created();
    assert!(created.iter().all(|object| object["kind"] != "ConfigMap"));
    let pipeline = created
        .iter()
        .find(|object| object["kind"] == "Pipeline")
        .unwrap();
    let variable = serde_json::json!({"name": "PAYLOAD_TEMPLATE", "value": TEMPLATE});
    let vertices = pipeline["spec"]["vertices"].as_array().unwrap();
    let generator = vertices
        .iter()
        .find(|vertex| vertex["name"] == "generator")
        .unwrap();
    let variables = generator["source"]["udsource"]["container"]["env"]
        .as_array()
        .unwrap();
    assert!(variables.contains(&variable), "{variables:?}");
    fixture.assert_nothing_left();
}
