//! What a call gives: as much of the service's answer as the results need.

use std::sync::OnceLock;

use async_reduce::CallError;
use async_reduce::http::{Response, StatusCode};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use wire::template::{Payload, Pointer, Problem};

/// What the results need of the answers. It belongs to the process, as the flags do: what reads an answer out of a pipe of
/// the process pool, perhaps of a worker in another language, takes no argument.
static KEPT: OnceLock<Kept> = OnceLock::new();

/// How much of an answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// That it came.
    Nothing,
    /// A number.
    Number,
    /// Any JSON.
    Json,
}

/// What is kept of an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// Nothing was kept, or the answer had no body.
    None,
    Number(f64),
    Json(Json),
}

/// Reads the answers of the service.
#[derive(Debug)]
pub(super) struct Reader {
    /// Where the value is; the whole body if it is not given.
    pub(super) pointer: Option<Pointer>,
    /// Whether a body is read though nothing of it is kept.
    pub(super) checks: bool,
    /// Whether an answer has no body whatever its status is, as to HEAD.
    pub(super) head_alone: bool,
}

impl Kept {
    /// Keeps as much of every answer that this process reads. The first call counts.
    pub(super) fn set(self) {
        let _ = KEPT.set(self);
    }

    fn of_process() -> Self {
        *KEPT.get().unwrap_or(&Self::Nothing)
    }
}

impl Reader {
    /// Reads an answer of an accepted status. One that is no success, and one that has no body by its status, is `null`.
    ///
    /// # Errors
    /// Returns an error of the kind `bad-body` if the body has no such value.
    pub(super) fn read(&self, response: &Response) -> Result<Answer, CallError> {
        self.read_as(Kept::of_process(), response.status(), response.body())
    }

    fn read_as(&self, kept: Kept, status: StatusCode, body: &[u8]) -> Result<Answer, CallError> {
        let has_none = !status.is_success()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT)
            || self.head_alone;
        if has_none || (kept == Kept::Nothing && !self.checks) {
            return Ok(Answer::None);
        }
        let payload = Payload::new(body);
        let json = match &self.pointer {
            Some(pointer) => payload.at(pointer),
            None => payload.whole(),
        };
        let json = json.map_err(|problem| match (problem, &self.pointer) {
            (Problem::Absent, Some(pointer)) => {
                CallError::bad_body(format_args!("the answer has nothing at {pointer}")).retry(false)
            }
            _ => CallError::bad_body("the answer is no JSON"),
        })?;
        match kept {
            Kept::Nothing => Ok(Answer::None),
            Kept::Number => {
                let number = serde_json::from_str(json).map(Answer::Number);
                number.map_err(|_| CallError::bad_body("the answer is no number").retry(false))
            }
            Kept::Json => Ok(Answer::Json(serde_json::from_str(json)?)),
        }
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Kept::of_process() {
            Kept::Nothing => IgnoredAny::deserialize(deserializer).map(|_| Self::None),
            Kept::Number => {
                let number: Option<f64> = Option::deserialize(deserializer)?;
                Ok(number.map_or(Self::None, Self::Number))
            }
            Kept::Json => Json::deserialize(deserializer).map(|json| match json {
                Json::Null => Self::None,
                json => Self::Json(json),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kept: Kept, pointer: Option<&str>, status: u16, body: &str) -> Result<Answer, String> {
        let reader = Reader {
            pointer: pointer.map(|pointer| Pointer::read(pointer).unwrap()),
            checks: pointer.is_some(),
            head_alone: false,
        };
        let status = StatusCode::from_u16(status).unwrap();
        let read = reader.read_as(kept, status, body.as_bytes());
        read.map_err(|error| format!("{error} {}", error.may_retry()))
    }

    #[test]
    fn an_answer_is_the_value_at_its_place() {
        let body = r#"{"score": 1.5, "of": {"x": [1, 2]}, "no": null}"#;
        for (kept, pointer, status, body, answer) in [
            (Kept::Number, Some("/score"), 200, body, Ok(Answer::Number(1.5))),
            (Kept::Number, None, 201, "3", Ok(Answer::Number(3.0))),
            (
                Kept::Json,
                Some("/of/x"),
                200,
                body,
                Ok(Answer::Json(serde_json::json!([1, 2]))),
            ),
            (Kept::Json, Some("/no"), 200, body, Ok(Answer::Json(Json::Null))),
            (Kept::Nothing, Some("/score"), 200, body, Ok(Answer::None)),
            (Kept::Nothing, None, 200, "no JSON", Ok(Answer::None)),
            (Kept::Number, Some("/score"), 404, "no JSON", Ok(Answer::None)),
            (Kept::Number, Some("/score"), 204, "", Ok(Answer::None)),
            (
                Kept::Number,
                Some("/no"),
                200,
                body,
                Err("bad-body: the answer is no number false"),
            ),
            (
                Kept::Nothing,
                Some("/x"),
                200,
                body,
                Err("bad-body: the answer has nothing at /x false"),
            ),
            (
                Kept::Json,
                None,
                200,
                "",
                Err("bad-body: the answer is no JSON true"),
            ),
            (
                Kept::Number,
                Some("/x"),
                200,
                "{\"x\":",
                Err("bad-body: the answer is no JSON true"),
            ),
        ] {
            let read = read(kept, pointer, status, body);
            assert_eq!(read, answer.map_err(str::to_owned), "{kept:?} {pointer:?} {body}");
        }
    }
}
