//! The API server accepts what the chart renders, in a namespace that enforces `restricted`.

use crate::lab::{Lab, Step, path};

/// Kind, name and YAML of objects that the files under helm/ci expect; created for the test if missing.
const STUBS: [(&str, &str, &str); 4] = [
    ("crd", "podmonitors.monitoring.coreos.com", POD_MONITORS),
    (
        "priorityclass",
        "high",
        "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000}",
    ),
    (
        "runtimeclass",
        "runc",
        "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: runc}, handler: runc}",
    ),
    // A dry run creates no account, and a pod needs one that is there.
    (
        "serviceaccount",
        "readers",
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: readers}}",
    ),
];

/// A stand-in for the Prometheus operator's.
const POD_MONITORS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: podmonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PodMonitor, plural: podmonitors, singular: podmonitor}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

pub fn dry_run(lab: &Lab) -> Step {
    let mut made = Vec::new();
    for (kind, name, text) in STUBS {
        if lab
            .kubectl(&["get", kind, name, "-o", "name", "--ignore-not-found"])?
            .is_empty()
        {
            lab.apply(&["-n", &lab.namespace, "apply", "-f", "-"], text)?;
            made.push((kind, name));
        }
    }
    let tested = established(lab)
        .and_then(|()| chart(lab))
        .and_then(|()| manifests(lab));
    for (kind, name) in made {
        lab.kubectl(&["delete", kind, name])?;
    }
    tested
}

fn established(lab: &Lab) -> Step {
    let (kind, name, _) = STUBS[0];
    let wait = ["wait", "--for=condition=Established", "--timeout=30s", kind, name];
    lab.kubectl(&wait).map(drop)
}

fn chart(lab: &Lab) -> Step {
    let files = std::fs::read_dir(path("helm/ci")).map_err(|error| format!("helm/ci: {error}"))?;
    let mut count = 0;
    for file in files {
        let file = file.map_err(|error| format!("helm/ci: {error}"))?.path();
        let rendered = lab.helm(
            &lab.namespace,
            &[
                "template",
                "dry-run",
                &path("helm"),
                // A helm built from source assumes an old version of Kubernetes.
                "--kube-version",
                "1.33",
                "-f",
                &file.display().to_string(),
                // The namespace that a file names may be missing.
                "--set",
                &format!("dashboard.namespace={}", lab.namespace),
            ],
        )?;
        let dry_run = ["-n", &lab.namespace, "apply", "--dry-run=server", "-f", "-"];
        lab.apply(&dry_run, &rendered)
            .map_err(|message| format!("{}: {message}", file.display()))?;
        count += 1;
    }
    match count {
        0..4 => Err(format!("only {count} files under helm/ci")),
        _ => Ok(()),
    }
}

fn manifests(lab: &Lab) -> Step {
    lab.kubectl(&["apply", "--dry-run=server", "-R", "-f", &path("manifests")])
        .map(drop)
}

pub fn wrong_value(lab: &Lab) -> Step {
    let wrong = [
        ("udf.strategy=parallel", "strategy"),
        ("udf.ioDelay=fast", "ioDelay"),
        ("generator.speed=1", "speed"),
    ];
    for (value, named) in wrong {
        let install = [
            "install",
            "async-reduce-wrong",
            &path("helm"),
            "--dry-run=server",
            "--set",
            value,
        ];
        match lab.helm(&lab.namespace, &install) {
            Ok(_) => return Err(format!("{value} was taken")),
            Err(message) if message.contains(named) => {}
            Err(message) => return Err(format!("{value} was refused without naming {named}: {message}")),
        }
    }
    Ok(())
}
