//! Reads sizes and times of the data plane from a Pipeline's spec.

use std::time::Duration;

use serde_json::Value;
use wire::parse_duration;

/// The data plane as the Pipeline describes it.
pub(super) fn config(object: &Value, watermark_runs_ahead: bool) -> dataplane::Config {
    let spec = &object["spec"];
    let duration = |value: &Value| parse_duration(value.as_str().unwrap_or_default()).ok();
    let vertices = spec["vertices"].as_array();
    let reduce = vertices.and_then(|all| all.iter().find(|vertex| vertex["udf"]["groupBy"].is_object()));
    let group_by = reduce.map_or(&Value::Null, |vertex| &vertex["udf"]["groupBy"]);
    let limits = reduce
        .map(|vertex| &vertex["limits"])
        .filter(|limits| limits.is_object());
    let read_timeout = limits
        .and_then(|limits| duration(&limits["readTimeout"]))
        .or(duration(&spec["limits"]["readTimeout"]));
    let mut config = dataplane::Config::new(
        duration(&group_by["window"]["fixed"]["length"]).expect("a window's length"),
        read_timeout.unwrap_or(Duration::from_secs(1)),
    );
    // Numaflow's data plane reads an absent value so.
    config.keyed = group_by["keyed"] != false;
    config.allowed_lateness = duration(&group_by["allowedLateness"]).unwrap_or_default();
    let idle = &spec["watermark"]["idleSource"];
    config.idle_source = match (
        duration(&idle["threshold"]),
        duration(&idle["incrementBy"]),
        duration(&idle["stepInterval"]),
    ) {
        (Some(threshold), Some(increment_by), Some(step_interval)) => Some(dataplane::IdleSource {
            threshold,
            increment_by,
            step_interval,
        }),
        _ => None,
    };
    if watermark_runs_ahead {
        // It reaches the current time within a few steps, and stays there until data comes.
        let soon = Duration::from_millis(10);
        // Short reads, so that most events arrive while the source counts as idle.
        config.read_timeout = soon / 2;
        config.idle_source = Some(dataplane::IdleSource {
            threshold: soon,
            increment_by: soon,
            step_interval: soon / 10,
        });
    }
    config
}
