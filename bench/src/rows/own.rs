//! Programs of a user's own with the user's events: a call of a service, and an unchanged function in another language.

use wire::{StrategyKind, Workload};

use super::Bench;
use super::calls::{Contest, FLOOR, bare_call};
use crate::child::{PATIENCE, spawn};
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::payments::{self, PAYMENT_BYTES};
use crate::pipeline::{TOKEN, folder};
use crate::programs::Udf;

/// `async` with as many calls at once as our default: payments are posted, and the scores that come back are averaged.
pub async fn score(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let folder = folder()?;
    let mut contest = Contest::new("score", StrategyKind::Async, 1_000, 2);
    contest.load.payloads = Some(payments::write(folder.path())?);
    let (fast, reqwest) = (Udf::Score, Udf::ScoreReqwest);
    let (go, python) = (Udf::ScoreGo, Udf::ScorePython);
    let (bytes, authorization) = (PAYMENT_BYTES.to_string(), format!("Bearer {TOKEN}"));
    let request = [
        "--path",
        "/score",
        "--post-bytes",
        &bytes,
        "--authorization",
        &authorization,
    ];
    let mut bare_call_us = Vec::new();
    for _ in 0..bench.rounds {
        for udf in [fast, reqwest, go, python, Udf::Counter] {
            contest.run(bench, udf).await?;
        }
        bare_call_us.push(bare_call(bench, &request).await?);
    }
    let cpu = |ours, peer: Udf, goal| contest.cpu_line(ours, peer.name(), contest.cpu(peer), goal);
    Ok(vec![
        contest.rate_line(fast, go, Goal::AtLeastTimes(2.5)),
        contest.rate_line(fast, python, Goal::AtLeastTimes(20.0)),
        cpu(fast, go, Goal::AtMostTimes(0.25)),
        cpu(fast, python, Goal::Seen),
        contest.cpu_line(fast, FLOOR, contest.floor(&bare_call_us), Goal::Seen),
        contest.rate_line(reqwest, go, Goal::AtLeastTimes(1.5)),
        contest.rate_line(reqwest, python, Goal::AtLeastTimes(10.0)),
        cpu(reqwest, go, Goal::Seen),
    ])
}

/// `process-pool` with a worker in Python for each core, whose function takes no time.
pub async fn legacy_python(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let folder = folder()?;
    let cores = vertex::machine::cores().get() as u64;
    let mut contest = Contest::new("legacy-python", StrategyKind::ProcessPool, cores, 1);
    // Workers call no endpoint.
    contest.work.workload = Workload::Cpu;
    contest.load.payloads = Some(payments::write(folder.path())?);
    // Few processes at work are what the system's scheduler disturbs most.
    let mut bare = Vec::new();
    for _ in 0..2 * bench.rounds {
        for udf in [Udf::Worker, Udf::PythonLegacy] {
            contest.run(bench, udf).await?;
        }
        bare.extend(bare_loops(bench, cores).await?);
    }
    let (ours, peer) = (Udf::Worker, Udf::PythonLegacy);
    Ok(vec![
        contest.rate_line(ours, peer, Goal::AtLeastTimes(8.0)),
        Line::alone(
            contest.row,
            "the same",
            contest.rate(ours),
            Goal::AtLeast(20_000.0),
        ),
        Line::beside(
            contest.row,
            "the same",
            contest.rate(ours),
            "the function in a bare Python loop on each core",
            Figure::of(Unit::PerSecond, &bare),
            Goal::Seen,
        ),
        contest.cpu_line(ours, peer.name(), contest.cpu(peer), Goal::Seen),
    ])
}

/// Calls per second of the function on payments in memory by as many Python processes; `None` if there is no Python.
async fn bare_loops(bench: &Bench, processes: u64) -> Result<Option<f64>, BenchError> {
    let Some(mut command) = bench.programs.bare_python() else {
        return Ok(None);
    };
    let time = bench.time(1.0);
    command.args([processes.to_string(), time.as_secs_f64().to_string()]);
    let mut bare = spawn("bare Python loop", command)?;
    let rate = bare.read_json("its calls", time + PATIENCE).await?;
    bare.kill().await;
    Ok(Some(rate))
}
