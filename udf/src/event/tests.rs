//! Idempotency keys, and what an error may say of a payload.

use super::*;

#[test]
fn the_idempotency_key_is_of_the_payload_and_never_of_a_header() {
    let header = |name: &str| Headers::from([(name.to_owned(), "9-9-9".to_owned())]);
    let ours = Event::new(&br#"{"generator":7,"index":3,"number":1}"#[..]);
    assert_eq!(ours.idempotency_key(), "7-3");
    let at = |pointer: &str, payload: &'static str| {
        let mut event = Event::new(payload).with_headers(header("async-reduce-id"));
        event.place = Arc::new(Place {
            keys: Arc::from([]),
            window: *event.window(),
            event_id: Some(pointer.into()),
        });
        event.idempotency_key()
    };
    assert_eq!(at("/id", r#"{"id":"order-1"}"#), "order-1");
    assert_eq!(at("/a/0", r#"{"a":[12.5]}"#), "12.5");
    let hashes = [
        at("/id", r#"{"id":"with space"}"#),
        at("/id", r#"{"id":{}}"#),
        at("/id", r#"{"id":""}"#),
        at("/id", "no JSON"),
        Event::new("a").idempotency_key(),
        Event::new("a").with_keys(["k"]).idempotency_key(),
        Event::new("a").with_keys(["", "k"]).idempotency_key(),
        Event::new("a")
            .with_event_time(DateTime::from_timestamp_nanos(1))
            .idempotency_key(),
        at("/id", "[1,2,3]"),
    ];
    for (number, hash) in hashes.iter().enumerate() {
        assert_eq!(hash.len(), 32, "{hash}");
        assert!(!hashes[..number].contains(hash), "{hash} is there twice");
    }
    let headers = Event::new("a").with_headers(header("x"));
    assert_eq!(headers.idempotency_key(), hashes[4]);
}

#[test]
fn a_payload_that_is_no_json_is_bad_input_and_not_quoted() {
    let error = Event::new("secret").json::<Vec<u8>>().unwrap_err();
    assert_eq!((error.kind(), error.may_retry()), ("bad-input", false));
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(Event::new("[1]").json::<Vec<u8>>().unwrap(), [1]);
}

#[test]
fn a_clone_shares_the_payload() {
    let event = Event::new(vec![1, 2, 3]);
    assert_eq!(event.clone().payload().as_ptr(), event.payload().as_ptr());
}
