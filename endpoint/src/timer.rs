//! Waits with microsecond accuracy; the ticks of tokio's timer are milliseconds. One task sleeps until just before
//! the earliest due time and wakes the call's task, which spins for the rest, at most [`LEAD`]. While nothing is due,
//! the task sleeps and nothing spins.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use vertex::Pace;

/// How long before its due time a task is woken: about the delay from the system's timer to the task on two busy
/// cores.
const LEAD: Duration = Duration::from_micros(70);

/// The waking task; dropping this ends it. Sleeps that are still pending are then never woken.
#[derive(Debug)]
pub struct Timer {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

/// A future that ends at its due time, never earlier. Dropping it removes it from the queue.
#[derive(Debug)]
pub struct Sleep {
    shared: Arc<Shared>,
    due: Instant,
    id: Option<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Notify,
}

/// Wakers by due time. The queue is bounded by the calls in flight: each holds at most one entry.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
}

impl Timer {
    /// Starts the task; must be called within a runtime.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let of_task = Arc::clone(&shared);
        Self {
            shared,
            _task: AbortOnDropHandle::new(tokio::spawn(async move { of_task.run().await })),
        }
    }

    pub fn until(&self, due: Instant) -> Sleep {
        Sleep {
            shared: Arc::clone(&self.shared),
            due,
            id: None,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) {
        let mut pace = Pace::default();
        loop {
            let (due, next) = self.look();
            due.into_iter().for_each(Waker::wake);
            let sleep = async {
                match next {
                    Some(next) => pace.sleep_until(next.checked_sub(LEAD).unwrap_or(next)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// The wakers that are due now, and the due time of the next.
    fn look(&self) -> (Vec<Waker>, Option<Instant>) {
        let mut queue = self.lock();
        (queue.take_due(Instant::now() + LEAD), queue.next())
    }
}

impl Queue {
    /// Adds an entry; returns whether it is now the earliest.
    fn insert(&mut self, due: Instant, waker: Waker) -> (u64, bool) {
        let id = self.next_id;
        self.next_id += 1;
        let earliest = self.next().is_none_or(|next| due < next);
        self.waiting.insert((due, id), waker);
        (id, earliest)
    }

    fn next(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    fn take_due(&mut self, horizon: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= horizon
        {
            due.push(first.remove());
        }
        due
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let left = self.due.saturating_duration_since(Instant::now());
        if left <= LEAD {
            while Instant::now() < self.due {
                std::hint::spin_loop();
            }
            return Poll::Ready(());
        }
        let mut queue = self.shared.lock();
        if let Some(waker) = self.id.and_then(|id| queue.waiting.get_mut(&(self.due, id))) {
            waker.clone_from(context.waker());
            return Poll::Pending;
        }
        let (id, earliest) = queue.insert(self.due, context.waker().clone());
        drop(queue);
        if earliest {
            self.shared.changed.notify_one();
        }
        self.id = Some(id);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.lock().waiting.remove(&(self.due, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_delay_is_due_at_its_time_and_not_at_any_cap() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        for secs in [5, 24 * 60 * 60] {
            let due = start + Duration::from_secs(secs);
            queue.insert(due, Waker::noop().clone());
            for early in [
                Duration::from_millis(1_600),
                Duration::from_secs(secs) - Duration::from_nanos(1),
            ] {
                assert!(
                    queue.take_due(start + early).is_empty(),
                    "{secs} s, after {early:?}"
                );
            }
            assert_eq!(queue.take_due(due).len(), 1);
        }
    }

    proptest! {
        #[test]
        fn exactly_what_is_due_is_taken(delays in proptest::collection::vec(0u64..100, 0..50), now in 0u64..100) {
            let (mut queue, start) = (Queue::default(), Instant::now());
            let mut earliest = None;
            for delay in &delays {
                let (_, first) = queue.insert(start + Duration::from_micros(*delay), Waker::noop().clone());
                prop_assert_eq!(first, earliest.is_none_or(|earliest| *delay < earliest));
                earliest = earliest.min(Some(*delay)).or(Some(*delay));
            }
            let due = delays.iter().filter(|delay| **delay <= now).count();
            prop_assert_eq!(queue.take_due(start + Duration::from_micros(now)).len(), due);
            let next = delays.iter().filter(|delay| **delay > now).min();
            prop_assert_eq!(queue.next(), next.map(|delay| start + Duration::from_micros(*delay)));
        }
    }

    #[tokio::test]
    async fn no_sleep_ends_early_and_none_is_forgotten() {
        let timer = Timer::start();
        // Falling due times: each new one must shorten the thread's sleep.
        let sleeps: Vec<_> = (0..500u64)
            .rev()
            .map(|i| {
                let due = Instant::now() + Duration::from_micros(i * 100);
                let sleep = timer.until(due);
                tokio::spawn(async move {
                    sleep.await;
                    Instant::now() >= due
                })
            })
            .collect();
        for sleep in sleeps {
            assert!(sleep.await.unwrap());
        }
        assert!(timer.shared.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_dropped_sleep_leaves_nothing_behind() {
        let timer = Timer::start();
        let mut sleep = Box::pin(timer.until(Instant::now() + Duration::from_secs(3_600)));
        let pending =
            std::future::poll_fn(|context| Poll::Ready(sleep.as_mut().poll(context).is_pending())).await;
        assert!(pending);
        assert_eq!(timer.shared.lock().waiting.len(), 1);
        drop(sleep);
        assert!(timer.shared.lock().waiting.is_empty());
    }
}
