//! Why a call gave no answer: the kind by which it is counted, with the status and the reason that a retry and the log need.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::iter;
use std::num::NonZeroU16;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use wire::Outcome;

/// Longest reason that is kept, in characters: the log needs a line of it, and a pipe of the process pool carries it.
const LONGEST_REASON: usize = 200;

/// How many kinds of its own a program may have; further ones are counted as [`OTHER`].
const MAX_KINDS: usize = 16;

/// The kind of all that are beyond [`MAX_KINDS`].
const OTHER: &str = "other";

/// Longest name of a kind.
const MAX_KIND_BYTES: usize = 40;

/// The kinds that this program has used, each once.
static KINDS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// Why a call gave no answer. It is counted by its kind in the record of its window and in the metrics. It holds nothing of the request: a reason must not contain a URL, a header or a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.kind(), .reason.as_deref().unwrap_or("no reason is known"))]
pub struct CallError {
    pub(crate) outcome: Outcome,
    /// Of an answer that was not good.
    pub(crate) status: Option<NonZeroU16>,
    /// The program's own name for it.
    pub(crate) named: Option<&'static str>,
    /// Whether it may be tried again; `None` if its kind or its status decides.
    pub(crate) retry: Option<bool>,
    /// How long another attempt waits at least.
    pub(crate) after: Option<Duration>,
    pub(crate) reason: Option<Box<str>>,
}

impl CallError {
    /// A failure of a kind of one's own, like `no-account`, which is not tried again. A program may have 16 such kinds;
    /// what is beyond them is counted as `other`. A kind that the library has, like `timeout`, is that one.
    pub fn new(kind: &'static str) -> Self {
        match known(kind) {
            Some(outcome) => Self::from(outcome),
            None => Self {
                named: Some(own_kind(kind, || kind)),
                ..Self::from(Outcome::Failed)
            },
        }
    }

    /// The event is not what the call can work with: `bad-input`, not tried again.
    pub fn bad_input(reason: impl fmt::Display) -> Self {
        Self::from(Outcome::BadInput).because(reason)
    }

    /// The answer is not what it should be: `bad-body`.
    pub fn bad_body(reason: impl fmt::Display) -> Self {
        Self::from(Outcome::BadBody).because(reason)
    }

    /// There was no answer in time: `timeout`.
    pub fn timeout() -> Self {
        Self::from(Outcome::Timeout)
    }

    /// An answer with this HTTP status, which decides whether the call is made again.
    pub fn status(status: u16) -> Self {
        let error = Self {
            status: NonZeroU16::new(status),
            ..Self::from(Outcome::BadStatus)
        };
        error.because(format_args!("status {status}"))
    }

    /// What an error tells of, with its deepest cause as the reason; `otherwise` is the outcome if the error does not say.
    pub fn of(error: &(dyn Error + 'static), otherwise: Outcome) -> Self {
        let told = causes(error).find_map(outcome_told_by);
        let outcome = match told.unwrap_or(otherwise) {
            // A resolver opens sockets and files, and does not say why it could not.
            Outcome::Unresolved if lacks_descriptors() => Outcome::OwnLimit,
            outcome => outcome,
        };
        match causes(error).last() {
            Some(deepest) => {
                let text = deepest.to_string();
                Self::from(outcome).because(vertex::untrusted_certificate(&text).unwrap_or(&text))
            }
            None => outcome.into(),
        }
    }

    /// The same with a reason in a few words, for the log.
    #[must_use]
    pub fn because(mut self, reason: impl fmt::Display) -> Self {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let reason = reason.to_string();
        let reason: String = reason.chars().take(LONGEST_REASON).map(printable).collect();
        self.reason = Some(reason.into());
        self
    }

    /// The same, and whether another attempt may help; as many as `--retries` are made.
    #[must_use]
    pub fn retry(mut self, may_help: bool) -> Self {
        self.retry = Some(may_help);
        self
    }

    /// The same, to be tried again and not before this time has passed; a minute at most.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry = Some(true);
        self.after = Some(pause);
        self
    }

    /// The name by which it is counted.
    pub fn kind(&self) -> &'static str {
        self.named.unwrap_or(self.outcome.name())
    }

    /// Under which outcome a record counts it.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether another attempt may help: as it was said, or as its kind or status is.
    pub fn may_retry(&self) -> bool {
        self.retry.unwrap_or(match self.outcome {
            Outcome::Ok | Outcome::Panic | Outcome::BadInput | Outcome::Failed => false,
            Outcome::BadStatus => self
                .status
                .is_none_or(|status| matches!(status.get(), 408 | 425 | 429 | 500 | 502 | 503 | 504)),
            Outcome::Timeout
            | Outcome::Refused
            | Outcome::Unresolved
            | Outcome::NoConnection
            | Outcome::Tls
            | Outcome::Broken
            | Outcome::OwnLimit
            | Outcome::BadBody
            | Outcome::WorkerDied => true,
        })
    }

    /// How long another attempt has to wait at least.
    pub fn retry_pause(&self) -> Option<Duration> {
        self.after
    }

    /// The program's own name for it.
    pub(crate) fn named(&self) -> Option<&'static str> {
        self.named
    }
}

impl From<Outcome> for CallError {
    fn from(outcome: Outcome) -> Self {
        // A failure that is called a success is one that nobody has named.
        let outcome = match outcome {
            Outcome::Ok => Outcome::Failed,
            outcome => outcome,
        };
        Self {
            outcome,
            status: None,
            named: None,
            retry: None,
            after: None,
            reason: None,
        }
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        if let Some(status) = error.status() {
            return Self::status(status.as_u16());
        }
        let otherwise = match &error {
            _ if error.is_timeout() => Outcome::Timeout,
            _ if error.is_builder() => Outcome::BadInput,
            _ if error.is_connect() => unconnected(&error),
            _ if error.is_redirect() => Outcome::BadStatus,
            _ if error.is_body() || error.is_decode() => Outcome::BadBody,
            _ => Outcome::Broken,
        };
        // Its text contains the URL, and so perhaps a secret.
        Self::of(&error.without_url(), otherwise)
    }
}

/// What was read from or written to a socket or a file.
impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        let otherwise = match error.kind() {
            ConnectionRefused | HostUnreachable | NetworkUnreachable => Outcome::NoConnection,
            _ => Outcome::Broken,
        };
        Self::of(&error, otherwise)
    }
}

/// An answer that is no JSON, or JSON of another form.
impl From<serde_json::Error> for CallError {
    fn from(error: serde_json::Error) -> Self {
        let (class, line, column) = (error.classify(), error.line(), error.column());
        Self::bad_body(format_args!("{class:?} error in line {line}, column {column}"))
    }
}

/// Its form in a pipe of the process pool.
#[derive(Serialize, Deserialize)]
#[serde(rename = "CallError")]
struct Piped<T> {
    kind: T,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<NonZeroU16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<T>,
}

impl Serialize for CallError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Piped {
            kind: self.kind(),
            status: self.status,
            retry: self.retry,
            after_ms: self
                .after
                .map(|after| after.as_millis().try_into().unwrap_or(u64::MAX)),
            reason: self.reason.as_deref(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CallError {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let piped: Piped<String> = Piped::deserialize(deserializer)?;
        let (outcome, named) = match known(&piped.kind) {
            Some(outcome) => (outcome, None),
            None => {
                let leak = || Box::leak(piped.kind.clone().into_boxed_str()) as &'static str;
                (Outcome::Failed, Some(own_kind(&piped.kind, leak)))
            }
        };
        let mut error = Self {
            status: piped.status,
            named,
            retry: piped.retry,
            after: piped.after_ms.map(Duration::from_millis),
            ..Self::from(outcome)
        };
        if let Some(reason) = piped.reason {
            error = error.because(reason);
        }
        Ok(error)
    }
}

/// The library's kind with this name.
fn known(kind: &str) -> Option<Outcome> {
    kind.parse().ok().filter(|outcome| *outcome != Outcome::Ok)
}

/// A kind of the program's own, or [`OTHER`] if it has enough of them or this is no name for a metric's label.
fn own_kind(kind: &str, keep: impl FnOnce() -> &'static str) -> &'static str {
    let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = kinds.iter().find(|found| **found == kind) {
        return found;
    }
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_name = (1..=MAX_KIND_BYTES).contains(&kind.len()) && kind.bytes().all(named);
    let is_name = is_name && kind != Outcome::Ok.name();
    if !is_name || kinds.len() >= MAX_KINDS {
        return OTHER;
    }
    let kept = keep();
    kinds.push(kept);
    kept
}

/// Whether the system refused something because this process or the machine has no more of it: descriptors, local ports,
/// memory, threads.
pub(crate) fn is_own_lack(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN)
    )
}

fn lacks_descriptors() -> bool {
    File::open("/dev/null").is_err_and(|error| is_own_lack(&error))
}

/// An error, what it was caused by, what that was caused by, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// The outcome that an error stands for by itself: a time limit of the system, bytes that are no HTTP or a head that is too
/// long, a lack of this process, or TLS.
fn outcome_told_by(error: &(dyn Error + 'static)) -> Option<Outcome> {
    if error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse)
    {
        return Some(Outcome::BadBody);
    }
    if error.is::<rustls::Error>() {
        return Some(Outcome::Tls);
    }
    let error = error.downcast_ref::<io::Error>()?;
    match error.get_ref() {
        _ if error.kind() == io::ErrorKind::TimedOut => Some(Outcome::Timeout),
        _ if is_own_lack(error) => Some(Outcome::OwnLimit),
        // The source of an I/O error is that of the error within it.
        Some(within) if within.is::<rustls::Error>() => Some(Outcome::Tls),
        _ => None,
    }
}

/// Why reqwest could not connect. The types of its causes are private, so their texts decide.
fn unconnected(error: &reqwest::Error) -> Outcome {
    let says = |text| causes(error).any(|cause| cause.to_string().starts_with(text));
    if says("dns error") {
        Outcome::Unresolved
    } else if says("tcp connect error") || error.url().is_none_or(|url| url.scheme() != "https") {
        Outcome::NoConnection
    } else {
        Outcome::Tls
    }
}

#[cfg(test)]
mod tests {
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
}
