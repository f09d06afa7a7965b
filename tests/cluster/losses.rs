//! Lost and replaced pods where the chart promises that no event is lost: every window stays full.

use std::time::Duration;

use crate::lab::{Lab, Step};
use crate::records::{WINDOW_MS, await_full, now_ms, windows};
use crate::release::Release;

/// Events of a window: 50 per second, 10 s.
const FULL: u64 = 500;
/// From the install, with an isbsvc of its own, to the first full window.
const FULL_WITHIN: Duration = Duration::from_secs(180);
/// From a loss to full windows again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(180);

/// Three pods of NATS hold three copies of every message: the loss of one pod loses none.
pub fn replicated_jetstream(lab: &Lab) -> Step {
    in_namespace_of_its_own(lab, "three", &["isbsvc.replicas=3"], |release| {
        stays_full(release, "a pod of three of JetStream was deleted", || {
            delete_pods(release, "app.kubernetes.io/component=isbsvc", Some("-js-0"))
        })
    })
}

/// With volumes for JetStream and for the open windows, the loss of either pod loses no event, nor does an upgrade
/// that replaces the UDF.
pub fn volumes(lab: &Lab) -> Step {
    let class = std::env::var("STORAGE_CLASS").unwrap_or_default();
    if class.is_empty() && !has_default_class(lab)? {
        return Err("the cluster has no default StorageClass: name one by STORAGE_CLASS".to_owned());
    }
    let values = [
        "isbsvc.persistence.enabled=true".to_owned(),
        format!("isbsvc.persistence.storageClassName={class}"),
        "udf.storage.type=pvc".to_owned(),
        format!("udf.storage.pvc.storageClassName={class}"),
    ];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    in_namespace_of_its_own(lab, "volumes", &values, |release| {
        stays_full(release, "the pod of JetStream was deleted", || {
            delete_pods(release, "app.kubernetes.io/component=isbsvc", None)
        })?;
        stays_full(release, "the udf's pod was deleted", || {
            delete_pods(release, "numaflow.numaproj.io/vertex-name=udf", None)
        })?;
        stays_full(release, "an upgrade replaced the udf's pod", || {
            release.tune("udf.maxWorkers=500")
        })
    })
}

fn in_namespace_of_its_own(
    lab: &Lab,
    name: &str,
    values: &[&str],
    test: impl FnOnce(&Release<'_>) -> Step,
) -> Step {
    let namespace = format!("{}-{name}", lab.namespace);
    lab.make_namespace(&namespace)?;
    let values: Vec<&str> = [&["generator.rpu=50"], values].concat();
    let tested = Release::install_whole(lab, &namespace, name, &values).and_then(|release| {
        lab.await_isbsvc(&namespace)?;
        let tested = await_full(lab, release.place(), 0, FULL, FULL_WITHIN).and_then(|_| test(&release));
        let removed = release.uninstall();
        tested.and(removed)
    });
    let removed = lab.remove_namespace(&namespace);
    tested.and(removed)
}

/// Every window from the one before the loss to the second after it has all of its events.
fn stays_full(release: &Release<'_>, what: &str, lose: impl FnOnce() -> Step) -> Step {
    let lost = now_ms();
    lose()?;
    let (from, to) = (lost / WINDOW_MS * WINDOW_MS - WINDOW_MS, lost + 2 * WINDOW_MS);
    let describe = |message| format!("after {what}: {message}");
    await_full(release.lab, release.place(), to, FULL, RECOVERED_WITHIN).map_err(describe)?;
    let windows = windows(release.lab, &release.namespace, &release.name)?;
    let counts: Vec<(u64, u64)> = (from..=to)
        .step_by(usize::try_from(WINDOW_MS).unwrap_or(1))
        .map(|start_ms| {
            let window = windows.iter().find(|window| window.start_ms == start_ms);
            (start_ms, window.map_or(0, |window| window.ok))
        })
        .collect();
    match counts.iter().all(|(_, ok)| *ok == FULL) {
        true => Ok(()),
        false => Err(describe(format!("start of window and its ok events: {counts:?}"))),
    }
}

/// Deletes the pods of a label, or the one of them whose name ends with this suffix, with their grace.
fn delete_pods(release: &Release<'_>, label: &str, end: Option<&str>) -> Step {
    let lab = release.lab;
    let names = lab.kubectl_in(&release.namespace, &["get", "pods", "-l", label, "-o", "name"])?;
    let chosen: Vec<&str> = names
        .lines()
        .filter(|name| end.is_none_or(|end| name.ends_with(end)))
        .collect();
    if chosen.is_empty() {
        return Err(format!("no pod with the label {label} among: {names}"));
    }
    let args: Vec<&str> = [&["delete", "--wait=false"], chosen.as_slice()].concat();
    lab.kubectl_in(&release.namespace, &args).map(drop)
}

fn has_default_class(lab: &Lab) -> Step<bool> {
    let classes = lab.list_in(&lab.namespace, "storageclasses.storage.k8s.io")?;
    Ok(classes.iter().any(|class| {
        class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    }))
}
