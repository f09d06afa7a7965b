//! A pool whose children are shell scripts, so that each test decides what a child reads and answers.

use std::io::Read;

use tokio::time::Instant;
use wire::{Latencies, StrategyKind};

use super::*;
use crate::fixtures::{Attempt, OpenKey, Scripted, assert_about, deadline, millis, retry, some, soon, spec};
use crate::strategy::{StrategySpec, build};
use crate::tally::Tally;

/// `length` reads the length of the next frame, and `frame` the frame; `ok` answers that its call took 1,000 ns and was
/// good. Each script begins with the greeting of a worker.
const FUNCTIONS: &str = r#"
    length() { dd bs=1 count=4 2>/dev/null | od -An -v -tu4; }
    frame() { n=$(length); dd bs=1 count=$((n)) of=/dev/null 2>/dev/null; }
    hello() { printf '\025\000\000\000async-reduce worker 1'; }
    ok() { printf '\027\000\000\000\350\003\000\000\000\000\000\000\000\000\000\000{"ok":null}'; }
"#;

fn script(lines: &str) -> WorkerCommand {
    WorkerCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), format!("{FUNCTIONS}hello; {lines}").into()],
    }
}

/// A script that does not greet.
fn rude_script(lines: &str) -> WorkerCommand {
    WorkerCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), format!("{FUNCTIONS}{lines}").into()],
    }
}

/// A pool of `workers` children.
fn pool(worker: WorkerCommand, workers: usize) -> Arc<Backlog<()>> {
    build(StrategySpec {
        kind: StrategyKind::ProcessPool,
        max_workers: some(workers),
        worker,
        ..spec(&Scripted::new(|_, _| Attempt::Never))
    })
    .unwrap()
}

/// Runs events that arrive at once and returns their tally.
async fn all(backlog: &Arc<Backlog<()>>, events: u64) -> Tally {
    let key = OpenKey::new(backlog);
    key.add(backlog, 0..events);
    let tally = key.finished().await;
    assert_eq!(key.room.events_left(), 1_000, "all room is given back");
    tally
}

fn counts(tally: &Tally) -> Vec<(Outcome, u64)> {
    tally.outcomes().into_iter().collect()
}

#[tokio::test]
async fn each_event_is_written_to_one_child_and_answered_once() {
    // Answers that a call took 256 ns times the index of its event, which is the first byte of the payload: the eighth
    // from the end of the frame.
    let answers = r#"
        while n=$(length) && [ "$n" ]; do
            set -- $(dd bs=1 count=$((n)) 2>/dev/null | tail -c 8 | od -An -v -tu1)
            printf "\027\000\000\000\000\\$(printf %03o $1)\000\000\000\000\000\000\000\000\000\000{\"ok\":null}"
        done
    "#;
    let backlog = pool(script(answers), 2);
    let tally = all(&backlog, 200).await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 200)]);
    assert_eq!((tally.attempts, tally.peak_in_flight), (200, 2));
    assert_eq!(tally.slot_wait.latencies().count(), 200);
    let mut each_once = Latencies::new();
    (0..200).for_each(|index| each_once.record(index * Duration::from_nanos(256)));
    assert_eq!(tally.latency.latencies(), each_once);
}

/// Waits until a file has this text.
async fn has(file: &std::path::Path, text: &str) {
    soon(async {
        while std::fs::read_to_string(file).unwrap_or_default() != text {
            tokio::time::sleep(millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_child_goes_on_after_a_missed_call_and_its_answer_goes_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, go) = (folder.path().join("begun"), folder.path().join("go"));
    // Two good calls, of which a child that is so quick has the next events in advance; then one until it may go on.
    let lines = format!(
        "frame; ok; frame; ok; frame; printf x >> {}; while [ ! -e {} ]; do sleep 0.01; done; ok; while n=$(length) && [ \"$n\" ]; do dd bs=1 count=$((n)) of=/dev/null 2>/dev/null; ok; done",
        begun.display(),
        go.display()
    );
    let backlog = pool(script(&lines), 1);
    let key = OpenKey::with_deadline(&backlog, Some(&deadline(0)));
    key.add(&backlog, 0..6);
    has(&begun, "x").await;
    backlog.miss(&key.calls);
    let tally = key.finished().await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 2), (Outcome::Missed, 4)]);
    assert_eq!(
        tally.attempts, 6,
        "the child has them all, and will make their calls"
    );
    assert_eq!(
        key.room.events_left(),
        997,
        "that of the three that it has in advance"
    );

    let next = OpenKey::with_deadline(&backlog, Some(&deadline(0)));
    next.add(&backlog, 10..12);
    std::fs::write(&go, "").unwrap();
    let tally = next.finished().await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 2)], "late answers are not its own");
    assert_eq!(tally.attempts, 2);
    assert_eq!(key.room.events_left(), 1_000);
    has(&begun, "x").await; // By one child: it was not replaced.
}

#[tokio::test]
async fn a_child_that_dies_fails_its_current_call_and_no_prefetched_one() {
    let backlog = pool(script("frame; ok; frame; exit 1"), 1);
    let tally = all(&backlog, 10).await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 5), (Outcome::WorkerDied, 5)]);
    assert_eq!((tally.attempts, tally.peak_in_flight), (10, 1));
}

#[tokio::test]
async fn a_call_whose_child_died_is_retried_by_another() {
    let backlog = build(StrategySpec {
        kind: StrategyKind::ProcessPool,
        max_workers: some(1),
        retry: retry(1),
        worker: script("frame; ok; frame; exit 1"),
        ..spec(&Scripted::new(|_, _| Attempt::Never))
    })
    .unwrap();
    let tally = all(&backlog, 2).await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 2)]);
    assert_eq!(tally.attempts, 3);
}

#[tokio::test]
async fn a_child_that_cannot_be_replaced_releases_its_prefetched_events() {
    let folder = tempfile::tempdir().unwrap();
    let shell = folder.path().join("sh");
    std::os::unix::fs::symlink("/bin/sh", &shell).unwrap();
    let mut worker = script("frame; ok; frame; rm \"$0\"; exit 1");
    worker.args.push(shell.clone().into());
    worker.program = shell;
    let tally = all(&pool(worker, 1), 5).await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 1), (Outcome::WorkerDied, 4)]);
    assert_eq!((tally.attempts, tally.peak_in_flight), (5, 1));
}

#[tokio::test]
async fn a_child_that_leaves_or_writes_rubbish_fails_its_call() {
    for lines in ["exit 0", "exec cat", "frame; printf '\\377\\377\\377\\377'"] {
        let tally = all(&pool(script(lines), 1), 3).await;
        assert_eq!(counts(&tally), [(Outcome::WorkerDied, 3)], "{lines}");
    }
}

#[tokio::test]
async fn a_child_that_is_no_worker_fails_its_call_and_says_why() {
    for (lines, why) in [
        (
            "echo hello, here I am; cat",
            "does it print to its standard output?",
        ),
        (r"printf '\005\000\000\000hello'; cat", "no greeting of a worker"),
        (
            r"printf '\025\000\000\000async-reduce worker 2'; cat",
            "it speaks version 2 of the frames, this program version 1",
        ),
        (r"frame; printf '\025\000'; exit", "end of file"),
    ] {
        let mut tally = all(&pool(rude_script(lines), 1), 2).await;
        assert_eq!(counts(&tally), [(Outcome::WorkerDied, 2)], "{lines}");
        let cause = tally.causes.remove(&Outcome::WorkerDied).unwrap();
        assert!(cause.contains(why), "{lines}: {cause}");
    }
}

#[tokio::test]
async fn an_answer_of_another_type_fails_its_call_and_what_is_no_json_its_worker() {
    for (content, outcome, why) in [
        (r#"{"ok":[1]}"#, Outcome::BadBody, "not of the type"),
        (r#"{"fine":1}"#, Outcome::BadBody, "not of the type"),
        (r#"{"ok":nul"#, Outcome::WorkerDied, "an answer is no JSON"),
    ] {
        let length = 12 + content.len();
        let zeros = r"\000".repeat(15);
        let lines = format!(r"frame; printf '\{length:03o}{zeros}{content}'; frame; ok");
        let mut tally = all(&pool(script(&lines), 1), 1).await;
        assert_eq!(counts(&tally), [(outcome, 1)], "{content}");
        let cause = tally.causes.remove(&outcome).unwrap();
        assert!(cause.contains(why), "{content}: {cause}");
    }
}

/// On paused time: the clock advances while everything waits, and these children never answer.
#[tokio::test(start_paused = true)]
async fn a_child_that_never_answers_is_replaced_after_the_timeout_and_its_grace() {
    let backlog = pool(script("exec sleep 60"), 2);
    let key = OpenKey::new(&backlog);
    let began = Instant::now();
    key.add(&backlog, 0..4);
    let tally = key.finished().await;
    assert_eq!(counts(&tally), [(Outcome::Timeout, 4)]);
    assert_eq!(tally.peak_in_flight, 2);
    assert_eq!(began.elapsed(), 2 * (millis(1_000) + ANSWER_GRACE));
    assert_about(tally.failed_latency.latencies().max(), millis(2_000));
}

#[tokio::test]
async fn children_are_killed_with_the_pool() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    // Each child holds the pipe open until it is killed; it does not read its input.
    let worker = script(&format!(
        "exec 3>'{}'; printf x >&3; exec sleep 60",
        fifo.display()
    ));
    let backlog = pool(worker, 3);
    // A thread, as the runtime would wait for a blocking task even if the test fails.
    let (report, read) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut pipe = std::fs::File::open(&fifo).unwrap();
        let mut started = [0; 3];
        pipe.read_exact(&mut started).unwrap();
        drop(backlog);
        let mut rest = Vec::new();
        pipe.read_to_end(&mut rest).unwrap();
        report.send((started, rest))
    });
    let read = soon(read).await.unwrap();
    assert_eq!(read, (*b"xxx", Vec::new()), "the pipe ends with the last child");
}

#[tokio::test]
async fn a_pool_that_cannot_start_says_which_worker() {
    let worker = WorkerCommand {
        program: "/nonexistent/worker".into(),
        args: Vec::new(),
    };
    let error = Processes::start(worker, millis(1), some(2)).err().unwrap();
    let said = error.to_string();
    assert!(
        said.starts_with("max_workers: cannot start worker process 1 of 2: No such file"),
        "{said}"
    );
    assert!(
        said.ends_with("choose fewer workers or raise the system's limit"),
        "{said}"
    );
}

#[test]
fn children_that_need_more_memory_than_there_is_are_told_of() {
    let mib = |count: u64| count * 1024 * 1024;
    let of = |bytes, is_limited| Memory { bytes, is_limited };
    assert_eq!(too_heavy(mib(8), some(8), of(mib(64), true)), None);
    let limited = too_heavy(mib(8), some(9), of(mib(64), true)).unwrap();
    let words = [
        "max_workers: 9 worker",
        "of 8 MiB",
        "need 72 MiB",
        "has 64 MiB",
        "singleProcessOOMKill",
    ];
    assert!(words.iter().all(|word| limited.contains(word)), "{limited}");
    let machine = too_heavy(mib(8), some(9), of(mib(64), false)).unwrap();
    assert!(
        machine.contains("this machine has 64 MiB") && !machine.contains("container"),
        "{machine}"
    );
}
