//! The source vertex against a scripted source: reads, acknowledgements, the idle watermark.

use std::collections::HashMap;
use std::time::UNIX_EPOCH;

use numaflow::proto::source::source_client::SourceClient;
use numaflow::proto::source::{AckResponse, ReadResponse, ack_response};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::*;
use crate::buffer::timestamp;
use crate::scripted::{Call, ScriptedSource, soon};

const READ_TIMEOUT: Duration = Duration::from_millis(200);
const READ: ReadRequest = ReadRequest {
    request: Some(read_request::Request {
        num_records: 3,
        timeout_in_ms: 200,
    }),
    handshake: None,
};

type AckCall = Call<AckRequest, AckResponse>;
/// How the server treats an acknowledgement.
type Answering = fn(AckCall);

/// A source vertex at work, with the server's end of its calls and the reducer's end of its buffer.
struct Rig {
    read: Call<ReadRequest, ReadResponse>,
    ack: AckCall,
    buffer: mpsc::Receiver<Item>,
    counters: Arc<Counters>,
    stop: CancellationToken,
    run: JoinHandle<Result<(), Error>>,
}

impl Rig {
    /// With this many places in the buffer.
    async fn start(places: usize, idle_source: Option<IdleSource>) -> Self {
        Self::with_room(places, usize::MAX, idle_source).await
    }

    /// With room for so many bytes too.
    async fn with_room(places: usize, buffer_bytes: usize, idle_source: Option<IdleSource>) -> Self {
        let mut scripted = ScriptedSource::new(|_| Ok(true));
        let mut client = SourceClient::new(scripted.server.channel().await.unwrap());
        let (reads, read_requests) = mpsc::channel(1);
        let (acks, ack_requests) = mpsc::channel(1);
        let serving = async { scripted.reads.next().await.accept() };
        let (opened, read) = tokio::join!(client.read_fn(ReceiverStream::new(read_requests)), serving);
        let serving = async { scripted.acks.next().await.accept() };
        let (acked, ack) = tokio::join!(client.ack_fn(ReceiverStream::new(ack_requests)), serving);
        let calls = SourceCalls {
            reads,
            read: opened.unwrap().into_inner(),
            acks,
            acked: acked.unwrap().into_inner(),
        };
        let config = Config {
            read_batch: 3,
            buffer_bytes,
            idle_source,
            ..Config::new(Duration::from_secs(1), READ_TIMEOUT)
        };
        let (to_reduce, buffer) = mpsc::channel(places);
        let (counters, stop) = (Arc::new(Counters::default()), CancellationToken::new());
        let source = Source::new(&config, calls, to_reduce, Arc::clone(&counters));
        Self {
            read,
            ack,
            buffer,
            counters,
            run: tokio::spawn(source.run(stop.clone())),
            stop,
        }
    }

    /// Takes a read request and answers it with messages of these event times, then the end of the batch.
    async fn give(&mut self, times_ms: &[u64]) {
        assert_eq!(self.read.request().await.unwrap(), Some(READ));
        for time_ms in times_ms {
            self.read.answer(message(*time_ms));
        }
        self.read.answer(end_of_batch());
    }

    /// Takes an acknowledgement, whose offsets must be those of these event times, and confirms it.
    async fn confirm(&mut self, times_ms: &[u64]) {
        assert_eq!(self.ack.request().await.unwrap(), Some(ack(times_ms)));
        self.ack.answer(confirmed());
    }

    /// Event time, watermark and lateness of what lies in the buffer.
    fn buffered(&mut self) -> Vec<(u64, u64, bool)> {
        std::iter::from_fn(|| self.buffer.try_recv().ok())
            .map(|item| match item {
                Item::Event(message, _) => (message.event_time_ms(), message.watermark_ms, message.late),
                Item::Watermark(watermark_ms) => panic!("an idle watermark: {watermark_ms}"),
            })
            .collect()
    }

    /// Lets the vertex work until nothing is left to do; the paused clock goes on by a millisecond.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// The text of the error that the run ends with, and messages read and acknowledged.
    async fn failed(self) -> (String, u64, u64) {
        let error = soon(self.run).await.unwrap().unwrap_err();
        let counts = self.counters.counts();
        (error.to_string(), counts.read, counts.acked)
    }
}

/// A message whose offset is its event time.
fn message(time_ms: u64) -> ReadResponse {
    ReadResponse {
        result: Some(read_response::Result {
            payload: format!("payload {time_ms}").into_bytes(),
            offset: Some(offset(time_ms)),
            event_time: Some(timestamp(time_ms)),
            keys: vec!["key".to_owned()],
            headers: HashMap::from([("name".to_owned(), "value".to_owned())]),
            metadata: None,
        }),
        ..Default::default()
    }
}

fn offset(time_ms: u64) -> Offset {
    Offset {
        offset: time_ms.to_be_bytes().to_vec(),
        partition_id: 7,
    }
}

fn end_of_batch() -> ReadResponse {
    ReadResponse {
        status: Some(read_response::Status {
            eot: true,
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn ack(times_ms: &[u64]) -> AckRequest {
    let offsets = times_ms.iter().map(|time_ms| offset(*time_ms)).collect();
    AckRequest {
        request: Some(ack_request::Request { offsets }),
        handshake: None,
    }
}

fn confirmed() -> AckResponse {
    AckResponse {
        result: Some(ack_response::Result { success: Some(()) }),
        handshake: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_buffered_then_acknowledged_and_only_then_the_next_is_read() {
    let mut rig = Rig::start(10, None).await;
    rig.give(&[5_100, 5_000, 5_200]).await;
    let acknowledged = rig.ack.request().await.unwrap();
    assert_eq!(
        acknowledged,
        Some(ack(&[5_100, 5_000, 5_200])),
        "in the order read"
    );
    let first = soon(rig.buffer.recv()).await.unwrap();
    let Item::Event(first, _) = first else {
        panic!("{first:?}")
    };
    let expected = Message {
        payload: b"payload 5100".to_vec(),
        keys: vec!["key".to_owned()],
        event_time: UNIX_EPOCH + Duration::from_millis(5_100),
        headers: HashMap::from([("name".to_owned(), "value".to_owned())]),
        watermark_ms: 5_000,
        late: false,
    };
    assert_eq!(first, expected);
    assert_eq!(rig.buffered(), [(5_000, 5_000, false), (5_200, 5_000, false)]);

    let next = tokio::time::timeout(READ_TIMEOUT * 10, rig.read.request()).await;
    assert!(next.is_err(), "no read before the acknowledgement is confirmed");
    rig.ack.answer(confirmed());

    // The watermark does not go back; what is older than it is late.
    rig.give(&[5_050, 4_999]).await;
    rig.confirm(&[5_050, 4_999]).await;
    assert_eq!(rig.buffered(), [(5_050, 5_000, false), (4_999, 5_000, true)]);
    rig.give(&[6_000]).await;
    rig.confirm(&[6_000]).await;
    assert_eq!(rig.buffered(), [(6_000, 6_000, false)]);
    rig.settle().await;
    let counts = rig.counters.counts();
    assert_eq!((counts.read, counts.acked, counts.max_buffer_depth), (6, 6, 3));
    assert_eq!(counts.read_batches, 3);
}

#[tokio::test(start_paused = true)]
async fn an_empty_batch_is_not_acknowledged() {
    let mut rig = Rig::start(10, None).await;
    for _ in 0..3 {
        rig.give(&[]).await;
    }
    rig.give(&[5_000]).await;
    rig.confirm(&[5_000]).await;
    assert_eq!(rig.counters.counts().read_batches, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_read_that_has_begun_and_closes_both_calls() {
    let mut rig = Rig::start(10, None).await;
    assert_eq!(rig.read.request().await.unwrap(), Some(READ));
    rig.stop.cancel();
    rig.settle().await;
    assert!(!rig.run.is_finished());
    rig.read.answer(message(5_000));
    rig.read.answer(end_of_batch());
    rig.confirm(&[5_000]).await;
    assert_eq!(rig.read.request().await.unwrap(), None, "no further read");
    assert_eq!(rig.ack.request().await.unwrap(), None);
    soon(rig.run).await.unwrap().unwrap();
    assert_eq!(rig.counters.counts().acked, 1);
    assert!(matches!(soon(rig.buffer.recv()).await, Some(Item::Event(..))));
    assert!(soon(rig.buffer.recv()).await.is_none(), "the buffer is closed");
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_holds_back_the_acknowledgement() {
    let mut rig = Rig::start(2, None).await;
    rig.give(&[1, 2, 3]).await;
    rig.settle().await;
    assert_eq!(rig.counters.counts().max_buffer_depth, 2);
    let early = tokio::time::timeout(READ_TIMEOUT * 10, rig.ack.request()).await;
    assert!(early.is_err(), "the third message has no place yet");
    assert!(soon(rig.buffer.recv()).await.is_some());
    rig.confirm(&[1, 2, 3]).await;

    // A stop ends that wait, and what was not buffered is not acknowledged.
    rig.give(&[4, 5, 6]).await;
    rig.settle().await;
    rig.stop.cancel();
    assert_eq!(rig.ack.request().await.unwrap(), None);
    soon(rig.run).await.unwrap().unwrap();
    let counts = rig.counters.counts();
    assert_eq!((counts.read, counts.acked), (6, 3));
}

#[tokio::test(start_paused = true)]
async fn a_buffer_that_is_full_in_bytes_is_written_and_the_source_read_no_further() {
    // `payload 1`, the key `key` and the header `name: value`.
    const MESSAGE: usize = 9 + 3 + 9;
    let mut rig = Rig::with_room(10, 2 * MESSAGE, None).await;
    rig.give(&[1, 2, 3]).await;
    rig.settle().await;
    assert_eq!(rig.counters.counts().max_buffer_depth, 2);
    let early = tokio::time::timeout(READ_TIMEOUT * 10, rig.ack.request()).await;
    assert!(early.is_err(), "the third message has no room yet");
    let first = soon(rig.buffer.recv()).await.unwrap();
    let early = tokio::time::timeout(READ_TIMEOUT * 10, rig.ack.request()).await;
    assert!(
        early.is_err(),
        "nor while the first one is held outside the buffer"
    );
    drop(first);
    rig.confirm(&[1, 2, 3]).await;
    assert_eq!(rig.buffered().len(), 2);

    // A message that is larger than the buffer passes alone.
    let mut rig = Rig::with_room(10, 1, None).await;
    rig.give(&[1, 2]).await;
    for time_ms in [1, 2] {
        rig.settle().await;
        assert_eq!(rig.buffered(), [(time_ms, 1, false)]);
    }
    rig.confirm(&[1, 2]).await;

    // A stop ends the wait.
    rig.give(&[3, 4]).await;
    rig.settle().await;
    rig.stop.cancel();
    assert_eq!(rig.ack.request().await.unwrap(), None);
    soon(rig.run).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reducer_that_has_ended_ends_the_source_without_an_acknowledgement() {
    let mut rig = Rig::start(10, None).await;
    rig.buffer.close();
    rig.give(&[5_000]).await;
    assert_eq!(rig.ack.request().await.unwrap(), None);
    soon(rig.run).await.unwrap().unwrap();
    assert_eq!(rig.counters.counts().acked, 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_middle_of_a_batch_buffers_none_of_it() {
    let mut rig = Rig::start(10, None).await;
    assert_eq!(rig.read.request().await.unwrap(), Some(READ));
    rig.read.answer(message(5_000));
    rig.settle().await;
    rig.read.fail(Status::data_loss("the tape broke"));
    let error = soon(rig.run).await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "source: read failed: the tape broke (DataLoss)"
    );
    assert!(soon(rig.buffer.recv()).await.is_none());
    assert_eq!(rig.ack.request().await.unwrap(), None);
    let counts = rig.counters.counts();
    assert_eq!((counts.read, counts.acked), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_read_call_that_ends_is_a_breach() {
    let mut rig = Rig::start(10, None).await;
    assert_eq!(rig.read.request().await.unwrap(), Some(READ));
    drop(rig.read);
    let error = soon(rig.run).await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "source: breaks the protocol: it ended the read call"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_without_offset_or_time_is_a_breach() {
    let with = |change: fn(&mut read_response::Result)| {
        let mut response = message(5_000);
        change(response.result.as_mut().unwrap());
        response
    };
    let no_time = "source: breaks the protocol: a message has no event time since 1970";
    for (response, expected) in [
        (
            with(|result| result.offset = None),
            "source: breaks the protocol: a message has no offset",
        ),
        (with(|result| result.event_time = None), no_time),
        (
            with(|result| result.event_time.as_mut().unwrap().seconds = -1),
            no_time,
        ),
    ] {
        let mut rig = Rig::start(10, None).await;
        assert_eq!(rig.read.request().await.unwrap(), Some(READ));
        rig.read.answer(response);
        assert_eq!(rig.failed().await, (expected.to_owned(), 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_is_not_confirmed_is_an_error() {
    let not_confirmed = "source: breaks the protocol: it did not confirm an acknowledgement";
    let answers: [(Answering, &str); 4] = [
        (|call| call.answer(AckResponse::default()), not_confirmed),
        (
            |call| {
                call.answer(AckResponse {
                    result: Some(ack_response::Result { success: None }),
                    handshake: None,
                });
            },
            not_confirmed,
        ),
        (drop, not_confirmed),
        (
            |call| call.fail(Status::not_found("no such offset")),
            "source: ack failed: no such offset (NotFound)",
        ),
    ];
    for (answer, expected) in answers {
        let mut rig = Rig::start(10, None).await;
        rig.give(&[5_000]).await;
        assert_eq!(rig.ack.request().await.unwrap(), Some(ack(&[5_000])));
        answer(rig.ack);
        let error = soon(rig.run).await.unwrap().unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), rig.counters.counts().acked),
            (expected, 0)
        );
    }
}

const IDLE: IdleSource = IdleSource {
    threshold: Duration::from_millis(400),
    increment_by: Duration::from_millis(300),
    step_interval: Duration::from_millis(20),
};

/// The next idle watermark and when it came.
async fn idle_watermark(rig: &mut Rig, start: Instant) -> (u64, u64) {
    match soon(rig.buffer.recv()).await.unwrap() {
        Item::Watermark(watermark_ms) => (watermark_ms, millis(start.elapsed())),
        Item::Event(message, _) => panic!("{message:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_watermark_of_an_idle_source_moves_by_steps_until_data_comes() {
    let mut rig = Rig::start(10, Some(IDLE)).await;
    // There is no watermark to move before the first data.
    assert_eq!(rig.read.request().await.unwrap(), Some(READ));
    let early = tokio::time::timeout(IDLE.threshold * 3, rig.buffer.recv()).await;
    assert!(early.is_err());
    rig.read.answer(message(5_000));
    rig.read.answer(end_of_batch());
    rig.confirm(&[5_000]).await;
    assert_eq!(rig.buffered(), [(5_000, 5_000, false)]);

    // Reads go on meanwhile, and empty batches do not count as data.
    let start = Instant::now();
    rig.give(&[]).await;
    let mut steps = Vec::new();
    for _ in 0..3 {
        steps.push(idle_watermark(&mut rig, start).await);
    }
    let watermarks: Vec<u64> = steps.iter().map(|(watermark_ms, _)| *watermark_ms).collect();
    assert_eq!(watermarks, [5_300, 5_600, 5_900]);
    for ((_, took_ms), expected) in steps.iter().zip([400, 420, 440]) {
        assert!((expected..=expected + 3).contains(took_ms), "{steps:?}");
    }

    // The first message of a batch stops the steps, however long the rest of it takes.
    assert_eq!(rig.read.request().await.unwrap(), Some(READ));
    rig.read.answer(message(5_950));
    let moved = tokio::time::timeout(IDLE.threshold * 3, rig.buffer.recv()).await;
    assert!(moved.is_err(), "{moved:?}");
    rig.read.answer(end_of_batch());
    rig.confirm(&[5_950]).await;
    let start = Instant::now();
    assert_eq!(rig.buffered(), [(5_950, 5_950, false)]);
    let (watermark_ms, took_ms) = idle_watermark(&mut rig, start).await;
    assert_eq!(watermark_ms, 6_250);
    assert!(
        (400..=403).contains(&took_ms),
        "from the acknowledgement: {took_ms}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_gets_no_idle_watermark() {
    let mut rig = Rig::start(1, Some(IDLE)).await;
    rig.give(&[5_000]).await;
    rig.confirm(&[5_000]).await;
    tokio::time::sleep(IDLE.threshold + IDLE.step_interval * 10).await;
    assert_eq!(rig.buffered(), [(5_000, 5_000, false)]);
    // It has moved all the same, and the next step that finds a place shows it.
    let (watermark_ms, _) = idle_watermark(&mut rig, Instant::now()).await;
    assert!(watermark_ms > 5_000 + 10 * 300, "{watermark_ms}");
}
