//! The sentences of an advice.

use std::num::NonZeroU64;

use wire::{StrategyKind, Workload};

use super::judge::{Judge, Obstacle};
use super::least::{Least, most_workers};
use crate::predict::Verdict;
use crate::text::{count, counted, ratio, share};
use crate::trial::TrialSettings;

/// Why a setting is advised.
pub(super) fn advised(judge: &Judge<'_>, settings: &TrialSettings, found: &Least) -> String {
    let prediction = &found.prediction;
    let in_flight = ratio(prediction.needed_in_flight);
    let (load, workers) = (
        share(prediction.load_factor),
        counted(found.workers.get(), "worker"),
    );
    let in_flight = match settings.workload {
        Workload::Http => format!("{in_flight} calls are in flight on average"),
        Workload::Cpu => format!("{in_flight} cores are busy on average"),
    };
    let mut why = match settings.strategy {
        StrategyKind::Sequential => {
            let keys = counted(settings.reduce_keys().get(), "key");
            format!("one call at a time for each of {keys}; {in_flight}, and the load is {load}")
        }
        StrategyKind::Async | StrategyKind::ThreadPool | StrategyKind::ProcessPool => {
            format!("{in_flight}, and {workers} leave room for bursts at a load of {load}")
        }
    };
    let figures = judge.figures(settings, prediction);
    let figures: Vec<String> = figures
        .iter()
        .map(|figure| format!("{}: {} predicted", figure.threshold, figure.text))
        .collect();
    if !figures.is_empty() {
        why.push_str(&format!("; {}", figures.join("; ")));
    }
    if found.workers > found.by_load {
        let fewer = count(found.by_load.get());
        why.push_str(&format!(
            "; {fewer} would keep up, but a close would take too long"
        ));
    }
    if let Some(obstacle) = &found.too_few_pods {
        let fewer = counted(found.pods.get() - 1, "pod");
        why.push_str(&format!("; with {fewer}, {}", short(settings, obstacle)));
    }
    why.push_str(&format!("; {}.", fits(settings.strategy)));
    why
}

/// For which calls a strategy is.
const fn fits(strategy: StrategyKind) -> &'static str {
    match strategy {
        StrategyKind::Sequential => "nothing to tune",
        StrategyKind::Async => "for calls that do not block a thread",
        StrategyKind::ThreadPool => "for calls that block a thread",
        StrategyKind::ProcessPool => "for calls that need a process of their own",
    }
}

/// Why a form is ruled out: what keeps one pod from it, and that more do not help.
pub(super) fn ruled_out(form: &TrialSettings, most_pods: NonZeroU64, obstacle: &Obstacle) -> String {
    let workers = counted(most_workers(form.strategy).get(), "worker");
    let why = match (obstacle, form.strategy) {
        // Workers do not move it.
        (Obstacle::Missed { .. } | Obstacle::Failed(_), _) | (_, StrategyKind::Sequential) => String::new(),
        _ => format!("even with {workers}: "),
    };
    let why = match obstacle {
        Obstacle::Load(prediction) if prediction.verdict != Verdict::KeepsUp => {
            format!("{why}{}", prediction.why)
        }
        _ => format!("{why}{}.", short(form, obstacle)),
    };
    match most_pods.get() {
        1 => why,
        pods => format!("{why} More pods do not help, up to {}.", count(pods)),
    }
}

fn short(form: &TrialSettings, obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Load(prediction) if form.strategy == StrategyKind::Sequential => {
            format!("the busiest key has a load of {}", share(prediction.load_factor))
        }
        Obstacle::Load(prediction) => format!("the load is {}", share(prediction.load_factor)),
        Obstacle::Cores(busy) => format!("{} cores of a pod would be busy", ratio(*busy)),
        Obstacle::Pod(bound) => format!("a pod exceeds its limit: {}", bound.words()),
        Obstacle::Failed(failed) => format!("{} of the calls fail", share(*failed)),
        Obstacle::Missed { figure, .. } if figure.figure < figure.bound => {
            format!("{}: {} predicted, too close to it", figure.threshold, figure.text)
        }
        Obstacle::Missed { figure, .. } => format!("{}: {} predicted", figure.threshold, figure.text),
    }
}
