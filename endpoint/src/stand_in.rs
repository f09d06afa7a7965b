//! The service that the endpoint stands in for: a request by any method to any path but the endpoint's own gets a chosen
//! body, which may have values of the request, and can be required to have a header.

mod field;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use wire::settings::whole_number;
use wire::template::{Payload, RenderError, Template, TemplateError};

use self::field::RequestField;
use crate::answer::{self, Answer};
use crate::calls::Refusal;

/// The answer without `--answer` and `--answer-file`.
const ANSWER: &str = "{}";
/// The longest answer.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// How much of a body that is too long is read and discarded, so that its sender has written all of it and reads the
/// answer. The connection of a longer one ends before.
const DISCARDED_BYTES: usize = 64 << 20;

/// Answers at other paths than the endpoint's own
#[derive(Debug, Args)]
#[command(next_help_heading = "Any method at any other path")]
pub struct StandInArgs {
    /// Body of the answers, default `{}`; `${/pointer}` is a value of the request's JSON, `${header:NAME}` a header
    #[arg(long, env = "ANSWER", value_name = "TEXT", conflicts_with = "answer_file")]
    answer: Option<String>,
    /// File with the body of the answers
    #[arg(long, env = "ANSWER_FILE", value_name = "FILE")]
    answer_file: Option<PathBuf>,
    /// Length of the answers: spaces are added at the end, which JSON allows
    #[arg(long, env = "ANSWER_BYTES", value_name = "N", value_parser = whole_number::<usize>(0, MAX_ANSWER_BYTES), allow_hyphen_values = true)]
    answer_bytes: Option<usize>,
    /// Content type of the answers
    #[arg(long, env = "ANSWER_TYPE", value_name = "TYPE", default_value = "application/json", value_parser = header_value)]
    answer_type: HeaderValue,
    /// Header that a request must have, like 'Authorization: Bearer TOKEN'; others are answered with 401. A secret is best in
    /// the environment, where no other user sees it
    #[arg(
        long,
        env = "REQUIRE_HEADER",
        value_name = "NAME: VALUE",
        hide_env_values = true
    )]
    require_header: Option<String>,
    /// Longest body of a request; a longer one is answered with 413
    #[arg(long, env = "MAX_BODY_BYTES", value_name = "N", default_value = "1048576", value_parser = whole_number::<usize>(0, 1 << 30), allow_hyphen_values = true)]
    max_body_bytes: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    #[error("answer-file: {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{setting}: {source}")]
    Template {
        setting: &'static str,
        source: TemplateError,
    },
    #[error("answer-bytes: the answer has {0} bytes already: choose at least as many")]
    Longer(usize),
    /// Does not quote the value, which may be a secret.
    #[error("require-header: expected a name, a colon and a value, like 'Authorization: Bearer TOKEN'")]
    Header,
}

#[derive(Debug)]
pub struct StandIn {
    body: Body,
    content_type: HeaderValue,
    required: Option<(HeaderName, HeaderValue)>,
    max_body_bytes: usize,
}

#[derive(Debug)]
enum Body {
    Constant(Bytes),
    OfRequest {
        template: Template<RequestField>,
        /// Spaces are added up to this length.
        length: usize,
    },
}

/// Why a request is refused, and the answer to it.
type Refused = (Refusal, Response<Answer>);

impl StandIn {
    pub fn new(args: &StandInArgs) -> Result<Self, StandInError> {
        let (setting, text) = match &args.answer_file {
            Some(path) => ("answer-file", read(path)?),
            None => ("answer", args.answer.clone().unwrap_or_else(|| ANSWER.to_owned())),
        };
        let is_json = args.answer_type.to_str().is_ok_and(|text| text.contains("json"));
        let template = match is_json {
            true => Template::json(&text),
            false => Template::text(&text),
        };
        let template = template.map_err(|source| StandInError::Template { setting, source })?;
        let body = match template.constant() {
            Some(text) => Body::Constant(padded(text, args.answer_bytes)?),
            None => Body::OfRequest {
                template,
                length: args.answer_bytes.unwrap_or_default(),
            },
        };
        Ok(Self {
            body,
            content_type: args.answer_type.clone(),
            required: args.require_header.as_deref().map(header).transpose()?,
            max_body_bytes: args.max_body_bytes,
        })
    }

    /// Reads a request to its end, and returns what answers it.
    ///
    /// # Errors
    /// Returns the answer to a request that is to be refused, and why it is.
    pub async fn read(&self, headers: &HeaderMap, body: Incoming) -> Result<Response<Answer>, Refused> {
        let body = self.read_body(body).await?;
        if let Some((name, value)) = &self.required
            && !headers.get_all(name).iter().any(|found| found == value)
        {
            return Err((Refusal::Header, unauthorized(name, value)));
        }
        let bytes = match &self.body {
            Body::Constant(bytes) => bytes.clone(),
            Body::OfRequest { template, length } => {
                rendered(template, *length, headers, &body).map_err(|error| {
                    let refused = answer::text(StatusCode::BAD_REQUEST, format!("{error}\n"));
                    (Refusal::Body, refused)
                })?
            }
        };
        let mut response = Response::new(Answer::Whole(Full::new(bytes)));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, self.content_type.clone());
        Ok(response)
    }

    /// Returns the body if an answer has values of it.
    async fn read_body(&self, mut body: Incoming) -> Result<Vec<u8>, Refused> {
        let is_kept = matches!(self.body, Body::OfRequest { .. });
        let (mut kept, mut length) = (Vec::new(), 0_usize);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                let refused = answer::text(StatusCode::BAD_REQUEST, "the request breaks off\n");
                return Err((Refusal::Body, refused));
            };
            let Some(data) = frame.data_ref() else { continue };
            length += data.len();
            if length > DISCARDED_BYTES.max(self.max_body_bytes) {
                break;
            }
            if is_kept && length <= self.max_body_bytes {
                kept.extend_from_slice(data);
            }
        }
        if length > self.max_body_bytes {
            let most = self.max_body_bytes;
            let text = format!("the request's body has more than {most} bytes (--max-body-bytes)\n");
            return Err((Refusal::Body, answer::text(StatusCode::PAYLOAD_TOO_LARGE, text)));
        }
        Ok(kept)
    }
}

fn rendered(
    template: &Template<RequestField>,
    length: usize,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Bytes, RenderError> {
    let mut text = String::with_capacity(length);
    let payload = Payload::new(body);
    template.render(&mut text, |field| field.of(headers, &payload))?;
    Ok(filled(text, length))
}

/// The answer to a request without the header. It does not have the header's value.
fn unauthorized(name: &HeaderName, value: &HeaderValue) -> Response<Answer> {
    let text = format!("the header {name} is missing or has another value (--require-header)\n");
    let mut response = answer::text(StatusCode::UNAUTHORIZED, text);
    let scheme = value.to_str().ok().and_then(|value| value.split(' ').next());
    if name == AUTHORIZATION
        && let Some(Ok(scheme)) = scheme.map(HeaderValue::from_str)
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), StandInError> {
    let (name, value) = text.split_once(':').ok_or(StandInError::Header)?;
    let name = name.trim().parse().map_err(|_| StandInError::Header)?;
    let mut value: HeaderValue = value.trim().parse().map_err(|_| StandInError::Header)?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn header_value(text: &str) -> Result<HeaderValue, String> {
    text.parse()
        .map_err(|_| "expected a content type, like application/json".to_owned())
}

fn read(path: &Path) -> Result<String, StandInError> {
    let read = || {
        if std::fs::metadata(path)?.len() > MAX_ANSWER_BYTES {
            let most = format!("larger than {MAX_ANSWER_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, most));
        }
        std::fs::read_to_string(path)
    };
    read().map_err(|source| StandInError::File {
        path: path.to_owned(),
        source,
    })
}

fn padded(text: &str, length: Option<usize>) -> Result<Bytes, StandInError> {
    let length = length.unwrap_or(text.len());
    if length < text.len() {
        return Err(StandInError::Longer(text.len()));
    }
    Ok(filled(text.to_owned(), length))
}

/// A text with spaces at its end up to a length in bytes.
fn filled(text: String, length: usize) -> Bytes {
    let mut bytes = text.into_bytes();
    bytes.resize(length.max(bytes.len()), b' ');
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_and_a_value_which_is_not_shown() {
        let (name, value) = header("Authorization:  Bearer s3cret ").unwrap();
        assert_eq!((name, value.as_bytes()), (AUTHORIZATION, &b"Bearer s3cret"[..]));
        assert!(!format!("{value:?}").contains("s3cret"));
        for text in ["s3cret", "", ": s3cret", "a b: s3cret", "x: s3cret\n"] {
            if let Err(error) = header(text) {
                assert!(!error.to_string().contains("s3cret"), "{text:?}: {error}");
            } else {
                assert_eq!(text, "x: s3cret\n", "white space at its ends is left out");
            }
        }
    }

    #[test]
    fn an_answer_is_filled_up_to_its_length() {
        let padded = |length| padded("\"é\"", length).map_err(|error| error.to_string());
        assert_eq!(padded(None).unwrap(), "\"é\"");
        assert_eq!(padded(Some(4)).unwrap(), "\"é\"");
        assert_eq!(padded(Some(7)).unwrap(), "\"é\"   ");
        assert_eq!(padded(Some(1 << 20)).unwrap().len(), 1 << 20);
        assert!(padded(Some(3)).unwrap_err().contains("4 bytes already"));
    }
}
