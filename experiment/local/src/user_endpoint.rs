//! Checks that the user's own endpoint answers before anything starts, because a trial whose every call fails would still
//! run to its end.

use std::error::Error;
use std::time::Duration;

use reqwest::{StatusCode, redirect};
use trials::endpoint_url::EndpointUrl;

use crate::error::LocalError;

/// Calls it once, as the UDF will.
///
/// # Errors
/// Returns an error if there is no answer within `patience`, the answer is not HTTP, or its status is not a success.
pub(crate) async fn probe(endpoint: &EndpointUrl, patience: Duration) -> Result<(), LocalError> {
    let client = reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(patience)
        .build()
        .map_err(LocalError::Client)?;
    let url = format!("{endpoint}/ping?delay=0");
    let response = client.get(&url).send().await;
    let response = response.map_err(|error| LocalError::EndpointSilent {
        reason: reason(&error, patience),
        url: url.clone(),
    })?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(LocalError::EndpointStatus {
            advice: advice(status),
            url,
            status,
        }),
    }
}

fn reason(error: &reqwest::Error, patience: Duration) -> String {
    // The client's own message repeats the URL; the system's error is at the end of the chain.
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() {
        format!("no answer within {}", wire::format_duration(patience))
    } else if error.is_connect() {
        format!("cannot connect: {cause}")
    } else {
        format!("the answer is not HTTP: {cause}")
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "/ping is missing there, and every call goes to it",
        status if status.is_redirection() => "calls do not follow it: give the address that it leads to",
        _ => "every call would fail",
    }
}
