//! The sentence that explains a prediction.

use std::time::Duration;

use wire::{StartRule, format_duration};

use super::{CANNOT_FROM, Servers, Service, Verdict, tail};
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
            "{} calls a second, each of {}, need {} in flight on average; the limit is {} and the load {} % of the capacity",
            settings.rpu,
            seconds(service.mean_s),
            plain(needed),
            plain(servers.in_flight),
            plain(utilization * 100.0),
        );
        let (tail, window) = (seconds(*tail_s), format_duration(settings.window));
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
                settings.events_per_window()
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
                format!(
                    "; every call times out after {}",
                    format_duration(settings.timeout)
                )
            } else {
                String::new()
            };
        format!("{demand}: {end}{timeouts}.")
    }
}

/// Formats seconds as a duration, rounded to microseconds, or to milliseconds above a second.
fn seconds(seconds: f64) -> String {
    let micros = seconds * 1e6;
    let micros = if micros >= 1e6 {
        (micros / 1e3).round() * 1e3
    } else {
        micros.round()
    };
    format_duration(Duration::from_micros(micros as u64))
}

/// Formats a number with at most two decimals, and none from 100 on.
fn plain(number: f64) -> String {
    if number > 0.0 && number < 0.01 {
        return "less than 0.01".to_owned();
    }
    let text = if number >= 100.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    };
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}
