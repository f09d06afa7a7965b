//! Which settings are predicted to hold an objective, cheapest first, and what must change where none does. Pure.
//!
//! *Cheapest*: fewer pods, then the strategy whose workers need less memory and fewer processes (`sequential`, `async`,
//! `thread-pool`, `process-pool`), then fewer workers, then calls that begin at arrival.

mod changes;
mod judge;
mod least;
mod objective;
mod reason;
#[cfg(test)]
mod tests;

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::Serialize;
use wire::settings::{STRATEGY, Scope, Setting, TABLE};
use wire::{StartRule, StrategyKind, format_duration};

pub use self::changes::Change;
use self::judge::{Judge, Predictions};
pub use self::objective::PredictedFigure;
use crate::cell::CellKey;
use crate::learn::Learned;
use crate::predict::deployment::MAX_PARTITIONS;
use crate::threshold::Threshold;
use crate::trial::{Trial, TrialSettings};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its levels where the plan asks several questions; empty otherwise.
    pub name: String,
    /// The settings that are possible: they differ in strategy, start rule and what belongs to a strategy. Their
    /// `max_workers` is what is found.
    pub forms: Vec<TrialSettings>,
    /// What must hold beside keeping up.
    pub objective: Vec<Threshold>,
    /// Cores of a pod.
    pub cores: NonZeroUsize,
    /// The most pods; as many as there are keys where absent.
    pub most_pods: Option<NonZeroU64>,
    /// What the predictions take in place of what they assume.
    pub learned: Option<Learned>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// The thresholds that the prediction tells, the default one where none is given.
    pub objective: Vec<String>,
    /// Those that it does not tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_predicted: Vec<String>,
    /// Settings that hold it, cheapest first.
    pub settings: Vec<Advised>,
    /// Those that do not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ruled_out: Vec<RuledOut>,
    /// What would make one hold, each by itself; empty if one holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// A setting that is predicted to hold the objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advised {
    /// Of the whole reduce; `max_workers` is of one pod.
    pub settings: TrialSettings,
    /// Pods of the reduce vertex, one for each partition.
    pub pods: NonZeroU64,
    /// Load of the busiest pod: 1 is its capacity.
    pub load: f64,
    /// Calls in flight in the busiest pod, on average.
    pub in_flight: f64,
    /// The figures of the objective.
    pub figures: Vec<PredictedFigure>,
    /// The highest rate, over all keys, at which it is predicted to hold.
    pub holds_up_to: NonZeroU64,
    pub why: String,
}

/// A form that holds the objective with no number of workers and pods.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuledOut {
    pub strategy: StrategyKind,
    pub start_rule: StartRule,
    pub why: String,
}

/// The least windows whose 90th percentile can be judged are as many as a trial measures.
fn default_objective(window: Duration) -> String {
    format!("close_tail p90 < {}", format_duration(window / 2))
}

impl Question {
    /// The thresholds that count: those that a prediction tells, else that a close takes less than half of a window.
    fn thresholds(&self, window: Duration) -> Vec<Threshold> {
        let told = self.objective.iter().filter(|one| objective::is_told(one));
        let told: Vec<Threshold> = told.cloned().collect();
        match told.is_empty() {
            true => default_objective(window).parse().into_iter().collect(),
            false => told,
        }
    }

    fn most_pods(&self, form: &TrialSettings) -> NonZeroU64 {
        let partitions = NonZeroU64::new(MAX_PARTITIONS).unwrap_or(NonZeroU64::MIN);
        let most = form.reduce_keys().min(partitions);
        self.most_pods.map_or(most, |given| given.min(most))
    }
}

/// The questions of a plan: its trials grouped by what belongs to no strategy, in the order of their first ones.
pub fn questions(
    trials: &[Trial],
    objective: &[Threshold],
    cores: NonZeroUsize,
    most_pods: Option<NonZeroU64>,
    learned: Option<&Learned>,
) -> Vec<Question> {
    let mut questions: Vec<(CellKey, Question)> = Vec::new();
    for trial in trials {
        let mut key = CellKey::of(&trial.settings);
        for setting in TABLE.iter().filter(|setting| is_of_a_strategy(setting)) {
            key = key.without(setting.name);
        }
        let form = learned.map_or_else(
            || trial.settings.clone(),
            |learned| learned.settings(&trial.settings),
        );
        match questions.iter_mut().find(|(known, _)| *known == key) {
            Some((_, question)) => question.forms.push(form),
            None => questions.push((
                key,
                Question {
                    name: name(&trial.id),
                    forms: vec![form],
                    objective: objective.to_vec(),
                    cores,
                    most_pods,
                    learned: learned.cloned(),
                },
            )),
        }
    }
    questions.into_iter().map(|(_, question)| question).collect()
}

fn is_of_a_strategy(setting: &Setting) -> bool {
    setting.name == STRATEGY.name || setting.scope == Scope::Strategy
}

/// The levels in a trial's id that belong to no strategy.
fn name(id: &str) -> String {
    let is_open = |part: &&str| {
        let setting = part.split_once('=').and_then(|(name, _)| Setting::named(name));
        setting.is_some_and(|setting| !is_of_a_strategy(setting))
    };
    let levels: Vec<&str> = id.split(',').filter(is_open).collect();
    levels.join(",")
}

/// Answers a question.
pub fn advise(question: &Question) -> Advice {
    by(
        question,
        &Predictions::new(question.cores, question.learned.as_ref()),
    )
}

fn by(question: &Question, predictions: &Predictions<'_>) -> Advice {
    let (mut settings, mut ruled_out) = (Vec::new(), Vec::new());
    for form in &question.forms {
        match advised(question, form, predictions) {
            Ok(one) => settings.push(one),
            Err(one) => ruled_out.push(one),
        }
    }
    settings.sort_by_key(Advised::cost);
    let window = question.forms.first().map(|form| form.window).unwrap_or_default();
    let texts = |thresholds: Vec<Threshold>| thresholds.iter().map(ToString::to_string).collect();
    let not_told = question.objective.iter().filter(|one| !objective::is_told(one));
    Advice {
        objective: texts(question.thresholds(window)),
        not_predicted: texts(not_told.cloned().collect()),
        changes: match settings.is_empty() {
            true => changes::changes(question, predictions),
            false => Vec::new(),
        },
        settings,
        ruled_out,
    }
}

fn advised(
    question: &Question,
    form: &TrialSettings,
    predictions: &Predictions<'_>,
) -> Result<Advised, RuledOut> {
    let thresholds = question.thresholds(form.window);
    let judge = Judge::new(&thresholds, form, predictions);
    let most_pods = question.most_pods(form);
    let found = least::least(&judge, form, most_pods).map_err(|obstacle| RuledOut {
        strategy: form.strategy,
        start_rule: form.start_rule,
        why: reason::ruled_out(form, most_pods, &obstacle),
    })?;
    let settings = TrialSettings {
        max_workers: found.workers,
        ..form.clone()
    };
    let holds_up_to = least::highest_rate(&judge, &settings, found.pods);
    Ok(Advised {
        why: reason::advised(&judge, &settings, &found),
        pods: found.pods,
        load: found.prediction.load_factor,
        in_flight: found.prediction.needed_in_flight,
        figures: judge.figures(&settings, &found.prediction),
        holds_up_to,
        settings,
    })
}

impl Advised {
    /// The setting with half of its workers; `None` if it has none to halve.
    pub fn halved(&self) -> Option<TrialSettings> {
        let half = NonZeroU64::new(self.settings.max_workers.get() / 2)?;
        (self.settings.strategy != StrategyKind::Sequential).then(|| TrialSettings {
            max_workers: half,
            ..self.settings.clone()
        })
    }

    /// What is compared to find the cheapest.
    fn cost(&self) -> (NonZeroU64, StrategyKind, NonZeroU64, bool) {
        let Self { settings, pods, .. } = self;
        let at_close = settings.start_rule == StartRule::AtClose;
        (*pods, settings.strategy, settings.max_workers, at_close)
    }
}
