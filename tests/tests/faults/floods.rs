//! Answers that are too large: their cost is bounded, and each fails only its own call.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tests::hostile::{Answer, Hostile};
use tests::process::peak_memory_bytes;
use tests::reduce::count;
use wire::Outcome;

use super::clients::{callers, udf};

/// Calls in flight at once.
const EVENTS: u64 = 8;

/// Memory that all calls of a window may need above that of good calls: a MiB of body for each of eight calls that
/// the client reads in pieces, and as much again for the allocator; kernel buffers do not count. One answer alone
/// would be a GiB.
const MEMORY: u64 = 64 * 1024 * 1024;

/// Header lines of an answer, more than any client accepts.
const HEADER_BYTES: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_too_much_cost_bounded_memory_and_are_bad_bodies() {
    let bomb = bomb();
    let callers = callers();
    let runs = callers.iter().map(|caller| {
        let floods = [
            (Answer::Flood(1 << 30), Outcome::BadBody),
            (Answer::EndlessChunks, Outcome::BadBody),
            (Answer::LongHeader(HEADER_BYTES), Outcome::BadBody),
            (Answer::Bomb(Arc::clone(&bomb)), Outcome::BadBody),
            // Redirects are not followed, so there is no loop; the status decides.
            (Answer::Redirect, Outcome::BadStatus),
            // Only the timeout ends these.
            (Answer::Drip, Outcome::Timeout),
            (Answer::EndlessInterim, Outcome::Timeout),
        ];
        async move {
            for (answer, outcome) in floods {
                let what = format!("{caller:?} {}", name(&answer));
                // The first window's events get good answers: the cost of a good window.
                let endpoint = Hostile::start(move |_, times| match times {
                    1 => Answer::Good,
                    _ => answer.clone(),
                })
                .await;
                let timeout = if outcome == Outcome::Timeout { "2s" } else { "20s" };
                let flags = ["--max-workers", "8", "--timeout", timeout];
                let mut udf = udf(caller, &endpoint.url, &flags).await;
                let good = udf.window(0, 1, EVENTS).await;
                assert_eq!(count(&good, Outcome::Ok), EVENTS, "{what}");
                let before = peak_memory_bytes(udf.id());

                let records = udf.window(1, 1, EVENTS).await;
                assert_eq!(
                    count(&records, outcome),
                    EVENTS,
                    "{what}: {:?}",
                    records[0].outcomes
                );
                assert_eq!(endpoint.count(), 2 * EVENTS, "{what}: one request for each call");
                // A pool's child that is replaced takes its peak memory with it.
                let grown = peak_memory_bytes(udf.id()).saturating_sub(before);
                eprintln!("{what}: {grown} bytes");
                assert!(grown < MEMORY, "{what}: {grown} bytes");
            }
        }
    });
    futures_util::future::join_all(runs).await;
}

/// 256 MiB of zeros as gzip, about 270 KiB: the same compressed MiB again and again, as members of one file (RFC
/// 1952, 2.2).
fn bomb() -> Arc<[u8]> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&vec![0; 1024 * 1024]).unwrap();
    let member = encoder.finish().unwrap();
    member.repeat(256).into()
}

/// Without the bytes of a gzip bomb.
fn name(answer: &Answer) -> String {
    format!("{answer:?}").chars().take(20).collect()
}
