//! The verdict on a trial: whether a strategy kept up, and whether the trial can say so. Exit status, live line, tables,
//! findings, charts and CSV take kind, mark and words from here. The report's page has the same rules in words.

mod calls;
mod growth;
#[cfg(test)]
mod tests;

use crate::outcome::{NUMAFLOW_PREFIX, TrialEnd, TrialOutcome, WindowMeasure};
use crate::text::count;
use crate::trial::TrialSettings;

use self::calls::{Comparison, TOLERATED, asked, compare};
use self::growth::{Growth, MIN_WINDOWS_FOR_INTERVAL};

pub use self::calls::FailedCalls;

/// Growth per window, as a fraction of the window's length, above which a strategy falls behind: a load factor of 1.05
/// causes it, the noise of a quiet machine does not.
const TOLERATED_GROWTH: f64 = 0.05;

/// Variation of the result lag under Numaflow, independent of the strategy: in the chart's base each of two hops forwards
/// its watermark once a second.
const NUMAFLOW_LAG_VARIATION_US: f64 = 2_000_000.0;

/// Variation of the result lag under the embedded data plane, in read batches: source and sink wait for one each.
const LOCAL_LAG_VARIATION_BATCHES: f64 = 2.0;

/// The most windows that a plan may have.
const MAX_WINDOWS: u64 = 10_000;

/// What a trial showed, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Every window gave its result, and neither close tail nor result lag grew.
    KeptUp,
    /// Too few windows, or too different ones, to tell.
    Undecided,
    /// The result lag grew, or exceeded a window's length.
    FellBehind,
    /// Some windows gave no result in time.
    NoResult,
    /// More calls failed than the plan allows, so that nothing can be said of the strategy.
    CallsFailed,
    /// The trial's own counts contradict each other.
    NotMeasured,
    /// It could not be run to its end.
    Failed,
}

/// The verdict on a trial, or the worst of several repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub kind: Kind,
    /// What the kind's name alone does not say; may be empty.
    pub reason: String,
    /// What stands beside the mark because it limits what the mark says.
    pub remarks: Vec<String>,
    /// The failed calls; `None` if unknown.
    pub calls: Option<FailedCalls>,
    /// Of [`Kind::Undecided`]: how many measured windows would decide; `None` if no plan can have that many.
    pub windows_needed: Option<u64>,
    /// How many of how many repeats have this verdict.
    pub repeats: (usize, usize),
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::KeptUp,
        Self::Undecided,
        Self::FellBehind,
        Self::NoResult,
        Self::CallsFailed,
        Self::NotMeasured,
        Self::Failed,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::KeptUp => "kept up",
            Self::Undecided => "undecided",
            Self::FellBehind => "fell behind",
            Self::NoResult => "no result",
            Self::CallsFailed => "calls failed",
            Self::NotMeasured => "not measured",
            Self::Failed => "failed",
        }
    }

    /// What is said of several trials, e.g. `2 of 8 trials failed`.
    pub const fn in_plural(self) -> &'static str {
        match self {
            Self::KeptUp => "kept up",
            Self::Undecided => "are undecided",
            Self::FellBehind => "fell behind",
            Self::NoResult => "gave no result",
            Self::CallsFailed => "have failed calls",
            Self::NotMeasured => "measured nothing",
            Self::Failed => "failed",
        }
    }

    pub const fn mark(self) -> &'static str {
        match self {
            Self::KeptUp => "✓",
            Self::Undecided => "?",
            Self::FellBehind | Self::NoResult | Self::CallsFailed | Self::NotMeasured | Self::Failed => "✗",
        }
    }

    /// Whether the trial found nothing out, so that the run ends with exit status 1. The others are findings.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::CallsFailed | Self::NotMeasured | Self::Failed)
    }
}

impl Verdict {
    pub fn of(outcome: &TrialOutcome) -> Self {
        let calls = FailedCalls::of(outcome);
        let comparison = compare(outcome);
        let (kind, reason, windows_needed) = judge(outcome, calls.as_ref(), &comparison);
        let remarks = if kind.is_failure() {
            Vec::new()
        } else {
            remarks(outcome, calls.as_ref(), &comparison)
        };
        Self {
            kind,
            reason,
            remarks,
            calls,
            windows_needed,
            repeats: (1, 1),
        }
    }

    /// The worst verdict of the repeats of a cell.
    pub fn worst(repeats: &[&TrialOutcome]) -> Self {
        let verdicts: Vec<Self> = repeats.iter().map(|outcome| Self::of(outcome)).collect();
        let severity = |verdict: &&Self| {
            let share = verdict.calls.as_ref().map_or(0.0, FailedCalls::share);
            let needed = verdict.windows_needed.unwrap_or(u64::MAX);
            (verdict.kind, (share * 1e6) as u64, needed)
        };
        let Some(worst) = verdicts.iter().max_by_key(severity) else {
            return Self {
                kind: Kind::Failed,
                reason: "no trial was run".to_owned(),
                remarks: Vec::new(),
                calls: None,
                windows_needed: None,
                repeats: (0, 0),
            };
        };
        let alike = verdicts.iter().filter(|one| one.kind == worst.kind).count();
        Self {
            repeats: (alike, verdicts.len()),
            ..worst.clone()
        }
    }

    /// In words, complete.
    pub fn text(&self) -> String {
        self.words(&self.reason)
    }

    /// In words for a table, without why a trial failed: that is a line of its own.
    pub fn brief(&self) -> String {
        match self.kind {
            Kind::Failed => self.words(""),
            _ => self.text(),
        }
    }

    /// The mark and [`Verdict::brief`].
    pub fn marked(&self) -> String {
        format!("{} {}", self.kind.mark(), self.brief())
    }

    fn words(&self, reason: &str) -> String {
        let gap = match (reason.is_empty(), self.kind) {
            (true, _) => "",
            (_, Kind::NoResult) => " ",
            (_, Kind::Undecided) => ", ",
            _ => ": ",
        };
        let mut words = format!("{}{gap}{reason}", self.kind.name());
        let (alike, all) = self.repeats;
        if alike < all {
            words.push_str(&format!(", {alike} of {all} trials"));
        }
        for remark in &self.remarks {
            words.push_str(", ");
            words.push_str(remark);
        }
        words
    }

    /// Whether the calls were those that a prediction assumes: few failed, and the counts agree.
    pub fn has_predicted_calls(&self) -> bool {
        !self.kind.is_failure() && self.calls.as_ref().is_none_or(|calls| calls.share() <= TOLERATED)
    }

    /// Whether a predicted verdict is right or wrong by it: the trial decided, by the calls that were predicted.
    pub fn judges_prediction(&self) -> bool {
        self.kind != Kind::Undecided && self.has_predicted_calls()
    }
}

/// Kind, reason, and the windows that would decide.
fn judge(
    outcome: &TrialOutcome,
    calls: Option<&FailedCalls>,
    comparison: &Comparison,
) -> (Kind, String, Option<u64>) {
    if let TrialEnd::Failed { reason } = &outcome.end {
        return (Kind::Failed, reason.clone(), None);
    }
    if let Comparison::Contradicts(how) = comparison {
        return (Kind::NotMeasured, how.clone(), None);
    }
    if let Some(calls) = calls.filter(|calls| calls.beyond(&outcome.trial.settings)) {
        return (Kind::CallsFailed, calls.in_words(), None);
    }
    if outcome.ledger.as_ref().is_some_and(|ledger| !ledger.balances()) {
        return (Kind::NotMeasured, "the ledger does not balance".to_owned(), None);
    }
    let windows = || outcome.windows.iter().filter(|window| !window.warmup);
    let all = windows().count();
    let measured: Vec<&WindowMeasure> = windows().filter_map(|window| window.measured.as_ref()).collect();
    if measured.len() < all {
        let reason = format!(
            "in {} of {} windows",
            count((all - measured.len()) as u64),
            count(all as u64)
        );
        return (Kind::NoResult, reason, None);
    }
    let load_factor = outcome.prediction.load_factor;
    match pace(
        &measured,
        &outcome.trial.settings,
        by_numaflow(outcome),
        load_factor,
    ) {
        Pace::KeptUp => (Kind::KeptUp, String::new(), None),
        Pace::FellBehind => (Kind::FellBehind, String::new(), None),
        Pace::Undecided { needed } => {
            let reason = match needed {
                Some(needed) => format!("{} windows would decide", count(needed)),
                None => format!("{} windows would not decide", count(MAX_WINDOWS)),
            };
            (Kind::Undecided, reason, needed)
        }
    }
}

fn remarks(outcome: &TrialOutcome, calls: Option<&FailedCalls>, comparison: &Comparison) -> Vec<String> {
    let settings = &outcome.trial.settings;
    let failed = match calls {
        Some(FailedCalls { failed: 0, .. }) => None,
        Some(calls) => {
            let why = match settings.max_failed {
                Some(_) => ", as the plan allows",
                None if asked(settings) > 0.0 => ", as the plan asks",
                None => "",
            };
            Some(format!("{} of calls failed{why}", calls.share_in_words()))
        }
        None => outcome
            .windows
            .iter()
            .any(|window| window.measured.is_some())
            .then(|| "failures unknown".to_owned()),
    };
    let unchecked = (*comparison == Comparison::NotCompared).then(|| "calls not checked".to_owned());
    failed.into_iter().chain(unchecked).collect()
}

/// Whether Numaflow ran the trial: the outcome then has Numaflow's own counts.
fn by_numaflow(outcome: &TrialOutcome) -> bool {
    let engine = outcome
        .instruments
        .as_ref()
        .map(|instruments| &instruments.engine);
    engine.is_some_and(|engine| engine.keys().any(|name| name.starts_with(NUMAFLOW_PREFIX)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    KeptUp,
    FellBehind,
    Undecided { needed: Option<u64> },
}

/// Judges the measured windows of a trial that all gave a result.
///
/// A close tail is measured by the UDF's clock alone, so it shows a backlog sharply, until it is as long as a window and
/// delays the next one. The result lag shows every delay, and varies with the read batches of the data plane, which are no
/// growth. So both must not grow. As long as every tail is below half a window, the tails are the whole backlog, and two
/// windows tell whether it grows; above, the windows must be enough to rule a growth out.
fn pace(
    windows: &[&WindowMeasure],
    settings: &TrialSettings,
    by_numaflow: bool,
    predicted_load: f64,
) -> Pace {
    let window_us = settings.window.as_micros() as f64;
    let (of_fall, of_growth) = if by_numaflow {
        (NUMAFLOW_LAG_VARIATION_US, NUMAFLOW_LAG_VARIATION_US)
    } else {
        let batch_us = settings.read_timeout.as_micros() as f64;
        (0.0, LOCAL_LAG_VARIATION_BATCHES * batch_us)
    };
    let values =
        |of: fn(&WindowMeasure) -> u64| -> Vec<f64> { windows.iter().map(|w| of(w) as f64).collect() };
    let (lags, tails) = (
        values(|window| window.result_lag_us),
        values(|window| window.close_tail_us),
    );
    if falls_behind(&lags, window_us, of_fall) {
        return Pace::FellBehind;
    }
    let is_short = tails.iter().all(|tail| *tail < window_us / 2.0);
    let least = if is_short { 2 } else { MIN_WINDOWS_FOR_INTERVAL };
    let growths = [Growth::of(&tails, 0.0), Growth::of(&lags, of_growth)];
    let tolerated_us = TOLERATED_GROWTH * window_us;
    let climbs = predicted_load > 1.0 && tails.len() > 1 && tails.is_sorted_by(|a, b| a < b);
    let grows_not = |growth: &Option<Growth>| growth.is_some_and(|growth| growth.at_most <= tolerated_us);
    if windows.len() >= least && !climbs && growths.iter().all(grows_not) {
        return Pace::KeptUp;
    }
    let needed = growths
        .iter()
        .flatten()
        .map(|growth| needed(windows.len(), growth, tolerated_us, of_fall));
    let needed = needed.fold(windows.len() as u64 + 1, u64::max).max(least as u64);
    Pace::Undecided {
        needed: Some(needed).filter(|needed| *needed <= MAX_WINDOWS),
    }
}

/// Estimates how many windows would decide. The interval shrinks with the number of windows to the power of 3/2; a growth
/// above the tolerated one is found by [`falls_behind`], whose halves need four windows, or as many as it takes to exceed
/// `variation_us`.
fn needed(windows: usize, growth: &Growth, tolerated_us: f64, variation_us: f64) -> u64 {
    let room = tolerated_us - growth.typical;
    if growth.at_most <= tolerated_us {
        return 0;
    }
    if room <= 0.0 {
        let half = (variation_us / -room).ceil() as u64;
        return half.saturating_mul(2).max(MIN_WINDOWS_FOR_INTERVAL as u64);
    }
    let factor = ((growth.at_most - growth.typical) / room).powf(2.0 / 3.0);
    (windows as f64 * factor).ceil() as u64
}

/// Compares the lower medians of the first and the last half, so that one slow window does not decide. With fewer windows
/// than [`MIN_WINDOWS_FOR_INTERVAL`] the median lag itself must not exceed a window. Both allow for `variation_us`.
fn falls_behind(lags: &[f64], window_us: f64, variation_us: f64) -> bool {
    let half = lags.len() / 2;
    let median = |part: &[f64]| {
        let mut part = part.to_vec();
        part.sort_by(f64::total_cmp);
        part.get(part.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
    };
    if lags.len() < MIN_WINDOWS_FOR_INTERVAL {
        return median(lags) > window_us + variation_us;
    }
    let between = (lags.len() - half) as f64;
    let growth = (median(&lags[lags.len() - half..]) - median(&lags[..half]) - variation_us) / between;
    growth > TOLERATED_GROWTH * window_us
}
