//! The experiment as anyone runs it: a plan goes in; journal, report, exit status and one clear line come out, and
//! nothing stays behind. Windows are of half a second, so that a trial takes two.

// The lint's exception for tests does not reach the functions they share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use experiment::journal::{self, JournalLine};
use experiment::outcome::{TrialEnd, TrialOutcome};
use tests::binary;

/// A folder for one test: plans, results, and a folder for temporary files that must be empty in the end.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("t").tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plan(&self, text: &str) -> PathBuf {
        let path = self.path("plan.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("experiment"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("TMPDIR", self.path("tmp"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    /// Starts a run and returns it with its progress, line by line.
    fn start(&self, args: &[&str]) -> (Child, std::io::Lines<BufReader<ChildStderr>>) {
        let mut child = self.command(args).stdout(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        (child, lines)
    }

    fn outcomes(&self, out: &str) -> Vec<TrialOutcome> {
        let lines = journal::read(&self.path(out)).unwrap();
        let outcomes = lines.into_iter().filter_map(|line| match line {
            JournalLine::Trial(outcome) => Some(*outcome),
            JournalLine::Run(_) => None,
        });
        outcomes.collect()
    }

    /// Nothing that was started for this test runs any more. Killed processes need a moment to go; a process that
    /// sees its standard input end has the five seconds that the experiment itself would give it.
    fn assert_nothing_runs(&self) {
        wait_until(|| processes_with(&self.mark()).is_empty());
    }

    /// What the environment of every process has that was started for this test.
    fn mark(&self) -> String {
        format!("TMPDIR={}\0", self.path("tmp").display())
    }

    fn assert_nothing_left(&self) {
        self.assert_nothing_runs();
        let files: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().collect();
        assert!(files.is_empty(), "{files:?}");
    }
}

/// What came of a command.
#[derive(Debug)]
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Wrong use ends with 2 and a single line that contains all of `words`.
    fn assert_refused(&self, words: &[&str]) {
        assert_eq!(self.status, Some(2), "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{self:?}");
        for word in words {
            assert!(lines[0].contains(word), "`{word}` is not in: {}", lines[0]);
        }
    }
}

/// Command lines of the processes whose environment contains the mark.
fn processes_with(mark: &str) -> Vec<String> {
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let folder = entry.ok()?.path();
        let environment = fs::read(folder.join("environ")).ok()?;
        let found = String::from_utf8_lossy(&environment).contains(mark);
        found.then(|| {
            fs::read_to_string(folder.join("cmdline"))
                .unwrap_or_default()
                .replace('\0', " ")
        })
    };
    fs::read_dir("/proc").unwrap().filter_map(of).collect()
}

/// Looks until it is so, for eight seconds at most.
fn wait_until(so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(8);
    while !so() {
        assert!(Instant::now() < deadline, "not so after eight seconds");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status()
        .unwrap();
    assert!(sent.success());
}

fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, words: &str) -> String {
    lines
        .map(Result::unwrap)
        .find(|line| line.contains(words))
        .unwrap_or_else(|| panic!("no line with `{words}`"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One warm-up window and one that is measured, of 20 events each; axes are added by the test.
const TINY: &str = "
name: tiny
window: 500ms
read_timeout: 50ms
warmup: 1
windows: 1
cut_off: 10s
fixed: {rpu: 40, keys: 2, io_delay: 10ms, max_workers: 50}
";

fn tiny(strategies: &str) -> String {
    format!("{TINY}axes: {{strategy: [{strategies}]}}\n")
}

#[test]
fn a_plan_becomes_records_a_balanced_ledger_and_a_report() {
    let place = Place::new();
    let plan = place.plan(&tiny("async, process-pool").replace("windows: 1", "windows: 2"));
    let ended = place.run(&["run", text(&plan)]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("report.html"), "{ended:?}");
    for file in ["report.html", "windows.csv", "summary.csv", "summary.md"] {
        assert!(
            fs::metadata(place.path("out/tiny").join(file)).unwrap().len() > 100,
            "{file}"
        );
    }

    let outcomes = place.outcomes("out/tiny");
    assert_eq!(outcomes.len(), 2);
    for outcome in &outcomes {
        assert_eq!(outcome.end, TrialEnd::Completed);
        let ledger = outcome.ledger.as_ref().unwrap();
        assert!(ledger.balances(), "{ledger:?}");
        assert_eq!(
            (ledger.late, ledger.failed, ledger.lost, ledger.repeated),
            (0, 0, 0, 0),
            "{ledger:?}"
        );
        assert!(
            (60..=80).contains(&ledger.ok),
            "three windows of 20, perhaps the one after them: {ledger:?}"
        );

        let starts: Vec<u64> = outcome
            .windows
            .iter()
            .map(|window| window.window_start_ms)
            .collect();
        assert_eq!(starts[0] % 500, 0, "a trial begins on a window boundary");
        assert_eq!(starts, [starts[0], starts[0] + 500, starts[0] + 1_000]);
        let warmup: Vec<bool> = outcome.windows.iter().map(|window| window.warmup).collect();
        assert_eq!(warmup, [true, false, false]);
        for window in &outcome.windows {
            let measured = window.measured.as_ref().unwrap();
            assert_eq!(
                (measured.keys, measured.events, measured.ok, measured.failed),
                (2, 20, 20, 0)
            );
            assert!(
                measured.execution_time_us > 400_000,
                "it contains the window's filling: {measured:?}"
            );
            assert!(
                measured.close_tail_us < measured.execution_time_us,
                "{measured:?}"
            );
            assert!(
                measured.stream_tail_us.unwrap() < measured.execution_time_us,
                "{measured:?}"
            );
            assert!(measured.result_lag_us > 0, "{measured:?}");
        }
        assert_eq!(
            outcome.latency.count(),
            40,
            "the measured windows' calls, not those of the warm-up"
        );
        assert!(outcome.latency.quantile(0.0).unwrap() >= Duration::from_millis(10));
        assert_eq!(outcome.slot_wait.count(), 40);
        let instruments = outcome.instruments.as_ref().unwrap();
        assert!(instruments.endpoint_served >= 60, "{instruments:?}");
        assert_eq!(instruments.endpoint_repeats, 0);
        let cost = outcome.cost.as_ref().unwrap();
        assert!(
            cost.calls >= 60 && cost.peak_memory_bytes > 1_000_000 && cost.peak_threads > 1,
            "{cost:?}"
        );
    }
    let threads = |index: usize| outcomes[index].cost.as_ref().unwrap().peak_threads;
    assert!(
        threads(1) >= 50,
        "the pool's children are counted: {}",
        threads(1)
    );

    let again = place.run(&["report", "out/tiny"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    assert_eq!(
        again.stdout, ended.stdout,
        "the report is drawn from the journal alone"
    );
    place.assert_nothing_left();
}

#[test]
fn a_killed_run_is_resumed_without_repeating_or_losing_a_trial() {
    let place = Place::new();
    let plan = place.plan(&tiny("async, thread-pool"));
    let (mut child, mut lines) = place.start(&["run", text(&plan), "--out", "o"]);
    wait_for(&mut lines, "trial 2/2");
    let other = place.run(&["run", text(&plan), "--out", "o", "--resume"]);
    other.assert_refused(&["--out", "another run"]);
    child.kill().unwrap();
    child.wait().unwrap();
    place.assert_nothing_runs();
    let first = place.outcomes("o");
    assert_eq!(first.len(), 1);

    // As if the kill had come while a line was being written.
    let journal = place.path("o/journal.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    bytes.extend_from_slice(br#"{"line":"trial","trial":{"id""#);
    fs::write(&journal, bytes).unwrap();
    place
        .run(&["run", text(&plan), "--out", "o"])
        .assert_refused(&["--out", "--resume"]);

    let resumed = place.run(&["run", text(&plan), "--out", "o", "--resume"]);
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    assert!(
        resumed.stderr.contains("trial 1/1"),
        "only the second trial is run: {resumed:?}"
    );
    let outcomes = place.outcomes("o");
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0], first[0]);
    assert_ne!(outcomes[1].trial.id, outcomes[0].trial.id);
    assert_eq!(outcomes[1].end, TrialEnd::Completed);

    let nothing = place.run(&["run", text(&plan), "--out", "o", "--resume"]);
    assert_eq!(nothing.status, Some(0), "{nothing:?}");
    assert_eq!(place.outcomes("o").len(), 2, "nothing was left to run");
}

#[test]
fn a_trial_that_cannot_keep_up_is_cut_off_and_its_windows_censored() {
    let place = Place::new();
    // Twenty calls of 250 ms one after another need five seconds for a window of half a second.
    let plan = "
name: overload
window: 500ms
read_timeout: 50ms
warmup: 0
windows: 2
cut_off: 1s
fixed: {rpu: 40, keys: 1, io_delay: 250ms, strategy: sequential, start_rule: at-arrival}
";
    let plan = place.plan(plan);
    let ended = place.run(&["run", text(&plan), "--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcomes = place.outcomes("o");
    assert_eq!(outcomes[0].end, TrialEnd::CutOff);
    assert_eq!(outcomes[0].windows.len(), 2);
    assert!(outcomes[0].windows.iter().all(|window| window.measured.is_none()));
    let ledger = outcomes[0].ledger.as_ref().unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!((ledger.ok, ledger.lost, ledger.late), (0, 0, 0), "{ledger:?}");
    assert!(ledger.open >= 40, "all that was sent: {ledger:?}");
    assert!(outcomes[0].cost.is_some());
    place.assert_nothing_left();
}

#[test]
fn failures_of_the_endpoint_are_data() {
    let place = Place::new();
    let plan = place.plan(&tiny("async").replace("max_workers: 50", "max_workers: 50, fail_status: 1"));
    let ended = place.run(&["run", text(&plan), "--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let ledger = place.outcomes("o").remove(0).ledger.unwrap();
    assert!(
        ledger.balances() && ledger.ok == 0 && ledger.failed >= 40,
        "{ledger:?}"
    );
}

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
        (String::new(), "plan"),
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

#[test]
fn a_udf_that_dies_fails_its_trial_and_says_how() {
    let place = Place::new();
    let plan = place.plan(&tiny("async"));
    let udf = "echo 'no such module' >&2; exit 7";
    let ended = place.run(&["run", text(&plan), "--out", "o", "--udf-command", udf]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.contains("1 of 1 trials failed"), "{ended:?}");
    let TrialEnd::Failed { reason } = place.outcomes("o").remove(0).end else {
        panic!("{ended:?}")
    };
    for word in ["udf", "exit status: 7", "no such module"] {
        assert!(reason.contains(word), "{reason}");
    }
    assert!(!reason.contains('\n'));
    assert!(place.path("o/report.html").exists());

    // A failed trial is run again; its plan is another's no longer than its journal.
    let udf = text(&binary("udf")).to_owned();
    let resumed = place.run(&[
        "run",
        text(&plan),
        "--out",
        "o",
        "--resume",
        "--udf-command",
        &udf,
    ]);
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    assert_eq!(place.outcomes("o").len(), 2);
    let other = place.plan(&tiny("thread-pool"));
    place
        .run(&["run", text(&other), "--out", "o", "--resume"])
        .assert_refused(&["--out", "another plan"]);
    place.assert_nothing_left();
}

#[test]
fn a_udf_that_is_killed_while_it_works_fails_its_trial() {
    let place = Place::new();
    let plan = place.plan(&tiny("async").replace("windows: 1", "windows: 40"));
    // The shell takes it down once it has been called; its input is handed on, because a shell in the background has none.
    let udf = format!(
        "exec 3<&0; {} <&3 & read line < {}; kill -9 $!; exit 9",
        text(&binary("udf")),
        text(&place.path("now"))
    );
    assert!(
        Command::new("mkfifo")
            .arg(place.path("now"))
            .status()
            .unwrap()
            .success()
    );
    let (mut child, mut lines) = place.start(&["run", text(&plan), "--out", "o", "--udf-command", &udf]);
    wait_for(&mut lines, "trial 1/1");
    wait_until(|| {
        processes_with(&place.mark())
            .iter()
            .any(|line| line.contains("--stats-listen"))
    });
    fs::write(place.path("now"), "\n").unwrap();
    wait_for(&mut lines, "FAILED: udf ended unexpectedly (exit status: 9)");
    assert!(
        lines
            .map(Result::unwrap)
            .any(|line| line.contains("1 of 1 trials failed"))
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
    place.assert_nothing_left();
}

#[test]
fn a_udf_that_is_never_ready_fails_its_trial() {
    let place = Place::new();
    let plan = place.plan(&tiny("async"));
    let args = [
        "run",
        text(&plan),
        "--out",
        "o",
        "--patience",
        "1s",
        "--udf-command",
        "exec cat",
    ];
    let ended = place.run(&args);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let TrialEnd::Failed { reason } = place.outcomes("o").remove(0).end else {
        panic!("{ended:?}")
    };
    assert!(reason.contains("reduce") && reason.contains("1s"), "{reason}");
    place.assert_nothing_left();
}

#[test]
fn results_that_are_no_records_are_timed_from_outside() {
    let place = Place::new();
    let plan = place.plan(&tiny("async"));
    let udf = format!("{} --result-format text", text(&binary("udf")));
    let ended = place.run(&["run", text(&plan), "--out", "o", "--udf-command", &udf]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcome = place.outcomes("o").remove(0);
    assert_eq!((&outcome.end, &outcome.ledger), (&TrialEnd::Completed, &None));
    for window in &outcome.windows {
        let measured = window.measured.as_ref().unwrap();
        assert_eq!((measured.keys, measured.events), (2, 20));
        assert_eq!(Some(measured.close_tail_us), measured.stream_tail_us);
        assert!(measured.execution_time_us >= 500_000, "{measured:?}");
    }
    place.assert_nothing_left();
}

#[test]
fn one_interruption_keeps_what_there_is_and_leaves_nothing_running() {
    let place = Place::new();
    let plan = place.plan(&tiny("async, thread-pool"));
    let (mut child, mut lines) = place.start(&["run", text(&plan), "--out", "o"]);
    wait_for(&mut lines, "trial 2/2");
    signal(&child, "INT");
    let last = lines.map(Result::unwrap).last().unwrap();
    assert!(
        last.contains("interrupted") && last.contains("1 trials are missing") && last.contains("--resume"),
        "{last}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(place.outcomes("o").len(), 1);
    assert!(place.path("o/report.html").exists());
    place.assert_nothing_left();
}

#[test]
fn a_second_interruption_stops_at_once() {
    let place = Place::new();
    let plan = place.plan(&tiny("async"));
    let (mut child, mut lines) = place.start(&["run", text(&plan), "--out", "o"]);
    wait_for(&mut lines, "trial 1/1");
    signal(&child, "INT");
    signal(&child, "TERM");
    let code = child.wait().unwrap().code();
    assert!(
        matches!(code, Some(130 | 1)),
        "130, or 1 where there was nothing left to stop: {code:?}"
    );
    assert_eq!(place.outcomes("o").len(), 0);
    place.assert_nothing_runs();
}

#[test]
fn a_journal_that_cannot_be_written_stops_the_run_intact() {
    let place = Place::new();
    let plan = place.plan(&tiny("async"));
    // A limit on the size of files stands for a full disk: room for the first line, not for the outcome's.
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec {} run {} --out o",
        text(&binary("experiment")),
        text(&plan)
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.folder.path())
        .env("TMPDIR", place.path("tmp"))
        .output()
        .unwrap();
    let ended = Ended::of(&output);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    assert!(
        last.contains("cannot write") && last.contains("journal.jsonl"),
        "{ended:?}"
    );
    let lines = journal::read(&place.path("o")).unwrap();
    assert!(matches!(lines.as_slice(), [JournalLine::Run(_)]), "{lines:?}");
    assert!(
        fs::read(place.path("o/journal.jsonl")).unwrap().ends_with(b"\n"),
        "no half line"
    );
    place.assert_nothing_left();
}

#[test]
fn predictions_help_and_completions_need_no_run() {
    let place = Place::new();
    let plan = place.plan(&tiny("async, thread-pool"));
    let predicted = place.run(&["predict", text(&plan)]);
    assert_eq!(predicted.status, Some(0), "{predicted:?}");
    assert_eq!(predicted.stdout.lines().count(), 3, "{predicted:?}");
    assert!(predicted.stdout.contains("keeps up"), "{predicted:?}");
    for (args, word) in [
        (&["--help"][..], "Examples"),
        (&["run", "--help"], "--udf-command"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["completions", "bash"], "--resume"),
    ] {
        let ended = place.run(args);
        assert!(
            ended.status == Some(0) && ended.stdout.contains(word),
            "{ended:?}"
        );
    }
    assert!(!place.path("out").exists());
}
