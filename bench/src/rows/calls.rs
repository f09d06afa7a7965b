//! Calls without delay in back-to-back windows of 2,000 events: what the UDF costs is all there is to see.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::StrategyKind;

use super::Bench;
use crate::bare::client::Said;
use crate::child::Child;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::{Load, Pipeline, Work, endpoint_command, generator};
use crate::programs::Udf;

const ROW: &str = "async";

/// Calls in flight at once: our default.
const MAX_WORKERS: u64 = 1_000;

/// How long a slow peer may take for its windows.
const PATIENCE: Duration = Duration::from_secs(30);

/// The rounds' figures of one UDF.
#[derive(Debug, Default)]
struct Rounds {
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
}

/// Events a second, and processor time of the UDF for each.
pub async fn without_delay(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let contenders = [Udf::Ours, Udf::Lean, Udf::Go, Udf::Python, Udf::Counter];
    let mut rounds: BTreeMap<&str, Rounds> = BTreeMap::new();
    let mut bare_call_us = Vec::new();
    for _ in 0..bench.rounds {
        for udf in contenders {
            if let Some((rate, cpu_us)) = one(bench, udf).await? {
                let of = rounds.entry(udf.name()).or_default();
                of.rates.push(rate);
                of.cpu_us.push(cpu_us);
            }
        }
        bare_call_us.push(bare_call(bench, 100).await?);
    }
    let rate = |udf: Udf| {
        rounds
            .get(udf.name())
            .and_then(|of| Figure::of(Unit::PerSecond, &of.rates))
    };
    let cpu = |udf: Udf| {
        rounds
            .get(udf.name())
            .and_then(|of| Figure::of(Unit::Micros, &of.cpu_us))
    };
    let floor = rounds.get(Udf::Counter.name()).map(|counter| {
        let floor = counter.cpu_us.iter().zip(&bare_call_us);
        floor.map(|(counter, call)| counter + call).collect::<Vec<f64>>()
    });
    let floor = floor.and_then(|floor| Figure::of(Unit::Micros, &floor));
    let mut lines = Vec::new();
    for ours in [Udf::Ours, Udf::Lean] {
        if ours == Udf::Lean && rate(ours).is_none() {
            continue;
        }
        let what = |what: &str| format!("{what}, {}", ours.name());
        let rates = |peer: Udf, times| {
            let goal = Goal::AtLeastTimes(times);
            Line::beside(ROW, what("events/s"), rate(ours), peer.name(), rate(peer), goal)
        };
        let costs = |peer: &str, figure, goal| {
            Line::beside(
                ROW,
                what("UDF's processor time per event"),
                cpu(ours),
                peer,
                figure,
                goal,
            )
        };
        lines.extend([
            rates(Udf::Go, 2.5),
            rates(Udf::Python, 12.0),
            costs(Udf::Go.name(), cpu(Udf::Go), Goal::AtMostTimes(1.0 / 4.0)),
            costs(
                Udf::Python.name(),
                cpu(Udf::Python),
                Goal::AtMostTimes(1.0 / 15.0),
            ),
            costs(
                "bare hyper loop + bare counter",
                floor.clone(),
                Goal::AtMostTimes(1.5),
            ),
        ]);
    }
    lines.extend([
        Line::alone(ROW, "bare counter: events/s", rate(Udf::Counter), Goal::Seen),
        Line::alone(ROW, "bare counter: per event", cpu(Udf::Counter), Goal::Seen),
        Line::alone(
            ROW,
            "bare hyper loop: per call",
            Figure::of(Unit::Micros, &bare_call_us),
            Goal::Seen,
        ),
    ]);
    Ok(lines)
}

/// Events a second and microseconds of processor for each; nothing where the UDF is absent.
async fn one(bench: &Bench, udf: Udf) -> Result<Option<(f64, f64)>, BenchError> {
    let Some(command) = bench.programs.udf(udf) else {
        return Ok(None);
    };
    let load = Load::windows_of_thousands(2);
    let work = Work::http(StrategyKind::Async, MAX_WORKERS);
    let source = generator(&bench.programs, &load);
    let mut pipeline = Pipeline::start(&bench.programs, &load, source, command, &work).await?;
    let span = pipeline.measure(3, 3, bench.time(1.5), PATIENCE).await?;
    pipeline.end().await?;
    Ok(Some((span.rate(), span.per_event_us(span.costs.udf.time))))
}

/// Processor time of one call by the bare loop, microseconds.
async fn bare_call(bench: &Bench, connections: usize) -> Result<f64, BenchError> {
    let folder = tempfile::tempdir().map_err(|source| BenchError::File {
        doing: "making a folder in",
        path: std::env::temp_dir(),
        source,
    })?;
    let mut endpoint = Child::spawn("endpoint", endpoint_command(&bench.programs), folder.path())?;
    let address = endpoint.address().await?;
    let mut client = bench.programs.bare("client");
    let seconds = bench.time(1.0);
    client
        .args(["--address", &address.to_string()])
        .args(["--connections", &connections.to_string()])
        .args(["--seconds", &seconds.as_secs_f64().to_string()]);
    let mut client = Child::spawn("client", client, folder.path())?;
    let said: Said = client.says("its calls", seconds + PATIENCE).await?;
    client.end().await;
    endpoint.end().await;
    Ok(said.cpu_us / said.calls as f64)
}
