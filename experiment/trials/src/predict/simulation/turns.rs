//! Which call is next: the keys of all windows take turns, as in the UDF's backlog.

use std::collections::{HashMap, VecDeque};

use wire::Keys;

use super::run::Job;
use crate::trial::TrialSettings;

/// The key of each event.
pub(super) enum KeyOf {
    InTurn(u64),
    Drawn(Keys),
}

impl KeyOf {
    pub(super) fn new(settings: &TrialSettings) -> Self {
        let keys = settings.reduce_keys();
        match settings.key_skew > 0.0 && keys.get() > 1 {
            true => Self::Drawn(Keys::new(keys, settings.key_skew, settings.seed, true)),
            false => Self::InTurn(keys.get()),
        }
    }

    /// Must be called for every event in turn.
    pub(super) fn of(&mut self, event: u64) -> u32 {
        match self {
            Self::InTurn(keys) => (event % *keys) as u32,
            Self::Drawn(keys) => keys.assign(event).0,
        }
    }
}

/// The calls that wait for a server.
pub(super) struct Turns {
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
    pub(super) fn new(one_per_key: bool) -> Self {
        Self {
            one_per_key,
            turns: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }

    /// Whether a call need not wait for others.
    pub(super) fn is_free(&self) -> bool {
        !self.one_per_key && self.turns.is_empty()
    }

    pub(super) fn offer(&mut self, job: Job) {
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

    pub(super) fn next(&mut self) -> Option<Job> {
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

    pub(super) fn ended(&mut self, job: Job) {
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
