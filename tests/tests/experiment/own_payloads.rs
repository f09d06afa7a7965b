//! The user's own events through the user's own UDF to the user's own service: the example `score`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tests::binary;
use tokio::net::TcpListener;
use trials::journal::{self, JournalLine};
use trials::outcome::TrialEnd;

use super::run_dir::{Ended, RunDir, TINY, text};

/// How often each payment was scored, by its JSON.
type Scored = Arc<Mutex<BTreeMap<String, u64>>>;

const PAYMENTS: [&str; 3] = [
    r#"{"user":"u1","amount":12.5}"#,
    r#"{"user":"u2","amount":3.0}"#,
    r#"{"user":"u1","amount":0.25}"#,
];

async fn score(
    State(scored): State<Scored>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Value>, StatusCode> {
    if headers
        .get("authorization")
        .is_none_or(|value| value != "Bearer t0ken")
    {
        return Err(StatusCode::UNAUTHORIZED);
    }
    *scored.lock().unwrap().entry(body).or_default() += 1;
    Ok(Json(json!({"score": 0.5})))
}

/// The command that starts `score` against a service.
async fn service() -> (String, Scored) {
    let (url, scored) = scoring().await;
    let program = text(&binary("score")).to_owned();
    (format!("exec {program} --token t0ken --url {url}"), scored)
}

/// A service's URL.
async fn scoring() -> (String, Scored) {
    let scored = Scored::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/score", post(score))
        .with_state(Arc::clone(&scored));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (format!("http://{address}/score"), scored)
}

/// A plan with a file beside it, in a folder that is not the working directory.
fn written(dir: &RunDir, payments: &str) -> String {
    fs::create_dir_all(dir.path("plans")).unwrap();
    fs::write(dir.path("plans/payments.jsonl"), payments).unwrap();
    let own = "payloads: payments.jsonl\nkey_pointer: /user\ncalls: none\n";
    let plan = format!("{TINY}axes: {{strategy: [async]}}\n{own}");
    fs::write(dir.path("plans/plan.yaml"), plan).unwrap();
    "plans/plan.yaml".to_owned()
}

fn run(dir: &RunDir, plan: &str, udf: &str, more: &[&str]) -> Ended {
    let args = ["run", plan, "--udf-command", udf];
    dir.run(&[&args, more].concat())
}

/// Checks the one trial that a run has in its journal; returns what the journal says of the file.
fn assert_measured(dir: &RunDir, out: &str) -> String {
    let outcome = dir.outcomes(out).remove(0);
    assert_eq!(outcome.end, TrialEnd::Completed);
    let ledger = outcome.ledger.unwrap();
    // 20 events in each of two windows.
    assert!(
        ledger.balances() && ledger.ok == 40 && ledger.lost == 0 && ledger.failed == 0,
        "{ledger:?}"
    );
    for window in &outcome.windows {
        let measured = window.measured.as_ref().unwrap();
        assert_eq!((measured.keys, measured.events, measured.ok), (2, 20, 20));
    }
    let lines = journal::read(&dir.path(out)).unwrap();
    let JournalLine::Run(facts) = &lines[0] else {
        panic!("{lines:?}")
    };
    facts.machine["payload file"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn own_events_are_measured_in_an_own_program_against_an_own_service() {
    let (udf, scored) = service().await;
    let dir = RunDir::new();
    let plan = written(&dir, &PAYMENTS.join("\r\n"));
    let ended = run(&dir, &plan, &udf, &["--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let fact = assert_measured(&dir, "o");
    assert!(
        fact.contains("3 lines, FNV-1a ") && fact.ends_with(", keys at /user"),
        "{fact}"
    );
    let scored = std::mem::take(&mut *scored.lock().unwrap());
    assert_eq!(
        scored.keys().cloned().collect::<Vec<_>>(),
        sorted(PAYMENTS),
        "nothing else was called"
    );
    let (least, most) = (scored.values().min(), scored.values().max());
    assert!(most.unwrap() - least.unwrap() <= 1, "in turn: {scored:?}");

    // The same payloads may go on, in whatever form; others may not.
    written(&dir, &(PAYMENTS.join("\n\n") + "\n"));
    let again = run(&dir, &plan, &udf, &["--out", "o", "--resume"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    written(&dir, &PAYMENTS[..2].join("\n"));
    run(&dir, &plan, &udf, &["--out", "o", "--resume"]).assert_refused(&["--out", "another payload file"]);
    dir.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_kept_names_the_same_file() {
    let (udf, _) = service().await;
    let dir = RunDir::new();
    let plan = written(&dir, &PAYMENTS.join("\n"));
    let ended = run(&dir, &plan, &udf, &["--out", "o", "--retries", "1"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let fact = assert_measured(&dir, "o");
    let ended = run(&dir, "o/plan.yaml", &udf, &["--out", "again"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(assert_measured(&dir, "again"), fact);
    dir.assert_nothing_left();
}

/// A plan whose events are made from a template.
fn templated(dir: &RunDir, template: &str) -> String {
    let own = format!("payload_template: '{template}'\ncalls: none\n");
    let plan = dir.plan(&format!("{TINY}axes: {{strategy: [async]}}\n{own}"));
    text(&plan).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_made_from_a_template() {
    let (udf, scored) = service().await;
    let dir = RunDir::new();
    let template = r#"{"user": ${key}, "amount": ${number}}"#;
    let plan = templated(&dir, template);
    let ended = run(&dir, &plan, &udf, &["--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcome = dir.outcomes("o").remove(0);
    let ledger = outcome.ledger.unwrap();
    assert!(
        ledger.balances() && ledger.ok == 40 && ledger.lost == 0 && ledger.failed == 0,
        "{ledger:?}"
    );
    // Two windows of ten events for each of two keys; those after them may have begun.
    let scored = std::mem::take(&mut *scored.lock().unwrap());
    for (key, number) in [("key-0", 0), ("key-0", 19), ("key-1", 0), ("key-1", 19)] {
        let payload = format!(r#"{{"user":"{key}","amount":{number}.0}}"#);
        assert_eq!(scored.get(&payload), Some(&1), "{payload}: {scored:?}");
    }
    let lines = journal::read(&dir.path("o")).unwrap();
    let JournalLine::Run(facts) = &lines[0] else {
        panic!("{lines:?}")
    };
    let fact = &facts.machine["payload template"];
    let expected = format!("your own, {} bytes, FNV-1a ", template.len());
    assert!(fact.starts_with(&expected), "{fact}");
    assert_eq!(facts.machine.get("payload file"), None);

    // The same template may go on, another one may not; a flag's is kept with the plan.
    let again = run(&dir, &plan, &udf, &["--out", "o", "--resume"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    templated(&dir, r#"{"user": ${key}, "amount": 1}"#);
    run(&dir, &plan, &udf, &["--out", "o", "--resume"])
        .assert_refused(&["--out", "another payload template"]);
    dir.assert_nothing_left();
}

#[test]
fn what_is_no_template_is_refused_before_anything_starts() {
    let dir = RunDir::new();
    for (template, more, words) in [
        (
            "{\"a\": ${user}}",
            &[][..],
            &[
                "plan.yaml:10: payload_template: ",
                "`${user}` is no field: known are `${key}`",
            ][..],
        ),
        ("{\"a\": ${key}", &[], &["payload_template", "no JSON"]),
        (" ", &[], &["payload_template: must be a text"]),
        (
            "${key}",
            &["--payloads", "x"],
            &["payload_template: excludes `payloads`: leave one of them out"],
        ),
        (
            "${key}",
            &["--key-pointer", "/user"],
            &["--key-pointer: the keys of a template's events are the generator's"],
        ),
        (
            "${key}",
            &["--payload-size", "9"],
            &["--payload-size: has no effect with `payload_template`"],
        ),
        (
            "${key}",
            &["--payload-template", "y"],
            &["--payload-template", "the plan gives it on line 10"],
        ),
    ] {
        let plan = templated(&dir, template);
        dir.run(&[&["run", plan.as_str(), "--out", "o"], more].concat())
            .assert_refused(words);
        assert!(!dir.path("o").exists(), "no journal");
    }
    dir.assert_nothing_left();
}

#[test]
fn payloads_that_a_plan_cannot_send_are_refused_before_anything_starts() {
    let dir = RunDir::new();
    let payments = PAYMENTS.join("\n");
    for (file, more, words) in [
        (
            "\n",
            &[][..],
            &["`plans/payments.jsonl`", "no line with a payload"][..],
        ),
        ("{}", &[], &["line 1: nothing at /user"]),
        (PAYMENTS[0], &[], &["keys: must be 1", "/user, not 2"]),
        (&payments, &["--key-skew", "1"], &["key_skew", "no effect"]),
        (
            &payments,
            &["--payload-size", "9"],
            &["--payload-size", "no effect"],
        ),
        (
            &payments,
            &["--payloads", "x"],
            &["--payloads", "the plan gives it on line"],
        ),
    ] {
        let plan = written(&dir, file);
        dir.run(&[&["run", plan.as_str(), "--out", "o"], more].concat())
            .assert_refused(words);
        assert!(!dir.path("o").exists(), "no journal");
    }
    let fields = ["run", "--strategy", "async", "--rpu", "40", "--io-delay", "10ms"];
    dir.run(&[&fields[..], &["--key-pointer", "/user"]].concat())
        .assert_refused(&["--key-pointer", "name a file by `payloads`"]);
    dir.run(&[&fields[..], &["--payloads", "absent", "--out", "o"]].concat())
        .assert_refused(&["payloads", "absent`: cannot be read: No such file"]);
    dir.assert_nothing_left();
}

fn sorted(texts: [&str; 3]) -> Vec<String> {
    let mut texts = texts.map(str::to_owned).to_vec();
    texts.sort();
    texts
}

/// Every file below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    };
    entries.flat_map(below).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_udf_is_measured_against_an_own_service_and_its_secret_is_in_no_file() {
    let (url, scored) = scoring().await;
    let dir = RunDir::new();
    let plan = written(&dir, &PAYMENTS.join("\n"));
    let token = dir.path("token");
    fs::write(&token, "t0ken\n").unwrap();
    // The trial's ENDPOINT_URL is in its environment too, and the flag stands above it.
    let udf = format!(
        "exec {} --method POST --url {url} --header 'Authorization: Bearer ${{file:{}}}' --body payload --answer /score \
         --result mean",
        text(&binary("udf")),
        token.display()
    );
    let ended = run(&dir, &plan, &udf, &["--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_measured(&dir, "o");
    let scored = std::mem::take(&mut *scored.lock().unwrap());
    assert_eq!(scored.keys().cloned().collect::<Vec<_>>(), sorted(PAYMENTS));
    assert!(!format!("{ended:?}").contains("t0ken"), "{ended:?}");
    let files = files(&dir.path("o"));
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let written = fs::read(&file).unwrap();
        assert!(
            !String::from_utf8_lossy(&written).contains("t0ken"),
            "{}",
            file.display()
        );
    }
}
