//! A pipeline of three SDK servers whose behaviour the test chooses. Each server has a runtime of its own, so that it
//! can be killed as a process is: all at once.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataplane::{
    Config, Counts, DataPlane, DropReason, Error, Message, Observer, Sockets, VertexSockets, WindowClosed,
};
use numaflow::shared::ServerExtras;
use numaflow::{reduce, sink, source};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use crate::servers::*;

/// Read timeout of all tests: every wait of the data plane is a few of them.
pub const READ_TIMEOUT: Duration = Duration::from_millis(50);
/// Longer than anything here takes on a busy machine: only a hang reaches it.
pub const HANG: Duration = Duration::from_secs(10);
pub const WINDOW_MS: u64 = 1_000;

/// A running pipeline and its three servers.
pub struct Pipeline {
    pub batches: Option<mpsc::UnboundedSender<Vec<Event>>>,
    pub acked: mpsc::UnboundedReceiver<usize>,
    pub seen: mpsc::UnboundedReceiver<Seen>,
    pub records: mpsc::UnboundedReceiver<Record>,
    pub observed: Arc<Observed>,
    pub permits: Arc<Semaphore>,
    pub reads: watch::Sender<bool>,
    pub servers: Vec<Server>,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<Counts, Error>>,
    _folder: tempfile::TempDir,
}

/// A server that can be killed.
pub struct Server(Option<Runtime>, #[allow(dead_code)] oneshot::Sender<()>);

#[derive(Default)]
pub struct Observed {
    pub dropped: Mutex<Vec<(Message, DropReason)>>,
    pub closed: Mutex<Vec<WindowClosed>>,
    /// Rings at each closed window.
    pub bell: tokio::sync::Notify,
}

/// What a test changes before the pipeline starts.
#[derive(Default)]
pub struct Setup {
    pub failing: Failing,
    pub udf_panics: bool,
    pub udf_stalls: bool,
    /// Windows are held at their close until the test adds permits.
    pub holds: bool,
}

pub fn config() -> Config {
    Config::new(Duration::from_millis(WINDOW_MS), READ_TIMEOUT)
}

pub fn sockets(folder: &Path) -> Sockets {
    let of = |name: &str| VertexSockets {
        socket: folder.join(format!("{name}.sock")),
        server_info: folder.join(format!("{name}-info")),
    };
    Sockets {
        source: of("source"),
        reduce: of("reduce"),
        sink: of("sink"),
    }
}

impl Pipeline {
    pub async fn start(config: Config, setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sockets = sockets(folder.path());
        let (batches, queued) = mpsc::unbounded_channel();
        let (acks, acked) = mpsc::unbounded_channel();
        let (seen_sender, seen) = mpsc::unbounded_channel();
        let (record_sender, records) = mpsc::unbounded_channel();
        let (reads, reading) = watch::channel(!setup.udf_stalls);
        let permits = Arc::new(Semaphore::new(if setup.holds {
            0
        } else {
            Semaphore::MAX_PERMITS
        }));

        let script = Script {
            queued: tokio::sync::Mutex::new(queued),
            acks,
        };
        let udf = Udf {
            seen: seen_sender,
            permits: Arc::clone(&permits),
            reads: reading,
            panics: setup.udf_panics,
        };
        let servers = vec![
            serve(source::Server::new(script), &sockets.source, |s, stop| {
                s.start_with_shutdown(stop)
            }),
            serve(reduce::Server::new(udf), &sockets.reduce, |s, stop| {
                s.start_with_shutdown(stop)
            }),
            serve(
                sink::Server::new(Records {
                    records: record_sender,
                    failing: setup.failing,
                }),
                &sockets.sink,
                |s, stop| s.start_with_shutdown(stop),
            ),
        ];
        let plane = DataPlane::connect(config, &sockets, HANG).await.unwrap();
        // The SDK's first server installs a panic hook that prints nothing and keeps the first panic of the process:
        // failed assertions would be silent and a test would see another test's panic.
        static LOUD: std::sync::Once = std::sync::Once::new();
        LOUD.call_once(|| drop(std::panic::take_hook()));
        let observed = Arc::new(Observed::default());
        let (stop, stopped) = oneshot::channel();
        let observer = Arc::clone(&observed) as Arc<dyn Observer>;
        let run = tokio::spawn(plane.run(observer, async move {
            let _ = stopped.await;
        }));
        let batches = Some(batches);
        Self {
            batches,
            acked,
            seen,
            records,
            observed,
            permits,
            reads,
            servers,
            stop,
            run,
            _folder: folder,
        }
    }

    /// Queues one read batch.
    pub fn feed(&self, events: impl IntoIterator<Item = Event>) {
        self.batches
            .as_ref()
            .unwrap()
            .send(events.into_iter().collect())
            .unwrap();
    }

    /// Stops the run.
    pub async fn stop(self) -> Result<Counts, Error> {
        self.stop.send(()).unwrap();
        soon(self.run).await.unwrap()
    }

    /// Awaits that the run ends by itself.
    pub async fn ended(self) -> Result<Counts, Error> {
        soon(self.run).await.unwrap()
    }
}

impl Server {
    /// Ends everything that the server runs, its connections too.
    pub fn kill(&mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A runtime may not be dropped within another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Awaits what must come, without hanging where it does not.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.expect("it hangs")
}

fn serve<S, Serving>(
    server: S,
    sockets: &VertexSockets,
    start: impl FnOnce(S, oneshot::Receiver<()>) -> Serving,
) -> Server
where
    S: ServerExtras<S::Svc> + WithSvc,
    Serving: Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = server
        .with_server_info_file(&sockets.server_info)
        .with_socket_file(&sockets.socket);
    let serving = start(server, stopped);
    runtime.spawn(async move { serving.await.unwrap() });
    Server(Some(runtime), stop)
}

/// Names the service of a server, which `ServerExtras` leaves as a parameter.
pub trait WithSvc {
    type Svc;
}
impl<T> WithSvc for source::Server<T> {
    type Svc = T;
}
impl<T> WithSvc for reduce::Server<T> {
    type Svc = T;
}
impl<T> WithSvc for sink::Server<T> {
    type Svc = T;
}

impl Observer for Observed {
    fn dropped(&self, message: &Message, reason: DropReason) {
        self.dropped.lock().unwrap().push((message.clone(), reason));
    }

    fn window_closed(&self, closed: &WindowClosed) {
        self.closed.lock().unwrap().push(*closed);
        self.bell.notify_one();
    }
}
