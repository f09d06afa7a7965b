//! The figures for other programs: durations in whole microseconds, settings as in the plan. Values that were not measured
//! or not recorded are empty fields.

use std::io::{self, Write};
use std::time::Duration;

use csv::{Writer, WriterBuilder};
use serde::Serialize;
use trials::outcome::{TrialEnd, TrialOutcome, WindowMeasure, WindowResult};
use trials::trial::TrialSettings;
use wire::Outcome;
use wire::settings::{Shown, TABLE};

use crate::sentences;
use crate::summary::{Agreement, Row, Spread, Summary};
use crate::text;

/// One window of a trial. The field names are the columns of `windows.csv`.
#[derive(Default, Serialize)]
struct WindowRow<'a> {
    trial: &'a str,
    repeat: u32,
    trial_end: &'static str,
    index: u32,
    warmup: bool,
    window_start_ms: u64,
    censored: bool,
    keys_seen: Option<u64>,
    events: Option<u64>,
    ok: Option<u64>,
    failed: Option<u64>,
    execution_time_us: Option<u64>,
    close_tail_us: Option<u64>,
    stream_tail_us: Option<u64>,
    result_lag_us: Option<u64>,
    peak_in_flight_of_a_key: Option<u64>,
    reading_stopped: Option<u64>,
    trial_started_us: u64,
    trial_ended_us: u64,
}

/// One row of the summary, without the calls by outcome. The field names are the columns of `summary.csv`.
#[derive(Default, Serialize)]
struct SummaryRow {
    trials: usize,
    failed_trials: usize,
    windows: u64,
    measured: u64,
    censored: u64,
    verdict: String,
    verdict_reason: String,
    failed_share: Option<f64>,
    close_tail_median_us: Option<u128>,
    close_tail_min_us: Option<u128>,
    close_tail_max_us: Option<u128>,
    repeats: Option<usize>,
    repeats_close_tail_median_us: Option<u128>,
    repeats_close_tail_low_us: Option<u128>,
    repeats_close_tail_high_us: Option<u128>,
    repeats_for_10_percent: Option<usize>,
    execution_time_median_us: Option<u128>,
    execution_time_min_us: Option<u128>,
    execution_time_max_us: Option<u128>,
    result_lag_median_us: Option<u128>,
    result_lag_min_us: Option<u128>,
    result_lag_max_us: Option<u128>,
    peak_in_flight: Option<u64>,
    peak_in_flight_of_a_key: Option<u64>,
    latency_count: u64,
    latency_p50_us: Option<u128>,
    latency_p90_us: Option<u128>,
    latency_p99_us: Option<u128>,
    latency_p999_us: Option<u128>,
    latency_max_us: Option<u128>,
    failed_latency_count: Option<u64>,
    failed_latency_p50_us: Option<u128>,
    failed_latency_p99_us: Option<u128>,
    failed_latency_max_us: Option<u128>,
    slot_wait_p50_us: Option<u128>,
    slot_wait_p99_us: Option<u128>,
    ledgers: Option<usize>,
    ledgers_balanced: Option<usize>,
    offered: Option<u64>,
    lost: Option<u64>,
    repeated: Option<u64>,
    predicted_load_factor: Option<f64>,
    predicted_in_flight: Option<f64>,
    predicted_close_tail_us: Option<u64>,
    predicted_close_tail_p99_us: Option<u64>,
    predicted_growth_per_window_us: Option<u64>,
    predicted_stall_share: Option<f64>,
    predicted_missed_share: Option<f64>,
    predicted_verdict: Option<String>,
    verdict_agrees: Option<bool>,
    close_tail_as_predicted: Option<bool>,
    explained_load_factor: Option<f64>,
    explained_close_tail_us: Option<u64>,
    explained_verdict: Option<String>,
    cpu_us: Option<u64>,
    cpu_calls: Option<u64>,
    cpu_us_per_1000_calls: Option<u128>,
    peak_memory_bytes: Option<u64>,
    peak_threads: Option<u64>,
    // The stream overhead; the columns keep their names for programs that read them.
    stream_share_p50_us: Option<u128>,
    stream_share_p99_us: Option<u128>,
    stream_share_max_us: Option<u128>,
    cell: String,
    series: String,
}

/// Creates a writer and writes the header: settings, the fields of a row, further columns.
fn writer<R: Default + Serialize>(
    out: &mut dyn Write,
    further: impl Iterator<Item = String>,
) -> io::Result<Writer<&mut dyn Write>> {
    let mut writer = WriterBuilder::new().has_headers(false).from_writer(out);
    let settings = TABLE.iter().filter(|setting| setting.shown != Shown::Never);
    let header: Vec<String> = settings
        .map(|setting| setting.name.to_owned())
        .chain(names(&R::default())?)
        .chain(further)
        .collect();
    writer.write_record(&header)?;
    Ok(writer)
}

/// The field names of a row.
fn names<R: Serialize>(row: &R) -> io::Result<Vec<String>> {
    let mut header = Writer::from_writer(Vec::new());
    header.serialize(row)?;
    let text = header.into_inner().map_err(|error| error.into_error())?;
    let text = String::from_utf8_lossy(&text);
    Ok(text
        .lines()
        .next()
        .unwrap_or_default()
        .split(',')
        .map(str::to_owned)
        .collect())
}

/// The settings that can vary between rows, as text.
fn settings_texts(settings: &TrialSettings) -> Vec<String> {
    settings
        .values()
        .filter(|(setting, ..)| setting.shown != Shown::Never)
        .map(|(_, text, _)| text.unwrap_or_default())
        .collect()
}

/// One row for each window, including warm-up and censored ones.
pub(super) fn windows(summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = writer::<WindowRow<'_>>(out, std::iter::empty())?;
    for trial in &summary.trials {
        let settings = settings_texts(&trial.trial.settings);
        for window in &trial.windows {
            writer.serialize((&settings, window_row(trial, window)))?;
        }
    }
    writer.flush()
}

fn window_row<'a>(trial: &'a TrialOutcome, window: &WindowResult) -> WindowRow<'a> {
    let measured = window.measured.as_ref();
    let number = |of: fn(&WindowMeasure) -> u64| measured.map(of);
    WindowRow {
        trial: &trial.trial.id,
        repeat: trial.trial.repeat,
        trial_end: end(trial),
        index: window.index,
        warmup: window.warmup,
        window_start_ms: window.window_start_ms,
        censored: measured.is_none(),
        keys_seen: number(|m| m.keys),
        events: number(|m| m.events),
        ok: number(|m| m.ok),
        failed: number(|m| m.failed),
        execution_time_us: number(|m| m.execution_time_us),
        close_tail_us: number(|m| m.close_tail_us),
        stream_tail_us: measured.and_then(|m| m.stream_tail_us),
        result_lag_us: number(|m| m.result_lag_us),
        peak_in_flight_of_a_key: number(|m| m.peak_in_flight),
        reading_stopped: number(|m| m.reading_stopped),
        trial_started_us: trial.started_us,
        trial_ended_us: trial.ended_us,
    }
}

/// One row for each row of the summary.
pub(super) fn summary(summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    let outcomes = Outcome::ALL
        .iter()
        .map(|outcome| format!("calls_{}", outcome.name().replace('-', "_")));
    let mut writer = writer::<SummaryRow>(out, outcomes)?;
    for row in &summary.rows {
        let Some(first) = row.trials.first() else { continue };
        let calls: Vec<u64> = Outcome::ALL
            .iter()
            .map(|outcome| *row.outcomes.get(outcome).unwrap_or(&0))
            .collect();
        writer.serialize((
            settings_texts(&first.trial.settings),
            summary_row(summary, row),
            calls,
        ))?;
    }
    writer.flush()
}

/// Longer than a screen: one line for each column.
fn summary_row(summary: &Summary<'_>, row: &Row<'_>) -> SummaryRow {
    let micros = |duration: Option<Duration>| duration.map(|duration| duration.as_micros());
    let median = |spread: Option<Spread>| micros(spread.map(|spread| spread.median));
    let min = |spread: Option<Spread>| micros(spread.map(|spread| spread.min));
    let max = |spread: Option<Spread>| micros(spread.map(|spread| spread.max));
    let (prediction, explained) = (row.prediction(), summary.explained(row));
    let (latency, slot_wait, ledger, cost) = (row.latency, row.slot_wait, row.ledger, row.cost.as_ref());
    SummaryRow {
        trials: row.trials.len(),
        failed_trials: row.failed_trials,
        windows: row.windows(),
        measured: row.measured,
        censored: row.censored,
        verdict: row.verdict.kind.name().replace(' ', "-"),
        verdict_reason: row.verdict.text(),
        failed_share: row
            .verdict
            .calls
            .as_ref()
            .map(|calls| text::for_programs(calls.share())),
        close_tail_median_us: median(row.close_tail),
        close_tail_min_us: min(row.close_tail),
        close_tail_max_us: max(row.close_tail),
        repeats: row.repeats.map(|repeats| repeats.number),
        repeats_close_tail_median_us: median(row.repeats.map(|repeats| repeats.tail)),
        repeats_close_tail_low_us: min(row.repeats.map(|repeats| repeats.tail)),
        repeats_close_tail_high_us: max(row.repeats.map(|repeats| repeats.tail)),
        repeats_for_10_percent: row.repeats.and_then(|repeats| repeats.needed),
        execution_time_median_us: median(row.execution_time),
        execution_time_min_us: min(row.execution_time),
        execution_time_max_us: max(row.execution_time),
        result_lag_median_us: median(row.result_lag),
        result_lag_min_us: min(row.result_lag),
        result_lag_max_us: max(row.result_lag),
        peak_in_flight: row.peak_in_flight,
        peak_in_flight_of_a_key: row.peak_per_key,
        latency_count: latency.count,
        latency_p50_us: micros(latency.p50),
        latency_p90_us: micros(latency.p90),
        latency_p99_us: micros(latency.p99),
        latency_p999_us: micros(latency.p999),
        latency_max_us: micros(latency.max),
        failed_latency_count: row.failed_latency.map(|latency| latency.count),
        failed_latency_p50_us: micros(row.failed_latency.and_then(|latency| latency.p50)),
        failed_latency_p99_us: micros(row.failed_latency.and_then(|latency| latency.p99)),
        failed_latency_max_us: micros(row.failed_latency.and_then(|latency| latency.max)),
        slot_wait_p50_us: micros(slot_wait.p50),
        slot_wait_p99_us: micros(slot_wait.p99),
        ledgers: ledger.map(|ledger| ledger.trials),
        ledgers_balanced: ledger.map(|ledger| ledger.balanced),
        offered: ledger.map(|ledger| ledger.offered),
        lost: ledger.map(|ledger| ledger.lost),
        repeated: ledger.map(|ledger| ledger.repeated),
        predicted_load_factor: prediction.map(|prediction| text::for_programs(prediction.load_factor)),
        predicted_in_flight: prediction.map(|prediction| text::for_programs(prediction.needed_in_flight)),
        predicted_close_tail_us: prediction.and_then(|prediction| prediction.close_tail_us),
        predicted_close_tail_p99_us: prediction
            .and_then(|prediction| prediction.close_tail_percentiles)
            .map(|tails| tails.p99_us),
        predicted_growth_per_window_us: prediction.and_then(|prediction| prediction.growth_per_window_us),
        predicted_stall_share: prediction
            .and_then(|prediction| prediction.stall_share)
            .map(text::for_programs),
        predicted_missed_share: prediction
            .and_then(|prediction| prediction.missed_share)
            .map(text::for_programs),
        predicted_verdict: prediction
            .map(|prediction| sentences::predicted_verdict(prediction.verdict).replace(' ', "-")),
        verdict_agrees: match row.agreement() {
            Some(Agreement::Agrees) => Some(true),
            Some(Agreement::Disagrees) => Some(false),
            Some(Agreement::Undecided) | None => None,
        },
        close_tail_as_predicted: row.tail_as_predicted(),
        explained_load_factor: explained.map(|prediction| text::for_programs(prediction.load_factor)),
        explained_close_tail_us: explained.and_then(|prediction| prediction.close_tail_us),
        explained_verdict: explained
            .map(|prediction| sentences::predicted_verdict(prediction.verdict).replace(' ', "-")),
        cpu_us: cost.map(|cost| cost.cpu_us),
        cpu_calls: cost.map(|cost| cost.calls),
        cpu_us_per_1000_calls: cost
            .filter(|cost| cost.calls > 0)
            .map(|cost| u128::from(cost.cpu_us) * 1_000 / u128::from(cost.calls)),
        peak_memory_bytes: cost.map(|cost| cost.peak_memory_bytes),
        peak_threads: cost.map(|cost| cost.peak_threads),
        stream_share_p50_us: micros(row.stream_overhead.map(|overhead| overhead.p50)),
        stream_share_p99_us: micros(row.stream_overhead.map(|overhead| overhead.p99)),
        stream_share_max_us: micros(row.stream_overhead.map(|overhead| overhead.max)),
        cell: summary.cell_label(row),
        series: summary.series_label(row).to_owned(),
    }
}

fn end(trial: &TrialOutcome) -> &'static str {
    match trial.end {
        TrialEnd::Completed => "completed",
        TrialEnd::CutOff => "cut-off",
        TrialEnd::Failed { .. } => "failed",
    }
}
