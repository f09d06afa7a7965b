//! The sentence that explains a prediction.

use std::time::Duration;

use wire::StartRule;

use super::{Bounded, CANNOT_FROM, Servers, Service, Verdict, tail};
use crate::text;
use crate::trial::TrialSettings;

pub(super) struct Reason<'a> {
    pub settings: &'a TrialSettings,
    pub service: &'a Service,
    pub servers: &'a Servers,
    pub utilization: f64,
    pub tail_s: f64,
    pub deadline: Option<&'a Bounded>,
    pub verdict: Verdict,
}

impl Reason<'_> {
    pub(super) fn sentence(&self) -> String {
        let Self {
            settings,
            service,
            servers,
            utilization,
            tail_s,
            deadline,
            verdict,
        } = self;
        let needed = settings.rpu.get() as f64 * service.mean_s;
        let demand = format!(
            "{} calls a second, each of {}, need {} in flight on average; the limit is {} and the load {} of the capacity",
            text::count(settings.rpu.get()),
            seconds(service.mean_s),
            text::ratio(needed),
            text::ratio(servers.in_flight),
            text::share(*utilization),
        );
        // Which calls are missed is said below.
        let tail_s = match (verdict, deadline) {
            (Verdict::KeepsUp, Some(bounded)) => bounded.unbounded_s,
            _ => *tail_s,
        };
        let (tail, window) = (seconds(tail_s), text::setting(settings.window));
        let end = match (verdict, settings.start_rule) {
            (Verdict::Cannot, _) if *utilization >= CANNOT_FROM && deadline.is_none() => {
                let behind = seconds((utilization - 1.0) * settings.window.as_secs_f64());
                format!("it falls behind by {behind} with every window of {window}")
            }
            (Verdict::Cannot, _) => {
                format!(
                    "each close takes {tail}, longer than its window of {window}, and delays the next one"
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
                let calls_end = if tail == "0" {
                    "so all calls end before it".to_owned()
                } else {
                    format!("and calls end {tail} after it")
                };
                format!(
                    "the last events arrive one read batch ({}) before the close, {calls_end}",
                    seconds(tail::period_s(settings))
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
        format!("{demand}: {end}{timeouts}{missed}.")
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
