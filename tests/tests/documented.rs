//! `docs/metrics.md` against the programs: metrics, columns of the CSV files, fields of the record, and the environment of
//! a UDF in another language. Each test fails where the page has more, less or something else.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assert_cmd::Command as Cli;
use launcher::{Child, Place};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::Value;
use tests::reduce::Udf;
use tests::scrape::Scrape;
use tests::{binary, endpoint, spawn_with_metrics};
use tokio::process::Command;
use wire::WindowRecord;

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The rows of the table below a heading of the page, without the line of column names: cells without backquotes.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let section = page
        .split("\n#")
        .find(|section| section.trim_start_matches('#').lines().next().map(str::trim) == Some(heading));
    let section = section.unwrap_or_else(|| panic!("docs/metrics.md has no section `{heading}`"));
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    };
    lines.map(cells).collect()
}

/// The first cells of the rows below a heading.
fn names(heading: &str) -> Vec<String> {
    rows(heading).into_iter().map(|mut row| row.remove(0)).collect()
}

/// Compares the metrics of a program with the page; those of its process are in a section of their own.
fn assert_metrics(program: &str, scrape: &Scrape) {
    let is_process = |name: &str| name.starts_with("process_") || name == format!("{program}_build_info");
    for (heading, of_process) in [(program, false), ("Every program", true)] {
        let found: Vec<Vec<String>> = scrape
            .families()
            .into_iter()
            .filter(|[name, ..]| is_process(name) == of_process)
            .map(|row| {
                row.map(|cell| cell.replace(&format!("{program}_build_info"), "PROGRAM_build_info"))
                    .into()
            })
            .collect();
        let table: String = found
            .iter()
            .map(|row| format!("| `{}` | {} | {} | {} |\n", row[0], row[1], row[2], row[3]))
            .collect();
        assert_eq!(
            rows(heading).into_iter().collect::<BTreeSet<_>>(),
            found.into_iter().collect::<BTreeSet<_>>(),
            "docs/metrics.md, section `{heading}`, must have these rows:\n{table}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_the_udf_are_those_of_the_page() {
    let (_endpoint, url) = endpoint(&[]).await;
    let (mut udf, address) = Udf::start_with_metrics(&["--endpoint-url", &url], &[]).await;
    udf.window(0, 1, 2).await;
    assert_metrics("udf", &Scrape::of(address).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_generator_and_sink_are_those_of_the_page() {
    for program in ["generator", "sink"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary(program));
        command.envs(Place::within(folder.path(), "v").unwrap().variables());
        let (_child, address): (Child, _) = spawn_with_metrics(command).await;
        assert_metrics(program, &Scrape::of(address).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_the_endpoint_are_those_of_the_page() {
    let (_endpoint, url) = endpoint(&[]).await;
    tests::provide_tls();
    // A metric of durations has samples after the first call only.
    reqwest::get(format!("{url}/ping?delay=0")).await.unwrap();
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    assert_metrics("endpoint", &Scrape::of(address).await);
}

#[test]
fn the_columns_of_the_csv_files_are_those_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let journal = root().join("results/2026-11-23-start-rules/journal.jsonl");
    std::fs::copy(journal, folder.path().join("journal.jsonl")).unwrap();
    Cli::new(binary("experiment"))
        .arg("report")
        .arg(folder.path())
        .assert()
        .success();
    let settings: Vec<&str> = wire::settings::TABLE
        .iter()
        .filter(|setting| setting.shown != wire::settings::Shown::Never)
        .map(|setting| setting.name)
        .collect();
    for file in ["windows.csv", "summary.csv"] {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        let columns: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let (first, rest) = columns.split_at(settings.len());
        assert_eq!(first, settings, "the settings come first: {file}");
        // One column for each outcome, in their order.
        let calls = |column: &&&str| column.starts_with("calls_");
        let outcomes: Vec<String> = rest
            .iter()
            .filter(calls)
            .map(|column| column["calls_".len()..].replace('_', "-"))
            .collect();
        assert!(
            outcomes.is_empty() || outcomes == outcome_names(),
            "{file}: {outcomes:?}"
        );
        let rest: Vec<&str> = rest.iter().filter(|column| !calls(column)).copied().collect();
        assert_eq!(rest, names(file), "docs/metrics.md, section `{file}`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_of_the_record_are_those_of_the_page() {
    let (_endpoint, url) = endpoint(&[]).await;
    let mut udf = Udf::start(&["--endpoint-url", &url], &[]).await;
    let record = serde_json::to_value(&udf.window(0, 1, 3).await[0]).unwrap();
    let sections = [
        ("The record", fields::<WindowRecord>(), Vec::new()),
        (
            "The record's settings",
            fields::<wire::Settings>(),
            vec!["settings"],
        ),
    ];
    for (heading, fields, parents) in sections {
        let documented = rows(heading);
        let names: Vec<&str> = documented.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(names, fields, "docs/metrics.md, section `{heading}`");
        for row in &documented {
            let without = removed(&record, &[&parents[..], &[&row[0]]].concat());
            let required = serde_json::from_value::<WindowRecord>(without).is_err();
            assert_eq!(
                row[1],
                if required { "yes" } else { "no" },
                "required: {} of {heading}",
                row[0]
            );
        }
    }
    // The names of outcomes are the keys of `outcomes`.
    assert_eq!(names("Outcomes"), outcome_names());
}

fn outcome_names() -> Vec<&'static str> {
    wire::Outcome::ALL.iter().map(|outcome| outcome.name()).collect()
}

/// A record without the field at this path.
fn removed(record: &Value, path: &[&str]) -> Value {
    let mut record = record.clone();
    let (last, parents) = path.split_last().unwrap();
    let parent = parents.iter().fold(&mut record, |value, name| &mut value[*name]);
    // A field that says nothing is not written.
    parent.as_object_mut().unwrap().remove(*last);
    record
}

/// The names of a struct's fields, in the order of the code.
fn fields<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut names = FieldNames(&[]);
    assert!(T::deserialize(&mut names).is_err());
    names.0
}

/// Takes the names of the fields that a struct asks for, and gives none of them.
struct FieldNames(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut FieldNames {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0 = fields;
        Err(Self::Error::custom("only the names were asked for"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[test]
fn the_environment_of_a_udf_in_another_language_is_that_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, dump) = (folder.path().join("plan.yaml"), folder.path().join("environment"));
    let text = "name: p\nwindow: 1s\nfixed: {rpu: 1, io_delay: 0, strategy: async}\nwarmup: 0\nwindows: 1\n";
    std::fs::write(&plan, text).unwrap();
    Cli::new(binary("experiment"))
        .arg("run")
        .arg(&plan)
        .args(["--udf-command", "exec env -0 > \"$DUMP\"", "--out"])
        .arg(folder.path().join("out"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("DUMP", &dump)
        .assert()
        .code(1);
    let dumped = std::fs::read_to_string(dump).unwrap();
    let given: BTreeSet<&str> = dumped
        .split('\0')
        .filter_map(|variable| Some(variable.split_once('=')?.0))
        // Inherited, or the shell's own.
        .filter(|name| !["PATH", "DUMP", "PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    let mut documented = names("The environment of a UDF in another language");
    // Settings that are not chosen by default are absent; the others are those of docs/plan.md.
    let settings = wire::settings::TABLE
        .iter()
        .filter(|setting| setting.is_for(wire::settings::Program::Udf))
        .map(|setting| setting.env);
    let (of_settings, others): (BTreeSet<&str>, BTreeSet<&str>) = given
        .into_iter()
        .partition(|name| settings.clone().any(|setting| setting == *name));
    assert!(
        of_settings.contains("STRATEGY") && of_settings.contains("IO_DELAY"),
        "{of_settings:?}"
    );
    documented.sort();
    assert_eq!(documented, Vec::from_iter(others));
}

#[test]
fn the_fields_of_a_prediction_are_those_of_the_page() {
    let output = Cli::new(binary("experiment"))
        .args([
            "predict",
            "--format",
            "json",
            "--scale",
            "1000",
            "--strategy",
            "async",
            "--rpu",
            "20",
        ])
        .args(["--io-delay", "exponential(10ms)", "--close-deadline", "1s"])
        .assert()
        .success();
    let predicted: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let mut found = BTreeSet::new();
    collect_fields(&predicted, "", &mut found);
    // The settings are those of docs/plan.md.
    found.retain(|field| !field.starts_with("trials[].settings."));
    // A deployment and the reason why there is none exclude each other.
    let cannot = "scale.cells[].cannot".to_owned();
    assert!(found.contains("scale.cells[].partitions"));
    found.insert(cannot);
    assert_eq!(
        names("experiment predict --format json")
            .into_iter()
            .collect::<BTreeSet<_>>(),
        found
    );
}

#[test]
fn the_fields_of_an_advice_are_those_of_the_page() {
    let mut found = BTreeSet::new();
    // One setting holds at the first rate, and none at the second.
    let output = Cli::new(binary("experiment"))
        .args([
            "advise",
            "--format",
            "json",
            "--rpu",
            "20,200",
            "--io-delay",
            "50ms",
        ])
        .args([
            "--window",
            "2s",
            "--objective",
            "memory < 1GiB",
            "--capacity",
            "2",
        ])
        .assert()
        .code(3);
    let advice: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    collect_fields(&advice, "", &mut found);
    // The settings are those of docs/plan.md.
    found.retain(|field| !field.starts_with("questions[].settings[].settings."));
    assert_eq!(
        names("experiment advise --format json")
            .into_iter()
            .collect::<BTreeSet<_>>(),
        found
    );
}

/// The paths of all fields, such as `trials[].id`.
fn collect_fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                found.insert(path.clone());
                collect_fields(value, &path, found);
            }
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_fields(value, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn help_is_written_for_people() {
    let commands: [(&str, &[&str]); 5] = [
        ("udf", &[]),
        ("generator", &[]),
        ("sink", &[]),
        ("endpoint", &[]),
        (
            "experiment",
            &[
                "run",
                "predict",
                "advise",
                "search",
                "compare",
                "report",
                "collect",
                "clean",
                "verify",
                "schema",
                "completions",
            ],
        ),
    ];
    for (program, subcommands) in commands {
        let each = subcommands.iter().map(|subcommand| vec![*subcommand]);
        for args in each.chain([Vec::new()]) {
            let output = Cli::new(binary(program))
                .args(&args)
                .arg("--help")
                .assert()
                .success();
            let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
            assert!(text.lines().count() > 3, "{program} {args:?}: {text}");
            // Links of doc comments and paths of Rust's items.
            for leak in ["[`", "crate::", "::new", "# Errors"] {
                assert!(!text.contains(leak), "{program} {args:?}: {leak} in {text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_without_effect_is_said_in_the_log() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let said = |args: &'static [&'static str]| {
        let mut command = Command::new(binary("udf"));
        command.env_remove("RUST_LOG").stderr(log.reopen().unwrap());
        async move { drop(Udf::start_as(command, args).await) }
    };
    said(&["--strategy", "sequential", "--max-workers", "50"]).await;
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(text.contains("max_workers has no effect: sequential"), "{text}");
    log.as_file().set_len(0).unwrap();
    said(&["--strategy", "async", "--max-workers", "50"]).await;
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(
        text.contains("serving on") && !text.contains("no effect"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_at_the_start_is_one_line_or_two_without_rusts_structures() {
    for program in ["udf", "generator", "sink"] {
        let folder = tempfile::tempdir().unwrap();
        let (place, log) = (
            Place::within(folder.path(), "v").unwrap(),
            folder.path().join("log"),
        );
        let mut command = Command::new(binary(program));
        command
            .envs(place.variables())
            .env_remove("RUST_LOG")
            .stderr(std::fs::File::create(&log).unwrap());
        let mut child = tests::spawn(command);
        place.ready(&mut child, tests::PATIENCE).await.unwrap();
        let text = std::fs::read_to_string(log).unwrap();
        assert!(
            text.contains(&format!("serving on {}", place.socket.display())),
            "{program}: {text}"
        );
        assert!(
            text.lines().count() <= 2 && !text.contains('{'),
            "{program}: {text}"
        );
    }
}
