//! The workload `cpu`: a chosen processor time of real work for every event.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Semaphore;
use wire::{Delay, Outcome};

use super::{Call, Event};

/// Rounds between two looks at the clock: some microseconds.
const ROUNDS_PER_LOOK: u32 = 2_000;

/// Burns processor time.
#[derive(Debug)]
pub struct CpuCall {
    time: Delay,
    /// With a value, the asynchronous form moves its work to threads that may block, as many at once as there are
    /// processors; without, it occupies a thread of the runtime, as a naive UDF does.
    offload: Option<Arc<Semaphore>>,
}

impl CpuCall {
    /// Burns `time` of processor time per event; `offload` is the number of cores to use off the runtime's threads.
    pub fn new(time: Delay, offload: Option<NonZeroUsize>) -> Self {
        Self {
            time,
            offload: offload.map(|cores| Arc::new(Semaphore::new(cores.get()))),
        }
    }

    fn sample(&self) -> Duration {
        self.time.quantile(rand::random())
    }
}

#[async_trait]
impl Call for CpuCall {
    async fn call(&self, _event: &Event) -> Outcome {
        let time = self.sample();
        let Some(cores) = &self.offload else {
            burn(time);
            return Outcome::Ok;
        };
        let Ok(_core) = Arc::clone(cores).acquire_owned().await else {
            unreachable!("the semaphore is never closed")
        };
        match tokio::task::spawn_blocking(move || burn(time)).await {
            Ok(()) => Outcome::Ok,
            Err(_) => Outcome::Panic,
        }
    }

    fn call_blocking(&self, _event: &Event) -> Outcome {
        burn(self.sample());
        Outcome::Ok
    }
}

/// Works until the calling thread has used `time` of processor time, by the thread's own clock.
fn burn(time: Duration) {
    let end = processor_time() + time;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while processor_time() < end {
        for _ in 0..ROUNDS_PER_LOOK {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        std::hint::black_box(state);
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burns_what_was_asked_of_the_processor() {
        let before = processor_time();
        burn(Duration::from_millis(20));
        let used = processor_time() - before;
        assert!(used >= Duration::from_millis(20), "{used:?}");
        assert!(
            used < Duration::from_millis(40),
            "a look at the clock every few microseconds: {used:?}"
        );
    }
}
