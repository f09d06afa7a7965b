//! The figures of an objective that a prediction tells.

use serde::Serialize;

use crate::metric::{Metric, Unit, micros};
use crate::predict::{Assumptions, Prediction};
use crate::text;
use crate::threshold::{Compared, Statistic, Threshold};
use crate::trial::TrialSettings;

/// A maximum has no bound in a prediction, so this percentile counts.
const MAX: f64 = 0.99;

/// From the end of a window to its record at the sink, beside the close tail: the batch that closes the window, the
/// batch before it, and the sink's read, each a read timeout at most.
const READS: u32 = 3;

/// By how much a prediction may be wrong: the larger of a share and, for windows, of a time.
const ERROR: f64 = 0.1;
const ERROR_US: f64 = 20_000.0;

/// A figure of an objective, as it is predicted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictedFigure {
    pub threshold: String,
    /// In the unit of the metric.
    pub figure: f64,
    pub bound: f64,
    /// `us` or `share`.
    pub unit: &'static str,
    #[serde(skip)]
    pub text: String,
}

/// Whether a prediction tells the figure that a threshold compares.
pub(super) fn is_told(threshold: &Threshold) -> bool {
    threshold
        .compared()
        .is_some_and(|compared| match compared.metric {
            Metric::CloseTail
            | Metric::ResultLag
            | Metric::ExecutionTime
            | Metric::Latency
            | Metric::Failed => true,
            Metric::SlotWait
            | Metric::Unsent
            | Metric::Late
            | Metric::Lost
            | Metric::CpuPerCall
            | Metric::Memory => false,
        })
}

/// The predicted figure, in the metric's unit; of those that are not told 0.
pub(super) fn figure(
    compared: &Compared,
    settings: &TrialSettings,
    prediction: &Prediction,
    assumptions: &Assumptions,
) -> f64 {
    let tail_us = || tail_us(compared.statistic, prediction);
    let lag_us = || tail_us() + micros(settings.read_timeout * READS);
    match compared.metric {
        Metric::CloseTail => tail_us(),
        Metric::ResultLag => lag_us(),
        Metric::ExecutionTime => micros(settings.window) + lag_us(),
        Metric::Latency => {
            let delay = match share(compared.statistic) {
                Some(share) => settings.io_delay.quantile(share),
                None => settings.io_delay.mean(),
            };
            micros((delay + assumptions.call_overhead).min(settings.timeout))
        }
        Metric::Failed => failed(settings, prediction),
        Metric::SlotWait
        | Metric::Unsent
        | Metric::Late
        | Metric::Lost
        | Metric::CpuPerCall
        | Metric::Memory => 0.0,
    }
}

/// The close tail of the next percentile that is predicted; of a mean the median.
fn tail_us(statistic: Statistic, prediction: &Prediction) -> f64 {
    let Some(tails) = prediction.close_tail_percentiles else {
        return prediction.close_tail().map_or(f64::INFINITY, micros);
    };
    let micros = match share(statistic).unwrap_or_default() {
        share if share <= 0.5 => tails.p50_us,
        share if share <= 0.9 => tails.p90_us,
        share if share <= 0.95 => tails.p95_us,
        _ => tails.p99_us,
    };
    micros as f64
}

/// The percentile that a statistic is; `None` of a mean.
const fn share(statistic: Statistic) -> Option<f64> {
    match statistic {
        Statistic::Percentile(share) => Some(share),
        Statistic::Max => Some(MAX),
        Statistic::Mean | Statistic::Only => None,
    }
}

/// The share of calls that fail: by the endpoint after all attempts, by their timeout, by the close deadline.
pub(super) fn failed(settings: &TrialSettings, prediction: &Prediction) -> f64 {
    let late = settings
        .io_delay
        .share_longer_than(settings.timeout.as_secs_f64());
    let retried = settings.retried_share();
    let at_once = settings.failing_share() - retried;
    let again = (retried + late).min(1.0).powi(settings.retries as i32 + 1);
    (at_once + again + prediction.missed_share.unwrap_or_default()).clamp(0.0, 1.0)
}

/// Whether a threshold holds although the prediction may be wrong.
pub(super) fn holds(compared: &Compared, figure: f64, with_error: bool) -> bool {
    compared.holds(match with_error && compared.is_upper() {
        true => with_room(compared.metric, figure),
        false => figure,
    })
}

/// The least bound that a figure leaves room to.
pub(super) fn with_room(metric: Metric, figure: f64) -> f64 {
    match metric.unit() {
        Unit::Duration if metric.is_of_windows() => figure + (figure * ERROR).max(ERROR_US.min(figure)),
        Unit::Duration => figure * (1.0 + ERROR),
        Unit::Share | Unit::Bytes => figure,
    }
}

impl PredictedFigure {
    pub(super) fn new(threshold: &Threshold, compared: &Compared, figure: f64) -> Self {
        let unit = compared.metric.unit();
        Self {
            threshold: threshold.to_string(),
            figure: text::for_programs(figure),
            bound: compared.bound,
            unit: unit.name(),
            text: unit.text(figure),
        }
    }
}
