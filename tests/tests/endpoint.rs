//! The endpoint as its callers use it: the real binary over real sockets, with a client that shares no code with it.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::process::{ExitStatus, Output};
use std::time::{Duration, Instant};

use launcher::Child;
use rustix::process::Signal;
use tests::binary;
use tests::process::signal;
use tests::scrape::Scrape;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::{EndpointStats, Ranges};

/// Longer than any step here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One HTTP/1.1 connection that is kept alive.
struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    body: String,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    async fn send(&mut self, head: &str) -> io::Result<()> {
        self.stream
            .write_all(format!("{head}host: endpoint\r\n\r\n").as_bytes())
            .await
    }

    async fn read(&mut self) -> io::Result<Reply> {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().unwrap();
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Reply {
            status,
            body: String::from_utf8(body).unwrap(),
        })
    }

    async fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.get_as(path, "").await
    }

    async fn get_as(&mut self, path: &str, headers: &str) -> io::Result<Reply> {
        self.send(&format!("GET {path} HTTP/1.1\r\n{headers}")).await?;
        timeout(PATIENCE, self.read()).await.expect("an answer in time")
    }

    async fn stats(&mut self) -> EndpointStats {
        serde_json::from_str(&self.get("/stats").await.unwrap().body).unwrap()
    }

    /// Requests the statistics until they are as expected.
    async fn stats_where(&mut self, wanted: impl Fn(&EndpointStats) -> bool) -> EndpointStats {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats().await;
            if wanted(&stats) {
                return stats;
            }
            assert!(Instant::now() < deadline, "still {stats:?}");
            tokio::task::yield_now().await;
        }
    }

    async fn metric(&mut self, sample: &str) -> u64 {
        Scrape::parse(self.get("/metrics").await.unwrap().body).value(sample) as u64
    }
}

async fn start(args: &[&str]) -> (Child, SocketAddr) {
    let args = [&["--listen", "127.0.0.1:0", "--stop-on-stdin-close"], args].concat();
    let mut running = tests::start("endpoint", &args);
    let address = tests::address(&mut running).await;
    (running, address)
}

async fn ended(running: &mut Child) -> ExitStatus {
    timeout(PATIENCE, running.wait())
        .await
        .expect("it ends in time")
        .unwrap()
}

fn refused(args: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = assert_cmd::Command::new(binary("endpoint"))
        .args(args)
        .timeout(PATIENCE)
        .output()
        .unwrap();
    assert!(stdout.is_empty(), "nothing is announced");
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn no_answer_is_early_and_short_delays_are_kept_beside_many_waiting_calls() {
    let (_running, address) = start(&[]).await;
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut client = Client::connect(address).await;
        client.send("GET /ping?delay=1h HTTP/1.1\r\n").await.unwrap();
        waiting.push(client);
    }
    let mut client = Client::connect(address).await;
    client.stats_where(|stats| stats.in_flight == 200).await;
    let delays = ["200us", "1ms", "uniform(100us,300us)", "1.5ms"];
    for round in 0..400 {
        let text = delays[round % delays.len()];
        let shortest = text.parse::<wire::Delay>().unwrap().quantile(0.0);
        let sent = Instant::now();
        let reply = client.get(&format!("/ping?delay={text}")).await.unwrap();
        assert!(sent.elapsed() >= shortest, "{text} took {:?}", sent.elapsed());
        assert_eq!((reply.status, reply.body.as_str()), (200, "pong\n"));
    }
    let stats = client.stats().await;
    assert_eq!(
        (stats.served, stats.in_flight, stats.peak_in_flight),
        (400, 200, 201)
    );
    assert_eq!(client.metric("endpoint_calls_in_service").await, 200);
    let peak = client.metric("endpoint_calls_in_service_peak").await;
    assert_eq!(peak, 201, "without a capacity all are served at once");
    assert!(client.metric("process_resident_memory_bytes").await > 1_000_000);
    assert_eq!(client.metric("endpoint_build_info{version=\"0.1.0\"}").await, 1);
    let [asked, given, excess] = [&stats.delay.asked, &stats.delay.given, &stats.delay.excess];
    assert_eq!((asked.count(), given.count(), excess.count()), (400, 400, 400));
    assert_eq!(asked.max(), Some(Duration::from_micros(1_500)));
    assert!(given.max() >= asked.max());
    // A timer of whole milliseconds would be 0.5 ms late on average; the machine may be busy.
    let median = excess.quantile(0.5).unwrap();
    assert!(
        median < Duration::from_millis(2),
        "half of the calls were more than {median:?} late"
    );
}

#[tokio::test]
async fn the_default_delay_is_that_of_the_setting_and_no_delay_is_capped() {
    let (_running, address) = start(&["--io-delay", "2100ms"]).await;
    let (mut by_default, mut by_call, mut fast) = (
        Client::connect(address).await,
        Client::connect(address).await,
        Client::connect(address).await,
    );
    let sent = Instant::now();
    let (default_reply, call_reply, fast_reply) =
        tokio::join!(by_default.get("/ping"), by_call.get("/ping?delay=2s"), async {
            let reply = fast.get("/ping?delay=0").await;
            (reply, sent.elapsed())
        });
    assert!(
        sent.elapsed() >= Duration::from_millis(2_100),
        "{:?}",
        sent.elapsed()
    );
    assert_eq!(
        (
            default_reply.unwrap().status,
            call_reply.unwrap().status,
            fast_reply.0.unwrap().status
        ),
        (200, 200, 200)
    );
    assert!(
        fast_reply.1 < Duration::from_secs(2),
        "a call's own delay goes before the default"
    );
    let asked = fast.stats().await.delay.asked;
    // Histograms hold three digits.
    assert!(asked.max().unwrap().abs_diff(Duration::from_millis(2_100)) < Duration::from_millis(3));
    assert_eq!(asked.quantile(0.01), Some(Duration::ZERO));
}

#[tokio::test]
async fn calls_above_the_capacity_wait_for_their_turn() {
    let (_running, address) = start(&["--capacity", "2"]).await;
    let delay = Duration::from_millis(300);
    let sent = Instant::now();
    let calls: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn(async move {
                Client::connect(address)
                    .await
                    .get("/ping?delay=300ms")
                    .await
                    .unwrap()
                    .status
            })
        })
        .collect();
    let mut client = Client::connect(address).await;
    client.stats_where(|stats| stats.in_flight == 6).await;
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert!(
        sent.elapsed() >= delay * 3,
        "six calls, two at once: {:?}",
        sent.elapsed()
    );
    let stats = client.stats().await;
    assert_eq!((stats.served, stats.in_flight, stats.peak_in_flight), (6, 0, 6));
    assert_eq!(client.metric("endpoint_calls_in_service_peak").await, 2);
    assert_eq!(client.metric("endpoint_calls_in_service").await, 0);
    assert!(
        stats.delay.given.max().unwrap() >= delay * 2,
        "waiting is part of what was given"
    );
    assert!(
        stats.delay.excess.max().unwrap() < delay,
        "and no part of the excess"
    );
}

#[tokio::test]
async fn a_caller_that_leaves_frees_its_place() {
    let (_running, address) = start(&["--capacity", "1"]).await;
    let mut client = Client::connect(address).await;
    let mut impatient = Client::connect(address).await;
    impatient.send("GET /ping?delay=1h HTTP/1.1\r\n").await.unwrap();
    client.stats_where(|stats| stats.in_flight == 1).await;
    drop(impatient);
    assert_eq!(client.get("/ping").await.unwrap().status, 200);
    let stats = client.stats().await;
    assert_eq!((stats.served, stats.in_flight), (1, 0));
    assert_eq!(client.metric("endpoint_calls_abandoned_total").await, 1);
}

#[tokio::test]
async fn each_failure_is_what_its_name_says() {
    let (_running, address) = start(&["--fail-status", "1", "--fail-status-code", "503"]).await;
    let mut client = Client::connect(address).await;
    for _ in 0..2 {
        assert_eq!(
            client.get("/ping").await.unwrap().status,
            503,
            "on a connection that goes on"
        );
    }
    assert_eq!(client.stats().await.failures["status"], 2);

    let (_running, address) = start(&["--fail-reset", "100%"]).await;
    let error = Client::connect(address)
        .await
        .get("/ping?delay=1ms")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(Client::connect(address).await.stats().await.failures["reset"], 1);

    let (_running, address) = start(&["--fail-body", "1"]).await;
    let mut client = Client::connect(address).await;
    client.send("GET /ping HTTP/1.1\r\n").await.unwrap();
    let mut text = String::new();
    timeout(PATIENCE, client.stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: 64"),
        "{head}"
    );
    assert_eq!(body, "pong, bu");

    let (_running, address) = start(&["--fail-hang", "1"]).await;
    let mut client = Client::connect(address).await;
    client.send("GET /ping HTTP/1.1\r\n").await.unwrap();
    let mut other = Client::connect(address).await;
    let stats = other.stats_where(|stats| stats.failures["hang"] == 1).await;
    assert_eq!((stats.served, stats.in_flight), (0, 1));
    assert!(
        timeout(Duration::from_millis(300), client.read()).await.is_err(),
        "no answer"
    );
    drop(client);
    other.stats_where(|stats| stats.in_flight == 0).await;
}

#[tokio::test]
async fn a_seed_repeats_failures_and_random_delays() {
    async fn outcomes(seed: &str) -> (Vec<u16>, BTreeMap<String, u64>, Option<Duration>) {
        let args = [
            "--fail-status",
            "30%",
            "--io-delay",
            "exponential(100us)",
            "--seed",
            seed,
        ];
        let (_running, address) = start(&args).await;
        let mut client = Client::connect(address).await;
        let mut statuses = Vec::new();
        for _ in 0..200 {
            statuses.push(client.get("/ping").await.unwrap().status);
        }
        let stats = client.stats().await;
        (statuses, stats.failures, stats.delay.asked.quantile(0.9))
    }
    let first = outcomes("7").await;
    assert_eq!(first, outcomes("7").await);
    let other = outcomes("8").await;
    assert_ne!(first.0, other.0);
    assert_ne!(first.2, other.2);
    let failed = first.0.iter().filter(|status| **status == 500).count() as u64;
    assert_eq!(first.1["status"], failed);
    // Six standard deviations of the binomial count around 60.
    assert!((21..=99).contains(&failed), "{failed} of 200");
}

#[tokio::test]
async fn repeats_are_counted_by_generator() {
    let (_running, address) = start(&[]).await;
    let mut client = Client::connect(address).await;
    for (generator, index) in [(7, 0), (7, 1), (9, 0), (7, 1), (7, 3), (7, 1)] {
        let header = format!(
            "{}: {}\r\n",
            wire::IDEMPOTENCY_KEY,
            wire::idempotency_key(generator, index)
        );
        assert_eq!(client.get_as("/ping", &header).await.unwrap().status, 200);
    }
    assert_eq!(
        client
            .get_as("/ping", "idempotency-key: of-another-kind\r\n")
            .await
            .unwrap()
            .status,
        200
    );
    let stats = client.stats().await;
    assert_eq!(stats.served, 7);
    assert_eq!(stats.repeats, BTreeMap::from([(7, 2), (9, 0)]));
    assert_eq!(
        stats.called,
        BTreeMap::from([(7, "0-1,3".parse().unwrap()), (9, Ranges::span(0, 0))])
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_reason() {
    let (_running, address) = start(&["--io-delay", "1h"]).await;
    let mut client = Client::connect(address).await;
    for (path, status, reason) in [
        ("/ping?delay=1sec", 400, "`1sec` is not a duration"),
        ("/ping?delay=-1s", 400, "`-1s`"),
        ("/ping?delay=25h", 400, "out of range"),
        ("/ping?delay=", 400, "is not a duration"),
        (
            "/ping?delay=trace(/etc/hostname)",
            400,
            "only a plan and the flag --io-delay of `experiment` can name a file",
        ),
        ("/ping?delay=uniform(2s,1s)", 400, "must not fall"),
        ("/ping?dealy=1s", 400, "unknown parameter `dealy`"),
        ("/ping?delay=1s&delay=2s", 400, "more than once"),
        ("/pong?delay=1sec", 400, "`1sec` is not a duration"),
        ("/healthz", 200, "ok"),
    ] {
        let reply = client.get(path).await.unwrap();
        assert_eq!(reply.status, status, "{path}: {reply:?}");
        assert!(reply.body.contains(reason), "{path}: {reply:?}");
    }
    client.send("POST /stats HTTP/1.1\r\n").await.unwrap();
    assert_eq!(client.read().await.unwrap().status, 405);
    let stats = client.stats().await;
    assert_eq!((stats.served, stats.peak_in_flight), (0, 0));
    assert_eq!(
        client
            .metric("endpoint_calls_refused_total{reason=\"query\"}")
            .await,
        9
    );
}

#[tokio::test]
async fn wrong_use_ends_with_2_and_a_taken_port_with_1() {
    for (args, named) in [
        (&["--io-dealy", "1s"][..], "--io-dealy"),
        (&["--io-delay", "1sec"], "--io-delay"),
        (&["--io-delay", "1e99s"], "--io-delay"),
        (&["--capacity", "0"], "--capacity"),
        (&["--fail-status", "2"], "--fail-status"),
        (&["--fail-status-code", "200"], "--fail-status-code"),
        (&["--fail-status", "0.6", "--fail-body", "60%"], "--fail-status"),
        (&["--listen", "here"], "--listen"),
    ] {
        let (code, stderr) = refused(args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(
            stderr.contains(named) && !stderr.contains("panicked"),
            "{args:?}: {stderr}"
        );
    }
    let (_running, address) = start(&[]).await;
    let address = address.to_string();
    let (code, stderr) = tokio::task::spawn_blocking({
        let address = address.clone();
        move || refused(&["--listen", &address])
    })
    .await
    .unwrap();
    assert_eq!(code, Some(1));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains(&address) && stderr.contains("taken") && stderr.contains("--listen"),
        "{stderr}"
    );
}

#[tokio::test]
async fn the_end_of_stdin_lets_calls_in_flight_be_answered() {
    let (mut running, address) = start(&[]).await;
    let mut client = Client::connect(address).await;
    let mut idle = Client::connect(address).await;
    client.send("GET /ping?delay=500ms HTTP/1.1\r\n").await.unwrap();
    idle.stats_where(|stats| stats.in_flight == 1).await;
    running.close_stdin();
    assert_eq!(
        idle.stream.read_u8().await.unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof,
        "idle connections end"
    );
    assert_eq!(client.read().await.unwrap().status, 200);
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nothing new is accepted"
    );
    assert_eq!(ended(&mut running).await.code(), Some(0));
}

#[tokio::test]
async fn a_signal_ends_it_while_stdin_is_open_and_calls_would_take_hours() {
    let (mut running, address) = start(&["--stop-grace", "200ms"]).await;
    let mut client = Client::connect(address).await;
    client.send("GET /ping?delay=1h HTTP/1.1\r\n").await.unwrap();
    Client::connect(address)
        .await
        .stats_where(|stats| stats.in_flight == 1)
        .await;
    signal(running.id().unwrap(), Signal::TERM);
    assert_eq!(ended(&mut running).await.code(), Some(0));
    assert!(client.read().await.is_err());
}

#[tokio::test]
async fn hanging_calls_do_not_hold_up_the_end() {
    let (mut running, address) = start(&["--fail-hang", "1", "--stop-grace", "1h"]).await;
    let mut client = Client::connect(address).await;
    client.send("GET /ping HTTP/1.1\r\n").await.unwrap();
    Client::connect(address)
        .await
        .stats_where(|stats| stats.in_flight == 1)
        .await;
    running.close_stdin();
    assert_eq!(ended(&mut running).await.code(), Some(0));
    assert!(client.read().await.is_err());
}
