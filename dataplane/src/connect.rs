//! Connects to the processes of the vertices as Numaflow does: server-info file, socket, `IsReady`, handshakes.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use numaflow::proto::reduce::reduce_client::ReduceClient;
use numaflow::proto::sink::sink_client::SinkClient;
use numaflow::proto::source::source_client::SourceClient;
use numaflow::proto::{sink as sink_proto, source as source_proto};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Status, Streaming};

use crate::config::{GRPC_MAX_MESSAGE_SIZE_BYTES, READ_BATCH_SIZE};
use crate::error::{Error, Vertex};

/// Last characters of a complete server-info file.
const SERVER_INFO_END: &str = "U+005C__END__";
/// Time between two polls of a server that is not ready. Numaflow polls every second.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Where the process of a vertex serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexSockets {
    /// The Unix socket that the process serves on.
    pub socket: PathBuf,
    /// The file that the process writes once it serves.
    pub server_info: PathBuf,
}

/// Where the processes of a pipeline serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sockets {
    /// The user-defined source.
    pub source: VertexSockets,
    /// The reduce UDF.
    pub reduce: VertexSockets,
    /// The user-defined sink.
    pub sink: VertexSockets,
}

/// The two open calls of a source.
#[derive(Debug)]
pub(crate) struct SourceCalls {
    pub reads: mpsc::Sender<source_proto::ReadRequest>,
    pub read: Streaming<source_proto::ReadResponse>,
    pub acks: mpsc::Sender<source_proto::AckRequest>,
    pub acked: Streaming<source_proto::AckResponse>,
}

/// The open call of a sink.
#[derive(Debug)]
pub(crate) struct SinkCall {
    pub requests: mpsc::Sender<sink_proto::SinkRequest>,
    pub responses: Streaming<sink_proto::SinkResponse>,
}

/// The handshake with one vertex, from the server-info file to the first answer, under one deadline.
struct Handshake<'a> {
    vertex: Vertex,
    sockets: &'a VertexSockets,
    patience: Duration,
    deadline: Instant,
}

/// Connects to the source and opens its two calls.
pub(crate) async fn source<C>(
    sockets: &VertexSockets,
    patience: Duration,
    connect: impl Fn(PathBuf) -> C,
) -> Result<SourceCalls, Error>
where
    C: Future<Output = Result<Channel, String>>,
{
    let handshake = Handshake::new(Vertex::Source, sockets, patience);
    let client = |channel| {
        SourceClient::new(channel)
            .max_decoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
            .max_encoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
    };
    let ready = |channel| async move { Ok(client(channel).is_ready(()).await?.into_inner().ready) };
    let mut client = client(handshake.ready(connect, ready).await?);

    // The SDK reads the handshake before it answers the call, so the handshake is queued before the call.
    let (reads, requests) = mpsc::channel(1);
    let sot = source_proto::Handshake { sot: true };
    let _ = reads.try_send(source_proto::ReadRequest {
        request: None,
        handshake: Some(sot),
    });
    let mut read = handshake
        .call(client.read_fn(ReceiverStream::new(requests)))
        .await?;
    handshake
        .confirmed(read.message(), |response| {
            response.handshake.is_some_and(|shake| shake.sot)
        })
        .await?;

    let (acks, requests) = mpsc::channel(1);
    let _ = acks.try_send(source_proto::AckRequest {
        request: None,
        handshake: Some(sot),
    });
    let mut acked = handshake
        .call(client.ack_fn(ReceiverStream::new(requests)))
        .await?;
    handshake
        .confirmed(acked.message(), |response| {
            response.handshake.is_some_and(|shake| shake.sot)
        })
        .await?;
    Ok(SourceCalls {
        reads,
        read,
        acks,
        acked,
    })
}

/// Connects to the reduce UDF. Its calls are opened window by window.
pub(crate) async fn reduce<C>(
    sockets: &VertexSockets,
    patience: Duration,
    connect: impl Fn(PathBuf) -> C,
) -> Result<ReduceClient<Channel>, Error>
where
    C: Future<Output = Result<Channel, String>>,
{
    let client = |channel| {
        ReduceClient::new(channel)
            .max_decoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
            .max_encoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
    };
    let ready = |channel| async move { Ok(client(channel).is_ready(()).await?.into_inner().ready) };
    Ok(client(
        Handshake::new(Vertex::Reduce, sockets, patience)
            .ready(connect, ready)
            .await?,
    ))
}

/// Connects to the sink and opens its call.
pub(crate) async fn sink<C>(
    sockets: &VertexSockets,
    patience: Duration,
    connect: impl Fn(PathBuf) -> C,
) -> Result<SinkCall, Error>
where
    C: Future<Output = Result<Channel, String>>,
{
    let handshake = Handshake::new(Vertex::Sink, sockets, patience);
    let client = |channel| {
        SinkClient::new(channel)
            .max_decoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
            .max_encoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
    };
    let ready = |channel| async move { Ok(client(channel).is_ready(()).await?.into_inner().ready) };
    let mut client = client(handshake.ready(connect, ready).await?);

    let (requests, queued) = mpsc::channel(READ_BATCH_SIZE);
    let _ = requests.try_send(sink_proto::SinkRequest {
        request: None,
        status: None,
        handshake: Some(sink_proto::Handshake { sot: true }),
    });
    let mut responses = handshake
        .call(client.sink_fn(ReceiverStream::new(queued)))
        .await?;
    handshake
        .confirmed(responses.message(), |response| {
            response.handshake.is_some_and(|shake| shake.sot)
        })
        .await?;
    Ok(SinkCall { requests, responses })
}

impl<'a> Handshake<'a> {
    fn new(vertex: Vertex, sockets: &'a VertexSockets, patience: Duration) -> Self {
        Self {
            vertex,
            sockets,
            patience,
            deadline: Instant::now() + patience,
        }
    }

    /// Waits for the server-info file, then connects and calls `IsReady` until the vertex is ready.
    async fn ready<C, Ready>(
        &self,
        connect: impl Fn(PathBuf) -> C,
        is_ready: impl Fn(Channel) -> Ready,
    ) -> Result<Channel, Error>
    where
        C: Future<Output = Result<Channel, String>>,
        Ready: Future<Output = Result<bool, Status>>,
    {
        timeout_at(self.deadline, server_info(&self.sockets.server_info))
            .await
            .map_err(|_| Error::ServerInfo {
                vertex: self.vertex,
                path: self.sockets.server_info.clone(),
                patience: self.patience,
            })?;
        let mut last = "no answer".to_owned();
        let polling = async {
            loop {
                last = match connect(self.sockets.socket.clone()).await {
                    Err(reason) => reason,
                    Ok(channel) => match is_ready(channel.clone()).await {
                        Ok(true) => return channel,
                        Ok(false) => "it says that it is not ready".to_owned(),
                        Err(status) => status.message().to_owned(),
                    },
                };
                sleep(POLL_INTERVAL).await;
            }
        };
        let ready = timeout_at(self.deadline, polling).await;
        ready.map_err(|_| self.not_ready(last))
    }

    /// Waits for the head of a call's response.
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Error> {
        let response = timeout_at(self.deadline, call).await;
        let response = response.map_err(|_| self.not_ready("no answer to the handshake".to_owned()))?;
        Ok(response
            .map_err(self.vertex.call_error("handshake"))?
            .into_inner())
    }

    /// Waits for the vertex's half of the handshake.
    async fn confirmed<T>(
        &self,
        first: impl Future<Output = Result<Option<T>, Status>>,
        is_handshake: impl Fn(&T) -> bool,
    ) -> Result<(), Error> {
        let first = timeout_at(self.deadline, first).await;
        let first = first.map_err(|_| self.not_ready("no answer to the handshake".to_owned()))?;
        match first.map_err(self.vertex.call_error("handshake"))? {
            Some(response) if is_handshake(&response) => Ok(()),
            Some(_) => Err(self.vertex.protocol_error("its first answer is no handshake")),
            None => Err(self
                .vertex
                .protocol_error("it ended the call instead of a handshake")),
        }
    }

    fn not_ready(&self, reason: String) -> Error {
        let socket = self.sockets.socket.clone();
        Error::NotReady {
            vertex: self.vertex,
            socket,
            patience: self.patience,
            reason,
        }
    }
}

/// A channel to the server on a Unix socket.
pub(crate) async fn unix(socket: PathBuf) -> Result<Channel, String> {
    let address = [b"unix:", socket.as_os_str().as_encoded_bytes()].concat();
    let endpoint = Endpoint::from_shared(address).map_err(|error| error.to_string())?;
    // The authority that Numaflow sends; tonic would send another.
    let endpoint = endpoint.origin(Uri::from_static("http://[::]:50051"));
    let connected = endpoint.connect().await;
    connected.map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        source.unwrap_or_else(|| error.to_string())
    })
}

async fn server_info(path: &Path) {
    loop {
        // A file that is absent, unreadable or incomplete means that the process does not serve yet.
        if let Ok(text) = tokio::fs::read_to_string(path).await
            && let Some(info) = text.trim_end().strip_suffix(SERVER_INFO_END)
        {
            tracing::debug!(info, path = %path.display(), "server info");
            return;
        }
        sleep(POLL_INTERVAL).await;
    }
}
