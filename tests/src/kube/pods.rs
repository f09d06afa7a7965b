//! Addresses and logs of the pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::log::Log;
use super::selectors::Selectors;
use super::store::Key;
use super::{Inner, lock};

/// By name of the pod; names are unique within a test.
#[derive(Debug, Default)]
pub(super) struct Pods {
    logs: Mutex<BTreeMap<(String, String), Arc<Log>>>,
    previous: Mutex<BTreeMap<(String, String), Arc<Log>>>,
    waiting: Mutex<BTreeSet<String>>,
    addresses: Mutex<BTreeMap<String, Ipv4Addr>>,
}

impl Pods {
    pub fn log(&self, pod: &str, container: &str) -> Arc<Log> {
        let key = (pod.to_owned(), container.to_owned());
        Arc::clone(lock(&self.logs).entry(key).or_default())
    }

    pub fn previous(&self, pod: &str, container: &str) -> Arc<Log> {
        let key = (pod.to_owned(), container.to_owned());
        Arc::clone(lock(&self.previous).entry(key).or_default())
    }

    /// Starts a new log for a container; the current one becomes its previous log.
    pub fn restarted(&self, pod: &str, container: &str) -> Arc<Log> {
        let old = self.log(pod, container);
        old.end();
        let key = (pod.to_owned(), container.to_owned());
        lock(&self.previous).insert(key.clone(), old);
        lock(&self.logs).remove(&key);
        self.log(pod, container)
    }

    pub fn has_started(&self, pod: &str, _container: &str) -> bool {
        !lock(&self.waiting).contains(pod)
    }

    pub fn set_waiting(&self, pod: &str, waits: bool) {
        let mut waiting = lock(&self.waiting);
        if waits {
            waiting.insert(pod.to_owned());
        } else {
            waiting.remove(pod);
        }
    }

    pub fn address(&self, pod: &str) -> Option<Ipv4Addr> {
        lock(&self.addresses).get(pod).copied()
    }

    pub fn set_address(&self, pod: &str, address: Ipv4Addr) {
        lock(&self.addresses).insert(pod.to_owned(), address);
    }

    /// Marks a pod as ended: it has no address any more, and its logs are complete.
    pub fn remove(&self, pod: &str) {
        lock(&self.addresses).remove(pod);
        for logs in [&self.logs, &self.previous] {
            let of_pod = |(name, _): &(String, String)| name == pod;
            for (_, log) in lock(logs).iter().filter(|(key, _)| of_pod(key)) {
                log.end();
            }
        }
    }
}

impl Inner {
    /// `address:port` of the first pod behind a Service, if one has an address.
    pub(super) fn service_address(
        &self,
        namespace: &str,
        service: &str,
        port: Option<u16>,
    ) -> Option<String> {
        let store = self.store();
        let service = store.get(&Key::new("", "services", namespace, service))?;
        let selector = service["spec"]["selector"].as_object()?;
        let labels: Vec<String> = selector
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
            .collect();
        let selectors = Selectors {
            labels: labels.join(","),
            fields: String::new(),
        };
        let ports = service["spec"]["ports"].as_array()?;
        let chosen = ports
            .iter()
            .find(|one| port.is_none_or(|port| one["port"] == port))?;
        let pods = store.list("", "pods", namespace, &selectors);
        let with_address = |pod: &Value| {
            let address = self.pods.address(pod["metadata"]["name"].as_str()?)?;
            Some(format!("{address}:{}", target_port(chosen, pod)?))
        };
        pods.iter().find_map(with_address)
    }
}

/// The target of a Service's port in a pod: a number, a port's name, or the same number.
fn target_port(port: &Value, pod: &Value) -> Option<u64> {
    match &port["targetPort"] {
        Value::Number(number) => number.as_u64(),
        Value::String(name) => pod["spec"]["containers"]
            .as_array()?
            .iter()
            .flat_map(|container| container["ports"].as_array().into_iter().flatten())
            .find(|one| one["name"] == name.as_str())?["containerPort"]
            .as_u64(),
        _ => port["port"].as_u64(),
    }
}

/// The status of a pod in which nothing has started yet.
pub(super) fn pending() -> Value {
    json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]})
}

/// The status of one container.
pub(super) fn container_status(
    name: &str,
    image: &Value,
    ready: bool,
    restarts: u32,
    state: &Value,
    last: &Value,
) -> Value {
    json!({"name": name, "image": image, "imageID": "", "ready": ready, "started": ready,
        "restartCount": restarts, "state": state, "lastState": last})
}

/// The state of a container that runs.
pub(super) fn running() -> Value {
    json!({"running": {"startedAt": super::now_text()}})
}
