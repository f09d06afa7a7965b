//! Where requests go: to the URL of a service, or to an endpoint's `/ping`. One of the two.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// Where requests go.
#[derive(Clone)]
pub(super) enum Destination {
    /// A template.
    Url(String),
    /// `GET ENDPOINT/ping?delay=DELAY`.
    Endpoint(String),
}

#[derive(Args)]
struct Given {
    /// URL of the service that is called. Fields of the event, ${key}, ${/pointer} into its payload and ${header:NAME}, are
    /// percent-encoded in its path and query; ${env:NAME} and ${file:PATH} are read once, at the start
    #[arg(long, env = "REQUEST_URL", value_name = "TEMPLATE", hide_env_values = true)]
    url: Option<String>,
    /// In place of --url, where the experiment's endpoint answers: called as GET URL/ping?delay=IO_DELAY
    /// [default: http://127.0.0.1:9888]
    #[arg(long, env = "ENDPOINT_URL", hide_env_values = true)]
    endpoint_url: Option<String>,
}

impl Args for Destination {
    fn augment_args(command: Command) -> Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Given::augment_args_for_update(command)
    }
}

impl FromArgMatches for Destination {
    /// A flag stands above the environment, so that a trial's `ENDPOINT_URL` does no harm to a command with `--url`.
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Given { url, endpoint_url } = Given::from_arg_matches(matches)?;
        let is_flag = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        match (url, endpoint_url) {
            (Some(_), Some(_)) if is_flag("url") == is_flag("endpoint_url") => Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                "--url (REQUEST_URL) and --endpoint-url (ENDPOINT_URL) are two places for the same requests: give one of them\n",
            )),
            (Some(url), None) => Ok(Self::Url(url)),
            (Some(url), Some(_)) if is_flag("url") => Ok(Self::Url(url)),
            (_, Some(url)) => Ok(Self::Endpoint(url)),
            (None, None) => Ok(Self::Endpoint(format!(
                "http://127.0.0.1:{}",
                wire::ENDPOINT_PORT
            ))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
