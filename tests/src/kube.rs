//! A mock of the Kubernetes API server with Numaflow's controller: objects in memory, and for each Pipeline the real
//! generator, UDF, sink and endpoint, driven by the embedded data plane. It tests the cluster engine without a
//! cluster. Each pod has its own address in 127.0.0.0/8, all of which is loopback on Linux.

mod call;
mod container;
mod controller;
mod deployment;
mod limits;
mod log;
mod metrics;
mod numa;
mod objects;
mod pipeline;
mod pods;
mod proxy;
mod selectors;
mod serve;
mod store;
mod trouble;
mod vertex;
mod write;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub use self::log::Log;
pub use self::store::{Key, NUMAFLOW};
pub use self::trouble::{Buffers, PodTrouble, Trouble};

use self::pods::Pods;
use self::store::Store;

/// The namespace of the kubeconfig.
pub const NAMESPACE: &str = "demo";

/// The API server of one test. Dropping it stops it and everything that it started.
pub struct Cluster {
    inner: Arc<Inner>,
    /// Of the API server.
    pub address: std::net::SocketAddr,
    server: AbortHandle,
}

pub(crate) struct Inner {
    store: Mutex<Store>,
    trouble: Mutex<Trouble>,
    pods: Pods,
    seen: Mutex<Vec<String>>,
    tasks: Mutex<Vec<AbortHandle>>,
    http: reqwest::Client,
}

impl Cluster {
    /// Starts it with a healthy isbsvc called `default`, unless `trouble` says otherwise.
    ///
    /// # Panics
    /// Panics if no socket can be opened.
    pub async fn start(trouble: Trouble) -> Self {
        // Fails if a provider is installed already, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = Arc::new(Inner {
            store: Mutex::new(Store::default()),
            trouble: Mutex::new(trouble),
            pods: Pods::default(),
            seen: Mutex::default(),
            tasks: Mutex::default(),
            http: reqwest::Client::builder()
                .no_proxy()
                .tls_danger_accept_invalid_certs(true)
                .build()
                .expect("an HTTP client"),
        });
        inner.furnish();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = serve::router(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a server");
        })
        .abort_handle();
        Self {
            inner,
            address,
            server,
        }
    }

    /// Writes a kubeconfig whose only context is this server and the namespace `demo`.
    ///
    /// # Panics
    /// Panics if the file cannot be written.
    pub fn write_kubeconfig(&self, file: &Path) {
        // JSON is valid YAML.
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "mock",
            "clusters": [{"name": "mock", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "tester", "user": {"token": "not-a-secret"}}],
            "contexts": [{"name": "mock", "context": {"cluster": "mock", "user": "tester", "namespace": NAMESPACE}}],
        });
        std::fs::write(file, config.to_string()).expect("a kubeconfig");
    }

    /// Changes what goes wrong from now on.
    pub fn trouble(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.inner.trouble());
    }

    /// Creates or replaces an object, as another client would.
    pub fn put(&self, group: &str, resource: &str, object: Value) -> Value {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let stored = self
            .inner
            .store()
            .put(&Key::new(group, resource, NAMESPACE, &name), object);
        Arc::clone(&self.inner).created(&Key::new(group, resource, NAMESPACE, &name));
        stored
    }

    /// Creates a finished or running pod that only has this log of its container `container`.
    pub fn put_pod(&self, pod: Value, container: &str, text: &str) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let log = self.inner.pods.log(&name, container);
        for line in text.lines() {
            log.push(line);
        }
        log.end();
        self.put("", "pods", pod);
    }

    /// Removes an object and what it owns, as another client would.
    pub fn delete(&self, group: &str, resource: &str, name: &str) {
        Arc::clone(&self.inner).delete(&Key::new(group, resource, NAMESPACE, name));
    }

    /// The current state of one object.
    pub fn get(&self, group: &str, resource: &str, name: &str) -> Option<Value> {
        self.inner
            .store()
            .get(&Key::new(group, resource, NAMESPACE, name))
            .cloned()
    }

    /// The current state of all objects of a resource.
    pub fn list(&self, group: &str, resource: &str) -> Vec<Value> {
        self.inner.store().all(group, resource)
    }

    /// Every object as it was created, including objects that are gone.
    pub fn created(&self) -> Vec<Value> {
        let changes = self.inner.store().changes_after(0);
        let created = changes.into_iter().filter(|change| change.kind == "ADDED");
        created.map(|change| change.object).collect()
    }

    /// `resource/name` of every object that was not there at the start.
    pub fn names(&self) -> Vec<String> {
        self.inner.store().names()
    }

    /// Every request so far, as `VERB resource/name STATUS`.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.inner.seen).clone()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.server.abort();
        for task in lock(&self.inner.tasks).drain(..) {
            task.abort();
        }
    }
}

impl Inner {
    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        lock(&self.trouble)
    }

    /// Runs a task in the background while the cluster lives.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).push(tokio::spawn(work).abort_handle());
    }

    /// Changes an object if it still exists.
    fn change(&self, key: &Key, change: impl FnOnce(&mut Value)) {
        self.store().change(key, change);
    }

    /// The objects at the start.
    fn furnish(&self) {
        let mut store = self.store();
        for namespace in [NAMESPACE, "default"] {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}, "status": {"phase": "Active"}});
            store.put(&Key::new("", "namespaces", "", namespace), object);
        }
        if let Some(isbsvc) = self.trouble().buffers.object() {
            store.put(
                &Key::new(NUMAFLOW, "interstepbufferservices", NAMESPACE, "default"),
                isbsvc,
            );
        }
        store.settle();
    }
}

/// An address that no other pod on this machine has, from the process id and a counter.
fn pod_address() -> std::net::Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(2);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % 1_000 + 2;
    let process = std::process::id() % (1 << 14);
    std::net::Ipv4Addr::from((127 << 24) | (process << 10) | number)
}

/// The current time, for objects and log lines.
#[expect(
    clippy::disallowed_methods,
    reason = "the API server stamps objects with wall time"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn now_text() -> String {
    now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
