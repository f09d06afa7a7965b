//! The sentence that explains a prediction.

use std::time::Duration;

use wire::StartRule;

use super::expected::{Expected, TOLERATED_GROWTH};
use super::{Bounded, CANNOT_FROM, Model, Verdict};
use crate::text;

/// Share of the time that closes take from which the reason warns of it.
pub const STALLED_FROM: f64 = 0.5;

pub(super) struct Reason<'a> {
    pub model: &'a Model<'a>,
    pub utilization: f64,
    pub expected: &'a Expected,
    pub deadline: Option<&'a Bounded>,
}

impl Reason<'_> {
    pub(super) fn sentence(&self) -> String {
        let Self {
            model,
            utilization,
            expected,
            deadline,
        } = self;
        let (settings, service, verdict) = (model.settings, &model.service, expected.verdict);
        let needed = settings.rpu.get() as f64 * service.mean_s;
        let demand = format!(
            "{} calls a second, each of {}, need {} in flight on average; the limit is {} and the load {} of the capacity",
            text::count(settings.rpu.get()),
            seconds(service.mean_s),
            text::ratio(needed),
            text::ratio(model.servers.in_flight),
            text::share(*utilization),
        );
        // Which calls are missed is said below.
        let tail_s = match (verdict, deadline) {
            (Verdict::KeepsUp, Some(bounded)) => bounded.unbounded_s,
            _ => expected.tails.p50_s,
        };
        let (tail, window) = (seconds(tail_s), text::setting(settings.window));
        let growth = seconds(expected.growth_s);
        let end = match (verdict, settings.start_rule) {
            (Verdict::Cannot, _) => {
                let stall = if *utilization < CANNOT_FROM {
                    ", as nothing is read while one closes"
                } else {
                    ""
                };
                format!("it falls behind by {growth} with every window of {window}{stall}")
            }
            (Verdict::Critical, _)
                if expected.growth_s > TOLERATED_GROWTH * settings.window.as_secs_f64() =>
            {
                format!(
                    "there is no spare capacity, and it falls behind by {growth} with every window of {window} unless calls are \
                 quicker than assumed"
                )
            }
            (Verdict::Critical, _) => {
                format!("there is no spare capacity for disturbances, and a close takes at least {tail}")
            }
            (Verdict::KeepsUp, StartRule::AtClose) => format!(
                "the {} calls of a window begin at its close and take {tail}",
                text::count(settings.events_per_window())
            ),
            (Verdict::KeepsUp, StartRule::AtArrival) => {
                let calls_end = if expected.tails.p50_s <= model.keys_s() + 1e-9 {
                    "so all calls end before it".to_owned()
                } else {
                    format!("and calls end {tail} after it")
                };
                format!(
                    "the last events arrive one read batch ({}) before the close, {calls_end}",
                    seconds(model.period_s())
                )
            }
        };
        let timeouts =
            if service.varying.is_none() && settings.io_delay.mean().as_secs_f64() >= service.limit_s {
                format!("; every call times out after {}", text::setting(settings.timeout))
            } else {
                String::new()
            };
        let missed = deadline.map_or_else(String::new, Bounded::in_words);
        let stalls = if verdict != Verdict::Cannot && expected.stall_share > STALLED_FROM {
            format!(
                "; the pod stands still for {} of the time, because it reads nothing while a window closes",
                text::share(expected.stall_share)
            )
        } else {
            String::new()
        };
        format!("{demand}: {end}{timeouts}{missed}{stalls}.")
    }
}

impl Bounded {
    fn in_words(&self) -> String {
        let deadline = text::setting(self.deadline);
        let unended = format!("; what has not ended {deadline} after the close is missed");
        match self.missed_share {
            Some(share) if share > 0.0 => format!("{unended}: {} of the events", text::share(share)),
            None if self.unbounded_s > self.tail_s => unended,
            _ => String::new(),
        }
    }
}

/// Seconds as a duration for people.
fn seconds(seconds: f64) -> String {
    text::duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
