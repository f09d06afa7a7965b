//! How long windows take to close, from the end of their input to the end of their results by the data plane's clock: the
//! UDF's own close tail and the way there and back.

use std::num::NonZeroU64;
use std::time::Duration;

use experiment::predict::predict;
use experiment::trial::TrialSettings;
use wire::{Delay, StartRule, StrategyKind};

use super::Bench;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::{Load, Pipeline, READ_TIMEOUT, Work, generator};
use crate::programs::Udf;

/// Delay of the calls.
const SECOND: Duration = Duration::from_secs(1);

/// What is asked of a UDF.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Which UDF.
    pub udf: Udf,
    /// The events.
    pub load: Load,
    /// What is done with them.
    pub work: Work,
    /// Windows that are not measured.
    pub warm_up: usize,
    /// Windows that are.
    pub windows: usize,
    /// How long all of them may take.
    pub patience: Duration,
}

/// The close tails of the windows after the warm-up, milliseconds.
pub async fn close_tails_ms(bench: &Bench, ask: &Ask) -> Result<Vec<f64>, BenchError> {
    let Some(udf) = bench.programs.udf(ask.udf) else {
        return Ok(Vec::new());
    };
    let source = generator(&bench.programs, &ask.load);
    let mut pipeline = Pipeline::start(&bench.programs, &ask.load, source, udf, &ask.work).await?;
    let span = pipeline
        .measure(ask.warm_up, ask.windows, Duration::ZERO, ask.patience)
        .await?;
    pipeline.end().await?;
    Ok(span
        .windows
        .iter()
        .map(|window| window.tail.as_secs_f64() * 1e3)
        .collect())
}

fn at_close(max_workers: u64, delay: Duration) -> Work {
    Work {
        start_rule: StartRule::AtClose,
        delay,
        ..Work::http(StrategyKind::Async, max_workers)
    }
}

/// Windows of 10,000 calls, as many at once.
pub async fn close_10k(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut lines = Vec::new();
    for udf in [Udf::Ours, Udf::Lean] {
        let ask = Ask {
            udf,
            // By the clock: the connections are idle for a while, as they are in windows of 10 s.
            load: Load::scheduled(5_000, Duration::from_secs(2)),
            work: at_close(10_000, SECOND),
            warm_up: 1,
            windows: bench.number(3),
            patience: Duration::from_secs(30),
        };
        let tails = close_tails_ms(bench, &ask).await?;
        if udf == Udf::Ours || !tails.is_empty() {
            lines.push(Line::alone(
                "close-10k",
                format!("close tail, {}", udf.name()),
                Figure::of(Unit::Millis, &tails),
                Goal::AtMost(1_150.0),
            ));
        }
    }
    Ok(lines)
}

/// Windows of 100,000 calls, 10,000 at once: ten waves.
pub async fn close_100k(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let thousands = if bench.quick { 20 } else { 100 };
    let mut lines = Vec::new();
    for udf in [Udf::Ours, Udf::Lean] {
        let ask = Ask {
            udf,
            load: Load::windows_of_thousands(thousands),
            work: at_close(10_000, SECOND),
            warm_up: 1,
            windows: 1,
            patience: Duration::from_secs(60),
        };
        let tails = close_tails_ms(bench, &ask).await?;
        if udf == Udf::Ours || !tails.is_empty() {
            let waves = thousands / 10;
            lines.push(Line::beside(
                "close-100k",
                format!("close tail of {thousands},000 calls, {}", udf.name()),
                Figure::of(Unit::Millis, &tails),
                format!("{waves} waves of 1 s"),
                Figure::of(Unit::Millis, &[waves as f64 * 1e3]),
                Goal::AtMostTimes(1.1),
            ));
        }
    }
    Ok(lines)
}

/// At arrival nearly all calls have ended at the close: what is left is predicted.
pub async fn arrival(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut lines = Vec::new();
    for (rpu, spare_ms, udf) in [
        (100, 10.0, Udf::Ours),
        (1_000, 10.0, Udf::Ours),
        (10_000, 50.0, Udf::Ours),
        (10_000, 50.0, Udf::Lean),
    ] {
        let ask = Ask {
            udf,
            load: Load::scheduled(rpu, Duration::from_secs(2)),
            work: Work {
                start_rule: StartRule::AtArrival,
                ..at_close(12_000, SECOND)
            },
            warm_up: 1,
            windows: bench.number(4),
            patience: Duration::from_secs(30),
        };
        let tails = close_tails_ms(bench, &ask).await?;
        if udf == Udf::Lean && tails.is_empty() {
            continue;
        }
        let predicted_ms = predicted_ms(&ask);
        lines.push(Line::beside(
            "arrival",
            format!("close tail at {rpu} events/s, {}", udf.name()),
            Figure::of(Unit::Millis, &tails),
            "prediction",
            predicted_ms.and_then(|ms| Figure::of(Unit::Millis, &[ms])),
            Goal::AtMost(predicted_ms.unwrap_or(0.0) + spare_ms),
        ));
    }
    Ok(lines)
}

/// What `experiment predict` says of it.
fn predicted_ms(ask: &Ask) -> Option<f64> {
    let settings = TrialSettings {
        rpu: NonZeroU64::new(ask.load.rpu)?,
        keys: NonZeroU64::new(ask.load.keys)?,
        key_skew: 0.0,
        payload_size: 0,
        io_delay: Delay::Fixed(ask.work.delay),
        strategy: ask.work.strategy,
        start_rule: ask.work.start_rule,
        workload: ask.work.workload,
        max_workers: NonZeroU64::new(ask.work.max_workers)?,
        timeout: Duration::from_secs(30),
        retries: 0,
        cpu_offload: false,
        max_waiting: NonZeroU64::new(1_000_000)?,
        capacity: None,
        fail_status: 0.0,
        window: ask.load.window,
        read_timeout: READ_TIMEOUT,
        warmup: 0,
        windows: 1,
        seed: 0,
    };
    let tail = predict(&settings, experiment::machine::cores()).close_tail()?;
    Some(tail.as_secs_f64() * 1e3)
}

/// With a UDF that does nothing all of the close tail is the data plane's and the SDK's.
pub async fn data_plane(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let ask = Ask {
        udf: Udf::Counter,
        load: Load::scheduled(10_000, Duration::from_millis(50)),
        work: Work::cpu(StrategyKind::Async, 1, Duration::ZERO),
        warm_up: 10,
        windows: bench.number(300),
        patience: Duration::from_secs(40),
    };
    let mut tails = close_tails_ms(bench, &ask).await?;
    tails.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (tails.len() as f64 * share) as usize;
        let value = tails.get(index.min(tails.len().saturating_sub(1)))?;
        Figure::of(Unit::Millis, &[*value])
    };
    Ok(vec![
        Line::alone("data-plane", "share in a close tail, p50", at(0.5), Goal::Seen),
        Line::alone(
            "data-plane",
            "share in a close tail, p99",
            at(0.99),
            Goal::AtMost(1.0),
        ),
    ])
}
