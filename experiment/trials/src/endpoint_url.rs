//! The address of the user's own endpoint, and which trials can run against it.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::trial::Trial;

/// An example, for errors.
const EXAMPLE: &str = "expected one like http://127.0.0.1:9888";

/// An http or https URL; calls go to `GET URL/ping?delay=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl(Url);

/// A trial with a setting that only the experiment's endpoint implements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--endpoint-url: the trial `{trial}` sets `{setting}`, which only the experiment's own endpoint understands: take it out of the plan, or run without --endpoint-url"
)]
pub struct NeedsOurEndpoint {
    pub setting: &'static str,
    /// The first trial with that setting.
    pub trial: String,
}

/// Why a text is not the address of an endpoint. Each message is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    #[error("{0}: {EXAMPLE}")]
    Reading(String),
    #[error("`{0}` is neither http nor https: {EXAMPLE}")]
    Scheme(String),
    #[error("a user or password would be written to the journal: leave it out")]
    Secret,
    #[error("`/ping?delay=…` is added to it: leave out its query and fragment")]
    Query,
}

impl FromStr for EndpointUrl {
    type Err = EndpointUrlError;

    fn from_str(text: &str) -> Result<Self, EndpointUrlError> {
        let url = Url::parse(text).map_err(|error| EndpointUrlError::Reading(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointUrlError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointUrlError::Secret);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointUrlError::Query);
        }
        Ok(Self(url))
    }
}

/// Without a slash at its end, so that `/ping` can be added.
impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// Checks that every trial can run against the user's endpoint, which implements delays only.
///
/// # Errors
/// Returns an error if a trial limits the endpoint's capacity or makes it fail.
pub fn check_user_endpoint(trials: &[Trial]) -> Result<(), NeedsOurEndpoint> {
    for trial in trials {
        let settings = &trial.settings;
        let limited = settings.capacity.0.is_some().then_some("capacity");
        let failing = settings.failing().into_iter().find(|(_, share)| *share > 0.0);
        if let Some(setting) = limited.or(failing.map(|(setting, _)| setting.name)) {
            return Err(NeedsOurEndpoint {
                setting,
                trial: trial.id.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_without_a_slash_at_its_end() {
        for (given, written) in [
            ("http://127.0.0.1:9888", "http://127.0.0.1:9888"),
            ("https://example.org/", "https://example.org"),
            ("http://[::1]:80/slow/", "http://[::1]/slow"),
        ] {
            assert_eq!(given.parse::<EndpointUrl>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for (given, word) in [
            ("", "relative URL"),
            ("127.0.0.1:9888", "relative URL"),
            ("localhost:9888", "neither http nor https"),
            ("http://", "empty host"),
            ("http://host:99999", "port"),
            ("ftp://host", "`ftp`"),
            ("http://me@host", "user"),
            ("http://host?delay=1s", "query"),
        ] {
            let error = given.parse::<EndpointUrl>().unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains('\n'), "{given}: {error}");
        }
    }
}
