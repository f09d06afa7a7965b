//! The fields of an event.

use std::fmt;

use super::{Field, Pointer};

/// A field of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventField {
    /// `${key}`: its keys, with `:` between them as Numaflow joins them.
    Key,
    /// `${/pointer}`: what its payload has there.
    Pointer(Pointer),
    /// `${header:NAME}`: one of its headers.
    Header(String),
}

impl Field for EventField {
    const NAMES: &'static str = "`${key}`, `${/pointer}`, `${header:NAME}`";

    fn read(name: &str) -> Option<Self> {
        match name.strip_prefix("header:") {
            Some("") => None,
            Some(header) => Some(Self::Header(header.to_owned())),
            None if name == "key" => Some(Self::Key),
            None => Pointer::read(name).map(Self::Pointer),
        }
    }
}

impl fmt::Display for EventField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("key"),
            Self::Pointer(pointer) => pointer.fmt(f),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}
