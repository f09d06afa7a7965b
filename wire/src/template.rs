//! Texts with fields: the URL, the headers and the body of a request, and payloads. One syntax for all of them, read once.
//! A field is put in so that its value cannot become anything but a value there: see each constructor.

mod event_field;
mod json;
mod read;
mod render;
mod url;

use std::fmt;
use std::io;

pub use event_field::EventField;
pub use json::{Payload, Pointer};
pub use render::{Problem, RenderError, Value};
pub use url::UrlTemplate;

/// The fields that a kind of template may have, beside `${env:NAME}` and `${file:PATH}`.
pub trait Field: fmt::Display + Sized {
    /// All of them, as a refusal lists them.
    const NAMES: &'static str;

    /// Reads what is between `${` and `}`; `None` if there is no such field.
    fn read(name: &str) -> Option<Self>;
}

/// A text with fields `${…}`. `${env:NAME}` and `${file:PATH}` are replaced when it is read; `$${` is a literal `${`.
///
/// Its text may hold secrets, so nothing prints it.
#[derive(Clone)]
pub struct Template<F> {
    parts: Vec<Part<F>>,
}

#[derive(Clone)]
enum Part<F> {
    Text(String),
    Field { field: F, spot: Spot },
}

/// What is around a field, which decides how its value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// The path of a URL.
    Path,
    /// The query of a URL.
    Query,
    /// The value of a header.
    Header,
    /// JSON, outside of a string.
    JsonValue,
    /// JSON, within a string.
    JsonString,
    /// Any text.
    Text,
}

/// Why a text is no template. It names fields, and never quotes what one stands for.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A field without an end.
    #[error("`${{` is not closed by `}}`: write `$${{` for a literal `${{`")]
    Unclosed,
    /// A field that there is not.
    #[error(
        "`${{{field}}}` is no field: known are {known}, `${{env:NAME}}` and `${{file:PATH}}`; write `$${{` for a literal `${{`"
    )]
    Unknown {
        /// Its name as it was given.
        field: String,
        /// Those that there are.
        known: &'static str,
    },
    /// An environment variable that is not set, or is no text.
    #[error("`${{env:{0}}}`: the environment variable {0} {1}")]
    Env(String, &'static str),
    /// A file that cannot be read, or is no text.
    #[error("`${{file:{path}}}`: the file {path} cannot be read: {source}")]
    File {
        /// Its path.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// A field where only constant text may be.
    #[error(
        "`${{{0}}}` stands in the scheme, host or port of the URL, where no field may be: only `${{env:NAME}}` or `${{file:PATH}}` may give the beginning of the URL, all of it up to the path"
    )]
    InAuthority(String),
    /// No URL.
    #[error("the URL {0}")]
    Url(&'static str),
    /// A header's value with a line break or the like.
    #[error("{0} has a control character, which no value of a header can have")]
    Control(String),
    /// A JSON template that some values would make invalid.
    #[error(
        "it is no JSON in line {line}, column {column}, with a value in place of each field: a field stands where a value may stand, or within a string"
    )]
    Json {
        /// From 1.
        line: usize,
        /// From 1, with values in place of the fields before it.
        column: usize,
    },
}

impl<F: Field> Template<F> {
    /// The value of a header. What has a control character, like a line break, is refused here or when it is rendered.
    ///
    /// # Errors
    /// Returns an error if a field is unknown or absent, or if the constant text has a control character.
    pub fn header(text: &str) -> Result<Self, TemplateError> {
        let mut template = Self { parts: Vec::new() };
        for piece in read::pieces(text)? {
            if let Some(constant) = piece.constant()
                && render::has_control(constant)
            {
                return Err(TemplateError::Control(piece.name()));
            }
            template.push(piece, Spot::Header);
        }
        Ok(template)
    }

    /// JSON. Within a string, `"Hello ${/name}"`, a text is put in with escapes; elsewhere, `{"amount": ${/amount}}`,
    /// a value is put in as JSON, a text with its quotes. The result is JSON whatever the values are.
    ///
    /// # Errors
    /// Returns an error if a field is unknown or absent, or if it is no JSON.
    pub fn json(text: &str) -> Result<Self, TemplateError> {
        let mut template = Self { parts: Vec::new() };
        let mut state = json::State::default();
        for piece in read::pieces(text)? {
            let spot = state.spot();
            match &piece {
                read::Piece::Text(text) => {
                    state.read(text);
                    template.push(piece, spot);
                }
                read::Piece::Secret { value, .. } => {
                    let text = render::json_text(value, spot);
                    template.push(read::Piece::Text(text), spot);
                }
                read::Piece::Field(_) => template.push(piece, spot),
            }
        }
        template.check_json()?;
        Ok(template)
    }

    /// Any text; values are put in as they are.
    ///
    /// # Errors
    /// Returns an error if a field is unknown or absent.
    pub fn text(text: &str) -> Result<Self, TemplateError> {
        let mut template = Self { parts: Vec::new() };
        for piece in read::pieces(text)? {
            template.push(piece, Spot::Text);
        }
        Ok(template)
    }

    /// With values of two kinds, as `1${/x}` is JSON for some values alone.
    fn check_json(&self) -> Result<(), TemplateError> {
        for sample in ["\"\"", "0"] {
            let filled: String = self.parts.iter().map(|part| part.or_sample(sample)).collect();
            serde_json::from_str::<serde::de::IgnoredAny>(&filled).map_err(|error| TemplateError::Json {
                line: error.line(),
                column: error.column(),
            })?;
        }
        Ok(())
    }
}

impl<F> Template<F> {
    /// Its text, if it has no field.
    pub fn constant(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &F> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field { field, .. } => Some(field),
            Part::Text(_) => None,
        })
    }

    fn push(&mut self, piece: read::Piece<F>, spot: Spot) {
        match piece {
            read::Piece::Field(field) => self.parts.push(Part::Field { field, spot }),
            read::Piece::Text(text) | read::Piece::Secret { value: text, .. } => self.push_text(&text),
        }
    }

    fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }
}

impl<F> Part<F> {
    fn or_sample<'a>(&'a self, sample: &'a str) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Field {
                spot: Spot::JsonString,
                ..
            } => "x",
            Self::Field { .. } => sample,
        }
    }
}

/// Without its text, which may hold secrets.
impl<F> fmt::Debug for Template<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("fields", &self.fields().count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
