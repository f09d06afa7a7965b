//! The same events with more keys: the SDK closes keys one after another, so the cost of each key adds up.

use std::time::Duration;

use wire::{StartRule, StrategyKind};

use super::Bench;
use super::tails::{TailSetup, close_tails_ms};
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::{Load, Pipeline, Work, generator};
use crate::programs::Udf;

const ROW: &str = "keys";

const PATIENCE: Duration = Duration::from_secs(30);

/// Close tails with 1, 5 and 100 keys, and the cost of a key if every event has its own.
pub async fn more(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut lines = Vec::new();
    let one = tails(bench, 1).await?;
    for keys in [5, 100] {
        lines.push(Line::beside(
            ROW,
            format!("close tail of 2,000 events at close, delay 200 ms, {keys} keys"),
            tails(bench, keys).await?,
            "one key",
            one.clone(),
            Goal::AtMostTimes(1.1),
        ));
    }
    let (mut costs_us, mut shares_us) = (Vec::new(), Vec::new());
    for _ in 0..bench.number(2) {
        let (one, many) = (per_event_us(bench, 1).await?, per_event_us(bench, 10_000).await?);
        costs_us.push(many);
        shares_us.push(many - one);
    }
    let seen = |what, values: &[f64]| Line::alone(ROW, what, Figure::of(Unit::Micros, values), Goal::Seen);
    lines.extend([
        seen(
            "UDF's processor time per event, windows of 10,000 keys with one event each",
            &costs_us,
        )
        .noted("the counts of every key were exact"),
        seen("of it the cost of a key in a window", &shares_us),
    ]);
    Ok(lines)
}

async fn tails(bench: &Bench, keys: u64) -> Result<Option<Figure>, BenchError> {
    let setup = TailSetup {
        udf: Udf::Ours,
        load: Load {
            keys,
            ..Load::scheduled(2_000, Duration::from_secs(1))
        },
        work: Work {
            start_rule: StartRule::AtClose,
            delay: Duration::from_millis(200),
            ..Work::http(StrategyKind::Async, 2_000)
        },
        warm_up: 1,
        windows: bench.number(4),
        patience: PATIENCE,
    };
    Ok(Figure::of(Unit::Millis, &close_tails_ms(bench, &setup).await?))
}

/// Processor time of the UDF per event, in windows of 10,000.
async fn per_event_us(bench: &Bench, keys: u64) -> Result<f64, BenchError> {
    let load = Load {
        keys,
        ..Load::windows_of_thousands(10)
    };
    let Some(udf) = bench.programs.udf(Udf::Ours) else {
        return Ok(f64::NAN);
    };
    let work = Work::http(StrategyKind::Async, 1_000);
    let source = generator(&bench.programs, &load);
    let mut pipeline = Pipeline::start(&bench.programs, &load, source, udf, &work).await?;
    let span = pipeline.measure(1, 2, bench.time(1.5), PATIENCE).await?;
    pipeline.end().await?;
    Ok(span.per_event_us(span.costs.udf.time))
}
