//! Children of a process pool that are killed, hang, write rubbish, exit, or cannot be started.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tests::children_of;
use tests::process::{runs, signal, until};
use tests::reduce::{PATIENCE, Udf, close_tail, count};
use tokio::process::Command;
use wire::Outcome;

use super::calls::{fragile, send, window};

const POOL: [&str; 4] = ["--strategy", "process-pool", "--max-workers", "3"];

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_leaves_or_writes_rubbish_fails_its_call_and_is_replaced() {
    for fault in ["exit", "rubbish"] {
        let mut udf = Udf::start_as(fragile(), &POOL).await;
        let before = children_of(udf.id());
        let records = window(&mut udf, 0, &["", "", fault, "", "", "", fault, "", ""]).await;
        assert_eq!(
            count(&records, Outcome::WorkerDied),
            2,
            "{fault}: {:?}",
            records[0].outcomes
        );
        assert_eq!(
            (count(&records, Outcome::Ok), records[0].events),
            (7, 9),
            "{fault}"
        );

        // A place is filled when a call needs it, and short calls may do with two of three.
        let mut after = Vec::new();
        for number in 1.. {
            let records = window(&mut udf, number, &[""; 9]).await;
            assert_eq!(
                count(&records, Outcome::Ok),
                9,
                "{fault}: the pool is whole again"
            );
            after = children_of(udf.id());
            if after.len() == 3 {
                break;
            }
            assert!(number < 100, "{fault}: {} children", after.len());
        }
        assert!(
            after.iter().any(|child| !before.contains(child)),
            "{fault}: replaced"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_children_always_leave_goes_on_with_pauses() {
    // At close, so that all of them die within the close tail.
    let flags = [&POOL[..], &["--start-rule", "at-close"]].concat();
    let mut udf = Udf::start_as(fragile(), &flags).await;
    let records = window(&mut udf, 0, &["exit"; 12]).await;
    assert_eq!(
        count(&records, Outcome::WorkerDied),
        12,
        "{:?}",
        records[0].outcomes
    );
    // Pauses of 10 ms double with each death, up to a second. With three workers, at least seven children have died
    // before the child for the tenth call is started, and seven doublings exceed a second.
    let tail = close_tail(&records);
    eprintln!("twelve children in succession: {tail:?}");
    assert!(tail > Duration::from_secs(1), "{tail:?}");
    let records = window(&mut udf, 1, &[""; 9]).await;
    assert_eq!(count(&records, Outcome::Ok), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_hangs_or_is_stopped_times_out_and_is_replaced() {
    // The attempt's timeout, and a second for the child's own answer. A busy machine may delay any one window, but
    // not each of three.
    let limit = Duration::from_secs(2 + 5);
    let (mut udf, mut shortest) = with_a_child_that_hangs().await;
    for _ in 1..3 {
        if shortest >= limit {
            let (again, tail) = with_a_child_that_hangs().await;
            (udf, shortest) = (again, shortest.min(tail));
        }
    }
    assert!(shortest < limit, "{shortest:?}");

    // A stopped child does not answer either.
    let mut stopped = children_of(udf.id());
    stopped.retain(|child| runs(*child));
    for child in &stopped {
        signal(*child, Signal::STOP);
    }
    let records = window(&mut udf, 1, &[""; 3]).await;
    assert_eq!(
        count(&records, Outcome::Timeout),
        stopped.len() as u64,
        "{:?}",
        records[0].outcomes
    );
    let records = window(&mut udf, 2, &[""; 9]).await;
    assert_eq!(count(&records, Outcome::Ok), 9, "the pool is whole again");
}

/// A pool with a timeout of a second, after a window in which one of its children hung, and that window's close tail.
async fn with_a_child_that_hangs() -> (Udf, Duration) {
    let flags = [&POOL[..], &["--timeout", "1s"]].concat();
    let mut udf = Udf::start_as(fragile(), &flags).await;
    let before = children_of(udf.id());
    let records = window(&mut udf, 0, &["", "hang", "", "", "", ""]).await;
    assert_eq!(count(&records, Outcome::Timeout), 1, "{:?}", records[0].outcomes);
    assert_eq!(count(&records, Outcome::Ok), 5);
    let tail = close_tail(&records);
    eprintln!("a child that hangs: {tail:?}");
    until("the child that hung is gone", PATIENCE, || {
        before.iter().filter(|child| runs(**child)).count() == 2
    })
    .await;
    (udf, tail)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_cannot_be_replaced_leaves_the_others_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("fragile");
    std::fs::copy(tests::binary("examples/fragile"), &program).unwrap();
    let mut udf = Udf::start_as(Command::new(&program), &POOL).await;
    std::fs::remove_file(&program).unwrap();
    signal(children_of(udf.id())[0], Signal::KILL);
    until("the child is gone", PATIENCE, || {
        children_of(udf.id()).iter().filter(|child| runs(**child)).count() == 2
    })
    .await;
    // One call after another, so that two working children would suffice: a call that finds none fails.
    for number in 0..10 {
        let mut stream = udf.open(number).await;
        send(&mut stream, 0, "").await;
        let records = stream.close().await.records();
        let died = count(&records, Outcome::WorkerDied);
        eprintln!("window {number} with one place empty: {died} of 1 failed");
        assert_eq!(count(&records, Outcome::Ok) + died, 1);
        assert!(
            died == 0 || number == 0,
            "window {number}: at most the first call meets the empty place"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_cannot_start_says_why_at_start_up() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("fragile");
    std::fs::copy(tests::binary("examples/fragile"), &program).unwrap();
    let output = Command::new(&program)
        .args(POOL)
        .arg("--socket")
        .arg(folder.path().join("socket"))
        .arg("--server-info")
        .arg(folder.path().join("info"))
        .env("FRAGILE_VANISH", "1")
        .stdin(Stdio::null())
        .output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot start worker process 1 of 3") && stderr.contains("No such file"),
        "{stderr}"
    );
    assert!(!folder.path().join("info").exists(), "it never served");
}

/// A worker of `--worker-command` as a shell script: it does once what `$BAD` says, then answers each event with `null`.
const WORKER: &str = r#"
    length() { dd bs=1 count=4 2>/dev/null | od -An -v -tu4; }
    frame() { n=$(length); [ -n "$n" ] || exit; dd bs=1 count=$((n)) of=/dev/null 2>/dev/null; }
    hello() { printf '\025\000\000\000async-reduce worker 1'; }
    ok() { printf '\027\000\000\000\350\003\000\000\000\000\000\000\000\000\000\000{"ok":null}'; }
    if mkdir "$1/once" 2>/dev/null; then eval "$BAD"; fi
    hello
    while frame; do ok; done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_worker_that_misbehaves_fails_one_call_with_a_name() {
    for (bad, outcome) in [
        ("hello; frame; printf '\\027\\000'; exit", Outcome::WorkerDied),
        ("hello; exec sleep 600", Outcome::Timeout),
        (
            "printf '\\025\\000\\000\\000async-reduce worker 9'; cat >/dev/null",
            Outcome::WorkerDied,
        ),
        ("echo loading the model; cat >/dev/null", Outcome::WorkerDied),
        ("hello; frame; echo scored; cat >/dev/null", Outcome::WorkerDied),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("worker.sh");
        std::fs::write(&script, WORKER).unwrap();
        let worker = format!("sh '{}' '{}'", script.display(), folder.path().display());
        let mut command = Command::new(tests::binary("udf"));
        command.env("BAD", bad);
        let flags = [
            "--strategy",
            "process-pool",
            "--max-workers",
            "1",
            "--timeout",
            "3s",
        ];
        let flags = [&flags[..], &["--worker-command", &worker]].concat();
        let mut udf = Udf::start_as(command, &flags).await;
        let records = udf.window(0, 1, 5).await;
        let outcomes: Vec<_> = records[0].outcomes.clone().into_iter().collect();
        assert_eq!(outcomes, [(Outcome::Ok, 4), (outcome, 1)], "{bad}");
    }
}
