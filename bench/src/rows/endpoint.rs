//! The endpoint's delay beside the requested one, and its rate beside a minimal server.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wire::EndpointStats;

use super::Bench;
use super::calls::bare_calls;
use crate::child::{address, spawn};
use crate::cost;
use crate::error::BenchError;
use crate::figure::{Figure, Unit, quantile};
use crate::line::{Goal, Line};
use crate::paced::{self, Pace};
use crate::pipeline::endpoint_command;

const DELAY_ROW: &str = "endpoint-delay";
const RATE_ROW: &str = "endpoint-rate";

/// Calls of a second that wait while others are measured.
const WAITING: u32 = 1_000;

/// Delay of those calls.
const LONG: Duration = Duration::from_secs(1);

/// Requested delay of the measured calls.
const ASKED: Duration = Duration::from_micros(200);

/// One round: the endpoint's own statistics, and the sorted latencies of callers and of a sleeping thread.
struct Delays {
    stats: EndpointStats,
    latencies: Vec<Duration>,
    waits: Vec<Duration>,
}

/// 10,000 calls per second with a delay of 200 µs, beside 1,000 waiting calls; then an idle endpoint.
pub async fn delay(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let (mut rounds, mut idle_share) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let mut endpoint = spawn("endpoint", endpoint_command(&bench.programs))?;
        rounds.push(delays(address(&mut endpoint).await?, bench.time(2.0)).await?);
        // Closing the connections takes time too; it does not count as idle.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (before, idle) = (cost::of(&endpoint)?, bench.time(2.0));
        tokio::time::sleep(idle).await;
        idle_share.push(cost::of(&endpoint)?.since(before).time.as_secs_f64() / idle.as_secs_f64());
        endpoint.kill().await;
    }
    let us = |of: &dyn Fn(&Delays) -> Option<Duration>| -> Vec<f64> {
        let of_rounds = rounds.iter().filter_map(of);
        of_rounds.map(|time| time.as_secs_f64() * 1e6).collect()
    };
    let beyond = |fraction: f64| -> Vec<f64> {
        let latencies = us(&|round| quantile(&round.latencies, fraction));
        let asked_us = ASKED.as_secs_f64() * 1e6;
        latencies.iter().map(|latency| latency - asked_us).collect()
    };
    let by_its_statistics = |name: &str, fraction: f64, goal| {
        Line::beside(
            DELAY_ROW,
            format!("beyond 200 µs by its own account, {name}"),
            Figure::of(
                Unit::Micros,
                &us(&|round| round.stats.delay.excess.quantile(fraction)),
            ),
            "bare thread that sleeps 200 µs meanwhile",
            Figure::of(Unit::Micros, &us(&|round| quantile(&round.waits, fraction))),
            goal,
        )
    };
    let at_the_caller = |name: &str, us: &[f64], goal| {
        let what = format!("beyond 200 µs at the caller, {name}");
        Line::alone(DELAY_ROW, what, Figure::of(Unit::Micros, us), goal)
    };
    let least = beyond(0.0).into_iter().reduce(f64::min);
    let share = Figure::of(Unit::Share, &idle_share);
    Ok(vec![
        by_its_statistics("p50", 0.5, Goal::AtMost(50.0)),
        by_its_statistics("p99", 0.99, Goal::AtMost(500.0)),
        at_the_caller("least", least.as_slice(), Goal::AtLeast(0.0)),
        at_the_caller("p50", &beyond(0.5), Goal::Seen),
        at_the_caller("p99", &beyond(0.99), Goal::Seen),
        Line::alone(DELAY_ROW, "share of a core when idle", share, Goal::AtMost(0.005)),
    ])
}

/// Measures one endpoint for `time`.
async fn delays(address: SocketAddr, time: Duration) -> Result<Delays, BenchError> {
    let mut waiting = JoinSet::new();
    for waiter in 0..WAITING {
        // Spread over a second: started together, they would compete with the measured calls instead of waiting.
        let begin = LONG * waiter / WAITING;
        waiting.spawn(async move {
            tokio::time::sleep(begin).await;
            wait(address).await
        });
    }
    tokio::time::sleep(LONG).await;
    let pace = Pace {
        address,
        path: "/ping?delay=200us",
        threads: 40,
        per_second: 10_000,
        time,
    };
    let (latencies, waits) = blocking(address, move || beside_waits(pace)).await?;
    let stats = blocking(address, move || paced::get(address, "/stats")).await?;
    waiting.shutdown().await;
    let stats = serde_json::from_slice(&stats).map_err(|error| BenchError::Request {
        url: format!("http://{address}/stats"),
        reason: error.to_string(),
    })?;
    Ok(Delays {
        stats,
        latencies,
        waits,
    })
}

/// The sorted latencies of the calls, and by how much a thread overslept that only sleeps for the same delay: the
/// inaccuracy of the system's timer and scheduler at that time.
fn beside_waits(pace: Pace) -> std::io::Result<(Vec<Duration>, Vec<Duration>)> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut excesses = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                std::thread::sleep(ASKED);
                excesses.push(begun.elapsed().saturating_sub(ASKED));
            }
            excesses.sort_unstable();
            excesses
        });
        let latencies = paced::latencies(pace);
        done.store(true, Ordering::Relaxed);
        let waits = waiter
            .join()
            .map_err(|_| std::io::Error::other("the thread that sleeps panicked"))?;
        Ok((latencies?, waits))
    })
}

/// One call of a second after another, until the task is aborted.
async fn wait(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /ping?delay=1s HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut answer = [0; 4096];
    loop {
        stream.write_all(request.as_bytes()).await?;
        // An answer is far smaller than a packet.
        if stream.read(&mut answer).await? == 0 {
            return Ok(());
        }
    }
}

async fn blocking<T: Send + 'static>(
    address: SocketAddr,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, BenchError> {
    let failed = |reason: String| BenchError::Request {
        url: format!("http://{address}"),
        reason,
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))
}

/// Answers per second to the same client.
pub async fn rate(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let (mut ours, mut bare, mut ours_us, mut bare_us) = (vec![], vec![], vec![], vec![]);
    // Many short rounds: the difference between the servers is smaller than the machine's variation from second to
    // second.
    for _ in 0..5 * bench.rounds {
        for (server, rates, costs_us) in [
            (endpoint_command(&bench.programs), &mut ours, &mut ours_us),
            (bench.programs.bare("server"), &mut bare, &mut bare_us),
        ] {
            let (said, server_us) = bare_calls(&bench.programs, server, bench.time(0.5), &[]).await?;
            rates.push(said.calls as f64 / said.seconds);
            costs_us.push(server_us);
        }
    }
    let rate = |values: &[f64]| Figure::of(Unit::PerSecond, values);
    let cost = |values: &[f64]| Figure::of(Unit::Micros, values);
    Ok(vec![
        Line::beside(
            RATE_ROW,
            "replies/s to a bare hyper loop",
            rate(&ours),
            "bare hyper server",
            rate(&bare),
            Goal::AtLeastTimes(0.9),
        ),
        Line::beside(
            RATE_ROW,
            "processor time per reply",
            cost(&ours_us),
            "bare hyper server",
            cost(&bare_us),
            Goal::Seen,
        ),
    ])
}
