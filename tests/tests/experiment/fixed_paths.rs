//! UDFs that serve on paths of their own, as the official examples do: `--udf-socket` and `--udf-server-info`.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use tests::binary;
use trials::outcome::TrialEnd;

use super::run_dir::{Ended, RunDir, text, tiny};

const INFO: &str = r#"{"protocol":"uds","language":"rust"}U+005C__END__"#;

/// A run whose UDF has its paths in the folder `numaflow`.
struct Fixed {
    dir: RunDir,
    folder: PathBuf,
}

impl Fixed {
    fn new() -> Self {
        let dir = RunDir::new();
        // It calls no endpoint.
        dir.plan(&(tiny("async, thread-pool") + "calls: none\n"));
        let folder = dir.path("numaflow");
        fs::create_dir(&folder).unwrap();
        Self { dir, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("reduce.sock")
    }

    fn server_info(&self) -> PathBuf {
        self.folder.join("reducer-server-info")
    }

    fn counter(&self) -> String {
        let program = binary("examples/fixed_paths");
        format!("exec {} {}", text(&program), text(&self.folder))
    }

    fn run(&self, udf: &str, more: &[&str]) -> Ended {
        self.run_at(udf, &self.socket(), &self.server_info(), more)
    }

    fn run_at(&self, udf: &str, socket: &Path, server_info: &Path, more: &[&str]) -> Ended {
        let args = ["run", "plan.yaml", "--out", "o", "--udf-command", udf];
        let place = [
            "--udf-socket",
            text(socket),
            "--udf-server-info",
            text(server_info),
        ];
        self.dir.run(&[&args[..], &place, more].concat())
    }

    fn assert_nothing_left(&self) {
        let left: Vec<_> = fs::read_dir(&self.folder).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        self.dir.assert_nothing_left();
    }

    fn leave_stale_files(&self) {
        // Its file stays when it is closed.
        drop(UnixListener::bind(self.socket()).unwrap());
        fs::write(self.server_info(), INFO).unwrap();
    }
}

#[test]
fn an_official_example_runs_unchanged_trial_after_trial() {
    let fixed = Fixed::new();
    fixed.leave_stale_files();
    let ended = fixed.run(&fixed.counter(), &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcomes = fixed.dir.outcomes("o");
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        // It makes no records: the trial is timed from outside.
        assert_eq!((&outcome.end, &outcome.ledger), (&TrialEnd::Completed, &None));
        for window in &outcome.windows {
            let measured = window.measured.as_ref().unwrap();
            assert_eq!((measured.keys, measured.events), (2, 20));
        }
    }
    fixed.assert_nothing_left();
}

#[test]
fn a_stale_socket_is_not_taken_for_a_udf_that_is_ready() {
    let fixed = Fixed::new();
    fixed.leave_stale_files();
    let ended = fixed.run("exec cat", &["--patience", "1s"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    for outcome in fixed.dir.outcomes("o") {
        let TrialEnd::Failed { reason } = outcome.end else {
            panic!("{ended:?}")
        };
        for word in [
            "--udf-server-info",
            "no server-info file to `",
            "within 1s",
            "--udf-socket",
        ] {
            assert!(reason.contains(word), "{reason}");
        }
    }
    fixed.assert_nothing_left();
}

#[test]
fn a_udf_that_serves_there_already_is_not_measured_by_mistake() {
    let fixed = Fixed::new();
    let other = UnixListener::bind(fixed.socket()).unwrap();
    fs::write(fixed.server_info(), INFO).unwrap();
    let refused = fixed.run(&fixed.counter(), &[]);
    refused.assert_refused(&["--udf-socket: another process serves on `", "end it first"]);
    assert!(!fixed.dir.path("o/journal.jsonl").exists());
    assert!(
        fixed.socket().exists() && fixed.server_info().exists(),
        "they are its own"
    );
    drop(other);
    fs::remove_file(fixed.socket()).unwrap();
    fs::remove_file(fixed.server_info()).unwrap();
    fixed.assert_nothing_left();
}

#[test]
fn places_where_no_udf_can_serve_are_refused_in_a_sentence() {
    let fixed = Fixed::new();
    let (socket, server_info) = (fixed.socket(), fixed.server_info());
    let udf = fixed.counter();
    let absent = fixed.folder.join("absent");
    fixed
        .run_at(&udf, &absent.join("reduce.sock"), &server_info, &[])
        .assert_refused(&["--udf-socket: the folder `", "absent` is not there: create it"]);
    fixed
        .run_at(&udf, &socket, Path::new("/proc/reducer-server-info"), &[])
        .assert_refused(&["--udf-server-info: cannot create a file in `/proc`"]);
    let plan = fixed.dir.path("plan.yaml");
    let before = fs::read(&plan).unwrap();
    fixed.run_at(&udf, &socket, &plan, &[]).assert_refused(&[
        "--udf-server-info: `",
        "plan.yaml` is there and is no server-info file",
    ]);
    assert_eq!(fs::read(&plan).unwrap(), before);
    for (flags, word) in [
        (
            &["--udf-socket", "s", "--udf-command", "cat"][..],
            "--udf-server-info",
        ),
        (
            &["--udf-server-info", "i", "--udf-command", "cat"],
            "--udf-socket",
        ),
        (&["--udf-server-info", "i", "--udf-socket", "s"], "--udf-command"),
    ] {
        let ended = fixed
            .dir
            .run(&[&["run", "plan.yaml", "--out", "o"], flags].concat());
        assert_eq!(ended.status, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(word), "{word}: {ended:?}");
    }
    fixed.assert_nothing_left();
}

#[test]
fn two_udfs_on_the_same_paths_are_compared() {
    let fixed = Fixed::new();
    fixed.leave_stale_files();
    let udf = fixed.counter();
    let (socket, server_info) = (fixed.socket(), fixed.server_info());
    let place = [
        "--udf-socket",
        text(&socket),
        "--udf-server-info",
        text(&server_info),
    ];
    let both = ["--udf-command", &udf, "--udf-command", &udf];
    let metric = ["--metric", "result_lag", "--rounds", "1", "--out", "o"];
    let args = [&["compare", "plan.yaml"][..], &both, &place, &metric].concat();
    let ended = fixed.dir.run(&args);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    for side in ["o/first", "o/second"] {
        let outcomes = fixed.dir.outcomes(side);
        assert_eq!(outcomes.len(), 2);
        for outcome in outcomes {
            assert_eq!((&outcome.end, &outcome.ledger), (&TrialEnd::Completed, &None));
            assert_eq!(outcome.windows[0].measured.as_ref().unwrap().events, 20);
        }
    }
    let other = UnixListener::bind(&socket).unwrap();
    let refused = fixed.dir.run(&[&args[..], &["--resume"]].concat());
    refused.assert_refused(&["--udf-socket: another process serves on `", "end it first"]);
    drop(other);
    fs::remove_file(&socket).unwrap();
    let folders = [&["compare", "o/first", "o/second"][..], &both, &place].concat();
    let refused = fixed.dir.run(&folders);
    refused.assert_refused(&["has an effect with a plan only"]);
    fixed.assert_nothing_left();
}
