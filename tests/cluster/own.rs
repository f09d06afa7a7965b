//! A UDF of the user's own by its image, between a source and a sink of the user's own: our image with another command and
//! Numaflow's generator stand in for them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use wire::SinkLine;

use crate::experiment::trial_of_job;
use crate::lab::{Lab, Step, vertex_pods, wait};
use crate::release::Release;

/// Events a second and keys of Numaflow's generator.
const SOURCE: (u64, u64) = (20, 2);
/// From the install to the results of a few windows of 5 s.
const RESULTS_WITHIN: Duration = Duration::from_secs(120);
/// Windows and keys that must be in both sinks.
const LEAST_RESULTS: usize = 4;
/// A trial of two windows of 5 s.
const PLAN: &str = "
name: own-image
window: 5s
read_timeout: 200ms
warmup: 1
windows: 1
cut_off: 20s
fixed: {rpu: 20, keys: 2, io_delay: 10ms, max_workers: 50}
axes: {strategy: [async]}
";
const EVENTS: u64 = 200;

/// The sink of one's own gets the results and no record, the vertex `records` the records and nothing else, and both
/// agree.
pub fn between_own_source_and_sink(lab: &Lab) -> Step {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("values.yaml");
    let mut values = own(lab)?;
    values["udf"]["records"] = json!("beside");
    values["udf"]["window"] = json!("5s");
    std::fs::write(&file, values.to_string()).map_err(|error| error.to_string())?;
    let release = Release::install_with(lab, &lab.namespace, "own", &file)?;
    wait("results and records are there and agree", RESULTS_WITHIN, || {
        let results = results(&lines(lab, release.place(), "sink")?)?;
        let records = events(&lines(lab, release.place(), "records")?)?;
        let both: Vec<_> = results
            .iter()
            .filter_map(|(of, count)| Some((of, *count, *records.get(of)?)))
            .collect();
        if let Some(differing) = both.iter().find(|(_, count, events)| count != events) {
            return Err(format!("a result is not the number of its events: {differing:?}"));
        }
        Ok((both.len() >= LEAST_RESULTS).then_some(()))
    })?;
    lab.helm(&lab.namespace, &["test", &release.name, "--timeout", "3m"])?;
    release.uninstall()
}

/// The trial has the program of the release, with generator and recorder in place of the release's source and sink. Its
/// results beside the records are no windows of their own.
pub fn measured(lab: &Lab) -> Step {
    let mut values = own(lab)?;
    values["udf"]["args"] = json!(["--records", "beside"]);
    let outcome = trial_of_job(lab, values, PLAN, EVENTS)?;
    match outcome.windows.iter().all(|window| window.measured.is_some()) {
        true => Ok(()),
        false => Err(format!("a window is censored: {:?}", outcome.windows)),
    }
}

fn own(lab: &Lab) -> Step<Value> {
    let image = lab.image();
    let (repository, tag) = image.rsplit_once(':').ok_or("the image has no tag")?;
    let (rpu, keys) = SOURCE;
    Ok(json!({
        "udf": {
            "image": {"repository": repository, "tag": tag},
            "command": ["/usr/local/bin/udf"],
            "args": ["--event-id", "/id"],
            "ioDelay": "1ms",
        },
        "endpoint": {"enabled": true},
        "source": {"generator": {"rpu": rpu, "duration": "1s", "keyCount": keys, "msgSize": 8}},
        "sink": {"udsink": {"container": {"image": image, "command": ["/usr/local/bin/sink"]}}},
    }))
}

/// The lines that a recorder has logged, without repeated ones.
pub fn lines(lab: &Lab, (namespace, pipeline): (&str, &str), vertex: &str) -> Step<Vec<SinkLine>> {
    let selector = vertex_pods(pipeline, vertex);
    let logs = ["logs", "-l", &selector, "-c", "udsink", "--tail=-1"];
    let log = lab.kubectl_in(namespace, &logs)?;
    let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok(lines.filter(|line: &SinkLine| !line.duplicate).collect())
}

/// The count in each result, by the end of its window and its keys.
fn results(lines: &[SinkLine]) -> Step<BTreeMap<(i64, Vec<String>), u64>> {
    let result = |line: &SinkLine| {
        let count = line.text.as_deref().and_then(|text| text.parse().ok());
        let count = count.ok_or_else(|| format!("the own sink got what is no result: {line:?}"))?;
        Ok(((line.event_time_ms, line.keys.clone()), count))
    };
    lines.iter().map(result).collect()
}

/// The events in each record, by the end of its window and its keys.
fn events(lines: &[SinkLine]) -> Step<BTreeMap<(i64, Vec<String>), u64>> {
    let record = |line: &SinkLine| {
        let record = line.record.as_ref();
        let record = record.ok_or_else(|| format!("the recorder got what is no record: {line:?}"))?;
        Ok(((line.event_time_ms, line.keys.clone()), record.ok()))
    };
    lines.iter().map(record).collect()
}
