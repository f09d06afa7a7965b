//! The sink vertex: writes read batches of results. The sink must answer each result exactly once; failed ones are sent
//! again.

use std::collections::HashMap;
use std::sync::Arc;

use numaflow::proto::sink::{SinkRequest, SinkResponse, Status, TransmissionStatus, sink_request};
use tokio::time::sleep;

use crate::buffer::pull::Pull;
use crate::buffer::room::Held;
use crate::buffer::{Emitted, timestamp};
use crate::config::SINK_RETRY_INTERVAL;
use crate::connect::SinkCall;
use crate::counts::{Counters, add};
use crate::error::{Error, Vertex};

/// A running sink vertex.
pub(crate) struct Sink {
    call: SinkCall,
    tries: u32,
    counters: Arc<Counters>,
}

/// The answers to one read batch: results without an answer by id, and failed ones.
struct Answers {
    awaited: HashMap<String, Option<Emitted>>,
    failed: Vec<Emitted>,
    reason: String,
}

impl Sink {
    pub fn new(call: SinkCall, tries: u32, counters: Arc<Counters>) -> Self {
        Self {
            call,
            tries,
            counters,
        }
    }

    /// Writes the buffer's results until it is closed and empty.
    pub async fn run(mut self, mut from: Pull<(Emitted, Held)>) -> Result<(), Error> {
        let mut batch = Vec::new();
        loop {
            let more = tokio::select! {
                biased;
                more = from.next(&mut batch) => more,
                // No request is open, so any answer is an error; usually the process has ended.
                unasked = self.call.responses.message() => {
                    unasked.map_err(Vertex::Sink.call_error("waiting for results"))?;
                    return Err(Vertex::Sink.protocol_error("it answered or ended without being asked"));
                }
            };
            if !more {
                return Ok(());
            }
            if !batch.is_empty() {
                // The room is held until the sink has confirmed all of the batch.
                let (results, _held): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                self.write(results).await?;
            }
        }
    }

    async fn write(&mut self, mut batch: Vec<Emitted>) -> Result<(), Error> {
        for tries in 1.. {
            let sent = batch.len();
            let answers = self.try_once(batch).await?;
            add(&self.counters.sunk, sent - answers.failed.len());
            if answers.failed.is_empty() {
                break;
            }
            let failed = answers.failed.len();
            if tries >= self.tries {
                return Err(Error::SinkRetries {
                    failed,
                    tries,
                    reason: answers.reason,
                });
            }
            add(&self.counters.sink_retries, failed);
            batch = answers.failed;
            sleep(SINK_RETRY_INTERVAL).await;
        }
        Ok(())
    }

    async fn try_once(&mut self, batch: Vec<Emitted>) -> Result<Answers, Error> {
        for emitted in &batch {
            // A send fails only if the call has ended; the response tells why.
            let _ = self.call.requests.send(request(emitted)).await;
        }
        let eot = Some(TransmissionStatus { eot: true });
        let _ = self
            .call
            .requests
            .send(SinkRequest {
                request: None,
                status: eot,
                handshake: None,
            })
            .await;
        let mut answers = Answers::awaiting(batch);
        loop {
            let response = self
                .call
                .responses
                .message()
                .await
                .map_err(Vertex::Sink.call_error("write"))?;
            let response = response.ok_or_else(|| Vertex::Sink.protocol_error("it ended the call"))?;
            let ended = response.status.is_some_and(|status| status.eot);
            answers.take(response)?;
            if ended {
                return answers.complete();
            }
        }
    }
}

impl Answers {
    fn awaiting(batch: Vec<Emitted>) -> Self {
        let sent = batch.len();
        let awaited: HashMap<_, _> = batch
            .into_iter()
            .map(|emitted| (emitted.id.clone(), Some(emitted)))
            .collect();
        debug_assert_eq!(awaited.len(), sent, "ids are unique");
        Self {
            awaited,
            failed: Vec::new(),
            reason: String::new(),
        }
    }

    fn take(&mut self, response: SinkResponse) -> Result<(), Error> {
        for result in response.results {
            let id = result.id;
            let Some(slot) = self.awaited.get_mut(&id) else {
                return Err(Vertex::Sink.protocol_error(format!("it answered the unknown id `{id}`")));
            };
            let Some(emitted) = slot.take() else {
                return Err(Vertex::Sink.protocol_error(format!("it answered the id `{id}` twice")));
            };
            match Status::try_from(result.status) {
                Ok(Status::Success) => {}
                Ok(Status::Failure) => {
                    self.failed.push(emitted);
                    self.reason = result.err_msg;
                }
                // A fallback or on-success sink, which this pipeline does not have. Numaflow fails as well without one.
                other => {
                    let status = other.map_or("of no known kind", |status| status.as_str_name());
                    return Err(Vertex::Sink
                        .protocol_error(format!("its status {status} for `{id}` has no place to go")));
                }
            }
        }
        Ok(())
    }

    fn complete(self) -> Result<Self, Error> {
        match self.awaited.iter().find(|(_, unanswered)| unanswered.is_some()) {
            Some((id, _)) => {
                Err(Vertex::Sink.protocol_error(format!("it left the id `{id}` without an answer")))
            }
            None => Ok(self),
        }
    }
}

fn request(emitted: &Emitted) -> SinkRequest {
    let time = Some(timestamp(emitted.event_time_ms));
    SinkRequest {
        request: Some(sink_request::Request {
            keys: emitted.keys.clone(),
            value: emitted.payload.clone(),
            event_time: time,
            watermark: time,
            id: emitted.id.clone(),
            headers: HashMap::new(),
            metadata: None,
        }),
        status: None,
        handshake: None,
    }
}

#[cfg(test)]
mod tests {
    use numaflow::proto::sink::sink_response;

    use super::*;

    fn answers(ids: &[&str]) -> Answers {
        let emitted = |id: &&str| Emitted {
            id: (*id).to_owned(),
            keys: vec![],
            payload: vec![],
            event_time_ms: 0,
        };
        Answers::awaiting(ids.iter().map(emitted).collect())
    }

    fn response(results: &[(&str, Status)]) -> SinkResponse {
        let result = |(id, status): &(&str, Status)| sink_response::Result {
            id: (*id).to_owned(),
            status: (*status).into(),
            err_msg: "no room".to_owned(),
            ..Default::default()
        };
        SinkResponse {
            results: results.iter().map(result).collect(),
            handshake: None,
            status: None,
        }
    }

    #[test]
    fn every_id_is_answered_exactly_once() {
        use Status::{Failure, Fallback, Success};
        let reason = |result: Result<(), Error>| result.unwrap_err().to_string();

        let mut good = answers(&["a", "b", "c"]);
        good.take(response(&[("b", Failure), ("a", Success)])).unwrap();
        good.take(response(&[("c", Success)])).unwrap();
        let good = good.complete().unwrap();
        assert_eq!(
            (
                good.failed.len(),
                good.failed[0].id.as_str(),
                good.reason.as_str()
            ),
            (1, "b", "no room")
        );

        assert!(reason(answers(&["a"]).take(response(&[("x", Success)]))).contains("unknown id `x`"));
        let twice = answers(&["a"]).take(response(&[("a", Success), ("a", Failure)]));
        assert!(reason(twice).contains("`a` twice"));
        assert!(reason(answers(&["a"]).take(response(&[("a", Fallback)]))).contains("FALLBACK"));
        let mut missing = answers(&["a", "b"]);
        missing.take(response(&[("a", Success)])).unwrap();
        assert!(reason(missing.complete().map(|_| ())).contains("`b` without an answer"));
    }
}
