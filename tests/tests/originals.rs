//! Official examples of the SDKs, written on the library: the same results for the same events, in fewer lines.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::BTreeMap;
use std::path::Path;

use tests::binary;
use tests::reduce::Udf;
use tokio::process::Command;

/// An example of an SDK and its namesake in `udf/examples`.
struct Original {
    ours: &'static str,
    /// Where it is, with the commit at which it was read.
    source: &'static str,
    /// Without blank lines, lines of comments and tests.
    lines: usize,
}

const ORIGINALS: [Original; 3] = [
    Original {
        ours: "counter",
        source: "numaproj/numaflow-rs 9237e14ac3b2: examples/reduce-counter/src/main.rs",
        lines: 41,
    },
    Original {
        ours: "counter",
        source: "numaproj/numaflow-go 693d3e2896e6: examples/reducer/counter/main.go",
        lines: 23,
    },
    Original {
        ours: "sum",
        source: "numaproj/numaflow-go 693d3e2896e6: examples/reducer/sum/main.go",
        lines: 43,
    },
];

/// What belongs to each key: a payload that is sent to it or comes from it.
type Keyed = &'static [(&'static str, &'static str)];

/// Events of two windows. The sum skips what Go's `strconv.Atoi` refuses.
const WINDOWS: [Keyed; 2] = [
    &[
        ("even", "2"),
        ("odd", "1"),
        ("even", "-40"),
        ("odd", "+7"),
        ("odd", "0042"),
        ("odd", "1.5"),
        ("words", "seven"),
        ("words", ""),
        ("even", " 4"),
        ("even", "9223372036854775808"),
    ],
    &[("even", "6"), ("odd", "9223372036854775807")],
];

/// What the originals send for these, by program and window.
const SENT: [(&str, [Keyed; 2]); 2] = [
    (
        "counter",
        [
            &[("even", "4"), ("odd", "4"), ("words", "2")],
            &[("even", "1"), ("odd", "1")],
        ],
    ),
    (
        "sum",
        [
            &[("even", "-38"), ("odd", "50"), ("words", "0")],
            &[("even", "6"), ("odd", "9223372036854775807")],
        ],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_example_written_on_the_library_sends_what_its_original_sends() {
    for (program, sent) in SENT {
        let command = Command::new(binary(&format!("examples/{program}")));
        let mut udf = Udf::start_as(command, &[]).await;
        for ((number, events), sent) in (0..).zip(WINDOWS).zip(sent) {
            let mut stream = udf.open(number).await;
            for (key, payload) in events {
                stream.send_payload(key, payload.as_bytes().to_vec()).await;
            }
            let results = stream.close().await;
            let found: BTreeMap<&str, &str> = results
                .by_key
                .iter()
                .map(|(key, payload)| (key.as_str(), str::from_utf8(payload).unwrap()))
                .collect();
            assert_eq!(
                found,
                sent.iter().copied().collect(),
                "{program}, window {number}"
            );
            assert!(results.tags.values().all(Vec::is_empty), "{program}: no tags");
        }
    }
}

#[test]
fn an_example_written_on_the_library_is_shorter_than_its_original() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../udf/examples");
    for Original { ours, source, lines } in ORIGINALS {
        let text = std::fs::read_to_string(folder.join(ours).with_extension("rs")).unwrap();
        let of_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        let count = text.lines().filter(of_code).count();
        assert!(
            (5..lines).contains(&count),
            "{ours}: {count} lines, {source}: {lines}"
        );
    }
}
