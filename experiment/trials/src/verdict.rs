//! The verdict on a trial: whether a strategy kept up, and whether the trial can say so. Exit status, live line, tables,
//! findings, charts and CSV take kind, mark and words from here. The report's page has the same rules in words.

pub(crate) mod calls;
pub(crate) mod growth;
mod pace;
#[cfg(test)]
mod tests;

use crate::outcome::{NUMAFLOW_PREFIX, TrialEnd, TrialOutcome, WindowMeasure};
use crate::text::count;

use self::calls::{Comparison, TOLERATED, asked, compare};
use self::pace::{MAX_WINDOWS, Pace, pace};

pub use self::calls::FailedCalls;

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

    /// The worst of the repeats of a cell.
    pub fn worst(verdicts: &[Self]) -> Self {
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
        // What the trial's processes wrote follows in further lines.
        let first = reason.lines().next().unwrap_or_default();
        return (Kind::Failed, first.to_owned(), None);
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
