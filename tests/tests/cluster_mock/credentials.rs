//! Credentials that expire, refusals that persist, and what the API server reports to watches alone.

use std::time::Duration;

use tests::kube::{NUMAFLOW, Trouble};
use tests::proxy::Proxy;

use super::fixture::{Fixture, assert_whole};
use super::leftovers::expire;
use super::run_dir::{Ended, text};

/// More refusals than a run makes requests.
const ALL: usize = 100_000;

/// A run of this length still waits for the hour that the server requests. It is killed.
const TOO_LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_reported_before_anything_is_created() {
    let fixture = Fixture::new(Trouble {
        refusals: vec![401; ALL],
        ..Trouble::default()
    })
    .await;
    let ended = fixture.run("async", &["--patience", "2s"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(
        ended.stderr.contains("credentials") && ended.stderr.contains("log in"),
        "{ended:?}"
    );
    assert!(
        !ended.stderr.contains("not-a-secret"),
        "not the token itself: {ended:?}"
    );
    fixture.assert_nothing_left();
}

/// A run whose every request is refused; returns the number of its requests.
async fn refused_with(code: u16) -> usize {
    let fixture = Fixture::new(Trouble {
        refusals: vec![code; ALL],
        ..Trouble::default()
    })
    .await;
    let plan = fixture.plan("async");
    let command = fixture.command(&["run", text(&plan), "--engine", "cluster", "--out", "o"]);
    let mut command = assert_cmd::Command::from_std(command);
    command.timeout(TOO_LONG);
    let ended = Ended::of(&tokio::task::block_in_place(|| command.output().unwrap()));
    assert_eq!(ended.status, Some(1), "{code}: {ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{code}: {ended:?}");
    for words in ["Numaflow's API", "the server is not itself"] {
        assert!(ended.stderr.contains(words), "{code}: {ended:?}");
    }
    fixture.assert_nothing_left();
    let seen = fixture.cluster.seen();
    assert!(
        seen.iter().all(|line| line.ends_with(&format!(" {code}"))),
        "{seen:#?}"
    );
    seen.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_stay_end_a_run_in_one_sentence() {
    let runs = [429, 500, 503, 504].map(|code| (code, tokio::spawn(refused_with(code))));
    for (code, run) in runs {
        assert_eq!(run.await.unwrap(), 6, "{code}: asked, and asked again five times");
    }
    assert_eq!(refused_with(410).await, 1, "what is gone is not asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_midway_fails_the_trial_and_the_next_run_cleans_up() {
    let fixture = Fixture::new(Trouble::default()).await;
    let (mut child, mut lines) = fixture.start("async", &[]);
    let pipeline = fixture.await_pipeline();
    fixture
        .cluster
        .trouble(|trouble| trouble.refusals = vec![401; ALL]);
    let heard = tokio::task::block_in_place(|| lines.by_ref().map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(child.wait().unwrap().code(), Some(1), "{heard:#?}");
    assert!(
        heard.iter().any(|line| line.contains("credentials")),
        "{heard:#?}"
    );
    assert!(
        !heard.iter().any(|line| line.contains("not-a-secret")),
        "{heard:#?}"
    );
    // Without a token nothing could be removed, and the labels of what is left name its run.
    assert_eq!(fixture.cluster.list(NUMAFLOW, "pipelines").len(), 1);

    fixture.cluster.trouble(|trouble| trouble.refusals.clear());
    let run = pipeline["metadata"]["labels"]["async-reduce/run"]
        .as_str()
        .unwrap();
    expire(&fixture, run);
    let ended = fixture.experiment(&["clean"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let resumed = fixture.run("async", &["--resume"]);
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    assert_whole(fixture.outcomes().last().unwrap());
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_watched_so_that_no_watch_can_be_dropped_or_gone() {
    let fixture = Fixture::new(Trouble::default()).await;
    let ended = fixture.run("async", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_whole(&fixture.outcomes()[0]);
    let seen = fixture.cluster.seen();
    assert!(seen.iter().any(|line| line.starts_with("GET ")), "{seen:#?}");
    assert!(!seen.iter().any(|line| line.starts_with("WATCH ")), "{seen:#?}");
    fixture.assert_nothing_left();
}

/// A kubeconfig whose API server has a name that only a proxy knows.
fn behind_a_name(fixture: &Fixture) {
    let path = fixture.dir.path("kubeconfig");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("127.0.0.1"), "{text}");
    std::fs::write(&path, text.replace("127.0.0.1", "api.invalid")).unwrap();
}

/// `experiment clean` with these variables.
fn clean(fixture: &Fixture, variables: &[(&str, &str)]) -> Ended {
    let mut command = fixture.command(&["clean"]);
    command.envs(variables.iter().copied());
    Ended::of(&tokio::task::block_in_place(|| command.output().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_reached_through_the_proxy_of_the_usual_variables() {
    let fixture = Fixture::new(Trouble::default()).await;
    let proxy = Proxy::start(fixture.cluster.address).await;
    let url = format!("http://{}", proxy.address);
    let all = |no_proxy: &'static str| [("ALL_PROXY", url.as_str()), ("NO_PROXY", no_proxy)];

    let direct = clean(&fixture, &all(""));
    assert_eq!(direct.status, Some(0), "{direct:?}");
    assert_eq!(
        proxy.requests(),
        Vec::<String>::new(),
        "not to a loopback address"
    );

    behind_a_name(&fixture);
    // An exception for the proxy's own address is none for the API server.
    let proxied = clean(&fixture, &all("127.0.0.1"));
    assert_eq!(proxied.status, Some(0), "{proxied:?}");
    let seen = proxy.requests();
    assert!(
        !seen.is_empty() && seen.iter().all(|line| line.starts_with("CONNECT api.invalid:")),
        "{seen:?}"
    );
    let excepted = clean(&fixture, &all("api.invalid"));
    assert_eq!(excepted.status, Some(1), "{excepted:?}");
    assert!(excepted.stderr.contains("cannot be reached"), "{excepted:?}");
    assert_eq!(proxy.requests().len(), seen.len());
    let malformed = clean(&fixture, &[("HTTPS_PROXY", "http://[")]);
    assert_eq!(malformed.status, Some(2), "{malformed:?}");
    assert!(malformed.stderr.contains("PROXY"), "{malformed:?}");
}
