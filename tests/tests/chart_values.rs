//! The chart beyond its renders: a comment, a place in the schema and a test file for every value, and a dashboard of
//! metrics that the programs really have.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use launcher::Place;
use regex::Regex;
use serde_json::{Value, json};
use tests::chart_page::{sections, with_values};
use tests::{address, binary, spawn_with_metrics, start};
use tokio::process::Command;
use wire::settings::{Form, TABLE};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every leaf of an object by path; objects that are empty by default, lists and nulls are leaves.
fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value.as_object().filter(|object| !object.is_empty()) {
        Some(object) => object
            .iter()
            .for_each(|(key, value)| leaves(value, &format!("{path}/{key}"), found)),
        None => {
            found.insert(path.to_owned(), value.clone());
        }
    }
}

/// The values that the schema names, and those whose contents it leaves to Kubernetes.
fn of_schema(schema: &Value, path: &str, named: &mut BTreeSet<String>) {
    match schema["properties"].as_object() {
        Some(properties) => properties
            .iter()
            .for_each(|(key, value)| of_schema(value, &format!("{path}/{key}"), named)),
        None => {
            named.insert(path.to_owned());
        }
    }
}

#[test]
fn schema_and_values_name_the_same() {
    let schema = yaml(&root("helm/values.schema.json"));
    let mut named = BTreeSet::new();
    of_schema(&schema, "", &mut named);
    let values = yaml(&root("helm/values.yaml"));
    for path in &named {
        assert!(values.pointer(path).is_some(), "values.yaml has no {path}");
    }
    let mut set = BTreeMap::new();
    leaves(&values, "", &mut set);
    for path in set.keys() {
        let known = named
            .iter()
            .any(|name| path == name || path.starts_with(&format!("{name}/")));
        assert!(known, "values.schema.json has no {path}");
    }
}

/// A setting's name in the chart: `maxWorkers` for `max_workers`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| name + &part[..1].to_uppercase() + &part[1..])
}

/// The table holds default and bounds of a setting; the chart repeats them, because Helm cannot read the table.
#[test]
fn the_settings_of_the_programs_are_those_of_the_chart() {
    let schema = yaml(&root("helm/values.schema.json"));
    let values = yaml(&root("helm/values.yaml"));
    // The chart's endpoint is slow by default, so that an installation shows an effect.
    let own = ["udf/ioDelay"];
    let mut seen = 0;
    for setting in &TABLE {
        for program in setting.programs {
            // One value decides for the generator, which numbers events by it, and for Numaflow.
            let part = match setting.name {
                "keyed" => "udf".to_owned(),
                _ => program.to_string(),
            };
            let path = format!("{part}/{}", camel(setting.name));
            let value = values
                .pointer(&format!("/{path}"))
                .unwrap_or_else(|| panic!("values.yaml has no {path}"));
            let written = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            // If the chart leaves a setting out, the program's own default applies.
            if !written.is_empty() && !own.contains(&path.as_str()) {
                assert_eq!(
                    setting.form.canonical(&written).as_deref(),
                    Ok(setting.default),
                    "{path}"
                );
            }
            let place = format!("/properties/{part}/properties/{}", camel(setting.name));
            let rule = schema
                .pointer(&place)
                .unwrap_or_else(|| panic!("values.schema.json has no {path}"));
            // The other alternative is null, for what is left to the program.
            let rule = rule.pointer("/anyOf/0").unwrap_or(rule);
            let bounds = || (rule["minimum"].as_u64(), rule["maximum"].as_u64());
            let definition = |name: &str| serde_json::json!(format!("#/definitions/{name}"));
            match setting.form {
                Form::Count { least, most } => {
                    // Helm keeps whole numbers of YAML exactly only up to 2^53.
                    let most = Some(most).filter(|most| *most < 1 << 53);
                    assert_eq!(bounds(), (Some(least), most), "{path}: {rule}");
                }
                Form::Limit { most } => {
                    assert_eq!(bounds(), (Some(1), Some(most)), "{path}: {rule}");
                    assert_eq!(rule["pattern"], "^unlimited$", "{path}");
                }
                Form::Number { most } => assert_eq!(rule["maximum"].as_f64(), Some(most), "{path}"),
                Form::Share => assert_eq!(rule["$ref"], definition("share"), "{path}"),
                Form::Duration | Form::Millis => {
                    assert_eq!(rule["$ref"], definition("positiveDuration"), "{path}");
                }
                Form::Wait => assert_eq!(rule["$ref"], definition("duration"), "{path}"),
                Form::Deadline => {
                    let or_none = json!([{"$ref": "#/definitions/positiveDuration"}, {"const": "none"}]);
                    assert_eq!(schema.pointer(&place).unwrap()["anyOf"], or_none, "{path}");
                }
                Form::Delay => assert_eq!(rule["$ref"], definition("delay"), "{path}"),
                Form::Statuses => assert_eq!(rule["$ref"], definition("statuses"), "{path}"),
                Form::Switch => assert_eq!(rule["type"], "boolean", "{path}"),
                Form::Name { names, .. } => assert_eq!(rule["enum"], serde_json::json!(names), "{path}"),
                Form::Path | Form::Text | Form::Pointer => assert_eq!(rule["type"], "string", "{path}"),
            }
            seen += 1;
        }
    }
    assert!(seen >= 15, "{seen}");
}

/// The chart's patterns and the programs' own reading say the same of a text.
#[test]
fn the_chart_reads_durations_shares_and_statuses_as_the_programs_do() {
    let schema = yaml(&root("helm/values.schema.json"));
    let pattern = |place: &str| Regex::new(schema.pointer(place).unwrap().as_str().unwrap()).unwrap();
    let of = |name: &str| pattern(&format!("/definitions/{name}/pattern"));
    let durations = [
        "200us",
        "200\u{b5}s",
        "200\u{3bc}s",
        "1.5s",
        "1m30s",
        "2h45m0.5s",
        "0m0s",
        "0.0s",
        "0h1ns",
        "10",
        "1m30",
        "1 s",
        "-1s",
        ".5s",
        "1.s",
        "1S",
        "",
        "s",
        "1s1",
        "1.2.3s",
    ];
    let shares = [
        "0", "1", "0.05", ".5", "1.0", "1.5", "2", "5%", "0.7%", "100%", "100.0%", "101%", "100.1%", "1e-3",
        "-0.1", "%", "5 %", "", "half",
    ];
    let statuses = [
        "503", "429 503", "429, 503", "none", "all", "", "200", "4xx", "600",
    ];
    for (name, form, texts) in [
        ("statuses", Form::Statuses, statuses.as_slice()),
        ("positiveDuration", Form::Duration, durations.as_slice()),
        ("duration", Form::Wait, durations.as_slice()),
        ("share", Form::Share, shares.as_slice()),
    ] {
        let chart = of(name);
        for text in texts {
            let program = form.canonical(text).is_ok();
            assert_eq!(chart.is_match(text), program, "{name}: `{text}`");
        }
    }
    let skew = pattern("/properties/generator/properties/keySkew/pattern");
    for text in ["0", "1.1", "10", "10.0", "10.1", "11", "-1", ""] {
        assert_eq!(
            skew.is_match(text),
            Form::Number { most: 10.0 }.canonical(text).is_ok(),
            "{text}"
        );
    }
}

#[test]
fn every_value_has_its_comment() {
    let text = std::fs::read_to_string(root("helm/values.yaml")).unwrap();
    let described: BTreeSet<String> = sections(&text)
        .into_iter()
        .flat_map(|section| section.values)
        .map(|value| format!("/{}", value.path.join("/")))
        .collect();
    let schema = yaml(&root("helm/values.schema.json"));
    let mut named = BTreeSet::new();
    of_schema(&schema, "", &mut named);
    let missing: Vec<_> = named.difference(&described).collect();
    assert!(missing.is_empty(), "no comment in values.yaml: {missing:?}");
}

#[test]
fn the_readme_has_the_values_and_their_comments() {
    let readme = std::fs::read_to_string(root("helm/README.md")).unwrap();
    let values = std::fs::read_to_string(root("helm/values.yaml")).unwrap();
    assert!(
        readme == with_values(&readme, &values),
        "helm/README.md differs from values.yaml: run `cargo run -p tests --example chart_readme`"
    );
}

#[test]
fn every_option_is_rendered_by_some_file_of_values() {
    let mut options = BTreeSet::new();
    of_schema(&yaml(&root("helm/values.schema.json")), "", &mut options);
    let defaults = yaml(&root("helm/values.yaml"));
    let folder = std::fs::read_dir(root("helm/ci")).unwrap();
    let files: Vec<Value> = folder.map(|entry| yaml(&entry.unwrap().path())).collect();
    for option in options {
        let changed = |file: &Value| {
            let value = file.pointer(&option);
            value.is_some() && value != defaults.pointer(&option)
        };
        assert!(files.iter().any(changed), "no file in helm/ci changes {option}");
    }
}

/// The text of `/metrics` at an address.
async fn metrics(address: std::net::SocketAddr) -> String {
    // Fails if a provider is installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::get(format!("http://{address}/metrics")).await.unwrap();
    answer.text().await.unwrap()
}

/// Names of the metrics in an expression that begin like our programs' own.
fn metrics_in(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| {
        let program = word.split_once('_').map(|(program, _)| program);
        program.is_some_and(|program| ["generator", "udf", "sink", "endpoint", "process"].contains(&program))
    })
}

#[tokio::test]
async fn the_dashboard_shows_metrics_that_the_programs_have() {
    let folder = tempfile::tempdir().unwrap();
    let mut had = String::new();
    let mut running = Vec::new();
    for program in ["generator", "udf", "sink"] {
        let mut command = Command::new(binary(program));
        command.envs(Place::within(folder.path(), program).unwrap().variables());
        let (process, address) = spawn_with_metrics(command).await;
        had += &metrics(address).await;
        running.push(process);
    }
    let mut endpoint = start("endpoint", &["--listen", "127.0.0.1:0"]);
    had += &metrics(address(&mut endpoint).await).await;

    let families: BTreeSet<&str> = had
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let dashboard = yaml(&root("helm/dashboards/async-reduce.json"));
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let expressions: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    let shown: BTreeSet<&str> = expressions
        .iter()
        .flat_map(|expression| metrics_in(expression))
        .collect();
    assert!(shown.len() > 15, "{shown:?}");
    for metric in shown {
        let family = metric
            .strip_suffix("_bucket")
            .or(metric.strip_suffix("_total"))
            .unwrap_or(metric);
        assert!(
            families.contains(family),
            "no program has {metric}; they have {families:?}"
        );
    }
}
