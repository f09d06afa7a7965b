//! One row of the summary: the merged trials of one cell and series. Windows of failed trials are left out.

use std::cell::OnceCell;
use std::num::NonZeroUsize;
use std::time::Duration;

use trials::learn::explain;
use trials::outcome::{Cost, Instruments, TrialEnd, TrialOutcome, WindowMeasure, WindowResult};
use trials::predict::{self, Prediction};
use trials::trial::TrialSettings;
use trials::verdict::{Kind, Verdict};
use wire::{Calls, Outcome, OutcomeCounts, Workload};

use super::percentiles::Percentiles;
use super::repeats::Repeats;
use super::stream_overhead::StreamOverhead;

/// A predicted close tail is correct within this or [`TAIL_TOLERANCE_FRACTION`], whichever is more.
pub const TAIL_TOLERANCE: Duration = Duration::from_millis(20);

/// See [`TAIL_TOLERANCE`].
pub const TAIL_TOLERANCE_FRACTION: f64 = 0.1;

/// The trials of one cell and series.
#[derive(Debug)]
pub struct Row<'a> {
    /// Index of its cell in the summary.
    pub cell: usize,
    /// Index of its series in the summary.
    pub series: usize,
    /// Position along the x axis of the main chart, and of its line there.
    pub level: usize,
    pub line: usize,
    /// Its trials by repeat; never empty.
    pub trials: Vec<&'a TrialOutcome>,
    pub failed_trials: usize,
    /// Measured windows, without warm-up.
    pub measured: u64,
    /// Censored windows, without warm-up.
    pub censored: u64,
    /// Of the measured windows, like the following; `None` if there is none.
    pub close_tail: Option<Spread>,
    /// The close tail, unless it is of calls that failed or were not made.
    pub comparable_tail: Option<Spread>,
    /// The spread of the close tail over at least three repeats; `None` where `comparable_tail` is.
    pub repeats: Option<Repeats>,
    pub execution_time: Option<Spread>,
    pub result_lag: Option<Spread>,
    pub stream_overhead: Option<StreamOverhead>,
    /// Highest number of calls at the endpoint at once; `None` if it was not ours or there were no calls to it.
    pub peak_in_flight: Option<u64>,
    /// Highest number of calls in flight of any key and window.
    pub peak_per_key: Option<u64>,
    /// Of calls that succeeded, or of all where `failed_latency` is `None`.
    pub latency: Percentiles,
    pub mean_latency: Option<Duration>,
    /// `None` if a trial did not record it.
    pub failed_latency: Option<Percentiles>,
    pub slot_wait: Percentiles,
    /// Calls by outcome, of all trials including failed ones.
    pub outcomes: OutcomeCounts,
    pub ledger: Option<LedgerSum>,
    /// Sums of processor time and calls, maxima of the peaks; `None` if no trial was measured.
    pub cost: Option<Cost>,
    /// Of each of its trials.
    pub verdicts: Vec<Verdict>,
    /// The worst of them.
    pub verdict: Verdict,
    explained: OnceCell<Option<Prediction>>,
}

/// Median and range of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// The mean of the middle two for an even number.
    pub median: Duration,
    pub min: Duration,
    pub max: Duration,
}

/// Whether the predicted verdict was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    Agrees,
    Disagrees,
    /// `critical` was predicted: either outcome may happen.
    Undecided,
}

/// The sums of the ledgers of a row's trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerSum {
    /// Trials with a ledger.
    pub trials: usize,
    pub balanced: usize,
    pub offered: u64,
    pub lost: u64,
    pub repeated: u64,
}

impl<'a> Row<'a> {
    pub(crate) fn new(cell: usize, series: usize, trials: Vec<&'a TrialOutcome>) -> Self {
        let not_failed: Vec<&TrialOutcome> = trials
            .iter()
            .copied()
            .filter(|outcome| !failed(outcome))
            .collect();
        let windows: Vec<&WindowResult> = not_failed
            .iter()
            .flat_map(|outcome| &outcome.windows)
            .filter(|window| !window.warmup)
            .collect();
        let measures: Vec<&WindowMeasure> = windows.iter().filter_map(|w| w.measured.as_ref()).collect();
        let spread = |of: fn(&WindowMeasure) -> u64| Spread::of(measures.iter().map(|m| of(m)).collect());
        let verdicts: Vec<Verdict> = trials.iter().map(|outcome| Verdict::of(outcome)).collect();
        let close_tail = spread(|measure| measure.close_tail_us);
        let comparable_tail = close_tail.filter(|_| !verdicts.iter().any(says_nothing));
        let (latency, mean_latency) =
            Percentiles::with_mean(not_failed.iter().map(|outcome| &outcome.latency));
        let mut outcomes = OutcomeCounts::new();
        for (outcome, calls) in trials.iter().flat_map(|trial| &trial.outcomes) {
            *outcomes.entry(*outcome).or_default() += calls;
        }
        Self {
            cell,
            series,
            level: 0,
            line: 0,
            failed_trials: trials.len() - not_failed.len(),
            measured: measures.len() as u64,
            censored: (windows.len() - measures.len()) as u64,
            close_tail,
            comparable_tail,
            repeats: comparable_tail.and_then(|_| Repeats::of(&trials)),
            execution_time: spread(|measure| measure.execution_time_us),
            result_lag: spread(|measure| measure.result_lag_us),
            stream_overhead: StreamOverhead::of(measures.iter().copied()),
            peak_in_flight: not_failed
                .iter()
                .filter_map(|outcome| endpoint_peak(outcome))
                .max(),
            peak_per_key: measures.iter().map(|measure| measure.peak_in_flight).max(),
            latency,
            mean_latency,
            failed_latency: not_failed
                .iter()
                .map(|outcome| outcome.failed_latency.as_ref())
                .collect::<Option<Vec<_>>>()
                .map(|latencies| Percentiles::of(latencies.into_iter())),
            slot_wait: Percentiles::of(not_failed.iter().map(|outcome| &outcome.slot_wait)),
            outcomes,
            ledger: LedgerSum::of(&trials),
            cost: cost(&not_failed),
            verdict: Verdict::worst(&verdicts),
            verdicts,
            trials,
            explained: OnceCell::new(),
        }
    }

    /// The measured windows, without those of failed trials and warm-up.
    pub(super) fn measures(&self) -> impl Iterator<Item = &'a WindowMeasure> {
        let not_failed = self.trials.iter().copied().filter(|outcome| !failed(outcome));
        let windows = not_failed
            .flat_map(|outcome| &outcome.windows)
            .filter(|window| !window.warmup);
        windows.filter_map(|window| window.measured.as_ref())
    }

    /// The close tail for charts: over the repeats if there are enough, else over the windows.
    pub fn shown_tail(&self) -> Option<Spread> {
        self.repeats.map(|repeats| repeats.tail).or(self.comparable_tail)
    }

    /// The same for all repeats, but for the seed.
    pub fn settings(&self) -> Option<&'a TrialSettings> {
        self.trials.first().map(|outcome| &outcome.trial.settings)
    }

    /// The same for all repeats.
    pub fn prediction(&self) -> Option<&'a Prediction> {
        self.trials.first().map(|outcome| &outcome.prediction)
    }

    /// Predicted again by what its trials measured, to explain the result: it judges nothing. `None` if the journal does not
    /// record what it needs. Computed once, as it decodes histograms.
    pub(super) fn explained(&self, cores: NonZeroUsize) -> Option<&Prediction> {
        let explained = self.explained.get_or_init(|| {
            let not_failed: Vec<&TrialOutcome> = self
                .trials
                .iter()
                .copied()
                .filter(|outcome| !failed(outcome))
                .collect();
            explain(&not_failed, cores)
        });
        explained.as_ref()
    }

    /// `None` if the trials do not judge the prediction.
    pub fn agreement(&self) -> Option<Agreement> {
        let predicted = self.prediction()?.verdict;
        self.verdict.judges_prediction().then_some(())?;
        Some(match (predicted, self.verdict.kind == Kind::KeptUp) {
            (predict::Verdict::Critical, _) => Agreement::Undecided,
            (predict::Verdict::KeepsUp, true) | (predict::Verdict::Cannot, false) => Agreement::Agrees,
            (predict::Verdict::KeepsUp, false) | (predict::Verdict::Cannot, true) => Agreement::Disagrees,
        })
    }

    /// Predicted and measured median close tail, if there are both, no window is censored, and the calls are those that were
    /// predicted.
    pub fn tails(&self) -> Option<(Duration, Duration)> {
        let predicted = self.prediction()?.close_tail()?;
        (self.censored == 0 && self.verdict.has_predicted_calls())
            .then_some((predicted, self.close_tail?.median))
    }

    /// Whether the median close tail is within the tolerance of the prediction; see [`Row::tails`].
    pub fn tail_as_predicted(&self) -> Option<bool> {
        let (predicted, measured) = self.tails()?;
        let tolerance = TAIL_TOLERANCE.max(predicted.mul_f64(TAIL_TOLERANCE_FRACTION));
        Some(predicted.abs_diff(measured) <= tolerance)
    }

    /// What the instruments themselves add, so that smaller differences mean nothing: the largest p99 of generator, endpoint,
    /// and stream with data plane. Decodes histograms, so it is for a few rows.
    pub fn noise(&self) -> Duration {
        let not_failed = self.trials.iter().filter(|outcome| !failed(outcome));
        let instruments: Vec<&Instruments> = not_failed
            .filter_map(|outcome| outcome.instruments.as_ref())
            .collect();
        let lateness = instruments.iter().map(|one| &one.generator_lateness);
        let excess = instruments.iter().filter_map(|one| one.endpoint_excess.as_ref());
        let overhead = self.stream_overhead.map(|overhead| overhead.p99);
        let all = [
            Percentiles::of(lateness).p99,
            Percentiles::of(excess).p99,
            overhead,
        ];
        all.into_iter().flatten().max().unwrap_or_default()
    }

    /// Calls that failed, of all trials.
    pub fn failed_calls(&self) -> u64 {
        let failed = self
            .outcomes
            .iter()
            .filter(|(outcome, _)| **outcome != Outcome::Ok);
        failed.map(|(_, calls)| calls).sum()
    }

    /// Measured and censored windows.
    pub fn windows(&self) -> u64 {
        self.measured + self.censored
    }

    pub fn all_failed(&self) -> bool {
        self.failed_trials == self.trials.len()
    }
}

impl Spread {
    /// From microseconds; `None` for an empty list.
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

/// Whether a trial's close tail is of calls that failed or were not made.
fn says_nothing(verdict: &Verdict) -> bool {
    matches!(verdict.kind, Kind::CallsFailed | Kind::NotMeasured)
}

/// Calls for the workload `cpu`, and those of a program to a service of its own, do not reach the endpoint.
fn endpoint_peak(outcome: &TrialOutcome) -> Option<u64> {
    let settings = &outcome.trial.settings;
    let called = settings.workload == Workload::Http && settings.calls != Some(Calls::None);
    outcome
        .instruments
        .as_ref()?
        .endpoint_peak_in_flight
        .filter(|_| called)
}

pub(crate) fn failed(outcome: &TrialOutcome) -> bool {
    matches!(outcome.end, TrialEnd::Failed { .. })
}

fn cost(not_failed: &[&TrialOutcome]) -> Option<Cost> {
    let costs = not_failed.iter().filter_map(|outcome| outcome.cost.as_ref());
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
    fn a_median_is_the_mean_of_the_middle_two() {
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
