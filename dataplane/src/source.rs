//! The source vertex: read, stamp with the watermark, write to the buffer, acknowledge, only then read again.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use numaflow::proto::source::{AckRequest, Offset, ReadRequest, ack_request, read_request, read_response};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::buffer::room::{Held, Room};
use crate::buffer::{Item, Message, epoch_ms};
use crate::config::{Config, IdleSource, millis};
use crate::connect::SourceCalls;
use crate::counts::{Counters, add};
use crate::error::{Error, Vertex};
use crate::windows::Watermark;

/// A running source vertex.
pub(crate) struct Source {
    calls: SourceCalls,
    buffer: mpsc::Sender<Item>,
    room: Room,
    counters: Arc<Counters>,
    read_batch: usize,
    read_timeout: Duration,
    watermark: Watermark,
    idle: Option<Idle>,
}

/// When an idle source's watermark moves next.
struct Idle {
    config: IdleSource,
    next: Instant,
}

/// One read batch; the offsets are kept for the acknowledgement.
#[derive(Default)]
struct ReadBatch {
    messages: Vec<Message>,
    offsets: Vec<Offset>,
}

impl Source {
    pub fn new(
        config: &Config,
        calls: SourceCalls,
        buffer: mpsc::Sender<Item>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            calls,
            buffer,
            room: Room::new(config.buffer_bytes),
            counters,
            read_batch: config.read_batch,
            read_timeout: config.read_timeout,
            watermark: Watermark::default(),
            idle: config.idle_source.map(|config| Idle {
                config,
                next: Instant::now() + config.threshold,
            }),
        }
    }

    /// Reads until `stop` is cancelled; a read that has begun is finished first.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut batch = ReadBatch::default();
        while !stop.is_cancelled() {
            self.read(&mut batch).await?;
            if batch.messages.is_empty() {
                continue;
            }
            add(&self.counters.read_batches, 1);
            self.stamp(&mut batch.messages);
            if !self.write(&mut batch.messages, &stop).await {
                break;
            }
            self.acknowledge(std::mem::take(&mut batch.offsets)).await?;
            if let Some(idle) = &mut self.idle {
                idle.next = Instant::now() + idle.config.threshold;
            }
        }
        Ok(())
    }

    async fn read(&mut self, batch: &mut ReadBatch) -> Result<(), Error> {
        let request = read_request::Request {
            num_records: self.read_batch as u64,
            timeout_in_ms: u32::try_from(millis(self.read_timeout)).unwrap_or(u32::MAX),
        };
        let request = ReadRequest {
            request: Some(request),
            handshake: None,
        };
        // A send fails only if the call has ended; the response tells why.
        let _ = self.calls.reads.send(request).await;
        loop {
            // Once a batch has data, the watermark moves by event times, not by the clock.
            let idle = self
                .idle
                .as_ref()
                .filter(|_| batch.messages.is_empty())
                .map(|idle| idle.next);
            let response = tokio::select! {
                biased;
                response = self.calls.read.message() => response,
                () = until(idle), if idle.is_some() => {
                    self.step();
                    continue;
                }
            };
            let response = response.map_err(Vertex::Source.call_error("read"))?;
            let response = response.ok_or_else(|| Vertex::Source.protocol_error("it ended the read call"))?;
            if response.status.is_some_and(|status| status.eot) {
                return Ok(());
            }
            if let Some(result) = response.result {
                add(&self.counters.read, 1);
                batch.take(result)?;
            }
        }
    }

    /// Moves the watermark of an idle source by one step. Numaflow counts idleness from the last data read. Here it counts
    /// from the last acknowledgement, so that a wait for a full buffer does not count as idle.
    #[expect(
        clippy::disallowed_methods,
        reason = "event times are wall time, which an idle source's watermark may not pass"
    )]
    fn step(&mut self) {
        let Some(idle) = &mut self.idle else { return };
        idle.next += idle.config.step_interval;
        self.watermark
            .step(idle.config.increment_by, epoch_ms(SystemTime::now()));
        if let Some(watermark) = self.watermark.get() {
            // A full buffer needs no idle watermark: its data carries newer ones.
            let _ = self.buffer.try_send(Item::Watermark(watermark));
        }
    }

    fn stamp(&mut self, messages: &mut [Message]) {
        if let Some(oldest) = messages.iter().map(Message::event_time_ms).min() {
            self.watermark.advance(oldest);
        }
        let watermark_ms = self.watermark.get().unwrap_or_default();
        for message in messages {
            message.watermark_ms = watermark_ms;
            message.late = message.event_time_ms() < watermark_ms;
        }
    }

    /// Writes to the buffer and waits while it is full, in messages or in bytes. Returns `false` if a stop or the reducer's end cut the wait.
    async fn write(&mut self, messages: &mut Vec<Message>, stop: &CancellationToken) -> bool {
        for message in messages.drain(..) {
            let bytes = message.bytes();
            let (slot, held) = match self.try_place(bytes) {
                Some(place) => place,
                None => {
                    self.note_depth();
                    tokio::select! {
                        place = self.place(bytes) => match place {
                            Some(place) => place,
                            // The reducer has ended; its error ends the run.
                            None => return false,
                        },
                        () = stop.cancelled() => return false,
                    }
                }
            };
            slot.send(Item::Event(message, held));
        }
        self.note_depth();
        true
    }

    /// A place in the buffer with room for so many bytes, if there is one.
    fn try_place(&self, bytes: usize) -> Option<(mpsc::Permit<'_, Item>, Held)> {
        let held = self.room.try_take(bytes)?;
        Some((self.buffer.try_reserve().ok()?, held))
    }

    /// A place with room, once there is one; `None` if the reducer has ended.
    async fn place(&self, bytes: usize) -> Option<(mpsc::Permit<'_, Item>, Held)> {
        let held = self.room.take(bytes).await;
        Some((self.buffer.reserve().await.ok()?, held))
    }

    fn note_depth(&self) {
        let depth = self.buffer.max_capacity() - self.buffer.capacity();
        self.counters
            .max_buffer_depth
            .fetch_max(depth as u64, Ordering::Relaxed);
    }

    async fn acknowledge(&mut self, offsets: Vec<Offset>) -> Result<(), Error> {
        let count = offsets.len();
        let request = AckRequest {
            request: Some(ack_request::Request { offsets }),
            handshake: None,
        };
        // As above: the response tells why.
        let _ = self.calls.acks.send(request).await;
        let response = self
            .calls
            .acked
            .message()
            .await
            .map_err(Vertex::Source.call_error("ack"))?;
        match response
            .and_then(|response| response.result)
            .and_then(|result| result.success)
        {
            Some(()) => {
                add(&self.counters.acked, count);
                Ok(())
            }
            None => Err(Vertex::Source.protocol_error("it did not confirm an acknowledgement")),
        }
    }
}

impl ReadBatch {
    fn take(&mut self, result: read_response::Result) -> Result<(), Error> {
        let offset = result
            .offset
            .ok_or_else(|| Vertex::Source.protocol_error("a message has no offset"))?;
        let event_time = result.event_time.and_then(|time| SystemTime::try_from(time).ok());
        let event_time = event_time.filter(|time| *time >= SystemTime::UNIX_EPOCH);
        let event_time = event_time
            .ok_or_else(|| Vertex::Source.protocol_error("a message has no event time since 1970"))?;
        self.offsets.push(offset);
        self.messages.push(Message {
            payload: result.payload,
            keys: result.keys,
            event_time,
            headers: result.headers,
            watermark_ms: 0,
            late: false,
        });
        Ok(())
    }
}

async fn until(time: Option<Instant>) {
    if let Some(time) = time {
        sleep_until(time).await;
    }
}
