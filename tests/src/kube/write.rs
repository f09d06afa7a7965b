//! Creates, replaces, patches and applies objects.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::serve::{found, json_answer, refuse};
use super::store::{Key, merge};
use super::{Inner, objects};

pub(super) fn create(inner: &Arc<Inner>, call: &Call, body: &[u8]) -> Response {
    let Ok(object) = serde_json::from_slice::<Value>(body) else {
        return refuse(StatusCode::BAD_REQUEST, "BadRequest", "the body is not JSON");
    };
    let mut key = call.key.clone();
    let metadata = &object["metadata"];
    key.name = match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(start)) => format!("{start}{:05}", inner.store().version()),
        (None, None) => {
            return refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                "name or generateName is required",
            );
        }
    };
    if inner.store().get(&key).is_some() {
        let message = format!("{} \"{}\" already exists", key.resource, key.name);
        return refuse(StatusCode::CONFLICT, "AlreadyExists", &message);
    }
    store(inner, call, &key, object, StatusCode::CREATED)
}

pub(super) fn write(inner: &Arc<Inner>, call: &Call, headers: &HeaderMap, body: &[u8]) -> Response {
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let Ok(patch) = serde_json::from_slice::<Value>(body) else {
        return refuse(StatusCode::BAD_REQUEST, "BadRequest", "the body is not JSON");
    };
    let old = inner.store().get(&call.key).cloned();
    let applied = media.starts_with("application/apply-patch");
    if applied && call.query.get("fieldManager").is_empty() {
        return refuse(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            "fieldManager is required for apply patch",
        );
    }
    let is_new = old.is_none();
    let object = match (call.verb, old) {
        (_, None) if !applied => return found(None, &call.key),
        ("update", Some(old)) => {
            let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
            if !version(&patch).is_null() && version(&patch) != version(&old) {
                let message = format!(
                    "{} \"{}\": the object has been modified",
                    call.key.resource, call.key.name
                );
                return refuse(StatusCode::CONFLICT, "Conflict", &message);
            }
            patch
        }
        (_, old) => {
            let mut object = old.unwrap_or_else(|| json!({}));
            merge(&mut object, &patch);
            object
        }
    };
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    store(inner, call, &call.key, object, status)
}

fn store(inner: &Arc<Inner>, call: &Call, key: &Key, object: Value, status: StatusCode) -> Response {
    if let Some(refused) = objects::refused(key, &object) {
        return refused;
    }
    if call.query.get("dryRun") == "All" {
        return json_answer(status, &object);
    }
    let object = inner.store().put(key, object);
    if status == StatusCode::CREATED {
        Arc::clone(inner).created(key);
    }
    json_answer(status, &object)
}
