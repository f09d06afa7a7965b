use std::num::NonZeroU64;
use std::time::Duration;

use wire::{Delay, StartRule, StrategyKind, Workload};

use super::*;
use crate::error::ClusterEngineError;
use trials::trial::{Trial, TrialSettings};

fn trial() -> Trial {
    let number = |number| NonZeroU64::new(number).unwrap();
    Trial {
        id: "rpu=100,strategy=thread-pool".to_owned(),
        repeat: 0,
        settings: TrialSettings {
            rpu: number(100),
            keys: number(3),
            key_skew: 0.5,
            payload_size: 64,
            io_delay: Delay::Fixed(Duration::from_micros(200)),
            strategy: StrategyKind::ThreadPool,
            start_rule: StartRule::AtClose,
            workload: Workload::Http,
            max_workers: number(32),
            retries: 2,
            cpu_offload: true,
            max_waiting: number(1_000),
            fail_status: 0.25,
            window: Duration::from_millis(2_500),
            read_timeout: Duration::from_millis(100),
            warmup: 1,
            windows: 2,
            seed: 7,
            ..TrialSettings::defaults().unwrap()
        },
    }
}

fn owner() -> OwnerReference {
    OwnerReference {
        api_version: "coordination.k8s.io/v1".to_owned(),
        kind: "Lease".to_owned(),
        name: "async-reduce-abc123".to_owned(),
        uid: "u".to_owned(),
        ..OwnerReference::default()
    }
}

fn objects(base: &str, change: impl FnOnce(&mut ForTrial<'_>)) -> Manifests {
    let (trial, owner) = (trial(), owner());
    let mut of = ForTrial {
        pipeline: "ar-abc123-4",
        run: "abc123",
        owner: Some(&owner),
        instance: Some("ar-abc123"),
        trial: &trial,
        count: 1_000,
        endpoint_url: None,
        image: None,
        payloads: None,
    };
    change(&mut of);
    Base::parse(base).unwrap().manifests(&of)
}

/// The environment of a container, references as `<from>`.
fn environment(container: &Value) -> Vec<(String, String)> {
    let variables = container["env"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("<from>").to_owned();
    let mut environment: Vec<_> = variables
        .iter()
        .map(|variable| (text(&variable["name"]), text(&variable["value"])))
        .collect();
    environment.sort();
    environment
}

fn container<'a>(objects: &'a Manifests, vertex: &str) -> &'a Value {
    let (_, pointer) = CONTAINERS.into_iter().find(|(name, _)| *name == vertex).unwrap();
    let vertices = objects.pipeline["spec"]["vertices"].as_array().unwrap();
    let vertex = vertices.iter().find(|found| found["name"] == vertex).unwrap();
    vertex.pointer(pointer).unwrap()
}

fn value(container: &Value, name: &str) -> Option<String> {
    let environment = environment(container);
    let found: Vec<_> = environment
        .into_iter()
        .filter(|(found, _)| found == name)
        .collect();
    assert!(found.len() <= 1, "{name} is set twice: {found:?}");
    found.into_iter().next().map(|(_, value)| value)
}

#[test]
fn the_built_in_base_is_valid() {
    let base = Base::parse(EMBEDDED).unwrap();
    assert!(base.has_endpoint());
    assert_eq!(base.isbsvc(), "default");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(base.image(), Some(format!("async-reduce:{version}").as_str()));
}

#[test]
fn every_container_has_its_settings_once() {
    let objects = objects(EMBEDDED, |_| {});
    for (vertex, expected) in [
        (
            "generator",
            &[
                ("RPU", "100"),
                ("KEYS", "3"),
                ("KEY_SKEW", "0.5"),
                ("KEYED", "true"),
                ("PAYLOAD_SIZE", "64"),
                ("COUNT", "1000"),
                ("SEED", "7"),
                ("ALIGN", "2.5s"),
                ("HOLD", "true"),
                ("STATS_LISTEN", "0.0.0.0:9100"),
            ][..],
        ),
        (
            "udf",
            &[
                ("STRATEGY", "thread-pool"),
                ("START_RULE", "at-close"),
                ("WORKLOAD", "http"),
                ("MAX_WORKERS", "32"),
                ("ENDPOINT_URL", "http://ar-abc123-4-endpoint:9888"),
                ("IO_DELAY", "200us"),
                ("TIMEOUT", "30s"),
                ("RETRIES", "2"),
                ("MAX_WAITING", "1000"),
                ("CPU_OFFLOAD", "true"),
                ("RESULT_FORMAT", "record"),
                ("STATS_LISTEN", "0.0.0.0:9100"),
            ],
        ),
        ("sink", &[("STATS_LISTEN", "0.0.0.0:9100")]),
    ] {
        let container = container(&objects, vertex);
        for (name, expected) in expected {
            assert_eq!(
                value(container, name).as_deref(),
                Some(*expected),
                "{vertex} {name}"
            );
        }
        // Other variables stay.
        assert_eq!(
            value(container, "LOG_FORMAT").as_deref(),
            Some("text"),
            "{vertex}"
        );
    }
    let (deployment, _) = objects.endpoint.as_ref().unwrap();
    let endpoint = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(value(endpoint, "FAIL_STATUS").as_deref(), Some("0.25"));
    assert_eq!(value(endpoint, "SEED").as_deref(), Some("7"));
    assert_eq!(
        (value(endpoint, "CAPACITY"), value(endpoint, "LISTEN")),
        (Some("unlimited".to_owned()), Some("0.0.0.0:9888".to_owned()))
    );
}

/// Whatever the base says: Numaflow and the generator, which numbers events by it, must agree.
#[test]
fn whether_the_reduce_is_keyed_is_the_trials() {
    for in_base in ["keyed: true", "keyed: false"] {
        for (keyed, expected) in [(Some(true), "true"), (Some(false), "false"), (None, "true")] {
            let mut trial = trial();
            trial.settings.keyed = keyed;
            let text = EMBEDDED.replace("          keyed: true", &format!("          {in_base}"));
            assert!(text.contains(in_base));
            let of = ForTrial {
                pipeline: "ar-abc123-4",
                run: "abc123",
                owner: None,
                instance: None,
                trial: &trial,
                count: 1_000,
                endpoint_url: None,
                image: None,
                payloads: None,
            };
            let objects = Base::parse(&text).unwrap().manifests(&of);
            let group_by = objects.pipeline.pointer("/spec/vertices/1/udf/groupBy");
            assert_eq!(
                group_by.unwrap()["keyed"].to_string(),
                expected,
                "{in_base}, {keyed:?}"
            );
            if keyed.is_some() {
                assert_eq!(
                    value(container(&objects, "generator"), "KEYED").as_deref(),
                    Some(expected)
                );
            }
        }
    }
}

#[test]
fn names_owner_and_labels_are_the_trials() {
    let objects = objects(EMBEDDED, |_| {});
    let (deployment, service) = objects.endpoint.as_ref().unwrap();
    for (object, name) in [
        (&objects.pipeline, "ar-abc123-4"),
        (deployment, "ar-abc123-4-endpoint"),
        (service, "ar-abc123-4-endpoint"),
    ] {
        let metadata = &object["metadata"];
        assert_eq!(metadata["name"], name);
        assert_eq!(metadata["labels"]["async-reduce/run"], "abc123");
        assert_eq!(
            metadata["annotations"]["async-reduce/trial"],
            "rpu=100,strategy=thread-pool"
        );
        assert_eq!(metadata["ownerReferences"][0]["name"], "async-reduce-abc123");
        assert!(metadata.get("namespace").is_none(), "{metadata}");
    }
    assert_eq!(
        objects.pipeline["metadata"]["labels"]["app.kubernetes.io/instance"],
        "ar-abc123"
    );
    let pod = &deployment["spec"]["template"]["metadata"]["labels"];
    for (name, wanted) in service["spec"]["selector"].as_object().unwrap() {
        assert_eq!(&pod[name], wanted, "the Service finds its pods");
    }
    assert_eq!(
        service["spec"]["selector"]["app.kubernetes.io/instance"],
        "ar-abc123-4"
    );
    assert_eq!(
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"]
    );
}

#[test]
fn source_and_sink_have_one_pod_each() {
    let many = EMBEDDED.replace("max: 1", "max: 3");
    assert_ne!(many, EMBEDDED);
    let objects = objects(&many, |_| {});
    let most = |vertex: usize| objects.pipeline["spec"]["vertices"][vertex]["scale"]["max"].as_u64();
    assert_eq!([most(0), most(1), most(2)], [Some(1), Some(3), Some(1)]);
}

#[test]
fn an_ordered_sink_has_one_partition_and_no_scale() {
    let ordered = EMBEDDED.replace(
        "spec:\n  interStep",
        "spec:\n  ordered: {enabled: true}\n  interStep",
    );
    assert_ne!(ordered, EMBEDDED);
    let objects = objects(&ordered, |_| {});
    let vertices = &objects.pipeline["spec"]["vertices"];
    assert_eq!(
        [&vertices[2]["partitions"], &vertices[2]["scale"]],
        [&json!(1), &json!({})]
    );
    assert_eq!(vertices[0]["scale"], json!({"min": 1, "max": 1}));
}

#[test]
fn window_and_read_timeout_are_the_plans_and_storage_stays() {
    let own_limit = EMBEDDED.replace(
        "    - name: sink\n",
        "    - name: sink\n      limits: {readTimeout: 9s, readBatchSize: 7}\n",
    );
    assert_ne!(own_limit, EMBEDDED);
    let objects = objects(&own_limit, |_| {});
    let spec = &objects.pipeline["spec"];
    assert_eq!(spec["limits"]["readTimeout"], "100ms");
    assert_eq!(spec["limits"]["readBatchSize"], 500);
    assert_eq!(
        spec["vertices"][2]["limits"],
        json!({"readTimeout": "100ms", "readBatchSize": 7})
    );
    let group_by = &spec["vertices"][1]["udf"]["groupBy"];
    assert_eq!(group_by["window"], json!({"fixed": {"length": "2.5s"}}));
    assert_eq!(group_by["storage"], json!({"no_store": {}}));
}

#[test]
fn image_release_and_endpoint_are_kept_or_replaced() {
    let changed = objects(EMBEDDED, |of| {
        of.image = Some("mine:1");
        of.endpoint_url = Some("https://example.org");
        of.instance = None;
    });
    assert_eq!(changed.endpoint, None);
    for (vertex, _) in CONTAINERS {
        assert_eq!(container(&changed, vertex)["image"], "mine:1");
    }
    assert_eq!(
        value(container(&changed, "udf"), "ENDPOINT_URL").as_deref(),
        Some("https://example.org")
    );
    assert_eq!(
        changed.pipeline["metadata"]["labels"]["app.kubernetes.io/instance"],
        "async-reduce"
    );
    let (deployment, _) = objects(EMBEDDED, |of| of.image = Some("mine:1"))
        .endpoint
        .unwrap();
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "mine:1"
    );
}

/// With its command, arguments and own variables, and with its record beside its results, whatever the release has.
#[test]
fn an_own_udf_keeps_its_image_and_command() {
    let ours = format!("image: \"async-reduce:{}\"", env!("CARGO_PKG_VERSION"));
    let (before, udf) = EMBEDDED.split_once("    - name: udf\n").unwrap();
    let udf = udf
        .replacen(&ours, "image: \"team/score:1.2.3\"", 1)
        .replacen(
            "command: [/usr/local/bin/udf]",
            "command: [/score]\n          args: [--fast]",
            1,
        )
        .replacen("value: \"only\"", "value: \"off\"", 1);
    let base = format!("{before}    - name: udf\n{udf}");
    let objects = objects(&base, |of| of.image = Some("mine:1"));
    let udf = container(&objects, "udf");
    assert_eq!(
        [&udf["image"], &udf["command"], &udf["args"]],
        [&json!("team/score:1.2.3"), &json!(["/score"]), &json!(["--fast"])]
    );
    assert_eq!(
        [value(udf, "RECORDS"), value(udf, "RESULT_FORMAT")],
        [None, Some("record".to_owned())]
    );
    for ours in ["generator", "sink"] {
        assert_eq!(container(&objects, ours)["image"], "mine:1");
    }
    assert!(Base::parse(&base).unwrap().has_own_udf() && !Base::parse(EMBEDDED).unwrap().has_own_udf());
}

#[test]
fn a_reference_in_the_environment_is_replaced_whole() {
    let referring = EMBEDDED.replace(
        "            - name: STRATEGY\n              value: \"async\"\n",
        "            - name: STRATEGY\n              valueFrom: {configMapKeyRef: {name: c, key: k}}\n            - {name: EXEC_TYPE, value: thread}\n",
    );
    assert_ne!(referring, EMBEDDED);
    let objects = objects(&referring, |_| {});
    assert_eq!(
        value(container(&objects, "udf"), "STRATEGY").as_deref(),
        Some("thread-pool")
    );
    assert_eq!(value(container(&objects, "udf"), "EXEC_TYPE"), None);
}

#[test]
fn a_defective_base_is_refused_in_one_line() {
    let documents: Vec<&str> = EMBEDDED.split("---\n").collect();
    let (service, deployment, pipeline) = (documents[0], documents[1], documents[2]);
    let join = |parts: &[&str]| parts.join("\n---\n");
    for (text, word) in [
        (String::new(), "exactly one Pipeline, not 0"),
        (join(&[pipeline, pipeline]), "exactly one Pipeline, not 2"),
        (join(&[pipeline, service]), "Deployment"),
        (join(&[pipeline, "kind: ConfigMap\n"]), "ConfigMap"),
        (join(&[pipeline, "a: [1\n"]), "not YAML"),
        (pipeline.replace("- name: udf\n", "- name: reduce\n"), "`udf`"),
        (pipeline.replace("groupBy:", "other:"), "udf.groupBy"),
        (
            pipeline.replace("udsource:", "generator:"),
            "source.udsource.container",
        ),
        (pipeline.replace("udsink:", "log:"), "sink.udsink.container"),
        (
            join(&[pipeline, service, &deployment.replace("containers:", "others:")]),
            "no container",
        ),
    ] {
        let error = Base::parse(&text).unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains('\n'), "{word}: {error}");
    }
    let own = Base::parse(pipeline).unwrap();
    assert!(!own.has_endpoint());
    let missing = Base::read(Some(Path::new("/nowhere/base.yaml"))).unwrap_err();
    let missing = ClusterEngineError::from(missing);
    assert!(
        missing.is_wrong_use() && missing.to_string().contains("/nowhere/base.yaml"),
        "{missing}"
    );
}

/// A base whose generator mounts a file of events from a claim.
fn with_claim() -> String {
    let mounted = "- name: generator
      volumes:
        - {name: payloads, persistentVolumeClaim: {claimName: events}}
        - {name: other, emptyDir: {}}";
    let variables = "- name: PAYLOADS
                value: /payloads/events.jsonl
              - name: KEY_POINTER
                value: /old
              - name: PAYLOAD_TEMPLATE
                value: x
              - name: RPU";
    let text = EMBEDDED.replacen("- name: generator", mounted, 1);
    text.replacen("- name: RPU", variables, 1)
}

#[test]
fn own_events_come_from_the_runs_config_map_or_the_bases_volume() {
    let pointer = || Some("/user");
    let volumes = |objects: &Manifests| {
        let vertices = objects.pipeline["spec"]["vertices"].as_array().unwrap();
        let generator = vertices.iter().find(|vertex| vertex["name"] == "generator");
        generator.unwrap()["volumes"].clone()
    };
    let of_run = json!({"name": "payloads", "configMap": {"name": "ar-abc123-payloads"}});
    for (base, others) in [
        (EMBEDDED.to_owned(), json!([of_run])),
        (with_claim(), json!([{"name": "other", "emptyDir": {}}, of_run])),
    ] {
        let objects = objects(&base, |of| {
            of.payloads = Some(ForGenerator::File {
                config_map: true,
                key_pointer: pointer(),
            });
        });
        let generator = container(&objects, "generator");
        assert_eq!(
            value(generator, "PAYLOADS").as_deref(),
            Some("/payloads/payloads.jsonl")
        );
        assert_eq!(value(generator, "KEY_POINTER").as_deref(), pointer());
        assert_eq!(value(generator, "PAYLOAD_TEMPLATE"), None);
        let mount = json!({"name": "payloads", "mountPath": "/payloads", "readOnly": true});
        assert_eq!(generator["volumeMounts"], json!([mount]));
        assert_eq!(volumes(&objects), others);
    }
    assert_eq!(Base::parse(EMBEDDED).unwrap().payloads_file(), None);
    assert_eq!(
        Base::parse(&with_claim()).unwrap().payloads_file(),
        Some("events.jsonl")
    );
    let kept = objects(&with_claim(), |of| {
        of.payloads = Some(ForGenerator::File {
            config_map: false,
            key_pointer: None,
        });
    });
    let generator = container(&kept, "generator");
    assert_eq!(
        value(generator, "PAYLOADS").as_deref(),
        Some("/payloads/events.jsonl")
    );
    assert_eq!(value(generator, "KEY_POINTER"), None, "the plan names none");
    assert_eq!(volumes(&kept)[0]["persistentVolumeClaim"]["claimName"], "events");
    let without = objects(&with_claim(), |_| {});
    let generator = container(&without, "generator");
    assert_eq!(
        value(generator, "PAYLOADS").as_deref(),
        Some("/payloads/events.jsonl")
    );
    assert_eq!(
        value(generator, "KEY_POINTER").as_deref(),
        Some("/old"),
        "the base's stay"
    );
}

#[test]
fn a_template_takes_the_place_of_the_bases_events() {
    for (text, written) in [
        (r#"{"user": ${key}}"#, r#"{"user": ${key}}"#),
        // Kubernetes makes the text of it again.
        ("a $(RPU) $${key} $$$(x) $", "a $$(RPU) $$$${key} $$$$$$(x) $"),
    ] {
        for base in [EMBEDDED.to_owned(), with_claim()] {
            let objects = objects(&base, |of| of.payloads = Some(ForGenerator::Template(text)));
            let generator = container(&objects, "generator");
            assert_eq!(value(generator, "PAYLOAD_TEMPLATE").as_deref(), Some(written));
            assert_eq!(value(generator, "PAYLOADS"), None);
            assert_eq!(value(generator, "KEY_POINTER"), None);
        }
    }
}
