//! Waiting to the microsecond, which tokio's timer with its wheel of milliseconds cannot: one thread
//! sleeps until just before the earliest due time and wakes its task, which spins for the rest, never
//! longer than [`LEAD`]. With nothing due the thread sleeps without end and nobody spins.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much earlier than due a task is woken: about what two changes of thread take, from the system to
/// the timer's thread and from there to the task's.
const LEAD: Duration = Duration::from_micros(40);

/// The thread that wakes; dropping it ends the thread. Sleeps that are left over are never woken.
#[derive(Debug)]
pub struct Timer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A future that ends at its due time, never earlier; dropping it forgets it.
#[derive(Debug)]
pub struct Sleep {
    shared: Arc<Shared>,
    due: Instant,
    id: Option<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Who waits, by due time. Its size is bounded by the calls in flight: each holds at most one entry.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
    stopped: bool,
}

impl Timer {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("timer".into())
            .spawn(move || of_thread.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Sleeps until `due`.
    pub fn until(&self, due: Instant) -> Sleep {
        Sleep {
            shared: Arc::clone(&self.shared),
            due,
            id: None,
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        sleep_exactly();
        let mut queue = self.lock();
        while !queue.stopped {
            let horizon = Instant::now() + LEAD;
            let due = queue.take_due(horizon);
            queue = if !due.is_empty() {
                drop(queue);
                due.into_iter().for_each(Waker::wake);
                self.lock()
            } else if let Some(next) = queue.next() {
                let left = next.saturating_duration_since(horizon);
                self.changed
                    .wait_timeout(queue, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            } else {
                self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }
}

/// Linux may end a thread's sleep 50 µs late to save wake-ups; this thread asks for none of that.
fn sleep_exactly() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)) {
        tracing::warn!(%error, "the timer's slack cannot be lowered: delays are up to 50 µs longer");
    }
}

impl Queue {
    /// Adds an entry; says whether it is now the earliest.
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
        let timer = Timer::start().unwrap();
        // Falling due times: each new one must cut the thread's sleep short.
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
        let timer = Timer::start().unwrap();
        let mut sleep = Box::pin(timer.until(Instant::now() + Duration::from_secs(3_600)));
        let pending =
            std::future::poll_fn(|context| Poll::Ready(sleep.as_mut().poll(context).is_pending())).await;
        assert!(pending);
        assert_eq!(timer.shared.lock().waiting.len(), 1);
        drop(sleep);
        assert!(timer.shared.lock().waiting.is_empty());
    }
}
