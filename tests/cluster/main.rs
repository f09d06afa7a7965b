//! The chart, the manifests and the experiment on the cluster of KUBECONFIG, with the real Numaflow. The tests run
//! one after another, in namespaces of their own that are removed at the end. Without a cluster they fail with a
//! sentence.

// Clippy's exception for tests does not apply to a program without the usual harness.
#![allow(clippy::unwrap_used)]

mod admission;
mod experiment;
mod faults;
mod kills;
mod lab;
mod life;
mod losses;
mod manifests;
mod own;
mod records;
mod reduces;
mod release;
mod scored;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use crate::lab::{Lab, Step};

/// A test and its name.
type Named = (&'static str, fn(&Lab) -> Step);

/// The tests in order.
const STEPS: [Named; 29] = [
    (
        "every rendered object passes a server-side dry run",
        admission::dry_run,
    ),
    ("a wrong value is refused by name", admission::wrong_value),
    (
        "sequential: install, a full window within 60 s, uninstall leaves nothing",
        life::sequential,
    ),
    (
        "thread-pool: install, a full window within 60 s, uninstall leaves nothing",
        life::thread_pool,
    ),
    (
        "process-pool: install, a full window within 60 s, uninstall leaves nothing",
        life::process_pool,
    ),
    (
        "async: install, helm test, tokens, tune by upgrade, uninstall",
        life::whole_life,
    ),
    (
        "an isbsvc of the chart's own: install, uninstall leaves nothing",
        life::own_isbsvc,
    ),
    ("faults: the udf's pod, the endpoint, JetStream", faults::all),
    (
        "killed midway: the udf's pod without a store",
        kills::pod_without_store,
    ),
    (
        "killed midway: the udf's pod with emptyDir",
        kills::pod_with_empty_dir,
    ),
    (
        "killed midway: the udf's container without a store",
        kills::container_without_store,
    ),
    (
        "killed midway: the udf's container with emptyDir",
        kills::container_with_empty_dir,
    ),
    ("killed midway: the generator's pod", kills::generator),
    (
        "three replicas of JetStream: one lost costs no event",
        losses::replicated_jetstream,
    ),
    ("volumes: a lost or replaced pod costs no event", losses::volumes),
    ("the manifests by kubectl apply, and delete", manifests::applied),
    (
        "the experiment as a Job: rights, run, collect, uninstall",
        experiment::as_a_job,
    ),
    (
        "the experiment as a Job: fails on a missed threshold",
        experiment::threshold_missed,
    ),
    ("the experiment as a Job: searches", experiment::searches_as_a_job),
    ("the experiment from outside", experiment::from_outside),
    (
        "an unkeyed reduce with 5 keys: one record per window, the ledger balances",
        reduces::unkeyed,
    ),
    (
        "two partitions with 10 keys: close tails side by side, the ledger balances",
        reduces::two_partitions,
    ),
    (
        "1,000 keys while the kubelet rotates the sink's log: no window censored",
        reduces::rotated_log,
    ),
    (
        "an image of one's own between a source and a sink of one's own: results and records apart by tag",
        own::between_own_source_and_sink,
    ),
    ("the experiment measures an image of one's own", own::measured),
    (
        "a program of one's own with payloads of one's own: means as by hand, its tag on a conditional edge",
        scored::means_and_tags,
    ),
    (
        "killed midway: the pod of a program of one's own with emptyDir",
        scored::pod_with_empty_dir,
    ),
    (
        "killed midway: the container of a program of one's own with emptyDir, what is replayed is named",
        scored::container_with_empty_dir,
    ),
    (
        "uninstall in the middle of an experiment leaves nothing",
        experiment::uninstalled_midway,
    ),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // In parallel they would disturb one another's times and leftovers.
    arguments.test_threads = Some(1);
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    let lab = match Lab::open() {
        Ok(lab) => Arc::new(lab),
        Err(sentence) => {
            eprintln!("test-cluster: {sentence}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion = libtest_mimic::run(&arguments, trials(Some(&lab)));
    if let Err(sentence) = lab.close() {
        eprintln!("test-cluster: {sentence}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// Without a cluster, tests can only be listed.
fn trials(lab: Option<&Arc<Lab>>) -> Vec<Trial> {
    let trial = |(name, step): &Named| {
        let (lab, step) = (lab.map(Arc::clone), *step);
        Trial::test(*name, move || {
            let lab = lab.ok_or("no cluster")?;
            step(&lab).map_err(|what| lab.explain(&what).into())
        })
    };
    STEPS.iter().map(trial).collect()
}
