//! The cluster under test through `kubectl` and `helm`: commands, namespaces, and bounded waiting.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The result of a step; the error is a sentence.
pub type Step<T = ()> = Result<T, String>;

/// Pause between two checks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long the API server may take to answer.
const REQUEST_TIMEOUT: &str = "--request-timeout=30s";
/// How long an isbsvc may take to become healthy.
const ISBSVC_PATIENCE: Duration = Duration::from_secs(180);
/// How long a namespace may take to go.
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(180);

/// Every kind that could be left over in a namespace, except events and what Kubernetes itself creates there.
const KINDS: &str = "pods,persistentvolumeclaims,jobs,deployments,replicasets,statefulsets,services,configmaps,secrets,\
serviceaccounts,roles,rolebindings,networkpolicies,leases,pipelines.numaflow.numaproj.io,\
vertices.numaflow.numaproj.io,interstepbufferservices.numaflow.numaproj.io";

/// What Kubernetes creates in every namespace, some time after its creation.
const KUBERNETES_OWN: [&str; 2] = ["configmap/kube-root-ca.crt", "serviceaccount/default"];

/// The cluster, and the namespace that the tests share, which has an isbsvc called `default`.
pub struct Lab {
    pub namespace: String,
    helm: PathBuf,
    image: String,
    tag: String,
}

impl Lab {
    /// Checks that everything is there, and creates the namespace.
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
        quick(&["get", "--raw", "/version"]).map_err(|message| {
            format!(
                "the cluster of KUBECONFIG does not answer: {}",
                one_line(message.rsplit("exit status: 1: ").next().unwrap_or(&message))
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

    /// Removes the namespace, Pipelines first: Numaflow needs the isbsvc to remove their streams.
    pub fn close(&self) -> Step {
        self.remove_namespace(&self.namespace)
    }

    /// Creates a namespace that enforces the pod security standard `restricted`.
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
        deleted.map(drop).map_err(|message| {
            format!(
                "namespace {name} is still there, remove it yourself: {}",
                one_line(&message)
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

    /// Runs kubectl in the shared namespace.
    pub fn kubectl(&self, args: &[&str]) -> Step<String> {
        self.kubectl_in(&self.namespace, args)
    }

    pub fn kubectl_in(&self, namespace: &str, args: &[&str]) -> Step<String> {
        let mut command = Command::new("kubectl");
        command.args(["-n", namespace]);
        // Streams and waits have their own bounds; the arguments after `exec` belong to another program.
        if !args.iter().any(|arg| arg.starts_with("--timeout")) {
            command.arg(REQUEST_TIMEOUT);
        }
        command.args(args);
        run(&mut command, None)
    }

    /// Runs kubectl with YAML on its standard input.
    pub fn apply(&self, args: &[&str], yaml: &str) -> Step<String> {
        run(
            Command::new("kubectl").args(args).arg(REQUEST_TIMEOUT),
            Some(yaml),
        )
    }

    /// Runs helm in a namespace.
    pub fn helm(&self, namespace: &str, args: &[&str]) -> Step<String> {
        run(Command::new(&self.helm).args(["-n", namespace]).args(args), None)
    }

    /// What helm would install with a file of values, hooks left out.
    pub fn rendered(&self, name: &str, values: &std::path::Path) -> Step<String> {
        let (images, chart, values) = (self.image_values(), path("helm"), values.display().to_string());
        let mut args = vec!["template", name, &chart, "--no-hooks", "-f", &values];
        args.extend(images.iter().flat_map(|value| ["--set", value.as_str()]));
        self.helm(&self.namespace, &args)
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

    /// The objects of a kind, or of several kinds separated by commas.
    pub fn list_in(&self, namespace: &str, kind: &str) -> Step<Vec<Value>> {
        let text = self.kubectl_in(namespace, &["get", kind, "-o", "json"])?;
        let list: Value =
            serde_json::from_str(&text).map_err(|error| format!("kubectl get {kind}: {error}"))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// `kind/name` of every object in a namespace.
    pub fn inventory(&self, namespace: &str) -> Step<BTreeSet<String>> {
        let text = self.kubectl_in(namespace, &["get", KINDS, "-o", "name", "--ignore-not-found"])?;
        let own = text.lines().filter(|name| !KUBERNETES_OWN.contains(name));
        Ok(own.map(str::to_owned).collect())
    }

    /// Waits until a namespace contains only what it did before; the error lists what is left.
    pub fn await_gone(&self, namespace: &str, before: &BTreeSet<String>, within: Duration) -> Step {
        let mut remains = String::new();
        let gone = wait("nothing is left", within, || {
            let now = self.inventory(namespace)?;
            let new: Vec<&String> = now.difference(before).collect();
            remains = format!("{new:?}");
            Ok(new.is_empty().then_some(()))
        });
        gone.map_err(|message| format!("{message}; left: {remains}"))
    }

    /// Number of streams and buckets in JetStream, from its monitoring port.
    pub fn streams(&self, namespace: &str) -> Step<u64> {
        let jsz: Value = self.pod_json(namespace, "isbsvc-default-js-0:8222", "jsz")?;
        jsz["streams"]
            .as_u64()
            .ok_or_else(|| format!("jsz has no streams: {jsz}"))
    }

    /// The JSON at a path of a pod's port (`name:port`), through the API server.
    pub fn pod_json<T: DeserializeOwned>(&self, namespace: &str, pod: &str, path: &str) -> Step<T> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/proxy/{path}");
        let text = run(
            Command::new("kubectl").args(["get", "--raw", &path, REQUEST_TIMEOUT]),
            None,
        )?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }

    /// The error, with the state of the cluster at that moment.
    pub fn explain(&self, what: &str) -> String {
        let shown = |args: &[&str]| self.kubectl(args).unwrap_or_else(|message| message);
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

/// Polls until `look` returns a value, for at most `within`; the error contains that of the last look.
pub fn wait<T>(what: &str, within: Duration, mut look: impl FnMut() -> Step<Option<T>>) -> Step<T> {
    let deadline = Instant::now() + within;
    loop {
        let last = match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => String::new(),
            Err(message) => format!(": {}", one_line(&message)),
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

/// A path in the repository.
pub fn path(name: &str) -> String {
    format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command to its end; returns its standard output, or its error as a sentence.
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
    let (out, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // If a namespace would refuse the pods, dry runs and installs only print a warning.
    if stderr.contains("would violate PodSecurity") {
        return Err(format!("{shown}: {stderr}"));
    }
    match output.status.success() {
        true => Ok(out.into_owned()),
        false => Err(format!("{shown}: {}: {stderr}{out}", output.status)),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
