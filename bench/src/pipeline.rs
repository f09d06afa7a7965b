//! The pipeline of most rows: endpoint, generator, UDF and sink as processes, and the embedded data plane in this
//! one. Dropping it ends all of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::{DataPlane, Sockets, VertexSockets};
use launcher::{Child, Place};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::{StartRule, StrategyKind, Workload};

use crate::child::{PATIENCE, address, spawn};
use crate::cost::{self, Cpu};
use crate::error::BenchError;
use crate::programs::Programs;
use crate::watch::{Closed, SCORE, Watch};

/// The read timeout: short, so that a source with few events does not dominate what is measured.
pub const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// The work of a UDF, passed to it in environment variables.
#[derive(Debug, Clone)]
pub struct Work {
    pub strategy: StrategyKind,
    pub start_rule: StartRule,
    pub workload: Workload,
    pub max_workers: u64,
    /// Delay requested of the endpoint, or processor time per event.
    pub delay: Duration,
    /// Further environment variables.
    pub more: Vec<(&'static str, String)>,
}

/// The events of a pipeline.
#[derive(Debug, Clone)]
pub struct Load {
    /// Events per second. A rate far above what can be read keeps the source overdue, so that windows follow back to
    /// back.
    pub rpu: u64,
    /// Length of a window; whole milliseconds.
    pub window: Duration,
    pub keys: u64,
    /// Number of events; 0 for unlimited.
    pub count: u64,
    /// Bytes of an event's payload; 0 for the minimum.
    pub payload_bytes: u64,
    /// A file with payloads of a user's own, sent instead.
    pub payloads: Option<PathBuf>,
}

/// Of the endpoint as the service that `examples/score` calls.
pub const TOKEN: &str = "bench";

/// Highest rate of the generator.
pub const OVERDUE_RPU: u64 = 1_000_000;

/// A running pipeline.
#[derive(Debug)]
pub struct Pipeline {
    /// Windows and results so far.
    pub watch: Arc<Watch>,
    pub udf: Child,
    pub source: Child,
    pub sink: Child,
    /// The endpoint; `None` for work that does not call it.
    pub endpoint: Option<Child>,
    /// Socket and server-info file of the UDF.
    pub udf_place: Place,
    plane: JoinHandle<Result<dataplane::Counts, dataplane::Error>>,
    reader: JoinHandle<()>,
    _stop: oneshot::Sender<()>,
    _folder: TempDir,
}

/// Processor time and memory of every part up to a moment.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// The UDF with its children.
    pub udf: Cpu,
    pub source: Cpu,
    /// The data plane, which runs in this process.
    pub plane: Cpu,
}

/// Consecutive windows.
#[derive(Debug, Clone)]
pub struct Span {
    /// The windows in order of closing.
    pub windows: Vec<Closed>,
    /// From the close before the first window to the close of the last.
    pub wall: Duration,
    /// Costs of the parts during that time.
    pub costs: Costs,
}

impl Work {
    /// Calls without delay that start at arrival.
    pub fn http(strategy: StrategyKind, max_workers: u64) -> Self {
        Self {
            strategy,
            start_rule: StartRule::AtArrival,
            workload: Workload::Http,
            max_workers,
            delay: Duration::ZERO,
            more: Vec::new(),
        }
    }

    /// Processor time of `delay` for each event, starting at the close.
    pub fn cpu(strategy: StrategyKind, max_workers: u64, delay: Duration) -> Self {
        Self {
            workload: Workload::Cpu,
            start_rule: StartRule::AtClose,
            delay,
            ..Self::http(strategy, max_workers)
        }
    }

    fn set_variables(&self, command: &mut Command, endpoint_url: &str) {
        command
            .env("STRATEGY", self.strategy.to_string())
            .env("START_RULE", self.start_rule.to_string())
            .env("WORKLOAD", self.workload.to_string())
            .env("MAX_WORKERS", self.max_workers.to_string())
            .env("IO_DELAY", wire::format_duration(self.delay))
            .env("ENDPOINT_URL", endpoint_url)
            .env("SCORE_URL", format!("{endpoint_url}/score"))
            .env("SCORE_TOKEN", TOKEN)
            .envs(self.more.iter().map(|(name, value)| (name, value)));
    }
}

impl Load {
    /// Back-to-back windows of `thousands` × 1,000 events with one key.
    pub fn windows_of_thousands(thousands: u64) -> Self {
        Self::scheduled(OVERDUE_RPU, Duration::from_millis(thousands))
    }

    /// Windows by the clock, with one key.
    pub fn scheduled(rpu: u64, window: Duration) -> Self {
        Self {
            rpu,
            window,
            keys: 1,
            count: 0,
            payload_bytes: 0,
            payloads: None,
        }
    }
}

impl Costs {
    fn since(self, before: Self) -> Self {
        Self {
            udf: self.udf.since(before.udf),
            source: self.source.since(before.source),
            plane: self.plane.since(before.plane),
        }
    }
}

impl Span {
    pub fn events(&self) -> u64 {
        self.windows.iter().map(|window| window.events).sum()
    }

    /// Events per second.
    pub fn rate(&self) -> f64 {
        self.events() as f64 / self.wall.as_secs_f64()
    }

    /// Processor time per event, in microseconds.
    pub fn per_event_us(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.events() as f64
    }
}

impl Pipeline {
    /// Starts the parts and the flow of events. `source` and `udf` are commands without their sockets.
    pub async fn start(
        programs: &Programs,
        load: &Load,
        mut source: Command,
        mut udf: Command,
        work: &Work,
    ) -> Result<Self, BenchError> {
        let folder = folder()?;
        let place = |name| Place::within(folder.path(), name);
        let [source_place, udf_place, sink_place] = [place("source")?, place("udf")?, place("sink")?];
        let (mut endpoint, mut url) = (None, String::new());
        if work.workload == Workload::Http {
            let mut child = spawn("endpoint", endpoint_command(programs))?;
            url = format!("http://{}", address(&mut child).await?);
            endpoint = Some(child);
        }
        source.envs(source_place.variables());
        let source = spawn("source", source)?;
        let mut sink = programs.ours("sink");
        sink.envs(sink_place.variables());
        let mut sink = spawn("sink", sink)?;
        work.set_variables(&mut udf, &url);
        udf.envs(udf_place.variables());
        let udf = spawn("udf", udf)?;

        let watch = Arc::new(Watch::default());
        let lines = sink.take_stdout();
        let reader = tokio::spawn({
            let watch = Arc::clone(&watch);
            async move { watch.read(lines).await }
        });
        let config = dataplane::Config::new(load.window, READ_TIMEOUT);
        let sockets = Sockets {
            source: sockets(source_place),
            reduce: sockets(udf_place.clone()),
            sink: sockets(sink_place),
        };
        let plane = DataPlane::connect(config, &sockets, PATIENCE)
            .await
            .map_err(|error| BenchError::DataPlane {
                reason: error.to_string(),
                tail: udf.tail(),
            })?;
        let (stop, stopped) = oneshot::channel::<()>();
        let observer = Arc::clone(&watch);
        let plane = tokio::spawn(plane.run(observer, async {
            let _ = stopped.await;
        }));
        Ok(Self {
            watch,
            udf,
            source,
            sink,
            endpoint,
            udf_place,
            plane,
            reader,
            _stop: stop,
            _folder: folder,
        })
    }

    /// Skips windows until `warm_up` of them have closed, then measures from close to close for at least `least` and
    /// at least `windows` windows.
    pub async fn measure(
        &mut self,
        warm_up: usize,
        windows: usize,
        least: Duration,
        patience: Duration,
    ) -> Result<Span, BenchError> {
        let deadline = Instant::now() + patience;
        let first = self.closed(warm_up.max(1), deadline, patience).await?;
        let before = self.costs()?;
        let from = self.watch.eof(first - 1);
        let mut last = self.closed(first + windows.max(1), deadline, patience).await?;
        while self.watch.eof(last - 1).saturating_duration_since(from) < least {
            last = self.closed(last + 1, deadline, patience).await?;
        }
        let after = self.costs()?;
        let closed = self.watch.closed(first, last);
        Ok(Span {
            wall: self.watch.eof(last - 1).saturating_duration_since(from),
            windows: closed,
            costs: after.since(before),
        })
    }

    /// Waits until at least `count` windows are closed; returns how many are.
    async fn closed(
        &mut self,
        count: usize,
        deadline: Instant,
        patience: Duration,
    ) -> Result<usize, BenchError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let reached = async {
            tokio::select! {
                closed = self.watch.until(count) => Ok(closed),
                ended = &mut self.plane => Err(match ended {
                    Ok(Ok(_)) => "the data plane ended".to_owned(),
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                }),
            }
        };
        match timeout(left, reached).await {
            Ok(Ok(closed)) => Ok(closed),
            Ok(Err(reason)) => Err(BenchError::DataPlane {
                reason,
                tail: self.udf.tail(),
            }),
            Err(_) => Err(BenchError::Windows {
                closed: self.watch.count(),
                patience,
                tail: self.udf.tail(),
            }),
        }
    }

    /// The costs of the parts so far.
    pub fn costs(&self) -> Result<Costs, BenchError> {
        Ok(Costs {
            udf: cost::of(&self.udf)?,
            source: cost::of(&self.source)?,
            plane: cost::own()?,
        })
    }

    /// Measures the first window, from the start of the pipeline.
    pub async fn measure_first(&mut self, patience: Duration) -> Result<Span, BenchError> {
        let (begun, before) = (Instant::now(), self.costs()?);
        self.closed(1, begun + patience, patience).await?;
        let after = self.costs()?;
        Ok(Span {
            wall: self.watch.eof(0).saturating_duration_since(begun),
            windows: self.watch.closed(0, 1),
            costs: after.since(before),
        })
    }

    /// Checks that the results report every event, and ends everything.
    pub async fn end(self) -> Result<(), BenchError> {
        let result = self.watch.await_results().await;
        self.drop_all().await;
        result
    }

    /// Ends everything without checking the results.
    pub async fn drop_all(self) {
        self.plane.abort();
        self.reader.abort();
        tokio::join!(self.udf.kill(), self.source.kill(), self.sink.kill());
        if let Some(endpoint) = self.endpoint {
            endpoint.kill().await;
        }
    }
}

pub fn generator(programs: &Programs, load: &Load) -> Command {
    let mut command = programs.ours("generator");
    command
        .args(["--rpu", &load.rpu.to_string()])
        .args(["--keys", &load.keys.to_string()])
        .args(["--count", &load.count.to_string()])
        .args(["--payload-size", &load.payload_bytes.to_string()])
        .args(["--align", &wire::format_duration(load.window)]);
    if let Some(path) = &load.payloads {
        command.arg("--payloads").arg(path);
    }
    command
}

pub fn endpoint_command(programs: &Programs) -> Command {
    let mut command = programs.ours("endpoint");
    command
        .args(["--listen", "127.0.0.1:0", "--max-connections", "150000"])
        .args(["--io-delay", "0"])
        .env("ANSWER", format!(r#"{{"score":{SCORE}}}"#))
        .env("REQUIRE_HEADER", format!("Authorization: Bearer {TOKEN}"));
    command
}

/// A folder for sockets; removed when dropped.
pub fn folder() -> Result<TempDir, BenchError> {
    tempfile::Builder::new()
        .prefix("ar-bench-")
        .tempdir()
        .map_err(|source| BenchError::File {
            doing: "making a folder in",
            path: std::env::temp_dir(),
            source,
        })
}

fn sockets(Place { socket, server_info }: Place) -> VertexSockets {
    VertexSockets { socket, server_info }
}
