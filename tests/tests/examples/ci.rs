//! `examples/ci`: two commits of a UDF are built and compared, as the workflow does it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_yaml::Value;
use tests::binary;

const PLAN: &str = "
name: ours
window: 500ms
read_timeout: 50ms
warmup: 1
windows: 2
cut_off: 5s
fixed: {rpu: 40, keys: 2, io_delay: 10ms, max_workers: 50, start_rule: at-close, strategy: async}
";

fn git(repository: &Path, args: &[&str]) {
    let identity = [
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.com",
        "-c",
        "init.defaultBranch=main",
    ];
    let status = Command::new("git")
        .args(identity)
        .args(args)
        .current_dir(repository)
        .status()
        .unwrap();
    assert!(status.success(), "git {args:?}");
}

/// A repository whose UDF takes 10 ms a call in its first commit, and 200 ms in the second.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    for delay in ["10ms", "200ms"] {
        fs::write(folder.path().join("delay"), delay).unwrap();
        fs::write(folder.path().join("plan.yaml"), PLAN).unwrap();
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "--quiet", "--message", delay]);
    }
    folder
}

fn compare(repository: &Path, base: &str, head: &str, build: &str, options: &[&str]) -> Output {
    Command::new(super::folder("ci").join("compare"))
        .args([base, head, "plan.yaml"])
        .args(options)
        .current_dir(repository)
        .env("BUILD", build)
        .env(
            "UDF",
            format!("IO_DELAY=$(cat delay) exec {}", binary("udf").display()),
        )
        .env("EXPERIMENT", binary("experiment"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_commit_that_is_slower_fails_and_its_table_can_be_commented() {
    let repository = repository();
    let at = repository.path();
    let rounds = ["--rounds", "3", "--fail-on", "worse"];
    let ended = compare(at, "HEAD~1", "HEAD", "test -f delay", &rounds);
    assert_eq!(ended.status.code(), Some(3), "{}", text(&ended.stderr));
    let table = text(&ended.stdout);
    assert!(
        table.contains("| only cell |") && table.contains("| ✗ worse |"),
        "{table}"
    );
    assert!(at.join("out/comparison/results/second/report.html").exists());
    assert!(
        !at.join("out/comparison/head").exists(),
        "the checkouts are removed"
    );

    let again = compare(at, "HEAD~1", "HEAD", "true", &rounds);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("exists: remove it, or set OUT"));
    fs::remove_dir_all(at.join("out")).unwrap();
    let ended = compare(at, "HEAD", "HEAD~1", "true", &rounds);
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains("| ✓ better |"));
}

#[test]
fn a_build_that_fails_and_a_commit_that_there_is_not_are_told() {
    let repository = repository();
    let at = repository.path();
    let ended = compare(at, "HEAD~1", "HEAD", "exit 9", &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        text(&ended.stderr).contains("compare: the build of 'HEAD~1' failed: exit 9"),
        "{}",
        text(&ended.stderr)
    );
    fs::remove_dir_all(at.join("out")).unwrap();
    let ended = compare(at, "nothing", "HEAD", "true", &[]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        text(&ended.stderr).contains("compare: cannot check out 'nothing'"),
        "{}",
        text(&ended.stderr)
    );
}

#[test]
fn the_workflow_calls_what_is_tested_here() {
    let text = fs::read_to_string(super::folder("ci").join("workflow.yml")).unwrap();
    let workflow: Value = serde_yaml::from_str(&text).unwrap();
    let steps = workflow["jobs"]["compare"]["steps"].as_sequence().unwrap();
    let run = |id: &str| {
        let step = steps.iter().find(|step| step["id"].as_str() == Some(id)).unwrap();
        step["run"].as_str().unwrap()
    };
    assert!(
        run("compare")
            .contains(r#"examples/ci/compare "$BASE" "$HEAD" plan.yaml --rounds 5 --fail-on worse"#)
    );
    // What a pull request names reaches a shell by its environment alone.
    let runs = steps.iter().filter_map(|step| step["run"].as_str());
    let injected = runs.filter(|run| run.contains("github.event"));
    assert_eq!(injected.count(), 0);
    let makefile = fs::read_to_string(super::folder("ci").join("Makefile")).unwrap();
    assert!(makefile.contains("examples/ci/compare $(BASE) HEAD $(PLAN) --rounds 5 --fail-on worse"));
}
