//! The child processes of one trial and the data plane between them, from start to stop. Dropping it ends all of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::windows::events_in;
use launcher::{Child, LaunchError, Place, Stderr};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use trials::outcome::READ_BATCHES;
use trials::trial::TrialSettings;

use crate::commands;
use crate::config::LocalConfig;
use crate::error::LocalError;
use crate::memory::buffer_bytes;
use crate::recorder::Recorder;

/// How long a process may take to end after a request to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait for the exit of a process after its connection broke.
const DEATH_NOTICE: Duration = Duration::from_millis(500);
/// Longest stall of this machine for which the last window still closes.
const STALL: Duration = Duration::from_secs(2);

/// Paths of the programs.
#[derive(Debug)]
pub(crate) struct Binaries {
    endpoint: PathBuf,
    generator: PathBuf,
    udf: PathBuf,
    sink: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    /// `None` if calls go to the user's own endpoint.
    pub endpoint_address: Option<SocketAddr>,
    /// Address of the generator's `/stats`.
    pub generator_address: SocketAddr,
    endpoint: Option<Child>,
    generator: Child,
    udf: Child,
    sink: Child,
    is_user_udf: bool,
    /// Whether that UDF serves where it always does.
    has_fixed_place: bool,
    sockets: dataplane::Sockets,
    /// The data plane and the reader of the sink. Until they are stopped they end only with an error.
    tasks: JoinSet<Result<Counts, LocalError>>,
    stop_data_plane: Option<oneshot::Sender<()>>,
}

/// The data plane's counts by name; none from the reader of the sink.
type Counts = Option<BTreeMap<String, u64>>;

impl Binaries {
    /// Finds all four in one folder.
    pub fn find(folder: &Path) -> Result<Self, LocalError> {
        let find = |name: &'static str| {
            let path = folder.join(name);
            if path.is_file() {
                Ok(path)
            } else {
                Err(LocalError::Missing { process: name, path })
            }
        };
        Ok(Self {
            endpoint: find("endpoint")?,
            generator: find("generator")?,
            udf: find("udf")?,
            sink: find("sink")?,
        })
    }
}

impl Pipeline {
    /// Starts the processes with their sockets in `folder`.
    pub async fn start(
        binaries: &Binaries,
        config: &LocalConfig,
        settings: &TrialSettings,
        folder: &Path,
    ) -> Result<Self, LocalError> {
        let spawn = |name, command| Child::spawn(name, command, Stderr::Tail);
        let [source, reduce, sink] = places(folder)?;
        let reduce = config
            .udf_place
            .as_ref()
            .map_or(reduce, |fixed| fixed.place().clone());
        let mut endpoint = match config.endpoint_url {
            None => Some(spawn(
                "endpoint",
                commands::endpoint(&binaries.endpoint, settings),
            )?),
            Some(_) => None,
        };
        // An event of a later window closes the last one, in a later read: a batch's watermark is its first event's time.
        // A stall may put several windows into one batch, so there are events for as many.
        let windows = u64::from(settings.warmup) + u64::from(settings.windows);
        let count = events_in(settings, windows + windows_in(STALL, settings.window));
        let mut generator = spawn(
            "generator",
            commands::generator(
                &binaries.generator,
                settings,
                count,
                config.payloads.as_ref().map(|own| &own.payloads),
                &source,
            ),
        )?;
        let sink_process = spawn("sink", commands::sink(&binaries.sink, &sink))?;
        let (endpoint_address, url) = match (&mut endpoint, &config.endpoint_url) {
            (Some(endpoint), _) => {
                let address = address(endpoint, config.patience).await?;
                (Some(address), format!("http://{address}"))
            }
            (None, url) => (None, url.as_ref().map(ToString::to_string).unwrap_or_default()),
        };
        let ca_file = config.ca_file.as_deref();
        let udf = match &config.udf_command {
            Some(line) => commands::user_udf(line, settings, &url, ca_file, &reduce),
            None => commands::udf(&binaries.udf, settings, &url, ca_file, &reduce),
        };
        let udf = spawn("udf", udf)?;
        let generator_address = address(&mut generator, config.patience).await?;
        Ok(Self {
            endpoint_address,
            generator_address,
            endpoint,
            generator,
            udf,
            sink: sink_process,
            is_user_udf: config.udf_command.is_some(),
            has_fixed_place: config.udf_place.is_some(),
            sockets: dataplane::Sockets {
                source: vertex(source),
                reduce: vertex(reduce),
                sink: vertex(sink),
            },
            tasks: JoinSet::new(),
            stop_data_plane: None,
        })
    }

    /// Connects the data plane and runs it; `recorder` observes it.
    pub async fn drive(
        &mut self,
        settings: &TrialSettings,
        patience: Duration,
        recorder: &Arc<Recorder>,
    ) -> Result<(), LocalError> {
        if let Some(stdout) = self.sink.take_stdout() {
            let recorder = Arc::clone(recorder);
            self.tasks
                .spawn(async move { recorder.read_sink(stdout).await.map(|()| None) });
        }
        let config = dataplane::Config {
            keyed: settings.is_keyed(),
            buffer_bytes: buffer_bytes(vertex::machine::memory()),
            ..dataplane::Config::new(settings.window, settings.read_timeout)
        };
        let sockets = self.sockets.clone();
        let connect = dataplane::DataPlane::connect(config, &sockets, patience);
        let data_plane = self
            .guard(async { connect.await.map_err(LocalError::DataPlane) })
            .await
            .map_err(|error| self.explained(error))?;
        let (stop, stopped) = oneshot::channel();
        self.stop_data_plane = Some(stop);
        let observer = Arc::clone(recorder);
        self.tasks.spawn(async move {
            let stopped = async {
                // Dropping the sender stops it too.
                let _ = stopped.await;
            };
            let counts = data_plane.run(observer, stopped).await;
            counts
                .map(|counts| Some(by_name(&counts)))
                .map_err(LocalError::DataPlane)
        });
        Ok(())
    }

    /// The error with the user's own UDF as its cause, where that is certain: our programs write the file.
    fn explained(&self, error: LocalError) -> LocalError {
        match error {
            LocalError::DataPlane(dataplane::Error::ServerInfo {
                vertex: dataplane::Vertex::Reduce,
                path,
                patience,
            }) if self.is_user_udf => LocalError::NoServerInfo {
                path,
                patience,
                fixed: self.has_fixed_place,
                stderr: self.udf.tail(),
            },
            other => other,
        }
    }

    /// The UDF's process id; `None` after its end.
    pub fn udf_id(&self) -> Option<u32> {
        self.udf.id()
    }

    /// Runs `work` until a child exits or a task ends. A broken connection is usually caused by the exit of a child, so the
    /// exit is reported if it is noticed within [`DEATH_NOTICE`].
    ///
    /// # Errors
    /// Returns the error of `work`, of a task, or the exit of a child.
    pub async fn guard<T>(
        &mut self,
        work: impl Future<Output = Result<T, LocalError>>,
    ) -> Result<T, LocalError> {
        let Self {
            endpoint,
            generator,
            udf,
            sink,
            tasks,
            ..
        } = self;
        let death = async {
            let endpoint_death = async {
                match endpoint {
                    Some(endpoint) => endpoint.death().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                death = udf.death() => death,
                death = endpoint_death => death,
                death = generator.death() => death,
                death = sink.death() => death,
            }
        };
        tokio::pin!(death);
        let failed = async {
            match tasks.join_next().await {
                Some(Ok(Err(error))) => error,
                Some(_) => LocalError::Stopped,
                None => std::future::pending().await,
            }
        };
        let error = tokio::select! {
            done = work => match done {
                Ok(value) => return Ok(value),
                Err(error) => error,
            },
            error = failed => error,
            death = &mut death => return Err(death.into()),
        };
        Err(timeout(DEATH_NOTICE, death).await.map_or(error, LocalError::from))
    }

    /// Stops the data plane after the read in progress and returns its counts; `None` if it does not stop in time.
    pub async fn stop_data_plane(&mut self, read_timeout: Duration) -> Result<Counts, LocalError> {
        drop(self.stop_data_plane.take());
        match timeout(STOP_PATIENCE + read_timeout, self.tasks.join_next()).await {
            Ok(Some(Ok(counts))) => counts,
            Ok(_) => Err(LocalError::Stopped),
            Err(_) => Ok(None),
        }
    }

    /// Ends all children. The user's own UDF gets a signal, since it may ignore the end of standard input.
    pub async fn stop(mut self) {
        self.tasks.abort_all();
        let endpoint = async {
            if let Some(endpoint) = self.endpoint {
                endpoint.stop(STOP_PATIENCE).await;
            }
        };
        if self.is_user_udf {
            self.udf.terminate();
        }
        tokio::join!(
            self.udf.stop(STOP_PATIENCE),
            self.generator.stop(STOP_PATIENCE),
            self.sink.stop(STOP_PATIENCE),
            endpoint,
        );
    }
}

/// Sockets of source, UDF and sink.
pub(crate) fn places(folder: &Path) -> Result<[Place; 3], LaunchError> {
    let place = |name| Place::within(folder, name);
    Ok([place("source")?, place("udf")?, place("sink")?])
}

/// The address that a server announces.
async fn address(server: &mut Child, patience: Duration) -> Result<SocketAddr, LaunchError> {
    let announced: wire::AnnouncedAddress = server.read_json("its address", patience).await?;
    Ok(announced.listening)
}

fn vertex(Place { socket, server_info }: Place) -> dataplane::VertexSockets {
    dataplane::VertexSockets { socket, server_info }
}

/// Number of windows that cover `time`, at least one.
fn windows_in(time: Duration, window: Duration) -> u64 {
    let windows = time.as_nanos().div_ceil(window.as_nanos().max(1));
    u64::try_from(windows).unwrap_or(u64::MAX).max(1)
}

fn by_name(counts: &dataplane::Counts) -> BTreeMap<String, u64> {
    [
        ("read", counts.read),
        (READ_BATCHES, counts.read_batches),
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
