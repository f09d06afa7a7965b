//! Waiting for a due time more exactly than tokio's timer, which is a millisecond coarse, without burning
//! a core: the timer for the long way, a sleeping thread of the blocking pool for the rest.

use std::time::{Duration, Instant};

/// The rest that a thread sleeps: tokio's timer may be up to two milliseconds late.
const REST: Duration = Duration::from_millis(3);

/// Sleeps until an instant, typically not more than 0.1 ms longer, never shorter.
pub async fn sleep_until(at: Instant) {
    if let Some(early) = at.checked_sub(REST)
        && early > Instant::now()
    {
        tokio::time::sleep_until(early.into()).await;
    }
    let rest = at.saturating_duration_since(Instant::now());
    // The task cannot fail; where the runtime is stopping, waiting is over as well.
    let _ = tokio::task::spawn_blocking(move || std::thread::sleep(rest)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn never_too_early() {
        for micros in [0, 1, 300, 2_999, 3_001, 7_777] {
            let at = Instant::now() + Duration::from_micros(micros);
            sleep_until(at).await;
            assert!(Instant::now() >= at, "{micros} us");
        }
    }
}
