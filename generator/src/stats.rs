//! What the generator tells over HTTP: `/stats` for the experiment, `/metrics` for Prometheus, `/healthz`;
//! and the one thing that it can be told: `POST /start`.

use std::fmt;
use std::io;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use wire::GeneratorStats;

use crate::source::Generator;
use crate::state::Counts;

/// Serves until it is dropped.
///
/// # Errors
/// Those of the listener.
pub async fn serve(listener: TcpListener, generator: Generator) -> io::Result<()> {
    let routes = Router::new()
        .route("/stats", get(stats))
        .route("/start", post(start))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(generator);
    axum::serve(listener, routes).await
}

async fn stats(State(generator): State<Generator>) -> Json<GeneratorStats> {
    Json(generator.stats())
}

async fn start(State(generator): State<Generator>) -> StatusCode {
    generator.start();
    StatusCode::NO_CONTENT
}

async fn metrics(State(generator): State<Generator>) -> Response {
    match text(&generator.counts()) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The counters in Prometheus' text format.
fn text(counts: &Counts) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("generator");
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
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_told_to_prometheus() {
        let counts = Counts {
            offered: 6,
            sent: 5,
            acked: 4,
            nacked: 3,
            overdue: 2,
            pending: Some(1),
        };
        let text = text(&counts).unwrap();
        for line in [
            "generator_offered_events_total 6",
            "generator_overdue_events_total 2",
            "generator_pending_events 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
