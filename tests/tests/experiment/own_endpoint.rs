//! The user's own endpoint: called in place of ours, checked before anything starts, never measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use tests::binary;
use trials::journal::{self, JournalLine};
use trials::outcome::TrialEnd;
use wire::EndpointStats;

use super::run_dir::{Ended, RunDir, text, tiny};

/// An endpoint that the test has started; killed when dropped.
pub struct Own {
    child: Child,
    pub address: SocketAddr,
}

impl Own {
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(binary("endpoint"))
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let announced: wire::AnnouncedAddress = serde_json::from_str(&line).unwrap();
        Self {
            child,
            address: announced.listening,
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives every connection the same answer, whatever the request, for the rest of the test.
fn answering(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        }
    });
    address
}

fn run_with(dir: &RunDir, plan: &str, url: &str) -> Ended {
    let plan = dir.plan(plan);
    dir.run(&["run", text(&plan), "--out", "o", "--endpoint-url", url])
}

/// Asserts one line that contains all of `words`, and that nothing was started or written.
fn assert_stopped_before(dir: &RunDir, ended: &Ended, status: i32, words: &[&str]) {
    assert_eq!(ended.status, Some(status), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "`{word}` is not in: {}",
            ended.stderr
        );
    }
    assert!(!dir.path("o").exists(), "no journal");
    dir.assert_nothing_left();
}

#[tokio::test]
async fn calls_go_to_it_and_it_is_not_measured() {
    let own = Own::start(&[]);
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let output = dir
        .command(&["run", text(&plan), "--out", "o"])
        .env("ENDPOINT_URL", format!("http://{}/", own.address))
        .output()
        .unwrap();
    let ended = Ended::of(&output);
    assert_eq!(ended.status, Some(0), "{ended:?}");

    let outcome = dir.outcomes("o").remove(0);
    assert_eq!(outcome.end, TrialEnd::Completed);
    let ledger = outcome.ledger.unwrap();
    assert!(
        ledger.balances() && ledger.ok >= 40 && ledger.failed == 0,
        "{ledger:?}"
    );
    let stats: EndpointStats = tests::get_json(&format!("http://{}/stats", own.address)).await;
    // Events of the window after the last may have been called without being in a record.
    assert!(
        (ledger.ok + 1..=61).contains(&stats.served),
        "one call to see whether it answers, then one for each event: {stats:?}"
    );
    let instruments = outcome.instruments.unwrap();
    assert_eq!(
        (instruments.endpoint_served, instruments.endpoint_excess),
        (None, None)
    );
    assert_eq!(
        outcome.cost.unwrap().calls,
        ledger.ok,
        "counted by the records' attempts"
    );
    let page = std::fs::read_to_string(dir.path("o/report.html")).unwrap();
    assert!(page.contains("not measured"));
    let facts = journal::read(&dir.path("o")).unwrap();
    let JournalLine::Run(facts) = &facts[0] else {
        panic!("{facts:?}")
    };
    assert!(facts.machine["endpoint"].contains(&own.address.to_string()));
    dir.assert_nothing_left();
}

#[test]
fn an_absent_endpoint_is_reported_before_anything_starts() {
    let dir = RunDir::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ended = run_with(&dir, &tiny("async"), &url);
    let words = ["--endpoint-url", &url, "cannot connect", "refused", "start"];
    assert_stopped_before(&dir, &ended, 1, &words);
}

#[test]
fn an_endpoint_without_http_or_ping_is_reported() {
    for (answer, words) in [
        (&b"220 mail.example.org ESMTP\r\n"[..], ["not HTTP", "correct"]),
        (b"", ["not HTTP", "correct"]),
        (
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            ["404", "/ping is missing"],
        ),
        (
            b"HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n",
            ["302", "2xx"],
        ),
    ] {
        let dir = RunDir::new();
        let url = format!("http://{}", answering(answer));
        let ended = run_with(&dir, &tiny("async"), &url);
        assert_stopped_before(&dir, &ended, 1, &["--endpoint-url", &url]);
        for word in words {
            assert!(ended.stderr.contains(word), "{ended:?}");
        }
    }
}

#[test]
fn an_endpoint_that_never_answers_is_waited_for_with_patience() {
    let dir = RunDir::new();
    let own = Own::start(&["--fail-hang", "1"]);
    let url = format!("http://{}", own.address);
    let plan = dir.plan(&tiny("async"));
    let args = [
        "run",
        text(&plan),
        "--out",
        "o",
        "--endpoint-url",
        &url,
        "--patience",
        "300ms",
    ];
    let ended = dir.run(&args);
    assert_stopped_before(&dir, &ended, 1, &["--endpoint-url", "no answer within 300ms"]);
}

#[test]
fn malformed_addresses_are_wrong_use() {
    let dir = RunDir::new();
    for url in [
        "",
        "127.0.0.1:9888",
        "ftp://127.0.0.1",
        "http://",
        "http://me:secret@host",
    ] {
        let ended = run_with(&dir, &tiny("async"), url);
        assert!(
            ended.status == Some(2) && ended.stderr.contains("--endpoint-url"),
            "{url}: {ended:?}"
        );
        assert!(!dir.path("o").exists());
    }
}

#[test]
fn what_only_our_endpoint_can_do_is_refused() {
    // Nothing needs to listen: the plan is refused first.
    let dir = RunDir::new();
    for setting in ["capacity: 5", "fail_status: 0.5"] {
        let plan = tiny("async").replace("max_workers: 50", &format!("max_workers: 50, {setting}"));
        let ended = run_with(&dir, &plan, "http://127.0.0.1:9");
        let name = setting.split(':').next().unwrap();
        assert_stopped_before(
            &dir,
            &ended,
            2,
            &["--endpoint-url", name, "take it out of the plan"],
        );
    }
}
