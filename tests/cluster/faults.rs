//! Faults in a running pipeline: it recovers, and later windows are full again.

use std::time::Duration;

use crate::lab::{Lab, Step, vertex_pods, wait};
use crate::records::{WINDOW_MS, Window, await_full, await_middle_of_window, now_ms, windows};
use crate::release::Release;

/// Events of a window: 50 per second, 10 s.
const FULL: u64 = 500;
/// Number of windows during which the endpoint is away: 30 s.
const AWAY: usize = 3;
/// From a fault's end to a full window on record.
const RECOVERED_WITHIN: Duration = Duration::from_secs(180);

/// One installation for all faults: each starts with full windows.
pub fn all(lab: &Lab) -> Step {
    let values = ["generator.rpu=50", "udf.timeout=2s"];
    let release = Release::install(lab, &lab.namespace, "faults", &values)?;
    await_full(lab, release.place(), 0, FULL, RECOVERED_WITHIN)?;
    let tested = udf_killed(&release)
        .and_then(|()| endpoint_gone(&release))
        .and_then(|()| jetstream_killed(&release));
    let removed = release.uninstall();
    tested.and(removed)
}

/// With `no_store`, the open window's events are lost, as the values document; the windows after it are full.
fn udf_killed(release: &Release<'_>) -> Step {
    await_middle_of_window();
    let killed = now_ms();
    let name = vertex_pods(&release.name, "udf");
    release.lab.kubectl(&[
        "delete",
        "pod",
        "-l",
        &name,
        "--grace-period=0",
        "--force",
        "--wait=false",
    ])?;
    recovered(release, killed, "the udf's pod was killed")
}

/// The windows of those 30 s complete with all of their events and with failures on record. Once the endpoint is
/// back, windows are full again.
fn endpoint_gone(release: &Release<'_>) -> Step {
    await_middle_of_window();
    let broken = now_ms();
    let endpoint = format!("deployment/{}-endpoint", release.name);
    let scale = |replicas: &str| {
        release
            .lab
            .kubectl(&["scale", &endpoint, &format!("--replicas={replicas}")])
            .map(drop)
    };
    scale("0")?;
    let failed = |window: &&Window| window.start_ms + WINDOW_MS > broken && window.failed > 0;
    let seen = wait(
        "windows with failed calls are on record, and whole",
        RECOVERED_WITHIN,
        || {
            let windows = windows(release.lab, &release.namespace, &release.name)?;
            let failed: Vec<&Window> = windows.iter().filter(failed).collect();
            match failed.iter().find(|window| window.events != FULL) {
                Some(short) => Err(format!("a window without all of its events: {short:?}")),
                None => Ok((failed.len() >= AWAY).then_some(())),
            }
        },
    );
    scale("1")?;
    seen?;
    recovered(release, now_ms(), "the endpoint was gone")
}

/// Ends the server's process; its pod keeps the streams, as a claim would.
fn jetstream_killed(release: &Release<'_>) -> Step {
    let pod = "isbsvc-default-js-0";
    let command = [
        "get",
        "pod",
        pod,
        "-o",
        "jsonpath={.spec.containers[?(@.name=='main')].command[0]}",
    ];
    let server = release.lab.kubectl(&command)?;
    let server = if server.is_empty() {
        "/nats-server".to_owned()
    } else {
        server
    };
    await_middle_of_window();
    let killed = now_ms();
    let stop = [
        "exec",
        pod,
        "-c",
        "main",
        "--",
        &server,
        "-sl=stop=/var/run/nats/nats.pid",
    ];
    release.lab.kubectl(&stop)?;
    recovered(release, killed, "JetStream was killed")
}

fn recovered(release: &Release<'_>, since_ms: u64, what: &str) -> Step {
    let full = await_full(release.lab, release.place(), since_ms, FULL, RECOVERED_WITHIN);
    let first = full.map_err(|message| format!("after {what}: {message}"))?;
    // One full window could be chance: the next one is full as well.
    let next = await_full(
        release.lab,
        release.place(),
        first.start_ms + WINDOW_MS,
        FULL,
        RECOVERED_WITHIN,
    );
    next.map(drop)
        .map_err(|message| format!("after {what}, once more: {message}"))
}
