//! The flags of the program `udf` beside the library's, and the request that they describe.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use async_reduce::http::{HeaderName, HttpCallError, Target};
use async_reduce::{HttpCall, RequestBody, RequestTemplate, SetUpError, Settings};
use wire::settings::{FormError, HTTP_CLIENT, HTTP_METHOD, IDEMPOTENT, IDLE_TIMEOUT, MAX_ANSWER_BYTES};
use wire::template::{EventField, Pointer, Template, UrlTemplate};
use wire::{HttpClient, HttpMethod};

use super::answer::Reader;
use super::destination::Destination;
use super::results::ResultKind;

const EXAMPLES: &str = "Examples:
  udf --strategy async --max-workers 1000 --endpoint-url http://endpoint:9888 --io-delay 200us
  udf --method POST --url http://scoring/score --header 'Authorization: Bearer ${env:SCORE_TOKEN}' \\
      --body payload --answer /score --result mean
  udf --url 'http://accounts/v1/users/${/user}?of=${key}' --expect 200,404 --result answers
  udf --workload cpu --io-delay 1ms --strategy process-pool
  STRATEGY=sequential ENDPOINT_URL=http://endpoint:9888 udf";

/// Headers that belong to a connection, and not to what is sent over it.
const OF_CONNECTION: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A reduce UDF that makes one slow call for every event of a window
#[derive(clap::Args)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    #[command(flatten)]
    destination: Destination,
    /// Method of a request.
    #[arg(long, visible_alias = "method", env, help = HTTP_METHOD.help(), default_value = HTTP_METHOD.default, value_parser = |text: &str| HTTP_METHOD.read_given(text))]
    http_method: HttpMethod,
    /// A header of each request, with fields as in --url; may be given again. In the environment, one a line
    #[arg(
        long = "header",
        env = "REQUEST_HEADERS",
        value_name = "NAME: TEMPLATE",
        value_delimiter = '\n',
        hide_env_values = true
    )]
    headers: Vec<String>,
    /// Body of each request: none, or the event's payload as it is
    #[arg(long, env = "REQUEST_BODY", value_enum, default_value = "none")]
    body: Body,
    /// File with the body of each request in place of --body: JSON with fields as in --url. Within a string, "<${/name}>", a
    /// field is put in as text; elsewhere, {"amount": ${/amount}}, as JSON
    #[arg(long, env = "REQUEST_BODY_TEMPLATE", value_name = "FILE")]
    body_template: Option<PathBuf>,
    /// PEM file with authorities to trust beside those of the system, for a service behind TLS
    #[arg(long, env = "CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// PEM file with the client's certificate, for a service that asks for one; with --client-key
    #[arg(long, env = "CLIENT_CERTIFICATE", value_name = "FILE")]
    client_certificate: Option<PathBuf>,
    /// PEM file with the key of --client-certificate
    #[arg(long, env = "CLIENT_KEY", value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// Statuses of good answers, like 200,404 [default: 200 to 299]. The answer of one that is no success is null
    #[arg(
        long,
        env = "REQUEST_EXPECT",
        value_name = "STATUSES",
        value_delimiter = ',',
        value_parser = wire::settings::whole_number::<u16>(200, 599)
    )]
    expect: Vec<u16>,
    /// Where the body of an answer has the value that counts: a JSON pointer like /score [default: the whole body]. An
    /// answer without it is a bad body
    #[arg(long, env = "REQUEST_ANSWER", value_name = "POINTER", value_parser = pointer)]
    answer: Option<Pointer>,
    /// What a key and window makes of the answers and sends, without a record beside it unless --records says so
    /// [default: the record alone]
    #[arg(long, env = "RESULT", value_enum)]
    result: Option<ResultKind>,
    /// Go through the proxy of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, except to what NO_PROXY names and to loopback
    /// addresses; needs --http-client reqwest
    #[arg(long, env = "USE_PROXY", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false)]
    use_proxy: bool,
    /// What makes the requests.
    #[arg(long, env, help = HTTP_CLIENT.help(), default_value = HTTP_CLIENT.default, value_parser = http_client)]
    http_client: HttpClient,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Body {
    None,
    Payload,
}

impl Flags {
    pub(super) fn result(&self) -> ResultKind {
        self.result.unwrap_or(ResultKind::Count)
    }

    /// Whether an attempt that may have reached the service may be made again. The experiment's endpoint has no state.
    pub(super) fn is_repeatable(&self) -> bool {
        let of_experiment = matches!(self.destination, Destination::Endpoint(_));
        of_experiment || self.idempotent || self.http_method.is_idempotent()
    }

    pub(super) fn reader(&self) -> Reader {
        Reader {
            pointer: self.answer.clone(),
            checks: self.answer.is_some(),
            head_alone: self.http_method == HttpMethod::Head,
        }
    }

    /// # Errors
    /// Returns an error that names the flag and quotes nothing that may be a secret.
    pub(super) fn http_call(&self, settings: &Settings) -> Result<HttpCall, SetUpError> {
        let (target, path) = self.target(settings)?;
        let template = RequestTemplate {
            path,
            headers: self.headers()?,
            body: self.body()?,
            expect: self.expect.clone(),
        };
        let call = HttpCall::with(&target, template, self.http_client).map_err(|error| match error {
            HttpCallError::Tls(_) => {
                format!("{}: {error}, or with --ca-file", self.destination.setting())
            }
            HttpCallError::Proxy | HttpCallError::Client(_) => error.to_string(),
            error => format!("{}: {error}", self.destination.setting()),
        })?;
        Ok(call)
    }

    /// Where requests go, and the path that they have there if it is a template's.
    fn target(&self, settings: &Settings) -> Result<(Target, Option<Template<EventField>>), SetUpError> {
        let (target, path) = match &self.destination {
            Destination::Endpoint(url) => {
                let target = Target::ping(url, &settings.io_delay, settings.timeout);
                (target.map_err(|error| format!("endpoint_url: {error}"))?, None)
            }
            Destination::Url(url) => {
                let url = UrlTemplate::parse(url).map_err(|error| format!("url: {error}"))?;
                let target: Target = url.origin().parse().map_err(|error| match error {
                    // Without the URL, which may hold a secret.
                    HttpCallError::Url { reason, .. } => format!("url: no http or https URL: {reason}"),
                    error => format!("url: {error}"),
                })?;
                (target.with_timeout(settings.timeout), Some(url.path().clone()))
            }
        };
        let mut target = target
            .with_method(self.http_method, self.idempotent)
            .with_idle_timeout(self.idle_timeout)
            .with_max_answer_bytes(self.max_answer_bytes);
        if let Some(file) = &self.ca_file {
            let trusting = target.trusting(file);
            target = trusting.map_err(|error| format!("ca_file: {error}"))?;
        }
        target = match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => target
                .with_identity(certificate, key)
                .map_err(|error| format!("client_certificate: {error}"))?,
            (None, None) => target,
            (Some(_), None) => return Err("client_key: missing beside client_certificate".into()),
            (None, Some(_)) => return Err("client_certificate: missing beside client_key".into()),
        };
        if self.use_proxy {
            target = target.by_proxy();
        }
        Ok((target, path))
    }

    fn headers(&self) -> Result<Vec<(HeaderName, Template<EventField>)>, SetUpError> {
        let given = self.headers.iter().filter(|header| !header.trim().is_empty());
        let read = given.enumerate().map(|(index, header)| {
            // Its text may be a secret in the wrong place.
            let error = |problem: &str| format!("header {}: {problem}", index + 1);
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| error("expected `NAME: VALUE`"))?;
            let name = HeaderName::from_bytes(name.trim().as_bytes())
                .map_err(|_| error("its name is not one that HTTP allows"))?;
            if OF_CONNECTION.contains(&name.as_str()) {
                return Err(format!("header `{name}`: it belongs to the connection: leave it out").into());
            }
            let value =
                Template::header(value.trim()).map_err(|error| format!("header `{name}`: {error}"))?;
            Ok((name, value))
        });
        read.collect()
    }

    fn body(&self) -> Result<RequestBody, SetUpError> {
        let body = match (&self.body_template, self.body) {
            (Some(_), Body::Payload) => {
                return Err("body_template: the body is the payload already: leave --body out".into());
            }
            (Some(file), Body::None) => {
                let error = |problem: &dyn std::fmt::Display| {
                    format!("body_template: `{}`: {problem}", file.display())
                };
                let text = fs::read_to_string(file).map_err(|problem| error(&problem))?;
                RequestBody::Template(Template::json(&text).map_err(|problem| error(&problem))?)
            }
            (None, Body::Payload) => RequestBody::Payload,
            (None, Body::None) => RequestBody::None,
        };
        match (&body, self.http_method) {
            (RequestBody::Payload | RequestBody::Template(_), HttpMethod::Get | HttpMethod::Head) => {
                Err(format!(
                    "body: a {} request has none: choose --method POST, PUT or PATCH",
                    self.http_method
                )
                .into())
            }
            _ => Ok(body),
        }
    }
}

impl Destination {
    fn setting(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Endpoint(_) => "endpoint_url",
        }
    }
}

/// `lean` is the earlier name of `hyper`.
fn http_client(text: &str) -> Result<HttpClient, FormError> {
    let text = if text == "lean" { "hyper" } else { text };
    HTTP_CLIENT.read_given(text)
}

fn pointer(text: &str) -> Result<Pointer, FormError> {
    Pointer::read(text).ok_or_else(|| FormError::Pointer(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        flags: Flags,
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(args: &[&str]) -> Result<Cli, String> {
        let args = ["udf"].iter().chain(args);
        <Cli as clap::Parser>::try_parse_from(args).map_err(|error| error.to_string())
    }

    fn refusal(args: &[&str]) -> String {
        let call = |cli: Cli| {
            cli.flags
                .http_call(&cli.settings)
                .map_err(|error| error.to_string())
        };
        parse(args).and_then(call).err().unwrap()
    }

    #[test]
    fn the_default_client_keeps_its_earlier_name() {
        let client = |args: &[&str]| parse(args).unwrap().flags.http_client;
        assert_eq!(client(&[]), HttpClient::Hyper);
        assert_eq!(client(&["--http-client", "lean"]), HttpClient::Hyper);
        assert_eq!(client(&["--http-client", "reqwest"]), HttpClient::Reqwest);
    }

    #[test]
    fn what_cannot_work_is_one_sentence_that_names_the_flag() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body.json");
        fs::write(&file, "{\"a\": ${/a}, }").unwrap();
        let file = file.display().to_string();
        let url = ["--url", "http://e/"];
        for (args, said) in [
            (
                &["--endpoint-url", "http://e"][..],
                "error: --url (REQUEST_URL) and --endpoint-url (ENDPOINT_URL) are two places for the same requests: give one of them\n",
            ),
            (
                &["--body", "payload"],
                "body: a GET request has none: choose --method POST, PUT or PATCH",
            ),
            (
                &["--method", "POST", "--body", "payload", "--body-template", &file],
                "body_template: the body is the payload already: leave --body out",
            ),
            (
                &["--method", "POST", "--body-template", &file],
                &format!(
                    "body_template: `{file}`: it is no JSON in line 1, column 11, with a value in place of each field: a field \
                     stands where a value may stand, or within a string"
                ),
            ),
            (&["--header", "s3cret"], "header 1: expected `NAME: VALUE`"),
            (
                &["--header", "a: b", "--header", "s3cret x: y"],
                "header 2: its name is not one that HTTP allows",
            ),
            (
                &["--header", "Content-Length: ${/s3cret}"],
                "header `content-length`: it belongs to the connection: leave it out",
            ),
            (
                &["--header", "X: s3\rcret"],
                "header `x`: the text has a control character, which no value of a header can have",
            ),
            (
                &["--client-certificate", "c"],
                "client_key: missing beside client_certificate",
            ),
            (
                &["--client-key", "c"],
                "client_certificate: missing beside client_key",
            ),
            (
                &["--client-key", "c", "--client-certificate", "c"],
                "client_certificate: `c`: a client has a certificate for https alone",
            ),
        ] {
            let refused = refusal(&[&url, args].concat());
            assert!(
                refused.starts_with(said) && !refused.contains("s3cret"),
                "{refused}"
            );
        }
        for (url, said) in [
            (
                "http://e:s3cret",
                "url: no http or https URL: invalid port number",
            ),
            (
                "ftp://e:s3cret@e/",
                "url: no http or https URL: the scheme is ftp",
            ),
            (
                "http://e/${user}",
                "url: `${user}` is no field: known are `${key}`",
            ),
        ] {
            let refused = refusal(&["--url", url]);
            assert!(
                refused.starts_with(said) && !refused.contains("s3cret"),
                "{refused}"
            );
        }
        for args in [
            ["--expect", "199"],
            ["--expect", "200,600"],
            ["--answer", "score"],
        ] {
            assert!(refusal(&args).contains("invalid value"), "{args:?}");
        }
    }
}
