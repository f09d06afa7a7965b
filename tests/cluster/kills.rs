//! Processes that are killed in the middle of a window, and the account of every event afterwards: which are in a
//! record, which are lost, and which calls were made twice.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use trials::ledger::{Drops, balance};
use trials::outcome::Ledger;
use wire::{EndpointStats, GeneratorStats, Ranges, WindowRecord};

use crate::lab::{Lab, Step, run, vertex_pods, wait};
use crate::records::{WINDOW_MS, await_full, await_middle_of_window, now_ms, records};
use crate::release::Release;

/// Events of a window: 50 per second, 10 s.
pub const FULL: u64 = 500;
/// From the install to a full window.
pub const FULL_WITHIN: Duration = Duration::from_secs(90);
/// From a kill to a full window. With a volume, Numaflow waits up to 300 s for the previous process's mark to expire.
const RECOVERED_WITHIN: Duration = Duration::from_secs(420);

/// The folder of the UDF's open windows.
const NO_STORE: &str = "udf.storage.type=no_store";
const EMPTY_DIR: &str = "udf.storage.type=emptyDir";

/// The state once windows are full again.
pub struct Account {
    /// Time of the kill, milliseconds since the epoch.
    killed_ms: u64,
    /// Start of the first full window that began after it.
    full_again_ms: u64,
    pub records: Vec<WindowRecord>,
    pub generator: GeneratorStats,
    endpoint: EndpointStats,
}

pub fn pod_without_store(lab: &Lab) -> Step {
    udf(lab, "pod-none", NO_STORE, kill_pod)
}

pub fn pod_with_empty_dir(lab: &Lab) -> Step {
    udf(lab, "pod-dir", EMPTY_DIR, kill_pod)
}

pub fn container_without_store(lab: &Lab) -> Step {
    udf(lab, "box-none", NO_STORE, kill_container)
}

pub fn container_with_empty_dir(lab: &Lab) -> Step {
    udf(lab, "box-dir", EMPTY_DIR, kill_container)
}

/// Every sent event is in a record or lost by its number. Only events of windows that were open between the kill and
/// the new process are lost, and only calls of events that were read twice are made twice.
fn udf(lab: &Lab, name: &str, storage: &str, kill: fn(&Release<'_>, &str) -> Step) -> Step {
    killed(lab, name, storage, "udf", kill, |account| {
        let ledger = account.ledger();
        let repeats: u64 = account.endpoint.repeats.values().sum();
        eprintln!("{name}: {} repeated calls, {ledger:?}", repeats);
        if !ledger.balances() || ledger.failed + ledger.repeated > 0 {
            return Err(format!("{ledger:?}"));
        }
        let called = account.called();
        if account.endpoint.served != called.len() + repeats {
            return Err(format!(
                "{} calls, {} events and {repeats} repeats",
                account.endpoint.served,
                called.len()
            ));
        }
        let uncalled = account.recorded().difference(&called);
        if !uncalled.is_empty() {
            return Err(format!("in a record, but never called: {uncalled:?}"));
        }
        account.short_windows_are_those_of_the_gap()
    })
}

/// The new process starts under another name; no offset and no call is repeated.
pub fn generator(lab: &Lab) -> Step {
    killed(lab, "source", NO_STORE, "generator", kill_pod, |account| {
        let ledger = account.ledger();
        let repeats: u64 = account.endpoint.repeats.values().sum();
        let generators = account.endpoint.called.len();
        eprintln!("generator: {generators} of them called, {repeats} repeated calls, {ledger:?}");
        if repeats > 0 || generators != 2 || ledger.repeated > 0 {
            return Err(format!(
                "{generators} generators, {repeats} repeated calls: {ledger:?}"
            ));
        }
        // The ledger recognises the events of the previous process, and nothing else is wrong.
        match ledger
            .errors
            .iter()
            .find(|error| !error.contains("of another generator"))
        {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    })
}

/// Installs the chart, kills a vertex's process in the middle of a window, waits for full windows, and returns the
/// state.
fn killed(
    lab: &Lab,
    name: &str,
    storage: &str,
    vertex: &str,
    kill: fn(&Release<'_>, &str) -> Step,
    look: impl FnOnce(&Account) -> Step,
) -> Step {
    // With one key, an event's number in the records equals its index in the endpoint's calls.
    let values = ["generator.rpu=50", "generator.keys=1", storage];
    let release = Release::install(lab, &lab.namespace, name, &values)?;
    let tested = await_full(lab, release.place(), 0, FULL, FULL_WITHIN)
        .and_then(|_| account(&release, vertex, kill))
        .and_then(|account| look(&account));
    let removed = release.uninstall();
    tested.and(removed)
}

/// Kills a vertex's process in the middle of a window, and waits for full windows.
pub fn account(release: &Release<'_>, vertex: &str, kill: fn(&Release<'_>, &str) -> Step) -> Step<Account> {
    await_middle_of_window();
    let killed_ms = now_ms();
    kill(release, vertex)?;
    let place = release.place();
    let again = await_full(release.lab, place, killed_ms, FULL, RECOVERED_WITHIN)?;
    // One full window could be chance, and events that are read late would arrive now.
    await_full(
        release.lab,
        place,
        again.start_ms + WINDOW_MS,
        FULL,
        RECOVERED_WITHIN,
    )?;
    // In this order: no event in a record was sent or called after the statistics were read.
    let records = records(release.lab, &release.namespace, &release.name)?;
    let source = pod(release, &vertex_pods(&release.name, "generator"))?;
    let endpoint = format!(
        "app.kubernetes.io/instance={},app.kubernetes.io/component=endpoint",
        release.name
    );
    Ok(Account {
        killed_ms,
        full_again_ms: again.start_ms,
        records,
        generator: stats(release, &source, wire::METRICS_PORT)?,
        endpoint: idle_stats(release, &pod(release, &endpoint)?)?,
    })
}

/// Deletes the pod without grace.
pub fn kill_pod(release: &Release<'_>, vertex: &str) -> Step {
    let pod = pod(release, &vertex_pods(&release.name, vertex))?;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let args = [
        "delete",
        "pod",
        name,
        "--grace-period=0",
        "--force",
        "--wait=false",
    ];
    release.lab.kubectl_in(&release.namespace, &args).map(drop)
}

/// Kills our container by a signal that only its node can send, and waits until another one runs.
pub fn kill_container(release: &Release<'_>, vertex: &str) -> Step {
    let command = std::env::var("KILL_CONTAINER").unwrap_or_default();
    let mut words = command.split_whitespace();
    let program = words.next().ok_or(
        "KILL_CONTAINER is not set: the command that kills a container of the node by the ID that follows, like 'ctr --namespace k8s.io task kill --signal KILL'",
    )?;
    let label = vertex_pods(&release.name, vertex);
    let id = |pod: &Value| -> Option<String> {
        let all = ["containerStatuses", "initContainerStatuses"];
        let mut all = all
            .iter()
            .filter_map(|kind| pod["status"][kind].as_array())
            .flatten();
        let ours = all.find(|one| one["name"] == vertex)?;
        let id = ours["containerID"].as_str()?.rsplit('/').next()?;
        ours["state"]["running"].is_object().then(|| id.to_owned())
    };
    let before = pod(release, &label)?;
    let before = id(&before).ok_or_else(|| format!("no container {vertex} runs: {}", before["status"]))?;
    run(Command::new(program).args(words).arg(&before), None)?;
    wait("another container runs", RECOVERED_WITHIN, || {
        let now = id(&pod(release, &label)?);
        Ok(now.filter(|now| *now != before).map(drop))
    })
}

/// The only pod of a label that is not being deleted.
fn pod(release: &Release<'_>, label: &str) -> Step<Value> {
    let text = release
        .lab
        .kubectl_in(&release.namespace, &["get", "pods", "-l", label, "-o", "json"])?;
    let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    pods.into_iter()
        .find(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .ok_or_else(|| format!("no pod with the label {label}"))
}

/// A pod's `/stats`.
fn stats<T: DeserializeOwned>(release: &Release<'_>, pod: &Value, port: u16) -> Step<T> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    release
        .lab
        .pod_json(&release.namespace, &format!("{name}:{port}"), "stats")
}

/// An endpoint's statistics while no call is in flight, so that its counts belong to the same calls.
fn idle_stats(release: &Release<'_>, pod: &Value) -> Step<EndpointStats> {
    wait(
        "no call is in flight at the endpoint",
        Duration::from_secs(30),
        || {
            let stats: EndpointStats = stats(release, pod, wire::ENDPOINT_PORT)?;
            Ok((stats.in_flight == 0).then_some(stats))
        },
    )
}

impl Account {
    /// No event was dropped as late unless it is missing here.
    fn ledger(&self) -> Ledger {
        balance(&self.generator, Drops::Counted(0), &self.records, &self.closed())
    }

    /// The windows before the last full one, which are closed.
    pub fn closed(&self) -> BTreeSet<u64> {
        let starts = self.generator.windows.iter().map(|window| window.window_start_ms);
        starts.filter(|start| *start <= self.full_again_ms).collect()
    }

    /// Indices called, of the generator that runs.
    fn called(&self) -> Ranges {
        let called = self.endpoint.called.get(&self.generator.generator);
        called.cloned().unwrap_or_default()
    }

    /// Numbers in the records, of the generator that runs.
    fn recorded(&self) -> Ranges {
        self.recorded_of(|_| true)
    }

    fn recorded_of(&self, wanted: impl Fn(&WindowRecord) -> bool) -> Ranges {
        let seen = self
            .records
            .iter()
            .filter(|record| wanted(record))
            .filter_map(|record| record.seen.get(&self.generator.generator));
        seen.fold(Ranges::default(), |all, numbers| all.union(numbers))
    }

    /// No event is missing in windows that ended before the kill, or that started once windows were full again.
    pub fn short_windows_are_those_of_the_gap(&self) -> Step {
        for window in &self.generator.windows {
            let start_ms = window.window_start_ms;
            let in_gap = start_ms + WINDOW_MS > self.killed_ms && start_ms < self.full_again_ms;
            if in_gap || start_ms > self.full_again_ms {
                continue;
            }
            let sent = window
                .numbers
                .values()
                .fold(Ranges::default(), |all, numbers| all.union(numbers));
            let recorded = self.recorded_of(|record| record.window_start_ms == start_ms);
            let missing = sent.difference(&recorded);
            if !missing.is_empty() {
                return Err(format!(
                    "the window of {start_ms} lacks {missing:?}; killed at {}, full again from {}",
                    self.killed_ms, self.full_again_ms
                ));
            }
        }
        Ok(())
    }
}
