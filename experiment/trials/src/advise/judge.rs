//! Whether the settings of one pod are predicted to hold an objective, and what keeps them from it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::{NonZeroU64, NonZeroUsize};

use wire::{StrategyKind, Workload};

use super::objective::{self, PredictedFigure};
use crate::cell::CellKey;
use crate::learn::Learned;
use crate::metric::Metric;
use crate::predict::deployment::{Bound, Limits, MAX_PROCESSOR_UTILIZATION, exceeded_by};
use crate::predict::{Assumptions, CRITICAL_FROM, Prediction, Verdict, predict_roughly, predict_with};
use crate::threshold::{Compared, Threshold};
use crate::trial::TrialSettings;
use crate::verdict::calls;

/// Highest load of an advised setting: bursts of arrivals and of long calls need the rest. Half of its workers are then
/// loaded 1.6 times.
pub(super) const MOST_LOAD: f64 = 0.8;

/// How much is left beyond what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// For bursts and errors of the prediction.
    Kept,
    None,
}

/// What keeps settings from holding an objective.
#[derive(Debug, Clone)]
pub(super) enum Obstacle {
    /// It does not keep up, or without room.
    Load(Box<Prediction>),
    /// Computations use more of the cores than they may: so many are busy.
    Cores(f64),
    /// A pod exceeds it.
    Pod(Bound),
    /// More calls fail than may.
    Failed(f64),
    Missed {
        metric: Metric,
        figure: PredictedFigure,
    },
}

/// How a prediction is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// In microseconds.
    Arithmetic,
    /// In some ten milliseconds.
    Simulation,
}

/// The predictions of a question; what was simulated is kept.
pub(super) struct Predictions<'a> {
    cores: NonZeroUsize,
    learned: Option<&'a Learned>,
    simulated: RefCell<HashMap<String, Prediction>>,
}

pub(super) struct Judge<'a> {
    asked: Vec<(&'a Threshold, Compared)>,
    predictions: &'a Predictions<'a>,
    limits: Limits,
}

impl<'a> Predictions<'a> {
    pub(super) fn new(cores: NonZeroUsize, learned: Option<&'a Learned>) -> Self {
        Self {
            cores,
            learned,
            simulated: RefCell::default(),
        }
    }

    /// How many settings were simulated.
    #[cfg(test)]
    pub(super) fn simulated(&self) -> usize {
        self.simulated.borrow().len()
    }

    fn assumptions(&self, pod: &TrialSettings) -> Assumptions {
        self.learned
            .map_or_else(Assumptions::default, |learned| learned.assumptions(pod))
    }

    fn predict(&self, pod: &TrialSettings, by: By) -> Prediction {
        let assumptions = self.assumptions(pod);
        if by == By::Arithmetic {
            return predict_roughly(pod, self.cores, &assumptions);
        }
        // Tasks, threads and processes are servers of the same queue, if they are assumed to cost the same.
        let strategy = match pod.strategy {
            strategy if self.learned.is_some() => strategy,
            StrategyKind::Sequential => StrategyKind::Sequential,
            StrategyKind::Async | StrategyKind::ThreadPool | StrategyKind::ProcessPool => StrategyKind::Async,
        };
        let pod = TrialSettings {
            strategy,
            ..pod.clone()
        };
        let mut simulated = self.simulated.borrow_mut();
        let known = simulated.entry(format!("{pod:?}"));
        known
            .or_insert_with(|| predict_with(&pod, self.cores, &assumptions))
            .clone()
    }
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        thresholds: &'a [Threshold],
        form: &TrialSettings,
        predictions: &'a Predictions<'a>,
    ) -> Self {
        let key = CellKey::of(form);
        let selected = thresholds.iter().filter(|threshold| threshold.selects(&key));
        Self {
            asked: selected
                .filter_map(|threshold| Some((threshold, threshold.compared()?)))
                .collect(),
            limits: Limits {
                cores: NonZeroU64::try_from(predictions.cores).unwrap_or(NonZeroU64::MIN),
                ..Limits::default()
            },
            predictions,
        }
    }

    pub(super) fn predict(&self, pod: &TrialSettings, by: By) -> Prediction {
        self.predictions.predict(pod, by)
    }

    /// # Errors
    /// Returns the first obstacle.
    pub(super) fn check(&self, pod: &TrialSettings, room: Room, by: By) -> Result<Prediction, Obstacle> {
        let prediction = self.predict(pod, by);
        let is_loaded = room == Room::Kept && prediction.load_factor > MOST_LOAD;
        if is_loaded || prediction.verdict != Verdict::KeepsUp || prediction.load_factor >= CRITICAL_FROM {
            return Err(Obstacle::Load(Box::new(prediction)));
        }
        let busy = prediction.needed_in_flight;
        let cores = self.predictions.cores.get() as f64;
        if pod.workload == Workload::Cpu && busy > MAX_PROCESSOR_UTILIZATION * cores {
            return Err(Obstacle::Cores(busy));
        }
        if let Some(bound) = exceeded_by(pod, &self.limits) {
            return Err(Obstacle::Pod(bound));
        }
        let failed = objective::failed(pod, &prediction);
        if failed > pod.max_failed.unwrap_or(pod.failing_share() + calls::TOLERATED) {
            return Err(Obstacle::Failed(failed));
        }
        for (threshold, compared) in &self.asked {
            let figure = self.figure(compared, pod, &prediction);
            if !objective::holds(compared, figure, room == Room::Kept) {
                return Err(Obstacle::Missed {
                    metric: compared.metric,
                    figure: PredictedFigure::new(threshold, compared, figure),
                });
            }
        }
        Ok(prediction)
    }

    fn figure(&self, compared: &Compared, pod: &TrialSettings, prediction: &Prediction) -> f64 {
        objective::figure(compared, pod, prediction, &self.predictions.assumptions(pod))
    }

    pub(super) fn figures(&self, pod: &TrialSettings, prediction: &Prediction) -> Vec<PredictedFigure> {
        let of = |(threshold, compared): &(&Threshold, Compared)| {
            PredictedFigure::new(threshold, compared, self.figure(compared, pod, prediction))
        };
        self.asked.iter().map(of).collect()
    }
}
