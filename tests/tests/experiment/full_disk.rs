//! Reports without space on the disk: one clear line, and each file is either complete and new or the old one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use tests::binary;

use super::run_dir::{Ended, RunDir, text};

/// Bytes of a block of `ulimit -f`, by POSIX.
const BLOCK: usize = 512;

const JOURNAL: &str = include_str!("../../../results/2026-11-23-start-rules/journal.jsonl");

/// A folder `name` with that journal alone.
fn with_journal(dir: &RunDir, name: &str) {
    fs::create_dir(dir.path(name)).unwrap();
    fs::write(dir.path(name).join("journal.jsonl"), JOURNAL).unwrap();
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    fs::read_dir(folder).unwrap().map(of).collect()
}

/// A limit on file sizes stands for a full disk.
fn report_with_room(dir: &RunDir, folder: &str, bytes: usize) -> Ended {
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec {} report {folder}",
        bytes.div_ceil(BLOCK),
        text(&binary("experiment"))
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .current_dir(dir.folder.path())
        .env("TMPDIR", dir.path("tmp"));
    Ended::of(&command.output().unwrap())
}

fn assert_could_not_write(ended: &Ended, file: &str) {
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for words in ["experiment: cannot write ", file] {
        assert!(ended.stderr.contains(words), "`{words}`: {ended:?}");
    }
}

#[test]
fn a_report_without_room_is_the_old_one_or_none() {
    let dir = RunDir::new();
    with_journal(&dir, "whole");
    let drawn = dir.run(&["report", "whole"]);
    assert_eq!(drawn.status, Some(0), "{drawn:?}");
    let whole = files(&dir.path("whole"));
    assert_eq!(whole.len(), 7, "{:?}", whole.keys());

    // Room for all files but the page, which is the largest and the last; then for none.
    let others = whole
        .iter()
        .filter(|(name, _)| !["report.html", "journal.jsonl"].contains(&name.as_str()));
    let longest = others.map(|(_, bytes)| bytes.len()).max().unwrap();
    assert!(whole["report.html"].len() > longest + BLOCK);
    with_journal(&dir, "short");
    assert_could_not_write(&report_with_room(&dir, "short", longest), "report.html");
    let mut but_the_page = whole.clone();
    but_the_page.remove("report.html");
    assert!(
        files(&dir.path("short")) == but_the_page,
        "{:?}",
        files(&dir.path("short")).keys()
    );
    with_journal(&dir, "none");
    assert_could_not_write(&report_with_room(&dir, "none", 0), "windows.csv");
    assert_eq!(files(&dir.path("none")).len(), 1, "the journal");

    for room in [0, longest] {
        let ended = report_with_room(&dir, "whole", room);
        assert_eq!(ended.status, Some(1), "{ended:?}");
        assert!(files(&dir.path("whole")) == whole, "what was there is untouched");
    }
    let again = dir.run(&["report", "none"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    assert!(files(&dir.path("none")) == whole, "drawn once there is room");
    dir.assert_nothing_left();
}

#[test]
fn a_table_that_cannot_be_printed_leaves_no_half_report() {
    let dir = RunDir::new();
    with_journal(&dir, "o");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = dir.command(&["report", "o"]).stdout(full).output().unwrap();
    assert_could_not_write(&Ended::of(&output), "standard output: No space left on device");
    assert_eq!(files(&dir.path("o")).len(), 1, "the journal");
    dir.assert_nothing_left();
}
