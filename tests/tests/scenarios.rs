//! Strategies, start rules and settings as scenario files: the settings of a run, and the ranges of its results.

// Clippy's exception for tests does not apply to a program without the usual harness.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use serde::Deserialize;
use tests::reduce::{Udf, close_tail};
use tokio::runtime::Runtime;
use tokio::sync::{AcquireError, Semaphore};
use wire::{DurationError, EndpointStats, Outcome, WindowRecord, parse_duration};

/// The files of the folder, so that a missing file fails the test.
const SCENARIOS: [&str; 23] = [
    "async-all-at-once",
    "async-at-arrival",
    "async-waves",
    "body-async",
    "body-process-pool",
    "body-thread-pool",
    "cpu-async-offload",
    "cpu-process-pool",
    "hang-async",
    "hang-process-pool",
    "hang-thread-pool",
    "keys-at-close-async",
    "keys-at-close-process-pool",
    "keys-at-close-sequential",
    "keys-at-close-thread-pool",
    "process-pool-bound",
    "reset-async",
    "retries-async",
    "sequential-one-after-another",
    "status-async",
    "status-process-pool",
    "status-thread-pool",
    "thread-pool-bound",
];

/// The cores that a scenario takes. A scenario with a lower bound of its close tail has a narrow upper bound too, so
/// on two cores it runs alone; all others take one core.
const TIMED_CORES: u32 = 2;

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

/// Ranges, both ends included. Upper bounds of times are wide, to allow for a busy machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    ok: [u64; 2],
    /// Outcomes by name; others than these and `ok` must not occur.
    #[serde(default)]
    failed: BTreeMap<String, [u64; 2]>,
    close_tail: [String; 2],
    /// Highest number of calls in flight at the endpoint.
    endpoint_peak: [u64; 2],
    /// Calls that the endpoint answered.
    endpoint_served: [u64; 2],
    #[serde(default)]
    repeats: [u64; 2],
}

impl Expect {
    fn close_tail(&self) -> Result<[Duration; 2], DurationError> {
        let [shortest, longest] = &self.close_tail;
        Ok([parse_duration(shortest)?, parse_duration(longest)?])
    }
}

fn main() -> ExitCode {
    let mut trials = every_scenario_stays_in_its_ranges();
    trials.push(Trial::test("the_folder_holds_the_scenarios_of_the_list", || {
        let found: BTreeSet<_> = std::fs::read_dir(folder())?
            .map(|entry| Ok(entry?.path().file_stem().unwrap().to_owned()))
            .collect::<io::Result<_>>()?;
        let listed: BTreeSet<_> = SCENARIOS.iter().map(OsString::from).collect();
        let only = |these: &BTreeSet<_>, those| these.difference(those).cloned().collect::<Vec<OsString>>();
        let (unlisted, missing) = (only(&found, &listed), only(&listed, &found));
        if unlisted.is_empty() && missing.is_empty() {
            return Ok(());
        }
        Err(format!("not in SCENARIOS: {unlisted:?}; not in the folder: {missing:?}").into())
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// One test for each file.
fn every_scenario_stays_in_its_ranges() -> Vec<Trial> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let cores = u32::try_from(cores).unwrap_or(u32::MAX).max(TIMED_CORES);
    let free = Arc::new(Semaphore::new(cores as usize));
    let trial = |name: &&str| {
        let (file, free) = (folder().join(format!("{name}.toml")), Arc::clone(&free));
        Trial::test(*name, move || {
            let text = std::fs::read_to_string(&file)?;
            let scenario: Scenario = toml::from_str(&text)?;
            let [shortest, _] = scenario.expect.close_tail()?;
            let weight = if shortest.is_zero() { 1 } else { TIMED_CORES };
            let broken = Runtime::new()?.block_on(async {
                let _held = free.acquire_many(weight).await?;
                Ok::<_, AcquireError>(play(&scenario).await)
            })?;
            if broken.is_empty() {
                return Ok(());
            }
            Err(format!("{}: {}", scenario.why, broken.join("; ")).into())
        })
    };
    SCENARIOS.iter().map(trial).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
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
    let [low, high] = expect.close_tail().unwrap();
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
