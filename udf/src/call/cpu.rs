//! The workload `cpu`: a chosen processor time of real work for every event.

use std::io;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;
use wire::{Delay, Outcome};

use super::{BlockingCall, Call};
use crate::call_error::CallError;
use crate::event::Event;

/// Rounds between two looks at the clock: some microseconds.
const ROUNDS_PER_LOOK: u32 = 2_000;

/// Burns processor time.
#[derive(Debug)]
pub struct CpuCall {
    time: Delay,
    /// With a value, the asynchronous form moves its work to threads that may compute; without, it occupies a thread
    /// of the runtime, as a naive UDF does.
    offload: Option<Sender<Burn>>,
}

/// Time to burn, and who waits for that.
type Burn = (Duration, oneshot::Sender<()>);

impl CpuCall {
    /// Burns `time` of processor time per event; `offload` is the number of cores to use off the runtime's threads.
    ///
    /// # Errors
    /// Where a thread cannot be started.
    pub fn new(time: Delay, offload: Option<NonZeroUsize>) -> io::Result<Self> {
        let offload = offload.map(threads).transpose()?;
        Ok(Self { time, offload })
    }

    fn sample(&self) -> Duration {
        self.time.quantile(rand::random())
    }
}

/// A thread for each core; they end with the sender. What is sent waits there, so that a core need not wait for the
/// runtime, which wants one too. Unbounded, as there are no more calls in flight than `max_workers`.
fn threads(cores: NonZeroUsize) -> io::Result<Sender<Burn>> {
    let (sender, receiver) = unbounded::<Burn>();
    for core in 1..=cores.get() {
        let receiver = receiver.clone();
        thread::Builder::new()
            .name(format!("core-{core}"))
            .spawn(move || {
                for (time, done) in receiver {
                    // Nobody waits any more where the attempt's timeout is over.
                    if !done.is_closed() {
                        burn(time);
                        let _ = done.send(());
                    }
                }
            })?;
    }
    Ok(sender)
}

impl Call for CpuCall {
    type Answer = ();

    async fn call(&self, _event: &Event) -> Result<(), CallError> {
        let time = self.sample();
        let Some(offload) = &self.offload else {
            burn(time);
            return Ok(());
        };
        let (done, ended) = oneshot::channel();
        // The threads live as long as this sender.
        let _ = offload.send((time, done));
        ended.await.map_err(|_| Outcome::Panic.into())
    }
}

impl BlockingCall for CpuCall {
    type Answer = ();

    fn call_blocking(&self, _event: &Event) -> Result<(), CallError> {
        burn(self.sample());
        Ok(())
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
