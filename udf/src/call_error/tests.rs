//! Kinds, reasons and retries of failed calls, and their JSON.

use super::kinds::OTHER;
use super::*;

#[test]
fn a_lack_of_this_process_is_its_own_whatever_it_was_doing() {
    // EMFILE, ENFILE, EADDRNOTAVAIL, ENOMEM, EAGAIN of Linux.
    for number in [24, 23, 99, 12, 11] {
        let error = io::Error::from_raw_os_error(number);
        for otherwise in [Outcome::NoConnection, Outcome::Unresolved, Outcome::Tls] {
            assert_eq!(CallError::of(&error, otherwise).outcome(), Outcome::OwnLimit);
        }
    }
    // ECONNREFUSED, EHOSTUNREACH.
    for number in [111, 113] {
        let error = CallError::of(&io::Error::from_raw_os_error(number), Outcome::NoConnection);
        assert_eq!(error.outcome(), Outcome::NoConnection);
        assert!(
            error.to_string().contains(&format!("(os error {number})")),
            "{error}"
        );
    }
}

#[derive(Debug, thiserror::Error)]
#[error("sending to http://me:secret@e failed")]
struct Outer(#[source] io::Error);

#[test]
fn only_the_deepest_cause_is_kept_in_one_short_line() {
    let inner = io::Error::other(format!("line\n{}", "x".repeat(1_000)));
    let error = CallError::of(&Outer(inner), Outcome::Broken);
    assert_eq!(
        error.to_string(),
        format!("broken: line {}", "x".repeat(LONGEST_REASON - 5))
    );
}

#[test]
fn an_error_survives_its_json() {
    for error in [
        CallError::new("no-account"),
        CallError::timeout().retry(false),
        CallError::status(429).retry_after(Duration::from_millis(1_500)),
        CallError::bad_input("line 1"),
    ] {
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<CallError>(&json).unwrap(), error, "{json}");
    }
}

#[test]
fn which_failures_may_be_tried_again() {
    for (error, kind, may_retry) in [
        (CallError::status(503), "bad-status", true),
        (CallError::status(400), "bad-status", false),
        (CallError::from(Outcome::BadStatus), "bad-status", true),
        (CallError::status(400).retry(true), "bad-status", true),
        (CallError::timeout(), "timeout", true),
        (CallError::bad_body("x"), "bad-body", true),
        (CallError::bad_input("x"), "bad-input", false),
        (CallError::new("no-account"), "no-account", false),
        (CallError::new("no-account").retry(true), "no-account", true),
        (CallError::new("timeout"), "timeout", true),
        (CallError::new("ok"), OTHER, false),
        (io::Error::from(io::ErrorKind::TimedOut).into(), "timeout", true),
        (
            io::Error::from(io::ErrorKind::ConnectionRefused).into(),
            "no-connection",
            true,
        ),
        (io::Error::from(io::ErrorKind::NotFound).into(), "broken", true),
    ] {
        assert_eq!((error.kind(), error.may_retry()), (kind, may_retry), "{error}");
    }
}

#[test]
fn what_is_no_name_is_counted_as_other() {
    for kind in [
        "",
        "two words",
        "a\nb",
        "ä",
        "x123456789x123456789x123456789x123456789x",
    ] {
        assert_eq!(CallError::new(kind).kind(), OTHER, "{kind:?}");
    }
}
