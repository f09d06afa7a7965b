//! The sentence that explains a prediction.

use std::time::Duration;

use wire::StartRule;

use super::{CANNOT_FROM, Servers, Service, Verdict, tail};
use crate::text;
use crate::trial::TrialSettings;

pub(super) struct Reason<'a> {
    pub settings: &'a TrialSettings,
    pub service: &'a Service,
    pub servers: &'a Servers,
    pub utilization: f64,
    pub tail_s: f64,
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
        let (tail, window) = (seconds(*tail_s), text::setting(settings.window));
        let end = match (verdict, settings.start_rule) {
            (Verdict::Cannot, _) if *utilization >= CANNOT_FROM => {
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
        format!("{demand}: {end}{timeouts}.")
    }
}

/// Seconds as a duration for people.
fn seconds(seconds: f64) -> String {
    text::duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
