//! Calls without delay in back-to-back windows: what the UDF costs is all there is to see.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::StrategyKind;

use super::Bench;
use crate::bare::client::Said;
use crate::child::{address, spawn};
use crate::cost;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::{Load, Pipeline, Work, endpoint_command, generator};
use crate::programs::{Programs, Udf};

/// How long a slow peer may take for its windows.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections of the bare loop; more make no difference worth a figure.
const BARE_CONNECTIONS: usize = 100;

/// Name of [`Contest::floor`].
pub(super) const FLOOR: &str = "bare hyper loop + bare counter";

/// Our UDF with each HTTP client it has.
const OURS: [Udf; 2] = [Udf::Ours, Udf::Reqwest];

/// The same calls for every UDF.
pub(super) struct Contest {
    pub(super) row: &'static str,
    pub(super) work: Work,
    pub(super) load: Load,
    rounds: BTreeMap<Udf, Rounds>,
}

/// The rounds' figures of one UDF.
#[derive(Debug, Default)]
struct Rounds {
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Contest {
    pub(super) fn new(row: &'static str, strategy: StrategyKind, max_workers: u64, thousands: u64) -> Self {
        Self {
            row,
            work: Work::http(strategy, max_workers),
            load: Load::windows_of_thousands(thousands),
            rounds: BTreeMap::new(),
        }
    }

    /// One UDF once, where it is not absent. A slow one is measured over a single window.
    pub(super) async fn run(&mut self, bench: &Bench, udf: Udf) -> Result<(), BenchError> {
        let Some(command) = bench.programs.udf(udf) else {
            return Ok(());
        };
        let source = generator(&bench.programs, &self.load);
        let mut pipeline = Pipeline::start(&bench.programs, &self.load, source, command, &self.work).await?;
        let slow = matches!(
            udf,
            Udf::Python | Udf::PythonAnew | Udf::PythonLegacy | Udf::ScorePython
        );
        let (warm_up, windows) = if slow { (1, 1) } else { (3, 3) };
        let span = pipeline
            .measure(warm_up, windows, bench.time(1.5), PATIENCE)
            .await?;
        pipeline.end().await?;
        let of = self.rounds.entry(udf).or_default();
        of.rates.push(span.rate());
        of.cpu_us.push(span.per_event_us(span.costs.udf.time));
        Ok(())
    }

    pub(super) fn rate(&self, udf: Udf) -> Option<Figure> {
        Figure::of(Unit::PerSecond, &self.rounds.get(&udf)?.rates)
    }

    /// Processor time per event of each round.
    pub(super) fn cpu_us(&self, udf: Udf) -> &[f64] {
        self.rounds.get(&udf).map_or(&[], |rounds| &rounds.cpu_us)
    }

    pub(super) fn cpu(&self, udf: Udf) -> Option<Figure> {
        Figure::of(Unit::Micros, self.cpu_us(udf))
    }

    /// What no UDF on this SDK that calls by hyper can go below: the bare counter, and so much for each call.
    pub(super) fn floor(&self, bare_call_us: &[f64]) -> Option<Figure> {
        let rounds = self.cpu_us(Udf::Counter).iter().zip(bare_call_us);
        let floor: Vec<f64> = rounds.map(|(counter, call)| counter + call).collect();
        Figure::of(Unit::Micros, &floor)
    }

    pub(super) fn rate_line(&self, ours: Udf, peer: Udf, goal: Goal) -> Line {
        let what = format!("events/s, {}", ours.name());
        Line::beside(
            self.row,
            what,
            self.rate(ours),
            peer.name(),
            self.rate(peer),
            ours.goal(goal),
        )
    }

    pub(super) fn cpu_line(&self, ours: Udf, peer: &str, figure: Option<Figure>, goal: Goal) -> Line {
        let what = format!("UDF's processor time per event, {}", ours.name());
        Line::beside(self.row, what, self.cpu(ours), peer, figure, ours.goal(goal))
    }
}

/// `async`, as many calls at once as our default: events a second, and processor time of the UDF for each.
pub async fn in_tasks(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut contest = Contest::new("async", StrategyKind::Async, 1_000, 2);
    let mut bare_call_us = Vec::new();
    for _ in 0..bench.rounds {
        for udf in [Udf::Ours, Udf::Reqwest, Udf::Go, Udf::Python, Udf::Counter] {
            contest.run(bench, udf).await?;
        }
        bare_call_us.push(bare_call(bench, &[]).await?);
    }
    let counter = contest.cpu_us(Udf::Counter);
    let floor: Vec<f64> = counter.iter().zip(&bare_call_us).map(|(a, b)| a + b).collect();
    let floor = Figure::of(Unit::Micros, &floor);
    let mut lines = Vec::new();
    for ours in OURS {
        let go = contest.cpu(Udf::Go);
        let python = contest.cpu(Udf::Python);
        lines.extend([
            contest.rate_line(ours, Udf::Go, Goal::AtLeastTimes(2.5)),
            contest.rate_line(ours, Udf::Python, Goal::AtLeastTimes(12.0)),
            contest.cpu_line(ours, Udf::Go.name(), go, Goal::AtMostTimes(0.27)),
            contest.cpu_line(ours, Udf::Python.name(), python, Goal::AtMostTimes(1.0 / 15.0)),
            contest.cpu_line(ours, FLOOR, floor.clone(), Goal::AtMostTimes(1.5)),
        ]);
    }
    let seen = |what: &str, figure| Line::alone("async", what, figure, Goal::Seen);
    lines.extend([
        seen("events/s, bare counter", contest.rate(Udf::Counter)),
        seen(
            "processor time per event, bare counter",
            contest.cpu(Udf::Counter),
        ),
        seen(
            "processor time per call, bare hyper loop",
            Figure::of(Unit::Micros, &bare_call_us),
        ),
    ]);
    Ok(lines)
}

/// `thread-pool` of 100.
pub async fn on_threads(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let mut contest = Contest::new("thread-pool", StrategyKind::ThreadPool, 100, 1);
    for _ in 0..bench.rounds {
        for udf in [Udf::Ours, Udf::Reqwest, Udf::Go, Udf::Python, Udf::PythonAnew] {
            contest.run(bench, udf).await?;
        }
    }
    let mut lines = Vec::new();
    for ours in OURS {
        lines.extend([
            contest.rate_line(ours, Udf::PythonAnew, Goal::AtLeastTimes(50.0)),
            contest.rate_line(ours, Udf::Python, Goal::Seen),
            contest.rate_line(ours, Udf::Go, Goal::AtLeastTimes(1.5)),
            contest.cpu_line(ours, Udf::Go.name(), contest.cpu(Udf::Go), Goal::Seen),
        ]);
    }
    Ok(lines)
}

/// `process-pool` with a process for each core, the default here and there.
pub async fn in_processes(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let cores = vertex::machine::cores().get() as u64;
    let mut contest = Contest::new("process-pool", StrategyKind::ProcessPool, cores, 1);
    // Few processes at work are what the system's scheduler disturbs most.
    for _ in 0..2 * bench.rounds {
        for udf in [Udf::Ours, Udf::Reqwest, Udf::Python, Udf::PythonAnew] {
            contest.run(bench, udf).await?;
        }
    }
    let mut lines = Vec::new();
    for ours in OURS {
        lines.extend([
            contest.rate_line(ours, Udf::PythonAnew, Goal::AtLeastTimes(20.0)),
            contest.rate_line(ours, Udf::Python, Goal::Seen),
        ]);
    }
    Ok(lines)
}

/// Processor time of one call by the bare loop, microseconds. `request` is what the loop sends, as arguments.
pub(super) async fn bare_call(bench: &Bench, request: &[&str]) -> Result<f64, BenchError> {
    let endpoint = endpoint_command(&bench.programs);
    let said = bare_calls(&bench.programs, endpoint, bench.time(1.0), request).await?;
    Ok(said.0.cpu_us / said.0.calls as f64)
}

/// What the bare loop reaches with a server that announces its address; and the server's processor time per call,
/// microseconds.
pub async fn bare_calls(
    programs: &Programs,
    server: tokio::process::Command,
    time: Duration,
    request: &[&str],
) -> Result<(Said, f64), BenchError> {
    let mut server = spawn("server", server)?;
    let listening = address(&mut server).await?;
    let mut client = programs.bare("client");
    client
        .args(["--address", &listening.to_string()])
        .args(["--connections", &BARE_CONNECTIONS.to_string()])
        .args(["--seconds", &time.as_secs_f64().to_string()])
        .args(request);
    let before = cost::of(&server)?;
    let mut client = spawn("client", client)?;
    let said: Said = client.read_json("its calls", time + PATIENCE).await?;
    let server_us = cost::of(&server)?.since(before).time.as_secs_f64() * 1e6;
    client.kill().await;
    server.kill().await;
    Ok((said, server_us / said.all_calls as f64))
}
