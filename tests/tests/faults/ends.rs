//! Signals to each process alone and to all together, idle and under full load.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::children_of;
use tests::pipeline::{Pipeline, Setup};
use tests::process::{ended, runs, signal, terminate, until};
use tests::reduce::PATIENCE;

/// A process pool, so that a child that is left behind shows.
const UDF: [&str; 4] = ["--strategy", "process-pool", "--max-workers", "2"];

/// Unlimited events, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Load {
    Idle,
    Full,
}

/// A running pipeline, under load with calls to its endpoint.
async fn running(load: Load) -> (Pipeline, tests::pipeline::Drive) {
    let generator: &[&str] = match load {
        Load::Idle => &["--hold"],
        Load::Full => &["--saturate", "--keys", "3"],
    };
    let pipeline = Pipeline::start(Setup {
        window: Duration::from_secs(1),
        generator,
        udf: &UDF,
        endpoint: &[],
    })
    .await;
    let drive = pipeline.drive().await;
    if load == Load::Full {
        let called = async { while pipeline.endpoint_stats().await.served < 200 {} };
        tokio::time::timeout(PATIENCE, called)
            .await
            .expect("calls are made");
    }
    (pipeline, drive)
}

/// Added to a process's own grace: scheduling delay on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn each_process_alone_ends_with_0_within_its_grace() {
    for load in [Load::Idle, Load::Full] {
        for name in ["source", "udf", "sink", "endpoint"] {
            let (mut pipeline, _drive) = running(load).await;
            let children = children_of(pipeline.udf.id().unwrap());
            // One second by default, and five for the endpoint.
            let (child, grace) = match name {
                "source" => (&mut pipeline.generator, 1),
                "udf" => (&mut pipeline.udf, 1),
                "sink" => (&mut pipeline.sink, 1),
                _ => (&mut pipeline.endpoint, 5),
            };
            let signalled = Instant::now();
            let status = terminate(child, Duration::from_secs(grace) + SLACK).await;
            eprintln!("{name} {load:?}: ended after {:?}", signalled.elapsed());
            assert_eq!(status.code(), Some(0), "{name} {load:?}");
            for left in [name.to_owned(), format!("{name}-info")] {
                assert!(!pipeline.path(&left).exists(), "{load:?}: {left}");
            }
            if name == "udf" {
                let gone = || !children.iter().any(|id| runs(*id));
                until("no child outlives it", PATIENCE, gone).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_processes_together_end_with_0_and_leave_nothing() {
    for load in [Load::Idle, Load::Full] {
        let (mut pipeline, _drive) = running(load).await;
        let children = children_of(pipeline.udf.id().unwrap());
        assert_eq!(children.len(), 2);
        let signalled = Instant::now();
        for id in pipeline.ids() {
            signal(id, Signal::TERM);
        }
        let all = [
            ("endpoint", &mut pipeline.endpoint),
            ("generator", &mut pipeline.generator),
            ("udf", &mut pipeline.udf),
            ("sink", &mut pipeline.sink),
        ];
        for (name, child) in all {
            let status = ended(child, PATIENCE).await;
            eprintln!(
                "{name} {load:?}, with the others: ended after {:?}",
                signalled.elapsed()
            );
            assert_eq!(status.code(), Some(0), "{name} {load:?}");
        }
        until("no child outlives them", PATIENCE, || {
            !children.iter().any(|id| runs(*id))
        })
        .await;
        let left: Vec<_> = std::fs::read_dir(pipeline.folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{load:?}: {left:?}");
    }
}
