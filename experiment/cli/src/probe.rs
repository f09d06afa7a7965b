//! `--probe-calls`: asks the user's own service how long its calls take. Nothing is called before the number of calls and
//! the longest time are printed.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use local::{Service, ServiceError, ServiceRequest};
use tokio::task::JoinSet;
use trials::learn::Learned;
use trials::probe::Probe;
use trials::text::{count, counted};
use wire::HttpMethod;
use wire::settings::{HTTP_METHOD, TIMEOUT, whole_number};

use crate::failure::Failure;
use crate::progress::{note, rough};

const HEADING: &str = "Learning";

/// Bounds of `--probe-calls` and `--probe-concurrency`.
const MOST_CALLS: u64 = 1_000_000;
const MOST_IN_FLIGHT: u64 = 10_000;

/// The flags of the request are those of the shipped UDF.
#[derive(Debug, clap::Args)]
pub struct ProbeArgs {
    /// Call your own service up to so many times, never one call again, and predict by its latencies; with
    /// --probe-concurrency and --url. It stops at five failed calls, at the first status 429 or 503, and when the median
    /// latency is twice that of the first calls
    #[arg(long, value_name = "N", requires_all = ["probe_concurrency", "url"], value_parser = whole_number::<NonZeroU32>(1, MOST_CALLS), help_heading = HEADING)]
    probe_calls: Option<NonZeroU32>,
    /// The most of these calls in flight; they begin with one and double
    #[arg(long, value_name = "M", requires = "probe_calls", value_parser = whole_number::<NonZeroU32>(1, MOST_IN_FLIGHT), help_heading = HEADING)]
    probe_concurrency: Option<NonZeroU32>,
    /// Allow methods other than GET and HEAD, whose calls may change something
    #[arg(long, requires = "probe_calls", help_heading = HEADING)]
    probe_unsafe: bool,
    /// Longest time of one of these calls; a longer one has failed
    #[arg(long, value_name = "DURATION", requires = "probe_calls", default_value = TIMEOUT.default, value_parser = wire::parse_duration, help_heading = HEADING)]
    probe_timeout: Duration,
    /// File with the payloads of events, one a line, used in turn: for fields like ${/user} and --body payload
    #[arg(long, value_name = "FILE", requires = "probe_calls", help_heading = HEADING)]
    probe_payloads: Option<PathBuf>,
    /// PEM file with authorities to trust beside those of the system
    #[arg(long, value_name = "FILE", requires = "probe_calls", help_heading = HEADING)]
    probe_ca_file: Option<PathBuf>,
    /// URL of your service, with fields as of the shipped UDF
    #[arg(long, value_name = "TEMPLATE", requires = "probe_calls", help_heading = HEADING)]
    url: Option<String>,
    /// Method of these calls
    #[arg(long, value_name = "METHOD", requires = "probe_calls", default_value = HTTP_METHOD.default, value_parser = |text: &str| HTTP_METHOD.read_given(text), help_heading = HEADING)]
    method: HttpMethod,
    /// A header of each call; may be given again
    #[arg(long = "header", value_name = "NAME: TEMPLATE", requires = "probe_calls", help_heading = HEADING)]
    headers: Vec<String>,
    /// Body of each call: none, or an event's payload as it is
    #[arg(long, value_enum, requires = "probe_calls", default_value = "none", conflicts_with = "body_template", help_heading = HEADING)]
    body: Body,
    /// File with the body of each call: JSON with fields
    #[arg(long, value_name = "FILE", requires = "probe_calls", help_heading = HEADING)]
    body_template: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Body {
    None,
    Payload,
}

/// A probe that may be made.
pub struct Probing {
    service: Arc<Service>,
    method: HttpMethod,
    calls: NonZeroU32,
    concurrency: NonZeroU32,
    timeout: Duration,
}

impl ProbeArgs {
    /// `None` without `--probe-calls`.
    ///
    /// # Errors
    /// Returns an error if the request cannot be made, or has a method that changes something without `--probe-unsafe`.
    pub fn probing(&self) -> Result<Option<Probing>, Failure> {
        let (Some(calls), Some(concurrency), Some(url)) =
            (self.probe_calls, self.probe_concurrency, &self.url)
        else {
            return Ok(None);
        };
        let is_safe = matches!(self.method, HttpMethod::Get | HttpMethod::Head);
        if !is_safe && !self.probe_unsafe {
            return Err(Failure::wrong_use(anyhow!(
                "--method: {} calls may change something at the service: add --probe-unsafe if they may be made {} times",
                self.method,
                count(calls.get().into())
            )));
        }
        let service = Service::new(&ServiceRequest {
            url: url.clone(),
            method: self.method,
            headers: self.headers.clone(),
            payload_as_body: self.body == Body::Payload,
            body_template: self.body_template.clone(),
            payloads: self.probe_payloads.clone(),
            ca_file: self.probe_ca_file.clone(),
            timeout: self.probe_timeout,
        });
        Ok(Some(Probing {
            service: Arc::new(service.map_err(|error: ServiceError| Failure::wrong_use(error))?),
            method: self.method,
            calls,
            concurrency,
            timeout: self.probe_timeout,
        }))
    }
}

/// Makes the calls, and waits for those in flight after a stop.
///
/// # Errors
/// Returns an error if no call was answered well.
pub async fn probe(probing: &Probing) -> Result<Learned, Failure> {
    let mut probe = Probe::new(probing.calls, probing.concurrency);
    let host = probing.service.host();
    note(&format!(
        "probe: up to {} ({}) to {host}, at most {} in flight, for at most {}; none is made again",
        counted(probing.calls.get().into(), "call"),
        probing.method,
        count(probing.concurrency.get().into()),
        rough(probe.longest(probing.timeout))
    ));
    let mut numbers = 0..;
    let mut in_flight = JoinSet::new();
    loop {
        while let (Some(begun), Some(number)) = (probe.begin(), numbers.next()) {
            let service = Arc::clone(&probing.service);
            in_flight.spawn(async move { (begun, service.call(number).await) });
        }
        let Some(ended) = in_flight.join_next().await else {
            break;
        };
        let (begun, ended) = ended.map_err(|error| anyhow!("a call could not be made: {error}"))?;
        probe.ended(&begun, ended);
    }
    let seen = probe.seen();
    for sentence in seen.sentences() {
        note(&format!("probe: {sentence}"));
    }
    let learned = seen.learned(&host);
    learned.ok_or_else(|| anyhow!("{host}: no call was answered with a status from 200 to 299").into())
}
