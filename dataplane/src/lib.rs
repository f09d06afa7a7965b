//! Stands in for Numaflow on one machine: drives a source, a reduce UDF and a sink over the real gRPC on Unix
//! sockets, with Numaflow's order of steps, sizes and waits. It carries opaque bytes.

mod buffer;
pub mod config;
mod connect;
mod counts;
mod error;
mod reduce;
#[cfg(test)]
mod scripted;
mod sink;
mod source;
mod windows;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use numaflow::proto::reduce::reduce_client::ReduceClient;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub use crate::buffer::Message;
pub use crate::config::{Config, IdleSource};
pub use crate::connect::{Sockets, VertexSockets};
pub use crate::counts::Counts;
pub use crate::error::{Error, Vertex};
pub use crate::reduce::WindowClosed;
pub use crate::windows::DropReason;

use crate::buffer::pull::{self, Pull};
use crate::connect::{SinkCall, SourceCalls};
use crate::counts::Counters;

/// What a source may take longer than the read timeout to finish its last read.
const READ_GRACE: Duration = Duration::from_millis(500);
/// How long the sink may take for the results that are there when a run is stopped.
const SINK_GRACE: Duration = Duration::from_secs(1);

/// Sees what happens while a pipeline runs. It is called in the stream of events and must not block.
pub trait Observer: Send + Sync {
    /// A message was dropped by the reduce vertex.
    fn dropped(&self, message: &Message, reason: DropReason) {
        let _ = (message, reason);
    }

    /// A window is closed and all of its results are in the buffer before the sink.
    fn window_closed(&self, closed: &WindowClosed) {
        let _ = closed;
    }
}

/// A pipeline whose three vertices are up and have shaken hands.
#[derive(Debug)]
pub struct DataPlane {
    config: Config,
    source: SourceCalls,
    reduce: ReduceClient<Channel>,
    sink: SinkCall,
}

/// The parts of the data plane that run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Source,
    Reader,
    Reduce,
    Sink,
}

impl DataPlane {
    /// Awaits the server-info files, connects, asks whether the vertices are ready and shakes hands; all three at once.
    ///
    /// # Errors
    /// Where the configuration cannot work, or a vertex is not met within `patience`; the error names it.
    pub async fn connect(config: Config, sockets: &Sockets, patience: Duration) -> Result<Self, Error> {
        config.check()?;
        let (source, reduce, sink) = tokio::try_join!(
            connect::source(&sockets.source, patience, connect::unix),
            connect::reduce(&sockets.reduce, patience, connect::unix),
            connect::sink(&sockets.sink, patience, connect::unix),
        )?;
        Ok(Self {
            config,
            source,
            reduce,
            sink,
        })
    }

    /// Runs the pipeline until `stop` resolves. Then no further read begins, open windows are cancelled, results that
    /// are there go to the sink, and what was counted is returned, within the read timeout and two seconds.
    ///
    /// # Errors
    /// Where a vertex fails, breaks the protocol or is gone.
    pub async fn run(
        self,
        observer: Arc<dyn Observer>,
        stop: impl Future<Output = ()>,
    ) -> Result<Counts, Error> {
        let Self {
            config,
            source,
            reduce,
            sink,
        } = self;
        let counters = Arc::new(Counters::default());
        let stop_reading = CancellationToken::new();
        let (to_reduce, buffer) = mpsc::channel(config.buffer);
        let (to_reducer, queue) = mpsc::channel(reduce::REDUCER_QUEUE);
        let (to_sink, results) = mpsc::channel(config.buffer);

        let mut stages = JoinSet::new();
        let source = source::Source::new(&config, source, to_reduce, Arc::clone(&counters));
        let stop_source = stop_reading.clone();
        stages.spawn(async move { source.run(stop_source).await.map(|()| Stage::Source) });
        let from = Pull::new(buffer, config.read_batch, config.read_timeout);
        let reader = stages.spawn(async move {
            pull::carry(from, to_reducer).await;
            Ok(Stage::Reader)
        });
        let sink = sink::Sink::new(sink, config.sink_tries, Arc::clone(&counters));
        let from = Pull::new(results, config.read_batch, config.read_timeout);
        stages.spawn(async move { sink.run(from).await.map(|()| Stage::Sink) });
        let read_timeout = config.read_timeout;
        let reducing = reduce::run(config, reduce, queue, to_sink, Arc::clone(&counters), observer);
        let reducer = stages.spawn(async move { reducing.await.map(|()| Stage::Reduce) });

        tokio::select! {
            biased;
            ended = until_ended(&mut stages, None) => ended?,
            () = stop => {}
        }
        stop_reading.cancel();
        // A source that takes longer is left behind: what it has read is not acknowledged.
        if let Ok(ended) = timeout(
            read_timeout + READ_GRACE,
            until_ended(&mut stages, Some(Stage::Source)),
        )
        .await
        {
            ended?;
        }
        // Without its senders the sink's buffer ends.
        reader.abort();
        reducer.abort();
        if let Ok(ended) = timeout(SINK_GRACE, until_ended(&mut stages, None)).await {
            ended?;
        }
        Ok(counters.counts())
    }
}

/// Awaits the first failure, the end of one stage, or of all of them.
async fn until_ended(
    stages: &mut JoinSet<Result<Stage, Error>>,
    awaited: Option<Stage>,
) -> Result<(), Error> {
    while let Some(ended) = stages.join_next().await {
        match ended {
            Ok(stage) => {
                if Some(stage?) == awaited {
                    return Ok(());
                }
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => return Err(Error::Stage(error)),
        }
    }
    Ok(())
}
