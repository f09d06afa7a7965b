//! The result of a window, as a record and as text, on paused time.

use std::sync::Mutex;
use std::time::Duration;

use numaflow::reduce::IntervalWindow;
use tokio::sync::mpsc;
use wire::Outcome;

use super::*;
use crate::aggregate::{Aggregate, Factory, MakeAggregate};
use crate::call_error::CallError;
use crate::event::Event;
use crate::fixtures::{Attempt, Scripted, millis, parse, request, retry, settings, soon, spec};
use crate::settings::Records;
use crate::strategy::{StrategySpec, build};

/// Reducers that send what these flags say in a program whose default is the record alone.
fn reducer(flags: &[&str]) -> AsyncReduce<()> {
    reducer_with(flags, crate::Count::default)
}

fn reducer_with<M: 'static, F: MakeAggregate<M>>(flags: &[&str], make: F) -> AsyncReduce<()>
where
    F::Aggregate: Aggregate<Answer = ()>,
{
    let call = Scripted::new(|index, attempt| match (index, attempt) {
        (0, _) => Attempt::Takes(Duration::from_millis(250), Outcome::Ok),
        (1, 1) => Attempt::Computes(Outcome::BadStatus),
        (1, _) => Attempt::Takes(Duration::from_millis(10), Outcome::BadStatus),
        _ => Attempt::Takes(Duration::from_millis(10), Outcome::Ok),
    });
    let spec = StrategySpec {
        retry: retry(1),
        ..spec(&call)
    };
    let parsed = parse(flags);
    AsyncReduce::new(ReduceSpec {
        metrics: Arc::clone(&spec.metrics),
        backlog: build(spec).unwrap(),
        make: Arc::new(Factory::new(make)),
        settings: settings(),
        results: parsed.results(Records::Only),
        close_deadline: parsed.close_deadline.0,
        room: Room::new(100, u64::MAX),
        max_message_bytes: parsed.max_message_bytes.get().try_into().unwrap(),
        event_id: None,
        clock: Clock::start(),
    })
}

fn metadata() -> Metadata {
    let start_time = chrono::DateTime::UNIX_EPOCH + Duration::from_secs(60);
    Metadata::new(IntervalWindow {
        start_time,
        end_time: start_time + Duration::from_secs(10),
    })
}

fn names(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// Three events at 0, 100 and 200 ms, one without a number, and the close at 240 ms.
async fn reduce(reducer: &AsyncReduce<()>, keys: &[&str]) -> Vec<Message> {
    let (events, input) = mpsc::channel(1);
    let send = async move {
        for number in 0..3 {
            events.send(request(number)).await.unwrap();
            tokio::time::sleep(millis(if number < 2 { 100 } else { 40 })).await;
        }
        let value = b"rubbish".to_vec();
        events.send(ReduceRequest { value, ..request(3) }).await.unwrap();
    };
    let metadata = metadata();
    soon(async { tokio::join!(reducer.reduce(names(keys), input, &metadata), send) })
        .await
        .0
}

#[tokio::test(start_paused = true)]
async fn a_record_has_the_counts_and_times_of_its_window() {
    let reducer = reducer(&[]);
    let messages = reduce(&reducer, &["a", "b"]).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].keys, Some(names(&["a", "b"])));
    assert_eq!(messages[0].tags, Some(names(&[RECORD_TAG])));
    let record: WindowRecord = serde_json::from_slice(&messages[0].value).unwrap();
    assert_eq!((record.window_start_ms, record.window_end_ms), (60_000, 70_000));
    assert_eq!(
        (record.keys.clone(), record.process),
        (names(&["a", "b"]), reducer.shared.process)
    );
    assert_eq!(record.settings, settings());
    assert_eq!((record.events, record.unnumbered, record.repeated), (4, 1, 0));
    assert_eq!((record.undecoded, record.unnumbered_ns.len()), (0, 1));
    assert_eq!(record.failure, None);
    let outcomes: Vec<_> = record.outcomes.into_iter().collect();
    assert_eq!(outcomes, [(Outcome::Ok, 3), (Outcome::BadStatus, 1)]);
    assert_eq!(record.attempts, 5);
    assert_eq!(record.seen[&7].to_string(), "0-2");
    let failed = record.failed_latency.unwrap();
    assert_eq!(
        (record.latency.count(), failed.count(), record.slot_wait.count()),
        (3, 1, 4)
    );
    assert_eq!(record.reading_stopped, 0);
    let after_first = |stamp_us: u64| Duration::from_micros(stamp_us - record.first_arrival_us);
    // A stamp is cut to whole microseconds.
    for (stamp_us, expected) in [
        (record.last_arrival_us, millis(240)),
        (record.close_us, millis(240)),
        (record.result_us, millis(250)),
    ] {
        let found = after_first(stamp_us);
        assert!(found.abs_diff(expected) <= Duration::from_micros(1), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_text_is_that_of_the_original_example() {
    let messages = reduce(&reducer(&["--result-format", "text"]), &["key"]).await;
    assert_eq!(
        String::from_utf8(messages[0].value.clone()).unwrap(),
        "batch_time:0.25 interval_window_start:1970-01-01 00:01:00+00:00 \
         interval_window_end:1970-01-01 00:01:10+00:00"
    );
}

#[tokio::test(start_paused = true)]
async fn a_window_without_events_has_a_record_too() {
    let reducer = reducer(&[]);
    let (events, input) = mpsc::channel(1);
    drop(events);
    let messages = reducer.reduce(names(&["key"]), input, &metadata()).await;
    let record: WindowRecord = serde_json::from_slice(&messages[0].value).unwrap();
    assert_eq!((record.events, record.attempts, record.outcomes.len()), (0, 0, 0));
    assert_eq!(record.first_arrival_us, record.result_us);
}

/// Counts, and does at one of its steps what a faulty aggregate does.
struct Faulty {
    at: &'static str,
    answers: u64,
}

impl Aggregate for Faulty {
    type Answer = ();

    fn add(&mut self, _: Event, _: Result<(), CallError>) {
        self.answers += 1;
        assert!(self.at != "add" || self.answers != 2, "the second answer");
        assert!(self.at != "add" || self.answers < 2, "it gets no more");
    }

    fn finish(self, _: &Window) -> Vec<crate::Message> {
        match self.at {
            "finish" => panic!("at the end"),
            "length" => vec![crate::Message::new(vec![b'x'; 101])],
            _ => vec![crate::Message::json(&self.answers).tag("mine")],
        }
    }
}

fn sent(message: &Message) -> (String, Option<Vec<String>>) {
    let text = String::from_utf8(message.value.clone()).unwrap();
    (text, message.tags.clone())
}

#[tokio::test(start_paused = true)]
async fn a_window_sends_its_own_result_the_record_or_both() {
    let mine = ("4".to_owned(), Some(names(&["mine"])));
    for (records, own, record) in [("off", 1, 0), ("beside", 1, 1), ("only", 0, 1)] {
        let make = |keys: &[String], window: &Window| {
            assert_eq!(
                (keys, window.end.timestamp_millis()),
                (&["a".to_owned()][..], 70_000)
            );
            Faulty { at: "", answers: 0 }
        };
        let messages = reduce(&reducer_with(&["--records", records], make), &["a"]).await;
        assert_eq!(messages.len(), own + record, "{records}");
        if own == 1 {
            assert_eq!(sent(&messages[0]), mine);
            assert_eq!(messages[0].keys, Some(names(&["a"])));
        }
        if record == 1 {
            let record: WindowRecord = serde_json::from_slice(&messages[own].value).unwrap();
            assert_eq!((record.events, record.failure), (4, None));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_whose_aggregate_fails_says_so_and_the_next_one_is_whole() {
    for (at, reason) in [
        (
            "add",
            "the aggregate panicked while adding an answer: the second answer",
        ),
        ("finish", "the aggregate panicked while finishing: at the end"),
        (
            "length",
            "a result of 101 bytes is longer than max_message_bytes (100)",
        ),
    ] {
        let windows = AtomicU64::new(0);
        let make = move || Faulty {
            at: if windows.fetch_add(1, Ordering::Relaxed) == 0 {
                at
            } else {
                ""
            },
            answers: 0,
        };
        let reducer = reducer_with(&["--records", "beside", "--max-message-bytes", "100"], make);
        let messages = reduce(&reducer, &["key"]).await;
        assert_eq!(messages.len(), 2, "its failure and its record");
        let (text, tags) = sent(&messages[0]);
        assert_eq!(tags, Some(names(&[crate::TAG_FAILURE])));
        let failure: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(failure["failure"], reason);
        assert_eq!(
            (&failure["keys"][0], &failure["window_end_ms"]),
            (&"key".into(), &70_000.into())
        );
        let record: WindowRecord = serde_json::from_slice(&messages[1].value).unwrap();
        assert_eq!((record.ok(), record.failure.as_deref()), (3, Some(reason)));
        assert_eq!(reducer.shared.metrics.results_failed.get(), 1);
        let messages = reduce(&reducer, &["key"]).await;
        assert_eq!(sent(&messages[0]).0, "4");
    }
}

#[tokio::test]
async fn an_aggregate_that_computes_for_long_ends_on_another_thread() {
    struct Computes(std::thread::ThreadId);
    impl Aggregate for Computes {
        type Answer = ();
        const FINISH_BLOCKS: bool = true;

        fn add(&mut self, _: Event, _: Result<(), CallError>) {}

        fn finish(self, _: &Window) -> Vec<crate::Message> {
            let elsewhere = std::thread::current().id() != self.0;
            vec![crate::Message::json(&elsewhere)]
        }
    }
    let here = std::thread::current().id();
    let reducer = reducer_with(&["--records", "off"], move || Computes(here));
    let (events, input) = mpsc::channel(1);
    drop(events);
    let messages = reducer.reduce(names(&["key"]), input, &metadata()).await;
    assert_eq!(sent(&messages[0]).0, "true");
}

/// Takes its time at the end, on the runtime.
struct Slow(Duration);

impl Aggregate for Slow {
    type Answer = ();

    fn add(&mut self, _: Event, _: Result<(), CallError>) {}

    fn finish(self, _: &Window) -> Vec<crate::Message> {
        std::thread::sleep(self.0);
        vec![crate::Message::new("slow")]
    }
}

#[tokio::test]
async fn an_end_that_holds_up_the_runtime_is_warned_of_and_again_where_it_is_twice_as_slow() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(Arc::new(log.reopen().unwrap()))
        .with_ansi(false)
        .finish();
    let _subscribed = tracing::subscriber::set_default(subscriber);
    let takes = Arc::new(Mutex::new(Duration::ZERO));
    let of_window = Arc::clone(&takes);
    let reducer = reducer_with(&["--records", "off"], move || Slow(*of_window.lock().unwrap()));
    let mut longest = SLOW_FINISH;
    // The second is not twice as slow as the first, however busy the machine; the third is.
    for (factor, warnings) in [(2, 1), (1, 1), (4, 2)] {
        *takes.lock().unwrap() = if factor == 1 {
            SLOW_FINISH
        } else {
            longest * factor
        };
        let (events, input) = mpsc::channel(1);
        drop(events);
        let began = std::time::Instant::now();
        let messages = reducer.reduce(names(&["key"]), input, &metadata()).await;
        longest = longest.max(began.elapsed());
        assert_eq!(sent(&messages[0]).0, "slow");
        let text = std::fs::read_to_string(log.path()).unwrap();
        let found = text
            .matches("set `FINISH_BLOCKS` in its `impl Aggregate`")
            .count();
        assert_eq!(found, warnings, "{factor}: {text}");
    }
}
