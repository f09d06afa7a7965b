//! The journal against cut lines, other runs and other plans.

use proptest::prelude::*;
use wire::Latencies;

use super::*;

fn facts(plan_text: &str) -> RunFacts {
    RunFacts {
        plan_name: format!("plan {plan_text}"),
        plan_text: plan_text.to_owned(),
        trials: 1,
        engine: "local".to_owned(),
        started_us: 1,
        machine: BTreeMap::new(),
        command: "experiment run".to_owned(),
        references: Vec::new(),
        search: None,
    }
}

/// A disk of limited size. A write that does not fit is done in part, as real disks do.
struct Disk {
    bytes: Vec<u8>,
    room: usize,
    sync_fails: bool,
    truncate_fails: bool,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.room - self.bytes.len()).min(7);
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for Disk {
    fn sync(&mut self) -> io::Result<()> {
        if self.sync_fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.truncate_fails {
            return Err(io::ErrorKind::Other.into());
        }
        self.bytes.truncate(length as usize);
        Ok(())
    }
}

fn disk(room: usize) -> WholeLines<Disk> {
    let storage = Disk {
        bytes: Vec::new(),
        room,
        sync_fails: false,
        truncate_fails: false,
    };
    WholeLines { storage, length: 0 }
}

fn whole_lines(bytes: &[u8]) -> usize {
    parse(Path::new("j"), bytes).unwrap().0.len()
}

#[test]
fn wherever_a_disk_is_full_only_whole_lines_stay() {
    let line = JournalLine::Run(facts("a"));
    let length = serde_json::to_vec(&line).unwrap().len() + 1;
    for room in length..2 * length {
        let mut lines = disk(room);
        lines.append(&line).unwrap();
        let error = lines.append(&line).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(lines.storage.bytes.len(), length, "room for {room}");
        // After room has been made the run continues.
        lines.storage.room = 2 * length;
        lines.append(&line).unwrap();
        assert_eq!(whole_lines(&lines.storage.bytes), 2);
        assert_eq!(lines.length, 2 * length as u64);
    }
}

#[test]
fn a_line_that_may_not_be_safe_is_taken_back() {
    let line = JournalLine::Run(facts("a"));
    let mut lines = disk(usize::MAX);
    lines.append(&line).unwrap();
    lines.storage.sync_fails = true;
    lines.append(&line).unwrap_err();
    assert_eq!(lines.storage.bytes.len() as u64, lines.length);
}

#[test]
fn a_part_that_cannot_be_taken_back_is_read_as_absent() {
    let line = JournalLine::Run(facts("a"));
    let room = serde_json::to_vec(&line).unwrap().len() + 30;
    let mut lines = disk(room);
    lines.append(&line).unwrap();
    lines.storage.truncate_fails = true;
    lines.append(&line).unwrap_err();
    assert_eq!(lines.storage.bytes.len(), room);
    assert_eq!(whole_lines(&lines.storage.bytes), 1);
}

#[test]
fn a_cut_line_is_absent_and_taken_off_on_resuming() {
    let folder = tempfile::tempdir().unwrap();
    drop(Journal::open(folder.path(), facts("a"), false).unwrap());
    let path = folder.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    let cut = [whole.as_slice(), br#"{"line":"tri"#].concat();
    std::fs::write(&path, cut).unwrap();

    assert_eq!(read(folder.path()).unwrap(), [JournalLine::Run(facts("a"))]);
    let journal = Journal::open(folder.path(), facts("a"), true).unwrap();
    assert_eq!(journal.lines().len(), 2);
    assert_eq!(
        std::fs::read(&path).unwrap(),
        [whole.as_slice(), whole.as_slice()].concat()
    );
}

#[test]
fn a_journal_is_kept_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let open = |plan, resume| Journal::open(folder.path(), facts(plan), resume);
    let first = open("a", false).unwrap();
    assert!(matches!(open("a", true), Err(JournalError::Held(_))));
    drop(first);
    assert!(matches!(open("a", false), Err(JournalError::Exists(_))));
    let other = open("b", true).unwrap_err();
    assert!(matches!(&other, JournalError::OtherPlan { found, .. } if found == "plan a"));
    assert!(other.is_wrong_use());
}

#[test]
fn a_plan_that_was_edited_is_told_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let plan = |fields: &str| RunFacts {
        plan_name: "c".to_owned(),
        ..facts(&format!(
            "name: c\nfixed: {{io_delay: 0, strategy: async}}\n{fields}\n"
        ))
    };
    drop(Journal::open(folder.path(), plan("axes: {rpu: [10], keys: [1, 5]}"), false).unwrap());
    let path = folder.path().join(FILE_NAME);
    for (edited, changes) in [
        ("axes: {rpu: [20], keys: [1, 5]}", "rpu 10 → 20"),
        (
            "axes: {keys: [1], rpu: [10, 20]}",
            "rpu 10 → 10, 20; keys 1, 5 → 1",
        ),
        (
            "repeats: 2\nwindows: 3\naxes: {rpu: [10], keys: [1, 5], runtime_threads: [2]}",
            "runtime_threads by its rule → 2; windows 16 → 3; repeats 1 → 2",
        ),
        (
            "cut_off: 1s\nrepeats: 2\nwindows: 3\nwarmup: 0\naxes: {rpu: [10], keys: [1, 5]}",
            "warmup 2 → 0; windows 16 → 3; repeats 1 → 2; and 1 more",
        ),
    ] {
        let error = Journal::open(folder.path(), plan(edited), true).unwrap_err();
        assert!(error.is_wrong_use());
        assert_eq!(
            error.to_string(),
            format!(
                "--out: the plan `c` has changed since the run in `{}`: {changes}: change it back, or choose another folder",
                path.display()
            )
        );
    }
    let same = plan("axes: {rpu: [1e1], keys: [1, 5]} # the same");
    assert!(Journal::open(folder.path(), same, true).is_ok());
}

#[test]
fn broken_lines_before_the_last_are_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(Journal::open(folder.path(), facts("a"), false).unwrap());
    let path = folder.path().join(FILE_NAME);
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("no\n");
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(
        read(folder.path()),
        Err(JournalError::Line { line: 2, .. })
    ));
    assert!(matches!(
        read(&folder.path().join("none")),
        Err(JournalError::Missing(_))
    ));
}

/// A journal of a start and two trials, each line whole.
fn three_lines() -> Vec<u8> {
    let trial = |id: &str| {
        serde_json::json!({
            "line": "trial",
            "trial": {"id": id, "repeat": 0, "settings": {
                "rpu": 10, "keys": 1, "key_skew": 0.0, "payload_size": 0, "io_delay": "1s", "strategy": "async",
                "start_rule": "at-close", "workload": "http", "max_workers": 10, "timeout": "30s", "retries": 0,
                "cpu_offload": false, "max_waiting": 1000, "capacity": null, "fail_status": 0.0, "window": "10s",
                "read_timeout": "200ms", "warmup": 1, "windows": 1, "seed": 1,
            }},
            "prediction": {
                "load_factor": 0.5, "needed_in_flight": 10.0, "close_tail_us": 1, "verdict": "keeps-up", "why": "so",
            },
            "started_us": 1, "ended_us": 2, "end": {"how": "completed"}, "windows": [], "ledger": null, "outcomes": {},
            "latency": Latencies::new(), "slot_wait": Latencies::new(), "instruments": null, "cost": null,
        })
    };
    let run = serde_json::to_string(&JournalLine::Run(facts("a"))).unwrap();
    format!("{run}\n{}\n{}\n", trial("first"), trial("second")).into_bytes()
}

proptest! {
    #[test]
    fn a_journal_cut_anywhere_goes_on_from_its_last_whole_line(fraction in 0f64..=1.0) {
        let bytes = three_lines();
        let cut = (fraction * bytes.len() as f64) as usize;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), &bytes[..cut]).unwrap();
        let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        match read(folder.path()) {
            Ok(lines) => prop_assert_eq!(lines.len(), whole),
            Err(error) => prop_assert!(whole == 0 && matches!(error, JournalError::Missing(_)), "{error}"),
        }
        let journal = Journal::open(folder.path(), facts("a"), true).unwrap();
        prop_assert_eq!(latest(journal.lines()).len(), whole.saturating_sub(1));
        prop_assert_eq!(read(folder.path()).unwrap().len(), whole + 1);
    }

    #[test]
    fn a_rubbed_out_part_is_named_or_harmless(
        fraction in 0f64..1.0,
        length in 1usize..200,
        fill in proptest::sample::select(vec![0u8, b' ', b'\n', b'"', b'}', b'0', 0xff]),
    ) {
        let mut bytes = three_lines();
        let from = (fraction * bytes.len() as f64) as usize;
        let to = (from + length).min(bytes.len());
        bytes[from..to].fill(fill);
        match parse(Path::new("j"), &bytes) {
            Ok((lines, length)) => prop_assert!(lines.len() <= 3 && length <= bytes.len() as u64),
            Err(JournalError::Line { line, .. }) => {
                let last = bytes.iter().filter(|byte| **byte == b'\n').count();
                prop_assert!((1..=last).contains(&line));
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
