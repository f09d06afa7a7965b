//! The room of a buffer in bytes, beside its places: what has no room waits, and its writer with it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for so many bytes, shared by the writers of a buffer.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    free: Arc<Semaphore>,
    total: usize,
}

/// The room of an item; given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Held {
    _permits: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub fn new(bytes: usize) -> Self {
        let total = bytes.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// One permit for each byte. An item that is larger than the buffer takes all, so that it passes alone.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }

    /// The room of an item, if there is enough.
    pub fn try_take(&self, bytes: usize) -> Option<Held> {
        let permits = Arc::clone(&self.free).try_acquire_many_owned(self.permits(bytes));
        permits.ok().map(Held::from)
    }

    /// The room of an item, once there is enough; items wait in order.
    pub async fn take(&self, bytes: usize) -> Held {
        match Arc::clone(&self.free)
            .acquire_many_owned(self.permits(bytes))
            .await
        {
            Ok(permits) => permits.into(),
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }
}

impl From<OwnedSemaphorePermit> for Held {
    fn from(permits: OwnedSemaphorePermit) -> Self {
        Self {
            _permits: Some(permits),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a queue of sizes: an item enters if and only if the others leave it room, or it is alone.
        #[test]
        fn a_buffer_never_holds_more_bytes_than_its_bound(
            bound in 1_usize..200,
            steps in prop::collection::vec(prop::option::weighted(0.7, 0_usize..300), 1..200),
        ) {
            let room = Room::new(bound);
            let mut buffer = VecDeque::new();
            for step in steps {
                match step {
                    Some(bytes) => {
                        let used: usize = buffer.iter().map(|(bytes, _)| *bytes).sum();
                        let taken = bytes.min(bound);
                        let held = room.try_take(bytes);
                        prop_assert_eq!(held.is_some(), used + taken <= bound, "{} + {} of {}", used, bytes, bound);
                        if let Some(held) = held {
                            buffer.push_back((taken, held));
                        }
                    }
                    None => drop(buffer.pop_front()),
                }
            }
            buffer.clear();
            prop_assert!(room.try_take(bound).is_some(), "all is given back");
        }
    }
}
