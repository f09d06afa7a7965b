//! A search for the capacity of a cell (the highest RPU that it sustains) or its demand (the least `max_workers`): which
//! level the next trial has, and the bracket that the trials leave. Pure: what the trials of a level say is passed in.
//!
//! An overloaded trial tells by how much, which gives the next level. Without that it goes on by factors, each the square
//! of the one before, until one level is sustained and one is not, and then bisects the ratio.

mod effort;
mod quantity;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

pub use effort::{Effort, SearchFacts};
pub use quantity::Quantity;

/// How often a level that is undecided is repeated.
pub const REPEATS: u32 = 3;

/// So many levels in a row outwards may stay undecided; then the measurements are too noisy to go on.
const MOST_UNDECIDED: usize = 3;

/// How far on the easier side of the estimated limit a level is tried, as a part of the bracket that is close enough.
const EASIER: f64 = 0.4;

/// What the trials of a level say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Sustained,
    NotSustained,
    Undecided,
}

/// The level of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub level: u64,
    /// How often the level has been tried before.
    pub repeat: u32,
}

/// What a search has found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// The limit lies between two levels that are close to each other.
    Limit,
    /// Between the two levels, or beyond the one, lie some that all repeats left undecided.
    Undecided,
    /// The hardest level that can be tried is sustained: the largest RPU, or one worker.
    Everything,
    /// The easiest level that can be tried is not sustained: an RPU of one event per window, or the most workers.
    Nothing,
    /// It has ended before.
    Unfinished,
}

/// The levels around the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bracket {
    /// The hardest level that is sustained.
    pub sustained: Option<u64>,
    /// The easiest level that is not.
    pub not_sustained: Option<u64>,
    /// Where the limit is by how far that is beyond it, if its trials tell.
    pub measured: Option<f64>,
    pub found: Found,
    /// Trials so far.
    pub trials: u32,
}

/// A search in one cell.
#[derive(Debug, Clone)]
pub struct Search {
    quantity: Quantity,
    first: u64,
    range: RangeInclusive<u64>,
    precision: f64,
    levels: BTreeMap<u64, Level>,
    ended: bool,
}

/// What is known of a level.
#[derive(Debug, Clone, Copy)]
struct Level {
    answer: Answer,
    trials: u32,
    /// Where the limit is by its trials.
    estimate: Option<f64>,
}

/// The levels that decide where the next one is.
#[derive(Debug, Clone, Copy)]
struct State {
    sustained: Option<u64>,
    not_sustained: Option<u64>,
    /// Where the limit is by the trials at `not_sustained`.
    estimate: Option<f64>,
    /// The easiest and the hardest of the levels between them that all repeats left undecided.
    undecided: Option<(u64, u64)>,
    /// How many of those there are.
    undecided_levels: usize,
}

impl Search {
    /// Begins at `first`, or the level of the range that is closest to it, and ends when the ratio of the bracket's ends is
    /// `precision` at most.
    pub fn new(quantity: Quantity, first: u64, range: RangeInclusive<u64>, precision: f64) -> Self {
        Self {
            quantity,
            first: first.clamp(*range.start(), *range.end()),
            range,
            precision,
            levels: BTreeMap::new(),
            ended: false,
        }
    }

    /// The next trial; `None` if the search has ended.
    pub fn next(&self) -> Option<Step> {
        if self.ended {
            return None;
        }
        let state = self.state();
        let to_repeat = self.levels.iter().find(|(level, known)| {
            known.answer == Answer::Undecided && known.trials <= REPEATS && self.is_within(&state, **level)
        });
        if let Some((&level, known)) = to_repeat {
            return Some(Step {
                level,
                repeat: known.trials,
            });
        }
        self.level(&state).map(|level| Step {
            level,
            repeat: self.levels.get(&level).map_or(0, |known| known.trials),
        })
    }

    /// Takes what all trials of a level so far say of it, after one more: by which factor it is beyond the limit if it is
    /// not sustained and they tell.
    pub fn take(&mut self, level: u64, answer: Answer, overload: Option<f64>) {
        let estimate = overload
            .filter(|_| answer == Answer::NotSustained)
            .map(|overload| self.quantity.easier_by(level as f64, overload));
        let trials = self.levels.get(&level).map_or(0, |known| known.trials) + 1;
        self.levels.insert(
            level,
            Level {
                answer,
                trials,
                estimate,
            },
        );
    }

    /// Ends the search: no further level can change what was found, such as more workers where the machine is the limit.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// How many trials are left, about.
    pub fn expected_trials(&self) -> u32 {
        let state = self.state();
        let ratio = match (self.next(), state.sustained, state.not_sustained) {
            (None, ..) => return 0,
            (_, Some(easy), Some(hard)) => ratio(easy, hard),
            // As if the next two levels were the bracket.
            _ => return 3,
        };
        (ratio.ln() / self.precision.ln()).log2().ceil().max(1.0) as u32
    }

    pub fn bracket(&self) -> Bracket {
        let State {
            sustained,
            not_sustained,
            estimate,
            undecided,
            ..
        } = self.state();
        let found = match (self.next(), sustained, not_sustained) {
            (Some(_), ..) => Found::Unfinished,
            (None, Some(easy), Some(hard)) if self.is_close(easy, hard) => Found::Limit,
            (None, Some(_), None) if undecided.is_none() => Found::Everything,
            (None, None, Some(_)) if undecided.is_none() => Found::Nothing,
            (None, ..) => Found::Undecided,
        };
        Bracket {
            sustained,
            not_sustained,
            measured: estimate,
            found,
            trials: self.levels.values().map(|known| known.trials).sum(),
        }
    }

    fn state(&self) -> State {
        let of = |answer: Answer| {
            let levels = self
                .levels
                .iter()
                .filter(move |(_, known)| known.answer == answer);
            levels.map(|(level, _)| *level)
        };
        let harder = |one: u64, other: u64| self.quantity.other_is_harder(one, other);
        let easiest = |one: u64, other: u64| if harder(other, one) { other } else { one };
        let hardest = |one: u64, other: u64| if harder(one, other) { other } else { one };
        let not_sustained = of(Answer::NotSustained).reduce(easiest);
        let sustained = of(Answer::Sustained)
            .filter(|level| not_sustained.is_none_or(|not| harder(*level, not)))
            .reduce(hardest);
        let mut state = State {
            sustained,
            not_sustained,
            estimate: not_sustained.and_then(|level| self.levels.get(&level)?.estimate),
            undecided: None,
            undecided_levels: 0,
        };
        let undecided: Vec<u64> = of(Answer::Undecided)
            .filter(|level| self.is_within(&state, *level))
            .collect();
        let ends = undecided.iter().copied();
        state.undecided = ends.clone().reduce(easiest).zip(ends.reduce(hardest));
        state.undecided_levels = undecided.len();
        state
    }

    /// Whether a level lies between the ends of the bracket, as far as there are any.
    fn is_within(&self, state: &State, level: u64) -> bool {
        let harder = |one: u64, other: u64| self.quantity.other_is_harder(one, other);
        state.sustained.is_none_or(|easy| harder(easy, level))
            && state.not_sustained.is_none_or(|hard| harder(level, hard))
    }

    /// The level to try next; `None` at the end.
    fn level(&self, state: &State) -> Option<u64> {
        if self.levels.is_empty() {
            return Some(self.first);
        }
        let (zone_easy, zone_hard) = state.undecided.unzip();
        match (state.sustained, state.not_sustained) {
            (Some(easy), Some(hard)) if self.is_close(easy, hard) => None,
            (Some(easy), Some(hard)) => match state.undecided {
                None => self.by_estimate(state).or_else(|| middle(easy, hard)),
                Some((zone_easy, zone_hard)) => self.around(easy, zone_easy, zone_hard, hard),
            },
            _ if state.undecided_levels >= MOST_UNDECIDED => None,
            (None, hard) => {
                let from = zone_easy.or(hard).unwrap_or(self.first);
                let level = match state.undecided {
                    None => self.by_estimate(state),
                    Some(_) => None,
                };
                let level = level.unwrap_or_else(|| self.quantity.easier(from, self.stride()));
                self.within_range(level, from)
            }
            (Some(easy), None) => {
                let from = zone_hard.unwrap_or(easy);
                self.within_range(self.quantity.harder_within(from, self.stride()), from)
            }
        }
    }

    /// A level beside the estimated limit, if it lies within the bracket: first on its easier side. From there it goes on
    /// harder until one is not sustained: so far that the bracket is close, then by factors, each the square of the one before.
    fn by_estimate(&self, state: &State) -> Option<u64> {
        let estimate = state.estimate?;
        let easier = self.quantity.easier_by(estimate, self.precision.powf(EASIER));
        let easier = self.quantity.rounded_easier(easier);
        if self.range.contains(&easier) && self.is_within(state, easier) {
            return Some(easier);
        }
        let (easy, hard) = state.sustained.zip(state.not_sustained)?;
        let is_further = |level: &&u64| !self.quantity.other_is_harder(**level, easier);
        let sustained = self
            .levels
            .iter()
            .filter(|(_, known)| known.answer == Answer::Sustained);
        let further = sustained.map(|(level, _)| level).filter(is_further).count();
        let factor = self
            .precision
            .powf(2f64.powi(i32::try_from(further).unwrap_or(i32::MAX) - 1));
        let harder = self.quantity.harder_within(easy, factor);
        let middle = middle(easy, hard)?;
        Some(if self.quantity.other_is_harder(harder, middle) {
            harder
        } else {
            middle
        })
    }

    /// The middle of the wider part of the bracket beside the undecided levels; `None` if both are narrow.
    fn around(&self, easy: u64, zone_easy: u64, zone_hard: u64, hard: u64) -> Option<u64> {
        [(easy, zone_easy), (zone_hard, hard)]
            .into_iter()
            .filter(|(one, other)| ratio(*one, *other) > self.precision.sqrt())
            .filter_map(|(one, other)| Some((ratio(one, other), middle(one, other)?)))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, middle)| middle)
    }

    /// The factor of this step outwards: the square of the one before.
    fn stride(&self) -> f64 {
        let before = i32::try_from(self.levels.len()).unwrap_or(i32::MAX) - 1;
        self.quantity.first_factor(self.precision).powf(2f64.powi(before))
    }

    /// The level, or the end of the range; `None` if that has been tried.
    fn within_range(&self, level: u64, from: u64) -> Option<u64> {
        let level = level.clamp(*self.range.start(), *self.range.end());
        (level != from).then_some(level)
    }

    fn is_close(&self, one: u64, other: u64) -> bool {
        one.abs_diff(other) <= 1 || ratio(one, other) <= self.precision
    }
}

impl Bracket {
    /// Where the limit is in the bracket: as measured, else in the middle by ratio; `None` if one of its ends is missing.
    pub fn estimate(&self) -> Option<f64> {
        let (sustained, not) = self.sustained.zip(self.not_sustained)?;
        let (low, high) = (sustained.min(not) as f64, sustained.max(not) as f64);
        Some(
            self.measured
                .map_or((low * high).sqrt(), |limit| limit.clamp(low, high)),
        )
    }
}

fn ratio(one: u64, other: u64) -> f64 {
    one.max(other) as f64 / one.min(other).max(1) as f64
}

/// The level between two by ratio; `None` if they are neighbours.
fn middle(one: u64, other: u64) -> Option<u64> {
    let (low, high) = (one.min(other), one.max(other));
    let middle = (low as f64 * high as f64).sqrt().round() as u64;
    (high - low > 1).then(|| middle.clamp(low + 1, high - 1))
}
