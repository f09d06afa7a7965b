//! The reduce vertex against a scripted UDF: what a window is sent, how it closes, what ends the run.

use std::collections::HashMap;
use std::sync::Mutex;

use numaflow::proto::reduce::reduce_request::window_operation::Event;
use tokio::task::JoinHandle;
use tonic::Status;

use super::*;
use crate::DropReason;
use crate::scripted::{ScriptedReduce, soon};

type Call = crate::scripted::Call<ReduceRequest, ReduceResponse>;

/// A reduce vertex at work, with the ends of its queues and the UDF in the hands of the test.
struct Rig {
    scripted: ScriptedReduce,
    input: mpsc::Sender<Item>,
    results: mpsc::Receiver<(Emitted, Held)>,
    counters: Arc<Counters>,
    observed: Arc<Observed>,
    run: JoinHandle<Result<(), Error>>,
}

#[derive(Default)]
struct Observed {
    closed: Mutex<Vec<WindowClosed>>,
    dropped: Mutex<Vec<(u64, DropReason)>>,
}

impl Observer for Observed {
    fn dropped(&self, message: &Message, reason: DropReason) {
        self.dropped
            .lock()
            .unwrap()
            .push((message.event_time_ms(), reason));
    }

    fn window_closed(&self, closed: &WindowClosed) {
        self.closed.lock().unwrap().push(*closed);
    }
}

impl Rig {
    /// Windows of a second.
    async fn start() -> Self {
        Self::with_room(usize::MAX).await
    }

    /// With room for so many bytes of results.
    async fn with_room(buffer_bytes: usize) -> Self {
        let scripted = ScriptedReduce::new(|_| Ok(true));
        let client = ReduceClient::new(scripted.server.channel().await.unwrap());
        let (input, queue) = mpsc::channel(REDUCER_QUEUE);
        let (to_sink, results) = mpsc::channel(100);
        let (counters, observed) = (Arc::new(Counters::default()), Arc::new(Observed::default()));
        let config = Config {
            buffer_bytes,
            ..Config::new(Duration::from_secs(1), Duration::from_millis(200))
        };
        let observer = Arc::clone(&observed) as Arc<dyn Observer>;
        let run = tokio::spawn(run(
            config,
            client,
            queue,
            to_sink,
            Arc::clone(&counters),
            observer,
        ));
        Self {
            scripted,
            input,
            results,
            counters,
            observed,
            run,
        }
    }

    /// Gives the vertex an event that was read with this watermark.
    async fn event(&self, time_ms: u64, watermark_ms: u64) {
        let item = Item::Event(message(time_ms, watermark_ms), Held::default());
        soon(self.input.send(item)).await.unwrap();
    }

    async fn watermark(&self, watermark_ms: u64) {
        soon(self.input.send(Item::Watermark(watermark_ms)))
            .await
            .unwrap();
    }

    /// Gives an event and accepts the call of the window that it opens.
    async fn open(&mut self, time_ms: u64, watermark_ms: u64) -> Call {
        self.event(time_ms, watermark_ms).await;
        let mut call = self.scripted.windows.next().await.accept();
        let expected = request(time_ms, watermark_ms, Event::Open);
        assert_eq!(call.request().await.unwrap(), Some(expected));
        call
    }

    /// Lets the vertex work until nothing is left to do; the paused clock goes on by a millisecond.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Start, end, events and results of the windows that were closed.
    fn closed(&self) -> Vec<(u64, u64, u64, u64)> {
        let closed = self.observed.closed.lock().unwrap();
        assert!(closed.iter().all(|window| window.half_close <= window.eof));
        closed
            .iter()
            .map(|window| (window.start_ms, window.end_ms, window.events, window.results))
            .collect()
    }

    /// The error that the run ends with.
    async fn failed(self) -> Error {
        soon(self.run).await.unwrap().unwrap_err()
    }
}

fn message(time_ms: u64, watermark_ms: u64) -> Message {
    Message {
        payload: format!("payload {time_ms}").into_bytes(),
        keys: vec!["key".to_owned(), time_ms.to_string()],
        event_time: UNIX_EPOCH + Duration::from_millis(time_ms),
        headers: HashMap::from([("name".to_owned(), "value".to_owned())]),
        watermark_ms,
        late: time_ms < watermark_ms,
    }
}

/// What the UDF must get for [`message`].
fn request(time_ms: u64, watermark_ms: u64, event: Event) -> ReduceRequest {
    let start_ms = time_ms / 1_000 * 1_000;
    ReduceRequest {
        payload: Some(reduce_request::Payload {
            keys: vec!["key".to_owned(), time_ms.to_string()],
            value: format!("payload {time_ms}").into_bytes(),
            event_time: Some(timestamp(time_ms)),
            watermark: Some(timestamp(watermark_ms)),
            headers: HashMap::from([("name".to_owned(), "value".to_owned())]),
        }),
        operation: Some(reduce_request::WindowOperation {
            event: event.into(),
            windows: vec![Window {
                start: Some(timestamp(start_ms)),
                end: Some(timestamp(start_ms + 1_000)),
                slot: "0".to_owned(),
            }],
        }),
    }
}

fn result(value: &str, tags: &[&str]) -> ReduceResponse {
    ReduceResponse {
        result: Some(reduce_response::Result {
            keys: vec!["out".to_owned()],
            value: value.as_bytes().to_vec(),
            tags: tags.iter().map(ToString::to_string).collect(),
        }),
        ..Default::default()
    }
}

fn eof() -> ReduceResponse {
    ReduceResponse {
        eof: true,
        ..Default::default()
    }
}

/// A window that was not closed: its results are no longer read, without the patience after EOF.
async fn assert_cancelled(call: &Call) {
    let start = tokio::time::Instant::now();
    soon(call.abandoned()).await;
    assert!(start.elapsed() < DRAIN_TIMEOUT / 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_window_is_one_call_opened_by_its_first_event() {
    let mut rig = Rig::start().await;
    let mut first = rig.open(5_100, 5_000).await;
    rig.event(5_000, 5_000).await;
    let mut second = rig.open(6_500, 5_000).await;
    rig.event(5_999, 5_000).await;
    let appended = [5_000, 5_999].map(|time_ms| request(time_ms, 5_000, Event::Append));
    for expected in appended {
        assert_eq!(first.request().await.unwrap(), Some(expected));
    }
    rig.watermark(7_000).await;
    assert_eq!(first.request().await.unwrap(), None, "its close of book");
    first.answer(eof());
    assert_eq!(second.request().await.unwrap(), None);
    second.answer(eof());
    rig.settle().await;
    assert_eq!(rig.closed(), [(5_000, 6_000, 3, 0), (6_000, 7_000, 1, 0)]);
    let counts = rig.counters.counts();
    assert_eq!(
        (counts.windows_opened, counts.windows_closed, counts.delivered),
        (2, 2, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn while_a_window_closes_nothing_else_is_touched() {
    let mut rig = Rig::start().await;
    let mut first = rig.open(5_000, 5_000).await;
    let mut second = rig.open(6_000, 5_000).await;
    // Closes both, and would open a third.
    rig.event(7_000, 7_000).await;
    assert_eq!(first.request().await.unwrap(), None);
    let touched = tokio::time::timeout(Duration::from_secs(60), second.request()).await;
    assert!(
        touched.is_err(),
        "the second window is not closed beside the first"
    );
    assert!(rig.scripted.windows.is_empty(), "nor is the third opened");
    assert_eq!(rig.closed(), []);

    first.answer(eof());
    assert_eq!(second.request().await.unwrap(), None);
    assert_eq!(rig.closed(), [(5_000, 6_000, 1, 0)]);
    assert!(rig.scripted.windows.is_empty());
    second.answer(eof());
    let mut third = rig.scripted.windows.next().await.accept();
    let expected = request(7_000, 7_000, Event::Open);
    assert_eq!(third.request().await.unwrap(), Some(expected));
    assert_eq!(rig.closed().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn results_come_out_numbered_and_without_those_to_be_dropped() {
    let mut rig = Rig::start().await;
    let mut call = rig.open(5_000, 5_000).await;
    // Results may come before the close of book.
    call.answer(result("early", &["any"]));
    let early = soon(rig.results.recv()).await.unwrap().0;
    assert_eq!(
        (early.id.as_str(), early.payload.as_slice()),
        ("reduce-0-5000-6000-0", b"early".as_slice())
    );
    rig.watermark(6_000).await;
    assert_eq!(call.request().await.unwrap(), None);
    call.answer(result("dropped", &["any", "U+005C__DROP__"]));
    call.answer(result("last", &[]));
    call.answer(eof());
    call.answer(result("after the end", &[]));
    let last = soon(rig.results.recv()).await.unwrap().0;
    assert_eq!(
        last.id, "reduce-0-5000-6000-2",
        "the dropped one keeps its number"
    );
    assert_eq!(
        (last.keys, last.payload, last.event_time_ms),
        (vec!["out".to_owned()], b"last".to_vec(), 5_999)
    );
    rig.settle().await;
    assert_eq!(rig.closed(), [(5_000, 6_000, 1, 2)]);
    assert_eq!(rig.counters.counts().results, 2);
    assert!(rig.results.is_empty(), "nothing follows EOF");
}

#[tokio::test(start_paused = true)]
async fn results_without_room_wait_for_the_sink() {
    // The payload and the key `out`.
    let mut rig = Rig::with_room(2 * (6 + 3)).await;
    let call = rig.open(5_000, 5_000).await;
    for payload in ["first1", "second", "third3"] {
        call.answer(result(payload, &[]));
    }
    rig.settle().await;
    assert_eq!((rig.results.len(), rig.counters.counts().results), (2, 2));
    let first = soon(rig.results.recv()).await.unwrap();
    rig.settle().await;
    assert_eq!(rig.results.len(), 1, "the sink has not confirmed the first one");
    drop(first);
    rig.settle().await;
    assert_eq!((rig.results.len(), rig.counters.counts().results), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_call_is_as_good_as_eof() {
    let mut rig = Rig::start().await;
    let mut call = rig.open(5_000, 5_000).await;
    rig.watermark(6_000).await;
    assert_eq!(call.request().await.unwrap(), None);
    call.answer(result("only", &[]));
    drop(call);
    assert_eq!(soon(rig.results.recv()).await.unwrap().0.payload, b"only");
    rig.settle().await;
    assert_eq!(rig.closed(), [(5_000, 6_000, 1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn after_eof_a_call_is_read_on_for_a_second_and_then_cancelled() {
    let mut rig = Rig::start().await;
    let mut call = rig.open(5_000, 5_000).await;
    rig.watermark(6_000).await;
    assert_eq!(call.request().await.unwrap(), None);
    call.answer(eof());
    let start = tokio::time::Instant::now();
    rig.settle().await;
    assert_eq!(rig.closed().len(), 1, "the close does not wait for it");
    soon(call.abandoned()).await;
    let took = start.elapsed();
    assert!(
        (DRAIN_TIMEOUT..=DRAIN_TIMEOUT + Duration::from_millis(3)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_late_reaches_no_window() {
    let mut rig = Rig::start().await;
    let mut call = rig.open(6_000, 6_000).await;
    rig.event(5_999, 6_000).await;
    rig.event(6_001, 6_000).await;
    let expected = request(6_001, 6_000, Event::Append);
    assert_eq!(call.request().await.unwrap(), Some(expected));
    let dropped = rig.observed.dropped.lock().unwrap().clone();
    assert_eq!(dropped, [(5_999, DropReason::LateMessage)]);
    let counts = rig.counters.counts();
    assert_eq!(
        (counts.dropped_late, counts.dropped_old, counts.delivered),
        (1, 0, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_window_that_cannot_be_opened_ends_the_run() {
    let mut rig = Rig::start().await;
    rig.event(5_000, 5_000).await;
    let opened = rig.scripted.windows.next().await;
    opened.refuse(Status::resource_exhausted("no more windows"));
    assert_eq!(
        rig.failed().await.to_string(),
        "reduce: opening a window failed: no more windows (ResourceExhausted)"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_middle_of_a_window_ends_the_run() {
    for closing in [false, true] {
        let mut rig = Rig::start().await;
        let mut call = rig.open(5_000, 5_000).await;
        let other = rig.open(6_000, 5_000).await;
        if closing {
            rig.watermark(6_000).await;
            assert_eq!(call.request().await.unwrap(), None);
        }
        call.answer(result("before", &[]));
        call.fail(Status::internal("division by zero"));
        let emitted = soon(rig.results.recv()).await.unwrap().0;
        assert_eq!(emitted.payload, b"before", "what came before it goes on");
        let (observed, counters) = (Arc::clone(&rig.observed), Arc::clone(&rig.counters));
        let error = rig.failed().await;
        assert_eq!(
            error.to_string(),
            "reduce: reducing a window failed: division by zero (Internal)",
            "while closing: {closing}"
        );
        assert_eq!(observed.closed.lock().unwrap().len(), 0);
        assert_eq!(counters.counts().windows_closed, 0);
        assert_cancelled(&other).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_before_its_close_of_book_is_a_breach() {
    let mut rig = Rig::start().await;
    drop(rig.open(5_000, 5_000).await);
    rig.settle().await;
    rig.event(5_001, 5_000).await;
    assert_eq!(
        rig.failed().await.to_string(),
        "reduce: breaks the protocol: it ended a window before its close of book"
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_cancels_the_open_windows() {
    let mut rig = Rig::start().await;
    let call = rig.open(5_000, 5_000).await;
    drop(rig.input);
    soon(rig.run).await.unwrap().unwrap();
    assert_cancelled(&call).await;
    assert_eq!(rig.observed.closed.lock().unwrap().len(), 0);
    assert!(soon(rig.results.recv()).await.is_none(), "the results end too");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_has_ended_does_not_hold_up_a_close() {
    let mut rig = Rig::start().await;
    rig.results.close();
    let mut call = rig.open(5_000, 5_000).await;
    rig.watermark(6_000).await;
    assert_eq!(call.request().await.unwrap(), None);
    call.answer(result("lost", &[]));
    call.answer(eof());
    rig.settle().await;
    assert_eq!(rig.closed(), [(5_000, 6_000, 1, 1)]);
}
