//! The four real processes with the embedded data plane. A test can kill, stop and restart each process.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dataplane::{
    Config, Counts, DataPlane, DropReason, Error, Message, Observer, Sockets, VertexSockets, WindowClosed,
};
use launcher::{Child, Place};
use tokio::io::{BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wire::{EndpointStats, GeneratorStats, Ranges, SinkLine, WindowRecord};

use crate::{PATIENCE, address, binary, endpoint, get_json, spawn};

/// Read timeout of the data plane.
pub const READ_TIMEOUT: Duration = Duration::from_millis(50);

/// Settings that a test chooses.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    pub window: Duration,
    pub generator: &'a [&'a str],
    pub udf: &'a [&'a str],
    pub endpoint: &'a [&'a str],
}

/// Four running processes in a folder of their own.
pub struct Pipeline {
    pub endpoint: Child,
    pub generator: Child,
    pub udf: Child,
    /// The sink; its standard output is read.
    pub sink: Child,
    /// The folder of sockets and server-info files.
    pub folder: tempfile::TempDir,
    /// The endpoint's URL.
    pub endpoint_url: String,
    generator_address: SocketAddr,
    window: Duration,
    seen: Arc<Seen>,
}

/// A running data plane.
pub struct Drive {
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<Counts, Error>>,
}

#[derive(Debug)]
struct Seen {
    window_ms: u64,
    found: Mutex<Found>,
}

/// The pipeline's output.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub lines: Vec<SinkLine>,
    /// Numbers of the events dropped as late, by window start (milliseconds since the epoch) and key.
    pub late: BTreeMap<(u64, String), Ranges>,
    /// Starts of the windows whose stream has ended (milliseconds since the epoch).
    pub closed: BTreeSet<u64>,
}

impl Pipeline {
    /// Starts the processes; no event flows yet.
    pub async fn start(setup: Setup<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (endpoint, endpoint_url) = endpoint(setup.endpoint).await;
        let mut generator = generator(&folder, setup.generator);
        let generator_address = address(&mut generator).await;
        let mut sink = vertex(&folder, "sink", "sink", &[]);
        let lines = sink.take_stdout().expect("it is piped");
        let seen = Arc::new(Seen {
            window_ms: u64::try_from(setup.window.as_millis()).expect("a short window"),
            found: Mutex::default(),
        });
        let reader = Arc::clone(&seen);
        tokio::spawn(async move { reader.read(lines).await });
        let udf = udf(&folder, &endpoint_url, setup.udf);
        Self {
            endpoint,
            generator,
            udf,
            sink,
            folder,
            endpoint_url,
            generator_address,
            window: setup.window,
            seen,
        }
    }

    /// Connects a data plane, which runs until it is stopped or a process ends.
    ///
    /// # Panics
    /// Panics if a process is not ready in time.
    pub async fn drive(&self) -> Drive {
        let of = |name: &str| {
            let Place { socket, server_info } = place(&self.folder, name);
            VertexSockets { socket, server_info }
        };
        let sockets = Sockets {
            source: of("source"),
            reduce: of("udf"),
            sink: of("sink"),
        };
        let plane = DataPlane::connect(Config::new(self.window, READ_TIMEOUT), &sockets, PATIENCE)
            .await
            .expect("all processes are ready");
        let (stop, stopped) = oneshot::channel();
        let observer = Arc::clone(&self.seen) as Arc<dyn Observer>;
        let run = tokio::spawn(plane.run(observer, async move {
            let _ = stopped.await;
        }));
        Drive { stop, run }
    }

    /// Starts a new UDF after the previous one has ended.
    pub fn restart_udf(&mut self, args: &[&str]) {
        self.forget("udf");
        self.udf = udf(&self.folder, &self.endpoint_url, args);
    }

    /// Starts a new generator after the previous one has ended.
    pub async fn restart_generator(&mut self, args: &[&str]) {
        self.forget("source");
        self.generator = generator(&self.folder, args);
        self.generator_address = address(&mut self.generator).await;
    }

    /// Removes the server-info file that a killed process leaves, so that it is not taken for its successor's.
    fn forget(&self, name: &str) {
        let _ = std::fs::remove_file(place(&self.folder, name).server_info);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The generator's statistics.
    pub async fn generator_stats(&self) -> GeneratorStats {
        get_json(&format!("http://{}/stats", self.generator_address)).await
    }

    /// The endpoint's statistics.
    pub async fn endpoint_stats(&self) -> EndpointStats {
        get_json(&format!("{}/stats", self.endpoint_url)).await
    }

    /// The output so far.
    pub fn found(&self) -> Found {
        self.seen.lock().clone()
    }

    /// Process ids of generator, UDF, sink and endpoint.
    pub fn ids(&self) -> [u32; 4] {
        let Self {
            generator,
            udf,
            sink,
            endpoint,
            ..
        } = self;
        [generator, udf, sink, endpoint].map(|child| child.id().expect("it runs"))
    }
}

impl Found {
    pub fn records(&self) -> Vec<WindowRecord> {
        self.lines.iter().filter_map(|line| line.record.clone()).collect()
    }
}

impl Drive {
    /// Stops it.
    ///
    /// # Panics
    /// Panics if it fails or does not stop in time.
    pub async fn stop(self) -> Counts {
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(PATIENCE, self.run).await;
        ended.expect("it stops").expect("no panic").expect("no failure")
    }

    /// Waits until it ends by itself, as when a process is gone; returns its error.
    ///
    /// # Panics
    /// Panics if it does not end.
    pub async fn failed(self) -> Error {
        let ended = tokio::time::timeout(PATIENCE, self.run).await;
        let ended = ended.expect("it ends").expect("no panic");
        ended.expect_err("a process is gone")
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, mut lines: Lines<BufReader<ChildStdout>>) {
        while let Ok(Some(line)) = lines.next_line().await {
            let line = serde_json::from_str(&line).expect("a line of the sink");
            self.lock().lines.push(line);
        }
    }
}

impl Observer for Seen {
    fn dropped(&self, message: &Message, _: DropReason) {
        let id = message.headers.get(wire::EVENT_ID_HEADER).map(String::as_str);
        let number = wire::event_number(id, &message.payload).expect("an event of the generator");
        let event_ms = message.event_time_ms();
        let cell = (event_ms - event_ms % self.window_ms, message.keys.join(":"));
        self.lock().late.entry(cell).or_default().insert(number);
    }

    fn window_closed(&self, closed: &WindowClosed) {
        self.lock().closed.insert(closed.start_ms);
    }
}

fn generator(folder: &tempfile::TempDir, args: &[&str]) -> Child {
    let more = [&["--stats-listen", "127.0.0.1:0"], args].concat();
    vertex(folder, "generator", "source", &more)
}

fn udf(folder: &tempfile::TempDir, endpoint_url: &str, args: &[&str]) -> Child {
    let more = [&["--endpoint-url", endpoint_url], args].concat();
    vertex(folder, "udf", "udf", &more)
}

/// Starts a program whose socket is in the folder, under this name.
fn vertex(folder: &tempfile::TempDir, program: &str, name: &str, args: &[&str]) -> Child {
    let mut command = Command::new(binary(program));
    command.envs(place(folder, name).variables()).args(args);
    spawn(command)
}

fn place(folder: &tempfile::TempDir, name: &str) -> Place {
    Place::within(folder.path(), name).expect("a short path")
}
