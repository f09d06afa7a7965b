//! The life of a release: full windows within a minute of the install, then tested, tuned, and removed without a
//! trace.

use std::time::Duration;

use serde_json::Value;
use wire::StrategyKind;

use crate::lab::{Lab, Step, vertex_pods, wait};
use crate::records::{await_full, now_ms, windows};
use crate::release::Release;

/// Events of a window at the chart's defaults: 100 per second, 10 s.
const FULL: u64 = 1_000;
/// From the install to a full window on record.
const FULL_WITHIN: Duration = Duration::from_secs(60);
/// From an upgrade to a full window of the new rate: old pods end, new ones start, a window fills.
const TUNED_WITHIN: Duration = Duration::from_secs(120);

pub fn sequential(lab: &Lab) -> Step {
    comes_and_goes(lab, StrategyKind::Sequential)
}

pub fn thread_pool(lab: &Lab) -> Step {
    comes_and_goes(lab, StrategyKind::ThreadPool)
}

pub fn process_pool(lab: &Lab) -> Step {
    comes_and_goes(lab, StrategyKind::ProcessPool)
}

fn comes_and_goes(lab: &Lab, strategy: StrategyKind) -> Step {
    let value = format!("udf.strategy={strategy}");
    let release = Release::install(lab, &lab.namespace, &strategy.to_string(), &[&value])?;
    gives_a_full_window(&release, strategy)?;
    release.uninstall()
}

/// Within a minute of the install.
fn gives_a_full_window(release: &Release<'_>, strategy: StrategyKind) -> Step {
    let left = FULL_WITHIN.saturating_sub(release.since.elapsed());
    let window = await_full(release.lab, release.place(), 0, FULL, left)?;
    match window.strategy {
        Some(found) if found == strategy => Ok(()),
        found => Err(format!("the records name {found:?} instead of {strategy}")),
    }
}

pub fn whole_life(lab: &Lab) -> Step {
    let release = Release::install(lab, &lab.namespace, "async", &[])?;
    gives_a_full_window(&release, StrategyKind::Async)?;
    lab.helm(&lab.namespace, &["test", &release.name, "--timeout", "3m"])?;
    no_tokens(&release)?;
    no_writes(&release)?;

    let before = now_ms();
    release.tune("generator.rpu=200")?;
    await_full(lab, release.place(), before, 2 * FULL, TUNED_WITHIN)?;
    let before = now_ms();
    release.tune("udf.strategy=thread-pool")?;
    wait(
        "the records name the new strategy, at the rate set before",
        TUNED_WITHIN,
        || {
            let windows = windows(lab, &release.namespace, &release.name)?;
            let tuned = windows.iter().find(|window| {
                window.start_ms >= before
                    && window.strategy == Some(StrategyKind::ThreadPool)
                    && window.ok == 2 * FULL
            });
            Ok(tuned.map(|_| ()))
        },
    )?;
    release.uninstall()
}

/// No pod of the release has a service account token, because none uses the API server.
fn no_tokens(release: &Release<'_>) -> Step {
    let pods = release.lab.list_in(&release.namespace, "pods")?;
    let of_release =
        |pod: &&Value| pod["metadata"]["labels"]["app.kubernetes.io/instance"] == release.name.as_str();
    let pods: Vec<&Value> = pods.iter().filter(of_release).collect();
    // Generator, UDF, sink, daemon and endpoint.
    if pods.len() < 5 {
        return Err(format!("only {} pods carry the release's label", pods.len()));
    }
    let holds_token = |pod: &&&Value| {
        let volumes = pod["spec"]["volumes"].as_array();
        volumes.is_some_and(|all| {
            all.iter()
                .any(|volume| volume.to_string().contains("serviceAccountToken"))
        })
    };
    let holding: Vec<&Value> = pods
        .iter()
        .filter(holds_token)
        .map(|pod| &pod["metadata"]["name"])
        .collect();
    match holding.is_empty() {
        true => Ok(()),
        false => Err(format!("pods with a token: {holding:?}")),
    }
}

/// The UDF's container can write into Numaflow's socket folder and into no other folder of an image, as attempts of
/// our own program to create a socket there show.
fn no_writes(release: &Release<'_>) -> Step {
    let label = vertex_pods(&release.name, "udf");
    let pods = release
        .lab
        .kubectl_in(&release.namespace, &["get", "pods", "-l", &label, "-o", "name"])?;
    let pod = pods.lines().next().ok_or("the udf has no pod")?;
    let serve_in = |folder: &str| {
        let (socket, info) = (format!("{folder}/probe.sock"), format!("{folder}/probe-info"));
        // Its standard input is closed, so it stops as soon as it serves.
        let serve = [
            "exec",
            pod,
            "-c",
            "udf",
            "--",
            "/usr/local/bin/udf",
            "--stop-on-stdin-close",
            "--stats-listen=127.0.0.1:0",
            "--socket",
            &socket,
            "--server-info",
            &info,
        ];
        release.lab.kubectl_in(&release.namespace, &serve)
    };
    serve_in("/var/run/numaflow")?;
    for folder in ["", "/etc", "/usr/local/bin", "/home", "/var/lib"] {
        match serve_in(folder) {
            Err(message) if message.contains("Read-only file system") => {}
            Err(message) => return Err(format!("in {folder}/: {message}")),
            Ok(_) => return Err(format!("the udf's container can write into {folder}/")),
        }
    }
    Ok(())
}

/// In a namespace without any other isbsvc.
pub fn own_isbsvc(lab: &Lab) -> Step {
    let namespace = format!("{}-own", lab.namespace);
    lab.make_namespace(&namespace)?;
    let tested = Release::install_whole(lab, &namespace, "own", &[]).and_then(|release| {
        lab.await_isbsvc(&namespace)?;
        // The minute counts from the healthy isbsvc.
        await_full(lab, release.place(), 0, FULL, FULL_WITHIN)?;
        release.uninstall()
    });
    let removed = lab.remove_namespace(&namespace);
    tested.and(removed)
}
