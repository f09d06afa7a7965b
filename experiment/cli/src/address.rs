//! Reads `--endpoint-url`. Where it cannot be used it is not repeated, as clap would: it may hold a password.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};
use trials::endpoint_url::EndpointUrl;

/// Reads an [`EndpointUrl`].
#[derive(Debug, Clone, Copy)]
pub struct Address;

impl TypedValueParser for Address {
    type Value = EndpointUrl;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<EndpointUrl, clap::Error> {
        value.to_string_lossy().parse().map_err(|error| {
            let what = format!("invalid value for '--endpoint-url <URL>': {error}");
            clap::Error::raw(ErrorKind::ValueValidation, what).with_cmd(command)
        })
    }
}
