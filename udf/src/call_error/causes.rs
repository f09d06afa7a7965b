//! Which outcome an error stands for.

use std::error::Error;
use std::fs::File;
use std::io;
use std::iter;

use rustix::io::Errno;
use wire::Outcome;

/// Whether the system refused something because this process or the machine has no more of it: descriptors, local ports,
/// memory, threads.
pub(crate) fn is_own_lack(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN)
    )
}

pub(super) fn lacks_descriptors() -> bool {
    File::open("/dev/null").is_err_and(|error| is_own_lack(&error))
}

/// An error, what it was caused by, what that was caused by, and so on.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// The outcome that an error stands for by itself: a time limit of the system, bytes that are no HTTP or a head that is too
/// long, a lack of this process, or TLS.
pub(super) fn outcome_told_by(error: &(dyn Error + 'static)) -> Option<Outcome> {
    if error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse)
    {
        return Some(Outcome::BadBody);
    }
    if is_of_tls(error) {
        return Some(Outcome::Tls);
    }
    let error = error.downcast_ref::<io::Error>()?;
    match error.get_ref() {
        _ if error.kind() == io::ErrorKind::TimedOut => Some(Outcome::Timeout),
        _ if is_own_lack(error) => Some(Outcome::OwnLimit),
        // The source of an I/O error is that of the error within it.
        Some(within) if is_of_tls(within) => Some(Outcome::Tls),
        _ => None,
    }
}

#[cfg(any(feature = "http", feature = "reqwest"))]
fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    error.is::<rustls::Error>()
}

/// Without a client there is no error of TLS that could be recognised.
#[cfg(not(any(feature = "http", feature = "reqwest")))]
fn is_of_tls(_: &(dyn Error + 'static)) -> bool {
    false
}

/// Why reqwest could not connect. The types of its causes are private, so their texts decide.
#[cfg(feature = "reqwest")]
pub(super) fn unconnected(error: &reqwest::Error) -> Outcome {
    let says = |text| causes(error).any(|cause| cause.to_string().starts_with(text));
    if says("dns error") {
        Outcome::Unresolved
    } else if says("tcp connect error") || error.url().is_none_or(|url| url.scheme() != "https") {
        Outcome::NoConnection
    } else {
        Outcome::Tls
    }
}
