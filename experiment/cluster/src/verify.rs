//! Verifies that a pipeline gives results: the count of messages that have reached the sink rises. A port that answers
//! would prove nothing.

use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep, timeout_at};
use wire::format_duration;

use crate::exposition::samples;

/// The counters of which one must rise: the recorder's lines, and what Numaflow has written to any other sink.
const MESSAGES: [&str; 2] = ["sink_records_total", "forwarder_write_total"];

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
        "the count of messages at {url} stood at {messages} for {}: no window gave a result; are the pipeline's pods ready, and is --within longer than a window?",
        format_duration(*within)
    )]
    StoodStill {
        url: Url,
        messages: f64,
        within: Duration,
    },
    /// No read succeeded.
    #[error("no count of messages could be read at {url} within {}: {what}; is the sink's pod ready, and does a recorder have --stats-listen?", format_duration(*within))]
    Unreadable {
        url: Url,
        /// The last problem.
        what: String,
        within: Duration,
    },
}

/// Waits until the sink's count of messages has risen since the first read. A count that falls belongs to a restarted
/// sink and becomes the new start. Failed reads are repeated.
///
/// # Errors
/// Returns an error if the count has not risen `within` the time.
pub async fn verify(url: &Url, within: Duration) -> Result<Rise, VerifyError> {
    // Fails only if a provider has been installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Numaflow's data plane signs its own certificate; nothing is sent, and a count is read.
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(READ_TIMEOUT)
        .danger_accept_invalid_certs(true);
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
            (Ok(messages), Some((_, from))) if messages == from => {}
            (Ok(messages), _) => first = Some((Instant::now(), messages)),
            (Err(what), _) => problem = what,
        }
        if timeout_at(until, sleep(EVERY)).await.is_err() {
            break;
        }
    }
    let url = url.clone();
    Err(match first {
        Some((_, messages)) => VerifyError::StoodStill {
            url,
            messages,
            within,
        },
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
    messages(&String::from_utf8_lossy(&text))
        .ok_or_else(|| format!("its answer has no {}", MESSAGES.join(" and no ")))
}

/// The count of messages. Numaflow exports none before the first message.
fn messages(text: &str) -> Option<f64> {
    let counted = MESSAGES.into_iter().find_map(|name| counter(text, name));
    counted.or_else(|| text.trim_end().ends_with("# EOF").then_some(0.0))
}

/// The sum of a counter over its label sets. `None` if the text does not have it.
fn counter(text: &str, name: &str) -> Option<f64> {
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
        assert_eq!(messages(text), Some(7.0));
        assert_eq!(messages("sink_records_total 0\n"), Some(0.0));
        assert_eq!(messages("sink_records 1\nsink_records_total x\n"), None);
    }

    #[test]
    fn of_a_sink_that_counts_nothing_itself_numaflows_count_is_taken() {
        let text =
            "forwarder_write_total{partition_name=\"sink\",vertex_type=\"Sink\"} 5\nforwarder_drop_total 9\n";
        assert_eq!(messages(text), Some(5.0));
        assert_eq!(messages("forwarder_read_total 3\n# EOF\n"), Some(0.0));
        assert_eq!(messages("forwarder_read_total 3\n"), None);
    }
}
