//! How long windows take to close, from the end of their input to the end of their results by the data plane's clock: the
//! UDF's own close tail and the way there and back.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trials::predict::predict;
use trials::trial::TrialSettings;
use wire::{Delay, StartRule, StrategyKind};

use super::Bench;
use crate::bare::client::SaidOfBursts;
use crate::child::{address, spawn};
use crate::error::BenchError;
use crate::figure::{Figure, Unit, quantile};
use crate::line::{Goal, Line};
use crate::pipeline::{Load, Pipeline, READ_TIMEOUT, Work, endpoint_command, generator};
use crate::programs::Udf;
use crate::reader::ask_ready;

/// The pipeline's own windows. At high rates the close of a shorter one stalls so much of the next that its events come
/// in one burst.
const WINDOW: Duration = Duration::from_secs(10);

/// Windows of which there are more in the same time, where the rate is low.
const SHORT: Duration = Duration::from_secs(2);

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
    let bare = Figure::of(Unit::Millis, &bare_burst_ms(bench, 10_000).await?);
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
        lines.push(Line::beside(
            "close-10k",
            format!("close tail, {}", udf.name()),
            Figure::of(Unit::Millis, &tails),
            "bare hyper connections, as many requests at once",
            bare.clone(),
            udf.goal(Goal::AtMost(1_150.0)),
        ));
    }
    Ok(lines)
}

/// From the first of as many requests of bare connections at once to the last answer, milliseconds.
async fn bare_burst_ms(bench: &Bench, calls: u64) -> Result<Vec<f64>, BenchError> {
    let mut server = spawn("server", endpoint_command(&bench.programs))?;
    let listening = address(&mut server).await?;
    let bursts = bench.number(3);
    let mut client = bench.programs.bare("client");
    client
        .args(["--address", &listening.to_string(), "--path", "/ping?delay=1s"])
        .args(["--connections", &calls.to_string()])
        .args(["--bursts", &bursts.to_string()]);
    let mut client = spawn("client", client)?;
    let said: SaidOfBursts = client.read_json("its bursts", Duration::from_secs(30)).await?;
    client.kill().await;
    server.kill().await;
    Ok(said.tails_ms)
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
        let waves = thousands / 10;
        lines.push(Line::beside(
            "close-100k",
            format!("close tail of {thousands},000 calls, {}", udf.name()),
            Figure::of(Unit::Millis, &tails),
            format!("{waves} waves of 1 s"),
            Figure::of(Unit::Millis, &[waves as f64 * 1e3]),
            udf.goal(Goal::AtMostTimes(1.1)),
        ));
    }
    Ok(lines)
}

/// At arrival nearly all calls have ended at the close: what is left is predicted.
pub async fn arrival(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut lines = Vec::new();
    for (rpu, window, spare_ms, udf) in [
        (100, SHORT, 10.0, Udf::Lean),
        (1_000, SHORT, 10.0, Udf::Lean),
        (10_000, WINDOW, 50.0, Udf::Ours),
        (10_000, WINDOW, 50.0, Udf::Lean),
    ] {
        let ask = Ask {
            udf,
            load: Load::scheduled(rpu, window),
            work: Work {
                start_rule: StartRule::AtArrival,
                ..at_close(12_000, SECOND)
            },
            warm_up: 1,
            windows: bench.number(if window == SHORT { 5 } else { 2 }),
            patience: WINDOW * 6,
        };
        let tails = close_tails_ms(bench, &ask).await?;
        let predicted_ms = predicted_ms(&ask);
        lines.push(Line::beside(
            "arrival",
            format!(
                "close tail at {rpu} events/s, windows of {}, {}",
                wire::format_duration(window),
                udf.name()
            ),
            Figure::of(Unit::Millis, &tails),
            "prediction",
            predicted_ms.and_then(|ms| Figure::of(Unit::Millis, &[ms])),
            udf.goal(Goal::AtMost(predicted_ms.unwrap_or(0.0) + spare_ms)),
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
    let tail = predict(&settings, vertex::machine::cores()).close_tail()?;
    Some(tail.as_secs_f64() * 1e3)
}

/// With a UDF that does nothing all of the close tail is the data plane's and the SDK's. How long the same server takes
/// to answer an empty question meanwhile is what no close can be below.
pub async fn data_plane(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut lines = Vec::new();
    for rpu in [1_000, 10_000] {
        let (mut middle, mut late, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.rounds {
            let (tails, answered) = shares_ms(bench, rpu).await?;
            middle.extend(quantile(&tails, 0.5));
            late.extend(quantile(&tails, 0.99));
            answers.extend(quantile(&answered, 0.99));
        }
        let [middle, late, answers] = [middle, late, answers].map(|ms| Figure::of(Unit::Millis, &ms));
        let what = |share| format!("share in a close tail at {rpu} events/s, {share}");
        lines.extend([
            Line::alone("data-plane", what("p50"), middle, Goal::Seen),
            Line::beside(
                "data-plane",
                what("p99"),
                late,
                "answer to IsReady meanwhile, p99",
                answers,
                Goal::AtMost(1.0),
            ),
        ]);
    }
    Ok(lines)
}

/// Close tails of windows of 50 ms, and the answers of the UDF's server meanwhile; milliseconds, sorted.
async fn shares_ms(bench: &Bench, rpu: u64) -> Result<(Vec<f64>, Vec<f64>), BenchError> {
    let load = Load::scheduled(rpu, Duration::from_millis(50));
    let work = Work::cpu(StrategyKind::Async, 1, Duration::ZERO);
    let source = generator(&bench.programs, &load);
    let counter = bench.programs.bare("counter");
    let mut pipeline = Pipeline::start(&bench.programs, &load, source, counter, &work).await?;
    let place = pipeline.udf_place.clone();
    let answers = Mutex::new(Vec::new());
    let asking = ask_ready(&place, |answer| {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push(answer.as_secs_f64() * 1e3);
    });
    let span = tokio::select! {
        reason = asking => return Err(BenchError::DataPlane { reason, tail: pipeline.udf.tail() }),
        measured = pipeline.measure(10, bench.number(200), Duration::ZERO, WINDOW * 4) => measured?,
    };
    pipeline.end().await?;
    let tails = span.windows.iter().map(|window| window.tail.as_secs_f64() * 1e3);
    let sorted = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values
    };
    let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((sorted(tails.collect()), sorted(answers)))
}
