//! `docs/own-udf.md` from its empty folder: its files are written and its commands run in their order, those for a cluster
//! as far as Helm renders them.

use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::binary;
use tests::manifests::{Object, faults, parse};
use tests::page::{Block, blocks, file, root};

use super::trials_of;

/// Always the same, so that what is compiled there stays; nothing of it is used but by these tests.
fn folder() -> std::path::PathBuf {
    root().canonicalize().unwrap().join("target/own-udf")
}

/// A script that does what a reader does: writes the files, and runs the commands.
fn script(blocks: &[Block], commands: impl Fn(&Block) -> Option<String>) -> String {
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    for block in blocks {
        match (block.language.as_str(), &block.name) {
            ("sh", _) => script.extend(commands(block)),
            (_, Some(name)) => {
                // A package within the folder of a workspace says that it is no part of it.
                let end = if name == "Cargo.toml" { "[workspace]\n" } else { "" };
                write!(script, "cat >> '{name}' <<'END'\n{}{end}END\n", block.text).unwrap();
            }
            (_, None) => panic!("{block:?}"),
        }
    }
    script
}

/// Runs a script in the empty folder, with this repository beside.
fn run(folder: &Path, script: &str) -> String {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder.join("score/src")).unwrap();
    std::os::unix::fs::symlink(root().canonicalize().unwrap(), folder.join("async-reduce")).unwrap();
    // The versions that are tested, and compiled already.
    fs::copy(root().join("Cargo.lock"), folder.join("score/Cargo.lock")).unwrap();
    let output = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .env(
            "CARGO_BUILD_BUILD_DIR",
            root().canonicalize().unwrap().join("target/own-udf-build"),
        )
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn from_an_empty_folder_to_a_report() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let programs = binary("experiment").parent().unwrap().to_owned();
    let commands = |block: &Block| {
        let here = block.name.is_none();
        here.then(|| {
            block
                .text
                .replace("make build\n", "")
                .replace("$PWD/target/release", programs.to_str().unwrap())
                .replace("target/release", "target/debug")
                .replace(" --release", "")
                .replace("127.0.0.1:9888", &free.to_string())
        })
    };
    let folder = folder();
    let script = script(&blocks("own-udf.md"), commands);
    let said = run(&folder, &format!("export LISTEN={free}\n{script}"));
    for words in ["--url", "--token", "Options of the library", "--strategy"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let trials = trials_of(&folder.join("score/out"));
    assert_eq!(trials.len(), 2);
    for outcome in &trials {
        let ledger = outcome.ledger.as_ref().unwrap();
        assert!(
            ledger.balances() && ledger.ok > 0 && ledger.failed == 0,
            "{ledger:?}"
        );
    }
    let last = trials[1].ledger.as_ref().unwrap();
    // 240 payments in each of the four windows.
    assert_eq!(
        (trials[1].trial.settings.strategy.name(), last.ok, last.lost),
        ("async", 960, 0)
    );
}

/// Whether a name, or its start, follows a flag in the commands.
fn is_start(commands: &str, flag: &str, name: &str) -> bool {
    let (_, rest) = commands.split_once(flag).unwrap();
    let given = rest
        .split(|c: char| c.is_whitespace() || c == ',')
        .next()
        .unwrap();
    name.starts_with(given)
}

/// What the n-th Helm command of the page renders.
fn rendered(text: &str) -> Vec<Vec<Object>> {
    let parts = text.split("# Helm\n").skip(1);
    parts.map(|part| parse("own-udf.md", part)).collect()
}

#[test]
fn what_the_page_installs_is_admitted_and_runs_the_own_image() {
    let helm = std::env::var("HELM").expect("HELM is the path of Helm: `make test-examples` sets it");
    let commands = |block: &Block| {
        if block.text.starts_with("cd ") {
            return Some("cd score\n".to_owned());
        }
        let whole = block.text.replace("\\\n", " ");
        let installs = whole
            .lines()
            .filter_map(|line| line.strip_prefix("helm install "));
        let render = |rest| format!("echo '# Helm'\n'{helm}' template {rest} --kube-version 1.33.0\n");
        Some(installs.map(render).collect())
    };
    let folder = tempfile::tempdir().unwrap();
    let page = blocks("own-udf.md");
    let said = run(folder.path(), &script(&page, commands));
    let rendered = rendered(&said);
    assert_eq!(rendered.len(), 2, "an install and an experiment");
    let commands: String = page.iter().map(|block| block.text.as_str()).collect();
    let named = |kind, flag, of: &[Object]| {
        let names = of.iter().filter(|object| object.kind() == kind);
        let mut names = names.filter_map(|object| object.at("/metadata/name")?.as_str());
        assert!(
            names.any(|name| is_start(&commands, flag, name)),
            "{kind}: {flag}"
        );
    };
    named("Pipeline", "pipeline-name=", &rendered[0]);
    named("Job", "--job ", &rendered[1]);
    for objects in &rendered {
        assert_eq!(faults(objects), Vec::<String>::new());
        let at = |kind: &str, path: &str| {
            let mut found = objects
                .iter()
                .filter(|object| object.kind() == kind)
                .filter_map(|object| object.at(path));
            found
                .next()
                .cloned()
                .unwrap_or_else(|| panic!("{kind} has no {path}"))
        };
        let container = |path: &str| at("Pipeline", &format!("/spec/vertices/udf/udf/container/{path}"));
        assert_eq!(
            at("ConfigMap", "/data/payments.jsonl"),
            Value::from(file(&page, "payments.jsonl"))
        );
        assert_eq!(container("image"), "registry.example.com/score:0.1.0");
        assert_eq!(
            container("args"),
            serde_json::json!(["--url", "$(ENDPOINT_URL)/score"])
        );
        assert_eq!(
            container("env/SCORE_TOKEN/valueFrom/secretKeyRef/name"),
            "scoring"
        );
        let Value::Array(env) = at("Deployment", "/spec/template/spec/containers/endpoint/env") else {
            panic!("a list")
        };
        let place = |name: &str| env.iter().position(|variable| variable["name"] == name).unwrap();
        // Kubernetes replaces `$(SCORE_TOKEN)` in variables after it.
        assert!(place("SCORE_TOKEN") < place("REQUIRE_HEADER"), "{env:?}");
        assert_eq!(env[place("ANSWER")]["value"], "{\"score\": ${/amount}}");
    }
}
