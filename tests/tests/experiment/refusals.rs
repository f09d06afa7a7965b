//! What is refused before anything starts, with one clear line.

use std::fs;

use super::place::{Ended, Place, text, tiny};

#[test]
fn bad_plans_are_refused_by_field() {
    let place = Place::new();
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
        let plan = place.plan(&text_of_plan);
        place
            .run(&["run", text(&plan), "--out", "o"])
            .assert_refused(&["plan.yaml", field]);
        place
            .run(&["predict", text(&plan)])
            .assert_refused(&["plan.yaml", field]);
    }
    assert!(!place.path("o").exists(), "nothing was started");
}

#[test]
fn wrong_use_is_refused_with_one_line() {
    let place = Place::new();
    let plan = place.plan(&tiny("async"));
    let plan = text(&plan);
    place.run(&["run", "none.yaml"]).assert_refused(&["none.yaml"]);
    place
        .run(&["run", plan, "--only", "nothing-like-it"])
        .assert_refused(&["--only", "nothing-like-it"]);
    fs::write(place.path("file"), "").unwrap();
    place
        .run(&["run", plan, "--out", "file/below"])
        .assert_refused(&["--out", "file/below"]);
    place
        .run(&["run", plan, "--out", "/proc/out"])
        .assert_refused(&["--out", "/proc/out"]);
    place
        .run(&["report", "empty"])
        .assert_refused(&["empty", "journal"]);
    let engine = place.run(&["run", plan, "--engine", "moon"]);
    assert!(
        engine.status == Some(2) && engine.stderr.contains("--engine"),
        "{engine:?}"
    );
    let patience = place.run(&["run", plan, "--patience", "1sec"]);
    assert!(
        patience.status == Some(2) && patience.stderr.contains("--patience"),
        "{patience:?}"
    );

    let long = place.path(&"x".repeat(100));
    fs::create_dir(&long).unwrap();
    let output = place
        .command(&["run", plan])
        .env("TMPDIR", &long)
        .output()
        .unwrap();
    Ended::of(&output).assert_refused(&["TMPDIR", "too long"]);
    assert!(!place.path("out").exists(), "nothing was started");
}
