//! The measurements that thresholds and comparisons speak of: their names, units, and how each is read from outcomes.

use std::time::Duration;

use wire::Latencies;

use crate::outcome::{Ledger, PackedLatencies, TrialOutcome, WindowMeasure};
use crate::text;
use crate::verdict::{Kind, Verdict};

/// Linux counts the processor time of a process in steps of 10 ms.
const TICK_US: f64 = 10_000.0;

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    CloseTail,
    ResultLag,
    ExecutionTime,
    Latency,
    SlotWait,
    Failed,
    Unsent,
    Late,
    Lost,
    CpuPerCall,
    Memory,
}

/// The unit of a metric's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Duration,
    /// A part of a whole, 0 to 1.
    Share,
    /// Bytes.
    Bytes,
}

/// Where a metric is read.
enum Source {
    /// One value for each measured window.
    Windows(fn(&WindowMeasure) -> u64),
    /// One value for each call in the measured windows.
    Calls(fn(&TrialOutcome) -> &PackedLatencies),
    /// One pair for each trial: a part and its whole.
    Parts(fn(&TrialOutcome) -> Option<(f64, f64)>),
    /// One value for each trial, of which the largest counts.
    Peak(fn(&TrialOutcome) -> Option<f64>),
}

/// The values of a metric in the repeats of a cell.
#[derive(Debug)]
pub enum Sample {
    /// Sorted, in microseconds. A censored window is longer than any.
    Windows {
        micros: Vec<u64>,
        censored: usize,
    },
    Calls(Box<Latencies>),
    /// `None` if it was not measured.
    Figure(Option<f64>),
}

impl Metric {
    pub const ALL: [Self; 11] = [
        Self::CloseTail,
        Self::ResultLag,
        Self::ExecutionTime,
        Self::Latency,
        Self::SlotWait,
        Self::Failed,
        Self::Unsent,
        Self::Late,
        Self::Lost,
        Self::CpuPerCall,
        Self::Memory,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::CloseTail => "close_tail",
            Self::ResultLag => "result_lag",
            Self::ExecutionTime => "execution_time",
            Self::Latency => "latency",
            Self::SlotWait => "slot_wait",
            Self::Failed => "failed",
            Self::Unsent => "unsent",
            Self::Late => "late",
            Self::Lost => "lost",
            Self::CpuPerCall => "cpu_per_call",
            Self::Memory => "memory",
        }
    }

    pub const fn meaning(self) -> &'static str {
        match self {
            Self::CloseTail => "close tail of a window",
            Self::ResultLag => "end of a window → its record at the sink",
            Self::ExecutionTime => "first event of a window → its result",
            Self::Latency => "time of a call, its last attempt alone",
            Self::SlotWait => "time that a call waited for a free slot",
            Self::Failed => "calls that failed, of all calls",
            Self::Unsent => "events that were due and never read, of all that were due",
            Self::Late => "events that the data plane dropped as late, of all that were due",
            Self::Lost => "events that no result contains, of all that were due",
            Self::CpuPerCall => "processor time of the UDF for each call",
            Self::Memory => "peak resident memory of the UDF, of all its processes",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    pub const fn unit(self) -> Unit {
        match self {
            Self::CloseTail
            | Self::ResultLag
            | Self::ExecutionTime
            | Self::Latency
            | Self::SlotWait
            | Self::CpuPerCall => Unit::Duration,
            Self::Failed | Self::Unsent | Self::Late | Self::Lost => Unit::Share,
            Self::Memory => Unit::Bytes,
        }
    }

    /// Whether it has one value for each window or call, so that it has percentiles.
    pub fn is_distribution(self) -> bool {
        matches!(self.source(), Source::Windows(_) | Source::Calls(_))
    }

    /// Whether it depends on the processor and on the build, so that figures of two machines cannot be compared.
    pub const fn is_of_the_machine(self) -> bool {
        matches!(self, Self::CpuPerCall | Self::Memory)
    }

    /// The part of a trial's figure that its clock cannot tell apart; 0 if it is far finer than what is compared.
    pub fn resolution(self, outcome: &TrialOutcome) -> f64 {
        match (self, &outcome.cost) {
            (Self::CpuPerCall, Some(cost)) => TICK_US / (cost.cpu_us as f64).max(1.0),
            _ => 0.0,
        }
    }

    /// Whether it has a value for each window.
    pub fn is_of_windows(self) -> bool {
        matches!(self.source(), Source::Windows(_))
    }

    fn source(self) -> Source {
        match self {
            Self::CloseTail => Source::Windows(|window| window.close_tail_us),
            Self::ResultLag => Source::Windows(|window| window.result_lag_us),
            Self::ExecutionTime => Source::Windows(|window| window.execution_time_us),
            Self::Latency => Source::Calls(|outcome| &outcome.latency),
            Self::SlotWait => Source::Calls(|outcome| &outcome.slot_wait),
            Self::Failed => Source::Parts(failed),
            Self::Unsent => Source::Parts(|outcome| of_offered(outcome, |ledger| ledger.unsent)),
            Self::Late => Source::Parts(|outcome| of_offered(outcome, |ledger| ledger.late)),
            Self::Lost => Source::Parts(|outcome| of_offered(outcome, |ledger| ledger.lost)),
            Self::CpuPerCall => Source::Parts(|outcome| {
                let cost = outcome.cost.as_ref().filter(|cost| cost.calls > 0)?;
                Some((cost.cpu_us as f64, cost.calls as f64))
            }),
            Self::Memory => {
                Source::Peak(|outcome| outcome.cost.as_ref().map(|cost| cost.peak_memory_bytes as f64))
            }
        }
    }

    /// Its values in the repeats of a cell.
    pub fn sample(self, trials: &[&TrialOutcome]) -> Sample {
        match self.source() {
            Source::Windows(of) => {
                let windows = trials.iter().flat_map(|outcome| &outcome.windows);
                let windows: Vec<_> = windows.filter(|window| !window.warmup).collect();
                let measured = windows.iter().filter_map(|window| window.measured.as_ref());
                let mut micros: Vec<u64> = measured.map(of).collect();
                micros.sort_unstable();
                let censored = windows.len() - micros.len();
                Sample::Windows { micros, censored }
            }
            Source::Calls(of) => {
                let mut merged = Latencies::new();
                for outcome in trials {
                    merged.merge(&of(outcome).open());
                }
                Sample::Calls(Box::new(merged))
            }
            Source::Parts(of) => {
                let parts: Option<Vec<(f64, f64)>> = trials.iter().map(|outcome| of(outcome)).collect();
                let sum = parts.map(|parts| {
                    let sum = |one: fn(&(f64, f64)) -> f64| parts.iter().map(one).sum::<f64>();
                    (sum(|part| part.0), sum(|part| part.1))
                });
                Sample::Figure(
                    sum.filter(|(_, whole)| *whole > 0.0)
                        .map(|(part, whole)| part / whole),
                )
            }
            Source::Peak(of) => {
                let peaks: Option<Vec<f64>> = trials.iter().map(|outcome| of(outcome)).collect();
                Sample::Figure(peaks.and_then(|peaks| peaks.into_iter().reduce(f64::max)))
            }
        }
    }

    /// The one figure of a trial that comparisons take: of windows and calls the median. `None` if the trial found nothing
    /// out, or if its median is of a censored window.
    pub fn figure(self, outcome: &TrialOutcome) -> Option<f64> {
        if matches!(Verdict::of(outcome).kind, Kind::Failed | Kind::NotMeasured) {
            return None;
        }
        match self.sample(&[outcome]) {
            Sample::Windows { micros, censored } => {
                let all = micros.len() + censored;
                let middle = |index: usize| micros.get(index).map(|micros| *micros as f64);
                Some(f64::midpoint(middle(all.checked_sub(1)? / 2)?, middle(all / 2)?))
            }
            Sample::Calls(latencies) => latencies.quantile(0.5).map(micros),
            Sample::Figure(figure) => figure,
        }
    }
}

impl Unit {
    /// A figure for people.
    pub fn text(self, figure: f64) -> String {
        match self {
            Self::Duration => text::duration(Duration::from_nanos((figure.max(0.0) * 1e3).round() as u64)),
            Self::Share => text::share(figure),
            Self::Bytes => text::bytes(figure.max(0.0) as u64),
        }
    }

    /// How figures for programs name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duration => "us",
            Self::Share => "share",
            Self::Bytes => "bytes",
        }
    }
}

/// A duration in microseconds.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Failed calls and all calls.
fn failed(outcome: &TrialOutcome) -> Option<(f64, f64)> {
    let calls = Verdict::of(outcome).calls?;
    Some((calls.failed as f64, calls.events as f64))
}

fn of_offered(outcome: &TrialOutcome, part: fn(&Ledger) -> u64) -> Option<(f64, f64)> {
    let ledger = outcome.ledger.as_ref()?;
    Some((part(ledger) as f64, ledger.offered as f64))
}
