//! Advice by the real program: the question of `docs/deciding.md`, one that nothing meets, values that the chart takes, and
//! a run that shows whether what was advised holds.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::own_endpoint::Own;
use super::run_dir::{Ended, RunDir};

/// A backend that takes 80 ms, 400 ms at the 99th percentile, and its events.
const QUESTION: [&str; 8] = [
    "--io-delay",
    "lognormal(50=80ms,99=400ms)",
    "--rpu",
    "300",
    "--keys",
    "20",
    "--window",
    "60s",
];

fn advise(dir: &RunDir, args: &[&str]) -> Ended {
    dir.run(&[&["advise", "--cores", "2"], args].concat())
}

fn asked(dir: &RunDir, args: &[&str]) -> Ended {
    advise(dir, &[&QUESTION, args].concat())
}

#[test]
fn the_question_of_a_new_user_is_answered_by_one_command() {
    let dir = RunDir::new();
    let ended = asked(&dir, &["--objective", "close_tail p99 < 1s"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let out = &ended.stdout;
    assert!(
        out.starts_with("300 events a second over 20 keys, windows of 60 s, calls (http) of lognormal(50=80ms,99=400ms) (mean 102 ms, p99 400"),
        "{out}"
    );
    assert!(
        out.contains("\nObjective: it keeps up, and close_tail p99 < 1s.\n"),
        "{out}"
    );
    let first = out
        .lines()
        .find(|line| line.starts_with("async, at-arrival"))
        .unwrap();
    let words: Vec<&str> = first.split_whitespace().collect();
    assert_eq!(words[2..4], ["1", "39"], "one pod, 39 workers: {out}");
    assert!(
        out.contains("sequential at-arrival and sequential at-close: 300 calls a second"),
        "{out}"
    );
    assert!(
        out.contains("\nFirst: async at-arrival, max_workers 39. Run it"),
        "{out}"
    );
    assert_eq!(ended.stderr, "");

    let json = asked(&dir, &["--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let question = &json["questions"][0];
    assert_eq!(question["objective"][0], "close_tail p90 < 30s");
    assert_eq!(question["settings"][0]["settings"]["max_workers"], 39);
    assert_eq!(question["settings"][0]["pods"], 1);
}

#[test]
fn a_question_that_nothing_meets_is_said_to_be_one() {
    let dir = RunDir::new();
    let slow = [
        "--io-delay",
        "3s",
        "--rpu",
        "300",
        "--window",
        "2s",
        "--keys",
        "20",
    ];
    let ended = advise(&dir, &slow);
    assert_eq!(ended.status, Some(3), "{ended:?}");
    let out = &ended.stdout;
    assert!(
        out.contains("No setting is predicted to hold the objective."),
        "{out}"
    );
    assert!(
        out.contains("- Make windows longer: those of 8 s hold.\n"),
        "{out}"
    );
    assert!(out.contains("- Make the calls faster: at most "), "{out}");
    assert_eq!(
        ended.stderr,
        "experiment: no setting is predicted to hold the objective: see what must change\n"
    );
    let values = advise(&dir, &[&slow[..], &["--format", "values"]].concat());
    assert_eq!((values.status, values.stdout.as_str()), (Some(3), ""));
}

/// `make test-chart` renders the file.
#[test]
fn the_values_are_those_of_the_file_that_the_chart_is_tested_with() {
    let dir = RunDir::new();
    let cpu = [
        "--io-delay",
        "15ms",
        "--workload",
        "cpu",
        "--rpu",
        "100",
        "--keys",
        "40",
        "--key-skew",
        "0.5",
        "--window",
        "2s",
        "--read-timeout",
        "100ms",
    ];
    let ended = advise(&dir, &[&cpu[..], &["--format", "values"]].concat());
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/ci/advised-values.yaml");
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(ended.stdout, expected, "{}", file.display());
    let values: Value = serde_yaml::from_str(&expected).unwrap();
    assert!(values["udf"]["partitions"].as_u64().unwrap() > 1, "{values}");
    assert_eq!(values["udf"]["ioDelay"], "15ms");
    assert_eq!(values["generator"]["keySkew"], 0.5);
    assert_eq!(values["pipeline"]["limits"]["readTimeout"], "100ms");
}

#[test]
fn mistakes_are_refused() {
    let dir = RunDir::new();
    asked(&dir, &["--max-workers", "9"]).assert_refused(&["--max-workers: is what the advice finds"]);
    asked(&dir, &["--objective", "close_tale < 1s"]).assert_refused(&["close_tail"]);
    asked(&dir, &["--objective", "close_tail p50 < +10% vs o"])
        .assert_refused(&["--objective", "a bound in place of the change"]);
    asked(&dir, &["--endpoint-url", "http://127.0.0.1:9/"])
        .assert_refused(&["--endpoint-url: has an effect with --verify only"]);
    asked(&dir, &["--endpoint-url", "http://127.0.0.1:9/", "--verify"]).assert_refused(&[
        "--endpoint-url",
        "with 300 events a second",
        "--load-my-service",
    ]);
    let two = advise(
        &dir,
        &["--io-delay", "1ms", "--rpu", "10,20", "--format", "values"],
    );
    two.assert_refused(&["the plan asks 2 questions"]);
    advise(&dir, &["--rpu", "10"]).assert_refused(&["io-delay is missing"]);
}

/// 40 calls a second of 100 ms: 5 workers have a load of 0.8, 2 one of 2.
const QUICK: [&str; 12] = [
    "--io-delay",
    "100ms",
    "--rpu",
    "40",
    "--keys",
    "2",
    "--strategy",
    "async",
    "--start-rule",
    "at-arrival",
    "--window",
    "3s",
];

#[test]
fn what_is_advised_holds_in_a_run_and_half_of_its_workers_do_not() {
    let dir = RunDir::new();
    let args = [&QUICK[..], &["--verify", "--out", "o"]].concat();
    let ended = advise(&dir, &args);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let found: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.contains(" held with ") || line.contains(" did not hold with "))
        .collect();
    assert_eq!(found.len(), 2, "{ended:?}");
    assert_eq!(found[0].split(" with ").next(), Some("✓ held"), "{ended:?}");
    assert!(found[1].starts_with("✗ did not hold with "), "{ended:?}");
    assert!(
        dir.path("o/report.html").exists() && dir.path("o/plan.yaml").exists(),
        "{ended:?}"
    );
    let trials = dir.outcomes("o");
    assert!(
        trials.iter().all(|outcome| outcome.trial.settings.windows == 10),
        "{ended:?}"
    );

    // Everything is there: nothing is run again.
    let again = advise(&dir, &[&args[..], &["--resume"]].concat());
    assert_eq!(again.status, Some(0), "{again:?}");
    assert_eq!(dir.outcomes("o").len(), trials.len());
    dir.assert_nothing_left();
}

#[test]
fn ones_own_service_is_called_only_where_it_may_be_and_by_the_advised_setting_alone() {
    // One call at once: the advised workers do not hold.
    let own = Own::start(&["--capacity", "1"]);
    let dir = RunDir::new();
    let url = format!("http://{}/", own.address);
    let ended = advise(
        &dir,
        &[
            &QUICK[..],
            &[
                "--verify",
                "--load-my-service",
                "--endpoint-url",
                &url,
                "--out",
                "o",
            ],
        ]
        .concat(),
    );
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert!(
        ended
            .stderr
            .ends_with("experiment: the advised setting did not hold the objective: see the report\n"),
        "{ended:?}"
    );
    let trials = dir.outcomes("o");
    assert_eq!(trials.len(), 1, "{ended:?}");
    dir.assert_nothing_left();
}
