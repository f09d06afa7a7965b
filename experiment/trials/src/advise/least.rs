//! The least pods and workers with which a form holds an objective, and the highest rate that they hold.

use std::num::NonZeroU64;

use wire::StrategyKind;
use wire::settings::{Form, RPU};

use super::judge::{By, Judge, MOST_LOAD, Obstacle, Room};
use crate::predict::deployment::busiest;
use crate::predict::{CRITICAL_FROM, Prediction, Verdict};
use crate::trial::TrialSettings;

/// Steps of the search for the highest rate: a hundredth of the way to its upper bound.
const STEPS: u32 = 7;

/// Numbers of workers that are simulated for a number of pods; the last is three times the first.
const MOST_SIMULATIONS: u32 = 6;

/// The least that holds.
pub(super) struct Least {
    pub pods: NonZeroU64,
    /// Of one pod.
    pub workers: NonZeroU64,
    /// The workers that the load alone needs.
    pub by_load: NonZeroU64,
    /// What one pod less exceeds.
    pub too_few_pods: Option<Obstacle>,
    /// Of the busiest pod.
    pub prediction: Prediction,
}

/// The most workers that are advised: each of `async` holds a connection, of `thread-pool` a stack too, of `process-pool`
/// a process. `sequential` has none.
pub(super) const fn most_workers(strategy: StrategyKind) -> NonZeroU64 {
    let most = match strategy {
        StrategyKind::Sequential => 1,
        StrategyKind::Async => 10_000,
        StrategyKind::ThreadPool => 1_000,
        StrategyKind::ProcessPool => 100,
    };
    match NonZeroU64::new(most) {
        Some(most) => most,
        None => NonZeroU64::MIN,
    }
}

/// The busiest pod of a form with so many pods and workers.
fn pod(form: &TrialSettings, pods: NonZeroU64, workers: NonZeroU64) -> TrialSettings {
    TrialSettings {
        max_workers: workers,
        ..busiest(form, pods)
    }
}

/// The busiest pod of the most capable deployment.
pub(super) fn most(form: &TrialSettings, most_pods: NonZeroU64) -> TrialSettings {
    pod(form, most_pods, most_workers(form.strategy))
}

/// # Errors
/// Returns what keeps one pod with the most workers from holding the objective, if more pods do not hold it either.
pub(super) fn least(
    judge: &Judge<'_>,
    form: &TrialSettings,
    most_pods: NonZeroU64,
) -> Result<Least, Obstacle> {
    let most_workers = most_workers(form.strategy);
    let check = |pods, workers, by| judge.check(&pod(form, pods, workers), Room::Kept, by);
    let is_enough = |pods| check(pods, most_workers, By::Arithmetic).is_ok();
    let mut fewest = first(NonZeroU64::MIN, most_pods, is_enough);
    // What more pods leave as it is shows best with one.
    let refused = |by| match check(NonZeroU64::MIN, most_workers, by) {
        Err(obstacle) => obstacle,
        Ok(prediction) => Obstacle::Load(Box::new(prediction)),
    };
    while let Some(pods) = fewest {
        let rough = judge.predict(&pod(form, pods, most_workers), By::Arithmetic);
        let by_load = NonZeroU64::new((rough.needed_in_flight / MOST_LOAD).ceil() as u64);
        let by_load = by_load.unwrap_or(NonZeroU64::MIN).min(most_workers);
        let is_enough = |workers| check(pods, workers, By::Arithmetic).is_ok();
        let workers = first(by_load, most_workers, is_enough).unwrap_or(most_workers);
        if let Some((workers, prediction)) = simulated(workers, most_workers, |workers| {
            check(pods, workers, By::Simulation).ok()
        }) {
            let fewer = NonZeroU64::new(pods.get() - 1);
            return Ok(Least {
                pods,
                workers,
                by_load,
                too_few_pods: fewer.and_then(|fewer| check(fewer, most_workers, By::Arithmetic).err()),
                prediction,
            });
        }
        let more = pods
            .saturating_mul(NonZeroU64::MIN.saturating_add(1))
            .min(most_pods);
        fewest = Some(more).filter(|more| *more > pods);
    }
    Err(match refused(By::Arithmetic) {
        Obstacle::Load(prediction) if prediction.verdict == Verdict::KeepsUp => refused(By::Simulation),
        obstacle => obstacle,
    })
}

/// The first number of workers that holds in a simulation, in steps of a quarter: a simulation takes long.
fn simulated(
    rough: NonZeroU64,
    most: NonZeroU64,
    holds: impl Fn(NonZeroU64) -> Option<Prediction>,
) -> Option<(NonZeroU64, Prediction)> {
    let mut workers = rough;
    for _ in 0..MOST_SIMULATIONS {
        if let Some(prediction) = holds(workers) {
            return Some((workers, prediction));
        }
        let more = workers.saturating_add((workers.get() / 4).max(1)).min(most);
        if more == workers {
            return None;
        }
        workers = more;
    }
    None
}

/// The first number of a range that holds, if those after it do too.
pub(super) fn first(
    least: NonZeroU64,
    most: NonZeroU64,
    holds: impl Fn(NonZeroU64) -> bool,
) -> Option<NonZeroU64> {
    let number = |value: u64| NonZeroU64::new(value).unwrap_or(NonZeroU64::MIN);
    let (mut failed, mut held) = (least.get() - 1, least.get());
    while !holds(number(held)) {
        if held >= most.get() {
            return None;
        }
        (failed, held) = (held, held.saturating_mul(2).min(most.get()));
    }
    while held - failed > 1 {
        let middle = u64::midpoint(failed, held);
        match holds(number(middle)) {
            true => held = middle,
            false => failed = middle,
        }
    }
    Some(number(held))
}

/// The highest rate, over all keys, that a setting is predicted to hold without room.
pub(super) fn highest_rate(judge: &Judge<'_>, settings: &TrialSettings, pods: NonZeroU64) -> NonZeroU64 {
    let at = |rpu: NonZeroU64| TrialSettings {
        rpu,
        ..settings.clone()
    };
    let check = |rpu| {
        judge.check(
            &pod(&at(rpu), pods, settings.max_workers),
            Room::None,
            By::Arithmetic,
        )
    };
    let most = match RPU.form {
        Form::Count { most, .. } => most,
        _ => u64::MAX,
    };
    let number = |value: u64| NonZeroU64::new(value).unwrap_or(NonZeroU64::MIN);
    let Ok(prediction) = check(settings.rpu) else {
        return settings.rpu;
    };
    // A load that grows with the rate is critical there at the latest.
    let factor = CRITICAL_FROM / prediction.load_factor.max(f64::MIN_POSITIVE);
    let critical = (settings.rpu.get() as f64 * factor).ceil() as u64;
    let (mut held, mut failed) = (
        settings.rpu.get(),
        critical.clamp(settings.rpu.get() + 1, most + 1),
    );
    for _ in 0..STEPS {
        if failed - held <= 1 {
            break;
        }
        let middle = u64::midpoint(held, failed);
        match check(number(middle)).is_ok() {
            true => held = middle,
            false => failed = middle,
        }
    }
    number(held)
}
