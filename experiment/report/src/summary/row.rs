//! One row of the summary: the trials of one cell and series, merged. Windows of failed trials are in no figure.

use std::time::Duration;

use wire::OutcomeCounts;

use super::percentiles::Percentiles;
use super::share::StreamShare;
use trials::condition::{Condition, condition};
use trials::outcome::{Cost, TrialEnd, TrialOutcome, WindowMeasure, WindowResult};
use trials::predict::{Prediction, Verdict};

/// A prediction of the close tail is met within this or [`TAIL_TOLERANCE_SHARE`], whichever is more.
pub const TAIL_TOLERANCE: Duration = Duration::from_millis(20);

/// See [`TAIL_TOLERANCE`].
pub const TAIL_TOLERANCE_SHARE: f64 = 0.1;

/// The trials of one cell and series.
#[derive(Debug)]
pub struct Row<'a> {
    /// Position of its cell in the summary.
    pub cell: usize,
    /// Position of its series in the summary.
    pub series: usize,
    /// Its trials by repeat; never empty.
    pub trials: Vec<&'a TrialOutcome>,
    /// How many of them failed.
    pub failed_trials: usize,
    /// Windows measured, warm-up left out.
    pub measured: u64,
    /// Windows censored, warm-up left out.
    pub censored: u64,
    /// Close tail of the measured windows; absent where there is none.
    pub close_tail: Option<Spread>,
    /// Execution time of the measured windows.
    pub execution_time: Option<Spread>,
    /// Result lag of the measured windows.
    pub result_lag: Option<Spread>,
    /// What stream and data plane add to a close; absent where no window tells.
    pub stream_share: Option<StreamShare>,
    /// Highest number of calls in flight at once of any key.
    pub peak_in_flight: Option<u64>,
    /// Latency of the calls, merged.
    pub latency: Percentiles,
    /// Waiting for a slot, merged.
    pub slot_wait: Percentiles,
    /// Calls by how they ended, of all trials, failed ones included.
    pub outcomes: OutcomeCounts,
    /// Where the events went, of all trials that have a ledger.
    pub ledger: Option<LedgerSum>,
    /// What it cost: processor time and calls added, peaks the highest; absent where no trial was measured.
    pub cost: Option<Cost>,
    /// Whether it kept up; absent where its trials failed.
    pub condition: Option<Condition>,
}

/// Middle and ends of a number of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// The median; the mean of the middle two for an even number.
    pub median: Duration,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

/// Measurement against prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// The verdict was right.
    Agrees,
    /// The verdict was wrong.
    Disagrees,
    /// `critical` was expected: at the edge both may happen.
    Undecided,
}

/// The ledgers of a row's trials, added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerSum {
    /// Trials that have one.
    pub trials: usize,
    /// Trials whose ledger balances.
    pub balanced: usize,
    /// Events offered.
    pub offered: u64,
    /// Events lost.
    pub lost: u64,
    /// Events repeated.
    pub repeated: u64,
}

impl<'a> Row<'a> {
    pub(super) fn new(cell: usize, series: usize, trials: Vec<&'a TrialOutcome>) -> Self {
        let sound: Vec<&TrialOutcome> = trials
            .iter()
            .copied()
            .filter(|outcome| !failed(outcome))
            .collect();
        let windows: Vec<&WindowResult> = sound
            .iter()
            .flat_map(|outcome| &outcome.windows)
            .filter(|window| !window.warmup)
            .collect();
        let measures: Vec<&WindowMeasure> = windows.iter().filter_map(|w| w.measured.as_ref()).collect();
        let spread = |of: fn(&WindowMeasure) -> u64| Spread::of(measures.iter().map(|m| of(m)).collect());
        let mut outcomes = OutcomeCounts::new();
        for (outcome, calls) in trials.iter().flat_map(|trial| &trial.outcomes) {
            *outcomes.entry(*outcome).or_default() += calls;
        }
        Self {
            cell,
            series,
            failed_trials: trials.len() - sound.len(),
            measured: measures.len() as u64,
            censored: (windows.len() - measures.len()) as u64,
            close_tail: spread(|measure| measure.close_tail_us),
            execution_time: spread(|measure| measure.execution_time_us),
            result_lag: spread(|measure| measure.result_lag_us),
            stream_share: StreamShare::of(measures.iter().copied()),
            peak_in_flight: measures.iter().map(|measure| measure.peak_in_flight).max(),
            latency: Percentiles::of(sound.iter().map(|outcome| &outcome.latency)),
            slot_wait: Percentiles::of(sound.iter().map(|outcome| &outcome.slot_wait)),
            outcomes,
            ledger: LedgerSum::of(&trials),
            cost: cost(&sound),
            condition: condition(&sound),
            trials,
        }
    }

    /// The measured windows of its trials, but for failed ones and warm-up.
    pub(super) fn measures(&self) -> impl Iterator<Item = &'a WindowMeasure> {
        let sound = self.trials.iter().copied().filter(|outcome| !failed(outcome));
        let windows = sound
            .flat_map(|outcome| &outcome.windows)
            .filter(|window| !window.warmup);
        windows.filter_map(|window| window.measured.as_ref())
    }

    /// What was expected; the same for all repeats.
    pub fn prediction(&self) -> Option<&'a Prediction> {
        self.trials.first().map(|outcome| &outcome.prediction)
    }

    /// Whether the verdict was right; absent where nothing was measured.
    pub fn agreement(&self) -> Option<Agreement> {
        let verdict = self.prediction()?.verdict;
        Some(match (verdict, self.condition?) {
            (Verdict::Critical, _) => Agreement::Undecided,
            (Verdict::KeepsUp, Condition::KeptUp) => Agreement::Agrees,
            (Verdict::Cannot, Condition::FellBehind | Condition::Censored) => Agreement::Agrees,
            (Verdict::KeepsUp | Verdict::Cannot, _) => Agreement::Disagrees,
        })
    }

    /// Predicted and measured median close tail, where there are both and no window is censored.
    pub fn tails(&self) -> Option<(Duration, Duration)> {
        let predicted = self.prediction()?.close_tail()?;
        (self.censored == 0).then_some((predicted, self.close_tail?.median))
    }

    /// Whether the median close tail was as predicted, within the tolerance; absent where there is no such pair.
    pub fn tail_as_predicted(&self) -> Option<bool> {
        let (predicted, measured) = self.tails()?;
        let tolerance = TAIL_TOLERANCE.max(predicted.mul_f64(TAIL_TOLERANCE_SHARE));
        Some(predicted.abs_diff(measured) <= tolerance)
    }

    /// Windows that should have given a result: measured and censored.
    pub fn windows(&self) -> u64 {
        self.measured + self.censored
    }

    /// Whether every trial of the row failed.
    pub fn all_failed(&self) -> bool {
        self.failed_trials == self.trials.len()
    }
}

impl Spread {
    /// Of microseconds; nothing where there is none.
    pub fn of(mut micros: Vec<u64>) -> Option<Self> {
        micros.sort_unstable();
        let (min, max) = (*micros.first()?, *micros.last()?);
        let (low, high) = (micros[(micros.len() - 1) / 2], micros[micros.len() / 2]);
        Some(Self {
            median: Duration::from_micros(low + (high - low) / 2),
            min: Duration::from_micros(min),
            max: Duration::from_micros(max),
        })
    }
}

impl LedgerSum {
    fn of(trials: &[&TrialOutcome]) -> Option<Self> {
        let ledgers: Vec<_> = trials
            .iter()
            .filter_map(|outcome| outcome.ledger.as_ref())
            .collect();
        (!ledgers.is_empty()).then(|| Self {
            trials: ledgers.len(),
            balanced: ledgers.iter().filter(|ledger| ledger.balances()).count(),
            offered: ledgers.iter().map(|ledger| ledger.offered).sum(),
            lost: ledgers.iter().map(|ledger| ledger.lost).sum(),
            repeated: ledgers.iter().map(|ledger| ledger.repeated).sum(),
        })
    }
}

pub(crate) fn failed(outcome: &TrialOutcome) -> bool {
    matches!(outcome.end, TrialEnd::Failed { .. })
}

fn cost(sound: &[&TrialOutcome]) -> Option<Cost> {
    let costs = sound.iter().filter_map(|outcome| outcome.cost.as_ref());
    costs.cloned().reduce(|sum, one| Cost {
        cpu_us: sum.cpu_us + one.cpu_us,
        calls: sum.calls + one.calls,
        peak_memory_bytes: sum.peak_memory_bytes.max(one.peak_memory_bytes),
        peak_threads: sum.peak_threads.max(one.peak_threads),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_between_its_ends() {
        let spread = Spread::of(vec![30, 10, 20, 40]);
        let micros = Duration::from_micros;
        assert_eq!(
            spread,
            Some(Spread {
                median: micros(25),
                min: micros(10),
                max: micros(40)
            })
        );
        assert_eq!(Spread::of(vec![]), None);
        assert_eq!(
            Spread::of(vec![u64::MAX, u64::MAX]).map(|s| s.median),
            Some(micros(u64::MAX))
        );
    }
}
