//! The objects by resource and name, with what an API server adds to each: uid, version, creation time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::now_text;
use super::selectors::Selectors;

/// The API group of Numaflow.
pub const NUMAFLOW: &str = "numaflow.numaproj.io";

/// Identifies an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// API group; empty for the core.
    pub group: String,
    /// Plural name of the resource.
    pub resource: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A change, as a watch sends it.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub version: u64,
    pub kind: &'static str,
    pub key: Key,
    pub object: Value,
}

#[derive(Debug)]
pub(super) struct Store {
    objects: BTreeMap<Key, Value>,
    version: u64,
    changes: Vec<Change>,
    newest: watch::Sender<u64>,
    settled: Vec<Key>,
}

impl Key {
    pub fn new(group: &str, resource: &str, namespace: &str, name: &str) -> Self {
        let [group, resource, namespace, name] = [group, resource, namespace, name].map(str::to_owned);
        Self {
            group,
            resource,
            namespace,
            name,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            version: 1,
            changes: Vec::new(),
            newest: watch::Sender::new(1),
            settled: Vec::new(),
        }
    }
}

impl Store {
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// The objects of a resource that the selectors match; in all namespaces if none is given.
    pub fn list(&self, group: &str, resource: &str, namespace: &str, selectors: &Selectors) -> Vec<Value> {
        let of = |key: &Key| {
            key.group == group
                && key.resource == resource
                && (namespace.is_empty() || key.namespace == namespace)
        };
        self.objects
            .iter()
            .filter(|(key, object)| of(key) && selectors.choose(object))
            .map(|(_, object)| object.clone())
            .collect()
    }

    pub fn all(&self, group: &str, resource: &str) -> Vec<Value> {
        self.list(group, resource, "", &Selectors::default())
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Changes after a version.
    pub fn changes_after(&self, version: u64) -> Vec<Change> {
        self.changes
            .iter()
            .filter(|change| change.version > version)
            .cloned()
            .collect()
    }

    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Creates or replaces an object; keeps what the server added to an existing one.
    pub fn put(&mut self, key: &Key, mut object: Value) -> Value {
        let old = self.objects.get(key);
        let generation = match old {
            Some(old) if old["spec"] == object["spec"] => old["metadata"]["generation"].as_u64().unwrap_or(1),
            Some(old) => old["metadata"]["generation"].as_u64().unwrap_or(1) + 1,
            None => 1,
        };
        let uid = old.map_or_else(
            || json!(format!("00000000-0000-4000-8000-{:012x}", self.version)),
            |old| old["metadata"]["uid"].clone(),
        );
        let created = old.map_or_else(
            || json!(now_text()),
            |old| old["metadata"]["creationTimestamp"].clone(),
        );
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["uid"] = uid;
        metadata["creationTimestamp"] = created;
        metadata["generation"] = json!(generation);
        metadata["resourceVersion"] = json!(self.version.to_string());
        metadata["name"] = json!(key.name);
        if !key.namespace.is_empty() {
            metadata["namespace"] = json!(key.namespace);
        }
        self.objects.insert(key.clone(), object.clone());
        self.note(kind, key, object.clone());
        object
    }

    pub fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        if let Some(mut object) = self.objects.get(key).cloned() {
            change(&mut object);
            self.put(key, object);
        }
    }

    pub fn remove(&mut self, key: &Key) -> Option<Value> {
        let object = self.objects.remove(key)?;
        self.version += 1;
        self.note("DELETED", key, object.clone());
        Some(object)
    }

    /// Objects that name `uid` as an owner.
    pub fn owned_by(&self, uid: &str) -> Vec<Key> {
        let owned = |object: &Value| {
            object["metadata"]["ownerReferences"]
                .as_array()
                .is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
        };
        self.objects
            .iter()
            .filter(|(_, object)| owned(object))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Marks the current objects as part of the initial state.
    pub fn settle(&mut self) {
        self.settled = self.objects.keys().cloned().collect();
    }

    /// Objects created since then, without events.
    pub fn names(&self) -> Vec<String> {
        let new = |key: &&Key| !self.settled.contains(key) && key.resource != "events";
        self.objects
            .keys()
            .filter(new)
            .map(|key| format!("{}/{}", key.resource, key.name))
            .collect()
    }

    fn note(&mut self, kind: &'static str, key: &Key, object: Value) {
        let version = self.version;
        self.changes.push(Change {
            version,
            kind,
            key: key.clone(),
            object,
        });
        self.newest.send_replace(version);
    }
}

/// JSON merge patch (RFC 7386): merges objects, `null` removes, any other value replaces.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in patch {
        match value {
            Value::Null => {
                if let Some(target) = target.as_object_mut() {
                    target.remove(name);
                }
            }
            value => merge(&mut target[name], value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_merges_objects_and_replaces_the_rest() {
        let mut object = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
        merge(
            &mut object,
            &json!({"a": {"c": [3]}, "d": null, "e": {"f": null}}),
        );
        assert_eq!(object, json!({"a": {"b": 1, "c": [3]}, "e": {}}));
    }

    #[test]
    fn an_object_keeps_its_identity_and_counts_its_specs() {
        let mut store = Store::default();
        let key = Key::new("", "pods", "demo", "a");
        let first = store.put(&key, json!({"spec": {"x": 1}}));
        let second = store.put(&key, json!({"spec": {"x": 2}}));
        assert_eq!(first["metadata"]["uid"], second["metadata"]["uid"]);
        assert_eq!(second["metadata"]["generation"], 2);
        let owned = json!({"metadata": {"ownerReferences": [{"uid": first["metadata"]["uid"]}]}});
        store.put(&Key::new("", "services", "demo", "b"), owned);
        assert_eq!(
            store
                .owned_by(first["metadata"]["uid"].as_str().unwrap_or_default())
                .len(),
            1
        );
        assert_eq!(store.names(), ["pods/a", "services/b"]);
        assert_eq!(store.changes_after(0).len(), 3);
    }
}
