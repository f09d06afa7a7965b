//! The reduce vertex: one task for all windows. While a window closes, no other message is handled until its results
//! are complete. Numaflow does the same, which is why a long close tail stalls the whole pod.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use numaflow::proto::reduce::reduce_client::ReduceClient;
use numaflow::proto::reduce::{ReduceRequest, ReduceResponse, Window, reduce_request, reduce_response};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::Observer;
use crate::buffer::room::{Held, Room};
use crate::buffer::{Emitted, Item, Message, timestamp};
use crate::config::{
    ACTOR_CHANNEL, Config, NON_KEYED_STREAM, PBQ_CHANNEL, REQUEST_CHANNEL, WINDOW_CHANNEL, millis,
};
use crate::counts::{Counters, add};
use crate::error::{Error, Vertex};
use crate::windows::{Span, Windows};

/// Queue in front of the reducer. Numaflow has two channels with a task between them that only decides what to drop;
/// here the reducer does that, so one queue has the size of both.
pub(crate) const REDUCER_QUEUE: usize = PBQ_CHANNEL + ACTOR_CHANNEL;
/// Queue of one window. Numaflow has two channels with a task between them that only converts messages.
pub(crate) const WINDOW_QUEUE: usize = WINDOW_CHANNEL + REQUEST_CHANNEL;

/// How long a call is read after EOF before it is cancelled.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// The slot that Numaflow gives every fixed window.
const SLOT: &str = "0";
/// The tag of a result that is not forwarded.
const DROP_TAG: &str = "U+005C__DROP__";

/// A closed window, with all of its results in the buffer before the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowClosed {
    /// Start in milliseconds since the epoch.
    pub start_ms: u64,
    /// End in milliseconds since the epoch.
    pub end_ms: u64,
    /// Messages sent to the window.
    pub events: u64,
    /// Results received from it.
    pub results: u64,
    /// When the stream's sending half was closed: close of book.
    pub half_close: Instant,
    /// When the data plane received the end of its results.
    pub eof: Instant,
}

/// A running reduce vertex.
pub(crate) struct Reducer {
    client: ReduceClient<Channel>,
    results: Results,
    failed: mpsc::Sender<Error>,
    counters: Arc<Counters>,
    observer: Arc<dyn Observer>,
    keyed: bool,
    windows: Windows<OpenWindow>,
}

/// The writer's end of the buffer before the sink.
#[derive(Clone)]
struct Results {
    to_sink: mpsc::Sender<(Emitted, Held)>,
    room: Room,
}

/// An open window: dropping the sender is its close of book, dropping the task cancels it.
struct OpenWindow {
    requests: mpsc::Sender<(ReduceRequest, Held)>,
    task: AbortOnDropHandle<Option<Ended>>,
    events: u64,
}

/// The end of a window's stream.
struct Ended {
    results: u64,
    eof: Instant,
}

/// Runs the reduce vertex until its input ends, then cancels the windows that are still open.
pub(crate) async fn run(
    config: Config,
    client: ReduceClient<Channel>,
    mut input: mpsc::Receiver<Item>,
    to_sink: mpsc::Sender<(Emitted, Held)>,
    counters: Arc<Counters>,
    observer: Arc<dyn Observer>,
) -> Result<(), Error> {
    // One place is enough: the first failure ends the vertex.
    let (failed, mut failure) = mpsc::channel(1);
    let windows = Windows::new(millis(config.window), config.allowed_lateness);
    let mut reducer = Reducer {
        client,
        results: Results {
            to_sink,
            room: Room::new(config.buffer_bytes),
        },
        failed,
        counters,
        observer,
        keyed: config.keyed,
        windows,
    };
    let working = async {
        while let Some(item) = input.recv().await {
            match item {
                Item::Event(message, held) => reducer.event(message, held).await,
                Item::Watermark(watermark_ms) => {
                    reducer.windows.advance(watermark_ms);
                    reducer.close_due().await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        Some(error) = failure.recv() => Err(error),
        () = working => Ok(()),
    }
}

impl Reducer {
    async fn event(&mut self, mut message: Message, held: Held) {
        // Before the checks, so that the observer sees a dropped message under the key that its window has.
        if !self.keyed {
            message.keys = vec![NON_KEYED_STREAM.to_owned()];
        }
        let event_ms = message.event_time_ms();
        if let Some(reason) = self.windows.judge(event_ms, message.watermark_ms, message.late) {
            add(self.counters.dropped(reason), 1);
            self.observer.dropped(&message, reason);
            return;
        }
        self.close_due().await;
        let open = |span| {
            add(&self.counters.windows_opened, 1);
            let (requests, queued) = mpsc::channel(WINDOW_QUEUE);
            let stream = WindowStream {
                client: self.client.clone(),
                results: self.results.clone(),
                counters: Arc::clone(&self.counters),
                span,
            };
            let failed = self.failed.clone();
            let task = tokio::spawn(async move {
                match stream.run(queued).await {
                    Ok(ended) => Some(ended),
                    Err(error) => {
                        let _ = failed.try_send(error);
                        None
                    }
                }
            });
            OpenWindow {
                requests,
                task: AbortOnDropHandle::new(task),
                events: 0,
            }
        };
        let (span, window, first) = self.windows.assign(event_ms, open);
        let request = request(message, span, first);
        if window.requests.send((request, held)).await.is_ok() {
            window.events += 1;
            add(&self.counters.delivered, 1);
        } else {
            // If the stream failed, its own error is in the channel already and wins.
            let _ = self
                .failed
                .try_send(Vertex::Reduce.protocol_error("it ended a window before its close of book"));
        }
    }

    /// Closes the windows that the watermark has passed, one after another.
    async fn close_due(&mut self) {
        while let Some((span, window)) = self.windows.take_due() {
            let half_close = Instant::now();
            drop(window.requests);
            let Ok(Some(ended)) = window.task.await else {
                // Either the stream's error is in the channel already, or the task panicked and this one is the first.
                let _ = self
                    .failed
                    .try_send(Vertex::Reduce.protocol_error("a window's task ended without a result"));
                return;
            };
            add(&self.counters.windows_closed, 1);
            self.observer.window_closed(&WindowClosed {
                start_ms: span.start_ms,
                end_ms: span.end_ms,
                events: window.events,
                results: ended.results,
                half_close,
                eof: ended.eof,
            });
        }
    }
}

/// The call of one window.
struct WindowStream {
    client: ReduceClient<Channel>,
    results: Results,
    counters: Arc<Counters>,
    span: Span,
}

impl Results {
    /// Waits while the buffer is full, in results or in bytes.
    async fn send(&self, emitted: Emitted) {
        let held = self.room.take(emitted.bytes()).await;
        // Fails only after the sink has ended, whose error ends the run.
        let _ = self.to_sink.send((emitted, held)).await;
    }
}

impl WindowStream {
    /// Sends the window's requests and moves its results to the next buffer, until EOF or the end of the call.
    async fn run(mut self, requests: mpsc::Receiver<(ReduceRequest, Held)>) -> Result<Ended, Error> {
        // The call takes a request when it is about to send it.
        let requests = ReceiverStream::new(requests).map(|(request, _)| request);
        let call = self.client.reduce_fn(requests).await;
        let mut responses = call
            .map_err(Vertex::Reduce.call_error("opening a window"))?
            .into_inner();
        let (mut index, mut results) = (0, 0);
        loop {
            let response = responses
                .message()
                .await
                .map_err(Vertex::Reduce.call_error("reducing a window"))?;
            let Some(response) = response.filter(|response| !response.eof) else {
                let eof = Instant::now();
                tokio::spawn(drain(responses));
                return Ok(Ended { results, eof });
            };
            let result = response.result.unwrap_or_default();
            index += 1;
            if result.tags.iter().any(|tag| tag == DROP_TAG) {
                continue;
            }
            self.results.send(self.emitted(result, index - 1)).await;
            results += 1;
            add(&self.counters.results, 1);
        }
    }

    fn emitted(&self, result: reduce_response::Result, index: u64) -> Emitted {
        let Span { start_ms, end_ms } = self.span;
        Emitted {
            id: format!("reduce-0-{start_ms}-{end_ms}-{index}"),
            keys: result.keys,
            payload: result.value,
            event_time_ms: end_ms - 1,
        }
    }
}

/// Reads a call to its end after EOF, beside the run. To drop the call at once would cancel it; a UDF on pynumaflow that
/// is still in its handler treats that as an error and exits. A call that does not end in time is cancelled.
async fn drain(mut responses: Streaming<ReduceResponse>) {
    let to_the_end = async { while let Ok(Some(_)) = responses.message().await {} };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, to_the_end).await;
}

fn request(message: Message, span: Span, first: bool) -> ReduceRequest {
    use reduce_request::window_operation::Event;
    let event = if first { Event::Open } else { Event::Append };
    let window = Window {
        start: Some(timestamp(span.start_ms)),
        end: Some(timestamp(span.end_ms)),
        slot: SLOT.to_owned(),
    };
    debug_assert!(message.event_time >= UNIX_EPOCH);
    ReduceRequest {
        payload: Some(reduce_request::Payload {
            keys: message.keys,
            value: message.payload,
            event_time: Some(message.event_time.into()),
            watermark: Some(timestamp(message.watermark_ms)),
            headers: message.headers,
        }),
        operation: Some(reduce_request::WindowOperation {
            event: event.into(),
            windows: vec![window],
        }),
    }
}
