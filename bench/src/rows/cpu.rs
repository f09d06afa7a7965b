//! A millisecond of processor time per event: how much of the cores' capacity the calls get, and how long windows
//! take to close.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_reduce::{BlockingCall, CpuCall, Event};
use wire::{Delay, StartRule, StrategyKind};

use super::Bench;
use super::tails::{TailSetup, close_tails_ms};
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::{Load, Pipeline, Work, generator};
use crate::programs::Udf;
use crate::reader::poll_ready;

const ROW: &str = "cpu";

/// Processor time per event.
const EACH: Duration = Duration::from_millis(1);

/// How long windows of a second and more may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Use of the cores' capacity, then the close tail of every strategy.
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

/// The slowest answer of the UDF's server while calls occupy the cores: whether the SDK's streams make progress.
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
    let place = pipeline.udf_place.clone();
    let polling = poll_ready(&place, |answer| {
        let us = u64::try_from(answer.as_micros()).unwrap_or(u64::MAX);
        slowest_us.fetch_max(us, Ordering::Relaxed);
    });
    let measured = tokio::select! {
        reason = polling => return Err(BenchError::DataPlane { reason, tail: pipeline.udf.tail() }),
        measured = pipeline.measure(1, 1, bench.time(1.5), PATIENCE) => measured,
    };
    measured?;
    pipeline.end().await?;
    let slowest_ms = slowest_us.into_inner() as f64 / 1e3;
    Ok(Figure::of(Unit::Millis, &[slowest_ms]))
}

/// Events per second of as many threads that only compute. It is less than arithmetic gives, because the system and
/// other machines on the same hardware use processor time too.
fn bare_rate(threads: usize, time: Duration) -> Result<f64, BenchError> {
    let call = CpuCall::new(Delay::Fixed(EACH), None).map_err(|source| BenchError::File {
        doing: "starting the threads of",
        path: "bench".into(),
        source,
    })?;
    let nothing = Event::new("");
    let begun = Instant::now();
    let burnt = || {
        let mut burnt = 0_u64;
        while begun.elapsed() < time {
            burnt += u64::from(call.call_blocking(&nothing).is_ok());
        }
        burnt
    };
    let burnt: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(burnt)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_default())
            .sum()
    });
    Ok(burnt as f64 / begun.elapsed().as_secs_f64())
}

async fn capacity(bench: &Bench) -> Result<Line, BenchError> {
    let cores = vertex::machine::cores().get();
    let work = Work {
        start_rule: StartRule::AtArrival,
        ..Work::cpu(StrategyKind::ProcessPool, cores as u64, EACH)
    };
    let load = Load::windows_of_thousands(2);
    let (mut rates, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let Some(udf) = bench.programs.udf(Udf::Ours) else {
            break;
        };
        let source = generator(&bench.programs, &load);
        let mut pipeline = Pipeline::start(&bench.programs, &load, source, udf, &work).await?;
        let span = pipeline.measure(1, 1, bench.time(3.0), PATIENCE).await?;
        pipeline.end().await?;
        rates.push(span.rate());
        bare.push(bare_rate(cores, bench.time(2.0))?);
    }
    Ok(Line::beside(
        ROW,
        "events/s, process-pool, windows of 2,000",
        Figure::of(Unit::PerSecond, &rates),
        "a bare thread for each core",
        Figure::of(Unit::PerSecond, &bare),
        Goal::AtLeastTimes(0.95),
    ))
}

async fn tail(bench: &Bench, strategy: StrategyKind) -> Result<Line, BenchError> {
    let cores = vertex::machine::cores().get();
    let (at_once, workers) = match strategy {
        StrategyKind::Sequential => (1, 1),
        // More calls than cores, as any workload would have.
        StrategyKind::Async => (cores, 1_000),
        StrategyKind::ThreadPool | StrategyKind::ProcessPool => (cores, cores as u64),
    };
    let mut work = Work::cpu(strategy, workers, EACH);
    if strategy == StrategyKind::Async {
        work.more.push(("CPU_OFFLOAD", "true".to_owned()));
    }
    let setup = TailSetup {
        udf: Udf::Ours,
        load: Load::windows_of_thousands(1),
        work,
        warm_up: 1,
        windows: bench.number(3),
        patience: PATIENCE,
    };
    let tails = close_tails_ms(bench, &setup).await?;
    let bound_ms = 1_000.0 * 1e3 / bare_rate(at_once, bench.time(1.0))?;
    let moved = if strategy == StrategyKind::Async {
        ", offloaded"
    } else {
        ""
    };
    Ok(Line::beside(
        ROW,
        format!("close tail of 1,000 events at close, {strategy}{moved}"),
        Figure::of(Unit::Millis, &tails),
        format!("1,000 × 1 ms on {at_once} bare threads"),
        Figure::of(Unit::Millis, &[bound_ms]),
        Goal::AtMostTimes(1.1),
    ))
}
