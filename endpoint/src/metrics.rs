//! The counts as OpenMetrics text, built from a snapshot for each scrape, so that a call updates one set of counts
//! only.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use vertex::metrics::Process;
use wire::EndpointStats;

use crate::calls::{CallCounts, Refusal};
use crate::failure::Failure;

const QUANTILES: [(&str, f64); 4] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("0.999", 0.999)];

/// The text of `/metrics`.
pub fn text(counted: &CallCounts, process: &Process) -> Result<String, fmt::Error> {
    vertex::metrics::text(
        &process.registry("endpoint", env!("CARGO_PKG_VERSION"), |registry| {
            let stats = counted.stats();
            counts(counted, &stats, registry);
            delays(&stats, registry);
        }),
    )
}

fn counts(counted: &CallCounts, stats: &EndpointStats, registry: &mut Registry) {
    for (name, help, value) in [
        (
            "calls_served",
            "Calls answered, failures on purpose included",
            counted.served,
        ),
        (
            "calls_abandoned",
            "Calls whose client disconnected before the answer",
            counted.abandoned,
        ),
        (
            "calls_repeated",
            "Calls whose idempotency key had been seen",
            stats.repeats.values().sum(),
        ),
        (
            "keys_forgotten",
            "Idempotency keys not remembered for lack of room",
            counted.forgotten,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(value));
    }
    for (name, help, value) in [
        (
            "calls_in_flight",
            "Calls received and not yet answered",
            counted.in_flight,
        ),
        (
            "calls_in_flight_peak",
            "Highest number of calls in flight",
            counted.peak_in_flight,
        ),
        (
            "calls_in_service",
            "Calls past the wait for capacity",
            counted.in_service,
        ),
        (
            "calls_in_service_peak",
            "Highest number of calls in service",
            counted.peak_in_service,
        ),
    ] {
        registry.register(
            name,
            help,
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)),
        );
    }
    let failures = Family::<[(&str, &str); 1], Counter>::default();
    for kind in Failure::ALL {
        let count = counted.failures.get(&kind).copied().unwrap_or_default();
        failures.get_or_create(&[("kind", kind.name())]).inc_by(count);
    }
    registry.register(
        "calls_failed",
        "Calls that were made to fail on purpose",
        failures,
    );
    let refusals = Family::<[(&str, &str); 1], Counter>::default();
    for reason in Refusal::ALL {
        let count = counted.refused.get(&reason).copied().unwrap_or_default();
        refusals.get_or_create(&[("reason", reason.name())]).inc_by(count);
    }
    registry.register(
        "calls_refused",
        "Calls refused for their query, their body, or a header that they lack",
        refusals,
    );
}

fn delays(stats: &EndpointStats, registry: &mut Registry) {
    let delays = Family::<[(&str, &str); 2], Gauge<f64, AtomicU64>>::default();
    let parts = [
        ("asked", &stats.delay.asked),
        ("given", &stats.delay.given),
        ("excess", &stats.delay.excess),
    ];
    for (part, latencies) in parts {
        for (label, share) in QUANTILES {
            if let Some(delay) = latencies.quantile(share) {
                delays
                    .get_or_create(&[("part", part), ("quantile", label)])
                    .set(delay.as_secs_f64());
            }
        }
    }
    registry.register_with_unit(
        "delay",
        "Delays asked for, given, and their excess",
        Unit::Seconds,
        delays,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Calls;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    #[test]
    fn the_text_has_counts_and_quantiles() {
        let calls = Arc::new(Calls::default());
        let call = calls.arrived(Instant::now(), Some((1, 1)), true);
        call.answered(Duration::from_millis(2), Some(Failure::Body));
        let text = text(&calls.snapshot(), &Process::alone()).unwrap();
        for line in [
            "endpoint_calls_served_total 1",
            "endpoint_calls_in_flight 0",
            "endpoint_calls_in_flight_peak 1",
            "endpoint_calls_failed_total{kind=\"body\"} 1",
            "endpoint_calls_failed_total{kind=\"reset\"} 0",
            "endpoint_calls_refused_total{reason=\"header\"} 0",
            "endpoint_delay_seconds{part=\"asked\",quantile=\"0.5\"} 0.002",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
