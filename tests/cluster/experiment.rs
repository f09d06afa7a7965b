//! The experiment in the cluster: as a Job of the chart, and run from outside.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use trials::journal::{self, JournalLine};
use trials::outcome::TrialOutcome;

use crate::lab::{Lab, Step, run, wait};
use crate::release::Release;

/// One trial with two windows of 5 s, far below the capacity of any machine.
const PLAN: &str = "
name: tiny
window: 5s
read_timeout: 200ms
warmup: 1
windows: 1
cut_off: 20s
fixed: {rpu: 20, keys: 2, io_delay: 10ms, max_workers: 50}
axes: {strategy: [async]}
";
/// Events of both windows.
const EVENTS: u64 = 200;
/// Set-up, two windows and clean-up of one trial.
const JOB_WITHIN: Duration = Duration::from_secs(240);

/// Of a search's trial, which measures for two minutes after one window.
const SEARCH_EVENTS: u64 = 2_500;
const SEARCH_WITHIN: Duration = Duration::from_secs(900);

/// Permissions that the experiment must not have, beside those that its Role names.
const DENIED: [(&str, &str); 12] = [
    ("get", "secrets"),
    ("list", "secrets"),
    ("delete", "pods"),
    ("create", "pods"),
    ("create", "pods/exec"),
    ("create", "jobs.batch"),
    ("delete", "jobs.batch"),
    ("create", "roles.rbac.authorization.k8s.io"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("patch", "roles.rbac.authorization.k8s.io"),
    ("create", "serviceaccounts/token"),
    ("delete", "interstepbufferservices.numaflow.numaproj.io"),
];

/// Permissions that it has in its own namespace and must not have in another.
const DENIED_ELSEWHERE: [(&str, &str); 4] = [
    ("create", "pipelines.numaflow.numaproj.io"),
    ("create", "deployments.apps"),
    ("get", "pods"),
    ("list", "services"),
];

pub fn as_a_job(lab: &Lab) -> Step {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (release, job) = install(lab, folder.path(), json!({}), PLAN)?;
    rights(&release)?;
    let out = folder.path().join("out");
    collected(lab, &job, &out)?;
    balanced(&out, EVENTS)?;
    let summary = lab.kubectl(&["get", "configmap", &format!("{job}-summary"), "-o", "name"])?;
    if summary.is_empty() {
        return Err("there is no summary".to_owned());
    }
    release.uninstall()
}

/// A Job that searches: one worker sustains the plan's rate, which one trial shows. Its results are collected and in the
/// summary.
pub fn searches_as_a_job(lab: &Lab) -> Step {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let search = json!({"experiment": {"search": {"enabled": true, "find": "demand", "budget": "15m"}}});
    let (release, job) = install(lab, folder.path(), search, PLAN)?;
    let out = folder.path().join("out");
    collected_within(lab, &job, &out, SEARCH_WITHIN)?;
    balanced(&out, SEARCH_EVENTS)?;
    let text = std::fs::read_to_string(out.join("search.json")).map_err(|error| error.to_string())?;
    let found: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cell = &found["cells"][0];
    if (&cell["found"], &cell["sustained"]) != (&json!("everything"), &json!(1)) {
        return Err(format!("one worker is not all that it takes: {text}"));
    }
    let summary = lab.kubectl(&["get", "configmap", &format!("{job}-summary"), "-o", "json"])?;
    let summary: Value = serde_json::from_str(&summary).map_err(|error| error.to_string())?;
    if summary["data"]["search.json"].as_str() != Some(text.as_str()) {
        return Err(format!("the summary has another search.json: {summary}"));
    }
    release.uninstall()
}

/// A Job whose plan has a threshold that cannot be met fails with the exit status that says so; its journal is whole.
pub fn threshold_missed(lab: &Lab) -> Step {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let plan = format!("{PLAN}thresholds: ['close_tail < 1us', 'ledger balances']\n");
    let (release, job) = install(lab, folder.path(), json!({}), &plan)?;
    wait("the experiment's Job has failed", JOB_WITHIN, || {
        let text = lab.kubectl(&["get", "job", &job, "-o", "json"])?;
        let job: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match (&job["status"]["succeeded"], &job["status"]["failed"]) {
            (succeeded, _) if *succeeded == 1 => Err("the Job succeeded".to_owned()),
            (_, failed) => Ok((*failed == 1).then_some(())),
        }
    })?;
    let selector = format!("job-name={job}");
    let path = "jsonpath={.items[*].status.containerStatuses[*].state.terminated.exitCode}";
    let status = lab.kubectl(&["get", "pods", "-l", &selector, "-o", path])?;
    if status.trim() != "3" {
        return Err(format!("the Job's exit status is {status}, not 3"));
    }
    let out = folder.path().join("out");
    let collect = ["collect", "--job", &job, "--namespace", &lab.namespace, "--out"];
    let mut command = Command::new(tests::binary("experiment"));
    let ended = command
        .args(collect)
        .arg(&out)
        .output()
        .map_err(|error| error.to_string())?;
    if ended.status.code() != Some(3) {
        return Err(format!("collect does not end with the Job's status: {ended:?}"));
    }
    balanced(&out, EVENTS)?;
    let summary = std::fs::read_to_string(out.join("summary.md")).map_err(|error| error.to_string())?;
    for expected in ["✗ missed", "✓ met"] {
        if !summary.contains(expected) {
            return Err(format!("the summary has no `{expected}`: {summary}"));
        }
    }
    release.uninstall()
}

/// Runs a plan as a Job of the chart with these values. Returns the outcome of its only trial, of which `events` events
/// must have ended well.
pub fn trial_of_job(lab: &Lab, values: Value, plan: &str, events: u64) -> Step<TrialOutcome> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (release, job) = install(lab, folder.path(), values, plan)?;
    let out = folder.path().join("out");
    collected(lab, &job, &out)?;
    let outcome = balanced(&out, events)?;
    release.uninstall()?;
    Ok(outcome)
}

/// Waits until the Job has succeeded, and collects its journal.
fn collected(lab: &Lab, job: &str, out: &Path) -> Step {
    collected_within(lab, job, out, JOB_WITHIN)
}

fn collected_within(lab: &Lab, job: &str, out: &Path, within: Duration) -> Step {
    wait("the experiment's Job has completed", within, || {
        let text = lab.kubectl(&["get", "job", job, "-o", "json"])?;
        let job: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok((job["status"]["succeeded"] == 1).then_some(()))
    })?;
    let collect = ["collect", "--job", job, "--namespace", &lab.namespace, "--out"];
    run(
        Command::new(tests::binary("experiment")).args(collect).arg(out),
        None,
    )?;
    Ok(())
}

/// Installs the chart with the plan and these values; returns the name of its Job.
fn install<'a>(lab: &'a Lab, folder: &Path, mut value: Value, plan: &str) -> Step<(Release<'a>, String)> {
    // --set would interpret commas and braces.
    let values = folder.join("values.yaml");
    value["experiment"]["enabled"] = json!(true);
    value["experiment"]["plan"] = json!(plan);
    std::fs::write(&values, value.to_string()).map_err(|error| error.to_string())?;
    let release = Release::install_with(lab, &lab.namespace, "exp", &values)?;
    let jobs = lab.list_in(&lab.namespace, "jobs")?;
    let ours = format!("{}-experiment-", release.name);
    let name = |job: &Value| job["metadata"]["name"].as_str().map(str::to_owned);
    let job = jobs.iter().filter_map(name).find(|name| name.starts_with(&ours));
    let job = job.ok_or_else(|| format!("no Job {ours}… is there"))?;
    Ok((release, job))
}

/// Its service account has no permission that the engine does not need.
fn rights(release: &Release<'_>) -> Step {
    let account = format!(
        "--as=system:serviceaccount:{}:{}-experiment",
        release.namespace, release.name
    );
    for (verb, resource) in DENIED {
        denied(release.lab, &release.namespace, verb, resource, &account)?;
    }
    for (verb, resource) in DENIED_ELSEWHERE {
        denied(release.lab, "default", verb, resource, &account)?;
    }
    let allowed = ["auth", "can-i", "get", "pods", "--subresource=log", &account];
    release.lab.kubectl(&allowed).map(drop)
}

/// The answer must be "no" and not another error.
fn denied(lab: &Lab, namespace: &str, verb: &str, resource: &str, account: &str) -> Step {
    match lab.kubectl_in(namespace, &["auth", "can-i", verb, resource, account]) {
        Err(message) if message.trim_end().ends_with("no") => Ok(()),
        Err(message) => Err(message),
        Ok(_) => Err(format!("the experiment may {verb} {resource} in {namespace}")),
    }
}

pub fn from_outside(lab: &Lab) -> Step {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let before = lab.inventory(&lab.namespace)?;
    let plan = folder.path().join("plan.yaml");
    std::fs::write(&plan, PLAN).map_err(|error| error.to_string())?;
    let out = folder.path().join("out");
    let mut command = Command::new(tests::binary("experiment"));
    command
        .arg("run")
        .arg(&plan)
        .args(["--engine", "cluster", "--namespace", &lab.namespace]);
    command.args(["--image", &lab.image(), "--out"]).arg(&out);
    run(&mut command, None)?;
    balanced(&out, EVENTS)?;
    lab.await_gone(&lab.namespace, &before, Duration::from_secs(60))
}

pub fn uninstalled_midway(lab: &Lab) -> Step {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (release, _) = install(lab, folder.path(), json!({}), PLAN)?;
    wait("a trial's Pipeline is there", JOB_WITHIN, || {
        let pipelines = lab.list_in(&lab.namespace, "pipelines.numaflow.numaproj.io")?;
        Ok((!pipelines.is_empty()).then_some(()))
    })?;
    release.uninstall()
}

/// The journal contains one trial whose events were all found, at least `events` of them ok and none late, failed or lost.
pub fn balanced(out: &Path, events: u64) -> Step<TrialOutcome> {
    let lines = journal::read(out).map_err(|error| error.to_string())?;
    let outcomes: Vec<_> = lines
        .iter()
        .filter_map(|line| match line {
            JournalLine::Trial(outcome) => Some(outcome),
            JournalLine::Run(_) => None,
        })
        .collect();
    let [outcome] = outcomes.as_slice() else {
        return Err(format!("{} outcomes in the journal", outcomes.len()));
    };
    let ledger = outcome
        .ledger
        .as_ref()
        .ok_or_else(|| format!("no ledger: {:?}", outcome.end))?;
    let whole = ledger.balances() && ledger.ok >= events && ledger.failed + ledger.late + ledger.lost == 0;
    if !whole {
        return Err(format!("{:?} {ledger:?}", outcome.end));
    }
    match out.join("report.html").exists() {
        true => Ok(TrialOutcome::clone(outcome)),
        false => Err(format!("there is no report in {}", out.display())),
    }
}
