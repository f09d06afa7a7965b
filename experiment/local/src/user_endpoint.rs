//! Checks that the user's own endpoint answers before anything starts, because a trial whose every call fails would still
//! run to its end.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, StatusCode, redirect};
use trials::endpoint_url::EndpointUrl;

use crate::error::LocalError;

/// Calls it once, as the UDF will.
///
/// # Errors
/// Returns an error if there is no answer within `patience`, the answer is not HTTP, or its status is not a success.
pub(crate) async fn probe(
    endpoint: &EndpointUrl,
    ca_file: Option<&Path>,
    patience: Duration,
) -> Result<(), LocalError> {
    let authorities = ca_file.map(authorities).transpose()?.unwrap_or_default();
    let client = reqwest::Client::builder()
        .tls_certs_merge(authorities)
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

/// The certificates of a PEM file.
pub(crate) fn authorities(file: &Path) -> Result<Vec<Certificate>, LocalError> {
    let error = |reason: String| LocalError::CaFile {
        path: file.to_owned(),
        reason,
    };
    let pem = std::fs::read(file).map_err(|e| error(e.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| error(vertex::one_line(&e)))?;
    match certificates.is_empty() {
        true => Err(error("it holds no certificate in PEM".to_owned())),
        false => Ok(certificates),
    }
}

pub(crate) fn reason(error: &reqwest::Error, patience: Duration) -> String {
    // The client's own message repeats the URL; the system's error is at the end of the chain.
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if let Some(untrusted) = vertex::untrusted_certificate(&cause.to_string()) {
        untrusted.to_owned()
    } else if error.is_timeout() {
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
