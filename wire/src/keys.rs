//! Assigns each event its key and its number within that key: round robin, skewed by Zipf's law with a seed, or as the
//! user's own payloads say. All follow from the event's index, so the same settings give the same keys on every run, and
//! the experiment finds them again. For an unkeyed reduce, which sees one key, the number is the index.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use crate::UNKEYED;

/// Assigns keys to events in the order of their index.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Names by key.
    names: Vec<String>,
    choice: Choice,
    keyed: bool,
}

#[derive(Debug, Clone)]
enum Choice {
    RoundRobin,
    Zipf {
        seed: u64,
        /// By key: the fraction of events whose key is this one or a lower one.
        cumulative: Vec<f64>,
        /// Events so far, by key.
        counts: Vec<u64>,
    },
    OfPayloads {
        /// By payload; payloads come in turn.
        keys: Vec<u32>,
        /// Events so far, by key.
        counts: Vec<u64>,
    },
}

impl Keys {
    /// Creates `count` keys. With a `skew` above 0, key *k* gets a fraction of the events proportional to
    /// 1 / (*k* + 1)^skew. Unless `keyed`, events are numbered over all keys.
    pub fn new(count: NonZeroU64, skew: f64, seed: u64, keyed: bool) -> Self {
        let count = count.get();
        let names = (0..count).map(|key| format!("key-{key}")).collect();
        let choice = if skew > 0.0 {
            Choice::Zipf {
                seed,
                cumulative: zipf(count, skew),
                counts: vec![0; count as usize],
            }
        } else {
            Choice::RoundRobin
        };
        Self { names, choice, keyed }
    }

    /// The keys of payloads that are sent in turn: their names, and the key of each payload, of which there is at least one.
    pub fn of_payloads(names: Vec<String>, keys: Vec<u32>, keyed: bool) -> Self {
        let counts = vec![0; names.len()];
        Self {
            names,
            choice: Choice::OfPayloads { keys, counts },
            keyed,
        }
    }

    /// Returns the key of the event `index`, and its number. Must be called once for every index, from 0 on.
    pub fn assign(&mut self, index: u64) -> (u32, u64) {
        let (key, number) = self.choose(index);
        (key, if self.keyed { number } else { index })
    }

    /// Returns key and number of these indices, by index. Unless the keys take turns, it takes the time of assigning every
    /// index up to the last of them. Must be called on keys that have not been assigned yet.
    pub fn find(mut self, indices: &BTreeSet<u64>) -> BTreeMap<u64, (u32, u64)> {
        let counted = !matches!(self.choice, Choice::RoundRobin);
        let mut next = 0;
        let mut find = |index: u64| {
            if counted {
                for before in next..index {
                    self.assign(before);
                }
                next = index + 1;
            }
            (index, self.assign(index))
        };
        indices.iter().map(|index| find(*index)).collect()
    }

    /// The key, and the number within it.
    fn choose(&mut self, index: u64) -> (u32, u64) {
        match &mut self.choice {
            Choice::RoundRobin => {
                let keys = self.names.len() as u64;
                ((index % keys) as u32, index / keys)
            }
            Choice::Zipf {
                seed,
                cumulative,
                counts,
            } => {
                let position = uniform(*seed, index);
                let key = cumulative
                    .partition_point(|upto| *upto <= position)
                    .min(counts.len() - 1);
                (key as u32, take(&mut counts[key]))
            }
            Choice::OfPayloads { keys, counts } => {
                let key = keys[(index % keys.len() as u64) as usize];
                (key, take(&mut counts[key as usize]))
            }
        }
    }

    /// The name of a key.
    pub fn name(&self, key: u32) -> &str {
        &self.names[key as usize]
    }

    /// The key that the reduce sees in place of this one.
    pub fn of_reduce(&self, key: u32) -> u32 {
        if self.keyed { key } else { 0 }
    }

    /// The name of a key that the reduce sees.
    pub fn reduce_name(&self, key: u32) -> &str {
        if self.keyed { self.name(key) } else { UNKEYED }
    }
}

/// The next number of a key.
fn take(count: &mut u64) -> u64 {
    let number = *count;
    *count += 1;
    number
}

fn zipf(count: u64, skew: f64) -> Vec<f64> {
    let mut cumulative: Vec<f64> = (1..=count)
        .scan(0.0, |sum, rank| {
            *sum += (rank as f64).powf(-skew);
            Some(*sum)
        })
        .collect();
    let total = cumulative.last().copied().unwrap_or(1.0);
    cumulative.iter_mut().for_each(|upto| *upto /= total);
    cumulative
}

/// A number in [0, 1) from seed and index.
fn uniform(seed: u64, index: u64) -> f64 {
    (crate::splitmix64(seed, index) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn keys(count: u64, skew: f64, seed: u64) -> Keys {
        Keys::new(NonZeroU64::new(count).unwrap(), skew, seed, true)
    }

    #[test]
    fn round_robin_gives_every_key_its_turn() {
        let mut keys = keys(3, 0.0, 0);
        let assigned: Vec<(u32, u64)> = (0..7).map(|index| keys.assign(index)).collect();
        assert_eq!(assigned, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]);
        assert_eq!(keys.name(2), "key-2");
    }

    #[test]
    fn zipf_fractions_are_as_expected() {
        let mut keys = keys(4, 1.0, 7);
        let events = 100_000;
        let mut counts = [0u64; 4];
        for index in 0..events {
            counts[keys.assign(index).0 as usize] += 1;
        }
        let total = 1.0 + 1.0 / 2.0 + 1.0 / 3.0 + 1.0 / 4.0;
        for (key, count) in counts.iter().enumerate() {
            let expected = events as f64 / (key as f64 + 1.0) / total;
            // Five standard deviations of the binomial distribution; the seed is fixed.
            let margin = 5.0 * expected.sqrt();
            assert!(
                (*count as f64 - expected).abs() < margin,
                "key {key}: {count} instead of {expected}"
            );
        }
    }

    #[test]
    fn without_keys_in_the_reduce_events_are_numbered_over_all_of_them() {
        for skew in [0.0, 1.5] {
            let mut unkeyed = Keys::new(NonZeroU64::new(3).unwrap(), skew, 7, false);
            let mut keyed = keys(3, skew, 7);
            for index in 0..100 {
                let (key, number) = unkeyed.assign(index);
                assert_eq!((key, number), (keyed.assign(index).0, index));
                assert_eq!((unkeyed.of_reduce(key), unkeyed.reduce_name(0)), (0, UNKEYED));
                assert_eq!(
                    unkeyed.name(key),
                    format!("key-{key}"),
                    "the message keeps its key"
                );
            }
        }
    }

    #[test]
    fn payloads_bring_their_keys_again_in_each_round() {
        let names = || ["u1", "u2"].map(str::to_owned).to_vec();
        let mut keys = Keys::of_payloads(names(), vec![0, 1, 0], true);
        let assigned: Vec<(u32, u64)> = (0..7).map(|index| keys.assign(index)).collect();
        assert_eq!(assigned, [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (0, 3), (0, 4)]);
        assert_eq!(keys.name(1), "u2");
        let mut unkeyed = Keys::of_payloads(names(), vec![0, 1, 0], false);
        let assigned: Vec<(u32, u64)> = (0..4).map(|index| unkeyed.assign(index)).collect();
        assert_eq!(assigned, [(0, 0), (1, 1), (0, 2), (0, 3)]);
    }

    #[test]
    fn the_steepest_skew_leaves_only_the_first_key() {
        let mut keys = keys(1_000, f64::MAX, 1);
        assert!((0..1_000).all(|index| keys.assign(index) == (0, index)));
    }

    fn shape() -> impl Strategy<Value = Keys> {
        let counted = (
            1u64..50,
            prop_oneof![Just(0.0), 0.1f64..4.0],
            any::<u64>(),
            any::<bool>(),
        );
        let counted = counted.prop_map(|(count, skew, seed, keyed)| {
            Keys::new(NonZeroU64::new(count).unwrap(), skew, seed, keyed)
        });
        let payloads = (proptest::collection::vec(0u32..5, 1..30), any::<bool>());
        let payloads = payloads.prop_map(|(keys, keyed)| {
            Keys::of_payloads((0..5).map(|key| format!("u{key}")).collect(), keys, keyed)
        });
        prop_oneof![counted, payloads]
    }

    proptest! {
        #[test]
        fn any_indices_are_found_as_they_were_assigned(keys in shape(), indices in proptest::collection::btree_set(0u64..300, 0..60)) {
            let mut assigning = keys.clone();
            let assigned: Vec<(u32, u64)> = (0..300).map(|index| assigning.assign(index)).collect();
            let found = keys.find(&indices);
            prop_assert!(found.keys().eq(&indices));
            for (index, of_event) in found {
                prop_assert_eq!(of_event, assigned[index as usize]);
            }
        }

        #[test]
        fn numbers_of_a_key_are_gapless_and_a_seed_decides(count in 1u64..50, skew in 0.0f64..4.0, seed: u64) {
            let (mut one, mut two) = (keys(count, skew, seed), keys(count, skew, seed));
            let mut next: HashMap<u32, u64> = HashMap::new();
            for index in 0..500 {
                let (key, number) = one.assign(index);
                prop_assert!(u64::from(key) < count);
                let expected = next.entry(key).or_default();
                prop_assert_eq!(number, *expected);
                *expected += 1;
                prop_assert_eq!(two.assign(index), (key, number));
            }
        }
    }
}
