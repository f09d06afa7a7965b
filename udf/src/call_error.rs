//! Why a call failed, in one of the outcomes that a record counts, with the status and the reason that a retry and the log
//! need.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::iter;
use std::num::NonZeroU16;

use rustix::io::Errno;
use wire::Outcome;

/// Longest reason that is kept, in characters: the log needs a line of it, and a pipe of the process pool carries it.
const LONGEST_REASON: usize = 200;

/// A call that failed. It holds nothing of the request: a reason must not contain a URL, a header or a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{outcome}: {}", .reason.as_deref().unwrap_or("no reason is known"))]
pub struct CallError {
    pub(crate) outcome: Outcome,
    /// Of an answer that was not good.
    pub(crate) status: Option<NonZeroU16>,
    pub(crate) reason: Option<Box<str>>,
}

impl CallError {
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
            Some(deepest) => Self::from(outcome).because(deepest),
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

    /// How the call ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl From<Outcome> for CallError {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            status: None,
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
            _ if error.is_connect() => unconnected(&error),
            _ if error.is_redirect() => Outcome::BadStatus,
            _ if error.is_body() || error.is_decode() => Outcome::BadBody,
            _ => Outcome::Broken,
        };
        // Its text contains the URL, and so perhaps a secret.
        Self::of(&error.without_url(), otherwise)
    }
}

/// How a call ended, whether it was good or not.
pub(crate) fn outcome(result: &Result<(), CallError>) -> Outcome {
    result.as_ref().map_or_else(CallError::outcome, |()| Outcome::Ok)
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
}
