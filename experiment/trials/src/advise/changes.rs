//! What must change so that some setting holds the objective: each change by itself, as small as it may be.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::Serialize;
use wire::settings::{Deadline, Limit};
use wire::{Delay, format_duration};

use super::judge::{By, Judge, Obstacle, Predictions, Room};
use super::objective::{self, PredictedFigure};
use super::{Question, least};
use crate::metric::{Metric, Unit};
use crate::text::{self, count, share};
use crate::trial::TrialSettings;

/// A change by which a setting would hold the objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The setting, or `objective`.
    pub what: &'static str,
    /// The sentence that says it.
    pub sentence: String,
}

/// Halvings and doublings that are tried, and bisections after them.
const DOUBLINGS: u32 = 5;
const BISECTIONS: u32 = 4;

/// Parts of what arithmetic allows, of which the first that a simulation confirms counts.
const CAUTION: [f64; 3] = [1.0, 0.8, 0.5];

const DOUBLED: NonZeroU64 = NonZeroU64::MIN.saturating_add((1 << DOUBLINGS) - 1);

pub(super) fn changes(question: &Question, predictions: &Predictions<'_>) -> Vec<Change> {
    let Some(form) = question.forms.first() else {
        return Vec::new();
    };
    let asked = Asked {
        question,
        form,
        predictions,
    };
    let found = [
        asked.objective(),
        asked.delay(),
        asked.rate(),
        asked.window(),
        asked.capacity(),
        asked.keys(),
        asked.pods(),
        asked.close_deadline(),
    ];
    found.into_iter().flatten().collect()
}

/// A question to which no setting is the answer.
struct Asked<'a> {
    question: &'a Question,
    /// One of its forms, for what they have in common.
    form: &'a TrialSettings,
    predictions: &'a Predictions<'a>,
}

impl Asked<'_> {
    /// Whether some form holds the objective of a question once it is changed.
    fn holds(&self, question: &Question, by: By, change: impl Fn(&TrialSettings) -> TrialSettings) -> bool {
        question.forms.iter().any(|form| {
            let form = change(form);
            let thresholds = question.thresholds(form.window);
            let judge = Judge::new(&thresholds, &form, self.predictions);
            let most = least::most(&form, question.most_pods(&form));
            let roughly = judge.check(&most, Room::Kept, By::Arithmetic).is_ok();
            roughly && (by == By::Arithmetic || judge.check(&most, Room::Kept, by).is_ok())
        })
    }

    /// Whether some form holds the objective once its settings are changed.
    fn holds_with(&self, by: By, change: impl Fn(&TrialSettings) -> TrialSettings) -> bool {
        self.holds(self.question, by, change)
    }

    /// The best figure of a threshold that alone is missed.
    fn best(&self) -> Option<(Metric, PredictedFigure)> {
        let missed = self.question.forms.iter().filter_map(|form| {
            let thresholds = self.question.thresholds(form.window);
            let most = least::most(form, self.question.most_pods(form));
            let judge = Judge::new(&thresholds, form, self.predictions);
            match judge.check(&most, Room::Kept, By::Arithmetic) {
                Err(Obstacle::Missed { metric, figure }) => Some((metric, figure)),
                _ => None,
            }
        });
        missed.min_by(|(_, one), (_, other)| one.figure.total_cmp(&other.figure))
    }

    fn objective(&self) -> Option<Change> {
        let (metric, best) = self.best()?;
        let bound = objective::with_room(metric, best.figure);
        let bound = match metric.unit() {
            // As a threshold has it.
            Unit::Duration => format_duration(rounded_up(bound)),
            Unit::Share | Unit::Bytes => metric.unit().text(bound),
        };
        let (threshold, figure) = (best.threshold, best.text);
        Some(Change {
            what: "objective",
            sentence: format!(
                "Allow more: `{threshold}` is {figure} at best; a bound of {bound} leaves room."
            ),
        })
    }

    fn delay(&self) -> Option<Change> {
        let factor = self.largest_factor(|form, factor| TrialSettings {
            io_delay: scaled(&form.io_delay, factor),
            ..form.clone()
        })?;
        let mean = text::duration(scaled(&self.form.io_delay, factor).mean());
        let part = share((factor * 100.0).floor() / 100.0);
        Some(Change {
            what: "io_delay",
            sentence: format!("Make the calls faster: at most {part} of the delay (a mean of {mean})."),
        })
    }

    fn rate(&self) -> Option<Change> {
        let at = |rpu: NonZeroU64, factor: f64| {
            NonZeroU64::new((rpu.get() as f64 * factor) as u64).unwrap_or(NonZeroU64::MIN)
        };
        let factor = self.largest_factor(|form, factor| TrialSettings {
            rpu: at(form.rpu, factor),
            ..form.clone()
        })?;
        let rate = count(at(self.form.rpu, factor).get());
        Some(Change {
            what: "rpu",
            sentence: format!("Send less: up to {rate} events a second hold."),
        })
    }

    fn window(&self) -> Option<Change> {
        let by = |factor: u32| {
            move |form: &TrialSettings| TrialSettings {
                window: form.window.saturating_mul(factor),
                ..form.clone()
            }
        };
        let mut factors = (1..=DOUBLINGS).map(|doubling| 1u32 << doubling);
        let factor = factors.find(|factor| self.holds_with(By::Arithmetic, by(*factor)))?;
        let factor = [factor, factor * 2]
            .into_iter()
            .find(|factor| self.holds_with(By::Simulation, by(*factor)))?;
        let window = text::setting(self.form.window.saturating_mul(factor));
        Some(Change {
            what: "window",
            sentence: format!("Make windows longer: those of {window} hold."),
        })
    }

    fn capacity(&self) -> Option<Change> {
        let given = self.form.capacity.0?;
        let with = |capacity: NonZeroU64| {
            move |form: &TrialSettings| TrialSettings {
                capacity: Limit(Some(capacity)),
                ..form.clone()
            }
        };
        let most = given.saturating_mul(DOUBLED);
        let more = least::first(given, most, |more| self.holds_with(By::Arithmetic, with(more)))?;
        let (more, given) = (count(more.get()), count(given.get()));
        Some(Change {
            what: "capacity",
            sentence: format!("Make the endpoint serve more at once: {more} calls in place of {given}."),
        })
    }

    fn keys(&self) -> Option<Change> {
        // A capacity is shared by all keys, and a close that is too long is no lack of them.
        if self.form.capacity.0.is_some() || self.best().is_some() {
            return None;
        }
        let mut more = (1..=DOUBLINGS)
            .filter_map(|doubling| self.form.keys.checked_mul(NonZeroU64::new(1 << doubling)?));
        let more = more.find(|more| {
            self.holds_with(By::Arithmetic, |form| TrialSettings {
                keys: *more,
                ..form.clone()
            })
        })?;
        let (more, given) = (count(more.get()), count(self.form.keys.get()));
        Some(Change {
            what: "keys",
            sentence: format!("Divide the events among more keys: {more} in place of {given}."),
        })
    }

    fn pods(&self) -> Option<Change> {
        let given = self.question.most_pods?;
        let without = Question {
            most_pods: None,
            ..self.question.clone()
        };
        let most = without.most_pods(self.form);
        let more = least::first(given, most.max(given), |more| {
            let question = Question {
                most_pods: Some(more),
                ..without.clone()
            };
            self.holds(&question, By::Arithmetic, TrialSettings::clone)
        });
        let more = more.filter(|more| *more > given)?;
        let (more, given) = (count(more.get()), count(given.get()));
        Some(Change {
            what: "pods",
            sentence: format!("Use more pods: {more} in place of {given}."),
        })
    }

    /// Whether a close deadline would keep the bound of a close tail, and at what price.
    fn close_deadline(&self) -> Option<Change> {
        if self.form.close_deadline().is_some() {
            return None;
        }
        let deadline = self.form.window / 4;
        let missed = self.question.forms.iter().filter_map(|form| {
            let form = TrialSettings {
                close_deadline: Some(Deadline(Some(deadline))),
                // What is missed is the price.
                max_failed: Some(1.0),
                ..form.clone()
            };
            let thresholds = self.question.thresholds(form.window);
            let judge = Judge::new(&thresholds, &form, self.predictions);
            let most = least::most(&form, self.question.most_pods(&form));
            let prediction = judge.check(&most, Room::Kept, By::Arithmetic).ok()?;
            prediction.missed_share
        });
        let missed = share(missed.min_by(f64::total_cmp)?);
        let deadline = text::setting(deadline);
        Some(Change {
            what: "close_deadline",
            sentence: format!(
                "Give up what is late: a close deadline of {deadline} misses {missed} of the events, which count as failed."
            ),
        })
    }

    /// The largest factor below 1, about, with which the objective holds.
    fn largest_factor(&self, change: impl Fn(&TrialSettings, f64) -> TrialSettings) -> Option<f64> {
        let holds = |factor: f64, by| self.holds_with(by, |form| change(form, factor));
        let (mut held, mut failed) = (0.5, 1.0);
        let mut halvings = 1;
        while !holds(held, By::Arithmetic) {
            if halvings == DOUBLINGS {
                return None;
            }
            halvings += 1;
            (held, failed) = (held / 2.0, held);
        }
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(held, failed);
            match holds(middle, By::Arithmetic) {
                true => held = middle,
                false => failed = middle,
            }
        }
        CAUTION
            .into_iter()
            .map(|part| held * part)
            .find(|factor| holds(*factor, By::Simulation))
    }
}

/// Microseconds in two digits, rounded up.
fn rounded_up(micros: f64) -> Duration {
    let step = 10f64.powf(micros.max(10.0).log10().floor() - 1.0).max(1.0);
    Duration::from_micros(((micros / step).ceil() * step) as u64)
}

/// A delay whose every quantile is this part of another's.
fn scaled(delay: &Delay, factor: f64) -> Delay {
    let of = |duration: &Duration| duration.mul_f64(factor).max(Duration::from_nanos(1));
    match delay {
        Delay::Fixed(fixed) => Delay::Fixed(fixed.mul_f64(factor)),
        Delay::Uniform(low, high) => Delay::Uniform(of(low), of(high)),
        Delay::Exponential(mean) => Delay::Exponential(of(mean)),
        Delay::Lognormal(points) => Delay::Lognormal(points.map(|(percent, at)| (percent, of(&at)))),
        Delay::Percentiles(points) => {
            Delay::Percentiles(points.iter().map(|(percent, at)| (*percent, of(at))).collect())
        }
    }
}
