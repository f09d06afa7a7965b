//! The values of a request that its answer can have.

use std::borrow::Cow;
use std::fmt;

use hyper::header::{HeaderMap, HeaderName};
use wire::template::{Field, Payload, Pointer, Problem, Value};

/// A field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestField {
    /// `${/pointer}`: what its body has there.
    Pointer(Pointer),
    /// `${header:NAME}`: one of its headers.
    Header(HeaderName),
}

impl RequestField {
    pub fn of<'a>(&self, headers: &'a HeaderMap, payload: &Payload<'a>) -> Result<Value<'a>, Problem> {
        match self {
            Self::Pointer(pointer) => payload.at(pointer).map(Value::Json),
            Self::Header(name) => {
                let value = headers.get(name).ok_or(Problem::Absent)?;
                let text = value.to_str().map_err(|_| Problem::NoText)?;
                Ok(Value::Text(Cow::Borrowed(text)))
            }
        }
    }
}

impl Field for RequestField {
    const NAMES: &'static str = "`${/pointer}`, `${header:NAME}`";

    fn read(name: &str) -> Option<Self> {
        match name.strip_prefix("header:") {
            Some(header) => header.parse().ok().map(Self::Header),
            None => Pointer::read(name).map(Self::Pointer),
        }
    }
}

impl fmt::Display for RequestField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(pointer) => pointer.fmt(f),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}
