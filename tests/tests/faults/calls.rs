//! Calls that panic, under the SDK's real server.

use tests::reduce::{Udf, WindowStream, count};
use tokio::process::Command;
use wire::{Outcome, StrategyKind, WindowRecord};

/// The program whose calls do what the event says.
pub fn fragile() -> Command {
    Command::new(tests::binary("examples/fragile"))
}

/// An event whose call does `what`; an empty one is a good call.
pub async fn send(stream: &mut WindowStream, index: u64, what: &str) {
    let event = wire::Event {
        generator: 7,
        index,
        number: index,
        padding: what.to_owned(),
    };
    stream.send_payload("key", event.encode().unwrap()).await;
}

/// A window of these calls.
pub async fn window(udf: &mut Udf, number: i64, calls: &[&str]) -> Vec<WindowRecord> {
    let mut stream = udf.open(number).await;
    for (index, what) in (0..).zip(calls) {
        send(&mut stream, index, what).await;
    }
    stream.close().await.records()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_call_harms_no_other_call_window_or_server() {
    for strategy in StrategyKind::ALL {
        let flags = ["--strategy", strategy.name(), "--max-workers", "3"];
        let mut udf = Udf::start_as(fragile(), &flags).await;
        let id = udf.id();
        // Open during all of it.
        let mut other = udf.open(9).await;
        send(&mut other, 0, "").await;

        let some = window(&mut udf, 0, &["", "panic", "", "panic", "", "", "panic"]).await;
        assert_eq!(
            count(&some, Outcome::Panic),
            3,
            "{strategy}: {:?}",
            some[0].outcomes
        );
        assert_eq!((count(&some, Outcome::Ok), some[0].events), (4, 7), "{strategy}");

        let every = window(&mut udf, 1, &["panic"; 12]).await;
        assert_eq!(
            count(&every, Outcome::Panic),
            12,
            "{strategy}: {:?}",
            every[0].outcomes
        );

        send(&mut other, 1, "").await;
        let other = other.close().await.records();
        assert_eq!(count(&other, Outcome::Ok), 2, "{strategy}");
        let next = window(&mut udf, 2, &[""; 12]).await;
        assert_eq!(count(&next, Outcome::Ok), 12, "{strategy}");
        assert_eq!(udf.id(), id);
        assert!(
            udf.process.try_wait().unwrap().is_none(),
            "{strategy}: it still runs"
        );
    }
}
