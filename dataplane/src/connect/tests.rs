//! Connecting to a vertex: what is sent in which order, and what ends the wait.

use std::io;

use numaflow::proto::reduce as reduce_proto;

use super::*;
use crate::scripted::{self, Call, Opened, ScriptedReduce, ScriptedServer, ScriptedSink, ScriptedSource};

const PATIENCE: Duration = Duration::from_secs(1);
const SOT: source_proto::Handshake = source_proto::Handshake { sot: true };

/// A folder with the server-info file of a vertex that serves.
struct Place {
    sockets: VertexSockets,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sockets = VertexSockets {
            socket: folder.path().join("vertex.sock"),
            server_info: folder.path().join("info"),
        };
        std::fs::write(&sockets.server_info, "{\"protocol\":\"uds\"}U+005C__END__").unwrap();
        Self {
            sockets,
            _folder: folder,
        }
    }

    async fn source(&self, server: &ScriptedServer) -> Result<SourceCalls, Error> {
        source(&self.sockets, PATIENCE, |_| server.channel()).await
    }

    async fn reduce(&self, server: &ScriptedServer) -> Result<ReduceClient<Channel>, Error> {
        reduce(&self.sockets, PATIENCE, |_| server.channel()).await
    }

    async fn sink(&self, server: &ScriptedServer) -> Result<SinkCall, Error> {
        sink(&self.sockets, PATIENCE, |_| server.channel()).await
    }
}

fn ready(_: u32) -> Result<bool, Status> {
    Ok(true)
}

fn read_response(handshake: Option<source_proto::Handshake>) -> source_proto::ReadResponse {
    source_proto::ReadResponse {
        handshake,
        ..Default::default()
    }
}

/// The reason of `NotReady`, whose other fields are checked.
fn not_ready(error: Error, place: &Place) -> (Vertex, String) {
    match error {
        Error::NotReady {
            vertex,
            socket,
            patience,
            reason,
        } => {
            assert_eq!((socket, patience), (place.sockets.socket.clone(), PATIENCE));
            (vertex, reason)
        }
        other => panic!("{other}"),
    }
}

/// Paused time goes on in the timer's steps of a millisecond.
fn assert_took(start: Instant, expected: Duration) {
    let took = start.elapsed();
    assert!(
        (expected..=expected + Duration::from_millis(2)).contains(&took),
        "{took:?} instead of {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_is_asked_whether_it_is_ready_then_reads_then_acks_shake_hands() {
    let (place, scripted) = (Place::new(), ScriptedSource::new(ready));
    let (mut reads, mut acks) = (scripted.reads, scripted.acks);
    let serving = async {
        // As the SDK does: the head is answered after the handshake has come.
        let mut opened = reads.next().await;
        let handshake = source_proto::ReadRequest {
            request: None,
            handshake: Some(SOT),
        };
        assert_eq!(opened.request().await, Some(handshake));
        let read = opened.accept();
        assert!(acks.is_empty(), "acks begin after the handshake of the reads");
        read.answer(read_response(Some(SOT)));
        let mut opened = acks.next().await;
        let handshake = source_proto::AckRequest {
            request: None,
            handshake: Some(SOT),
        };
        assert_eq!(opened.request().await, Some(handshake));
        let ack = opened.accept();
        ack.answer(source_proto::AckResponse {
            result: None,
            handshake: Some(SOT),
        });
        (read, ack)
    };
    let server = &scripted.server;
    let connecting = place.source(server);
    let (calls, (mut read, mut ack)) = tokio::join!(connecting, serving);
    let mut calls = calls.unwrap();
    assert_eq!((server.connections(), server.readiness_calls()), (1, 1));

    // The calls that are handed on are those, with nothing in between.
    let request = source_proto::ReadRequest {
        request: Some(source_proto::read_request::Request {
            num_records: 3,
            timeout_in_ms: 4,
        }),
        handshake: None,
    };
    calls.reads.send(request).await.unwrap();
    assert_eq!(read.request().await.unwrap(), Some(request));
    drop(calls.acks);
    assert_eq!(ack.request().await.unwrap(), None);
    drop(ack);
    assert_eq!(calls.acked.message().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_reduce_udf_is_ready_without_any_call() {
    let (place, mut scripted) = (Place::new(), ScriptedReduce::new(ready));
    let mut client = place.reduce(&scripted.server).await.unwrap();
    assert!(scripted.windows.is_empty());

    let (requests, queued) = mpsc::channel(1);
    let serving = async { scripted.windows.next().await.accept() };
    let (opened, mut call) = tokio::join!(client.reduce_fn(ReceiverStream::new(queued)), serving);
    requests
        .send(reduce_proto::ReduceRequest::default())
        .await
        .unwrap();
    assert_eq!(
        call.request().await.unwrap(),
        Some(reduce_proto::ReduceRequest::default())
    );
    drop((requests, call));
    assert_eq!(opened.unwrap().into_inner().message().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_sink_shakes_hands() {
    let (place, scripted) = (Place::new(), ScriptedSink::new(ready));
    let mut writes = scripted.writes;
    let serving = async {
        let mut opened = writes.next().await;
        let handshake = Some(sink_proto::Handshake { sot: true });
        let request = sink_proto::SinkRequest {
            request: None,
            status: None,
            handshake,
        };
        assert_eq!(opened.request().await, Some(request));
        let call = opened.accept();
        call.answer(sink_proto::SinkResponse {
            results: vec![],
            handshake,
            status: None,
        });
        call
    };
    let connecting = place.sink(&scripted.server);
    let (sink, mut call) = tokio::join!(connecting, serving);
    let mut sink = sink.unwrap();
    drop(sink.requests);
    assert_eq!(call.request().await.unwrap(), None);
    drop(call);
    assert_eq!(sink.responses.message().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_vertex_that_is_never_ready_is_asked_again_until_the_time_is_up() {
    let place = Place::new();
    let scripted = ScriptedSource::new(|_| Ok(false));
    let start = Instant::now();
    let error = place.source(&scripted.server).await.unwrap_err();
    assert_took(start, PATIENCE);
    assert_eq!(
        error.to_string(),
        format!(
            "source: not ready on socket `{}` within 1s: it says that it is not ready",
            place.sockets.socket.display()
        )
    );
    let asked = scripted.server.readiness_calls();
    let intervals = (PATIENCE.as_millis() / POLL_INTERVAL.as_millis()) as u32;
    assert!((intervals - 10..=intervals + 1).contains(&asked), "{asked}");
    let connections = scripted.server.connections();
    // The deadline may fall between the last connection and its question.
    assert!(
        (asked..=asked + 1).contains(&connections),
        "a new one each time: {connections}"
    );
    assert!(scripted.reads.is_empty(), "no call before it is ready");

    let scripted = ScriptedReduce::new(|_| Err(Status::unavailable("loading its model")));
    let error = place.reduce(&scripted.server).await.unwrap_err();
    assert_eq!(
        not_ready(error, &place),
        (Vertex::Reduce, "loading its model".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_vertex_that_becomes_ready_is_connected() {
    let scripted = ScriptedReduce::new(|call| match call {
        1 => Err(Status::unavailable("not yet")),
        2 => Ok(false),
        _ => Ok(true),
    });
    let start = Instant::now();
    Place::new().reduce(&scripted.server).await.unwrap();
    assert_took(start, POLL_INTERVAL * 2);
    assert_eq!(scripted.server.readiness_calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let place = Place::new();
    // Holds the other ends, so that the connections are open and silent.
    let held = std::sync::Mutex::new(Vec::new());
    let connect = |_| {
        let (near, far) = tokio::io::duplex(64 * 1024);
        held.lock().unwrap().push(far);
        async { Ok(scripted::channel(near).await) }
    };
    let start = Instant::now();
    let error = sink(&place.sockets, PATIENCE, connect).await.unwrap_err();
    assert_took(start, PATIENCE);
    assert_eq!(not_ready(error, &place), (Vertex::Sink, "no answer".to_owned()));
    assert_eq!(
        held.lock().unwrap().len(),
        1,
        "the first question is not given up before"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_without_an_answer_is_given_up_when_the_time_is_up() {
    let place = Place::new();
    let expected = "no answer to the handshake".to_owned();

    // No head; then a head and nothing more; then the second call of the source.
    let mut scripted = ScriptedSource::new(ready);
    let start = Instant::now();
    let connecting = place.source(&scripted.server);
    let (calls, _held) = tokio::join!(connecting, scripted.reads.next());
    assert_took(start, PATIENCE);
    assert_eq!(
        not_ready(calls.unwrap_err(), &place),
        (Vertex::Source, expected.clone())
    );

    let mut scripted = ScriptedSink::new(ready);
    let start = Instant::now();
    let serving = async { scripted.writes.next().await.accept() };
    let connecting = place.sink(&scripted.server);
    let (call, _held) = tokio::join!(connecting, serving);
    assert_took(start, PATIENCE);
    assert_eq!(
        not_ready(call.unwrap_err(), &place),
        (Vertex::Sink, expected.clone())
    );

    let mut scripted = ScriptedSource::new(ready);
    let serving = async {
        let read = scripted.reads.next().await.accept();
        read.answer(read_response(Some(SOT)));
        (read, scripted.acks.next().await.accept())
    };
    let start = Instant::now();
    let connecting = place.source(&scripted.server);
    let (calls, _held) = tokio::join!(connecting, serving);
    assert_took(start, PATIENCE);
    assert_eq!(not_ready(calls.unwrap_err(), &place), (Vertex::Source, expected));
}

/// Connects to a source that does this with the read call.
async fn with_read_call<T>(
    serve: impl FnOnce(Opened<source_proto::ReadRequest, source_proto::ReadResponse>) -> T,
) -> Error {
    let (place, mut scripted) = (Place::new(), ScriptedSource::new(ready));
    let serving = async { serve(scripted.reads.next().await) };
    let connecting = place.source(&scripted.server);
    let (calls, _held) = tokio::join!(connecting, serving);
    assert!(scripted.acks.is_empty());
    calls.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn what_is_no_handshake_is_an_error_at_once() {
    let start = Instant::now();
    let answered = |response: source_proto::ReadResponse| {
        with_read_call(move |opened| {
            let call: Call<_, _> = opened.accept();
            call.answer(response);
            call
        })
    };
    for handshake in [None, Some(source_proto::Handshake { sot: false })] {
        assert_eq!(
            answered(read_response(handshake)).await.to_string(),
            "source: breaks the protocol: its first answer is no handshake"
        );
    }
    assert_eq!(
        with_read_call(|opened| drop(opened.accept())).await.to_string(),
        "source: breaks the protocol: it ended the call instead of a handshake"
    );
    assert_eq!(
        with_read_call(|opened| opened.refuse(Status::permission_denied("not you")))
            .await
            .to_string(),
        "source: handshake failed: not you (PermissionDenied)"
    );
    assert_eq!(
        with_read_call(|opened| opened.accept().fail(Status::internal("no tape")))
            .await
            .to_string(),
        "source: handshake failed: no tape (Internal)"
    );
    assert_took(start, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_server_info_file_without_its_end_is_no_server() {
    let place = Place::new();
    let path = place.sockets.server_info.clone();
    let scripted = ScriptedReduce::new(ready);
    let write: [&dyn Fn() -> io::Result<()>; 5] = [
        &|| std::fs::remove_file(&path),
        &|| std::fs::write(&path, ""),
        &|| std::fs::write(&path, "{\"protocol\":\"uds\"}U+005C__EN"),
        &|| std::fs::write(&path, b"\xff\xfeU+005C__END__"),
        &|| std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path)),
    ];
    for (number, write) in write.iter().enumerate() {
        write().unwrap();
        let start = Instant::now();
        match place.reduce(&scripted.server).await.unwrap_err() {
            Error::ServerInfo {
                vertex: Vertex::Reduce,
                path: named,
                patience: PATIENCE,
            } => assert_eq!(named, path, "{number}"),
            other => panic!("{number}: {other}"),
        }
        assert_took(start, PATIENCE);
    }
    assert_eq!(scripted.server.connections(), 0, "nothing is connected before");
}

#[tokio::test(start_paused = true)]
async fn the_time_for_the_server_info_file_is_part_of_the_whole() {
    let place = Place::new();
    let path = place.sockets.server_info.clone();
    std::fs::remove_file(&path).unwrap();
    let scripted = ScriptedReduce::new(|_| Ok(false));
    let appearing = async {
        sleep(PATIENCE / 2).await;
        // Only the end counts, with a line end or without.
        std::fs::write(&path, "whatever U+005C__END__\n").unwrap();
    };
    let start = Instant::now();
    let (client, ()) = tokio::join!(place.reduce(&scripted.server), appearing);
    assert_took(start, PATIENCE);
    assert_eq!(not_ready(client.unwrap_err(), &place).0, Vertex::Reduce);
    let asked = scripted.server.readiness_calls();
    let intervals = (PATIENCE.as_millis() / POLL_INTERVAL.as_millis()) as u32 / 2;
    assert!((intervals - 10..=intervals + 1).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_cannot_be_connected_is_named_with_the_systems_reason() {
    let place = Place::new();
    let error = reduce(&place.sockets, PATIENCE, unix).await.unwrap_err();
    let (_, reason) = not_ready(error, &place);
    assert!(reason.contains("No such file"), "{reason}");

    // A socket file that its process has left behind.
    drop(std::os::unix::net::UnixListener::bind(&place.sockets.socket).unwrap());
    let error = reduce(&place.sockets, PATIENCE, unix).await.unwrap_err();
    let (_, reason) = not_ready(error, &place);
    assert!(reason.contains("refused"), "{reason}");
}
