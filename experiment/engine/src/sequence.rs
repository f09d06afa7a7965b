//! Checks the sequence numbers of lines, so that a log that is read again from an earlier point, or after a broken
//! connection, is counted completely and without duplicates.

use std::collections::BTreeMap;

/// The next number of each process that writes lines.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    next: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    New,
    Repeated,
}

/// Missing lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub expected: u64,
    pub found: u64,
}

impl Sequence {
    /// The number of the next line of this process: 0 if none has been taken.
    pub fn next(&self, process: u64) -> u64 {
        self.next.get(&process).copied().unwrap_or(0)
    }

    /// Takes line `line` (from 0) of the process with the nonce `process`.
    ///
    /// # Errors
    /// Returns a [`Gap`] if lines before it are missing.
    pub fn take(&mut self, process: u64, line: u64) -> Result<Taken, Gap> {
        let next = self.next.entry(process).or_default();
        match line {
            found if found > *next => Err(Gap {
                expected: *next,
                found,
            }),
            found if found < *next => Ok(Taken::Repeated),
            _ => {
                *next += 1;
                Ok(Taken::New)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A log of several processes is read in pieces that overlap.
        #[test]
        fn pieces_that_overlap_make_the_whole(
            lengths in proptest::collection::vec(0u64..20, 1..4),
            restarts in proptest::collection::vec((0usize..80, 0usize..80), 0..6),
        ) {
            let log: Vec<(u64, u64)> = (0u64..)
                .zip(&lengths)
                .flat_map(|(process, length)| (0..*length).map(move |line| (process, line)))
                .collect();
            let mut sequence = Sequence::default();
            let mut taken = Vec::new();
            let mut read_to = 0;
            for (back, on) in restarts.into_iter().chain([(usize::MAX, usize::MAX)]) {
                let from = read_to - back.min(read_to);
                let to = read_to.saturating_add(on).min(log.len());
                for (process, line) in &log[from..to] {
                    if sequence.take(*process, *line) == Ok(Taken::New) {
                        taken.push((*process, *line));
                    }
                }
                read_to = to;
            }
            prop_assert_eq!(taken, log);
        }

        #[test]
        fn a_missing_line_is_a_gap(length in 2u64..20, missing in 0u64..19) {
            let missing = missing.min(length - 2);
            let mut sequence = Sequence::default();
            let results: Vec<_> = (0..length).filter(|line| *line != missing).map(|line| sequence.take(7, line)).collect();
            let gap = Err(Gap { expected: missing, found: missing + 1 });
            prop_assert_eq!(results.iter().position(|result| result.is_err()), Some(missing as usize));
            prop_assert_eq!(results[missing as usize], gap);
        }
    }
}
