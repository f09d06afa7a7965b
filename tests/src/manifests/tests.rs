//! The checker itself: it must find every fault that it knows.

use serde_json::json;

use super::*;

/// A fault made in the base: the object, the path, the value, and part of the expected message.
#[test]
fn each_fault_is_found() {
    let pipeline = 2;
    let endpoint = 1;
    let name = "x".repeat(45);
    for (object, path, value, message) in [
        (
            pipeline,
            "/metadata/name",
            json!(name),
            "-generator-headless` has 64 characters",
        ),
        (pipeline, "/metadata/name", json!("Upper"), "is no name"),
        (
            pipeline,
            "/metadata/labels/app.kubernetes.io~1instance",
            json!("a b"),
            "no label may have",
        ),
        (
            pipeline,
            "/spec/watermark/idleSource/stepInterval",
            json!("0s"),
            "stepInterval is \"0s\"",
        ),
        (
            pipeline,
            "/spec/watermark/idleSource/threshold",
            json!("1s"),
            "less than incrementBy",
        ),
        (
            pipeline,
            "/spec/watermark/idleSource",
            Value::Null,
            "idleSource.threshold is null",
        ),
        (
            pipeline,
            "/spec/limits/readTimeout",
            json!(200),
            "readTimeout is 200",
        ),
        (
            pipeline,
            "/spec/vertices/0/scale/max",
            json!(2),
            "a source of one rate",
        ),
        (
            pipeline,
            "/spec/vertices/1/partitions",
            json!(2),
            "each partition needs its pod",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/groupBy/storage",
            json!({}),
            "not exactly one kind",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/groupBy/storage/emptyDir",
            json!({}),
            "not exactly one kind",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/groupBy/storage/nostore",
            json!({}),
            "no field `nostore`",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/groupBy/window/fixed/length",
            json!("0s"),
            "length is \"0s\"",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/container/command",
            json!(["udf"]),
            "not one of the image's programs",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/container/lifecycle",
            json!({}),
            "no field `lifecycle`",
        ),
        (pipeline, "/spec/vertices/2/name", json!("udf"), "there twice"),
        (pipeline, "/spec/edges/1/to", json!("generator"), "do not lead"),
        (
            pipeline,
            "/spec/edges/1/conditions",
            json!({"tags": {"operator": "not", "values": ["other"]}}),
            "do not lead",
        ),
        // A sink of the user's would get records.
        (
            pipeline,
            "/spec/vertices/2/sink",
            json!({"log": {}}),
            "do not lead",
        ),
        (
            pipeline,
            "/spec/vertices/2/sink/kafka",
            json!({}),
            "not exactly one kind",
        ),
        (
            pipeline,
            "/spec/vertices/2/sink/retryStrategy",
            json!({"onFailure": "fallback"}),
            "no fallback sink",
        ),
        (
            pipeline,
            "/spec/vertices/0/source/transformer",
            json!({"container": {"image": "other:1"}}),
            "privileges may be gained",
        ),
        (
            pipeline,
            "/spec/templates/vertex/containerTemplate/securityContext",
            json!({}),
            "privileges may be gained",
        ),
        (
            pipeline,
            "/spec/templates/daemon/securityContext",
            Value::Null,
            "without an fsGroup",
        ),
        (
            pipeline,
            "/spec/templates/job/automountServiceAccountToken",
            json!(true),
            "mounts the token",
        ),
        (
            pipeline,
            "/spec/templates/vertex/initContainerTemplate/resources/limits",
            json!({}),
            "limits.cpu is missing",
        ),
        (
            endpoint,
            "/spec/template/spec/hostNetwork",
            json!(true),
            "hostNetwork",
        ),
        (
            endpoint,
            "/spec/template/spec/volumes",
            json!([{"name": "x", "hostPath": {}}]),
            "hostPath",
        ),
        (
            endpoint,
            "/spec/template/spec/volumes",
            json!([{"name": "x", "emptyDir": {}}, {"name": "x", "emptyDir": {}}]),
            "the volume `x` twice",
        ),
        (
            pipeline,
            "/spec/vertices/1/volumes",
            json!([{"name": "x", "hostPath": {}}]),
            "hostPath",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/container/volumeMounts",
            json!([{"name": "x", "mountPath": "/x"}]),
            "mounts the volume `x`",
        ),
        (
            pipeline,
            "/spec/vertices/1/topologySpreadConstraints",
            json!([]),
            "no field `topologySpreadConstraints`",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/securityContext/runAsUser",
            json!(0),
            "root",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/securityContext/capabilities/add",
            json!(["SYS_ADMIN"]),
            "capabilities",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem",
            json!(false),
            "written to",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/env/1/name",
            json!("LISTEN"),
            "`LISTEN` twice",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/env/1/value",
            json!(5),
            "is no text",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/readinessProbe",
            Value::Null,
            "no readinessProbe",
        ),
        (
            endpoint,
            "/spec/template/metadata/labels/app.kubernetes.io~1component",
            json!("x"),
            "does not find its own pods",
        ),
        (
            0,
            "/spec/ports/0/targetPort",
            json!("metrics"),
            "no Deployment beside it",
        ),
        (0, "/kind", json!("Servise"), "unexpected kind"),
    ] {
        let mut objects = read(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../manifests/experiment/base.yaml"
        )));
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = objects[object].json.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            parent => parent[key.replace("~1", "/")] = value,
        }
        let found = faults(&objects);
        assert!(
            found.iter().any(|fault| fault.contains(message)),
            "{path}: {found:#?}"
        );
    }
}

#[test]
fn objects_inside_a_config_map_are_checked_too() {
    let base =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostPID: true, containers: [{name: c}]}";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"base.yaml": base}});
    let found = faults(&parse("map", &map.to_string()));
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("base.yaml: Pod/p") && fault.contains("hostPID")),
        "{found:#?}"
    );
}

#[test]
fn openshift_refuses_fixed_users_and_assigns_its_own() {
    let base = read(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../manifests/experiment/base.yaml"
    )));
    let (_, refused) = admitted_by_openshift(&base);
    assert!(
        refused.iter().any(|line| line.contains("fsGroup is 65532")),
        "{refused:#?}"
    );
    let pod = parse("pod", "kind: Pod\nspec: {securityContext: {runAsNonRoot: true}}");
    let (admitted, refused) = admitted_by_openshift(&pod);
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(
        admitted[0].at("/spec/securityContext/fsGroup"),
        Some(&json!(1_000_700_000))
    );
}
