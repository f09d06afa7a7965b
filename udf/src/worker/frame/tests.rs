//! Frames survive their bytes, and no bytes panic.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn events_survive_their_frames(
        keys in proptest::collection::vec("\\PC{0,8}", 0..4),
        payload in proptest::collection::vec(any::<u8>(), 0..50),
        headers in proptest::option::of(proptest::collection::hash_map("\\PC{0,4}", "\\PC{0,4}", 0..3)),
        id in proptest::option::of((any::<u64>(), any::<u64>())),
        event_time_ns: i64,
        watermark_ms: i64,
        position: u32,
        start_ms in 0..i64::from(u32::MAX),
    ) {
        let at = |ms| DateTime::from_timestamp_millis(ms).unwrap();
        let event_id: Arc<str> = "/id".into();
        let event = Event {
            place: Arc::new(Place {
                keys: Arc::from(keys),
                window: Window { start: at(start_ms), end: at(start_ms + 10) },
                event_id: Some(Arc::clone(&event_id)),
            }),
            payload: payload.into(),
            meta: Meta {
                headers: headers.as_ref().and_then(PackedHeaders::of),
                id: id.map(|(generator, index)| EventId { generator, index }),
                event_time_ns,
                watermark_ms,
                position,
            },
            reconnects: Reconnects::default(),
        };
        let mut frames = Vec::new();
        for _ in 0..2 {
            encode_event(&mut frames, &event.place, &event.meta, &event.payload).unwrap();
        }
        let mut frames = frames.as_slice();
        for _ in 0..2 {
            let content = read_blocking(&mut frames).unwrap();
            prop_assert!(decode_event(content, Some(&event_id)).unwrap() == event);
        }
        prop_assert!(frames.is_empty());
    }

    #[test]
    fn answers_survive_their_frames(text in "\\PC{0,8}", took_ns: u64, reconnects: u32, failed: bool) {
        let answer = if failed { Err(CallError::timeout().because(text)) } else { Ok(text) };
        let answered = || Answered { answer: answer.clone(), reconnects, took: Duration::from_nanos(took_ns) };
        let frame = encode_answer(answered());
        let content = read_blocking(&mut frame.as_slice()).unwrap();
        prop_assert_eq!(decode_answer(&content).unwrap(), answered());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = decode_event(bytes.clone(), None);
        let _ = decode_answer::<String>(&bytes);
        let _ = read_blocking(&mut bytes.as_slice());
    }
}

#[test]
fn an_answer_that_is_no_json_is_an_error_of_its_call() {
    let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    let frame = encode_answer(Answered {
        answer: Ok(no_json),
        reconnects: 0,
        took: Duration::ZERO,
    });
    let content = read_blocking(&mut frame.as_slice()).unwrap();
    let error = decode_answer::<u64>(&content).unwrap().answer.unwrap_err();
    assert_eq!((error.kind(), error.may_retry()), ("bad-body", false));
}

#[test]
fn another_version_and_no_greeting_are_refused() {
    let content = |frame: Vec<u8>| read_blocking(&mut frame.as_slice()).unwrap();
    check_greeting(&content(greeting())).unwrap();
    let said = |content: &[u8]| check_greeting(content).unwrap_err().to_string();
    assert_eq!(
        said(b"async-reduce worker 2"),
        "it speaks version 2 of the frames, this program version 1"
    );
    assert_eq!(said(b"hello"), "its output begins with no greeting of a worker");
}

#[test]
fn an_absurd_length_is_refused_before_memory_is_taken() {
    let error = read_blocking(&mut u32::MAX.to_le_bytes().as_slice()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}
