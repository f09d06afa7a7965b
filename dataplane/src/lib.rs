//! Stands in for Numaflow on one machine: drives a source, a reduce UDF and a sink over the real gRPC on Unix
//! sockets, with Numaflow's order of steps, sizes and waits. It carries opaque bytes.
//!
//! # Layout
//!
//! - [`config`]: window, read timeout and sizes, with Numaflow's values as constants.
//! - `connect`: waits for the three servers, connects and does the handshakes.
//! - `source`: reads batches, stamps the watermark, fills the buffer, acknowledges.
//! - `buffer`: the queues between the vertices; `buffer::room` bounds their bytes, `buffer::pull` takes read batches out.
//! - `reduce`: one gRPC call for each window; closes windows one after another.
//! - `windows`: which window an event belongs to and when it closes, without I/O.
//! - `sink`: writes read batches of results and sends failed ones again.
//! - `counts`: what a run counts.
//! - `error`: errors, each with its vertex.

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

/// Time beyond the read timeout that the source's last read may take after a stop.
const READ_GRACE: Duration = Duration::from_millis(500);
/// Time for the sink to write the results that are in its buffer at a stop.
const SINK_GRACE: Duration = Duration::from_secs(1);

/// Callbacks of a running pipeline. They are called between two events and must not block.
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

/// A pipeline that is connected to its three vertices, handshakes done.
#[derive(Debug)]
pub struct DataPlane {
    config: Config,
    source: SourceCalls,
    reduce: ReduceClient<Channel>,
    sink: SinkCall,
}

/// The tasks of a running pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Source,
    Reader,
    Reduce,
    Sink,
}

impl DataPlane {
    /// Waits for the three servers, connects and does the handshakes, all at once.
    ///
    /// # Errors
    /// Returns an error if the configuration cannot work, or if a vertex is not ready within `patience`. The error
    /// names the setting or the vertex.
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

    /// Runs the pipeline until `stop` resolves. Then it begins no further read, cancels open windows, writes the results
    /// it has to the sink and returns the counts, within the read timeout and two seconds.
    ///
    /// # Errors
    /// Returns an error if a vertex fails, violates the protocol or ends.
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

        let mut tasks = JoinSet::new();
        let source = source::Source::new(&config, source, to_reduce, Arc::clone(&counters));
        let stop_source = stop_reading.clone();
        tasks.spawn(async move { source.run(stop_source).await.map(|()| Task::Source) });
        let from = Pull::new(buffer, config.read_batch, config.read_timeout);
        let reader = tasks.spawn(async move {
            pull::carry(from, to_reducer).await;
            Ok(Task::Reader)
        });
        let sink = sink::Sink::new(sink, config.sink_tries, Arc::clone(&counters));
        let from = Pull::new(results, config.read_batch, config.read_timeout);
        tasks.spawn(async move { sink.run(from).await.map(|()| Task::Sink) });
        let read_timeout = config.read_timeout;
        let reducing = reduce::run(config, reduce, queue, to_sink, Arc::clone(&counters), observer);
        let reducer = tasks.spawn(async move { reducing.await.map(|()| Task::Reduce) });

        tokio::select! {
            biased;
            ended = until_ended(&mut tasks, None) => ended?,
            () = stop => {}
        }
        stop_reading.cancel();
        // A source that takes longer is abandoned; its last batch is not acknowledged.
        if let Ok(ended) = timeout(
            read_timeout + READ_GRACE,
            until_ended(&mut tasks, Some(Task::Source)),
        )
        .await
        {
            ended?;
        }
        // These two hold the senders of the sink's buffer: without them the buffer ends.
        reader.abort();
        reducer.abort();
        if let Ok(ended) = timeout(SINK_GRACE, until_ended(&mut tasks, None)).await {
            ended?;
        }
        Ok(counters.counts())
    }
}

/// Waits for the first failure, for the end of task `awaited`, or for the end of all tasks.
async fn until_ended(tasks: &mut JoinSet<Result<Task, Error>>, awaited: Option<Task>) -> Result<(), Error> {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(task) => {
                if Some(task?) == awaited {
                    return Ok(());
                }
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => return Err(Error::Task(error)),
        }
    }
    Ok(())
}
