//! The example `legacy-python`, by the commands of its page.

use std::process::Command;
use std::time::Duration;

use tests::binary;

use super::{folder, tails};

#[test]
fn the_close_tail_of_an_unchanged_function_hangs_on_the_number_of_its_processes() {
    let out = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(folder("legacy-python").join("README.md")).unwrap();
    let commands: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let programs = binary("experiment").parent().unwrap().to_owned();
    let script = commands
        .join("\n")
        .replace("../../target/release", programs.to_str().unwrap())
        .replace("../../out/legacy-python", out.path().to_str().unwrap())
        .replace(
            "python3",
            &std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned()),
        );
    let root = folder("..");
    let status = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(root)
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
    // 24 events in each of the four windows.
    let tails = tails(out.path(), 96);
    assert_eq!(Vec::from_iter(tails.keys()), [&1, &4, &8]);
    for (processes, tail) in &tails {
        assert!(
            *tail >= Duration::from_millis(20) * 24 / *processes,
            "{processes} processes: {tail:?}"
        );
    }
    assert!(tails[&1] > 2 * tails[&4], "{tails:?}");
}
