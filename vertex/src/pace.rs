//! Waits for a due time more exactly than tokio's timer, whose ticks are milliseconds, without spinning. On Linux by
//! a timer descriptor that the runtime polls with its sockets, so that no other thread is needed.

use std::time::{Duration, Instant};

/// The last part of a wait, slept by a thread if there is no such timer: tokio's may be up to two milliseconds late.
const REST: Duration = Duration::from_millis(3);

/// The timer of one task; takes a file descriptor at its first wait.
#[derive(Debug, Default)]
pub struct Pace {
    #[cfg(target_os = "linux")]
    timer: Option<linux::Timer>,
}

impl Pace {
    /// Sleeps until an instant: never shorter, and typically not more than 0.1 ms longer. Dropping the future cancels
    /// the wait.
    pub async fn sleep_until(&mut self, at: Instant) {
        #[cfg(target_os = "linux")]
        if let Ok(()) = self.by_timer(at).await {
            return;
        }
        by_thread(at).await;
    }

    #[cfg(target_os = "linux")]
    async fn by_timer(&mut self, at: Instant) -> std::io::Result<()> {
        let timer = match &self.timer {
            Some(timer) => timer,
            None => self.timer.insert(linux::Timer::new()?),
        };
        timer.sleep_until(at).await
    }
}

/// For other systems, or if no descriptor is left: tokio's timer for all but the last part, then a thread of the
/// blocking pool that sleeps.
async fn by_thread(at: Instant) {
    if let Some(early) = at.checked_sub(REST)
        && early > Instant::now()
    {
        tokio::time::sleep_until(early.into()).await;
    }
    let rest = at.saturating_duration_since(Instant::now());
    // The task cannot fail; if the runtime is shutting down, the wait is over as well.
    let _ = tokio::task::spawn_blocking(move || std::thread::sleep(rest)).await;
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// The longest single wait; longer ones are repeated. Any value that the system accepts would do.
    const LONGEST: Duration = Duration::from_secs(3_600);

    /// A timer of timerfd_create(2) on the clock of [`Instant`].
    #[derive(Debug)]
    pub struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        pub fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            #[allow(
                deprecated,
                reason = "its successor is unsafe, for descriptors that are closed before: an owned one is not"
            )]
            Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
        }

        pub async fn sleep_until(&self, at: Instant) -> io::Result<()> {
            loop {
                let rest = at.saturating_duration_since(Instant::now()).min(LONGEST);
                if rest.is_zero() {
                    return Ok(());
                }
                let zero = Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                };
                let once = Itimerspec {
                    it_interval: zero,
                    it_value: rest.try_into().map_err(|_| io::ErrorKind::InvalidInput)?,
                };
                timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
                // Not read: setting the timer again resets its count. A cancelled wait may have left the descriptor
                // readable; the loop then sets the timer once more.
                self.0.readable().await?.clear_ready();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROS: [u64; 6] = [0, 1, 300, 2_999, 3_001, 7_777];

    #[tokio::test]
    async fn never_too_early() {
        let mut pace = Pace::default();
        for micros in MICROS {
            let at = Instant::now() + Duration::from_micros(micros);
            pace.sleep_until(at).await;
            assert!(Instant::now() >= at, "{micros} us");
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_dropped_shortens_no_other() {
        let mut pace = Pace::default();
        for micros in MICROS {
            let dropped = Instant::now() + Duration::from_micros(micros);
            let waited = tokio::time::timeout(Duration::from_millis(1), pace.sleep_until(dropped)).await;
            // So that its end falls before the next wait, or during it.
            std::thread::sleep(Duration::from_micros(micros / 2));
            let at = Instant::now() + Duration::from_millis(2);
            pace.sleep_until(at).await;
            assert!(Instant::now() >= at, "{micros} us, {waited:?}");
        }
    }

    #[tokio::test]
    async fn never_too_early_without_a_timer() {
        for micros in MICROS {
            let at = Instant::now() + Duration::from_micros(micros);
            by_thread(at).await;
            assert!(Instant::now() >= at, "{micros} us");
        }
    }
}
