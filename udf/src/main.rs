//! The shipped UDF: its call is an HTTP request to the endpoint, or a chosen processor time, and its result is the
//! record of each window.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_reduce::http::{HttpCallError, Target};
use async_reduce::{
    BlockingCall, Both, Call, CallError, Count, CpuCall, Event, HttpCall, Program, Records, SetUpError,
    Settings,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wire::settings::{FormError, HTTP_CLIENT, HTTP_METHOD, IDEMPOTENT, IDLE_TIMEOUT, MAX_ANSWER_BYTES};
use wire::{HttpClient, HttpMethod, Workload};

const EXAMPLES: &str = "Examples:
  udf --strategy async --max-workers 1000 --endpoint-url http://endpoint:9888 --io-delay 200us
  udf --strategy thread-pool --start-rule at-close --timeout 5s --retries 2
  udf --workload cpu --io-delay 1ms --strategy process-pool
  STRATEGY=sequential ENDPOINT_URL=http://endpoint:9888 udf";

/// A reduce UDF that makes one slow call for every event of a window
#[derive(Debug, clap::Args)]
#[command(version, after_help = EXAMPLES)]
struct Endpoint {
    /// Where the endpoint answers
    #[arg(
        long,
        env = "ENDPOINT_URL",
        hide_env_values = true,
        default_value_t = format!("http://127.0.0.1:{}", wire::ENDPOINT_PORT)
    )]
    endpoint_url: String,
    /// PEM file with authorities to trust beside those of the system, for an endpoint behind TLS
    #[arg(long, env = "CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Go through the proxy of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, except to what NO_PROXY names and to loopback
    /// addresses; needs --http-client reqwest
    #[arg(long, env = "USE_PROXY", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false)]
    use_proxy: bool,
    /// What calls the endpoint.
    #[arg(long, env, help = HTTP_CLIENT.help(), default_value = HTTP_CLIENT.default, value_parser = http_client)]
    http_client: HttpClient,
    /// Method of a request.
    #[arg(long, env, help = HTTP_METHOD.help(), default_value = HTTP_METHOD.default, value_parser = |text: &str| HTTP_METHOD.read_given(text))]
    http_method: HttpMethod,
    /// Whether a request may be sent once more whatever its method is.
    #[arg(long, env, help = IDEMPOTENT.help(), default_value = IDEMPOTENT.default, value_parser = |text: &str| IDEMPOTENT.read_given(text), num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    idempotent: bool,
    /// How long a connection may stay unused.
    #[arg(long, env, help = IDLE_TIMEOUT.help(), default_value = IDLE_TIMEOUT.default, value_parser = |text: &str| IDLE_TIMEOUT.read_given(text), allow_hyphen_values = true)]
    idle_timeout: Duration,
    /// Longest body of an answer.
    #[arg(long, env, help = MAX_ANSWER_BYTES.help(), default_value = MAX_ANSWER_BYTES.default, value_parser = |text: &str| MAX_ANSWER_BYTES.read_given(text), allow_hyphen_values = true)]
    max_answer_bytes: u64,
}

/// What a call does.
enum Shipped {
    Http(Box<HttpCall>),
    Cpu(CpuCall),
}

/// An answer of which only that it came matters: none of the shipped calls, any of a worker in another language.
struct Ignored;

impl Serialize for Ignored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

fn main() -> ExitCode {
    Program::new()
        .records(Records::Only)
        .synthetic()
        .run(|endpoint: &Endpoint, settings| Ok((Both(Shipped::new(endpoint, settings)?), Count::default)))
}

impl Shipped {
    fn new(endpoint: &Endpoint, settings: &Settings) -> Result<Self, SetUpError> {
        if settings.workload == Workload::Cpu {
            let cores = std::thread::available_parallelism()
                .ok()
                .filter(|_| settings.cpu_offload);
            let call = CpuCall::new(settings.io_delay.clone(), cores)
                .map_err(|error| format!("cpu_offload: cannot start a thread for each core: {error}"))?;
            return Ok(Self::Cpu(call));
        }
        let target = Target::ping(&endpoint.endpoint_url, &settings.io_delay, settings.timeout);
        let mut target = target
            .map_err(|error| format!("endpoint_url: {error}"))?
            .with_method(endpoint.http_method, endpoint.idempotent)
            .with_idle_timeout(endpoint.idle_timeout)
            .with_max_answer_bytes(endpoint.max_answer_bytes);
        if let Some(file) = &endpoint.ca_file {
            let trusting = target.trusting(file);
            target = trusting.map_err(|error| format!("ca_file: {error}"))?;
        }
        if endpoint.use_proxy {
            target = target.by_proxy();
        }
        let call = HttpCall::new(&target, endpoint.http_client).map_err(|error| match error {
            HttpCallError::Tls(_) => format!("endpoint_url: {error}, or with --ca-file"),
            error => error.to_string(),
        })?;
        Ok(Self::Http(Box::new(call)))
    }
}

impl Call for Shipped {
    type Answer = Ignored;

    async fn call(&self, event: &Event) -> Result<Ignored, CallError> {
        match self {
            Self::Http(call) => call.call(event).await,
            Self::Cpu(call) => call.call(event).await,
        }
        .map(|()| Ignored)
    }
}

impl BlockingCall for Shipped {
    type Answer = Ignored;

    fn call_blocking(&self, event: &Event) -> Result<Ignored, CallError> {
        match self {
            Self::Http(call) => call.call_blocking(event),
            Self::Cpu(call) => call.call_blocking(event),
        }
        .map(|()| Ignored)
    }
}

/// `lean` is the earlier name of `hyper`.
fn http_client(text: &str) -> Result<HttpClient, FormError> {
    let text = if text == "lean" { "hyper" } else { text };
    HTTP_CLIENT.read_given(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        endpoint: Endpoint,
    }

    #[test]
    fn the_default_client_keeps_its_earlier_name() {
        let client = |args: &[&str]| {
            let args = ["udf"].iter().chain(args);
            <Cli as clap::Parser>::parse_from(args).endpoint.http_client
        };
        assert_eq!(client(&[]), HttpClient::Hyper);
        assert_eq!(client(&["--http-client", "lean"]), HttpClient::Hyper);
        assert_eq!(client(&["--http-client", "reqwest"]), HttpClient::Reqwest);
    }
}
