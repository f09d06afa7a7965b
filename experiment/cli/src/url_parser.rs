//! Parses `--endpoint-url`. An invalid value is not repeated in the error, as clap would, since it may have a password.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};
use trials::endpoint_url::EndpointUrl;

#[derive(Debug, Clone, Copy)]
pub struct UrlParser;

impl TypedValueParser for UrlParser {
    type Value = EndpointUrl;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<EndpointUrl, clap::Error> {
        value.to_string_lossy().parse().map_err(|error| {
            // Clap ends its own messages with a newline, and leaves those of others as they are.
            let message = format!("invalid value for '--endpoint-url <URL>': {error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}
