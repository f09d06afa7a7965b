//! Trials of other reduces than the base's: unkeyed, over two partitions, and with so many keys that the kubelet rotates
//! the sink's log under the experiment.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trials::outcome::{TrialOutcome, WindowMeasure};
use wire::SinkLine;

use crate::experiment::{balanced, trial_of_job};
use crate::lab::{Lab, Step, run, wait};

/// Four windows of 5 s.
const UNKEYED: &str = "
name: unkeyed
window: 5s
read_timeout: 200ms
warmup: 1
windows: 3
cut_off: 20s
fixed: {rpu: 20, keys: 5, keyed: false, io_delay: 500ms, max_workers: 50}
axes: {strategy: [async]}
";
/// Four windows of 5 s.
const TWO_PARTITIONS: &str = "
name: partitions
window: 5s
read_timeout: 200ms
warmup: 1
windows: 3
cut_off: 20s
fixed: {rpu: 20, keys: 10, io_delay: 500ms, max_workers: 50}
axes: {strategy: [async]}
";
/// Events of the windows of either plan.
const EVENTS: u64 = 400;

/// Keys of the trial that fills the sink's log.
const MANY_KEYS: u64 = 1_000;
/// A line of the log is longer than this.
const LINE_BYTES: u64 = 700;
/// The kubelet looks at the size of logs every 10 s; windows last 5 s.
const LEAST_WINDOWS: u64 = 11;
/// More than this takes too long to write.
const LARGEST_LOG_BYTES: u64 = 16 << 20;
/// Between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Set-up, cut-off and clean-up of the trial, without its windows.
const OTHER_TIME: Duration = Duration::from_secs(240);

pub fn unkeyed(lab: &Lab) -> Step {
    let outcome = trial_of_job(lab, json!({"udf": {"keyed": false}}), UNKEYED, EVENTS)?;
    for measured in measured(&outcome)? {
        if (measured.keys, measured.events) != (1, 100) {
            return Err(format!("not one record of all 100 events: {measured:?}"));
        }
    }
    beside_local(UNKEYED, &outcome)
}

pub fn two_partitions(lab: &Lab) -> Step {
    let outcome = trial_of_job(lab, json!({"udf": {"partitions": 2}}), TWO_PARTITIONS, EVENTS)?;
    for measured in measured(&outcome)? {
        let shares = &measured.processes;
        let keys: u64 = shares.iter().map(|share| share.keys).sum();
        let longest = shares.iter().map(|share| share.close_tail_us).max();
        if shares.len() != 2 || keys != 10 || longest != Some(measured.close_tail_us) {
            return Err(format!("not 10 keys in two partitions: {measured:?}"));
        }
    }
    beside_local(TWO_PARTITIONS, &outcome)
}

/// The windows of a trial, none of them censored.
fn measured(outcome: &TrialOutcome) -> Step<Vec<&WindowMeasure>> {
    let all = outcome.windows.iter().map(|window| {
        let measured = window.measured.as_ref();
        measured.ok_or_else(|| format!("window {} is censored", window.index))
    });
    all.collect()
}

/// Runs the plan on this machine too, and prints the close tails of both. They are of calls of 500 ms that begin as their
/// events arrive, so each is shorter than a second unless the machine is busy.
fn beside_local(plan: &str, in_cluster: &TrialOutcome) -> Step {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (file, out) = (folder.path().join("plan.yaml"), folder.path().join("out"));
    std::fs::write(&file, plan).map_err(|error| error.to_string())?;
    let mut command = Command::new(tests::binary("experiment"));
    command.arg("run").arg(&file).arg("--out").arg(&out);
    run(&mut command, None)?;
    let local = balanced(&out, EVENTS)?;
    for (engine, outcome) in [("cluster", in_cluster), ("local", &local)] {
        let tails: Vec<String> = measured(outcome)?
            .iter()
            .map(|measured| wire::format_duration(Duration::from_micros(measured.close_tail_us)))
            .collect();
        println!("close tails, {engine}: {}", tails.join(", "));
    }
    Ok(())
}

/// Read through the API server's proxy, as from outside the cluster.
pub fn rotated_log(lab: &Lab) -> Step {
    let limit = largest_log(lab)?;
    let windows = (2 * limit / (MANY_KEYS * LINE_BYTES)).max(LEAST_WINDOWS);
    let plan = format!(
        "
name: rotation
window: 5s
read_timeout: 200ms
warmup: 1
windows: {windows}
cut_off: 30s
fixed: {{rpu: 200, keys: {MANY_KEYS}, io_delay: 10ms, max_workers: 50}}
axes: {{strategy: [async]}}
"
    );
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let before = lab.inventory(&lab.namespace)?;
    let (file, out) = (folder.path().join("plan.yaml"), folder.path().join("out"));
    std::fs::write(&file, plan).map_err(|error| error.to_string())?;
    let running = start(lab, &file, &out)?;
    let within = Duration::from_secs(5) * u32::try_from(windows).unwrap_or(u32::MAX) + OTHER_TIME;
    let rotated = watch(lab, running, within)?;
    let outcome = balanced(&out, 1_000 * (windows + 1))?;
    for measured in measured(&outcome)? {
        if (measured.keys, measured.events) != (MANY_KEYS, 1_000) {
            return Err(format!("not a record of every key: {measured:?}"));
        }
    }
    let first = rotated.ok_or_else(|| {
        format!("the kubelet rotated no log (containerLogMaxSize is {limit} bytes), so nothing was shown")
    })?;
    println!("the log that the API server served began at line {first}; no record was missing");
    lab.await_gone(&lab.namespace, &before, Duration::from_secs(60))
}

fn start(lab: &Lab, plan: &Path, out: &Path) -> Step<Child> {
    let mut command = Command::new(tests::binary("experiment"));
    command
        .arg("run")
        .arg(plan)
        .args(["--engine", "cluster", "--namespace", &lab.namespace])
        .args(["--image", &lab.image(), "--out"])
        .arg(out)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.spawn().map_err(|error| format!("experiment: {error}"))
}

/// Waits for the end of the run, and looks at the sink's log meanwhile. Returns the number of the first line of a log that
/// did not begin with line 0; it had been rotated.
fn watch(lab: &Lab, mut running: Child, within: Duration) -> Step<Option<u64>> {
    let deadline = Instant::now() + within;
    let mut rotated = None;
    loop {
        match running.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(rotated),
            Some(status) => return Err(format!("experiment run: {status}")),
            None if Instant::now() > deadline => {
                let _ = running.kill();
                let _ = running.wait();
                return Err(format!(
                    "experiment run has not ended within {} s",
                    within.as_secs()
                ));
            }
            None => {}
        }
        // Before the pod runs and after its end there is no log.
        if let Ok(Some(first)) = first_line(lab) {
            rotated = Some(first).filter(|first| *first > 0).or(rotated);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The number of the first line of the log of the trial's sink.
fn first_line(lab: &Lab) -> Step<Option<u64>> {
    let selector = "numaflow.numaproj.io/vertex-name=sink";
    let logs = [
        "logs",
        "-l",
        selector,
        "-c",
        "udsink",
        "--tail=-1",
        "--limit-bytes=65536",
    ];
    let log = lab.kubectl(&logs)?;
    let mut lines = log.lines();
    Ok(lines.find_map(|line| Some(serde_json::from_str::<SinkLine>(line).ok()?.line)))
}

/// The size of a log file from which on the kubelet of the first node starts a new one, in bytes.
fn largest_log(lab: &Lab) -> Step<u64> {
    let nodes = lab.list_in(&lab.namespace, "nodes")?;
    let node = nodes.first().and_then(|node| node["metadata"]["name"].as_str());
    let node = node.ok_or("the cluster has no node")?;
    let path = format!("/api/v1/nodes/{node}/proxy/configz");
    let text = wait("the kubelet's configuration can be read", LOOK_EVERY, || {
        lab.kubectl(&["get", "--raw", &path]).map(Some)
    })?;
    let config: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let size = config.pointer("/kubeletconfig/containerLogMaxSize");
    let size = size.and_then(Value::as_str).unwrap_or_default();
    let bytes = [("Ki", 10), ("Mi", 20), ("Gi", 30)]
        .iter()
        .find_map(|(unit, bits)| {
            let number: u64 = size.strip_suffix(unit)?.parse().ok()?;
            Some(number << bits)
        });
    match bytes {
        Some(bytes) if bytes <= LARGEST_LOG_BYTES => Ok(bytes),
        _ => Err(format!(
            "containerLogMaxSize of the kubelet is `{size}`: set 1Mi, or up to 16Mi, so that this test can fill a log"
        )),
    }
}
