//! Larger windows: they must not cost more processor time per event, and a waiting event must need little memory.

use std::time::{Duration, Instant};

use wire::{StartRule, StrategyKind};

use super::Bench;
use crate::cost;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::{Load, Pipeline, Span, Work, generator};
use crate::programs::Udf;

/// A million calls without delay.
const PATIENCE: Duration = Duration::from_secs(100);

/// Events of the window whose memory is measured.
const WAITING: u64 = 1_000_000;

/// Bytes of the payload of each event.
const PAYLOAD_BYTES: u64 = 100;

/// Pause between two readings of the memory.
const LOOK: Duration = Duration::from_millis(200);

/// Number of equal readings in a row after which the memory counts as stable.
const ALIKE: usize = 4;

/// Processor time per event, in windows of 1,000 to 1,000,000 events.
pub async fn sizes(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let sizes = [1, 10, 100];
    let mut costs_us = [const { Vec::new() }; 3];
    for _ in 0..bench.rounds {
        for (thousands, costs_us) in sizes.into_iter().zip(&mut costs_us) {
            costs_us.push(cost(bench, thousands).await?);
        }
    }
    let [small, middle, large] = costs_us.map(|costs_us| Figure::of(Unit::Micros, &costs_us));
    let line = |events: &str, figure| {
        let what = format!("UDF's processor time per event, windows of {events}");
        let goal = Goal::AtMostTimes(1.15);
        Line::beside(
            "window-size",
            what,
            figure,
            "windows of 1,000",
            small.clone(),
            goal,
        )
    };
    let mut lines = vec![line("10,000", middle), line("100,000", large)];
    if !bench.quick {
        let largest = [cost(bench, 1_000).await?];
        lines.push(line("1,000,000", Figure::of(Unit::Micros, &largest)));
    }
    Ok(lines)
}

async fn cost(bench: &Bench, thousands: u64) -> Result<f64, BenchError> {
    let Some(udf) = bench.programs.udf(Udf::Ours) else {
        return Ok(f64::NAN);
    };
    let load = Load::windows_of_thousands(thousands);
    let work = Work::http(StrategyKind::Async, 1_000);
    let source = generator(&bench.programs, &load);
    let mut pipeline = Pipeline::start(&bench.programs, &load, source, udf, &work).await?;
    let span: Span = if thousands < 1_000 {
        pipeline.measure(2, 1, bench.time(2.0), PATIENCE).await?
    } else {
        // A warm-up is negligible beside a million calls.
        pipeline.measure_first(PATIENCE).await?
    };
    pipeline.end().await?;
    Ok(span.per_event_us(span.costs.udf.time))
}

/// Memory of events that wait for the close, or for a slot.
pub async fn memory(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let at_close = waiting_bytes(bench, StartRule::AtClose).await?;
    let at_arrival = waiting_bytes(bench, StartRule::AtArrival).await?;
    let what = |rule| format!("memory per waiting event, payload of {PAYLOAD_BYTES} B aside, {rule}");
    let figure = |bytes: f64| Figure::of(Unit::Bytes, &[bytes]);
    Ok(vec![
        Line::alone(
            "memory",
            what(StartRule::AtClose),
            figure(at_close),
            Goal::AtMost(64.0),
        ),
        Line::alone(
            "memory",
            what(StartRule::AtArrival),
            figure(at_arrival),
            Goal::AtMost(64.0),
        ),
    ])
}

/// Bytes per event of a million waiting events, beside their payload.
async fn waiting_bytes(bench: &Bench, start_rule: StartRule) -> Result<f64, BenchError> {
    let Some(udf) = bench.programs.udf(Udf::Ours) else {
        return Ok(f64::NAN);
    };
    let load = Load {
        count: WAITING,
        payload_bytes: PAYLOAD_BYTES,
        ..Load::windows_of_thousands(WAITING / 1_000)
    };
    // One call that outlasts the measurement: all others wait.
    let work = Work {
        start_rule,
        delay: Duration::from_secs(25),
        ..Work::http(StrategyKind::Async, 1)
    };
    let source = generator(&bench.programs, &load);
    let pipeline = Pipeline::start(&bench.programs, &load, source, udf, &work).await?;
    let empty = cost::of(&pipeline.udf)?.memory_bytes;
    let mut last = vec![empty];
    let begun = Instant::now();
    // Until the memory stops growing.
    while begun.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(LOOK).await;
        last.push(cost::of(&pipeline.udf)?.memory_bytes);
        let tail = &last[last.len().saturating_sub(ALIKE)..];
        let still = tail.len() == ALIKE && tail.iter().all(|bytes| bytes == &tail[0]);
        if still && tail[0] > empty + WAITING * PAYLOAD_BYTES / 2 {
            break;
        }
    }
    let full = cost::of(&pipeline.udf)?.memory_bytes;
    pipeline.drop_all().await;
    Ok(full.saturating_sub(empty) as f64 / WAITING as f64 - PAYLOAD_BYTES as f64)
}
