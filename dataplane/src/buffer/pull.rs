//! Takes read batches out of a buffer as a JetStream pull does: a full batch at once, a partial one only when the
//! read timeout, which begins with the pull, is over. That wait is a good part of Numaflow's latency, so it is kept.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Item;

/// The reading end of a buffer.
pub(crate) struct Pull<T> {
    buffer: mpsc::Receiver<T>,
    size: usize,
    timeout: Duration,
}

impl<T> Pull<T> {
    pub fn new(buffer: mpsc::Receiver<T>, size: usize, timeout: Duration) -> Self {
        Self {
            buffer,
            size,
            timeout,
        }
    }

    /// Fills `batch`, which may stay empty. Returns `false` once the buffer is closed and empty.
    pub async fn next(&mut self, batch: &mut Vec<T>) -> bool {
        let time_is_up = sleep_until(Instant::now() + self.timeout);
        tokio::pin!(time_is_up);
        batch.clear();
        while batch.len() < self.size {
            let wanted = self.size - batch.len();
            tokio::select! {
                biased;
                taken = self.buffer.recv_many(batch, wanted) => {
                    if taken == 0 {
                        return !batch.is_empty();
                    }
                }
                () = &mut time_is_up => break,
            }
        }
        true
    }
}

/// Moves read batches from the buffer to the reducer's queue, message by message; the next pull begins when the last
/// message is in the queue. Ends when either side is closed.
pub(crate) async fn carry(mut from: Pull<Item>, to: mpsc::Sender<Item>) {
    let mut batch = Vec::with_capacity(from.size);
    while from.next(&mut batch).await {
        for item in batch.drain(..) {
            if to.send(item).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(200);

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_comes_at_once_and_a_partial_one_when_the_time_is_up() {
        let (buffer, receiver) = mpsc::channel(100);
        let mut pull = Pull::new(receiver, 3, TIMEOUT);
        let mut batch = Vec::new();
        for number in 0..4 {
            buffer.send(number).await.unwrap();
        }
        let start = Instant::now();
        assert!(pull.next(&mut batch).await);
        assert_eq!(
            (batch.as_slice(), start.elapsed()),
            ([0, 1, 2].as_slice(), Duration::ZERO)
        );
        assert!(pull.next(&mut batch).await);
        assert_eq!(
            (batch.as_slice(), start.elapsed().as_millis() / 10),
            ([3].as_slice(), 20)
        );
        assert!(pull.next(&mut batch).await);
        assert_eq!((batch.len(), start.elapsed().as_millis() / 10), (0, 40));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_buffer_is_emptied_first() {
        let (buffer, receiver) = mpsc::channel(100);
        let mut pull = Pull::new(receiver, 3, TIMEOUT);
        let mut batch = Vec::new();
        buffer.send(7).await.unwrap();
        drop(buffer);
        let start = Instant::now();
        assert!(pull.next(&mut batch).await);
        assert_eq!(
            (batch.as_slice(), start.elapsed()),
            ([7].as_slice(), Duration::ZERO)
        );
        assert!(!pull.next(&mut batch).await);
    }
}
