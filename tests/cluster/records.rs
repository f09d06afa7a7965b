//! The sink's records in its pod's log, by window.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wire::{SinkLine, StrategyKind, WindowRecord};

use crate::lab::{Lab, Step, vertex_pods, wait};

/// Length of a window, which is the chart's default.
pub const WINDOW_MS: u64 = 10_000;

/// A window's records, summed over its keys.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Its start, milliseconds since the epoch.
    pub start_ms: u64,
    pub events: u64,
    /// Events whose call succeeded.
    pub ok: u64,
    /// Events whose call failed.
    pub failed: u64,
    /// The strategy in its records.
    pub strategy: Option<StrategyKind>,
}

/// The records of a pipeline in order of arrival, without repeated lines.
pub fn records(lab: &Lab, namespace: &str, pipeline: &str) -> Step<Vec<WindowRecord>> {
    let selector = vertex_pods(pipeline, "sink");
    let log = lab.kubectl_in(namespace, &["logs", "-l", &selector, "-c", "udsink", "--tail=-1"])?;
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<SinkLine>(line).ok());
    Ok(lines
        .filter(|line| !line.duplicate)
        .filter_map(|line| line.record)
        .collect())
}

/// The windows of a pipeline that have records, oldest first.
pub fn windows(lab: &Lab, namespace: &str, pipeline: &str) -> Step<Vec<Window>> {
    let mut windows: BTreeMap<u64, Window> = BTreeMap::new();
    for record in records(lab, namespace, pipeline)? {
        let window = windows.entry(record.window_start_ms).or_default();
        window.start_ms = record.window_start_ms;
        window.events += record.events;
        window.ok += record.ok();
        window.failed += record.failed();
        window.strategy = Some(record.settings.strategy);
    }
    Ok(windows.into_values().collect())
}

/// Waits for a window that starts after `after_ms` and in which all of `ok` events succeeded.
pub fn await_full(lab: &Lab, place: (&str, &str), after_ms: u64, ok: u64, within: Duration) -> Step<Window> {
    let what = format!("a window of {} with {ok} ok events is on record", place.1);
    let mut last = String::new();
    let found = wait(&what, within, || {
        let windows = windows(lab, place.0, place.1)?;
        last = format!("{:?}", windows.iter().rev().take(3).collect::<Vec<_>>());
        Ok(windows
            .into_iter()
            .find(|window| window.start_ms >= after_ms && window.ok == ok && window.failed == 0))
    });
    found.map_err(|message| format!("{message}; the last on record: {last}"))
}

/// The current time, milliseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "windows follow the wall clock")]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Windows start at multiples of their length.
pub fn await_middle_of_window() {
    let into = now_ms() % WINDOW_MS;
    let until = (WINDOW_MS / 2 + WINDOW_MS - into) % WINDOW_MS;
    std::thread::sleep(Duration::from_millis(until));
}
