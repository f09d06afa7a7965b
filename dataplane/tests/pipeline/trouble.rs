//! What happens when a vertex stalls, fails, is gone or never comes.

use std::time::{Duration, Instant};

use dataplane::config::{ACTOR_CHANNEL, PBQ_CHANNEL, REQUEST_CHANNEL, WINDOW_CHANNEL};
use dataplane::{Config, DataPlane, Error, Vertex};

use crate::support::*;

fn event(time_ms: u64) -> Event {
    Event("a", time_ms, vec![0])
}

fn vertex(error: &Error) -> Vertex {
    match error {
        Error::Call { vertex, .. }
        | Error::Protocol { vertex, .. }
        | Error::ServerInfo { vertex, .. }
        | Error::NotReady { vertex, .. } => *vertex,
        other => panic!("no vertex in {other}"),
    }
}

#[tokio::test]
async fn a_reducer_that_stalls_fills_the_queues_and_stops_the_source() {
    let (buffer, read_batch, size) = (50, 10, 16 * 1024);
    let config = Config {
        buffer,
        read_batch,
        ..config()
    };
    let mut pipeline = Pipeline::start(
        config,
        Setup {
            udf_stalls: true,
            ..Setup::default()
        },
    )
    .await;
    let total = 3_000;
    for _ in 0..total / read_batch {
        pipeline.feed((0..read_batch).map(|_| Event("a", 5_000, vec![0; size])));
    }
    let queues = buffer + PBQ_CHANNEL + ACTOR_CHANNEL + WINDOW_CHANNEL + REQUEST_CHANNEL;
    let mut acked = 0;
    while acked < queues - read_batch {
        acked += soon(pipeline.acked.recv()).await.unwrap();
    }
    // Acknowledgements go on until the rest is full too, then stop: many read timeouts without any.
    while let Ok(Some(count)) = tokio::time::timeout(READ_TIMEOUT * 10, pipeline.acked.recv()).await {
        acked += count;
    }
    // Beside the queues: the reader's batch, and what fits into HTTP/2 (windows of up to 1 MiB, twice for what is
    // encoded but not sent) and the SDK's single slots.
    let in_grpc = 2 * 1024 * 1024 / size + 10;
    assert!(
        acked <= queues + read_batch + in_grpc,
        "{acked} were read with {queues} in the queues"
    );

    pipeline.reads.send(true).unwrap();
    while acked < total {
        acked += soon(pipeline.acked.recv()).await.unwrap();
    }
    pipeline.feed([event(6_000)]);
    assert_eq!(soon(pipeline.records.recv()).await.unwrap().text, "a/5000/3000");
    let counts = pipeline.stop().await.unwrap();
    assert_eq!(
        (counts.delivered, counts.max_buffer_depth),
        (3_001, buffer as u64)
    );
}

#[tokio::test]
async fn stop_leaves_promptly_even_from_a_stalled_reducer() {
    let config = Config {
        buffer: 10,
        read_batch: 500,
        ..config()
    };
    let mut pipeline = Pipeline::start(
        config,
        Setup {
            udf_stalls: true,
            ..Setup::default()
        },
    )
    .await;
    for _ in 0..10 {
        pipeline.feed((0..500).map(|_| Event("a", 5_000, vec![0; 16 * 1024])));
    }
    assert_eq!(soon(pipeline.seen.recv()).await.unwrap(), Seen::Opened(5_000));
    let start = Instant::now();
    let counts = pipeline.stop().await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(2) + READ_TIMEOUT,
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        (counts.windows_opened, counts.windows_closed, counts.sunk),
        (1, 0, 0)
    );
    assert!(counts.acked <= counts.read && counts.delivered <= counts.read);
}

#[tokio::test]
async fn stop_delivers_the_results_that_are_there() {
    let config = Config {
        read_timeout: Duration::from_millis(500),
        ..config()
    };
    let pipeline = Pipeline::start(config, Setup::default()).await;
    pipeline.feed([event(5_000)]);
    pipeline.feed([event(6_000)]);
    soon(pipeline.observed.bell.notified()).await;
    let counts = pipeline.stop().await.unwrap();
    assert_eq!((counts.windows_closed, counts.results, counts.sunk), (1, 1, 1));
}

#[tokio::test]
async fn a_vertex_that_is_gone_is_named() {
    for (number, named) in [Vertex::Source, Vertex::Reduce, Vertex::Sink]
        .into_iter()
        .enumerate()
    {
        let mut pipeline = Pipeline::start(config(), Setup::default()).await;
        pipeline.feed([event(5_000)]);
        assert_eq!(soon(pipeline.seen.recv()).await.unwrap(), Seen::Opened(5_000));
        pipeline.servers[number].kill();
        let error = pipeline.ended().await.unwrap_err();
        assert_eq!(vertex(&error), named, "{error}");
        assert!(error.to_string().starts_with(&named.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_reducer_that_panics_ends_the_run() {
    let mut pipeline = Pipeline::start(
        config(),
        Setup {
            udf_panics: true,
            ..Setup::default()
        },
    )
    .await;
    pipeline.feed([event(5_000)]);
    assert_eq!(soon(pipeline.seen.recv()).await.unwrap(), Seen::Opened(5_000));
    let error = pipeline.ended().await.unwrap_err();
    assert_eq!(vertex(&error), Vertex::Reduce);
    assert!(
        error.to_string().contains("as asked"),
        "the panic's text is kept: {error}"
    );
}

#[tokio::test]
async fn a_sink_that_goes_on_failing_ends_the_run() {
    let failing = Failing::default();
    failing.0.lock().unwrap().insert("a/5000/1".to_owned(), u32::MAX);
    let config = Config {
        sink_tries: 3,
        ..config()
    };
    let pipeline = Pipeline::start(
        config,
        Setup {
            failing,
            ..Setup::default()
        },
    )
    .await;
    pipeline.feed([event(5_000)]);
    pipeline.feed([event(6_000)]);
    match pipeline.ended().await {
        Err(Error::SinkRetries {
            failed: 1,
            tries: 3,
            reason,
        }) => assert_eq!(reason, "as asked"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_info_file_that_never_comes_or_is_never_complete_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let sockets = sockets(folder.path());
    for info in [&sockets.source.server_info, &sockets.sink.server_info] {
        std::fs::write(info, "{}U+005C__END__").unwrap();
    }
    let patience = Duration::from_millis(100);
    let mut errors = Vec::new();
    for half in [None, Some("{\"protocol\":\"uds\"")] {
        if let Some(text) = half {
            std::fs::write(&sockets.reduce.server_info, text).unwrap();
        }
        // Only the reduce UDF is looked at: the others have nobody on their sockets.
        let alone = dataplane::Sockets {
            source: sockets.reduce.clone(),
            sink: sockets.reduce.clone(),
            ..sockets.clone()
        };
        errors.push(
            soon(DataPlane::connect(config(), &alone, patience))
                .await
                .unwrap_err(),
        );
    }
    for error in errors {
        assert!(matches!(&error, Error::ServerInfo { path, .. } if *path == sockets.reduce.server_info));
        assert!(error.to_string().contains("reduce-info"), "{error}");
    }
    let missing = soon(DataPlane::connect(config(), &sockets, patience))
        .await
        .unwrap_err();
    assert!(matches!(
        missing,
        Error::ServerInfo { .. } | Error::NotReady { .. }
    ));
}

#[tokio::test]
async fn a_socket_that_nobody_serves_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let sockets = sockets(folder.path());
    for vertex in [&sockets.source, &sockets.reduce, &sockets.sink] {
        std::fs::write(&vertex.server_info, "{}U+005C__END__").unwrap();
    }
    let error = soon(DataPlane::connect(config(), &sockets, Duration::from_millis(100)))
        .await
        .unwrap_err();
    match &error {
        Error::NotReady { socket, .. } => assert_eq!(socket.parent(), Some(folder.path())),
        other => panic!("{other}"),
    }
    assert!(error.to_string().contains(".sock"), "{error}");
}
