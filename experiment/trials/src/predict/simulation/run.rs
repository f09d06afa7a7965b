//! A simulation's state and what happens in it: reads, pulls, deliveries, closes and calls.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use wire::{StartRule, StrategyKind, Workload};

use super::call_times::CallTimes;
use super::turns::{KeyOf, Turns};
use super::{Cut, nanos, nanos_of};
use crate::predict::Model;

/// Messages between the buffer's reader and the reducer: Numaflow's two channels of 100.
const QUEUE: u64 = 200;

/// A simulated window.
pub(super) struct Closed {
    pub tail_s: f64,
    /// From its end to its result.
    pub lag_s: f64,
}

/// The call of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    pub window: u64,
    pub key: u32,
    pub attempts: u32,
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
pub(super) struct Run<'a> {
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
    pub(super) fn new(model: &'a Model<'a>, cut: &Cut, speed: f64) -> Self {
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
    pub(super) fn closed(mut self) -> Vec<Closed> {
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
