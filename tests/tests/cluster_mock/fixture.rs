//! The fixture of these tests: a mocked cluster, a folder, and the command under test.

use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;
use tests::kube::{Cluster, Trouble};
use tokio::task::block_in_place;
use trials::outcome::{TrialEnd, TrialOutcome};

use super::run_dir::{Ended, RunDir, text, tiny, wait_until};

/// A cluster, and a folder with a plan and a kubeconfig.
pub struct Fixture {
    pub cluster: Cluster,
    pub dir: RunDir,
}

impl Fixture {
    pub async fn new(trouble: Trouble) -> Self {
        let cluster = Cluster::start(trouble).await;
        let dir = RunDir::new();
        cluster.write_kubeconfig(&dir.path("kubeconfig"));
        Self { cluster, dir }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.dir.command(args);
        command
            .env("KUBECONFIG", self.dir.path("kubeconfig"))
            .env_remove("KUBERNETES_SERVICE_HOST");
        command
    }

    /// Runs any subcommand to its end.
    pub fn experiment(&self, args: &[&str]) -> Ended {
        let output = block_in_place(|| self.command(args).output().unwrap());
        Ended::of(&output)
    }

    pub fn plan(&self, strategies: &str) -> PathBuf {
        self.dir.plan(&tiny(strategies))
    }

    /// Runs the tiny plan with these strategies into the folder `o`.
    pub fn run(&self, strategies: &str, more: &[&str]) -> Ended {
        let plan = self.plan(strategies);
        self.experiment(&arguments(&plan, more))
    }

    /// Starts the same run; returns it with its progress, line by line.
    pub fn start(&self, strategies: &str, more: &[&str]) -> (Child, Lines<BufReader<ChildStderr>>) {
        let plan = self.plan(strategies);
        let mut command = self.command(&arguments(&plan, more));
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        (child, lines)
    }

    pub fn outcomes(&self) -> Vec<TrialOutcome> {
        self.dir.outcomes("o")
    }

    /// The reason why the only trial failed.
    pub fn reason(&self) -> String {
        let outcomes = self.outcomes();
        match outcomes.as_slice() {
            [outcome] => match &outcome.end {
                TrialEnd::Failed { reason } => reason.clone(),
                other => panic!("it did not fail: {other:?}"),
            },
            other => panic!("not one outcome: {other:?}"),
        }
    }

    /// Asserts that nothing is left of what the run created. Numaflow's clean-up takes a moment.
    pub fn assert_nothing_left(&self) {
        block_in_place(|| wait_until(|| self.cluster.names().is_empty()));
        self.dir.assert_nothing_left();
    }

    /// Waits for a Pipeline whose sink has started.
    pub fn await_pipeline(&self) -> Value {
        let running = || {
            let pods = self.cluster.list("", "pods");
            let is_sink = |pod: &&Value| {
                pod["metadata"]["labels"]["numaflow.numaproj.io/vertex-name"] == "sink"
                    && pod["status"]["phase"] == "Running"
            };
            pods.iter().find(is_sink).is_some()
        };
        block_in_place(|| wait_until(running));
        self.cluster.list(tests::kube::NUMAFLOW, "pipelines").remove(0)
    }
}

fn arguments<'a>(plan: &'a std::path::Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["run", text(plan), "--engine", "cluster", "--out", "o"];
    args.extend(more);
    args
}

/// Waits for a line of progress that contains the words.
pub fn wait_for_line(lines: &mut Lines<BufReader<ChildStderr>>, words: &str) -> String {
    block_in_place(|| super::run_dir::wait_for(lines, words))
}

/// Asserts that a trial of the tiny plan ran to its end: both windows full, every event found.
pub fn assert_whole(outcome: &TrialOutcome) {
    assert_eq!(outcome.end, TrialEnd::Completed, "{outcome:?}");
    let ledger = outcome.ledger.as_ref().unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    assert!(
        ledger.ok >= 40 && ledger.failed == 0 && ledger.lost == 0 && ledger.late == 0,
        "{ledger:?}"
    );
    assert_eq!(outcome.windows.len(), 2);
    for window in &outcome.windows {
        let measured = window.measured.as_ref().unwrap();
        assert_eq!(
            (measured.keys, measured.events, measured.ok),
            (2, 20, 20),
            "{measured:?}"
        );
    }
}
