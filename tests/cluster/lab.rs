//! The cluster under test as `kubectl` and `helm` show it: commands, namespaces, and waiting with a bound.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A step of a test: done, or what went wrong in a sentence.
pub type Step<T = ()> = Result<T, String>;

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long the API server may take to answer.
const REQUEST_TIMEOUT: &str = "--request-timeout=30s";
/// How long an isbsvc may take to become healthy.
const ISBSVC_PATIENCE: Duration = Duration::from_secs(180);
/// How long a namespace may take to go.
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(180);

/// Everything that could be left over in a namespace; events and what Kubernetes itself puts there are not.
const KINDS: &str = "pods,persistentvolumeclaims,jobs,deployments,replicasets,statefulsets,services,configmaps,secrets,\
serviceaccounts,roles,rolebindings,networkpolicies,leases,pipelines.numaflow.numaproj.io,\
vertices.numaflow.numaproj.io,interstepbufferservices.numaflow.numaproj.io";

/// What Kubernetes puts into every namespace, some time after it is made.
const KUBERNETES_OWN: [&str; 2] = ["configmap/kube-root-ca.crt", "serviceaccount/default"];

/// The cluster, and the namespace that the tests share: it has an isbsvc called `default`.
pub struct Lab {
    /// Its name.
    pub namespace: String,
    helm: PathBuf,
    image: String,
    tag: String,
}

impl Lab {
    /// Looks whether everything is there, and makes the namespace.
    pub fn open() -> Step<Self> {
        let found = |program: &str| {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&paths)
                .map(|folder| folder.join(program))
                .find(|path| path.is_file())
        };
        found("kubectl")
            .ok_or("kubectl is not on PATH: install it from https://kubernetes.io/docs/tasks/tools")?;
        let helm = std::env::var_os("HELM")
            .map(PathBuf::from)
            .or_else(|| found("helm"));
        let helm = helm.ok_or("helm is not on PATH: install it from https://helm.sh, or name it by HELM")?;
        if std::env::var_os("KUBECONFIG").is_none() {
            return Err("KUBECONFIG is not set: it must name the kubeconfig of a cluster with Numaflow 1.8, in which namespaces are created and removed".to_owned());
        }
        let quick = |args: &[&str]| {
            run(
                Command::new("kubectl").args(args).arg("--request-timeout=5s"),
                None,
            )
        };
        quick(&["get", "--raw", "/version"]).map_err(|said| {
            format!(
                "the cluster of KUBECONFIG does not answer: {}",
                one_line(said.rsplit("exit status: 1: ").next().unwrap_or(&said))
            )
        })?;
        quick(&["get", "--raw", "/apis/numaflow.numaproj.io/v1alpha1"]).map_err(|_| {
            "Numaflow is not installed in the cluster of KUBECONFIG: see https://numaflow.numaproj.io"
                .to_owned()
        })?;
        let variable = |name: &str, default: &str| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.is_empty())
                .unwrap_or_else(|| default.to_owned())
        };
        let lab = Self {
            namespace: format!("ar-test-{:06x}", std::process::id()),
            helm,
            image: variable("IMAGE", "async-reduce"),
            tag: variable("TAG", env!("CARGO_PKG_VERSION")),
        };
        lab.make_namespace(&lab.namespace)?;
        lab.kubectl(&["apply", "-f", &path("manifests/shared/isbsvc.yaml")])?;
        lab.await_isbsvc(&lab.namespace)?;
        Ok(lab)
    }

    /// Removes the namespace, Pipelines first: Numaflow needs the isbsvc for removing their streams.
    pub fn close(&self) -> Step {
        self.remove_namespace(&self.namespace)
    }

    /// A namespace that admits only what the pod security standard `restricted` does.
    pub fn make_namespace(&self, name: &str) -> Step {
        let object = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: \
             {{pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted}}}}}}"
        );
        self.apply(&["apply", "-f", "-"], &object).map(drop)
    }

    pub fn remove_namespace(&self, name: &str) -> Step {
        self.kubectl_in(
            name,
            &[
                "delete",
                "pipelines.numaflow.numaproj.io",
                "--all",
                "--wait",
                "--timeout=60s",
            ],
        )?;
        self.kubectl_in(
            name,
            &[
                "delete",
                "interstepbufferservices.numaflow.numaproj.io",
                "--all",
                "--wait",
                "--timeout=60s",
            ],
        )?;
        let timeout = format!("--timeout={}s", NAMESPACE_PATIENCE.as_secs());
        let deleted = run(
            Command::new("kubectl").args(["delete", "namespace", name, "--wait", &timeout]),
            None,
        );
        deleted.map(drop).map_err(|said| {
            format!(
                "namespace {name} is still there, remove it yourself: {}",
                one_line(&said)
            )
        })
    }

    pub fn await_isbsvc(&self, namespace: &str) -> Step {
        wait("the isbsvc is healthy", ISBSVC_PATIENCE, || {
            let all = self.list_in(namespace, "interstepbufferservices.numaflow.numaproj.io")?;
            let healthy = |one: &Value| {
                let conditions = one["status"]["conditions"].as_array();
                one["status"]["phase"] == "Running"
                    && conditions.is_some_and(|all| all.iter().all(|condition| condition["status"] == "True"))
            };
            Ok((!all.is_empty() && all.iter().all(healthy)).then_some(()))
        })
    }

    /// kubectl in the shared namespace.
    pub fn kubectl(&self, args: &[&str]) -> Step<String> {
        self.kubectl_in(&self.namespace, args)
    }

    pub fn kubectl_in(&self, namespace: &str, args: &[&str]) -> Step<String> {
        let mut command = Command::new("kubectl");
        command.args(["-n", namespace]);
        // Streams and waits have bounds of their own; what follows `exec` is another program's.
        if !args.iter().any(|arg| arg.starts_with("--timeout")) {
            command.arg(REQUEST_TIMEOUT);
        }
        command.args(args);
        run(&mut command, None)
    }

    /// kubectl with YAML on its standard input.
    pub fn apply(&self, args: &[&str], yaml: &str) -> Step<String> {
        run(
            Command::new("kubectl").args(args).arg(REQUEST_TIMEOUT),
            Some(yaml),
        )
    }

    /// helm in a namespace.
    pub fn helm(&self, namespace: &str, args: &[&str]) -> Step<String> {
        run(Command::new(&self.helm).args(["-n", namespace]).args(args), None)
    }

    /// The values that choose the image under test.
    pub fn image_values(&self) -> [String; 2] {
        [
            format!("image.repository={}", self.image),
            format!("image.tag={}", self.tag),
        ]
    }

    pub fn image(&self) -> String {
        format!("{}:{}", self.image, self.tag)
    }

    /// The objects of a kind, or of several with a comma between.
    pub fn list_in(&self, namespace: &str, kind: &str) -> Step<Vec<Value>> {
        let text = self.kubectl_in(namespace, &["get", kind, "-o", "json"])?;
        let list: Value =
            serde_json::from_str(&text).map_err(|error| format!("kubectl get {kind}: {error}"))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// `kind/name` of everything in a namespace.
    pub fn inventory(&self, namespace: &str) -> Step<BTreeSet<String>> {
        let text = self.kubectl_in(namespace, &["get", KINDS, "-o", "name", "--ignore-not-found"])?;
        let own = text.lines().filter(|name| !KUBERNETES_OWN.contains(name));
        Ok(own.map(str::to_owned).collect())
    }

    /// Waits until a namespace holds nothing but what it did before; what else there is is told.
    pub fn await_gone(&self, namespace: &str, before: &BTreeSet<String>, within: Duration) -> Step {
        let mut remains = String::new();
        let gone = wait("nothing is left", within, || {
            let now = self.inventory(namespace)?;
            let new: Vec<&String> = now.difference(before).collect();
            remains = format!("{new:?}");
            Ok(new.is_empty().then_some(()))
        });
        gone.map_err(|said| format!("{said}; left: {remains}"))
    }

    /// Streams and buckets that JetStream holds, by its own monitoring port.
    pub fn streams(&self, namespace: &str) -> Step<u64> {
        let jsz: Value = self.told_by_pod(namespace, "isbsvc-default-js-0:8222", "jsz")?;
        jsz["streams"]
            .as_u64()
            .ok_or_else(|| format!("jsz tells no streams: {jsz}"))
    }

    /// What a pod tells as JSON at a path of a port (`name:port`), through the API server.
    pub fn told_by_pod<T: DeserializeOwned>(&self, namespace: &str, pod: &str, path: &str) -> Step<T> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/proxy/{path}");
        let text = run(
            Command::new("kubectl").args(["get", "--raw", &path, REQUEST_TIMEOUT]),
            None,
        )?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }

    /// What went wrong, with what the cluster shows at that moment.
    pub fn explain(&self, what: &str) -> String {
        let shown = |args: &[&str]| self.kubectl(args).unwrap_or_else(|said| said);
        format!(
            "{what}\n{}\n{}",
            shown(&["get", "pods,jobs,pipelines.numaflow.numaproj.io", "-o", "wide"]),
            shown(&[
                "get",
                "events",
                "--field-selector",
                "type=Warning",
                "--sort-by=.lastTimestamp"
            ]),
        )
    }
}

/// Looks until there is something, for so long; what was wrong at the last look is told.
pub fn wait<T>(what: &str, within: Duration, mut look: impl FnMut() -> Step<Option<T>>) -> Step<T> {
    let deadline = Instant::now() + within;
    loop {
        let last = match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => String::new(),
            Err(said) => format!(": {}", one_line(&said)),
        };
        if Instant::now() > deadline {
            return Err(format!("not so within {} s: {what}{last}", within.as_secs()));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// The label selector of the pods of a Pipeline's vertex.
pub fn vertex_pods(pipeline: &str, vertex: &str) -> String {
    format!("numaflow.numaproj.io/pipeline-name={pipeline},numaflow.numaproj.io/vertex-name={vertex}")
}

/// A path of the repository.
pub fn path(name: &str) -> String {
    format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command to its end; its standard output, or what it said.
pub fn run(command: &mut Command, input: Option<&str>) -> Step<String> {
    let shown = format!("{command:?}");
    command.stdin(if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{shown}: {error}"))?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin
            .write_all(text.as_bytes())
            .map_err(|error| format!("{shown}: {error}"))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| format!("{shown}: {error}"))?;
    let (out, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // Dry runs and installs of what a namespace would refuse only warn.
    if said.contains("would violate PodSecurity") {
        return Err(format!("{shown}: {said}"));
    }
    match output.status.success() {
        true => Ok(out.into_owned()),
        false => Err(format!("{shown}: {}: {said}{out}", output.status)),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
