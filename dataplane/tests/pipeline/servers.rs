//! The user's side of the three servers: a scripted source, a counting reducer, a recording sink.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use dataplane::config::NON_KEYED_STREAM;
use numaflow::{reduce, sink, source};
use tokio::sync::{Semaphore, mpsc, watch};
use tonic::async_trait;

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

/// A source that gives the read batches of the test.
pub struct Script {
    pub queued: tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<Event>>>,
    pub acks: mpsc::UnboundedSender<usize>,
}

/// A sink that tells the test what it got.
pub struct Records {
    pub records: mpsc::UnboundedSender<Record>,
    pub failing: Failing,
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
            let sent = event.headers.get("key").unwrap();
            assert!(
                keys == [sent.as_str()] || keys == [NON_KEYED_STREAM],
                "{keys:?}, {sent}"
            );
            count += 1;
        }
        let _ = self.seen.send(Seen::Closed(start_ms));
        self.permits.acquire().await.unwrap().forget();
        let _ = self.seen.send(Seen::Done(start_ms));
        let text = format!("{}/{start_ms}/{count}", keys.join("+"));
        vec![reduce::Message::new(text.into_bytes()).with_keys(keys)]
    }
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
