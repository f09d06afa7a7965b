//! Capacity of one pod, and the deployment that a rate needs, under Numaflow: a keyed reduce with one pod for each
//! partition. Computed from measurements, Numaflow's limits and assumptions; each field of [`Limits`] says which it is.
//! `docs/scaling.md` explains the model.

#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::time::Duration;

use wire::settings::Limit;
use wire::{StartRule, Workload};

use super::{Assumptions, CRITICAL_FROM, Model, Service, busiest_key_fraction, tail};
use crate::trial::TrialSettings;

/// Messages in the buffer of one partition above which its writers wait: Numaflow's
/// `limits.bufferMaxLength` (30,000) × `limits.bufferUsageLimit` (80 %).
pub const BUFFER: f64 = 24_000.0;

/// Fraction of a pod's cores that a steady rate may use. Assumed: the rest works off a backlog, such as that of a pod's
/// restart, about two and a half times as fast as it builds up.
pub const MAX_PROCESSOR_UTILIZATION: f64 = 0.7;

/// A Numaflow pipeline with more pods than this has other limits.
pub const MAX_PARTITIONS: u64 = 100_000;

/// The share of closes that are not longer than those counted with.
const TYPICAL: f64 = 0.5;

/// The most keys that [`keys_needed`] tries.
const MAX_KEYS: u64 = 20_000_000;

/// Costs and limits of the parts of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Processor time of an event in the UDF, its call included. Measured here (`make bench`).
    pub udf_time: Duration,
    /// Processor time of an event in the generator. Measured here (`make bench`).
    pub source_time: Duration,
    /// Processor time of an event in Numaflow's own container, in a source pod and in a reduce pod. Assumed: one core
    /// divided by 12,000 messages a second, the most that Numaflow's authors saw in one reduce pod (numaproj/numaflow,
    /// issue 399, with its former data plane and a log on disk).
    pub data_plane_time: Duration,
    /// Cores of a pod, of all its containers together. Chosen.
    pub cores: NonZeroU64,
    /// Messages in a read batch: Numaflow's default of `limits.readBatchSize`. The next read waits until all are
    /// acknowledged.
    pub read_batch: NonZeroU64,
    /// Time from one read batch to the next, to write and acknowledge it. Assumed: some round trips to JetStream.
    pub batch_time: Duration,
    /// Time that a key adds to the close of its window, as Numaflow's SDK closes keys one after another. Assumed, to be
    /// replaced by the result of the benchmark with 10,000 keys.
    pub key_time: Duration,
    /// Messages a second that one JetStream server stores. Assumed: a quarter of the result of `nats bench` on one fast
    /// machine, with small messages in files without replicas.
    pub jetstream_rate: NonZeroU64,
    /// JetStream servers that store each message: Numaflow's default of a stream's replicas.
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
            read_batch: Assumptions::default().read_batch.into(),
            batch_time: Duration::from_millis(10),
            key_time: Duration::from_micros(100),
            jetstream_rate: number(50_000),
            jetstream_replicas: number(3),
        }
    }
}

/// The resource that limits a reduce pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Calls in flight: `max_workers`, the endpoint's capacity, or one per key.
    Slots,
    /// The close stalls the pod and takes as long as a window.
    Close,
    /// Cores, in the part of a window in which no close stalls the pod.
    Processor,
    /// A read waits for the acknowledgement of the batch before.
    ReadBatches,
    /// More messages arrive during a close than the partition's buffer holds.
    Buffer,
    /// A stream has one leader, whose server stores all its messages.
    JetStream,
}

impl Bound {
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

/// The capacity of one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pod {
    /// Highest steady rate, events per second; 0 if it is below one.
    pub rate: u64,
    /// The resource that is exceeded above that rate.
    pub bound: Bound,
}

/// The deployment that a rate needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deployment {
    /// Partitions of the keyed reduce, one pod each.
    pub partitions: u64,
    /// Capacity of the busiest partition with its keys.
    pub pod: Pod,
    /// Events per second of the busiest partition; keys are not distributed evenly.
    pub busiest_rate: f64,
    pub source_pods: u64,
    pub jetstream_servers: u64,
    /// Calls in flight over all pods (Little's law).
    pub in_flight: f64,
}

/// The capacity of one pod that has all keys.
pub fn pod(settings: &TrialSettings, limits: &Limits) -> Pod {
    let bound_at = |rate: u64| exceeded(settings, limits, rate);
    let (mut sustained, mut too_much) = (0, 1);
    let mut bound = bound_at(too_much);
    while bound.is_none() && too_much < u64::from(u32::MAX) {
        (sustained, too_much) = (too_much, too_much * 2);
        bound = bound_at(too_much);
    }
    while too_much - sustained > 1 {
        let middle = sustained + (too_much - sustained) / 2;
        match bound_at(middle) {
            None => sustained = middle,
            found => (too_much, bound) = (middle, found),
        }
    }
    Pod {
        rate: sustained,
        bound: bound.unwrap_or(Bound::JetStream),
    }
}

/// The smallest deployment that sustains `rate` events per second.
///
/// # Errors
/// Returns the resource that the busiest partition exceeds even with one partition per key.
pub fn deployment(settings: &TrialSettings, limits: &Limits, rate: NonZeroU64) -> Result<Deployment, Bound> {
    let bound_at = |partitions| exceeded_by_busiest(settings, limits, rate, partitions);
    let most = settings.reduce_keys().get().min(MAX_PARTITIONS);
    let mut enough = 1;
    while bound_at(enough).is_some() && enough < most {
        enough = (enough * 2).min(most);
    }
    if let Some(bound) = bound_at(enough) {
        return Err(bound);
    }
    let mut too_few = enough / 2;
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        match bound_at(middle) {
            None => enough = middle,
            Some(_) => too_few = middle,
        }
    }
    let total = rate.get() as f64;
    let stored = total + settings.reduce_keys().get() as f64 / settings.window.as_secs_f64();
    let copies = stored * limits.jetstream_replicas.get() as f64;
    let servers = (copies / limits.jetstream_rate.get() as f64).ceil() as u64;
    Ok(Deployment {
        partitions: enough,
        pod: pod(&of_busiest(settings, enough), limits),
        busiest_rate: total * busiest_partition_fraction(settings, enough),
        source_pods: (total / source_rate(limits)).ceil() as u64,
        jetstream_servers: servers.max(limits.jetstream_replicas.get()),
        in_flight: total * Service::of(settings, &Assumptions::default()).mean_s,
    })
}

/// The smallest multiple of the keys, by doubling, with which a deployment sustains `rate`; `None` if none does.
pub fn keys_needed(settings: &TrialSettings, limits: &Limits, rate: NonZeroU64) -> Option<u64> {
    let doubled = std::iter::successors(Some(settings.keys), |keys| {
        keys.checked_mul(NonZeroU64::MIN.saturating_add(1))
            .filter(|keys| keys.get() <= MAX_KEYS)
    });
    doubled
        .map(|keys| TrialSettings {
            keys,
            ..settings.clone()
        })
        .find(|settings| deployment(settings, limits, rate).is_ok())
        .map(|settings| settings.keys.get())
}

/// Events per second of one source pod: bound by its cores, and by reads that follow one another.
pub fn source_rate(limits: &Limits) -> f64 {
    let each_s = (limits.source_time + limits.data_plane_time).as_secs_f64();
    let by_processor = MAX_PROCESSOR_UTILIZATION * limits.cores.get() as f64 / each_s.max(f64::MIN_POSITIVE);
    by_processor.min(by_read_batches(limits))
}

fn by_read_batches(limits: &Limits) -> f64 {
    limits.read_batch.get() as f64 / limits.batch_time.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Fraction of all events in the busiest partition. Keys are hashed: of `k` equal keys over `n` partitions the fullest has
/// about `k ÷ n + √(2 k ln n ÷ n)` (M. Raab and A. Steger, "Balls into Bins", RANDOM 1998), and at least the busiest key.
fn busiest_partition_fraction(settings: &TrialSettings, partitions: u64) -> f64 {
    let (keys, n) = (settings.reduce_keys().get() as f64, partitions as f64);
    let even = (1.0 + (2.0 * n * n.ln() / keys).sqrt()) / n;
    even.max(busiest_key_fraction(
        settings.reduce_keys().get(),
        settings.key_skew,
    ))
    .min(1.0)
}

fn exceeded_by_busiest(
    settings: &TrialSettings,
    limits: &Limits,
    rate: NonZeroU64,
    partitions: u64,
) -> Option<Bound> {
    let busiest_rate = (rate.get() as f64 * busiest_partition_fraction(settings, partitions)).ceil();
    exceeded(&of_busiest(settings, partitions), limits, busiest_rate as u64)
}

/// The settings of the busiest of several partitions, its rate included.
pub fn busiest(settings: &TrialSettings, partitions: NonZeroU64) -> TrialSettings {
    if partitions == NonZeroU64::MIN {
        return settings.clone();
    }
    let fraction = busiest_partition_fraction(settings, partitions.get());
    let rate = (settings.rpu.get() as f64 * fraction).ceil() as u64;
    TrialSettings {
        rpu: NonZeroU64::new(rate).unwrap_or(NonZeroU64::MIN),
        ..of_busiest(settings, partitions.get())
    }
}

/// The resource that a pod of these settings exceeds; of several, the one it exceeds most.
pub fn exceeded_by(settings: &TrialSettings, limits: &Limits) -> Option<Bound> {
    exceeded(settings, limits, settings.rpu.get())
}

/// The settings of the busiest partition: its keys, and its fraction of the endpoint's capacity, which all pods use.
fn of_busiest(settings: &TrialSettings, partitions: u64) -> TrialSettings {
    let part = |whole: NonZeroU64, fraction: f64| {
        NonZeroU64::new((whole.get() as f64 * fraction).ceil() as u64).unwrap_or(NonZeroU64::MIN)
    };
    let equal_keys = TrialSettings {
        key_skew: 0.0,
        ..settings.clone()
    };
    let fraction = busiest_partition_fraction(settings, partitions);
    TrialSettings {
        keys: part(settings.keys, busiest_partition_fraction(&equal_keys, partitions)),
        capacity: Limit(settings.capacity.0.map(|all| part(all, fraction))),
        ..settings.clone()
    }
}

/// The resource that one pod exceeds at this rate; of several, the one it exceeds most.
fn exceeded(settings: &TrialSettings, limits: &Limits, rate: u64) -> Option<Bound> {
    let settings = TrialSettings {
        rpu: NonZeroU64::new(rate).unwrap_or(NonZeroU64::MIN),
        ..settings.clone()
    };
    let (rate, window_s) = (rate as f64, settings.window.as_secs_f64());
    let assumptions = Assumptions::default();
    let model = Model::new(&settings, limits.cores.get() as f64, &assumptions);
    let service = &model.service;
    let slots = service.mean_s / model.servers.interval_s / CRITICAL_FROM;
    // Beyond the capacity the tail grows without bound, so it is not computed.
    let tail_s = match settings.start_rule {
        StartRule::AtClose => tail::at_close(&model, TYPICAL),
        StartRule::AtArrival if slots < 1.0 => tail::at_arrival(&model, TYPICAL),
        StartRule::AtArrival => 0.0,
    };
    let stall_s = tail_s + settings.reduce_keys().get() as f64 * limits.key_time.as_secs_f64();
    let work_s = match settings.workload {
        Workload::Http => 0.0,
        Workload::Cpu => service.mean_s,
    };
    let each_s = (limits.udf_time + limits.data_plane_time).as_secs_f64() + work_s;
    let free = (1.0 - stall_s / window_s).max(f64::MIN_POSITIVE);
    let utilizations = [
        (Bound::Slots, slots),
        (Bound::Close, stall_s / window_s / CRITICAL_FROM),
        (
            Bound::Processor,
            rate * each_s / limits.cores.get() as f64 / MAX_PROCESSOR_UTILIZATION / free,
        ),
        (Bound::ReadBatches, rate / by_read_batches(limits) / free),
        (Bound::Buffer, rate * stall_s / BUFFER),
        (Bound::JetStream, rate / limits.jetstream_rate.get() as f64),
    ];
    // A close as long as its window leaves no time for anything else, so it is the reason then.
    let beyond = utilizations
        .into_iter()
        .filter(|(_, utilization)| *utilization > 1.0);
    match beyond.clone().find(|(bound, _)| *bound == Bound::Close) {
        Some((bound, _)) => Some(bound),
        None => beyond
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(bound, _)| bound),
    }
}
