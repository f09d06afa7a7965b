//! How long windows take to close, from the end of their input to the end of their results by the data plane's clock:
//! the UDF's own close tail and the way there and back.

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
use crate::reader::poll_ready;

/// The pipeline's usual windows. At high rates, the close of a shorter window delays so much of the next one that its
/// events arrive in one burst.
const WINDOW: Duration = Duration::from_secs(10);

/// Shorter windows for low rates, so that more of them fit into the same time.
const SHORT: Duration = Duration::from_secs(2);

const SECOND: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Debug, Clone)]
pub struct TailSetup {
    pub udf: Udf,
    pub load: Load,
    pub work: Work,
    /// Windows for warming up.
    pub warm_up: usize,
    /// Windows to measure.
    pub windows: usize,
    /// How long all windows may take.
    pub patience: Duration,
}

/// Close tails of the windows after the warm-up, in milliseconds.
pub async fn close_tails_ms(bench: &Bench, setup: &TailSetup) -> Result<Vec<f64>, BenchError> {
    let Some(udf) = bench.programs.udf(setup.udf) else {
        return Ok(Vec::new());
    };
    let source = generator(&bench.programs, &setup.load);
    let mut pipeline = Pipeline::start(&bench.programs, &setup.load, source, udf, &setup.work).await?;
    let span = pipeline
        .measure(setup.warm_up, setup.windows, Duration::ZERO, setup.patience)
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

/// Windows of 10,000 calls, all at once.
pub async fn close_10k(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut lines = Vec::new();
    let bare = Figure::of(Unit::Millis, &bare_burst_ms(bench, 10_000).await?);
    for udf in [Udf::Ours, Udf::Reqwest] {
        let setup = TailSetup {
            udf,
            // By the clock: connections are idle between windows, as they are with windows of 10 s.
            load: Load::scheduled(5_000, Duration::from_secs(2)),
            work: at_close(10_000, SECOND),
            warm_up: 1,
            windows: bench.number(3),
            patience: Duration::from_secs(30),
        };
        let tails = close_tails_ms(bench, &setup).await?;
        lines.push(Line::beside(
            "close-10k",
            format!("close tail, {}", udf.name()),
            Figure::of(Unit::Millis, &tails),
            "bare hyper connections, as many requests at once",
            bare.clone(),
            udf.goal(Goal::AtMostTimes(1.06)),
        ));
    }
    Ok(lines)
}

/// From the first of a burst of requests on bare connections to the last answer, in milliseconds.
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
    for udf in [Udf::Ours, Udf::Reqwest] {
        let setup = TailSetup {
            udf,
            load: Load::windows_of_thousands(thousands),
            work: at_close(10_000, SECOND),
            warm_up: 1,
            windows: 1,
            patience: Duration::from_secs(60),
        };
        let tails = close_tails_ms(bench, &setup).await?;
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

/// At arrival, nearly all calls have ended at the close; the prediction says what remains.
pub async fn arrival(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut lines = Vec::new();
    for (rpu, window, spare_ms, udf) in [
        (100, SHORT, 10.0, Udf::Ours),
        (1_000, SHORT, 10.0, Udf::Ours),
        (10_000, WINDOW, 50.0, Udf::Reqwest),
        (10_000, WINDOW, 50.0, Udf::Ours),
    ] {
        let setup = TailSetup {
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
        let tails = close_tails_ms(bench, &setup).await?;
        let predicted_ms = predicted_ms(&setup);
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

/// The prediction of `experiment predict`.
fn predicted_ms(setup: &TailSetup) -> Option<f64> {
    let settings = TrialSettings {
        rpu: NonZeroU64::new(setup.load.rpu)?,
        keys: NonZeroU64::new(setup.load.keys)?,
        io_delay: Delay::Fixed(setup.work.delay),
        strategy: setup.work.strategy,
        start_rule: setup.work.start_rule,
        workload: setup.work.workload,
        max_workers: NonZeroU64::new(setup.work.max_workers)?,
        window: setup.load.window,
        read_timeout: READ_TIMEOUT,
        warmup: 0,
        windows: 1,
        seed: 0,
        ..TrialSettings::defaults().ok()?
    };
    let tail = predict(&settings, vertex::machine::cores()).close_tail()?;
    Some(tail.as_secs_f64() * 1e3)
}

/// With a UDF that only counts, the close tail is the time of the data plane and the SDK alone. The duration of an
/// empty request to the same server is its lower bound.
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
        let what = |label| format!("share in a close tail at {rpu} events/s, {label}");
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

/// Close tails of windows of 50 ms, and durations of the requests to the UDF's server meanwhile; in milliseconds,
/// sorted.
async fn shares_ms(bench: &Bench, rpu: u64) -> Result<(Vec<f64>, Vec<f64>), BenchError> {
    let load = Load::scheduled(rpu, Duration::from_millis(50));
    let work = Work::cpu(StrategyKind::Async, 1, Duration::ZERO);
    let source = generator(&bench.programs, &load);
    let counter = bench.programs.bare("counter");
    let mut pipeline = Pipeline::start(&bench.programs, &load, source, counter, &work).await?;
    let place = pipeline.udf_place.clone();
    let answers = Mutex::new(Vec::new());
    let polling = poll_ready(&place, |answer| {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push(answer.as_secs_f64() * 1e3);
    });
    let span = tokio::select! {
        reason = polling => return Err(BenchError::DataPlane { reason, tail: pipeline.udf.tail() }),
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
