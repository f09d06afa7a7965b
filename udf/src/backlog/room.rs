//! The room for events that wait, bounded by their number and by their bytes. One semaphore holds both bounds: an event
//! takes a permit for each of its bytes' units, but at least as many as let `max_waiting` events in.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::event::{Event, PackedHeaders};

use super::Waiting;

/// Bytes of a permit.
const UNIT: u64 = 64;

/// Room for the events of a process that wait for their call: for their first attempt to begin, or for another one.
pub(crate) struct Room {
    permits: Semaphore,
    /// Permits of the smallest event.
    least: u32,
    /// All permits; an event that is larger than the bound takes all.
    total: u32,
    /// Permits that were taken though there were none. What is given back pays for them first.
    debt: AtomicUsize,
}

impl Room {
    /// For so many events of so many bytes in all.
    pub(crate) fn new(max_waiting: usize, max_bytes: u64) -> Self {
        let units = u32::try_from(max_bytes / UNIT).unwrap_or(u32::MAX).max(1);
        let events = u32::try_from(max_waiting).unwrap_or(u32::MAX).max(1);
        let least = (units / events).max(1);
        // A multiple, so that exactly so many of the smallest find room.
        let total = units.min(least.saturating_mul(events));
        Self {
            permits: Semaphore::new(total as usize),
            least,
            total,
            debt: AtomicUsize::new(0),
        }
    }

    fn permits(&self, bytes: usize) -> u32 {
        let units = u32::try_from(bytes as u64 / UNIT).unwrap_or(u32::MAX);
        units.clamp(self.least, self.total)
    }

    /// Takes the room of an event, if there is enough.
    pub(crate) fn try_take(&self, bytes: usize) -> bool {
        let permits = self.permits.try_acquire_many(self.permits(bytes));
        permits.map(|permits| permits.forget()).is_ok()
    }

    /// Takes the room of an event, once there is enough.
    pub(crate) async fn take(&self, bytes: usize) {
        match self.permits.acquire_many(self.permits(bytes)).await {
            Ok(permits) => permits.forget(),
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }

    /// Takes the room of an event that has no other place to go, also where there is not enough.
    pub(super) fn take_anyway(&self, bytes: usize) {
        let permits = self.permits(bytes) as usize;
        let taken = self.permits.forget_permits(permits);
        self.debt.fetch_add(permits - taken, Ordering::AcqRel);
    }

    /// Gives back the room of an event.
    pub(super) fn give_back(&self, bytes: usize) {
        let mut permits = self.permits(bytes) as usize;
        if self.debt.load(Ordering::Acquire) > 0 {
            let pay = |debt: usize| Some(debt - debt.min(permits));
            let debt = self.debt.fetch_update(Ordering::AcqRel, Ordering::Acquire, pay);
            permits -= debt.unwrap_or_default().min(permits);
        }
        self.permits.add_permits(permits);
    }

    /// Permits that are left, less than 0 by those that are owed.
    #[cfg(test)]
    pub(crate) fn left(&self) -> i64 {
        self.permits.available_permits() as i64 - self.debt.load(Ordering::Acquire) as i64
    }

    /// How many of the smallest events that is.
    #[cfg(test)]
    pub(crate) fn events_left(&self) -> i64 {
        self.left() / i64::from(self.least)
    }
}

impl Waiting {
    /// What it takes of the room.
    pub(crate) fn bytes(&self) -> usize {
        bytes(self.payload(), self.headers())
    }
}

impl Event {
    /// What it takes of the room while it waits for another attempt.
    pub(super) fn bytes(&self) -> usize {
        bytes(&self.payload, self.meta.headers.as_ref())
    }
}

fn bytes(payload: &[u8], headers: Option<&PackedHeaders>) -> usize {
    payload.len() + headers.map_or(0, PackedHeaders::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(room: &Room, bytes: usize) -> usize {
        std::iter::repeat_with(|| room.try_take(bytes))
            .take_while(|taken| *taken)
            .take(10_000)
            .count()
    }

    #[test]
    fn both_bounds_hold() {
        let of_any_size = |bytes| fit(&Room::new(10, u64::MAX), bytes);
        assert_eq!((of_any_size(0), of_any_size(1 << 20)), (10, 10));
        // 1 MiB, of which each of a thousand events may have 1 KiB.
        let room = |bytes| fit(&Room::new(1_000, 1 << 20), bytes);
        assert_eq!((room(0), room(1_000)), (1_000, 1_000));
        assert_eq!((room(1 << 17), room(1 << 20)), (7, 1));
        assert_eq!(room(1 << 30), 1, "one that is larger than all waits alone");
        assert_eq!(fit(&Room::new(1_000_000, 64), 0), 1);
    }

    #[test]
    fn what_was_taken_without_room_is_paid_first() {
        let room = Room::new(2, u64::MAX);
        let each = i64::from(room.least);
        assert_eq!(fit(&room, 0), 2);
        room.take_anyway(0);
        assert_eq!(room.left(), -each);
        room.give_back(0);
        assert!(!room.try_take(0), "it paid for the one too many");
        room.give_back(0);
        assert!(room.try_take(0));
        assert_eq!(room.left(), 0);
    }
}
