//! Meets the processes of the vertices as Numaflow does: server-info file, socket, `IsReady`, handshakes.

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

/// The end of a complete server-info file.
const SERVER_INFO_END: &str = "U+005C__END__";
/// Pause between two looks at something that is not there yet. Numaflow looks every second.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Where the process of a vertex is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexSockets {
    /// The Unix socket that the process serves on.
    pub socket: PathBuf,
    /// The file that the process writes when it serves.
    pub server_info: PathBuf,
}

/// Where the processes of a pipeline are met.
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

/// How long there is to meet one vertex.
struct Meeting<'a> {
    vertex: Vertex,
    sockets: &'a VertexSockets,
    patience: Duration,
    deadline: Instant,
}

/// Meets the source.
pub(crate) async fn source<C>(
    sockets: &VertexSockets,
    patience: Duration,
    connect: impl Fn(PathBuf) -> C,
) -> Result<SourceCalls, Error>
where
    C: Future<Output = Result<Channel, String>>,
{
    let meeting = Meeting::new(Vertex::Source, sockets, patience);
    let client = |channel| {
        SourceClient::new(channel)
            .max_decoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
            .max_encoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
    };
    let ready = |channel| async move { Ok(client(channel).is_ready(()).await?.into_inner().ready) };
    let mut client = client(meeting.ready(connect, ready).await?);

    // The SDK awaits the handshake before it answers the call, so it has to be queued before the call.
    let (reads, requests) = mpsc::channel(1);
    let sot = source_proto::Handshake { sot: true };
    let _ = reads.try_send(source_proto::ReadRequest {
        request: None,
        handshake: Some(sot),
    });
    let mut read = meeting
        .call(client.read_fn(ReceiverStream::new(requests)))
        .await?;
    meeting
        .shaken(read.message(), |response| {
            response.handshake.is_some_and(|shake| shake.sot)
        })
        .await?;

    let (acks, requests) = mpsc::channel(1);
    let _ = acks.try_send(source_proto::AckRequest {
        request: None,
        handshake: Some(sot),
    });
    let mut acked = meeting.call(client.ack_fn(ReceiverStream::new(requests))).await?;
    meeting
        .shaken(acked.message(), |response| {
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

/// Meets the reduce UDF. Its calls are opened window by window.
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
        Meeting::new(Vertex::Reduce, sockets, patience)
            .ready(connect, ready)
            .await?,
    ))
}

/// Meets the sink.
pub(crate) async fn sink<C>(
    sockets: &VertexSockets,
    patience: Duration,
    connect: impl Fn(PathBuf) -> C,
) -> Result<SinkCall, Error>
where
    C: Future<Output = Result<Channel, String>>,
{
    let meeting = Meeting::new(Vertex::Sink, sockets, patience);
    let client = |channel| {
        SinkClient::new(channel)
            .max_decoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
            .max_encoding_message_size(GRPC_MAX_MESSAGE_SIZE_BYTES)
    };
    let ready = |channel| async move { Ok(client(channel).is_ready(()).await?.into_inner().ready) };
    let mut client = client(meeting.ready(connect, ready).await?);

    let (requests, queued) = mpsc::channel(READ_BATCH_SIZE);
    let handshake = Some(sink_proto::Handshake { sot: true });
    let _ = requests.try_send(sink_proto::SinkRequest {
        request: None,
        status: None,
        handshake,
    });
    let mut responses = meeting.call(client.sink_fn(ReceiverStream::new(queued))).await?;
    meeting
        .shaken(responses.message(), |response| {
            response.handshake.is_some_and(|shake| shake.sot)
        })
        .await?;
    Ok(SinkCall { requests, responses })
}

impl<'a> Meeting<'a> {
    fn new(vertex: Vertex, sockets: &'a VertexSockets, patience: Duration) -> Self {
        Self {
            vertex,
            sockets,
            patience,
            deadline: Instant::now() + patience,
        }
    }

    /// Awaits the server-info file, connects and asks until the vertex says that it is ready.
    async fn ready<C, Asked>(
        &self,
        connect: impl Fn(PathBuf) -> C,
        ask: impl Fn(Channel) -> Asked,
    ) -> Result<Channel, Error>
    where
        C: Future<Output = Result<Channel, String>>,
        Asked: Future<Output = Result<bool, Status>>,
    {
        timeout_at(self.deadline, server_info(&self.sockets.server_info))
            .await
            .map_err(|_| Error::ServerInfo {
                vertex: self.vertex,
                path: self.sockets.server_info.clone(),
                patience: self.patience,
            })?;
        let mut last = "no answer".to_owned();
        let asking = async {
            loop {
                last = match connect(self.sockets.socket.clone()).await {
                    Err(reason) => reason,
                    Ok(channel) => match ask(channel.clone()).await {
                        Ok(true) => return channel,
                        Ok(false) => "it says that it is not ready".to_owned(),
                        Err(status) => status.message().to_owned(),
                    },
                };
                sleep(LOOK_INTERVAL).await;
            }
        };
        let asked = timeout_at(self.deadline, asking).await;
        asked.map_err(|_| self.not_ready(last))
    }

    /// Awaits the head of a call's response.
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Error> {
        let response = timeout_at(self.deadline, call).await;
        let response = response.map_err(|_| self.not_ready("no answer to the handshake".to_owned()))?;
        Ok(response.map_err(self.vertex.failed("handshake"))?.into_inner())
    }

    /// Awaits the vertex' part of the handshake.
    async fn shaken<T>(
        &self,
        first: impl Future<Output = Result<Option<T>, Status>>,
        is_handshake: impl Fn(&T) -> bool,
    ) -> Result<(), Error> {
        let first = timeout_at(self.deadline, first).await;
        let first = first.map_err(|_| self.not_ready("no answer to the handshake".to_owned()))?;
        match first.map_err(self.vertex.failed("handshake"))? {
            Some(response) if is_handshake(&response) => Ok(()),
            Some(_) => Err(self.vertex.broke("its first answer is no handshake")),
            None => Err(self.vertex.broke("it ended the call instead of a handshake")),
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
    // As in Numaflow's requests; without it tonic would send an authority of its own.
    let endpoint = endpoint.origin(Uri::from_static("http://[::]:50051"));
    let connected = endpoint.connect().await;
    connected.map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        source.unwrap_or_else(|| error.to_string())
    })
}

async fn server_info(path: &Path) {
    loop {
        // Absent, unreadable and half-written files are all "not yet".
        if let Ok(text) = tokio::fs::read_to_string(path).await
            && let Some(info) = text.trim_end().strip_suffix(SERVER_INFO_END)
        {
            tracing::debug!(info, path = %path.display(), "server info");
            return;
        }
        sleep(LOOK_INTERVAL).await;
    }
}
