//! A set of numbers as ranges. Events are recorded by number, so that lost and repeated events are found by name
//! rather than inferred from counts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of `u64`, held and written as ascending inclusive ranges: `0-99,120`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Ascending, disjoint and not adjacent.
    parts: Vec<(u64, u64)>,
}

/// Why a text is not a set of ranges.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a list of ranges like 0-99,120")]
pub struct RangesError(String);

impl Ranges {
    /// The numbers from `first` to `last`, both included; empty if `last < first`.
    pub fn span(first: u64, last: u64) -> Self {
        Self {
            parts: if first <= last {
                vec![(first, last)]
            } else {
                Vec::new()
            },
        }
    }

    /// Adds a number; returns `false` if it was there already. Appending in order takes constant time.
    pub fn insert(&mut self, number: u64) -> bool {
        let after = match self.parts.last() {
            Some((_, end)) if *end < number => self.parts.len(),
            _ => self.parts.partition_point(|(start, _)| *start <= number),
        };
        if after > 0 {
            let (_, end) = self.parts[after - 1];
            if number <= end {
                return false;
            }
            if number == end + 1 {
                self.parts[after - 1].1 = number;
                if let Some((start, next_end)) = self.parts.get(after).copied()
                    && start == number + 1
                {
                    self.parts[after - 1].1 = next_end;
                    self.parts.remove(after);
                }
                return true;
            }
        }
        match self.parts.get_mut(after) {
            Some((start, _)) if *start > 0 && *start - 1 == number => *start = number,
            _ => self.parts.insert(after, (number, number)),
        }
        true
    }

    /// Whether the number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let after = self.parts.partition_point(|(start, _)| *start <= number);
        after > 0 && number <= self.parts[after - 1].1
    }

    /// Number of elements, saturating at `u64::MAX`.
    pub fn len(&self) -> u64 {
        let lengths = self
            .parts
            .iter()
            .map(|(start, end)| (end - start).saturating_add(1));
        lengths.fold(0, u64::saturating_add)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The ranges, ascending.
    pub fn parts(&self) -> &[(u64, u64)] {
        &self.parts
    }

    /// The numbers in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.parts.iter().peekable(), other.parts.iter().peekable());
        let mut parts = Vec::new();
        while let (Some((a0, a1)), Some((b0, b1))) = (a.peek(), b.peek()) {
            let (start, end) = (*a0.max(b0), *a1.min(b1));
            if start <= end {
                parts.push((start, end));
            }
            if a1 < b1 {
                a.next()
            } else {
                b.next()
            };
        }
        Self { parts }
    }

    /// The numbers in this set that are not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        let mut parts = Vec::new();
        let mut others = other.parts.iter().copied().peekable();
        for (mut start, end) in self.parts.iter().copied() {
            let mut used_up = false;
            while let Some((o0, o1)) = others.peek().copied() {
                if o1 < start {
                    others.next();
                    continue;
                }
                if o0 > end {
                    break;
                }
                if o0 > start {
                    parts.push((start, o0 - 1));
                }
                if o1 >= end {
                    used_up = true;
                    break;
                }
                start = o1 + 1;
                others.next();
            }
            if !used_up {
                parts.push((start, end));
            }
        }
        Self { parts }
    }

    /// The numbers in either set.
    pub fn union(&self, other: &Self) -> Self {
        let mut all: Vec<(u64, u64)> = self.parts.iter().chain(&other.parts).copied().collect();
        all.sort_unstable();
        let mut parts: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for (start, end) in all {
            match parts.last_mut() {
                Some((_, last)) if start <= last.saturating_add(1) => *last = (*last).max(end),
                _ => parts.push((start, end)),
            }
        }
        Self { parts }
    }
}

impl FromIterator<u64> for Ranges {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut ranges = Self::default();
        for number in numbers {
            ranges.insert(number);
        }
        ranges
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (start, end)) in self.parts.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            if start == end {
                write!(f, "{comma}{start}")?;
            } else {
                write!(f, "{comma}{start}-{end}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Ranges {
    type Err = RangesError;

    fn from_str(text: &str) -> Result<Self, RangesError> {
        let error = || RangesError(text.to_owned());
        let mut parts: Vec<(u64, u64)> = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (start, end) = part.split_once('-').unwrap_or((part, part));
            let start: u64 = start.parse().map_err(|_| error())?;
            let end: u64 = end.parse().map_err(|_| error())?;
            let ascending = parts
                .last()
                .is_none_or(|(_, last)| last.checked_add(1).is_some_and(|gap| gap < start));
            if end < start || !ascending {
                return Err(error());
            }
            parts.push((start, end));
        }
        Ok(Self { parts })
    }
}

impl Serialize for Ranges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set(a in proptest::collection::vec(0u64..60, 0..60), b in proptest::collection::vec(0u64..60, 0..60)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for number in &a {
                prop_assert_eq!(ranges.insert(*number), set.insert(*number));
            }
            let (other, other_set): (Ranges, BTreeSet<u64>) = (b.iter().copied().collect(), b.iter().copied().collect());
            let as_ranges = |set: &mut dyn Iterator<Item = u64>| set.collect::<Ranges>();
            prop_assert_eq!(ranges.len(), set.len() as u64);
            prop_assert_eq!(ranges.difference(&other), as_ranges(&mut set.difference(&other_set).copied()));
            prop_assert_eq!(ranges.intersection(&other), as_ranges(&mut set.intersection(&other_set).copied()));
            prop_assert_eq!(ranges.union(&other), as_ranges(&mut set.union(&other_set).copied()));
            for number in 0..60 {
                prop_assert_eq!(ranges.contains(number), set.contains(&number));
            }
            prop_assert!(ranges.parts().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert_eq!(ranges.to_string().parse::<Ranges>(), Ok(ranges));
        }

        #[test]
        fn a_text_is_read_as_what_it_says_or_refused(alike in "[0-9,-]{0,60}", any in "\\PC{0,60}") {
            for text in [alike, any] {
                if let Ok(ranges) = text.parse::<Ranges>() {
                    prop_assert_eq!(ranges.to_string().parse::<Ranges>(), Ok(ranges));
                }
            }
        }
    }

    #[test]
    fn the_largest_number_is_a_number() {
        let mut ranges = Ranges::span(u64::MAX - 1, u64::MAX - 1);
        assert!(ranges.insert(u64::MAX));
        assert!(!ranges.insert(u64::MAX));
        assert_eq!(ranges.len(), 2);
        let all: Ranges = "0-18446744073709551615".parse().unwrap();
        assert_eq!(all.len(), u64::MAX);
    }
}
