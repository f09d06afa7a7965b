//! Finds the numbers of events that came without one: Numaflow's file has no headers, so the user's own payloads come
//! back from it with their event times alone. The schedule says which event has which time.

use std::collections::{BTreeMap, BTreeSet};

use wire::settings::TrialSettings;
use wire::{GeneratorStats, Keys, PayloadKeys, Rate, WindowRecord};

use super::{Cell, cell};

/// What decides which event has which time: the generator's schedule and keys.
#[derive(Debug, Clone, Copy)]
pub struct Timetable<'a> {
    pub settings: &'a TrialSettings,
    /// The keys of the user's own payloads, if these have any.
    pub payload_keys: Option<&'a PayloadKeys>,
}

/// What a timetable found in records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    /// Events whose number it found.
    pub found: u64,
    /// Events whose number could not be looked up, by window and key.
    pub unknown: BTreeMap<Cell, u64>,
}

impl Timetable<'_> {
    /// Adds the numbers of this generator's events to the records that have only their times. An event whose time is not on
    /// the schedule of its window and key is somebody else's, and stays without a number.
    pub(super) fn number(&self, generator: &GeneratorStats, records: &mut [WindowRecord]) -> Replayed {
        let mut replayed = Replayed::default();
        let wanted = records.iter().flat_map(|record| {
            let times = record.unnumbered_ns.iter();
            times.filter_map(|time_ns| self.index(generator, record, *time_ns))
        });
        let wanted: BTreeSet<u64> = wanted.collect();
        // By index: the number, and the key as the reduce sees it.
        let assigned = match wanted.is_empty() {
            true => BTreeMap::new(),
            false => self.assigned(&wanted),
        };
        for record in records {
            let of = cell(record);
            let mut not_looked_up = record.unnumbered;
            for time_ns in std::mem::take(&mut record.unnumbered_ns) {
                // Without the time of event 0 none can be looked up.
                not_looked_up = not_looked_up.saturating_sub(u64::from(generator.t0_ns.is_some()));
                let index = self.index(generator, record, time_ns);
                let assigned = index.and_then(|index| assigned.get(&index));
                let assigned = assigned.filter(|_| record.unnumbered > 0);
                let Some((_, number)) = assigned.filter(|(key, _)| *key == of.1) else {
                    record.unnumbered_ns.push(time_ns);
                    continue;
                };
                replayed.found += 1;
                record.unnumbered -= 1;
                let seen = record.seen.entry(generator.generator).or_default();
                record.repeated += u64::from(!seen.insert(*number));
            }
            if not_looked_up > 0 {
                let unknown = replayed.unknown.entry(of).or_default();
                *unknown = unknown.saturating_add(not_looked_up);
            }
        }
        replayed
    }

    /// Keys and numbers of these events, by index.
    fn assigned(&self, indices: &BTreeSet<u64>) -> BTreeMap<u64, (String, u64)> {
        let Self {
            settings,
            payload_keys,
        } = *self;
        let keyed = settings.is_keyed();
        let keys = match payload_keys {
            Some(keys) => Keys::of_payloads(keys.names.clone(), keys.of_payloads.clone(), keyed),
            None => Keys::new(settings.keys, settings.key_skew, settings.seed, keyed),
        };
        let found = keys.clone().find(indices).into_iter();
        let named = |key| keys.reduce_name(keys.of_reduce(key)).to_owned();
        found
            .map(|(index, (key, number))| (index, (named(key), number)))
            .collect()
    }

    /// The index of the event with this time, if it was sent and is of the record's window.
    fn index(&self, generator: &GeneratorStats, record: &WindowRecord, time_ns: i64) -> Option<u64> {
        let time_ns = u64::try_from(time_ns).ok()?;
        let window = record.window_start_ms..record.window_end_ms;
        let index = Rate(self.settings.rpu).index_due_after_ns(time_ns.checked_sub(generator.t0_ns?)?)?;
        (index < generator.sent && window.contains(&(time_ns / 1_000_000))).then_some(index)
    }
}

#[cfg(test)]
mod tests;
