//! The windows of a trial event by event, as the data plane and the UDF treat them: reads in batches, closes that block
//! the intake, one queue of calls with a limited number of servers. Random numbers come from a fixed seed.
//!
//! The work is bounded by [`EVENTS`]. A window with more events than that allows is simulated by its end: where calls
//! start at arrival and leave room, by its last seconds; where they start at close, by its last calls.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use wire::{Delay, Keys, StartRule, StrategyKind, Workload};

use super::{Model, Service};
use crate::trial::TrialSettings;

/// Events that are simulated, at most.
const EVENTS: u64 = 40_000;
/// Events of a window from which it is too large.
const MOST_OF_A_WINDOW: u64 = EVENTS / 4;
/// Windows that are simulated: more say little of the percentiles.
const WINDOWS: u64 = 256;
/// Share of the windows that are left out at the start, as the pod is empty then.
const WARM_UP: f64 = 0.125;

/// Messages between the buffer's reader and the reducer: Numaflow's two channels of 100.
const QUEUE: u64 = 200;

/// Load from which the backlog of a close may last through the next window, so that windows are simulated as a whole.
const BUSY_FROM: f64 = 0.7;

/// Strata of the delay's distribution; a call in the longest one is drawn within it.
const STRATA: usize = 512;

const SEED: u64 = 0x5eed;

/// What a simulation showed.
#[derive(Debug)]
pub(super) struct Simulated {
    /// Ascending.
    tails_s: Vec<f64>,
    /// How much later each window's result comes than that of the window before.
    pub growth_s: f64,
    /// Share of the time in which a window closes.
    pub stall_share: f64,
}

/// Simulates a trial whose events come faster by the factor `speed`, in windows that are as much shorter. `None` if its
/// windows are too large.
pub(super) fn windows(model: &Model<'_>, speed: f64) -> Option<Simulated> {
    let cut = Cut::of(model, speed)?;
    let closed = Run::new(model, &cut, speed).closed();
    let from = (closed.len() as f64 * WARM_UP).ceil() as usize;
    let counted = closed
        .get(from..)
        .filter(|counted| !counted.is_empty())
        .unwrap_or(&closed);
    let mut tails_s: Vec<f64> = counted
        .iter()
        .map(|closed| closed.tail_s + cut.left_out_s)
        .collect();
    tails_s.sort_by(f64::total_cmp);
    let mean_s = tails_s.iter().sum::<f64>() / tails_s.len().max(1) as f64;
    let window_s = model.settings.window.as_secs_f64() / speed;
    let growth_s = match cut.left_out_s > 0.0 {
        // Every close takes as long, however late it begins.
        true => (mean_s - window_s).max(0.0),
        false => growth_s(counted) * window_s / cut.window_s,
    };
    Some(Simulated {
        growth_s,
        stall_share: (mean_s / (window_s + growth_s)).min(1.0),
        tails_s,
    })
}

impl Simulated {
    /// The close tail that this share of the windows does not exceed, in seconds.
    pub(super) fn tail_s(&self, share: f64) -> f64 {
        let position = (share * self.tails_s.len() as f64).ceil() as usize;
        self.tails_s.get(position.max(1) - 1).copied().unwrap_or(0.0)
    }
}

/// Growth of the lag per window: the difference between the means of the first and the last third.
fn growth_s(closed: &[Closed]) -> f64 {
    let third = closed.len().div_ceil(3);
    let between = closed.len() - third;
    if between == 0 {
        return 0.0;
    }
    let mean_s = |part: &[Closed]| part.iter().map(|closed| closed.lag_s).sum::<f64>() / part.len() as f64;
    ((mean_s(&closed[between..]) - mean_s(&closed[..third])) / between as f64).max(0.0)
}

/// The part of each window that is simulated.
struct Cut {
    /// Length of a simulated window.
    window_s: f64,
    windows: u64,
    /// What the calls before it take of each close, if they start at close.
    left_out_s: f64,
}

impl Cut {
    fn of(model: &Model<'_>, speed: f64) -> Option<Self> {
        let (settings, service) = (model.settings, &model.service);
        let rate = settings.rpu.get() as f64 * speed;
        let whole_s = settings.window.as_secs_f64() / speed;
        let load = model.utilization() * speed;
        let window_s = match settings.start_rule {
            StartRule::AtClose => {
                let calls = (20.0 * model.servers.in_flight).max(MOST_OF_A_WINDOW as f64 / 4.0);
                whole_s.min(calls / rate)
            }
            StartRule::AtArrival if load < BUSY_FROM => {
                let longest_s = service.longest_of(rate * service.mean_s.max(1.0), 0.99);
                whole_s.min(20.0 * model.period_s() + 10.0 * service.mean_s + 2.0 * longest_s)
            }
            StartRule::AtArrival => whole_s,
        };
        let events = (rate * window_s).ceil().max(1.0) as u64;
        let needs = rate * service.mean_s;
        if events > MOST_OF_A_WINDOW || load < 1.0 && needs > events as f64 {
            return None;
        }
        let is_cut = window_s < whole_s;
        Some(Self {
            window_s,
            windows: (EVENTS / events).clamp(4, WINDOWS),
            left_out_s: match settings.start_rule {
                StartRule::AtClose if is_cut => load * (whole_s - window_s),
                _ => 0.0,
            },
        })
    }
}

/// A simulated window.
struct Closed {
    tail_s: f64,
    /// From its end to its result.
    lag_s: f64,
}

/// The call of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    window: u64,
    key: u32,
    attempts: u32,
}

/// What happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timed {
    Ended {
        job: Job,
        again: bool,
    },
    Again(Job),
    /// The close deadline of the window that closes.
    Deadline(u64),
    /// The results of the window that closes are there.
    Result,
}

/// A window with events that has not closed.
struct Open {
    window: u64,
    outstanding: u64,
    /// Calls that start at its close.
    waiting: Vec<Job>,
}

/// A window that closes.
struct Closing {
    since: u64,
    is_over: bool,
}

/// The state of the simulation. Times are nanoseconds, events are numbered in the order of their due times, and as all
/// queues before the UDF are in that order, a number says how far each of them is.
struct Run<'a> {
    model: &'a Model<'a>,
    calls: CallTimes<'a>,
    keys: KeyOf,
    gap_ns: f64,
    window_ns: f64,
    windows: u64,
    /// Events of the simulation.
    events: u64,
    source_period: u64,
    pull_period: u64,
    batch: u64,
    processor: u64,
    keys_time: u64,
    deadline: Option<u64>,

    now: u64,
    timed: BinaryHeap<Reverse<(u64, u64, Timed)>>,
    scheduled: u64,
    /// When the source's read ends.
    reads: Option<u64>,
    /// When the pull out of the buffer ends, unless it waits for the reducer.
    pulls: Option<u64>,
    read: u64,
    pulled: u64,
    delivered: u64,
    /// Read batches that are not delivered: their first and last event.
    batches: VecDeque<(u64, u64)>,
    open: VecDeque<Open>,
    closing: Option<Closing>,
    turns: Turns,
    free: u64,
    /// When the processor is free for the next call.
    processor_free: u64,
    closed: Vec<Closed>,
}

impl<'a> Run<'a> {
    fn new(model: &'a Model<'a>, cut: &Cut, speed: f64) -> Self {
        let settings = model.settings;
        let is_sequential = settings.strategy == StrategyKind::Sequential;
        let gap_ns = 1e9 / (settings.rpu.get() as f64 * speed);
        let window_ns = (cut.window_s * 1e9).max(1.0);
        let period = nanos(model.period_s() * 1e9);
        let timeout = nanos_of(settings.read_timeout + model.assumptions.batch_time);
        let servers = model.servers.in_flight.max(1.0) as u64;
        Self {
            model,
            calls: CallTimes::new(&model.service, settings),
            keys: KeyOf::new(settings),
            gap_ns,
            window_ns,
            windows: cut.windows,
            events: (window_ns * (cut.windows + 1) as f64 / gap_ns).ceil() as u64 + 1,
            source_period: period.max(1),
            pull_period: timeout.max(1),
            batch: u64::from(model.assumptions.read_batch.get()),
            processor: match settings.workload {
                Workload::Http => nanos(model.processor_s * 1e9),
                Workload::Cpu => 0,
            },
            keys_time: nanos(model.keys_s() * 1e9),
            deadline: settings.close_deadline().map(nanos_of),
            now: 0,
            timed: BinaryHeap::new(),
            scheduled: 0,
            reads: Some(period / 3),
            pulls: Some(period / 2),
            read: 0,
            pulled: 0,
            delivered: 0,
            batches: VecDeque::new(),
            open: VecDeque::new(),
            closing: None,
            turns: Turns::new(is_sequential),
            free: servers,
            processor_free: 0,
            closed: Vec::new(),
        }
    }

    /// Runs until the windows have closed, or no event is left.
    fn closed(mut self) -> Vec<Closed> {
        while (self.closed.len() as u64) < self.windows {
            self.move_messages();
            let timed = self.timed.peek().map(|Reverse((at, ..))| *at);
            let pulls = self
                .pulls
                .filter(|_| self.read > self.pulled || self.reads.is_some());
            let Some(next) = [timed, self.reads, pulls].into_iter().flatten().min() else {
                break;
            };
            self.now = self.now.max(next);
            if timed == Some(next) {
                if let Some(Reverse((.., timed))) = self.timed.pop() {
                    self.happen(timed);
                }
            } else if self.reads == Some(next) {
                self.end_read();
            }
        }
        self.closed
    }

    fn due(&self, event: u64) -> u64 {
        (event as f64 * self.gap_ns) as u64
    }

    fn window_of(&self, event: u64) -> u64 {
        // A window's first event is due at its start, which rounding must not move into the window before.
        (event as f64 * self.gap_ns / self.window_ns + 1e-9) as u64
    }

    fn at(&mut self, time: u64, timed: Timed) {
        self.scheduled += 1;
        self.timed.push(Reverse((time, self.scheduled, timed)));
    }

    /// Ends a read of the source with what is due by now, and begins the next one.
    fn end_read(&mut self) {
        let due = ((self.now as f64 / self.gap_ns) as u64 + 1).min(self.events);
        let upto = due.min(self.read + self.batch);
        if upto > self.read {
            self.batches.push_back((self.read, upto - 1));
            self.read = upto;
        }
        self.reads = (self.read < self.events).then(|| {
            // Reads that bring nothing are passed over.
            let idle = self.due(self.read).saturating_sub(self.now) / self.source_period;
            self.now
                .saturating_add(self.source_period.saturating_mul(idle + 1))
        });
    }

    /// Moves messages as far as they go now: out of the buffer, to the reducer, into their windows.
    fn move_messages(&mut self) {
        loop {
            let buffered = self.read - self.pulled;
            if self.pulls.is_some_and(|ends| ends <= self.now)
                || self.pulls.is_some() && buffered >= self.batch
            {
                self.pulled += buffered.min(self.batch);
                self.pulls = (buffered == 0).then(|| {
                    let idle = self.reads.unwrap_or(self.now).saturating_sub(self.now) / self.pull_period;
                    self.now.saturating_add(self.pull_period.saturating_mul(idle + 1))
                });
            }
            while self.closing.is_none() && self.delivered < self.pulled {
                self.deliver();
            }
            if self.pulls.is_some() || self.pulled - self.delivered > QUEUE {
                return;
            }
            self.pulls = Some(self.now.saturating_add(self.pull_period));
        }
    }

    /// Gives the next message to its window, or begins the close that comes before it.
    fn deliver(&mut self) {
        let Some((first, last)) = self.batches.front().copied() else {
            return;
        };
        // The watermark of a message is the oldest event of its read batch.
        let (watermark, window) = (self.window_of(first), self.window_of(self.delivered));
        if self.open.front().is_some_and(|open| open.window < watermark) {
            return self.begin_close();
        }
        let job = Job {
            window,
            key: self.keys.of(self.delivered),
            attempts: 0,
        };
        if self.delivered == last {
            self.batches.pop_front();
        }
        self.delivered += 1;
        if self.open.back().is_none_or(|open| open.window < window) {
            self.open.push_back(Open {
                window,
                outstanding: 0,
                waiting: Vec::new(),
            });
        }
        let Some(open) = self.open.back_mut() else { return };
        open.outstanding += 1;
        match self.model.settings.start_rule {
            StartRule::AtClose => open.waiting.push(job),
            StartRule::AtArrival => {
                if self.free > 0 && self.turns.is_free() {
                    self.begin(job);
                } else {
                    self.turns.offer(job);
                    self.start();
                }
            }
        }
    }

    fn begin_close(&mut self) {
        self.closing = Some(Closing {
            since: self.now,
            is_over: false,
        });
        let Some(open) = self.open.front_mut() else { return };
        let window = open.window;
        for job in std::mem::take(&mut open.waiting) {
            self.turns.offer(job);
        }
        if let Some(deadline) = self.deadline {
            self.at(self.now.saturating_add(deadline), Timed::Deadline(window));
        }
        self.start();
        self.look_whether_over();
    }

    /// Ends the close if no call of its window is left.
    fn look_whether_over(&mut self) {
        let Some(closing) = self.closing.as_mut().filter(|closing| !closing.is_over) else {
            return;
        };
        if self.open.front().is_some_and(|open| open.outstanding == 0) {
            closing.is_over = true;
            let at = self.now.saturating_add(self.keys_time);
            self.at(at, Timed::Result);
        }
    }

    fn happen(&mut self, timed: Timed) {
        match timed {
            Timed::Ended { job, again } => {
                self.free += 1;
                if again {
                    let pause = self.calls.pause(job.attempts);
                    let job = Job {
                        attempts: job.attempts + 1,
                        ..job
                    };
                    self.at(self.now.saturating_add(pause), Timed::Again(job));
                } else if let Some(open) = self.open_mut(job.window) {
                    open.outstanding -= 1;
                }
                self.turns.ended(job);
                self.start();
                self.look_whether_over();
            }
            Timed::Again(job) => {
                self.turns.offer(job);
                self.start();
            }
            Timed::Deadline(window) => {
                if let Some(open) = self.open_mut(window) {
                    open.outstanding = 0;
                }
                self.look_whether_over();
            }
            Timed::Result => {
                if let (Some(closing), Some(open)) = (self.closing.take(), self.open.pop_front()) {
                    let end_ns = (open.window + 1) as f64 * self.window_ns;
                    self.closed.push(Closed {
                        tail_s: (self.now - closing.since) as f64 / 1e9,
                        lag_s: (self.now as f64 - end_ns) / 1e9,
                    });
                }
            }
        }
    }

    /// The window, unless it has ended at its deadline.
    fn open_mut(&mut self, window: u64) -> Option<&mut Open> {
        let is_wanted = |open: &&mut Open| open.window == window && open.outstanding > 0;
        self.open.iter_mut().find(is_wanted)
    }

    fn start(&mut self) {
        while self.free > 0
            && let Some(job) = self.turns.next()
        {
            if self.open_mut(job.window).is_none() {
                self.turns.ended(job); // Missed at its deadline.
                continue;
            }
            self.begin(job);
        }
    }

    /// Begins an attempt on a free server.
    fn begin(&mut self, job: Job) {
        self.free -= 1;
        let begins = self.now.max(self.processor_free);
        self.processor_free = begins.saturating_add(self.processor);
        let (takes, again) = self.calls.attempt(job.attempts);
        self.at(begins.saturating_add(takes), Timed::Ended { job, again });
    }
}

/// The key of each event.
enum KeyOf {
    InTurn(u64),
    Drawn(Keys),
}

impl KeyOf {
    fn new(settings: &TrialSettings) -> Self {
        let keys = settings.reduce_keys();
        match settings.key_skew > 0.0 && keys.get() > 1 {
            true => Self::Drawn(Keys::new(keys, settings.key_skew, settings.seed, true)),
            false => Self::InTurn(keys.get()),
        }
    }

    /// Must be called for every event in turn.
    fn of(&mut self, event: u64) -> u32 {
        match self {
            Self::InTurn(keys) => (event % *keys) as u32,
            Self::Drawn(keys) => keys.assign(event).0,
        }
    }
}

/// The calls that wait for a server. The keys of all windows take turns, as in the UDF's backlog.
struct Turns {
    one_per_key: bool,
    turns: VecDeque<(u64, u32)>,
    /// By window and key, as long as calls wait or, under one call per key, one is in flight.
    waiting: HashMap<(u64, u32), OfKey>,
}

#[derive(Default)]
struct OfKey {
    calls: VecDeque<Job>,
    is_busy: bool,
}

impl Turns {
    fn new(one_per_key: bool) -> Self {
        Self {
            one_per_key,
            turns: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }

    /// Whether a call need not wait for others.
    fn is_free(&self) -> bool {
        !self.one_per_key && self.turns.is_empty()
    }

    fn offer(&mut self, job: Job) {
        let id = (job.window, job.key);
        let of_key = self.waiting.entry(id).or_default();
        if of_key.calls.is_empty() && !of_key.is_busy {
            self.turns.push_back(id);
        }
        match job.attempts {
            0 => of_key.calls.push_back(job),
            _ => of_key.calls.push_front(job),
        }
    }

    fn next(&mut self) -> Option<Job> {
        let id = self.turns.pop_front()?;
        let of_key = self.waiting.get_mut(&id)?;
        let job = of_key.calls.pop_front();
        of_key.is_busy = self.one_per_key;
        if !of_key.is_busy {
            match of_key.calls.is_empty() {
                true => drop(self.waiting.remove(&id)),
                false => self.turns.push_back(id),
            }
        }
        job
    }

    fn ended(&mut self, job: Job) {
        let id = (job.window, job.key);
        if !self.one_per_key {
            return;
        }
        match self.waiting.get_mut(&id) {
            Some(of_key) if !of_key.calls.is_empty() => {
                of_key.is_busy = false;
                self.turns.push_back(id);
            }
            _ => drop(self.waiting.remove(&id)),
        }
    }
}

/// Draws how long attempts take.
struct CallTimes<'a> {
    service: &'a Service,
    retries: u32,
    first_pause: u64,
    /// The middle of each stratum; one where the delay is fixed.
    strata: Vec<u64>,
    drawn: u64,
}

impl<'a> CallTimes<'a> {
    fn new(service: &'a Service, settings: &TrialSettings) -> Self {
        let strata = match &service.delay {
            Delay::Fixed(delay) => vec![nanos_of(*delay)],
            delay => (0..STRATA)
                .map(|stratum| nanos_of(delay.quantile((stratum as f64 + 0.5) / STRATA as f64)))
                .collect(),
        };
        let first_pause = settings.retry_pause.unwrap_or(Duration::from_millis(50));
        Self {
            service,
            retries: settings.retries,
            first_pause: nanos_of(first_pause),
            strata,
            drawn: 0,
        }
    }

    /// From 0 to below 1.
    fn random(&mut self) -> f64 {
        self.drawn += 1;
        (wire::splitmix64(SEED, self.drawn) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// How long an attempt takes, and whether another one follows it.
    fn attempt(&mut self, attempts: u32) -> (u64, bool) {
        let limit = nanos(self.service.limit_s * 1e9);
        let fails = if self.service.hanging + self.service.retried > 0.0 {
            self.random()
        } else {
            1.0
        };
        let delay = if fails < self.service.hanging {
            u64::MAX
        } else {
            self.delay()
        };
        let again = attempts < self.retries && (fails < self.service.retried || delay >= limit);
        (
            delay
                .min(limit)
                .saturating_add(nanos(self.service.overhead_s * 1e9)),
            again,
        )
    }

    fn delay(&mut self) -> u64 {
        if let [fixed] = self.strata[..] {
            return fixed;
        }
        let position = self.random();
        let stratum = (position * STRATA as f64) as usize;
        match self.strata.get(stratum) {
            Some(delay) if stratum + 8 < STRATA => *delay,
            _ => nanos_of(self.service.delay.quantile(position)),
        }
    }

    /// Before the attempt after this one, with the UDF's full jitter.
    fn pause(&mut self, attempts: u32) -> u64 {
        const LONGEST: u64 = 5_000_000_000;
        let most = self
            .first_pause
            .saturating_mul(1 << attempts.min(16))
            .min(LONGEST.max(self.first_pause));
        (most as f64 * self.random()) as u64
    }
}

fn nanos(nanos: f64) -> u64 {
    nanos as u64
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
