//! Reactions to created and deleted objects: runs Pipelines and Deployments, deletes what a deleted object owned, and
//! reports pods in trouble as the kubelet and the scheduler do.

use std::sync::Arc;

use serde_json::{Value, json};

use super::pods::container_status;
use super::store::Key;
use super::trouble::PodTrouble;
use super::{Inner, deployment, now_text, pipeline};

impl Inner {
    /// Starts the controller that is responsible for a new object.
    pub(super) fn created(self: Arc<Self>, key: &Key) {
        let (shared, key) = (Arc::clone(&self), key.clone());
        match key.resource.as_str() {
            "pipelines" => self.spawn(pipeline::play(shared, key)),
            "deployments" => self.spawn(deployment::play(shared, key)),
            _ => {}
        }
    }

    /// Deletes an object and what it owns. A Pipeline has a finalizer: it goes once its pods are gone.
    pub(super) fn delete(self: Arc<Self>, key: &Key) {
        if key.resource == "pipelines" {
            self.change(key, |pipeline| {
                pipeline["metadata"]["deletionTimestamp"] = json!(now_text());
                pipeline["status"]["phase"] = json!("Deleting");
            });
            return;
        }
        self.purge(key);
    }

    /// Removes an object at once, and what it owns.
    pub(super) fn purge(self: &Arc<Self>, key: &Key) {
        let Some(object) = self.store().remove(key) else {
            return;
        };
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let owned = self.store().owned_by(uid);
        for key in owned {
            Arc::clone(self).delete(&key);
        }
    }

    /// Puts a pod into trouble: its status, the log of its container, and the event that explains it.
    pub(super) fn fail_pod(&self, key: &Key, container: &Value, trouble: &PodTrouble, statuses: &str) {
        let name = container["name"].as_str().unwrap_or_default();
        let image = container["image"].as_str().unwrap_or_default();
        let (state, last, restarts) = trouble.waiting(image);
        if let PodTrouble::CrashLoop { log: lines, .. } = trouble {
            let log = self.pods.log(&key.name, name);
            for line in lines {
                log.push(line);
            }
            log.end();
            // The previous run's log is the current one until the next run starts.
            let _ = self.pods.restarted(&key.name, name);
            for line in lines {
                self.pods.log(&key.name, name).push(line);
            }
            self.pods.log(&key.name, name).end();
            self.pods.set_waiting(&key.name, false);
        }
        self.change(key, |pod| {
            let status = container_status(name, &container["image"], false, restarts, &state, &last);
            pod["status"] = json!({"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]});
            pod["status"][statuses] = json!([status]);
            if *trouble == PodTrouble::Unschedulable {
                let (_, message) = trouble.event(image);
                pod["status"] = json!({"phase": "Pending", "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]});
            }
        });
        let (reason, message) = trouble.event(image);
        self.warn(key, "Pod", reason, &message);
    }

    /// Records that a process ended by itself.
    pub(super) fn crash_pod(&self, key: &Key, container: &Value, exit_code: i32, statuses: &str) {
        let name = container["name"].as_str().unwrap_or_default();
        self.pods.set_waiting(&key.name, false);
        self.change(key, |pod| {
            let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}});
            let last = json!({"terminated": {"exitCode": exit_code, "reason": "Error"}});
            let status = container_status(name, &container["image"], false, 1, &waiting, &last);
            pod["status"]["phase"] = json!("Running");
            pod["status"][statuses] = json!([status]);
        });
        self.warn(key, "Pod", "BackOff", "Back-off restarting failed container");
    }

    /// Creates a warning event about an object.
    pub(super) fn warn(&self, about: &Key, kind: &str, reason: &str, message: &str) {
        let mut store = self.store();
        let name = format!("{}.{:x}", about.name, store.version());
        let uid = store
            .get(about)
            .map_or(Value::Null, |object| object["metadata"]["uid"].clone());
        let now = now_text();
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
            "involvedObject": {"kind": kind, "name": about.name, "namespace": about.namespace, "uid": uid},
            "type": "Warning", "reason": reason, "message": message, "count": 3,
            "firstTimestamp": now, "lastTimestamp": now, "source": {"component": "kubelet"},
        });
        store.put(&Key::new("", "events", &about.namespace, &name), event);
    }
}
