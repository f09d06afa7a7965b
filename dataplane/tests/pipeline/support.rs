//! A pipeline of three SDK servers whose behaviour the test chooses. Each server has a runtime of its own, so that it
//! can be killed as a process is: all at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use dataplane::{
    Config, Counts, DataPlane, DropReason, Error, Message, Observer, Sockets, VertexSockets, WindowClosed,
};
use numaflow::shared::ServerExtras;
use numaflow::{reduce, sink, source};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tonic::async_trait;

/// Read timeout of all tests: every wait of the data plane is a few of them.
pub const READ_TIMEOUT: Duration = Duration::from_millis(50);
/// Longer than anything here takes on a busy machine: only a hang reaches it.
pub const HANG: Duration = Duration::from_secs(10);
pub const WINDOW_MS: u64 = 1_000;

/// An event of the test: key, event time in milliseconds since the epoch, payload.
#[derive(Clone, Debug)]
pub struct Event(pub &'static str, pub u64, pub Vec<u8>);

/// What the test sees of the UDF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A window's first event of a key: the window's start in milliseconds.
    Opened(u64),
    /// Its close of book.
    Closed(u64),
    /// Its results were given.
    Done(u64),
}

/// How the UDF behaves.
#[derive(Clone)]
pub struct Udf {
    pub seen: mpsc::UnboundedSender<Seen>,
    /// Each window needs one permit per key after its close of book.
    pub permits: Arc<Semaphore>,
    /// Input is not read while this is false.
    pub reads: watch::Receiver<bool>,
    pub panics: bool,
}

/// How the sink behaves: the payloads that fail, and how often.
#[derive(Clone, Default)]
pub struct Failing(pub Arc<Mutex<BTreeMap<String, u32>>>);

/// One record at the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: String,
    pub keys: Vec<String>,
    pub text: String,
    pub event_time_ms: i64,
}

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

struct Script {
    queued: tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<Event>>>,
    acks: mpsc::UnboundedSender<usize>,
}

#[async_trait]
impl source::Sourcer for Script {
    async fn read(&self, request: source::SourceReadRequest, transmitter: mpsc::Sender<source::Message>) {
        let mut queued = self.queued.lock().await;
        let Ok(batch) = tokio::time::timeout(request.timeout, queued.recv()).await else {
            return;
        };
        // The test has hung up: an idle source.
        let Some(batch) = batch else {
            return tokio::time::sleep(request.timeout).await;
        };
        assert!(batch.len() <= request.count, "the test keeps to the read batch");
        for (number, Event(key, time_ms, value)) in batch.into_iter().enumerate() {
            let message = source::Message {
                value,
                offset: source::Offset {
                    offset: number.to_be_bytes().to_vec(),
                    partition_id: 0,
                },
                event_time: DateTime::from_timestamp_millis(i64::try_from(time_ms).unwrap()).unwrap(),
                keys: vec![key.to_owned()],
                headers: [("key".to_owned(), key.to_owned())].into(),
                user_metadata: None,
            };
            transmitter.send(message).await.unwrap();
        }
    }

    async fn ack(&self, offsets: Vec<source::Offset>) {
        let _ = self.acks.send(offsets.len());
    }

    async fn nack(&self, _offsets: Vec<source::NackOffset>) {}

    async fn pending(&self) -> Option<usize> {
        None
    }
}

impl reduce::ReducerCreator for Udf {
    type R = Udf;

    fn create(&self) -> Udf {
        self.clone()
    }
}

#[async_trait]
impl reduce::Reducer for Udf {
    async fn reduce(
        &self,
        keys: Vec<String>,
        mut input: mpsc::Receiver<reduce::ReduceRequest>,
        metadata: &reduce::Metadata,
    ) -> Vec<reduce::Message> {
        let window = &metadata.interval_window;
        let start_ms = u64::try_from(window.start_time.timestamp_millis()).unwrap();
        let _ = self.seen.send(Seen::Opened(start_ms));
        assert!(!self.panics, "as asked");
        let _ = self.reads.clone().wait_for(|reads| *reads).await;
        let mut count = 0;
        while let Some(event) = input.recv().await {
            assert!(window.start_time <= event.eventtime && event.eventtime < window.end_time);
            assert!(event.watermark <= event.eventtime);
            assert_eq!(event.headers.get("key"), keys.first());
            count += 1;
        }
        let _ = self.seen.send(Seen::Closed(start_ms));
        self.permits.acquire().await.unwrap().forget();
        let _ = self.seen.send(Seen::Done(start_ms));
        let text = format!("{}/{start_ms}/{count}", keys.join("+"));
        vec![reduce::Message::new(text.into_bytes()).with_keys(keys)]
    }
}

struct Records {
    records: mpsc::UnboundedSender<Record>,
    failing: Failing,
}

#[async_trait]
impl sink::Sinker for Records {
    async fn sink(&self, mut input: mpsc::Receiver<sink::SinkRequest>) -> Vec<sink::Response> {
        let mut responses = Vec::new();
        while let Some(request) = input.recv().await {
            let text = String::from_utf8(request.value).unwrap();
            if let Some(left) = self
                .failing
                .0
                .lock()
                .unwrap()
                .get_mut(&text)
                .filter(|left| **left > 0)
            {
                *left -= 1;
                responses.push(sink::Response::failure(request.id, "as asked".to_owned()));
                continue;
            }
            responses.push(sink::Response::ok(request.id.clone()));
            let event_time_ms = request.event_time.timestamp_millis();
            let _ = self.records.send(Record {
                id: request.id,
                keys: request.keys,
                text,
                event_time_ms,
            });
        }
        responses
    }
}

impl Observer for Observed {
    fn dropped(&self, message: &Message, reason: DropReason) {
        self.dropped.lock().unwrap().push((message.clone(), reason));
    }

    fn window_closed(&self, closed: &WindowClosed) {
        self.closed.lock().unwrap().push(*closed);
    }
}
