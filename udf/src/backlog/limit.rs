//! How many calls may be in flight at once.

use std::num::NonZeroUsize;

/// The limit on calls in flight at once, whichever strategy makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// This many in the process, shared by all keys and windows.
    Shared(NonZeroUsize),
    /// One for each key and window: the next call begins after the previous one has ended. This many in the process.
    OnePerKey(NonZeroUsize),
}

impl Limit {
    /// Slots of the process.
    pub(super) fn slots(self) -> usize {
        match self {
            Self::Shared(slots) | Self::OnePerKey(slots) => slots.get(),
        }
    }
}
