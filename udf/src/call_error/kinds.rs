//! The kinds of failure: those of the library, and at most 16 of the program's own, so that records and metrics are bounded.

use std::sync::{Mutex, PoisonError};

use wire::Outcome;

/// How many kinds of its own a program may have; further ones are counted as [`OTHER`].
const MAX_KINDS: usize = 16;

/// The kind of all that are beyond [`MAX_KINDS`].
pub(super) const OTHER: &str = "other";

/// Longest name of a kind.
const MAX_KIND_BYTES: usize = 40;

/// The kinds that this program has used, each once.
static KINDS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// The library's kind with this name.
pub(super) fn known(kind: &str) -> Option<Outcome> {
    kind.parse().ok().filter(|outcome| *outcome != Outcome::Ok)
}

/// A kind of the program's own, or [`OTHER`] if it has enough of them or this is no name for a metric's label.
pub(super) fn own_kind(kind: &str, keep: impl FnOnce() -> &'static str) -> &'static str {
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
