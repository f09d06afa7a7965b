//! A server for each vertex that leaves every answer to the test. Clients reach it through memory instead of a socket,
//! so a test can pause the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use numaflow::proto::reduce::reduce_server::{Reduce, ReduceServer};
use numaflow::proto::sink::sink_server::{Sink, SinkServer};
use numaflow::proto::source::source_server::{Source, SourceServer};
use numaflow::proto::{reduce, sink, source};
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming, async_trait};

/// By a paused clock: passes at once where nothing else is left to happen.
const HANG: Duration = Duration::from_secs(3_600);
/// Bytes in flight on a connection before its writer waits.
const CONNECTION_BYTES: usize = 64 * 1024;

/// A scripted source.
pub(crate) struct ScriptedSource {
    pub server: ScriptedServer,
    pub reads: Opening<source::ReadRequest, source::ReadResponse>,
    pub acks: Opening<source::AckRequest, source::AckResponse>,
}

/// A scripted reduce UDF.
pub(crate) struct ScriptedReduce {
    pub server: ScriptedServer,
    pub windows: Opening<reduce::ReduceRequest, reduce::ReduceResponse>,
}

/// A scripted sink.
pub(crate) struct ScriptedSink {
    pub server: ScriptedServer,
    pub writes: Opening<sink::SinkRequest, sink::SinkResponse>,
}

/// What every scripted server has: connections, and calls of `IsReady`.
pub(crate) struct ScriptedServer {
    incoming: mpsc::UnboundedSender<DuplexStream>,
    readiness: Arc<Readiness>,
    connections: AtomicU32,
}

/// The calls of one method in the order in which the client opens them.
pub(crate) struct Opening<Req, Res>(mpsc::UnboundedReceiver<Opened<Req, Res>>);

/// A call that the client has opened and that has no answer yet, not even a head.
pub(crate) struct Opened<Req, Res> {
    requests: Streaming<Req>,
    head: oneshot::Sender<Result<Responses<Res>, Status>>,
}

/// A call with an answered head. Dropping it ends the call with the status OK.
pub(crate) struct Call<Req, Res> {
    requests: Streaming<Req>,
    responses: mpsc::UnboundedSender<Result<Res, Status>>,
}

type Responses<Res> = UnboundedReceiverStream<Result<Res, Status>>;

/// Answers the n-th call of `IsReady`, counted from 1.
struct Readiness {
    calls: AtomicU32,
    answer: Box<dyn Fn(u32) -> Result<bool, Status> + Send + Sync>,
}

/// Hands the calls of one method to the test.
struct Opener<Req, Res>(mpsc::UnboundedSender<Opened<Req, Res>>);

struct SourceService {
    readiness: Arc<Readiness>,
    reads: Opener<source::ReadRequest, source::ReadResponse>,
    acks: Opener<source::AckRequest, source::AckResponse>,
}

struct ReduceService {
    readiness: Arc<Readiness>,
    windows: Opener<reduce::ReduceRequest, reduce::ReduceResponse>,
}

struct SinkService {
    readiness: Arc<Readiness>,
    writes: Opener<sink::SinkRequest, sink::SinkResponse>,
}

impl ScriptedSource {
    pub fn new(answer: impl Fn(u32) -> Result<bool, Status> + Send + Sync + 'static) -> Self {
        let (readiness, reads, acks) = (Readiness::new(answer), opening(), opening());
        let service = SourceService {
            readiness: Arc::clone(&readiness),
            reads: reads.0,
            acks: acks.0,
        };
        Self {
            server: ScriptedServer::new(Routes::new(SourceServer::new(service)), readiness),
            reads: reads.1,
            acks: acks.1,
        }
    }
}

impl ScriptedReduce {
    pub fn new(answer: impl Fn(u32) -> Result<bool, Status> + Send + Sync + 'static) -> Self {
        let (readiness, windows) = (Readiness::new(answer), opening());
        let service = ReduceService {
            readiness: Arc::clone(&readiness),
            windows: windows.0,
        };
        Self {
            server: ScriptedServer::new(Routes::new(ReduceServer::new(service)), readiness),
            windows: windows.1,
        }
    }
}

impl ScriptedSink {
    pub fn new(answer: impl Fn(u32) -> Result<bool, Status> + Send + Sync + 'static) -> Self {
        let (readiness, writes) = (Readiness::new(answer), opening());
        let service = SinkService {
            readiness: Arc::clone(&readiness),
            writes: writes.0,
        };
        Self {
            server: ScriptedServer::new(Routes::new(SinkServer::new(service)), readiness),
            writes: writes.1,
        }
    }
}

impl ScriptedServer {
    fn new(routes: Routes, readiness: Arc<Readiness>) -> Self {
        let (incoming, accepted) = mpsc::unbounded_channel();
        let accepted = UnboundedReceiverStream::new(accepted).map(Ok::<_, std::io::Error>);
        tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(accepted));
        Self {
            incoming,
            readiness,
            connections: AtomicU32::new(0),
        }
    }

    /// A channel with a new connection to the server.
    pub async fn channel(&self) -> Result<Channel, String> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let (near, far) = tokio::io::duplex(CONNECTION_BYTES);
        self.incoming.send(far).unwrap();
        Ok(channel(near).await)
    }

    /// Connections so far.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Calls of `IsReady` so far.
    pub fn readiness_calls(&self) -> u32 {
        self.readiness.calls.load(Ordering::Relaxed)
    }
}

/// Awaits what must happen, and fails where the whole runtime has nothing left to do.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.expect("it hangs")
}

/// A channel over one end of a connection.
pub(crate) async fn channel(near: DuplexStream) -> Channel {
    let mut near = Some(TokioIo::new(near));
    let connector = tower::service_fn(move |_| {
        let near = near
            .take()
            .ok_or_else(|| std::io::Error::other("one connection only"));
        async move { near }
    });
    let endpoint = Endpoint::from_static("http://[::]:50051");
    endpoint.connect_with_connector(connector).await.unwrap()
}

fn opening<Req, Res>() -> (Opener<Req, Res>, Opening<Req, Res>) {
    let (opener, opening) = mpsc::unbounded_channel();
    (Opener(opener), Opening(opening))
}

impl<Req, Res> Opening<Req, Res> {
    /// The next call that the client opens.
    pub async fn next(&mut self) -> Opened<Req, Res> {
        soon(self.0.recv()).await.unwrap()
    }

    /// Whether the client has opened no further call.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<Req, Res> Opened<Req, Res> {
    /// The next request; `None` once the client has closed its half.
    pub async fn request(&mut self) -> Option<Req> {
        soon(self.requests.message()).await.unwrap()
    }

    /// Answers the head.
    pub fn accept(self) -> Call<Req, Res> {
        let (responses, answered) = mpsc::unbounded_channel();
        let _ = self.head.send(Ok(UnboundedReceiverStream::new(answered)));
        Call {
            requests: self.requests,
            responses,
        }
    }

    /// Ends the call with an error in place of a head.
    pub fn refuse(self, status: Status) {
        let _ = self.head.send(Err(status));
    }
}

impl<Req, Res> Call<Req, Res> {
    /// The next request; `None` once the client has closed its half, an error once it has cancelled the call.
    pub async fn request(&mut self) -> Result<Option<Req>, Status> {
        soon(self.requests.message()).await
    }

    pub fn answer(&self, response: Res) {
        self.responses.send(Ok(response)).unwrap();
    }

    /// Ends the call with an error.
    pub fn fail(self, status: Status) {
        self.responses.send(Err(status)).unwrap();
    }

    /// Waits until the client no longer reads the responses.
    pub async fn abandoned(&self) {
        self.responses.closed().await;
    }
}

impl Readiness {
    fn new(answer: impl Fn(u32) -> Result<bool, Status> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            calls: AtomicU32::new(0),
            answer: Box::new(answer),
        })
    }

    fn next(&self) -> Result<bool, Status> {
        (self.answer)(self.calls.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl<Req, Res> Opener<Req, Res> {
    async fn open(&self, request: Request<Streaming<Req>>) -> Result<Response<Responses<Res>>, Status> {
        let (head, answered) = oneshot::channel();
        let requests = request.into_inner();
        let _ = self.0.send(Opened { requests, head });
        let dropped = |_| Status::aborted("the test has dropped the call");
        answered.await.map_err(dropped)?.map(Response::new)
    }
}

#[async_trait]
impl Source for SourceService {
    type ReadFnStream = Responses<source::ReadResponse>;
    type AckFnStream = Responses<source::AckResponse>;

    async fn read_fn(
        &self,
        request: Request<Streaming<source::ReadRequest>>,
    ) -> Result<Response<Self::ReadFnStream>, Status> {
        self.reads.open(request).await
    }

    async fn ack_fn(
        &self,
        request: Request<Streaming<source::AckRequest>>,
    ) -> Result<Response<Self::AckFnStream>, Status> {
        self.acks.open(request).await
    }

    async fn nack_fn(
        &self,
        _: Request<source::NackRequest>,
    ) -> Result<Response<source::NackResponse>, Status> {
        Err(Status::unimplemented("nack"))
    }

    async fn pending_fn(&self, _: Request<()>) -> Result<Response<source::PendingResponse>, Status> {
        Err(Status::unimplemented("pending"))
    }

    async fn partitions_fn(&self, _: Request<()>) -> Result<Response<source::PartitionsResponse>, Status> {
        Err(Status::unimplemented("partitions"))
    }

    async fn is_ready(&self, _: Request<()>) -> Result<Response<source::ReadyResponse>, Status> {
        let ready = self.readiness.next()?;
        Ok(Response::new(source::ReadyResponse { ready }))
    }
}

#[async_trait]
impl Reduce for ReduceService {
    type ReduceFnStream = Responses<reduce::ReduceResponse>;

    async fn reduce_fn(
        &self,
        request: Request<Streaming<reduce::ReduceRequest>>,
    ) -> Result<Response<Self::ReduceFnStream>, Status> {
        self.windows.open(request).await
    }

    async fn is_ready(&self, _: Request<()>) -> Result<Response<reduce::ReadyResponse>, Status> {
        let ready = self.readiness.next()?;
        Ok(Response::new(reduce::ReadyResponse { ready }))
    }
}

#[async_trait]
impl Sink for SinkService {
    type SinkFnStream = Responses<sink::SinkResponse>;

    async fn sink_fn(
        &self,
        request: Request<Streaming<sink::SinkRequest>>,
    ) -> Result<Response<Self::SinkFnStream>, Status> {
        self.writes.open(request).await
    }

    async fn is_ready(&self, _: Request<()>) -> Result<Response<sink::ReadyResponse>, Status> {
        let ready = self.readiness.next()?;
        Ok(Response::new(sink::ReadyResponse { ready }))
    }
}
