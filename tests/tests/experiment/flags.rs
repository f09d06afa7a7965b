//! A run without a plan's file: settings as flags, a plan on standard input, and options that would have no effect.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use tests::binary;
use trials::outcome::{TrialEnd, TrialOutcome};
use trials::plan::Plan;
use wire::Outcome;

use super::run_dir::{Ended, RunDir, text, tiny};

/// One warm-up window and one measured window of 20 events each.
const LEAST: [&str; 10] = [
    "--rpu=40",
    "--keys=2",
    "--io-delay=10ms",
    "--window=500ms",
    "--read-timeout=50ms",
    "--warmup=1",
    "--windows=1",
    "--cut-off=10s",
    "--out",
    "o",
];

fn with(first: &[&'static str], flags: &[&'static str]) -> Vec<&'static str> {
    [first, LEAST.as_slice(), flags].concat()
}

fn kept(dir: &RunDir, folder: &str) -> String {
    fs::read_to_string(dir.path(folder).join("plan.yaml")).unwrap()
}

#[test]
fn flags_are_enough_for_a_run_and_its_plan_can_be_run_again() {
    let dir = RunDir::new();
    let flags = [
        "--strategy",
        "async,thread-pool",
        "--max-workers",
        "32,64",
        "--name",
        "first",
    ];
    let ended = dir.run(&with(&["run"], &flags));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let ids: Vec<String> = dir
        .outcomes("o")
        .into_iter()
        .map(|outcome| outcome.trial.id)
        .collect();
    assert_eq!(
        ids,
        [
            "strategy=async,max_workers=32,repeat=0",
            "strategy=async,max_workers=64,repeat=0",
            "strategy=thread-pool,max_workers=32,repeat=0",
            "strategy=thread-pool,max_workers=64,repeat=0",
        ]
    );
    for outcome in dir.outcomes("o") {
        assert_eq!(outcome.end, TrialEnd::Completed);
        assert!(outcome.ledger.unwrap().balances());
    }
    assert!(dir.path("o/report.html").exists());
    assert_eq!(
        kept(&dir, "o"),
        "# Made by `experiment run`; run it again with `experiment run` and this file.\nname: first\ncut_off: 10s\n\
         warmup: 1\nwindows: 1\nfixed:\n  rpu: 40\n  keys: 2\n  io_delay: 10ms\n  window: 500ms\n  read_timeout: 50ms\n\
         axes:\n  strategy: [async, thread-pool]\n  max_workers: [32, 64]\n"
    );
    let again = dir.run(&["run", "o/plan.yaml", "--out", "o", "--resume"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    assert_eq!(dir.outcomes("o").len(), 4, "nothing was left to run");
    let predicted = dir.run(&["predict", "o/plan.yaml"]);
    let by_flags = dir.run(&[&["predict"], &LEAST[..8], &flags].concat());
    assert_eq!((by_flags.status, by_flags.stdout), (Some(0), predicted.stdout));
    let changed = dir.run(&with(
        &["run", "--resume"],
        &["--strategy", "async", "--name", "first"],
    ));
    changed.assert_refused(&[
        "--out: the plan `first` has changed since the run in `o/journal.jsonl`",
        "strategy async, thread-pool → async; max_workers 32, 64 → 1000",
    ]);
    dir.assert_nothing_left();
}

#[test]
fn a_window_can_be_varied_and_each_has_its_length() {
    let dir = RunDir::new();
    let plan = dir.plan(
        "name: tiny\nwarmup: 1\nwindows: 1\ncut_off: 10s\nfixed: {rpu: 40, io_delay: 10ms, strategy: async}\n\
         axes:\n  window: [500ms, 0.01m]\n  read_timeout: [20ms, 50ms]\n",
    );
    let ended = dir.run(&["run", text(&plan), "--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcomes = dir.outcomes("o");
    let events = |outcome: &TrialOutcome| outcome.windows[1].measured.as_ref().unwrap().events;
    let windows: Vec<(&str, u64)> = outcomes
        .iter()
        .map(|outcome| (outcome.trial.id.as_str(), events(outcome)))
        .collect();
    assert_eq!(
        windows,
        [
            ("window=500ms,read_timeout=20ms,repeat=0", 20),
            ("window=500ms,read_timeout=50ms,repeat=0", 20),
            ("window=600ms,read_timeout=20ms,repeat=0", 24),
            ("window=600ms,read_timeout=50ms,repeat=0", 24),
        ],
        "events of a window"
    );
    let csv = fs::read_to_string(dir.path("o/summary.csv")).unwrap();
    let window_of = |line: &str| line.contains("500ms") || line.contains("600ms");
    assert_eq!(
        csv.lines().skip(1).filter(|line| window_of(line)).count(),
        4,
        "{csv}"
    );
    dir.assert_nothing_left();
}

#[test]
fn failures_of_every_kind_can_be_planned() {
    let dir = RunDir::new();
    // 200 events in each window, so that a kind without a single one is out of the question.
    let many = |flags: &[&'static str]| -> Vec<&'static str> {
        let all = with(
            &["run", "--strategy=async", "--timeout=200ms", "--rpu=400"],
            flags,
        );
        all.into_iter().filter(|flag| *flag != "--rpu=40").collect()
    };
    let ended = dir.run(&many(&[
        "--fail-reset=25%",
        "--fail-body=0.25",
        "--fail-hang=2.5e-1",
        "--fail-status=25%",
        "--fail-status-code=404",
    ]));
    assert_eq!(
        ended.status,
        Some(0),
        "what the plan asks for is no failure: {ended:?}"
    );
    let outcomes = dir.outcomes("o");
    let [outcome] = outcomes.as_slice() else {
        panic!("{outcomes:?}")
    };
    let ledger = outcome.ledger.as_ref().unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    // Two windows, or three on a busy machine.
    assert!(ledger.ok == 0 && ledger.failed >= 400, "{ledger:?}");
    // A reset is told in one of several ways.
    for kind in [Outcome::BadStatus, Outcome::BadBody, Outcome::Timeout] {
        let share = outcome.outcomes[&kind] as f64 / outcome.outcomes.values().sum::<u64>() as f64;
        assert!((0.1..0.4).contains(&share), "{kind}: {:?}", outcome.outcomes);
    }
    let hung = dir.run(&with(
        &["run"],
        &["--strategy=async", "--fail-hang=60%", "--fail-body=50%"],
    ));
    hung.assert_refused(&["--fail-body: the shares of failing calls add up to 1.1; at most 1 is possible"]);
    dir.assert_nothing_left();
}

#[test]
fn a_plan_is_read_from_standard_input_and_kept() {
    let dir = RunDir::new();
    let mut child = dir
        .command(&["run", "-", "--retries=1", "--out", "o"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let plan = format!("\u{feff}{}", tiny("async").replace('\n', "\r\n"));
    child.stdin.take().unwrap().write_all(plan.as_bytes()).unwrap();
    let ended = Ended::of(&child.wait_with_output().unwrap());
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let settings = &dir.outcomes("o")[0].trial.settings;
    assert_eq!(
        (settings.retries, settings.window),
        (1, Duration::from_millis(500))
    );
    let again = Plan::parse(&kept(&dir, "o"), "plan.yaml").unwrap();
    assert_eq!(&again.trials()[0].settings, settings);

    let refused = dir.command(&["predict", "-"]).output().unwrap();
    Ended::of(&refused).assert_refused(&["stdin:1: the plan is empty"]);
    dir.assert_nothing_left();
}

#[test]
fn a_plan_of_ones_own_in_the_folder_stays() {
    let dir = RunDir::new();
    fs::create_dir(dir.path("o")).unwrap();
    fs::write(dir.path("o/plan.yaml"), "mine").unwrap();
    dir.run(&with(&["run"], &["--strategy=async"])).assert_refused(&[
        "--out",
        "o/plan.yaml",
        "was not made by a run",
        "choose another folder",
    ]);
    assert_eq!(kept(&dir, "o"), "mine");
    let files: Vec<_> = fs::read_dir(dir.path("o")).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    dir.assert_nothing_left();
}

#[test]
fn flags_that_cannot_be_are_refused_by_name() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let plan = text(&plan);
    for (args, words) in [
        (
            vec!["run"],
            vec![
                "--strategy, --rpu and --io-delay are missing",
                "give a plan's file",
            ],
        ),
        (
            vec!["predict", "--rpu", "1"],
            vec!["--strategy and --io-delay are missing"],
        ),
        (
            vec!["run", plan, "--window", "1s"],
            vec!["--window: the plan gives it on line 3", "leave the flag out"],
        ),
        (
            vec!["run", plan, "--strategy", "sequential"],
            vec!["--strategy: the plan gives it on line 9"],
        ),
        (
            vec!["predict", plan, "--retries", "1,1"],
            vec!["--retries: is the same level"],
        ),
        (
            vec!["predict", plan, "--timeout", "soon"],
            vec!["--timeout: `soon` is not a duration"],
        ),
        (
            vec!["predict", plan, "--start-rule", "atClose"],
            vec!["--start-rule", "did you mean `at-close`?"],
        ),
        (vec!["predict", "/dev/zero"], vec!["/dev/zero", "longer than"]),
    ] {
        dir.run(&args).assert_refused(&words);
    }
    let misspelt = dir.run(&["run", plan, "--retrys", "1"]);
    assert_eq!(misspelt.status, Some(2), "{misspelt:?}");
    assert!(misspelt.stderr.contains("'--retries'"), "{misspelt:?}");
    assert!(
        !dir.path("out").exists() && !dir.path("o").exists(),
        "nothing was started"
    );
}

#[test]
fn options_without_an_effect_are_refused() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let plan = text(&plan);
    for option in ["--image", "--namespace", "--context", "--base", "--job"] {
        dir.run(&["run", plan, option, "x"])
            .assert_refused(&[&format!("{option}: has an effect with --engine cluster only")]);
    }
    dir.run(&["run", plan, "--engine", "cluster", "--udf-command", "x"])
        .assert_refused(&["--udf-command: has an effect with --engine local only"]);
    for (args, flag) in [
        (
            vec!["run", plan, "--udf-command", " "],
            "'--udf-command <COMMAND>': must be a command",
        ),
        (vec!["run", plan, "--out", ""], "'--out <DIR>'"),
        (vec!["collect", "--job", "", "--out", "o"], "'--job <NAME>'"),
        (vec!["clean", "--namespace", ""], "'--namespace <NAME>'"),
        (vec!["predict", plan, "--key-time", "1ms"], "--scale <RATE>"),
        (
            vec!["predict", plan, "--scale", "0"],
            "must be a whole number of at least 1, not `0`",
        ),
    ] {
        let ended = dir.run(&args);
        assert_eq!(ended.status, Some(2), "{ended:?}");
        assert!(
            ended.stderr.contains(flag) && ended.stderr.ends_with('\n'),
            "{ended:?}"
        );
    }
    for (name, text, words) in [
        (
            "none",
            None,
            ["KUBECONFIG: there is no kubeconfig at `none`", "with --context"],
        ),
        (
            "empty",
            Some("apiVersion: v1\nkind: Config\n"),
            ["--context: the kubeconfig has no current context", "get-contexts"],
        ),
    ] {
        if let Some(text) = text {
            fs::write(dir.path(name), text).unwrap();
        }
        let mut command = dir.command(&["run", plan, "--engine", "cluster"]);
        let ended = Ended::of(&command.env("KUBECONFIG", name).output().unwrap());
        ended.assert_refused(&words);
        assert!(!ended.stderr.contains("'\""), "nothing quoted twice: {ended:?}");
        let mut command = dir.command(&["clean", "--context", "moon"]);
        let ended = Ended::of(&command.env("KUBECONFIG", name).output().unwrap());
        ended.assert_refused(&[if text.is_some() {
            "no context `moon`"
        } else {
            "no kubeconfig at `none`"
        }]);
    }
    let url = dir.run(&["run", plan, "--endpoint-url", "foo"]);
    assert!(url.status == Some(2) && url.stderr.ends_with('\n'), "{url:?}");
    // For another program in the same environment.
    let named = dir
        .command(&["predict", plan])
        .env("NAMESPACE", "x")
        .output()
        .unwrap();
    assert_eq!(named.status.code(), Some(0), "{named:?}");
    assert!(!dir.path("out").exists(), "nothing was started");
}

/// The flags of a program that take a value which is no free text, from its help.
fn checked_flags(program: &str, command: &[&str]) -> Vec<String> {
    let free = [
        "PATH",
        "DIR",
        "FILE",
        "COMMAND",
        "NAME",
        "IMAGE",
        "URL",
        "SUBSTRING",
        "ENDPOINT_URL",
        "TEXT",
        "TYPE",
        "NAME: VALUE",
        "NAME: TEMPLATE",
    ];
    let help = Command::new(binary(program))
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flag = |line: &str| {
        let (flag, value) = line
            .trim_start()
            .rsplit_once("--")?
            .1
            .split_once([' ', '=', '['])?;
        let value = value.trim_start_matches(['[', '=', '<']).split('>').next()?;
        (line.contains('<') && !free.contains(&value)).then(|| format!("--{flag}"))
    };
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    lines.filter_map(flag).collect()
}

/// A kind of fault: what the parser of a number says of it is not for people.
#[test]
fn no_value_is_refused_in_the_words_of_a_parser() {
    let mut tried = 0;
    for (program, command) in [
        ("endpoint", &[][..]),
        ("generator", &[]),
        ("sink", &[]),
        ("udf", &[]),
        ("experiment", &["run"]),
        ("experiment", &["predict"]),
        ("experiment", &["verify", "--sink-metrics", "http://localhost"]),
    ] {
        for flag in checked_flags(program, command) {
            for value in ["snow", "-1", "1e999", ""] {
                let mut run = Command::new(binary(program));
                let output = run.args(command).arg(format!("{flag}={value}")).output().unwrap();
                let stderr = String::from_utf8(output.stderr).unwrap();
                assert_eq!(
                    output.status.code(),
                    Some(2),
                    "{program} {flag}={value}: {stderr}"
                );
                for word in [
                    "non-zero",
                    "invalid digit",
                    "parse integer",
                    "is not in",
                    "invalid float",
                ] {
                    assert!(!stderr.contains(word), "{program} {flag}={value}: {stderr}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn predict_says_what_a_distribution_of_delays_is_like() {
    let dir = RunDir::new();
    let args = [
        "predict",
        "--strategy",
        "async",
        "--rpu",
        "300",
        "--window",
        "2s",
        "--io-delay",
    ];
    let said = |delay: &str| dir.run(&[&args[..], &[delay]].concat());
    let ended = said("lognormal(50=80ms,99=400ms)");
    let line = "lognormal(50=80ms,99=400ms): mean 102 ms, p50 80.0 ms, p99 400 ms\n";
    assert!(
        ended.status == Some(0) && ended.stdout.ends_with(line),
        "{ended:?}"
    );
    assert!(!said("80ms").stdout.contains(": mean "));
    said("lognormal(99=80ms,50=400ms)")
        .assert_refused(&["--io-delay: `lognormal(99=80ms,50=400ms)`", "rise"]);
}
