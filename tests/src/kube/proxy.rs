//! Requests that the API server forwards to a pod: its logs and its HTTP ports.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Inner;
use super::call::Call;
use super::log::{Log, is_record};
use super::serve::{refuse, stream_answer};

/// Query parameters of a log.
struct Asked {
    since: Option<DateTime<Utc>>,
    tail: Option<usize>,
    timestamps: bool,
    follow: bool,
    /// What was written before the request is in a file that was rotated away.
    rotated: bool,
    /// The position of the missing record.
    loses: Option<usize>,
    /// Number of records after which the stream breaks.
    breaks_after: Option<usize>,
}

pub(super) fn log(inner: &Arc<Inner>, call: &Call) -> Response {
    let container = call.query.get("container");
    let pod = &call.key.name;
    if inner.store().get(&call.key).is_none() {
        return refuse(
            StatusCode::NOT_FOUND,
            "NotFound",
            &format!("pods \"{pod}\" not found"),
        );
    }
    if !inner.pods.has_started(pod, container) {
        let message =
            format!("container \"{container}\" in pod \"{pod}\" is waiting to start: PodInitializing");
        return refuse(StatusCode::BAD_REQUEST, "BadRequest", &message);
    }
    let previous = call.query.is("previous");
    let log = match previous {
        true => inner.pods.previous(pod, container),
        false => inner.pods.log(pod, container),
    };
    let of_sink = container == "udsink";
    let mut trouble = inner.trouble();
    let asked = Asked {
        // The kubelet gets it in whole seconds.
        since: DateTime::parse_from_rfc3339(call.query.get("sinceTime"))
            .ok()
            .map(|since| since.to_utc().trunc_subsecs(0)),
        tail: call.query.get("tailLines").parse().ok(),
        timestamps: call.query.is("timestamps"),
        follow: call.query.is("follow"),
        rotated: trouble.log_rotates && of_sink && trouble.log_breaks_after.is_none(),
        loses: trouble.log_loses.filter(|_| of_sink),
        breaks_after: trouble
            .log_breaks_after
            .take_if(|_| of_sink && call.query.is("follow")),
    };
    let (lines, stream) = mpsc::channel(64);
    inner.spawn(asked.write(log, lines));
    stream_answer(Body::from_stream(ReceiverStream::new(stream)), "text/plain")
}

impl Asked {
    async fn write(self, log: Arc<Log>, to: mpsc::Sender<Result<Bytes, std::io::Error>>) {
        let mut state = log.state();
        let all = log.lines();
        let before = |(at, _): &&(DateTime<Utc>, String)| self.since.is_some_and(|since| *at < since);
        let too_old = all.iter().take_while(before).count();
        let newest = if self.rotated { Some(0) } else { self.tail };
        let mut position = too_old.max(newest.map_or(0, |tail| all.len().saturating_sub(tail)));
        let is_a_record = |(_, line): &&(DateTime<Utc>, String)| is_record(line);
        let mut records = all[..position].iter().filter(is_a_record).count();
        let mut sent = 0;
        loop {
            let seen = *state.borrow_and_update();
            while let Some((at, line)) = log.line(position) {
                position += 1;
                if is_record(&line) {
                    records += 1;
                    if self.loses == Some(records - 1) {
                        continue;
                    }
                    if self.breaks_after == Some(sent) {
                        let _ = to.send(Err(std::io::Error::other("broken on purpose"))).await;
                        return;
                    }
                    sent += 1;
                }
                let text = match self.timestamps {
                    true => format!("{} {line}\n", at.to_rfc3339_opts(SecondsFormat::Nanos, true)),
                    false => format!("{line}\n"),
                };
                if to.send(Ok(text.into())).await.is_err() {
                    return;
                }
            }
            if seen.ended || !self.follow {
                return;
            }
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return },
                () = to.closed() => return,
            }
        }
    }
}

/// `pods/[SCHEME:]NAME:PORT/proxy/PATH`.
pub(super) async fn forward(inner: &Arc<Inner>, call: &Call, headers: &HeaderMap, body: Bytes) -> Response {
    let parts: Vec<&str> = call.key.name.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [name, port] => ("http", name, port),
        [scheme, name, port] => (*scheme, name, port),
        _ => return refuse(StatusCode::BAD_REQUEST, "BadRequest", "the proxy needs NAME:PORT"),
    };
    let address = match call.key.resource.as_str() {
        "services" => inner.service_address(&call.key.namespace, name, port.parse().ok()),
        _ => inner.pods.address(name).map(|ip| format!("{ip}:{port}")),
    };
    let Some(address) = address else {
        return refuse(
            StatusCode::NOT_FOUND,
            "NotFound",
            &format!("{} \"{name}\" not found", call.key.resource),
        );
    };
    if inner.trouble().sink_without_records && call.rest == "records" {
        return StatusCode::NOT_FOUND.into_response();
    }
    let method = match call.verb {
        "create" => Method::POST,
        "update" => Method::PUT,
        _ => Method::GET,
    };
    let mut request = inner
        .http
        .request(
            method,
            format!("{scheme}://{address}/{}?{}", call.rest, call.query.text),
        )
        .body(body);
    if let Some(media) = headers.get(header::CONTENT_TYPE) {
        request = request.header(header::CONTENT_TYPE, media);
    }
    match request.send().await {
        Ok(answer) => {
            let status = answer.status();
            let media = answer.headers().get(header::CONTENT_TYPE).cloned();
            let mut response = (status, answer.bytes().await.unwrap_or_default()).into_response();
            if let Some(media) = media {
                response.headers_mut().insert(header::CONTENT_TYPE, media);
            }
            response
        }
        Err(error) => {
            let message = format!("error trying to reach service: {error}");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &message)
        }
    }
}
