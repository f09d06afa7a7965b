//! The API over HTTP: paths, verbs, selectors, watches, patches and refusals, as the real API server has them.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio_stream::wrappers::ReceiverStream;

use super::call::{Call, Query, understand};
use super::store::{Key, NUMAFLOW};
use super::write::{create, write};
use super::{Inner, lock, objects, proxy};

/// Largest body of a request in bytes, which is etcd's limit.
const MAX_BODY: usize = 1_500_000;

pub(super) fn router(inner: Arc<Inner>) -> Router {
    Router::new().fallback(handle).with_state(inner)
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            "limit is 1.5 MB",
        );
    };
    let request = format!("{} {}", parts.method, parts.uri.path());
    let response = match (
        next_refusal(&inner),
        understand(&parts.method, parts.uri.path(), query),
    ) {
        (Some(refused), _) => refused,
        (None, Some(call)) => answer(&inner, call, &parts.headers, body).await,
        (None, None) => objects::discovery(parts.uri.path(), inner.trouble().numaflow_missing),
    };
    lock(&inner.seen).push(format!("{request} {}", response.status().as_u16()));
    response
}

async fn answer(inner: &Arc<Inner>, call: Call, headers: &axum::http::HeaderMap, body: Bytes) -> Response {
    if let Some(refused) = refusal(inner, &call) {
        return refused;
    }
    match (call.key.resource.as_str(), call.subresource.as_str()) {
        ("selfsubjectaccessreviews", _) => return access_review(inner, &body),
        ("pods", "log") => return proxy::log(inner, &call),
        ("pods" | "services", "proxy") => return proxy::forward(inner, &call, headers, body).await,
        _ => {}
    }
    match call.verb {
        "get" => found(inner.store().get(&call.key).cloned(), &call.key),
        "list" => list(inner, &call),
        "watch" => watch(inner, &call),
        "create" => create(inner, &call, &body),
        "update" | "patch" => write(inner, &call, headers, &body),
        "delete" => delete(inner, &call.key, &body),
        _ => {
            let keys = objects::keys(inner, &call.key, &call.query.selectors());
            for key in keys {
                Arc::clone(inner).delete(&key);
            }
            json_answer(
                StatusCode::OK,
                &json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
            )
        }
    }
}

/// The refusal that the test set for the next request, if any.
fn next_refusal(inner: &Inner) -> Option<Response> {
    let mut trouble = inner.trouble();
    if trouble.refusals.is_empty() {
        return None;
    }
    let code = StatusCode::from_u16(trouble.refusals.remove(0)).ok()?;
    let reason = match code.as_u16() {
        401 => "Unauthorized",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let mut refused = refuse(code, reason, "the server is not itself");
    // A client that respects it does not come back within a test.
    refused
        .headers_mut()
        .insert(header::RETRY_AFTER, header::HeaderValue::from_static("3600"));
    Some(refused)
}

/// The answer that the test's trouble gives in place of the real one.
fn refusal(inner: &Inner, call: &Call) -> Option<Response> {
    let trouble = inner.trouble();
    if trouble.numaflow_missing && call.key.group == NUMAFLOW {
        return Some((StatusCode::NOT_FOUND, "404 page not found\n").into_response());
    }
    let resource = call.resource();
    let denied = trouble
        .denied
        .iter()
        .any(|(verb, on)| *verb == call.verb && *on == resource);
    denied.then(|| {
        let Key { group, namespace, .. } = &call.key;
        let message = format!(
            "{resource} is forbidden: User \"tester\" cannot {} resource \"{resource}\" in API group \"{group}\" in the namespace \"{namespace}\"",
            call.verb
        );
        refuse(StatusCode::FORBIDDEN, "Forbidden", &message)
    })
}

fn access_review(inner: &Inner, body: &[u8]) -> Response {
    let mut review: Value = serde_json::from_slice(body).unwrap_or_default();
    let asked = &review["spec"]["resourceAttributes"];
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let resource = match text("subresource") {
        "" => text("resource").to_owned(),
        subresource => format!("{}/{subresource}", text("resource")),
    };
    let denied = inner
        .trouble()
        .denied
        .iter()
        .any(|(verb, on)| *verb == text("verb") && *on == resource);
    review["status"] = json!({"allowed": !denied});
    json_answer(StatusCode::CREATED, &review)
}

fn list(inner: &Inner, call: &Call) -> Response {
    let store = inner.store();
    let Key {
        group,
        resource,
        namespace,
        ..
    } = &call.key;
    let items = store.list(group, resource, namespace, &call.query.selectors());
    let (version, kind) = objects::kind(group, resource);
    let list = json!({
        "apiVersion": version, "kind": format!("{kind}List"),
        "metadata": {"resourceVersion": store.version().to_string()}, "items": items,
    });
    json_answer(StatusCode::OK, &list)
}

/// Changes since the requested version, or from now on; without a version, existing objects come first.
fn watch(inner: &Arc<Inner>, call: &Call) -> Response {
    lock(&inner.seen).push(format!("WATCH {}", call.resource()));
    let (selectors, key) = (call.query.selectors(), call.key.clone());
    let asked: Option<u64> = call.query.get("resourceVersion").parse().ok();
    let (events, stream) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(64);
    let mut newest = inner.store().newest();
    let shared = Arc::clone(inner);
    inner.spawn(async move {
        let mut version = asked.unwrap_or(0);
        loop {
            let changes = shared.store().changes_after(version);
            for change in changes {
                version = change.version;
                let same = change.key.group == key.group
                    && change.key.resource == key.resource
                    && change.key.namespace == key.namespace;
                if same && selectors.choose(&change.object) {
                    let line = format!("{}\n", json!({"type": change.kind, "object": change.object}));
                    if events.send(Ok(line.into())).await.is_err() {
                        return;
                    }
                }
            }
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return },
                () = events.closed() => return,
            }
        }
    });
    stream_answer(Body::from_stream(ReceiverStream::new(stream)), "application/json")
}

/// Deletes an object, unless the request expects another uid.
fn delete(inner: &Arc<Inner>, key: &Key, body: &[u8]) -> Response {
    let options: Value = serde_json::from_slice(body).unwrap_or_default();
    let object = inner.store().get(key).cloned();
    let expected = &options["preconditions"]["uid"];
    if let Some(object) = &object {
        if expected.is_string() && *expected != object["metadata"]["uid"] {
            let message = format!(
                "{} \"{}\": the UID in the precondition does not match",
                key.resource, key.name
            );
            return refuse(StatusCode::CONFLICT, "Conflict", &message);
        }
        Arc::clone(inner).delete(key);
    }
    found(object, key)
}

pub(super) fn found(object: Option<Value>, key: &Key) -> Response {
    match object {
        Some(object) => json_answer(StatusCode::OK, &object),
        None => {
            let message = format!("{} \"{}\" not found", key.resource, key.name);
            refuse(StatusCode::NOT_FOUND, "NotFound", &message)
        }
    }
}

/// An API server's refusal.
pub(super) fn refuse(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16()});
    json_answer(code, &status)
}

pub(super) fn json_answer(code: StatusCode, body: &Value) -> Response {
    (
        code,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

pub(super) fn stream_answer(body: Body, media: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media)], body).into_response()
}
