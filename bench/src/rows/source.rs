//! The generator alone, then with the data plane and a UDF that only counts.

use std::time::Duration;

use launcher::Place;
use tokio::process::Command;
use wire::StrategyKind;

use super::Bench;
use crate::child::spawn;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::payments::{self, PAYMENT_BYTES};
use crate::pipeline::{Load, Pipeline, Work, folder, generator as scheduled};
use crate::programs::Udf;
use crate::reader::{self, Reading};

const ROW: &str = "generator";

/// Rate of the measured schedule.
const RPU: u64 = 10_000;

/// The highest rate beside a minimal source, and how late events arrive at 10,000 per second.
pub async fn generator(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let (mut ours, mut bare, mut ours_us, mut bare_us) = (vec![], vec![], vec![], vec![]);
    for _ in 0..bench.rounds {
        let mut saturated = bench.programs.ours("generator");
        saturated.arg("--saturate");
        let reading = read(saturated, bench.time(1.0)).await?;
        ours.push(reading.rate());
        ours_us.push(reading.per_message_us());
        let reading = read(bench.programs.bare("source"), bench.time(1.0)).await?;
        bare.push(reading.rate());
        bare_us.push(reading.per_message_us());
    }
    let ours = Figure::of(Unit::PerSecond, &ours);
    let mut lines = vec![
        Line::beside(
            ROW,
            "highest rate, read and acknowledged",
            ours.clone(),
            "bare source",
            Figure::of(Unit::PerSecond, &bare),
            Goal::AtLeastTimes(0.9),
        ),
        Line::alone(ROW, "the same", ours, Goal::AtLeast(100_000.0)),
        Line::beside(
            ROW,
            "processor time per event",
            Figure::of(Unit::Micros, &ours_us),
            "bare source",
            Figure::of(Unit::Micros, &bare_us),
            Goal::Seen,
        ),
    ];
    lines.extend(own_payloads(bench).await?);
    lines.extend(schedule(bench).await?);
    Ok(lines)
}

/// The highest rate with payloads of a user's own: lines of a file, each with its number in a header.
async fn own_payloads(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let folder = folder()?;
    let payloads = payments::write(folder.path())?;
    let bytes = PAYMENT_BYTES.to_string();
    let [mut rates, mut cpu_us] = [const { [const { Vec::new() }; 3] }; 2];
    for _ in 0..bench.rounds {
        let mut ours = bench.programs.ours("generator");
        ours.arg("--saturate").arg("--payloads").arg(&payloads);
        let mut bare = bench.programs.bare("source");
        bare.args(["--own-payload-bytes", &bytes]);
        let mut made = bench.programs.ours("generator");
        made.args(["--saturate", "--payload-size", &bytes]);
        for (of, source) in [ours, bare, made].into_iter().enumerate() {
            let reading = read(source, bench.time(1.0)).await?;
            rates[of].push(reading.rate());
            cpu_us[of].push(reading.per_message_us());
        }
    }
    let [ours, bare, made] = rates.map(|rates| Figure::of(Unit::PerSecond, &rates));
    let [ours_us, bare_us, made_us] = cpu_us.map(|cpu_us| Figure::of(Unit::Micros, &cpu_us));
    let what = format!("highest rate, lines of {bytes} bytes");
    let (same, made_name) = ("bare source, same message", "its own payloads of as many bytes");
    let time = "processor time per event, the same";
    Ok(vec![
        Line::beside(ROW, what, ours.clone(), same, bare, Goal::AtLeastTimes(0.85)),
        Line::alone(ROW, "the same", ours.clone(), Goal::AtLeast(450_000.0)),
        Line::beside(ROW, "the same", ours, made_name, made, Goal::Seen),
        Line::beside(ROW, time, ours_us.clone(), same, bare_us, Goal::Seen),
        Line::beside(ROW, time, ours_us, made_name, made_us, Goal::Seen),
    ])
}

/// How late and how early scheduled events arrive, beside a source that only sleeps and sends.
async fn schedule(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let load = Load::scheduled(RPU, Duration::from_secs(1));
    let (mut ours, mut bare, mut early) = (Lateness::default(), Lateness::default(), 0);
    // Many short rounds, because disturbances of the machine last some milliseconds.
    for _ in 0..3 * bench.rounds {
        let reading = read(scheduled(&bench.programs, &load), bench.time(1.0)).await?;
        ours.add(&reading);
        early += reading.early;
        let mut source = bench.programs.bare("source");
        source.args(["--per-milli", &(RPU / 1_000).to_string(), "--on-schedule"]);
        bare.add(&read(source, bench.time(1.0)).await?);
    }
    let line = |label, ours: &[f64], bare: &[f64], goal| {
        Line::beside(
            ROW,
            format!("received after due at 10,000/s, {label}"),
            Figure::of(Unit::Millis, ours),
            "bare source that sleeps",
            Figure::of(Unit::Millis, bare),
            goal,
        )
    };
    Ok(vec![
        line("p50", &ours.middle_ms, &bare.middle_ms, Goal::Seen),
        line("p99", &ours.late_ms, &bare.late_ms, Goal::AtMost(1.0)),
        Line::alone(
            ROW,
            "events received before due",
            Figure::of(Unit::Count, &[early as f64]),
            Goal::AtMost(0.0),
        ),
    ])
}

/// How long after their due time the events of a round arrived, in milliseconds.
#[derive(Debug, Default)]
struct Lateness {
    middle_ms: Vec<f64>,
    late_ms: Vec<f64>,
}

impl Lateness {
    fn add(&mut self, reading: &Reading) {
        let ms = |fraction| Some(reading.lateness.quantile(fraction)?.as_secs_f64() * 1e3);
        self.middle_ms.extend(ms(0.5));
        self.late_ms.extend(ms(0.99));
    }
}

async fn read(mut source: Command, time: Duration) -> Result<Reading, BenchError> {
    let folder = folder()?;
    let place = Place::within(folder.path(), "source")?;
    source.envs(place.variables());
    let mut source = spawn("source", source)?;
    let reading = reader::read(&mut source, &place, time).await?;
    source.kill().await;
    Ok(reading)
}

/// Cost of generator and data plane per event, with a UDF that only counts.
pub async fn instruments(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let load = Load::windows_of_thousands(10);
    let work = Work::cpu(StrategyKind::Async, 1, Duration::ZERO);
    let (mut both, mut source_us, mut plane_us, mut rates) = (vec![], vec![], vec![], vec![]);
    for _ in 0..bench.rounds {
        let Some(counter) = bench.programs.udf(Udf::Counter) else {
            break;
        };
        let source = scheduled(&bench.programs, &load);
        let mut pipeline = Pipeline::start(&bench.programs, &load, source, counter, &work).await?;
        let span = pipeline
            .measure(3, 3, bench.time(2.0), Duration::from_secs(30))
            .await?;
        pipeline.end().await?;
        let (of_source, of_plane) = (
            span.per_event_us(span.costs.source.time),
            span.per_event_us(span.costs.plane.time),
        );
        source_us.push(of_source);
        plane_us.push(of_plane);
        both.push(of_source + of_plane);
        rates.push(span.rate());
    }
    let us = |what, values: &[f64], goal| {
        let what = format!("processor time per event, {what}");
        Line::alone("instruments", what, Figure::of(Unit::Micros, values), goal)
    };
    Ok(vec![
        us("generator and data plane", &both, Goal::AtMost(5.0)),
        us("generator", &source_us, Goal::Seen),
        us("data plane", &plane_us, Goal::Seen),
        Line::alone(
            "instruments",
            "events/s through source, data plane and bare counter",
            Figure::of(Unit::PerSecond, &rates),
            Goal::Seen,
        ),
    ])
}
