//! URLs: where the fields of an event may stand in one, so that no value sends a request elsewhere.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::read::{Piece, pieces};
use super::render::{has_dots, percent_encoded};
use super::{Field, Part, Spot, Template, TemplateError};

/// What a URL cannot have as it is, in path or query.
const NOT_IN_URL: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A URL with fields in its path and query.
#[derive(Clone)]
pub struct UrlTemplate<F> {
    origin: String,
    path: Template<F>,
}

/// The part of a URL before its path, while it is read.
#[derive(Default)]
struct Origin {
    text: String,
    /// Fields that must turn out to be of the user or the password, by an `@` after them.
    open: Option<String>,
    /// Whether its end was found.
    ended: bool,
}

impl<F: Field> UrlTemplate<F> {
    /// Reads a URL. Values are percent-encoded, and no field may stand in scheme, host or port. `${env:NAME}` and
    /// `${file:PATH}` may also give user and password, and at the very beginning all up to the path or more of it, which
    /// is taken as it is.
    ///
    /// # Errors
    /// Returns an error if a field is unknown or absent, or stands where none may, or if it is no URL.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut origin = Origin::default();
        let mut path = Template { parts: Vec::new() };
        let mut spot = Spot::Path;
        for (place, piece) in pieces::<F>(text)?.into_iter().enumerate() {
            let text = match &piece {
                Piece::Secret { value, .. } if place > 0 => percent_encoded(value).to_string(),
                Piece::Text(text) | Piece::Secret { value: text, .. } => {
                    check(text)?;
                    text.clone()
                }
                Piece::Field(field) if !origin.ended => {
                    return Err(TemplateError::InAuthority(field.to_string()));
                }
                Piece::Field(_) => {
                    path.push(piece, spot);
                    continue;
                }
            };
            let rest = match &piece {
                _ if origin.ended => &text[..],
                Piece::Secret { name, .. } if place > 0 => origin.take_secret(name, &text)?,
                _ => origin.take(&text)?,
            };
            if rest.contains('?') {
                spot = Spot::Query;
            }
            path.push_text(&utf8_percent_encode(rest, NOT_IN_URL).to_string());
        }
        origin.check()?;
        match path.parts.first_mut() {
            Some(Part::Text(text)) if text.starts_with('?') => text.insert(0, '/'),
            None => path.push_text("/"),
            _ => {}
        }
        let filled: String = path.parts.iter().map(|part| part.or_sample("x")).collect();
        if has_dots(&filled) {
            return Err(TemplateError::Url("has a segment `.` or `..` in its path"));
        }
        Ok(Self {
            origin: origin.text,
            path,
        })
    }
}

impl<F> UrlTemplate<F> {
    /// Scheme, user, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Path and query; begins with a slash.
    pub fn path(&self) -> &Template<F> {
        &self.path
    }
}

impl Origin {
    /// Adds text; what is left of it belongs to the path.
    fn take<'a>(&mut self, text: &'a str) -> Result<&'a str, TemplateError> {
        let before = self.text.len();
        let whole = format!("{}{text}", self.text);
        let Some(host) = whole.find("://").map(|at| at + 3) else {
            self.text = whole;
            return Ok("");
        };
        let end = whole[host.max(before)..].find(['/', '?']);
        let end = end.map(|at| at + host.max(before));
        let (origin, rest) = text.split_at(end.unwrap_or(whole.len()) - before);
        if origin.contains('@') {
            self.open = None;
        }
        self.text.push_str(origin);
        self.ended = end.is_some();
        match &self.text[host..] {
            "" if self.ended => Err(TemplateError::Url("has no host")),
            _ => Ok(rest),
        }
    }

    /// Adds what the environment or a file gave for the user or the password.
    fn take_secret(&mut self, name: &str, encoded: &str) -> Result<&'static str, TemplateError> {
        if !self.text.contains("://") {
            return Err(TemplateError::InAuthority(name.to_owned()));
        }
        self.text.push_str(encoded);
        self.open = Some(name.to_owned());
        Ok("")
    }

    fn check(&self) -> Result<(), TemplateError> {
        match (&self.open, self.text.find("://")) {
            (Some(name), _) => Err(TemplateError::InAuthority(name.clone())),
            (None, Some(1..)) => Ok(()),
            (None, _) => Err(TemplateError::Url("must begin with http:// or https://")),
        }
    }
}

/// The part of a URL that is constant. What clients read in different ways is refused.
fn check(text: &str) -> Result<(), TemplateError> {
    let refuse = |reason| Err(TemplateError::Url(reason));
    if text.contains(|char: char| char.is_ascii_control() || char.is_whitespace()) {
        return refuse("has a space or a control character: write %20 for a space");
    }
    if text.contains('\\') {
        return refuse("has a backslash");
    }
    if text.contains('#') {
        return refuse("has a fragment (#), which is never sent: write %23 for a #");
    }
    Ok(())
}

/// Without its text, which may hold secrets.
impl<F> fmt::Debug for UrlTemplate<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlTemplate")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
