//! The settings of a trial that its UDF takes, for every engine.

use wire::format_duration;

use crate::trial::TrialSettings;

/// The settings that our UDF takes by flag or environment, by the latter's names; not whether `cpu` work is moved off.
pub fn udf_settings(settings: &TrialSettings, endpoint_url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("STRATEGY", settings.strategy.to_string()),
        ("START_RULE", settings.start_rule.to_string()),
        ("WORKLOAD", settings.workload.to_string()),
        ("MAX_WORKERS", settings.max_workers.to_string()),
        ("ENDPOINT_URL", endpoint_url.to_owned()),
        ("IO_DELAY", settings.io_delay.to_string()),
        ("TIMEOUT", format_duration(settings.timeout)),
        ("RETRIES", settings.retries.to_string()),
        ("MAX_WAITING", settings.max_waiting.to_string()),
    ]
}
