//! What OpenShift's security context constraint `restricted-v2` does: it refuses pods that name a user or a group outside
//! the namespace's range, and gives those that name none a user and a group for volumes.

use serde_json::{Value, json};

use super::Object;

/// A user and group of a namespace's range.
const ASSIGNED: u64 = 1_000_700_000;

/// The objects with the users that they get, and a line for each user or group that they name themselves.
pub fn admitted_by_openshift(objects: &[Object]) -> (Vec<Object>, Vec<String>) {
    let mut refused = Vec::new();
    let admit = |object: &Object| {
        let mut object = object.clone();
        let at = format!("{}: {}", object.file, object.id());
        assign(&at, &mut object.json, &mut refused);
        object
    };
    let admitted = objects.iter().map(admit).collect();
    (admitted, refused)
}

fn assign(at: &str, value: &mut Value, refused: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if let (true, Some(context)) = (key == "securityContext", value.as_object_mut()) {
                    for id in ["runAsUser", "runAsGroup", "fsGroup"] {
                        if let Some(named) = context.get(id) {
                            refused.push(format!("{at}: {id} is {named}, and OpenShift assigns it"));
                        }
                    }
                    context.insert("runAsUser".to_owned(), json!(ASSIGNED));
                    context.insert("fsGroup".to_owned(), json!(ASSIGNED));
                } else {
                    assign(at, value, refused);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| assign(at, item, refused)),
        _ => {}
    }
}
