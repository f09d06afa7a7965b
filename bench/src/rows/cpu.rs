//! A millisecond of processor time for each event: how much of the cores' capacity comes through, and how long windows take
//! to close.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wire::{StartRule, StrategyKind};

use super::Bench;
use super::tails::{Ask, close_tails_ms};
use crate::cost::{self, Machine};
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::{Load, Pipeline, Work, generator};
use crate::programs::Udf;
use crate::reader::ask_ready;

const ROW: &str = "cpu";

/// Processor time of an event.
const EACH: Duration = Duration::from_millis(1);

/// For windows of a second and more.
const PATIENCE: Duration = Duration::from_secs(30);

/// The cores' capacity, then the close tail of every strategy.
pub async fn burnt(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut lines = vec![capacity(bench).await?];
    for strategy in [
        StrategyKind::Async,
        StrategyKind::ThreadPool,
        StrategyKind::ProcessPool,
        StrategyKind::Sequential,
    ] {
        lines.push(tail(bench, strategy).await?);
    }
    for offload in [true, false] {
        let moved = if offload { "offloaded" } else { "on the runtime" };
        let answers = answers_ms(bench, offload).await?;
        lines.push(Line::alone(
            ROW,
            format!("answer to IsReady while async calls burn, {moved}, slowest"),
            answers,
            Goal::Seen,
        ));
    }
    Ok(lines)
}

/// The slowest answer of the UDF's server while calls hold the cores: whether the SDK's streams go on.
async fn answers_ms(bench: &Bench, offload: bool) -> Result<Option<Figure>, BenchError> {
    let Some(udf) = bench.programs.udf(Udf::Ours) else {
        return Ok(None);
    };
    let load = Load::windows_of_thousands(1);
    let mut work = Work::cpu(StrategyKind::Async, 1_000, EACH);
    work.more.push(("CPU_OFFLOAD", offload.to_string()));
    let source = generator(&bench.programs, &load);
    let mut pipeline = Pipeline::start(&bench.programs, &load, source, udf, &work).await?;
    let slowest_us = AtomicU64::new(0);
    let sockets = pipeline.sockets.reduce.clone();
    let asking = ask_ready(&sockets, |answer| {
        let us = u64::try_from(answer.as_micros()).unwrap_or(u64::MAX);
        slowest_us.fetch_max(us, Ordering::Relaxed);
    });
    let measured = tokio::select! {
        reason = asking => return Err(BenchError::DataPlane { reason, tail: pipeline.udf.tail() }),
        measured = pipeline.measure(1, 1, bench.time(1.5), PATIENCE) => measured,
    };
    measured?;
    pipeline.end().await?;
    let slowest_ms = slowest_us.into_inner() as f64 / 1e3;
    Ok(Figure::of(Unit::Millis, &[slowest_ms]))
}

/// The share of the processors' time that this machine had, of what it wanted: others on the same hardware may have
/// had the rest, which no strategy can use.
fn had_since(before: Option<Machine>) -> f64 {
    let stolen = cost::machine()
        .zip(before)
        .map(|(now, before)| now.stolen_since(before));
    1.0 - stolen.unwrap_or(0.0)
}

async fn capacity(bench: &Bench) -> Result<Line, BenchError> {
    let cores = experiment::machine::cores().get();
    let work = Work {
        start_rule: StartRule::AtArrival,
        ..Work::cpu(StrategyKind::ProcessPool, cores as u64, EACH)
    };
    let load = Load::windows_of_thousands(2);
    let mut shares = Vec::new();
    for _ in 0..bench.number(2) {
        let Some(udf) = bench.programs.udf(Udf::Ours) else {
            break;
        };
        let source = generator(&bench.programs, &load);
        let mut pipeline = Pipeline::start(&bench.programs, &load, source, udf, &work).await?;
        let before = cost::machine();
        let span = pipeline.measure(1, 1, bench.time(4.0), PATIENCE).await?;
        let had = cores as f64 * had_since(before);
        pipeline.end().await?;
        shares.push(span.rate() * EACH.as_secs_f64() / had);
    }
    Ok(Line::alone(
        ROW,
        "share of the cores' capacity less what was stolen, process-pool, windows of 2,000",
        Figure::of(Unit::Share, &shares),
        Goal::AtLeast(0.95),
    ))
}

async fn tail(bench: &Bench, strategy: StrategyKind) -> Result<Line, BenchError> {
    let cores = experiment::machine::cores().get() as u64;
    let (at_once, workers) = match strategy {
        StrategyKind::Sequential => (1, 1),
        // More calls than cores, as there would be with any workload.
        StrategyKind::Async => (cores, 1_000),
        StrategyKind::ThreadPool | StrategyKind::ProcessPool => (cores, cores),
    };
    let mut work = Work::cpu(strategy, workers, EACH);
    if strategy == StrategyKind::Async {
        work.more.push(("CPU_OFFLOAD", "true".to_owned()));
    }
    let ask = Ask {
        udf: Udf::Ours,
        load: Load::windows_of_thousands(1),
        work,
        warm_up: 1,
        windows: bench.number(3),
        patience: PATIENCE,
    };
    let before = cost::machine();
    let tails = close_tails_ms(bench, &ask).await?;
    let bound_ms = 1_000.0 * EACH.as_secs_f64() * 1e3 / (at_once as f64 * had_since(before));
    let moved = if strategy == StrategyKind::Async {
        ", offloaded"
    } else {
        ""
    };
    Ok(Line::beside(
        ROW,
        format!("close tail of 1,000 events at close, {strategy}{moved}"),
        Figure::of(Unit::Millis, &tails),
        format!("1,000 × 1 ms ÷ {at_once}, less what was stolen"),
        Figure::of(Unit::Millis, &[bound_ms]),
        Goal::AtMostTimes(1.1),
    ))
}
