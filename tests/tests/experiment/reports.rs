//! What a report shows: the setting that was varied, in the chart, the question and the advice.

use std::fs;

use super::run_dir::RunDir;

#[test]
fn a_plan_of_workers_is_asked_drawn_and_answered_by_workers() {
    let dir = RunDir::new();
    let plan = "name: workers\nwindow: 500ms\nread_timeout: 50ms\nwarmup: 0\nwindows: 3\ncut_off: 1s\n\
        fixed: {rpu: 40, io_delay: 20ms, strategy: thread-pool}\naxes:\n  max_workers: [2, 30]\n";
    let plan = dir.plan(plan);
    let ended = dir.run(&["run", plan.to_str().unwrap(), "--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let read = |name: &str| fs::read_to_string(dir.path("o").join(name)).unwrap();
    let (chart, page) = (read("close-tail.svg"), read("report.html"));
    for part in [
        ">Close tail against workers, RPU 40, delay 20 ms<",
        ">workers (logarithmic)<",
        ">2</text>",
        ">30</text>",
    ] {
        assert!(chart.contains(part) && page.contains(part), "{part}");
    }
    assert!(page.contains("change with the workers (2 or 30)?"));
    // 40 calls a second of 20.3 ms keep 0.812 workers busy.
    for load_factor in [",0.406,", ",0.0270667,"] {
        assert!(read("summary.csv").contains(load_factor), "{load_factor}");
    }
    let findings: Vec<&str> = ended.stdout.lines().filter(|line| line.ends_with('.')).collect();
    let advice = findings.last().unwrap();
    assert!(
        advice.starts_with("Use thread-pool at arrival with ")
            || advice.starts_with("There is nothing to advise: "),
        "{ended:?}"
    );
}

/// What a journal of an earlier version lacks is not recorded; the rest is drawn as ever.
#[test]
fn kept_journals_are_drawn_against_what_they_varied() {
    for (run, title) in [
        ("2026-11-23-classic", "Close tail against delay, RPU 100<"),
        ("2026-11-23-start-rules", "Close tail against delay, RPU 100<"),
        ("2026-11-24-original-cluster", "Close tail against delay, RPU 10<"),
        ("2026-11-24-original-local", "Close tail against delay, RPU 10<"),
    ] {
        let dir = RunDir::new();
        let results = concat!(env!("CARGO_MANIFEST_DIR"), "/../results");
        fs::create_dir(dir.path(run)).unwrap();
        let journal = format!("{results}/{run}/journal.jsonl");
        fs::copy(journal, dir.path(run).join("journal.jsonl")).unwrap();
        let ended = dir.run(&["report", run]);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let chart = fs::read_to_string(dir.path(run).join("close-tail.svg")).unwrap();
        assert!(chart.contains(title), "{run}");
        for legend in ["async · at-close<", "· at-arrival<"] {
            assert!(chart.contains(legend), "{run}: {legend}");
        }
    }
}
