//! The one sentence that says why a trial will do what is predicted.

use std::time::Duration;

use wire::{StartRule, format_duration};

use super::{CANNOT_FROM, Crew, Service, Verdict, tail};
use crate::trial::TrialSettings;

/// What the sentence is made of.
pub(super) struct Reason<'a> {
    pub settings: &'a TrialSettings,
    pub service: &'a Service,
    pub crew: &'a Crew,
    pub capacity_share: f64,
    pub tail_s: f64,
    pub verdict: Verdict,
}

impl Reason<'_> {
    pub(super) fn sentence(&self) -> String {
        let Self {
            settings,
            service,
            crew,
            capacity_share,
            tail_s,
            verdict,
        } = self;
        let needed = settings.rpu.get() as f64 * service.mean_s;
        let demand = format!(
            "{} calls a second of {} keep {} in flight and {} can be, {} % of the capacity",
            settings.rpu,
            seconds(service.mean_s),
            plain(needed),
            plain(crew.in_flight),
            plain(capacity_share * 100.0),
        );
        let (tail, window) = (seconds(*tail_s), format_duration(settings.window));
        let end = match (verdict, settings.start_rule) {
            (Verdict::Cannot, _) if *capacity_share >= CANNOT_FROM => {
                let behind = seconds((capacity_share - 1.0) * settings.window.as_secs_f64());
                format!("it falls behind by {behind} with every window of {window}")
            }
            (Verdict::Cannot, _) => {
                format!(
                    "each close takes {tail}, longer than its window of {window}, and holds up the next one"
                )
            }
            (Verdict::Critical, _) => {
                format!("nothing is to spare for what goes wrong, and a close takes {tail} at best")
            }
            (Verdict::KeepsUp, StartRule::AtClose) => format!(
                "the {} calls of a window begin at its close and take {tail}",
                settings.events_per_window()
            ),
            (Verdict::KeepsUp, StartRule::AtArrival) => {
                let left = if tail == "0" {
                    "no call".to_owned()
                } else {
                    format!("{tail} of calls")
                };
                format!(
                    "events arrive at the latest one read batch ({}) before the close, which leaves {left}",
                    seconds(tail::period_s(settings))
                )
            }
        };
        let runs_out =
            if service.varying.is_none() && settings.io_delay.mean().as_secs_f64() >= service.limit_s {
                format!(
                    "; every call runs into its timeout of {}",
                    format_duration(settings.timeout)
                )
            } else {
                String::new()
            };
        format!("{demand}: {end}{runs_out}.")
    }
}

/// Seconds as the text of a duration, to the microsecond, or to the millisecond above a second.
fn seconds(seconds: f64) -> String {
    let micros = seconds * 1e6;
    let micros = if micros >= 1e6 {
        (micros / 1e3).round() * 1e3
    } else {
        micros.round()
    };
    format_duration(Duration::from_micros(micros as u64))
}

/// A number with at most two decimals, none above a hundred.
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
