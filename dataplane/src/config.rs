//! The sizes and times of the data plane. Each constant is named after the place in Numaflow 1.8 it comes from,
//! because a runner with other sizes would not show the same cliffs.

use std::time::Duration;

use crate::error::Error;

/// Messages of one read: `limits.readBatchSize`.
pub const READ_BATCH_SIZE: usize = 500;
/// Length of a buffer between two vertices: `limits.bufferMaxLength`.
pub const BUFFER_MAX_LENGTH: usize = 30_000;
/// Share of a buffer that may be used before its writer waits, in percent: `limits.bufferUsageLimit`.
pub const BUFFER_USAGE_LIMIT_PERCENT: usize = 80;
/// Messages that a writer may put into a buffer before it waits.
pub const BUFFER_USABLE: usize = BUFFER_MAX_LENGTH * BUFFER_USAGE_LIMIT_PERCENT / 100;
/// Bytes of the messages that a buffer takes before its writer waits: 1 GiB. Numaflow bounds the number alone, as its
/// buffers lie on JetStream's disk; these lie in memory.
pub const BUFFER_BYTES: usize = 1 << 30;
/// Channel between the buffer's reader and the reducer (`reduce/pbq.rs`).
pub const PBQ_CHANNEL: usize = 100;
/// Channel in front of the reduce actor (`reduce/reducer/aligned/reducer.rs`).
pub const ACTOR_CHANNEL: usize = 100;
/// Channel of one window between the actor and the window's task (`reduce/reducer/aligned/reducer.rs`).
pub const WINDOW_CHANNEL: usize = 100;
/// Channel of one window's requests in front of gRPC (`reduce/reducer/aligned/user_defined.rs`).
pub const REQUEST_CHANNEL: usize = 500;
/// Largest gRPC message in bytes, both ways (`config/pipeline.rs`).
pub const GRPC_MAX_MESSAGE_SIZE_BYTES: usize = 64 * 1024 * 1024;
/// Pause between two tries of a sink: the default of `sink.retryStrategy.backoff.interval`.
pub const SINK_RETRY_INTERVAL: Duration = Duration::from_millis(1);
/// Tries of one read batch at the sink. Numaflow tries for ever; an experiment has to end with an error instead.
pub const SINK_TRIES: u32 = 1_000;

/// The key of all messages of an unkeyed reduce (`reduce/reducer/aligned/reducer.rs`).
pub const NON_KEYED_STREAM: &str = "NON_KEYED_STREAM";

/// How a pipeline of source, reduce and sink is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Length of the fixed windows; whole milliseconds.
    pub window: Duration,
    /// Whether the reduce has its windows by key (`groupBy.keyed`). If not, every message gets [`NON_KEYED_STREAM`] in place
    /// of its keys.
    pub keyed: bool,
    /// Longest time that a read waits for a full read batch; whole milliseconds.
    pub read_timeout: Duration,
    /// Messages of one read batch.
    pub read_batch: usize,
    /// Messages that a buffer between two vertices takes before its writer waits.
    pub buffer: usize,
    /// Bytes of the messages that such a buffer takes before its writer waits: payloads, keys and headers. The room of an
    /// event is free once the UDF's call has taken it, that of a result once the sink has. A larger message passes alone.
    pub buffer_bytes: usize,
    /// How long a window stays open after its end. This delays the close; messages older than the watermark are
    /// dropped all the same.
    pub allowed_lateness: Duration,
    /// How the watermark moves while the source is quiet; without it the last windows never close.
    pub idle_source: Option<IdleSource>,
    /// Tries of one read batch at the sink before the run fails.
    pub sink_tries: u32,
}

/// How the watermark moves while the source is quiet (`watermark.idleSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleSource {
    /// Time without data after which the source counts as idle.
    pub threshold: Duration,
    /// How far the watermark moves at each step, never beyond the clock.
    pub increment_by: Duration,
    /// Time between two steps.
    pub step_interval: Duration,
}

impl Config {
    /// Numaflow's defaults for everything but the window's length and the read timeout, and a keyed reduce.
    pub fn new(window: Duration, read_timeout: Duration) -> Self {
        Self {
            window,
            keyed: true,
            read_timeout,
            read_batch: READ_BATCH_SIZE,
            buffer: BUFFER_USABLE,
            buffer_bytes: BUFFER_BYTES,
            allowed_lateness: Duration::ZERO,
            idle_source: None,
            sink_tries: SINK_TRIES,
        }
    }

    /// Checks the bounds of each setting.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let whole_millis = |time: Duration| !time.is_zero() && time.subsec_nanos().is_multiple_of(1_000_000);
        let refuse = |setting, reason| Err(Error::Config { setting, reason });
        if !whole_millis(self.window) {
            return refuse("window", "must be whole milliseconds, at least 1ms");
        }
        if !whole_millis(self.read_timeout) || self.read_timeout.as_millis() > u128::from(u32::MAX) {
            return refuse(
                "read_timeout",
                "must be whole milliseconds, at least 1ms and at most 49 days",
            );
        }
        if self.read_batch == 0 {
            return refuse("read_batch", "must be at least 1");
        }
        if self.buffer == 0 || self.buffer > BUFFER_MAX_LENGTH {
            return refuse("buffer", "must be from 1 to 30000");
        }
        if self.buffer_bytes == 0 {
            return refuse("buffer_bytes", "must be at least 1");
        }
        if self.sink_tries == 0 {
            return refuse("sink_tries", "must be at least 1");
        }
        // Numaflow panics on a step of zero; its validator wants threshold >= increment > 0.
        match self.idle_source {
            Some(idle) if idle.step_interval.is_zero() => {
                refuse("idle_source.step_interval", "must be above 0")
            }
            Some(idle) if idle.increment_by.is_zero() || idle.threshold < idle.increment_by => {
                refuse("idle_source", "needs threshold >= increment_by > 0")
            }
            _ => Ok(()),
        }
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let good = Config::new(Duration::from_secs(10), Duration::from_secs(1));
        let idle = |threshold, increment, step| {
            let of = Duration::from_secs;
            Some(IdleSource {
                threshold: of(threshold),
                increment_by: of(increment),
                step_interval: of(step),
            })
        };
        assert!(good.check().is_ok());
        assert!(
            Config {
                idle_source: idle(5, 3, 1),
                ..good.clone()
            }
            .check()
            .is_ok()
        );
        assert_eq!(good.buffer, 24_000);
        let bad = [
            (
                "window",
                Config {
                    window: Duration::ZERO,
                    ..good.clone()
                },
            ),
            (
                "window",
                Config {
                    window: Duration::from_micros(1_500),
                    ..good.clone()
                },
            ),
            (
                "read_timeout",
                Config {
                    read_timeout: Duration::from_micros(1),
                    ..good.clone()
                },
            ),
            (
                "read_batch",
                Config {
                    read_batch: 0,
                    ..good.clone()
                },
            ),
            (
                "buffer",
                Config {
                    buffer: 0,
                    ..good.clone()
                },
            ),
            (
                "buffer_bytes",
                Config {
                    buffer_bytes: 0,
                    ..good.clone()
                },
            ),
            (
                "sink_tries",
                Config {
                    sink_tries: 0,
                    ..good.clone()
                },
            ),
            (
                "idle_source.step_interval",
                Config {
                    idle_source: idle(5, 3, 0),
                    ..good.clone()
                },
            ),
            (
                "idle_source",
                Config {
                    idle_source: idle(2, 3, 1),
                    ..good.clone()
                },
            ),
            (
                "idle_source",
                Config {
                    idle_source: idle(2, 0, 1),
                    ..good
                },
            ),
        ];
        for (named, config) in bad {
            match config.check() {
                Err(Error::Config { setting, .. }) => assert_eq!(setting, named),
                other => panic!("{named}: {other:?}"),
            }
        }
    }
}
