//! What is refused with one clear line before anything starts.

use std::fs;

use super::run_dir::{Ended, RunDir, text, tiny};

#[test]
fn bad_plans_are_refused_by_field() {
    let dir = RunDir::new();
    let fixed =
        |setting: &str| format!("name: bad\nwindow: 1s\nfixed:\n  rpu: 5\n  strategy: async\n  {setting}\n");
    let bad = [
        (fixed("start_rule: sometimes"), "start_rule"),
        (fixed("io_delay: 1sec"), "io_delay"),
        (fixed("io_delay: -1s"), "io_delay"),
        (fixed("io_delay: 1e99s"), "io_delay"),
        (fixed("max_workers: 0"), "max_workers"),
        (fixed("keys: 0"), "keys"),
        (fixed("colour: red"), "colour"),
        ("name: bad\nfixed: {strategy: fast}\n".to_owned(), "strategy"),
        ("name: bad\nfixed: {rpu: 0}\n".to_owned(), "rpu"),
        ("name: bad\nfixed: {rpu: -1}\n".to_owned(), "rpu"),
        ("name: bad\nfixed: {rpu: 1000000000000}\n".to_owned(), "rpu"),
        ("name: bad\nspeed: 1\n".to_owned(), "speed"),
        ("name: bad\naxes:\n  rpu: [1, 2]\n  rpu: [3]\n".to_owned(), "rpu"),
        ("name: bad\naxes: {rpu: []}\n".to_owned(), "rpu"),
        ("name: bad\nwindows: 0\n".to_owned(), "windows"),
        ("windows: 1\n".to_owned(), "name"),
        (String::new(), "plan.yaml:1: the plan is empty"),
        ("\n# later\n".to_owned(), "plan.yaml:1: the plan is empty"),
        ("name: [\n".to_owned(), "plan.yaml"),
    ];
    for (text_of_plan, field) in bad {
        let plan = dir.plan(&text_of_plan);
        dir.run(&["run", text(&plan), "--out", "o"])
            .assert_refused(&["plan.yaml", field]);
        dir.run(&["predict", text(&plan)])
            .assert_refused(&["plan.yaml", field]);
    }
    assert!(!dir.path("o").exists(), "nothing was started");
}

#[test]
fn a_damaged_line_of_a_journal_is_named_once() {
    let dir = RunDir::new();
    let journal = dir.path("j/journal.jsonl");
    fs::create_dir(dir.path("j")).unwrap();
    for (text_of_journal, line) in [("{rubbish\n", 1), ("{\"line\":\"trial\"}\n", 1)] {
        fs::write(&journal, text_of_journal).unwrap();
        let ended = dir.run(&["report", "j"]);
        assert_eq!(ended.status, Some(1), "{ended:?}");
        let said = format!("experiment: `j/journal.jsonl` line {line} is not a line of a journal: ");
        assert!(ended.stderr.starts_with(&said), "{ended:?}");
        assert!(
            ended.stderr.matches("line 1").count() == 1 && ended.stderr.matches(" at column ").count() <= 1,
            "{ended:?}"
        );
    }
}

#[test]
fn a_folder_with_somebodys_files_is_left_alone() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    for name in [
        "report.html",
        "summary.csv",
        "summary.md",
        "windows.csv",
        "close-tail.svg",
    ] {
        let folder = dir.path("mine");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), "mine").unwrap();
        dir.run(&["run", text(&plan), "--out", "mine"]).assert_refused(&[
            "--out",
            "`mine`",
            name,
            "choose another folder",
        ]);
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), "mine");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing was added");
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn wrong_use_is_refused_with_one_line() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let plan = text(&plan);
    dir.run(&["run", "none.yaml"]).assert_refused(&["none.yaml"]);
    dir.run(&["run", plan, "--only", "nothing-like-it"])
        .assert_refused(&["--only", "nothing-like-it"]);
    fs::write(dir.path("file"), "").unwrap();
    dir.run(&["run", plan, "--out", "file/below"])
        .assert_refused(&["--out", "file/below"]);
    dir.run(&["run", plan, "--out", "/proc/out"])
        .assert_refused(&["--out", "/proc/out"]);
    dir.run(&["report", "empty"])
        .assert_refused(&["empty", "journal"]);
    let engine = dir.run(&["run", plan, "--engine", "moon"]);
    assert!(
        engine.status == Some(2) && engine.stderr.contains("--engine"),
        "{engine:?}"
    );
    let patience = dir.run(&["run", plan, "--patience", "1sec"]);
    assert!(
        patience.status == Some(2) && patience.stderr.contains("--patience"),
        "{patience:?}"
    );

    let long = dir.path(&"x".repeat(100));
    fs::create_dir(&long).unwrap();
    let output = dir.command(&["run", plan]).env("TMPDIR", &long).output().unwrap();
    Ended::of(&output).assert_refused(&["TMPDIR", "too long"]);
    assert!(!dir.path("out").exists(), "nothing was started");
}
