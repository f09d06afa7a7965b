//! The figures for other programs: durations in whole microseconds, settings in the plan's spelling. What was not
//! measured is an empty field, never a number.

use std::io::{self, Write};
use std::num::NonZeroU64;
use std::time::Duration;

use wire::Outcome;

use super::sentences;
use crate::summary::{Agreement, Row, Spread, Summary, delay_text};
use trials::outcome::{TrialEnd, TrialOutcome, WindowMeasure};
use trials::trial::TrialSettings;

const SETTINGS: [&str; 17] = [
    "strategy",
    "start_rule",
    "workload",
    "rpu",
    "io_delay",
    "keys",
    "key_skew",
    "payload_size",
    "max_workers",
    "cpu_offload",
    "timeout",
    "retries",
    "max_waiting",
    "capacity",
    "fail_status",
    "window",
    "read_timeout",
];

const WINDOW: [&str; 19] = [
    "trial",
    "repeat",
    "trial_end",
    "index",
    "warmup",
    "window_start_ms",
    "censored",
    "keys_seen",
    "events",
    "ok",
    "failed",
    "execution_time_us",
    "close_tail_us",
    "stream_tail_us",
    "result_lag_us",
    "peak_in_flight",
    "reading_stopped",
    "trial_started_us",
    "trial_ended_us",
];

const SUMMARY: [&str; 45] = [
    "trials",
    "failed_trials",
    "windows",
    "measured",
    "censored",
    "condition",
    "close_tail_median_us",
    "close_tail_min_us",
    "close_tail_max_us",
    "execution_time_median_us",
    "execution_time_min_us",
    "execution_time_max_us",
    "result_lag_median_us",
    "result_lag_min_us",
    "result_lag_max_us",
    "peak_in_flight",
    "latency_count",
    "latency_p50_us",
    "latency_p90_us",
    "latency_p99_us",
    "latency_p999_us",
    "latency_max_us",
    "slot_wait_p50_us",
    "slot_wait_p99_us",
    "ledgers",
    "ledgers_balanced",
    "offered",
    "lost",
    "repeated",
    "predicted_load_factor",
    "predicted_in_flight",
    "predicted_close_tail_us",
    "predicted_verdict",
    "verdict_agrees",
    "close_tail_as_predicted",
    "cpu_us",
    "cpu_calls",
    "cpu_us_per_1000_calls",
    "peak_memory_bytes",
    "peak_threads",
    "stream_share_p50_us",
    "stream_share_p99_us",
    "stream_share_max_us",
    "cell",
    "series",
];

/// One row for each window, warm-up and censored ones included.
pub(super) fn windows(summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    line(out, &mut SETTINGS.into_iter().chain(WINDOW).map(str::to_owned))?;
    for trial in &summary.trials {
        // The same for all windows of the trial, so it is written once and repeated as bytes.
        let mut settings = Vec::new();
        fields(
            &mut settings,
            &mut self::settings(&trial.trial.settings).into_iter(),
        )?;
        for window in &trial.windows {
            let measured = window.measured.as_ref();
            let number =
                |of: fn(&WindowMeasure) -> u64| measured.map(|m| of(m).to_string()).unwrap_or_default();
            let row = [
                trial.trial.id.clone(),
                trial.trial.repeat.to_string(),
                end(trial).to_owned(),
                window.index.to_string(),
                window.warmup.to_string(),
                window.window_start_ms.to_string(),
                measured.is_none().to_string(),
                number(|m| m.keys),
                number(|m| m.events),
                number(|m| m.ok),
                number(|m| m.failed),
                number(|m| m.execution_time_us),
                number(|m| m.close_tail_us),
                measured
                    .and_then(|m| m.stream_tail_us)
                    .map(|t| t.to_string())
                    .unwrap_or_default(),
                number(|m| m.result_lag_us),
                number(|m| m.peak_in_flight),
                number(|m| m.reading_stopped),
                trial.started_us.to_string(),
                trial.ended_us.to_string(),
            ];
            out.write_all(&settings)?;
            out.write_all(b",")?;
            line(out, &mut row.into_iter())?;
        }
    }
    Ok(())
}

/// One row for each row of the summary.
pub(super) fn summary(summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    let outcomes = Outcome::ALL
        .iter()
        .map(|outcome| format!("calls_{}", outcome.name().replace('-', "_")));
    line(
        out,
        &mut SETTINGS
            .into_iter()
            .chain(SUMMARY)
            .map(str::to_owned)
            .chain(outcomes),
    )?;
    for row in &summary.rows {
        let Some(first) = row.trials.first() else { continue };
        let calls = Outcome::ALL
            .iter()
            .map(|outcome| row.outcomes.get(outcome).unwrap_or(&0).to_string());
        let figures = figures(summary, row).into_iter().chain(calls);
        line(
            out,
            &mut settings(&first.trial.settings).into_iter().chain(figures),
        )?;
    }
    Ok(())
}

fn figures(summary: &Summary<'_>, row: &Row<'_>) -> Vec<String> {
    let micros = |duration: Option<Duration>| duration.map(|d| d.as_micros().to_string()).unwrap_or_default();
    let spread = |spread: Option<Spread>| {
        [
            spread.map(|s| s.median),
            spread.map(|s| s.min),
            spread.map(|s| s.max),
        ]
        .map(micros)
    };
    let prediction = row.prediction();
    let mut figures = vec![
        row.trials.len().to_string(),
        row.failed_trials.to_string(),
        row.windows().to_string(),
        row.measured.to_string(),
        row.censored.to_string(),
        sentences::condition(row.condition).replace(' ', "-"),
    ];
    figures.extend(
        [row.close_tail, row.execution_time, row.result_lag]
            .into_iter()
            .flat_map(spread),
    );
    figures.push(optional(row.peak_in_flight));
    figures.push(row.latency.count.to_string());
    let (latency, slot_wait) = (row.latency, row.slot_wait);
    let percentiles = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
    figures.extend(percentiles.map(micros));
    figures.extend([slot_wait.p50, slot_wait.p99].map(micros));
    let ledger = row.ledger;
    figures.extend([
        optional(ledger.map(|l| l.trials)),
        optional(ledger.map(|l| l.balanced)),
        optional(ledger.map(|l| l.offered)),
        optional(ledger.map(|l| l.lost)),
        optional(ledger.map(|l| l.repeated)),
        optional(prediction.map(|p| p.load_factor)),
        optional(prediction.map(|p| p.needed_in_flight)),
        optional(prediction.and_then(|p| p.close_tail_us)),
        prediction
            .map(|p| sentences::verdict(p.verdict).replace(' ', "-"))
            .unwrap_or_default(),
        match row.agreement() {
            Some(Agreement::Agrees) => "true".to_owned(),
            Some(Agreement::Disagrees) => "false".to_owned(),
            Some(Agreement::Undecided) | None => String::new(),
        },
        optional(row.tail_as_predicted()),
    ]);
    let cost = row.cost.as_ref();
    figures.extend([
        optional(cost.map(|c| c.cpu_us)),
        optional(cost.map(|c| c.calls)),
        optional(
            cost.filter(|c| c.calls > 0)
                .map(|c| u128::from(c.cpu_us) * 1_000 / u128::from(c.calls)),
        ),
        optional(cost.map(|c| c.peak_memory_bytes)),
        optional(cost.map(|c| c.peak_threads)),
        micros(row.stream_share.map(|share| share.p50)),
        micros(row.stream_share.map(|share| share.p99)),
        micros(row.stream_share.map(|share| share.max)),
        summary.cell_label(row),
        summary.series_label(row).to_owned(),
    ]);
    figures
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn end(trial: &TrialOutcome) -> &'static str {
    match trial.end {
        TrialEnd::Completed => "completed",
        TrialEnd::CutOff => "cut-off",
        TrialEnd::Failed { .. } => "failed",
    }
}

fn settings(asked: &TrialSettings) -> [String; 17] {
    [
        asked.strategy.to_string(),
        asked.start_rule.to_string(),
        asked.workload.to_string(),
        asked.rpu.to_string(),
        delay_text(&asked.io_delay),
        asked.keys.to_string(),
        asked.key_skew.to_string(),
        asked.payload_size.to_string(),
        asked.max_workers.to_string(),
        asked.cpu_offload.to_string(),
        wire::format_duration(asked.timeout),
        asked.retries.to_string(),
        asked.max_waiting.to_string(),
        optional(asked.capacity.map(NonZeroU64::get)),
        asked.fail_status.to_string(),
        wire::format_duration(asked.window),
        wire::format_duration(asked.read_timeout),
    ]
}

fn line(out: &mut dyn Write, values: &mut dyn Iterator<Item = String>) -> io::Result<()> {
    fields(out, values)?;
    out.write_all(b"\n")
}

/// Fields after RFC 4180: quoted where they contain a comma, a quote or a line's end.
fn fields(out: &mut dyn Write, values: &mut dyn Iterator<Item = String>) -> io::Result<()> {
    for (place, value) in values.enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        if value.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", value.replace('"', "\"\""))?;
        } else {
            out.write_all(value.as_bytes())?;
        }
    }
    Ok(())
}
