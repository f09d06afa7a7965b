//! Strategies, start rules and settings as scenario files: what is run, and in which ranges its results must lie.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tests::reduce::{Udf, close_tail};
use wire::{EndpointStats, Outcome, WindowRecord, parse_duration};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows.
    why: String,
    /// Arguments of the UDF; the endpoint's address is added.
    udf: Vec<String>,
    /// Arguments of the endpoint; its address is added.
    #[serde(default)]
    endpoint: Vec<String>,
    keys: u64,
    events_per_key: u64,
    expect: Expect,
}

/// Ranges, both ends included. Upper bounds of times are wide, for a machine that does other things too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    ok: [u64; 2],
    /// Outcomes by name; those that are not named must not occur, beside `ok`.
    #[serde(default)]
    failed: std::collections::BTreeMap<String, [u64; 2]>,
    close_tail: [String; 2],
    /// Highest number of calls that the endpoint had at once.
    endpoint_peak: [u64; 2],
    /// Calls that the endpoint answered.
    endpoint_served: [u64; 2],
    #[serde(default)]
    repeats: [u64; 2],
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_stays_in_its_ranges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 12, "the scenarios are there: {}", files.len());
    let mut broken = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let scenario: Scenario =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let found = play(&scenario).await;
        for error in found {
            broken.push(format!(
                "{} ({}): {error}",
                file.file_name().unwrap().display(),
                scenario.why
            ));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

async fn play(scenario: &Scenario) -> Vec<String> {
    let arguments: Vec<&str> = scenario.endpoint.iter().map(String::as_str).collect();
    let (_endpoint, url) = tests::endpoint(&arguments).await;
    let mut arguments: Vec<&str> = scenario.udf.iter().map(String::as_str).collect();
    arguments.extend(["--endpoint-url", &url]);
    let mut udf = Udf::start(&arguments, &[]).await;
    let records = udf.window(0, scenario.keys, scenario.events_per_key).await;
    let stats: EndpointStats = tests::get_json(&format!("{url}/stats")).await;
    judge(scenario, &records, &stats)
}

fn judge(scenario: &Scenario, records: &[WindowRecord], stats: &EndpointStats) -> Vec<String> {
    let expect = &scenario.expect;
    let mut errors = Vec::new();
    let mut within = |what: &str, value: u64, [low, high]: [u64; 2]| {
        if !(low..=high).contains(&value) {
            errors.push(format!("{what} is {value}, expected {low} to {high}"));
        }
    };
    let total = |outcome: Outcome| -> u64 {
        records
            .iter()
            .map(|record| record.outcomes.get(&outcome).copied().unwrap_or(0))
            .sum()
    };
    within("keys", records.len() as u64, [scenario.keys; 2]);
    within(
        "events",
        records.iter().map(|r| r.events).sum(),
        [scenario.keys * scenario.events_per_key; 2],
    );
    within("ok", total(Outcome::Ok), expect.ok);
    for outcome in Outcome::ALL.iter().filter(|outcome| **outcome != Outcome::Ok) {
        within(
            outcome.name(),
            total(*outcome),
            expect.failed.get(outcome.name()).copied().unwrap_or_default(),
        );
    }
    within("endpoint_peak", stats.peak_in_flight, expect.endpoint_peak);
    within("endpoint_served", stats.served, expect.endpoint_served);
    within("repeats", stats.repeats.values().sum(), expect.repeats);
    let [low, high]: [Duration; 2] = [0, 1].map(|i| parse_duration(&expect.close_tail[i]).unwrap());
    let tail = close_tail(records);
    if tail < low || tail > high {
        errors.push(format!("close tail is {tail:?}, expected {low:?} to {high:?}"));
    }
    for record in records {
        assert_eq!(
            record.events,
            record.outcomes.values().sum::<u64>(),
            "every event ends once"
        );
        assert_eq!(
            record.seen.values().map(|seen| seen.len()).sum::<u64>(),
            scenario.events_per_key
        );
        assert!(record.first_arrival_us <= record.close_us && record.close_us <= record.result_us);
    }
    errors
}
