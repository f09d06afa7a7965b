//! Proves that a pipeline gives results: its sink's count of records rises. A port that answers proves nothing.

use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep, timeout_at};
use wire::format_duration;

use crate::exposition::samples;

/// The counter that must rise.
pub const RECORDS: &str = "sink_records_total";

/// Between two readings.
const EVERY: Duration = Duration::from_secs(1);

/// How long one reading may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A sink's metrics have more to say than this only where something else answers.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// The rise that was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rise {
    /// Records at the first reading.
    pub from: f64,
    /// Records at the last one.
    pub to: f64,
    /// Between the two.
    pub took: Duration,
}

/// Why no rise was seen.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The client cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// The counter was read but stood still.
    #[error(
        "{RECORDS} at {url} stood at {records} for {}: no window gave a result; are the pipeline's pods ready, and is --within longer than a window?",
        format_duration(*within)
    )]
    StoodStill {
        /// What was read.
        url: Url,
        /// The last reading.
        records: f64,
        /// How long was waited.
        within: Duration,
    },
    /// Nothing could be read.
    #[error("no reading of {RECORDS} at {url} within {}: {what}; is the sink's pod ready, and does it have --stats-listen?", format_duration(*within))]
    Unreadable {
        /// What was to be read.
        url: Url,
        /// What was wrong the last time.
        what: String,
        /// How long was tried.
        within: Duration,
    },
}

/// Waits until the sink's count of records has risen since the first reading. A count that falls is a sink that was
/// started again, and counted from there. Whatever cannot be read is tried again.
///
/// # Errors
/// Where that has not happened `within` the time.
pub async fn verify(url: &Url, within: Duration) -> Result<Rise, VerifyError> {
    // Fails only where a provider has been chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(READ_TIMEOUT);
    let client = client.build().map_err(VerifyError::Client)?;
    let until = Instant::now() + within;
    let mut first: Option<(Instant, f64)> = None;
    let mut trouble = "no answer".to_owned();
    while let Ok(read) = timeout_at(until, read(&client, url)).await {
        match (read, first) {
            (Ok(to), Some((since, from))) if to > from => {
                let took = since.elapsed();
                return Ok(Rise { from, to, took });
            }
            (Ok(records), Some((_, from))) if records == from => {}
            (Ok(records), _) => first = Some((Instant::now(), records)),
            (Err(what), _) => trouble = what,
        }
        if timeout_at(until, sleep(EVERY)).await.is_err() {
            break;
        }
    }
    let url = url.clone();
    Err(match first {
        Some((_, records)) => VerifyError::StoodStill { url, records, within },
        None => VerifyError::Unreadable {
            url,
            what: trouble,
            within,
        },
    })
}

async fn read(client: &reqwest::Client, url: &Url) -> Result<f64, String> {
    let said = |error: reqwest::Error| vertex::one_line(&error.without_url());
    let mut answer = client.get(url.clone()).send().await.map_err(said)?;
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(said)? {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_ANSWER_BYTES {
            return Err(format!("its answer is longer than {MAX_ANSWER_BYTES} bytes"));
        }
    }
    counter(&String::from_utf8_lossy(&text), RECORDS).ok_or_else(|| format!("its answer has no {RECORDS}"))
}

/// The sum of a counter over its label sets, in OpenMetrics text (or Prometheus' older one); nothing where it is absent.
pub fn counter(text: &str, name: &str) -> Option<f64> {
    samples(text)
        .filter(|sample| sample.name == name)
        .map(|sample| sample.value)
        .reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_their_labels() {
        let text = "# TYPE sink_records counter\n# HELP sink_records_total x\nsink_records_total{a=\"}\"} 3\n\
                    sink_records_total{a=\"b\"} 4 1700000000.0\nsink_records_total_created 9\n# EOF\n";
        assert_eq!(counter(text, RECORDS), Some(7.0));
        assert_eq!(counter("sink_records_total 0\n", RECORDS), Some(0.0));
        assert_eq!(counter("sink_records 1\nsink_records_total x\n", RECORDS), None);
    }
}
