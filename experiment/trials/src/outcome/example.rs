//! Outcomes for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::Outcome;

use super::*;
use crate::predict;
use crate::trial::TrialSettings;

pub const SECOND: u64 = 1_000_000;

/// A trial of one-second windows with these close tails, whose results lag a little more; every call succeeded.
pub fn trial(tails_us: &[u64]) -> TrialOutcome {
    let window = |(index, tail_us): (u32, &u64)| WindowResult {
        index,
        warmup: false,
        window_start_ms: 0,
        measured: Some(WindowMeasure {
            keys: 1,
            events: 100,
            ok: 100,
            failed: 0,
            execution_time_us: SECOND + tail_us,
            close_tail_us: *tail_us,
            stream_tail_us: None,
            result_lag_us: tail_us + 50_000,
            peak_in_flight: 1,
            reading_stopped: 0,
            processes: Vec::new(),
        }),
    };
    let events = 100 * tails_us.len() as u64;
    TrialOutcome {
        trial: Trial {
            id: "trial".to_owned(),
            repeat: 0,
            settings: TrialSettings {
                window: Duration::from_secs(1),
                read_timeout: Duration::from_millis(50),
                ..TrialSettings::defaults().unwrap()
            },
        },
        prediction: Prediction {
            load_factor: 0.5,
            needed_in_flight: 1.0,
            close_tail_us: None,
            growth_per_window_us: None,
            close_tail_percentiles: None,
            stall_share: None,
            missed_share: None,
            verdict: predict::Verdict::KeepsUp,
            why: String::new(),
        },
        started_us: 0,
        ended_us: 0,
        end: TrialEnd::Completed,
        windows: (0..).zip(tails_us).map(window).collect(),
        ledger: Some(Ledger {
            offered: events,
            ok: events,
            ..Ledger::default()
        }),
        outcomes: BTreeMap::from([(Outcome::Ok, events)]),
        latency: PackedLatencies::default(),
        failed_latency: None,
        slot_wait: PackedLatencies::default(),
        instruments: Some(Instruments {
            generator_lateness: PackedLatencies::default(),
            overdue: 0,
            endpoint_excess: None,
            endpoint_given: None,
            endpoint_served: Some(events),
            endpoint_peak_in_flight: None,
            endpoint_repeats: None,
            endpoint_failed: Some(0),
            endpoint_unanswered: Some(0),
            engine: BTreeMap::new(),
        }),
        cost: None,
        call_account: Some(CallAccount {
            attempts: events,
            reconnects: 0,
            answered: events,
        }),
    }
}
