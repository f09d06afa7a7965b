//! What the requests of events have of them: templates, which are read once.

use std::borrow::Cow;

use hyper::header::{HeaderName, HeaderValue};
use wire::template::{EventField, Payload, Problem, Template, Value};

use crate::call_error::CallError;
use crate::event::Event;

/// What the requests of events are made of, beside method and host.
#[derive(Debug, Clone, Default)]
pub struct RequestTemplate {
    /// Path and query; those of the target if there are none.
    pub path: Option<Template<EventField>>,
    /// Headers, which stand above those that every request has. A name that comes twice is sent twice.
    pub headers: Vec<(HeaderName, Template<EventField>)>,
    /// The body.
    pub body: RequestBody,
    /// Statuses of good answers; if there are none, 200 to 299.
    pub expect: Vec<u16>,
}

/// The body of a request.
#[derive(Debug, Clone, Default)]
pub enum RequestBody {
    /// None.
    #[default]
    None,
    /// The event's payload as it is.
    Payload,
    /// JSON from a template.
    Template(Template<EventField>),
}

impl RequestBody {
    /// What the service is told of it, unless the template has a header for that.
    pub(super) fn content_type(&self) -> Option<HeaderValue> {
        match self {
            Self::None => None,
            Self::Payload | Self::Template(_) => Some(HeaderValue::from_static("application/json")),
        }
    }
}

/// A template with the values of an event, of which `payload` is the payload.
///
/// # Errors
/// Returns an error of the kind `bad-input` if the event has no such value, or one that cannot stand there.
pub(super) fn render(
    template: &Template<EventField>,
    event: &Event,
    payload: &Payload<'_>,
) -> Result<String, CallError> {
    let mut text = String::new();
    let rendered = template.render(&mut text, |field| match field {
        EventField::Key => Ok(Value::Text(match event.keys() {
            [key] => Cow::Borrowed(key),
            keys => Cow::Owned(keys.join(":")),
        })),
        EventField::Pointer(pointer) => payload.at(pointer).map(Value::Json),
        EventField::Header(name) => {
            let value = event.header(name).ok_or(Problem::Absent)?;
            Ok(Value::Text(Cow::Borrowed(value)))
        }
    });
    rendered.map(|()| text).map_err(CallError::bad_input)
}

/// A rendered text as the value of a header, which nothing prints.
pub(super) fn value_of(text: String) -> Result<HeaderValue, CallError> {
    let mut value =
        HeaderValue::try_from(text).map_err(|_| CallError::bad_input("the value of a header is none"))?;
    value.set_sensitive(true);
    Ok(value)
}
