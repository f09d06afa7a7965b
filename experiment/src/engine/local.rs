//! Runs a trial on this machine: the real processes as children, driven by the embedded data plane over their real
//! sockets. Whatever is started for a trial ends with it, however it ends.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wire::{Clock, GeneratorStats};

use self::assemble::{Evidence, assemble, window_ms, window_starts};
use self::flags::Place;
use self::process::Process;
use self::watch::Watch;
use super::{Engine, Observation, TrialProgress};
use crate::cost::Sampler;
use crate::machine;
use crate::trial::{Trial, TrialSettings};

mod assemble;
mod error;
mod flags;
mod process;
mod watch;

pub use error::EngineError;

/// How long a process is given to end by itself when it is told to.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How long a dead process may take to be noticed after its connection broke.
const DEATH_NOTICE: Duration = Duration::from_millis(500);

/// Between two looks for the first event's due time.
const FIRST_EVENT_POLL: Duration = Duration::from_millis(20);

/// How long `/stats` may take to answer.
const STATS_TIMEOUT: Duration = Duration::from_secs(5);

/// Set-up and clean-up of a trial, and the wait for the window boundary it starts on, half a window on average.
const SET_UP: Duration = Duration::from_millis(800);

/// The longest name of a socket in a trial's folder, with its separator.
const SOCKET_NAME: usize = "/source".len();

/// What the engine must know besides the trial.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// How long after the last window's end a trial is cut off.
    pub cut_off: Duration,
    /// How long processes may take to become ready.
    pub patience: Duration,
    /// A shell command that starts a reduce UDF other than ours.
    pub udf_command: Option<String>,
}

/// The engine `local`.
#[derive(Debug)]
pub struct LocalEngine {
    config: LocalConfig,
    binaries: Binaries,
    http: reqwest::Client,
    clock: Clock,
}

#[derive(Debug)]
struct Binaries {
    endpoint: PathBuf,
    generator: PathBuf,
    udf: PathBuf,
    sink: PathBuf,
}

/// The children of a trial and the tasks that listen to them; dropped, all of them end.
struct Pipeline {
    endpoint: Process,
    generator: Process,
    udf: Process,
    sink: Process,
    /// The data plane and the reader of the sink: each ends only when something is wrong.
    tasks: JoinSet<Result<Counts, EngineError>>,
    stop_data_plane: oneshot::Sender<()>,
    endpoint_address: SocketAddr,
    generator_address: SocketAddr,
}

/// The data plane's counts by name; none from the reader of the sink.
type Counts = Option<std::collections::BTreeMap<String, u64>>;

impl LocalEngine {
    /// Looks for the binaries in `folder` and makes room for many connections.
    ///
    /// # Errors
    /// Where a binary is missing or the folder for sockets has too long a path.
    pub fn new(folder: &Path, config: LocalConfig) -> Result<Self, EngineError> {
        let find = |name: &'static str| {
            let path = folder.join(name);
            if path.is_file() {
                Ok(path)
            } else {
                Err(EngineError::Missing { process: name, path })
            }
        };
        let binaries = Binaries {
            endpoint: find("endpoint")?,
            generator: find("generator")?,
            udf: find("udf")?,
            sink: find("sink")?,
        };
        trial_folder()?;
        machine::raise_descriptor_limit();
        // Fails only where a provider has been chosen before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(STATS_TIMEOUT)
            .build();
        Ok(Self {
            config,
            binaries,
            http: http.map_err(EngineError::Client)?,
            clock: Clock::start(),
        })
    }

    async fn start(
        &self,
        settings: &TrialSettings,
        folder: &Path,
        watch: &Arc<Watch>,
    ) -> Result<Pipeline, EngineError> {
        let [source_place, udf_place, sink_place] =
            ["source", "udf", "sink"].map(|name| Place::within(folder, name));
        let mut endpoint = Process::spawn("endpoint", flags::endpoint(&self.binaries.endpoint, settings))?;
        let windows = u64::from(settings.warmup) + u64::from(settings.windows) + 1;
        let count = events_in(settings, windows);
        let generator = flags::generator(&self.binaries.generator, settings, count, &source_place);
        let mut generator = Process::spawn("generator", generator)?;
        let mut sink = Process::spawn("sink", flags::sink(&self.binaries.sink, &sink_place))?;
        let endpoint_address = self.ready("endpoint", endpoint.address()).await?;
        let udf = match &self.config.udf_command {
            Some(line) => flags::foreign_udf(line, settings, endpoint_address, &udf_place),
            None => flags::udf(&self.binaries.udf, settings, endpoint_address, &udf_place),
        };
        let udf = Process::spawn("udf", udf)?;
        let generator_address = self.ready("generator", generator.address()).await?;

        let mut tasks = JoinSet::new();
        if let Some(stdout) = sink.take_stdout() {
            let watch = Arc::clone(watch);
            tasks.spawn(async move { watch.read_sink(stdout).await.map(|()| None) });
        }
        let (stop_data_plane, stop) = oneshot::channel();
        let mut pipeline = Pipeline {
            endpoint,
            generator,
            udf,
            sink,
            tasks,
            stop_data_plane,
            endpoint_address,
            generator_address,
        };
        let vertex = |place: Place| dataplane::VertexSockets {
            socket: place.socket,
            server_info: place.server_info,
        };
        let sockets = dataplane::Sockets {
            source: vertex(source_place),
            reduce: vertex(udf_place),
            sink: vertex(sink_place),
        };
        let config = dataplane::Config::new(settings.window, settings.read_timeout);
        let connect = dataplane::DataPlane::connect(config, &sockets, self.config.patience);
        let data_plane = pipeline
            .guard(async { connect.await.map_err(EngineError::DataPlane) })
            .await?;
        let observer: Arc<Watch> = Arc::clone(watch);
        pipeline.tasks.spawn(async move {
            let stop = async { drop(stop.await) };
            data_plane
                .run(observer, stop)
                .await
                .map(|counts| Some(by_name(&counts)))
                .map_err(EngineError::DataPlane)
        });
        Ok(pipeline)
    }

    async fn ready<T>(
        &self,
        process: &'static str,
        ready: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let patience = self.config.patience;
        timeout(patience, ready)
            .await
            .map_err(|_| EngineError::NotReady { process, patience })?
    }

    async fn stats<T: DeserializeOwned>(
        &self,
        process: &'static str,
        address: SocketAddr,
    ) -> Result<T, EngineError> {
        let error = |source| EngineError::Stats { process, source };
        let answer = self
            .http
            .get(format!("http://{address}/stats"))
            .send()
            .await
            .map_err(error)?;
        answer
            .error_for_status()
            .map_err(error)?
            .json()
            .await
            .map_err(error)
    }

    /// When event 0 is due, microseconds since the epoch.
    async fn first_due_us(&self, generator: SocketAddr) -> Result<u64, EngineError> {
        let poll = async {
            loop {
                let stats: GeneratorStats = self.stats("generator", generator).await?;
                if let Some(t0_us) = stats.t0_us {
                    return Ok(t0_us);
                }
                sleep(FIRST_EVENT_POLL).await;
            }
        };
        self.ready("generator", poll).await
    }
}

#[async_trait]
impl Engine for LocalEngine {
    fn name(&self) -> &'static str {
        "local"
    }

    fn expected(&self, trial: &Trial) -> Duration {
        let settings = &trial.settings;
        // The last window closes when the one after it has begun.
        let windows = settings.warmup + settings.windows;
        SET_UP + settings.window * windows + settings.window / 2 + settings.read_timeout * 2
    }

    async fn run(&mut self, trial: &Trial, progress: &dyn TrialProgress) -> Result<Observation, EngineError> {
        let settings = &trial.settings;
        let folder = trial_folder()?;
        let watch = Watch::new(window_ms(settings));
        let mut pipeline = self.start(settings, folder.path(), &watch).await?;
        let sampler = pipeline.udf.id().and_then(Sampler::start);

        let t0_us = pipeline
            .guard(self.first_due_us(pipeline.generator_address))
            .await?;
        let windows = window_starts(settings, t0_us / 1_000);
        let all = settings.warmup + settings.windows;
        let end = self.clock.instant(t0_us) + settings.window * all + self.config.cut_off;
        let complete = watch.complete(&windows, |closed| {
            progress.windows(u32::try_from(closed).unwrap_or(u32::MAX), all);
        });
        // Neither ending is an error: the windows without result are found below.
        let observed = async { Ok(drop(timeout_at(Instant::from_std(end), complete).await)) };
        pipeline.guard(observed).await?;

        let stopped = std::time::Instant::now();
        let counts = pipeline.stop_data_plane().await?;
        let usage = sampler.and_then(Sampler::finish);
        let generator = self.stats("generator", pipeline.generator_address).await?;
        let endpoint = self.stats("endpoint", pipeline.endpoint_address).await?;
        pipeline.stop(self.config.udf_command.is_some()).await;
        let evidence = Evidence {
            clock: self.clock,
            t0_ms: t0_us / 1_000,
            seen: watch.seen(),
            generator,
            endpoint,
            usage,
            counts: counts.unwrap_or_default(),
            stopped,
        };
        Ok(assemble(settings, evidence))
    }
}

impl Pipeline {
    /// Does `work` unless a child dies or a task ends before. A broken connection is mostly somebody's death:
    /// then the death is what is told.
    async fn guard<T>(
        &mut self,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let Self {
            endpoint,
            generator,
            udf,
            sink,
            tasks,
            ..
        } = self;
        let death = async {
            tokio::select! {
                death = udf.death() => death,
                death = endpoint.death() => death,
                death = generator.death() => death,
                death = sink.death() => death,
            }
        };
        tokio::pin!(death);
        let failed = async {
            match tasks.join_next().await {
                Some(Ok(Err(error))) => error,
                Some(_) => EngineError::Stopped,
                None => std::future::pending().await,
            }
        };
        let error = tokio::select! {
            done = work => match done {
                Ok(value) => return Ok(value),
                Err(error) => error,
            },
            error = failed => error,
            death = &mut death => return Err(death),
        };
        Err(timeout(DEATH_NOTICE, death).await.unwrap_or(error))
    }

    /// Stops the data plane; its counts, where it stops in time.
    async fn stop_data_plane(&mut self) -> Result<Counts, EngineError> {
        let (unused, _) = oneshot::channel();
        // Fails only where the data plane has ended already, which is found next.
        let _ = std::mem::replace(&mut self.stop_data_plane, unused).send(());
        match timeout(STOP_PATIENCE, self.tasks.join_next()).await {
            Ok(Some(Ok(counts))) => counts,
            Ok(_) => Err(EngineError::Stopped),
            Err(_) => Ok(None),
        }
    }

    /// Lets all children end, the foreign UDF by a signal as well.
    async fn stop(mut self, foreign_udf: bool) {
        self.tasks.abort_all();
        tokio::join!(
            self.udf.stop(foreign_udf, STOP_PATIENCE),
            self.generator.stop(false, STOP_PATIENCE),
            self.sink.stop(false, STOP_PATIENCE),
            self.endpoint.stop(false, STOP_PATIENCE),
        );
    }
}

/// The data plane's counts by their names.
fn by_name(counts: &dataplane::Counts) -> std::collections::BTreeMap<String, u64> {
    [
        ("read", counts.read),
        ("acked", counts.acked),
        ("dropped_late", counts.dropped_late),
        ("dropped_old", counts.dropped_old),
        ("delivered", counts.delivered),
        ("windows_opened", counts.windows_opened),
        ("windows_closed", counts.windows_closed),
        ("results", counts.results),
        ("sunk", counts.sunk),
        ("sink_retries", counts.sink_retries),
        ("max_buffer_depth", counts.max_buffer_depth),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}

/// Events that are due in so many windows, rounded up: with one less the last window might never close.
fn events_in(settings: &TrialSettings, windows: u64) -> u64 {
    let per_window_nanos = u128::from(settings.rpu.get()) * settings.window.as_nanos();
    let events = (per_window_nanos * u128::from(windows)).div_ceil(1_000_000_000);
    u64::try_from(events).unwrap_or(u64::MAX)
}

/// A folder for the sockets of one trial, removed when dropped.
fn trial_folder() -> Result<tempfile::TempDir, EngineError> {
    let parent = std::env::temp_dir();
    let folder = tempfile::Builder::new().prefix("ar-").tempdir();
    let folder = folder.map_err(|source| EngineError::Folder { parent, source })?;
    let length = folder.path().as_os_str().len() + SOCKET_NAME;
    if length > EngineError::MAX_SOCKET_PATH {
        return Err(EngineError::FolderTooLong {
            parent: std::env::temp_dir(),
        });
    }
    Ok(folder)
}
