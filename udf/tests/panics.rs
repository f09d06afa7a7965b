//! A panic in a call is that call's failure: the window's other calls, its record and the process go on.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::time::Duration;

use async_reduce::{
    AsyncReduce, BlockingCall, Both, Call, CallError, Count, Event, Records, Settings, WorkerCommand,
    reducers,
};
use chrono::{DateTime, Utc};
use clap::Parser;
use numaflow::reduce::{IntervalWindow, Metadata, ReduceRequest, Reducer};
use tokio::sync::mpsc;
use wire::{Outcome, StrategyKind, WindowRecord};

/// Panics for every third event.
struct Fragile;

impl Fragile {
    fn work(event: &Event) -> Result<(), CallError> {
        assert!(!event.position().is_multiple_of(3), "on purpose");
        Ok(())
    }
}

impl Call for Fragile {
    type Answer = ();

    async fn call(&self, event: &Event) -> Result<(), CallError> {
        Self::work(event)
    }
}

impl BlockingCall for Fragile {
    type Answer = ();

    fn call_blocking(&self, event: &Event) -> Result<(), CallError> {
        Self::work(event)
    }
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
}

fn reducer(kind: StrategyKind) -> AsyncReduce<()> {
    let args = [
        "udf",
        "--strategy",
        kind.name(),
        "--max-workers",
        "4",
        "--max-waiting",
        "100",
    ];
    let settings = Cli::parse_from(args).settings;
    let worker = WorkerCommand {
        program: "unused".into(),
        args: Vec::new(),
    };
    let reducers = reducers(&settings, Records::Only, Both(Fragile), Count::default, worker);
    reducers.unwrap().creator
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_that_calls_failure() {
    let epoch: DateTime<Utc> = DateTime::UNIX_EPOCH;
    let metadata = Metadata::new(IntervalWindow {
        start_time: epoch,
        end_time: epoch + Duration::from_secs(10),
    });
    for kind in [
        StrategyKind::Sequential,
        StrategyKind::Async,
        StrategyKind::ThreadPool,
    ] {
        let reducer = reducer(kind);
        // Two windows: after the panics of the first the second is served by the same pool.
        for _ in 0..2 {
            let (requests, input) = mpsc::channel(1);
            let send = async move {
                for index in 0..9 {
                    let event = wire::Event {
                        generator: 1,
                        index,
                        number: index,
                        padding: String::new(),
                    };
                    let request = ReduceRequest {
                        keys: vec!["key".into()],
                        value: event.encode().unwrap(),
                        watermark: epoch,
                        eventtime: epoch,
                        headers: Default::default(),
                    };
                    requests.send(request).await.unwrap();
                }
            };
            let (messages, ()) = tokio::join!(reducer.reduce(vec!["key".into()], input, &metadata), send);
            let record: WindowRecord = serde_json::from_slice(&messages[0].value).unwrap();
            assert_eq!(record.outcomes.get(&Outcome::Panic), Some(&3), "{kind}");
            assert_eq!((record.ok(), record.events), (6, 9), "{kind}");
            // A pool sees a panicking call end; a task that panics takes the time of its call with it.
            let failed = if kind == StrategyKind::ThreadPool { 3 } else { 0 };
            let timed = (record.latency.count(), record.failed_latency.unwrap().count());
            assert_eq!(timed, (6, failed), "{kind}");
        }
    }
}
