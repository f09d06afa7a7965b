//! Verifies that a pipeline gives results: the sink's count of records rises. A port that answers would prove nothing.

use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep, timeout_at};
use wire::format_duration;

use crate::exposition::samples;

/// The counter that must rise.
pub const RECORDS: &str = "sink_records_total";

/// Between two reads.
const EVERY: Duration = Duration::from_secs(1);

const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Far more than a sink's metrics take. A longer answer comes from something else.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// An observed rise of the counter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rise {
    pub from: f64,
    pub to: f64,
    /// Time between the two reads.
    pub took: Duration,
}

/// Why no rise was observed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("cannot make an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    #[error(
        "{RECORDS} at {url} stood at {records} for {}: no window gave a result; are the pipeline's pods ready, and is --within longer than a window?",
        format_duration(*within)
    )]
    StoodStill {
        url: Url,
        records: f64,
        within: Duration,
    },
    /// No read succeeded.
    #[error("no reading of {RECORDS} at {url} within {}: {what}; is the sink's pod ready, and does it have --stats-listen?", format_duration(*within))]
    Unreadable {
        url: Url,
        /// The last problem.
        what: String,
        within: Duration,
    },
}

/// Waits until the sink's count of records has risen since the first read. A count that falls belongs to a restarted
/// sink and becomes the new start. Failed reads are repeated.
///
/// # Errors
/// Returns an error if the count has not risen `within` the time.
pub async fn verify(url: &Url, within: Duration) -> Result<Rise, VerifyError> {
    // Fails only if a provider has been installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(READ_TIMEOUT);
    let client = client.build().map_err(VerifyError::Client)?;
    let until = Instant::now() + within;
    let mut first: Option<(Instant, f64)> = None;
    let mut problem = "no answer".to_owned();
    while let Ok(read) = timeout_at(until, read(&client, url)).await {
        match (read, first) {
            (Ok(to), Some((since, from))) if to > from => {
                let took = since.elapsed();
                return Ok(Rise { from, to, took });
            }
            (Ok(records), Some((_, from))) if records == from => {}
            (Ok(records), _) => first = Some((Instant::now(), records)),
            (Err(what), _) => problem = what,
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
            what: problem,
            within,
        },
    })
}

async fn read(client: &reqwest::Client, url: &Url) -> Result<f64, String> {
    let message = |error: reqwest::Error| vertex::one_line(&error.without_url());
    let mut answer = client.get(url.clone()).send().await.map_err(message)?;
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(message)? {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_ANSWER_BYTES {
            return Err(format!("its answer is longer than {MAX_ANSWER_BYTES} bytes"));
        }
    }
    counter(&String::from_utf8_lossy(&text), RECORDS).ok_or_else(|| format!("its answer has no {RECORDS}"))
}

/// The sum of a counter over its label sets. `None` if the text does not have it.
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
