//! The example `score` as a program of the user's own: by the chart, with payloads of the user's own, against a service that
//! requires a token. The payloads have no numbers, and Numaflow's file keeps none of their headers.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use trials::ledger::{Drops, Timetable, balance_by_time};
use wire::settings::TrialSettings;
use wire::{PayloadFile, PayloadKeys, SinkLine, WindowRecord};

use crate::kills::{FULL, FULL_WITHIN, account, kill_container, kill_pod};
use crate::lab::{Lab, Step, wait};
use crate::own::lines;
use crate::records::await_full;
use crate::release::Release;

const KEY_POINTER: &str = "/user";
const TOKEN: &str = "t0ken";

/// The service scores a payment by its amount.
const PAYMENTS: [(&str, f64); 5] = [("u1", 12.5), ("u2", 3.0), ("u1", 0.25), ("u3", 7.75), ("u2", 8.0)];
/// A user whose payments are none.
const WRONG: &str = r#"{"user":"u4","amount":"much"}"#;

/// Events a second; as in [`FULL`].
const RPU: u64 = 50;
/// From the install to the results of a few windows of 5 s.
const RESULTS_WITHIN: Duration = Duration::from_secs(120);
/// Results with the tag that must be there.
const LEAST_RESULTS: usize = 6;
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// Every mean is that of the amounts of the events in the record beside it. On an edge for the tag `scored` there are all
/// results without a failure, and nothing else.
pub fn means_and_tags(lab: &Lab) -> Step {
    let mut values = values(lab, &payments(true))?;
    values["udf"]["window"] = json!("5s");
    values["generator"]["align"] = json!("5s");
    let name = "async-reduce-scored";
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let rendered = lab.rendered(name, &written(folder.path(), &values)?)?;
    let objects = folder.path().join("objects.json");
    std::fs::write(&objects, with_tagged_edge(&rendered)?).map_err(|error| error.to_string())?;
    let objects = objects.display().to_string();
    let before = lab.inventory(&lab.namespace)?;
    let tested = lab.kubectl(&["apply", "-f", &objects]).and_then(|_| {
        wait("means and tags are as by hand", RESULTS_WITHIN, || {
            let place = (lab.namespace.as_str(), name);
            compared(&lines(lab, place, "sink")?, &lines(lab, place, "scored")?)
        })
    });
    let removed = lab.kubectl(&["delete", "-f", &objects, "--wait", "--timeout=90s"]);
    tested.and(removed)?;
    lab.await_gone(&lab.namespace, &before, GONE_WITHIN)
}

pub fn pod_with_empty_dir(lab: &Lab) -> Step {
    // The folder goes with the pod: what comes again is what Numaflow had not acknowledged.
    killed(lab, "score-pod", 0, kill_pod)
}

pub fn container_with_empty_dir(lab: &Lab) -> Step {
    killed(lab, "score-box", 1, kill_container)
}

/// Every sent event is in a record or lost, by its number; what came without its header was found by its time. Only events of
/// windows that were open between the kill and the new process are lost.
fn killed(lab: &Lab, name: &str, least_replayed: u64, kill: fn(&Release<'_>, &str) -> Step) -> Step {
    let payments = payments(false);
    let mut values = values(lab, &payments)?;
    values["udf"]["storage"] = json!({"type": "emptyDir"});
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = written(folder.path(), &values)?;
    let keys = keys(folder.path(), &payments)?;
    let release = Release::install_with(lab, &lab.namespace, name, &file)?;
    let tested = await_full(lab, release.place(), 0, FULL, FULL_WITHIN)
        .and_then(|_| account(&release, "udf", kill))
        .and_then(|mut account| {
            let settings = settings()?;
            let timetable = Timetable {
                settings: &settings,
                payload_keys: Some(&keys),
            };
            let closed = account.closed();
            let drops = Drops::Counted(0);
            let without: u64 = account.records.iter().map(|record| record.unnumbered).sum();
            let ledger = balance_by_time(
                &account.generator,
                drops,
                &mut account.records,
                &closed,
                timetable,
            );
            eprintln!("{name}: {without} events without a number, {ledger:?}");
            if !ledger.balances() || ledger.failed + ledger.unknown > 0 {
                return Err(format!("{ledger:?}"));
            }
            if ledger.replayed != without || without < least_replayed {
                return Err(format!("{without} events without a number: {ledger:?}"));
            }
            account.short_windows_are_those_of_the_gap()
        });
    let removed = release.uninstall();
    tested.and(removed)
}

/// The payments, one a line, with or without those that fail.
fn payments(with_wrong: bool) -> String {
    let good = PAYMENTS
        .iter()
        .map(|(user, amount)| json!({"user": user, "amount": amount}).to_string());
    let wrong = with_wrong.then(|| WRONG.to_owned());
    good.chain(wrong).collect::<Vec<_>>().join("\n")
}

/// The keys in the payments, as the generator reads them.
fn keys(folder: &Path, payments: &str) -> Step<PayloadKeys> {
    let path = folder.join("payments.jsonl");
    std::fs::write(&path, payments).map_err(|error| error.to_string())?;
    let (_, keys) =
        PayloadFile::open(&path, u32::MAX, Some(KEY_POINTER)).map_err(|error| error.to_string())?;
    Ok(keys)
}

/// What decides which event of the release's generator has which time.
fn settings() -> Step<TrialSettings> {
    Ok(TrialSettings {
        rpu: NonZeroU64::new(RPU).ok_or("no rate")?,
        ..TrialSettings::defaults().map_err(|setting| format!("{} has no default", setting.name))?
    })
}

fn values(lab: &Lab, payments: &str) -> Step<Value> {
    let image = lab.image();
    let (repository, tag) = image.rsplit_once(':').ok_or("the image has no tag")?;
    Ok(json!({
        "generator": {
            "rpu": RPU,
            "payloads": {"lines": payments, "keyPointer": KEY_POINTER},
        },
        "udf": {
            "image": {"repository": repository, "tag": tag},
            "command": ["/usr/local/bin/score"],
            "args": ["--url", "$(ENDPOINT_URL)/score"],
            "env": [{"name": "SCORE_TOKEN", "value": TOKEN}],
            "records": "beside",
        },
        "endpoint": {
            "enabled": true,
            "ioDelay": "5ms",
            "answer": "{\"score\": ${/amount}}",
            "env": [{"name": "REQUIRE_HEADER", "value": format!("Authorization: Bearer {TOKEN}")}],
        },
    }))
}

/// Writes a file of values for helm.
fn written(folder: &Path, values: &Value) -> Step<PathBuf> {
    let file = folder.join("values.yaml");
    std::fs::write(&file, values.to_string()).map_err(|error| error.to_string())?;
    Ok(file)
}

/// The objects of the chart as a list, with one more recorder for the results with the tag `scored`.
fn with_tagged_edge(rendered: &str) -> Step<String> {
    let mut items = Vec::new();
    for document in serde_yaml::Deserializer::from_str(rendered) {
        let object = <Value as serde::Deserialize>::deserialize(document);
        let mut object = object.map_err(|error| error.to_string())?;
        if object.is_null() {
            continue;
        }
        if object["kind"] == "Pipeline" {
            let spec = &mut object["spec"];
            let vertices = spec["vertices"].as_array_mut().ok_or("no vertices")?;
            let sink = vertices.iter().find(|vertex| vertex["name"] == "sink");
            let mut tagged = sink.ok_or("no vertex sink")?.clone();
            tagged["name"] = json!("scored");
            vertices.push(tagged);
            let edges = spec["edges"].as_array_mut().ok_or("no edges")?;
            let conditions = json!({"tags": {"operator": "or", "values": ["scored"]}});
            edges.push(json!({"from": "udf", "to": "scored", "conditions": conditions}));
        }
        items.push(object);
    }
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
}

/// Window end and keys of a line.
type Of = (i64, Vec<String>);

/// Compares the results with the records beside them, and with those on the edge for their tag. `None` while there are too
/// few.
fn compared(all: &[SinkLine], tagged: &[SinkLine]) -> Step<Option<()>> {
    let of = |line: &SinkLine| (line.event_time_ms, line.keys.clone());
    let records: BTreeMap<Of, &WindowRecord> = all
        .iter()
        .filter_map(|line| Some((of(line), line.record.as_ref()?)))
        .collect();
    let mut results: BTreeMap<Of, Value> = BTreeMap::new();
    for line in all.iter().filter(|line| line.record.is_none()) {
        results.insert(of(line), result(line)?);
    }
    let mut good = 0;
    for (of, result) in &results {
        let Some(record) = records.get(of) else { continue };
        let is_wrong = of.1 == ["u4"];
        let (scored, failed) = match is_wrong {
            true => (0, record.events),
            false => (record.events, 0),
        };
        let mean = if is_wrong { 0.0 } else { by_hand(record)? };
        let found = result["mean"].as_f64().unwrap_or(f64::NAN);
        // NaN compares as wrong.
        let is_mean = (found - mean).abs() < 1e-9;
        if !is_mean || result["scored"] != scored || result["failed"] != failed {
            return Err(format!("{of:?}: {result}, by hand {mean} of {}", record.events));
        }
        good += usize::from(!is_wrong);
    }
    let mut seen = 0;
    for line in tagged {
        let result = result(line)?;
        if result["failed"] != 0 {
            return Err(format!("on the edge for another tag: {line:?}"));
        }
        match results.get(&of(line)) {
            Some(same) if *same != result => {
                return Err(format!("two results of one window: {same} and {result}"));
            }
            Some(_) => seen += 1,
            None => {}
        }
    }
    let failed = results.values().any(|result| result["failed"] != 0);
    Ok((good.min(seen) >= LEAST_RESULTS && failed).then_some(()))
}

fn result(line: &SinkLine) -> Step<Value> {
    let text = line.text.as_deref().unwrap_or_default();
    serde_json::from_str(text).map_err(|error| format!("no result of score: {error}: {line:?}"))
}

/// The mean amount of the events in a record.
fn by_hand(record: &WindowRecord) -> Step<f64> {
    let user = record.keys.join(":");
    let amounts: Vec<f64> = PAYMENTS
        .iter()
        .filter(|(of, _)| *of == user)
        .map(|(_, amount)| *amount)
        .collect();
    if amounts.is_empty() || record.seen.len() != 1 {
        return Err(format!(
            "no payments of one generator: {:?} {:?}",
            record.keys, record.seen
        ));
    }
    let numbers = record.seen.values().flat_map(|numbers| numbers.parts());
    let numbers = numbers.flat_map(|(first, last)| *first..=*last);
    // A user's payments come in turn.
    let all: Vec<f64> = numbers
        .map(|number| amounts[(number % amounts.len() as u64) as usize])
        .collect();
    Ok(all.iter().sum::<f64>() / all.len() as f64)
}
