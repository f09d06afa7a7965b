//! Reads the pieces of a template, and what `${env:NAME}` and `${file:PATH}` stand for.

use std::env::{self, VarError};
use std::fs::File;
use std::io::{self, Read};

use super::{Field, TemplateError};

/// Longest file of a field. A longer one is no token or certificate.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A part of a template before its place is known.
pub(super) enum Piece<F> {
    Text(String),
    /// What the environment or a file gave.
    Secret {
        name: String,
        value: String,
    },
    Field(F),
}

impl<F: Field> Piece<F> {
    /// Its text, if it is no field of each event.
    pub(super) fn constant(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Secret { value: text, .. } => Some(text),
            Self::Field(_) => None,
        }
    }

    /// What a refusal calls it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Text(_) => "the text".to_owned(),
            Self::Secret { name, .. } => format!("`${{{name}}}`"),
            Self::Field(field) => format!("`${{{field}}}`"),
        }
    }
}

/// Reads a template.
///
/// # Errors
/// Returns an error if a field is not closed, unknown, or absent.
pub(super) fn pieces<F: Field>(text: &str) -> Result<Vec<Piece<F>>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        pieces.push(Piece::Text(before.to_owned()));
        if let Some(after) = from.strip_prefix("$${") {
            pieces.push(Piece::Text("${".to_owned()));
            rest = after;
        } else if let Some(after) = from.strip_prefix("${") {
            let (name, after) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
            pieces.push(piece(name)?);
            rest = after;
        } else {
            pieces.push(Piece::Text("$".to_owned()));
            rest = &from[1..];
        }
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces.retain(|piece| piece.constant() != Some("") || matches!(piece, Piece::Secret { .. }));
    Ok(pieces)
}

fn piece<F: Field>(name: &str) -> Result<Piece<F>, TemplateError> {
    let secret = |value| Piece::Secret {
        name: name.to_owned(),
        value,
    };
    if let Some(variable) = name.strip_prefix("env:") {
        return match env::var(variable) {
            Ok(value) => Ok(secret(value)),
            Err(VarError::NotPresent) => Err(TemplateError::Env(variable.to_owned(), "is not set")),
            Err(VarError::NotUnicode(_)) => Err(TemplateError::Env(variable.to_owned(), "is not UTF-8")),
        };
    }
    if let Some(path) = name.strip_prefix("file:") {
        let error = |source| TemplateError::File {
            path: path.to_owned(),
            source,
        };
        return Ok(secret(file(path).map_err(error)?));
    }
    let unknown = || TemplateError::Unknown {
        field: name.to_owned(),
        known: F::NAMES,
    };
    F::read(name).map(Piece::Field).ok_or_else(unknown)
}

/// The text of a file without the newline at its end, which editors add.
fn file(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "it is longer than {MAX_FILE_BYTES} bytes"
        )));
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}
