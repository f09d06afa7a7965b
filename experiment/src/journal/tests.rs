//! The journal against cut lines, other runs and other plans.

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
    }
}

/// A disk with room for so many bytes; what does not fit is written in part, as disks do.
struct Disk {
    bytes: Vec<u8>,
    room: usize,
    sync_fails: bool,
    cut_fails: bool,
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

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.cut_fails {
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
        cut_fails: false,
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
        // Room has been made: the run goes on where it was.
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
    lines.storage.cut_fails = true;
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
