//! The HTTP routes of the generator beside those of every vertex: `/stats` for the experiment, counters in `/metrics`,
//! and `POST /start`, which ends `--hold`.

use std::fmt;
use std::path::Path;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use vertex::metrics::{self, Process};
use wire::GeneratorStats;

use crate::source::Generator;
use crate::state::Counts;

/// All routes of the generator, which serves on `socket`.
pub fn routes(socket: &Path, generator: Generator) -> Router {
    let process = Process::alone();
    let counted = generator.clone();
    vertex::routes(socket, move || text(&counted.counts(), process)).merge(
        Router::new()
            .route("/stats", get(stats))
            .route("/start", post(start))
            .with_state(generator),
    )
}

async fn stats(State(generator): State<Generator>) -> Json<GeneratorStats> {
    Json(generator.stats())
}

async fn start(State(generator): State<Generator>) -> StatusCode {
    generator.start();
    StatusCode::NO_CONTENT
}

/// The counters in the text format of Prometheus.
fn text(counts: &Counts, process: Process) -> Result<String, fmt::Error> {
    metrics::text(
        &process.registry("generator", env!("CARGO_PKG_VERSION"), |registry| {
            register(counts, registry);
        }),
    )
}

fn register(counts: &Counts, registry: &mut Registry) {
    for (name, help, value) in [
        ("offered_events", "Events due by schedule", counts.offered),
        ("sent_events", "Events sent at least once", counts.sent),
        ("acked_events", "Events acknowledged", counts.acked),
        ("nacked_events", "Times an event was put back", counts.nacked),
        (
            "overdue_events",
            "Events sent later than one millisecond after they were due",
            counts.overdue,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(value));
    }
    if let Some(pending) = counts.pending {
        let pending = i64::try_from(pending).unwrap_or(i64::MAX);
        registry.register(
            "pending_events",
            "Events that could be read now",
            ConstGauge::new(pending),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_exported_to_prometheus() {
        let counts = Counts {
            offered: 6,
            sent: 5,
            acked: 4,
            nacked: 3,
            overdue: 2,
            pending: Some(1),
        };
        let text = text(&counts, Process::alone()).unwrap();
        for line in [
            "generator_offered_events_total 6",
            "generator_overdue_events_total 2",
            "generator_pending_events 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
