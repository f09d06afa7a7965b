//! What one pod carries, and what a rate takes, where Numaflow runs the pipeline: keyed reduce over partitions, one pod
//! for each. Arithmetic over what was measured here, Numaflow's own limits and assumptions; every field of [`Limits`] says
//! which it is, and `docs/scaling.md` how the parts fit together.

#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::time::Duration;

use wire::{StartRule, Workload};

use super::{CRITICAL_FROM, Crew, READ_BATCH, Service, busiest_share, tail};
use crate::trial::TrialSettings;

/// Messages that may wait in the buffer of one partition before its writers have to wait: Numaflow's
/// `limits.bufferMaxLength` (30,000) × `limits.bufferUsageLimit` (80 %).
pub const BUFFER: f64 = 24_000.0;

/// Share of a pod's cores that a steady rate may take. Assumed: what is left works off a backlog, such as that of a pod's
/// restart, about two and a half times as fast as it builds up.
pub const PROCESSOR_SHARE: f64 = 0.7;

/// Most partitions that are considered; a Numaflow pipeline with more pods than this has other limits.
pub const MOST_PARTITIONS: u64 = 100_000;

/// What parts of a deployment can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Processor time of an event in the UDF, its call included. Measured here (`make bench`).
    pub udf_time: Duration,
    /// Processor time of an event in the generator. Measured here (`make bench`).
    pub source_time: Duration,
    /// Processor time of an event in Numaflow's own container, in a source's pod as in a reduce pod. Assumed: one core
    /// over the 12,000 messages a second that Numaflow's authors saw at most in one reduce pod (numaproj/numaflow, issue
    /// 399, with its former data plane and a log on disk).
    pub data_plane_time: Duration,
    /// Cores of a pod, of all its containers together. Chosen.
    pub cores: NonZeroU64,
    /// Messages of a read: Numaflow's default of `limits.readBatchSize`. The next read waits until all are acknowledged.
    pub read_batch: NonZeroU64,
    /// Time from one read batch to the next, to write and acknowledge it. Assumed: some round trips to JetStream.
    pub batch_time: Duration,
    /// What a key adds to the close of its window: Numaflow's SDK closes the keys one after another. Assumed, to be
    /// replaced by what the benchmark of 10,000 keys shows.
    pub key_time: Duration,
    /// Messages a second that one JetStream server stores. Assumed: a quarter of what `nats bench` shows on one fast
    /// machine for small messages in files without replicas.
    pub jetstream_rate: NonZeroU64,
    /// Servers that store each message: Numaflow's default of a stream's replicas.
    pub jetstream_replicas: NonZeroU64,
}

impl Default for Limits {
    fn default() -> Self {
        const fn number(value: u64) -> NonZeroU64 {
            match NonZeroU64::new(value) {
                Some(number) => number,
                None => NonZeroU64::MIN,
            }
        }
        Self {
            udf_time: Duration::from_micros(60),
            source_time: Duration::from_micros(5),
            data_plane_time: Duration::from_micros(80),
            cores: number(2),
            read_batch: number(READ_BATCH as u64),
            batch_time: Duration::from_millis(10),
            key_time: Duration::from_micros(100),
            jetstream_rate: number(50_000),
            jetstream_replicas: number(3),
        }
    }
}

/// What a reduce pod runs out of first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Calls in flight at once: `max_workers`, the endpoint's capacity, or one per key.
    Slots,
    /// The close, which stalls the pod, takes as long as a window.
    Close,
    /// The cores, in the part of a window in which no close stalls the pod.
    Processor,
    /// Read batches: the next waits for the acknowledgement of the last.
    ReadBatches,
    /// During a close more comes than the partition's buffer holds.
    Buffer,
    /// One stream has one leader, and that server stores no more.
    JetStream,
}

impl Bound {
    /// In words, as what bounds a rate.
    pub fn words(self) -> &'static str {
        match self {
            Self::Slots => "calls in flight",
            Self::Close => "the close of a window",
            Self::Processor => "processor",
            Self::ReadBatches => "read batches",
            Self::Buffer => "the buffer during a close",
            Self::JetStream => "the stream's JetStream server",
        }
    }
}

/// What one pod carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pod {
    /// Highest steady rate, events per second; 0 where not even one event per second can be carried. Above it a partition
    /// more is due.
    pub rate: u64,
    /// What it runs out of above that rate.
    pub bound: Bound,
}

/// What a rate takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deployment {
    /// Partitions of the keyed reduce, a pod each.
    pub partitions: u64,
    /// What the busiest of them carries with the keys that it has there.
    pub pod: Pod,
    /// Events per second of the busiest partition: keys do not fall evenly.
    pub busiest_rate: f64,
    /// Pods of the source.
    pub source_pods: u64,
    /// JetStream servers.
    pub jetstream_servers: u64,
    /// Calls in flight at once, over all pods (Little's law).
    pub in_flight: f64,
}

/// The rate up to which one pod carries these settings, with all their keys.
pub fn pod(settings: &TrialSettings, limits: &Limits) -> Pod {
    let over = |rate: u64| exceeded(settings, limits, rate);
    let (mut carried, mut too_much) = (0, 1);
    let mut bound = over(too_much);
    while bound.is_none() && too_much < u64::from(u32::MAX) {
        (carried, too_much) = (too_much, too_much * 2);
        bound = over(too_much);
    }
    while too_much - carried > 1 {
        let middle = carried + (too_much - carried) / 2;
        match over(middle) {
            None => carried = middle,
            found => (too_much, bound) = (middle, found),
        }
    }
    Pod {
        rate: carried,
        bound: bound.unwrap_or(Bound::JetStream),
    }
}

/// What it takes to carry `rate` events per second.
///
/// # Errors
/// What the busiest partition runs out of, where no number of partitions is enough: a key is one partition's.
pub fn deployment(settings: &TrialSettings, limits: &Limits, rate: NonZeroU64) -> Result<Deployment, Bound> {
    let over = |partitions| exceeded_by_busiest(settings, limits, rate, partitions);
    let most = settings.keys.get().min(MOST_PARTITIONS);
    let mut enough = 1;
    while over(enough).is_some() && enough < most {
        enough = (enough * 2).min(most);
    }
    if let Some(bound) = over(enough) {
        return Err(bound);
    }
    let mut too_few = enough / 2;
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        match over(middle) {
            None => enough = middle,
            Some(_) => too_few = middle,
        }
    }
    let total = rate.get() as f64;
    let stored = total + settings.keys.get() as f64 / settings.window.as_secs_f64();
    let copies = stored * limits.jetstream_replicas.get() as f64;
    let servers = (copies / limits.jetstream_rate.get() as f64).ceil() as u64;
    Ok(Deployment {
        partitions: enough,
        pod: pod(&of_busiest(settings, enough), limits),
        busiest_rate: total * busiest_partition(settings, enough),
        source_pods: (total / source_rate(limits)).ceil() as u64,
        jetstream_servers: servers.max(limits.jetstream_replicas.get()),
        in_flight: total * Service::of(settings).mean_s,
    })
}

/// Events per second of one pod of the source: a read batch after the other, by as many cores.
pub fn source_rate(limits: &Limits) -> f64 {
    let each_s = (limits.source_time + limits.data_plane_time).as_secs_f64();
    let by_processor = PROCESSOR_SHARE * limits.cores.get() as f64 / each_s.max(f64::MIN_POSITIVE);
    by_processor.min(by_read_batches(limits))
}

fn by_read_batches(limits: &Limits) -> f64 {
    limits.read_batch.get() as f64 / limits.batch_time.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// The share of all events that the busiest of so many partitions gets. Keys are hashed: of `k` equal keys over `n`
/// partitions the fullest has about `k ÷ n + √(2 k ln n ÷ n)` (M. Raab and A. Steger, "Balls into Bins", RANDOM 1998), and
/// none has less than its busiest key.
fn busiest_partition(settings: &TrialSettings, partitions: u64) -> f64 {
    let (keys, n) = (settings.keys.get() as f64, partitions as f64);
    let even = (1.0 + (2.0 * n * n.ln() / keys).sqrt()) / n;
    even.max(busiest_share(settings.keys.get(), settings.key_skew))
        .min(1.0)
}

fn exceeded_by_busiest(
    settings: &TrialSettings,
    limits: &Limits,
    rate: NonZeroU64,
    partitions: u64,
) -> Option<Bound> {
    let its_rate = (rate.get() as f64 * busiest_partition(settings, partitions)).ceil();
    exceeded(&of_busiest(settings, partitions), limits, its_rate as u64)
}

/// The settings as the busiest of so many partitions has them: its share of the keys, and of the endpoint, which is
/// everyone's.
fn of_busiest(settings: &TrialSettings, partitions: u64) -> TrialSettings {
    let part = |whole: NonZeroU64, share: f64| {
        NonZeroU64::new((whole.get() as f64 * share).ceil() as u64).unwrap_or(NonZeroU64::MIN)
    };
    let equal_keys = TrialSettings {
        key_skew: 0.0,
        ..settings.clone()
    };
    let share = busiest_partition(settings, partitions);
    TrialSettings {
        keys: part(settings.keys, busiest_partition(&equal_keys, partitions)),
        capacity: settings.capacity.map(|all| part(all, share)),
        ..settings.clone()
    }
}

/// What one pod runs out of at this rate: of several, what it exceeds the most.
fn exceeded(settings: &TrialSettings, limits: &Limits, rate: u64) -> Option<Bound> {
    let settings = TrialSettings {
        rpu: NonZeroU64::new(rate).unwrap_or(NonZeroU64::MIN),
        ..settings.clone()
    };
    let (rate, window_s) = (rate as f64, settings.window.as_secs_f64());
    let service = Service::of(&settings);
    let crew = Crew::of(&settings, limits.cores.get() as f64);
    let slots = service.mean_s / crew.step_s / CRITICAL_FROM;
    // Beyond its capacity the tail grows without bound, and following it back would tell nothing.
    let tail_s = match settings.start_rule {
        StartRule::AtClose => tail::at_close(&settings, &service, &crew),
        StartRule::AtArrival if slots < 1.0 => tail::at_arrival(&settings, &service, &crew),
        StartRule::AtArrival => 0.0,
    };
    let stall_s = tail_s + settings.keys.get() as f64 * limits.key_time.as_secs_f64();
    let work_s = match settings.workload {
        Workload::Http => 0.0,
        Workload::Cpu => service.mean_s,
    };
    let each_s = (limits.udf_time + limits.data_plane_time).as_secs_f64() + work_s;
    let free = (1.0 - stall_s / window_s).max(f64::MIN_POSITIVE);
    let shares = [
        (Bound::Slots, slots),
        (Bound::Close, stall_s / window_s / CRITICAL_FROM),
        (
            Bound::Processor,
            rate * each_s / limits.cores.get() as f64 / PROCESSOR_SHARE / free,
        ),
        (Bound::ReadBatches, rate / by_read_batches(limits) / free),
        (Bound::Buffer, rate * stall_s / BUFFER),
        (Bound::JetStream, rate / limits.jetstream_rate.get() as f64),
    ];
    // A close as long as its window leaves nothing free: it is the reason then.
    let beyond = shares.into_iter().filter(|(_, share)| *share > 1.0);
    match beyond.clone().find(|(bound, _)| *bound == Bound::Close) {
        Some((bound, _)) => Some(bound),
        None => beyond
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(bound, _)| bound),
    }
}
