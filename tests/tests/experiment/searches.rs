//! Searches over the real programs: a limit that the plan does not name, an objective, a budget, and a search continued.

use std::fs;

use serde_json::Value;

use super::own_endpoint::Own;
use super::run_dir::{Ended, RunDir, text};

/// Windows of a second; each call takes 50 ms.
const PLAN: &str = "
name: hidden
window: 1s
read_timeout: 50ms
fixed: {keys: 2, io_delay: 50ms, strategy: async, max_workers: 200}
";

fn search(dir: &RunDir, args: &[&str]) -> Ended {
    let plan = dir.plan(PLAN);
    dir.run(&[&["search", text(&plan), "--out", "o"], args].concat())
}

fn cell(dir: &RunDir) -> Value {
    let json: Value = serde_json::from_slice(&fs::read(dir.path("o/search.json")).unwrap()).unwrap();
    json["cells"][0].clone()
}

fn number(cell: &Value, name: &str) -> u64 {
    cell[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {cell}"))
}

#[test]
fn a_capacity_that_the_plan_does_not_name_is_bracketed() {
    // 4 calls at once of 50 ms: 80 a second. The plan's workers would do 4,000.
    let own = Own::start(&["--capacity", "4"]);
    let dir = RunDir::new();
    let url = format!("http://{}/", own.address);
    let ended = search(&dir, &["--endpoint-url", &url]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let cell = cell(&dir);
    let (low, high) = (number(&cell, "sustained"), number(&cell, "not_sustained"));
    // The limit and the growth that is tolerated, less what answering a call takes.
    assert!(low <= 82 && high >= 74 && low < high, "{cell}");
    assert!(number(&cell, "predicted") > 1_000, "{cell}");
    // On a busy machine the lag of such short windows may vary too much to decide the levels next to the limit.
    assert!(
        matches!(cell["found"].as_str(), Some("limit" | "undecided")),
        "{ended:?}"
    );
    assert_eq!(cell["limit"], "endpoint", "{ended:?}");
    assert_eq!(cell["is_of_the_machine"], true);
    assert!(ended.stdout.contains("the endpoint"), "{ended:?}");
    let chart = fs::read_to_string(dir.path("o/search.svg")).unwrap();
    assert!(chart.contains("class=\"whisker\"") && dir.path("o/report.html").exists());
    let trials = dir.outcomes("o").len() as u64;
    assert_eq!(trials, number(&cell, "trials"));

    // Everything is there: nothing is run again.
    let again = search(&dir, &["--endpoint-url", &url, "--resume"]);
    assert_eq!(
        (again.status, dir.outcomes("o").len() as u64),
        (Some(0), trials),
        "{again:?}"
    );
    assert_eq!(self::cell(&dir), cell);
    dir.assert_nothing_left();
}

#[test]
fn a_budget_ends_with_the_bracket_so_far_which_is_continued() {
    let dir = RunDir::new();
    // In longer windows the lag varies by a smaller part of them.
    let plan = PLAN.replace("window: 1s", "window: 2s");
    let search = |args: &[&str]| {
        let plan = dir.plan(&plan);
        let demand = [
            "search",
            text(&plan),
            "--out",
            "o",
            "--find",
            "demand",
            "--rpu",
            "64",
        ];
        dir.run(&[&demand[..], args].concat())
    };
    let first = search(&["--budget", "30s"]);
    assert_eq!(first.status, Some(0), "{first:?}");
    assert!(first.stderr.contains("the budget of 30 s is spent"), "{first:?}");
    let cell = cell(&dir);
    assert_eq!(cell["found"], "unfinished", "{cell}");
    let before = number(&cell, "trials");
    assert!(
        before >= 1 && first.stdout.contains("? unfinished after"),
        "{first:?}"
    );

    let ended = search(&["--resume"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let cell = self::cell(&dir);
    // 64 calls a second of 50 ms keep 3.2 workers busy.
    let (enough, few) = (number(&cell, "sustained"), number(&cell, "not_sustained"));
    assert!(enough == 4 && few == 3, "{cell}");
    assert!(number(&cell, "trials") > before, "{cell}");
    assert_eq!(cell["limit"], "strategy", "{ended:?}");
}

#[test]
fn an_objective_that_nothing_meets_fails_and_mistakes_are_refused() {
    let dir = RunDir::new();
    let ended = search(&dir, &["--objective", "latency p50 < 1ms"]);
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert!(
        ended
            .stderr
            .ends_with("experiment: 1 of 1 cells are sustained at no level: see the table\n"),
        "{ended:?}"
    );
    assert!(
        ended.stdout.contains("✗ not sustained at 1") && ended.stdout.contains("latency p50 < 1ms: "),
        "{ended:?}"
    );

    search(&dir, &[]).assert_refused(&["--out", "--resume"]);
    search(&dir, &["--objective", "close_tale < 1s"]).assert_refused(&["close_tail"]);
    search(&dir, &["--objective", "close_tail p50 < +10% vs o"])
        .assert_refused(&["a bound in place of the change"]);
}
