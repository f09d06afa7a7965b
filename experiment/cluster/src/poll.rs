//! Waiting for a state of the cluster: check, and check again until it is reached or the time is up. Almost every wait
//! here is for a set of objects that only a label selects. `kube::runtime::wait` waits for one object by its name, needs
//! the verb `watch`, which the chart's Roles do not grant, and fails at the first failed request.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Paces the checks of one wait and ends it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Poll {
    began: Instant,
    every: Duration,
    within: Duration,
}

impl Poll {
    /// Checks `every` so often; the time `within` which the state must be reached begins now.
    pub fn new(every: Duration, within: Duration) -> Self {
        let began = Instant::now();
        Self { began, every, within }
    }

    /// The whole time, for messages.
    pub fn within(&self) -> Duration {
        self.within
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn is_over(&self) -> bool {
        self.elapsed() >= self.within
    }

    /// Sleeps until the next check is due. Returns `false` at once if the time is up.
    pub async fn again(&self) -> bool {
        if self.is_over() {
            return false;
        }
        sleep(self.every).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_poll_checks_until_its_time_is_up() {
        let poll = Poll::new(Duration::from_secs(2), Duration::from_secs(5));
        let mut checks = 1;
        while poll.again().await {
            checks += 1;
        }
        // At 0, 2, 4 and 6 s: the last check is the first one after the end.
        assert_eq!((checks, poll.elapsed()), (4, Duration::from_secs(6)));
        assert!(!Poll::new(Duration::from_secs(2), Duration::ZERO).again().await);
    }
}
