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
