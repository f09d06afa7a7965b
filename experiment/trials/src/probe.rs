//! Calls to the user's own service, made to learn how long they take: how many may be in flight, when to stop, and what
//! was seen. Pure: the caller makes the calls. They begin one at a time and double in flight, so that the first latencies
//! have no wait for the service's capacity, and a small service is left alone early.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use wire::Latencies;

use crate::learn::{CALLS_FOR_P99, Learned};
use crate::text::{count, counted, duration};

/// Failed calls that end a probe.
const MOST_FAILURES: u32 = 5;

/// Medians that are longer than the first one by this factor end a probe.
const SLOWER: f64 = 2.0;

/// Latencies are of the service alone while their median is at most this factor of the first one.
const CALM: f64 = 1.25;

/// Bounds of the calls whose median is compared.
const LEAST_COMPARED: u32 = 10;
const MOST_COMPARED: u32 = 50;

/// Statuses by which a service says that calls are too many.
const TOO_MANY: [u16; 2] = [429, 503];

/// A probe under way.
#[derive(Debug)]
pub struct Probe {
    calls: u32,
    /// Calls whose median is compared.
    compared: u32,
    levels: Vec<Level>,
    /// Position of the present level.
    level: usize,
    begun: u32,
    in_flight: u32,
    failures: u32,
    first: Vec<Duration>,
    latest: VecDeque<Duration>,
    stop: Option<Stop>,
}

/// Calls with at most so many in flight.
#[derive(Debug)]
struct Level {
    in_flight: u32,
    /// Calls that end before the next level.
    calls: u32,
    ended: u32,
    latencies: Latencies,
}

/// A call that has begun; it belongs to a level.
#[derive(Debug)]
pub struct Begun {
    level: usize,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With this status, after this time.
    Answered(u16, Duration),
    /// Without an answer, for this reason.
    Failed(String),
}

/// Why a probe stopped before its last call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    #[error("{MOST_FAILURES} calls failed, the last one with: {0}")]
    Failures(String),
    #[error("the service answered with status {0}")]
    TooMany(u16),
    #[error("the median latency was {} after {} for the first calls", duration(*.latest), duration(*.first))]
    Slower { first: Duration, latest: Duration },
}

/// What a probe has seen.
#[derive(Debug)]
pub struct Seen {
    /// Calls that were made.
    pub calls: u32,
    pub failures: u32,
    pub stop: Option<Stop>,
    /// The most in flight that the service answered as fast as the first ones; 0 if none ended so. It bears at least these.
    pub in_flight: u32,
    /// More in flight, with which the median latency was this.
    pub slower: Option<(u32, Duration)>,
    /// Of the calls that did not wait for the service's capacity, as far as their median shows it.
    pub latencies: Latencies,
}

impl Probe {
    pub fn new(calls: NonZeroU32, concurrency: NonZeroU32) -> Self {
        let compared = (calls.get() / 4).clamp(LEAST_COMPARED, MOST_COMPARED);
        Self {
            calls: calls.get(),
            compared,
            levels: levels(calls.get(), concurrency.get(), compared),
            level: 0,
            begun: 0,
            in_flight: 0,
            failures: 0,
            first: Vec::new(),
            latest: VecDeque::new(),
            stop: None,
        }
    }

    /// The longest time that it can take if no call takes longer than `timeout`.
    pub fn longest(&self, timeout: Duration) -> Duration {
        let rounds = self
            .levels
            .iter()
            .map(|level| level.calls.div_ceil(level.in_flight));
        timeout.saturating_mul(rounds.sum())
    }

    /// Begins a call, unless as many are in flight as may be, or none is left, or it has stopped.
    pub fn begin(&mut self) -> Option<Begun> {
        let most = self.levels.get(self.level)?.in_flight;
        if self.stop.is_some() || self.begun == self.calls || self.in_flight >= most {
            return None;
        }
        self.begun += 1;
        self.in_flight += 1;
        Some(Begun { level: self.level })
    }

    /// Counts the end of a call.
    pub fn ended(&mut self, call: &Begun, ended: Ended) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let failure = match ended {
            Ended::Answered(200..=299, latency) => {
                self.answered(call, latency);
                None
            }
            Ended::Answered(status, _) if TOO_MANY.contains(&status) => {
                self.failures += 1;
                self.stop.get_or_insert(Stop::TooMany(status));
                return;
            }
            Ended::Answered(status, _) => Some(format!("status {status}")),
            Ended::Failed(reason) => Some(reason),
        };
        if let Some(reason) = failure {
            self.failures += 1;
            if self.failures >= MOST_FAILURES {
                self.stop.get_or_insert(Stop::Failures(reason));
            }
        }
        self.count(call);
    }

    /// What was seen. Calls that are still in flight are not part of it.
    pub fn seen(self) -> Seen {
        let first = median(self.first.iter().copied());
        let is_calm = |level: &&Level| {
            let median = level.latencies.quantile(0.5);
            median
                .zip(first)
                .is_some_and(|(median, first)| median <= first.mul_f64(CALM))
        };
        // What made it stop happened at the present level.
        let good = match self.stop {
            Some(_) => &self.levels[..self.level],
            None => &self.levels[..],
        };
        let calm: Vec<&Level> = good.iter().take_while(is_calm).collect();
        let slower = good.get(calm.len()).filter(|_| !calm.is_empty());
        let mut latencies = Latencies::new();
        for level in &calm {
            latencies.merge(&level.latencies);
        }
        if calm.is_empty() {
            self.first.iter().for_each(|latency| latencies.record(*latency));
        }
        Seen {
            calls: self.begun,
            failures: self.failures,
            in_flight: match calm.last() {
                Some(level) => level.in_flight.min(level.ended),
                None => u32::from(first.is_some()),
            },
            slower: slower.and_then(|level| Some((level.in_flight, level.latencies.quantile(0.5)?))),
            latencies,
            stop: self.stop,
        }
    }

    fn answered(&mut self, call: &Begun, latency: Duration) {
        if let Some(level) = self.levels.get_mut(call.level) {
            level.latencies.record(latency);
        }
        if self.first.len() < self.compared as usize {
            self.first.push(latency);
            return;
        }
        let in_flight = self.levels.get(self.level).map_or(1, |level| level.in_flight);
        let compared = self.compared.max(in_flight) as usize;
        self.latest.push_back(latency);
        while self.latest.len() > compared {
            self.latest.pop_front();
        }
        let medians = median(self.first.iter().copied()).zip(median(self.latest.iter().copied()));
        if let Some((first, latest)) = medians
            && self.latest.len() == compared
            && latest >= first.mul_f64(SLOWER)
        {
            self.stop.get_or_insert(Stop::Slower { first, latest });
        }
    }

    /// Goes on to the next level after the last call of this one.
    fn count(&mut self, call: &Begun) {
        let Some(level) = self.levels.get_mut(call.level) else {
            return;
        };
        level.ended += 1;
        let is_last = call.level == self.level && level.ended >= level.calls;
        if is_last && self.stop.is_none() && self.level + 1 < self.levels.len() {
            self.level += 1;
        }
    }
}

impl Seen {
    /// What predictions can use of it; `None` if no call was answered well.
    pub fn learned(&self, service: &str) -> Option<Learned> {
        Learned::from_calls(&self.latencies, service)
    }

    /// What was seen and what was not, one sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let at = |share| self.latencies.quantile(share).map_or_else(String::new, duration);
        let answered = self.latencies.count();
        let mut all = Vec::new();
        if let Some(stop) = &self.stop {
            all.push(format!(
                "stopped after {}: {stop}",
                counted(self.calls.into(), "call")
            ));
        }
        if self.failures > 0 {
            all.push(format!("{} failed", counted(self.failures.into(), "call")));
        }
        if answered > 0 {
            let tail = match answered {
                CALLS_FOR_P99.. => format!("p99 {}", at(0.99)),
                _ => format!("p99 not known, which takes {} calls", count(CALLS_FOR_P99)),
            };
            all.push(format!(
                "latency of {}: p50 {}, {tail}",
                counted(answered, "call"),
                at(0.5)
            ));
        }
        if self.in_flight > 0 {
            let most = count(self.in_flight.into());
            all.push(match (self.slower, &self.stop) {
                (Some((more, median)), _) => format!(
                    "it bears at least {most} in flight: with {} the median latency was {}",
                    count(more.into()),
                    duration(median)
                ),
                (None, Some(_)) => format!("it bears at least {most} in flight"),
                (None, None) => format!("it bears at least {most} in flight: more were not tried"),
            });
        }
        all
    }
}

/// Doubling levels. Each has room for a comparison and for two rounds of calls; the last one has what is left.
fn levels(calls: u32, concurrency: u32, compared: u32) -> Vec<Level> {
    let (mut levels, mut left, mut in_flight) = (Vec::new(), calls, 1u32);
    while left > 0 {
        let is_last = in_flight == concurrency;
        let calls = match is_last {
            true => left,
            false => left.min(compared.max(in_flight.saturating_mul(2))),
        };
        levels.push(Level {
            in_flight,
            calls,
            ended: 0,
            latencies: Latencies::new(),
        });
        left -= calls;
        in_flight = in_flight.saturating_mul(2).min(concurrency);
    }
    levels
}

fn median(latencies: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut all: Vec<Duration> = latencies.collect();
    all.sort_unstable();
    all.get(all.len().checked_sub(1)? / 2).copied()
}
