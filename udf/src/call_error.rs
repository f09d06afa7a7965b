//! Why a call gave no answer: the kind by which it is counted, with the status and the reason that a retry and the log need.

mod causes;
mod kinds;
mod piped;

use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZeroU16;
use std::time::Duration;

use wire::Outcome;

pub(crate) use causes::is_own_lack;
#[cfg(feature = "reqwest")]
use causes::unconnected;
use causes::{causes, lacks_descriptors, outcome_told_by};
use kinds::{known, own_kind};

/// Longest reason that is kept, in characters: the log needs a line of it, and a pipe of the process pool carries it.
const LONGEST_REASON: usize = 200;

/// Why a call gave no answer. It is counted by its kind in the record of its window and in the metrics. It holds nothing of
/// the request: a reason must not contain a URL, a header or a payload.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use async_reduce::CallError;
///
/// let busy = CallError::status(503);
/// assert!(busy.may_retry() && !CallError::status(400).may_retry());
/// let locked = CallError::new("locked").because("another writer").retry_after(Duration::from_millis(50));
/// assert_eq!(locked.to_string(), "locked: another writer");
/// assert!(locked.may_retry());
/// ```
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

    /// The window's `close_deadline` passed before the event had ended: `missed`, not tried again.
    pub(crate) fn missed() -> Self {
        Self {
            reason: Some("close_deadline has passed".into()),
            ..Self::from(Outcome::Missed)
        }
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
            Outcome::Ok | Outcome::Panic | Outcome::BadInput | Outcome::Failed | Outcome::Missed => false,
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

#[cfg(feature = "reqwest")]
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

#[cfg(test)]
mod tests;
