//! What failed calls are told as: the kind in the record, the deepest cause in the log, once for each window; and a lack of
//! the UDF's own is never told as the endpoint's failure.

use std::fs::File;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tests::hostile::{Answer, Hostile};
use tests::process::{terminate, until};
use tests::reduce::{PATIENCE, Udf, count};
use tests::{binary, children_of};
use tokio::process::Command;
use wire::{Outcome, WindowRecord};

use super::clients::{callers, udf};

const EVENTS: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_descriptors_is_the_udfs_own_and_no_failure_of_the_endpoint() {
    for caller in callers() {
        // The first call leaves no connection open.
        let endpoint = Hostile::start(|index, _| match index {
            0 => Answer::Status(200, "connection: close\r\n"),
            _ => Answer::Good,
        })
        .await;
        // A name, as its resolver needs descriptors too.
        let url = endpoint.url.replace("127.0.0.1", "localhost");
        let mut udf = udf(&caller, &url, &["--max-workers", "8"]).await;
        let records = udf.window(0, 1, 1).await;
        assert_eq!(
            count(&records, Outcome::Ok),
            1,
            "{caller:?}: {:?}",
            records[0].outcomes
        );
        until("its connection is closed", PATIENCE, || endpoint.open() == 0).await;
        endpoint.forget();
        // Those below are open: no other can be.
        set_descriptor_limit(&udf, 3);
        let records = window(&mut udf, 1).await;
        let outcomes = &records[0].outcomes;
        assert_eq!(
            count(&records, Outcome::OwnLimit),
            EVENTS,
            "{caller:?}: {outcomes:?}"
        );
        set_descriptor_limit(&udf, 256);
        assert_eq!(endpoint.count(), 0, "{caller:?}");
        let records = window(&mut udf, 2).await;
        let outcomes = &records[0].outcomes;
        assert_eq!(count(&records, Outcome::Ok), EVENTS, "{caller:?}: {outcomes:?}");
    }
}

/// The window with this number, with events of no other window.
async fn window(udf: &mut Udf, number: u64) -> Vec<WindowRecord> {
    let mut stream = udf.open(number as i64).await;
    for index in number * EVENTS..(number + 1) * EVENTS {
        stream.send("key", index, index).await;
    }
    stream.close().await.records()
}

/// Sets the soft limit of open files of a UDF and its children.
fn set_descriptor_limit(udf: &Udf, files: u64) {
    let limit = Rlimit {
        current: Some(files),
        ..getrlimit(Resource::Nofile)
    };
    for process in std::iter::once(udf.id()).chain(children_of(udf.id())) {
        let id = i32::try_from(process).ok().and_then(Pid::from_raw);
        prlimit(id, Resource::Nofile, limit).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_warns_once_of_each_kind_of_failure_with_its_cause_and_no_secret() {
    let absent = "http://me:hunter2@127.0.0.1:9/?token=hunter2";
    let unknown = "http://me:hunter2@endpoint.invalid:9/?token=hunter2";
    for caller in callers() {
        for (url, kind, cause) in [
            (absent, "no-connection", "Connection refused (os error 111)"),
            (unknown, "unresolved", "failed to lookup address information"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let log = folder.path().join("log");
            let mut command = Command::new(binary("udf"));
            command.stderr(File::create(&log).unwrap());
            let flags = [&["--endpoint-url", url], &caller[..]].concat();
            let mut udf = Udf::start_as(command, &flags).await;
            for number in 0..2 {
                let mut stream = udf.open(number).await;
                stream.send_events(3, EVENTS).await;
                stream.send_payload("key-0", b"no event".to_vec()).await;
                stream.close().await;
            }
            terminate(&mut udf.process, PATIENCE).await;
            let log = std::fs::read_to_string(&log).unwrap();
            let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
            // With the event of somebody else, which is called like any other.
            let expected = [(kind, format!("count={}", 3 * EVENTS + 1), cause)];
            assert_eq!(warnings.len(), 2 * expected.len(), "{caller:?}: {log}");
            for (kind, count, cause) in &expected {
                let of_kind = |line: &&&str| line.contains(&format!("outcome={kind} "));
                let told: Vec<_> = warnings.iter().filter(of_kind).collect();
                assert_eq!(told.len(), 2, "{caller:?} {kind}: {log}");
                for line in told {
                    assert!(
                        line.contains(count.as_str()) && line.contains(cause),
                        "{caller:?}: {line}"
                    );
                }
            }
            assert!(!log.contains("hunter2"), "{caller:?}: {log}");
        }
    }
}
