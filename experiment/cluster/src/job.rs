//! An experiment in a Job: only its log and the objects that it applies outlive the pod. So the journal is written to
//! standard output between two marker lines, and the summary into a ConfigMap that the Job owns.

use std::collections::BTreeMap;
use std::io::{self, Write};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::client::requests::apply;
use crate::client::{Cluster, ClusterError};
use crate::labels::RUN_LABEL;
use crate::ownership::Owner;
use trials::trial::Trial;

/// The line before the journal.
pub const BEGIN: &str = "-----BEGIN ASYNC-REDUCE JOURNAL-----";

/// The line after the journal.
pub const END: &str = "-----END ASYNC-REDUCE JOURNAL-----";

/// The longest journal: the kubelet rotates a container's log at 10 MiB (`containerLogMaxSize`), which must also hold the
/// lines before the journal and the runtime's prefix of every line.
pub const MAX_JOURNAL_BYTES: u64 = 8 << 20;

/// A whole ConfigMap may take 1 MiB (Kubernetes' `core.MaxSecretSize`).
const MAX_SUMMARY_BYTES: usize = 900 << 10;

/// The line of the run without the text of its plan: at most 0.7 KiB in measurements.
const BYTES_PER_RUN: u64 = 4 << 10;

/// The line of a trial with few events, without its windows: in measurements at most 3.5 KiB with the local engine, and
/// 4.6 KiB in a cluster, with Numaflow's metrics.
const BYTES_PER_TRIAL: u64 = 8 << 10;

/// One window: at most 260 bytes in measurements.
const BYTES_PER_WINDOW: u64 = 512;

/// Growth of a trial's four histograms with the number of different durations in them: in measurements at most 2.4 bytes
/// per event up to 1,600 events, and less beyond.
const BYTES_PER_EVENT: u64 = 4;

/// Size at which the histograms hardly grow any more: at most 15 KiB at 16,000 events in measurements.
const MAX_HISTOGRAM_BYTES: u64 = 32 << 10;

/// Bytes that the journal of these trials may take: two to five times what measured journals took.
pub fn expected_bytes(trials: &[Trial], plan_text: &str) -> u64 {
    // The plan's text is a JSON string: a line feed takes two bytes, and hardly any character more.
    let run = BYTES_PER_RUN.saturating_add(2 * plan_text.len() as u64);
    trials.iter().fold(run, |sum, trial| {
        let windows = u64::from(trial.settings.warmup).saturating_add(u64::from(trial.settings.windows));
        let events = trial.settings.events_per_window().saturating_mul(windows);
        sum.saturating_add(BYTES_PER_TRIAL)
            .saturating_add(BYTES_PER_WINDOW.saturating_mul(windows))
            .saturating_add(BYTES_PER_EVENT.saturating_mul(events).min(MAX_HISTOGRAM_BYTES))
    })
}

/// Checks before the first trial that the journal fits into the log.
///
/// # Errors
/// Returns [`ClusterError::JournalTooLong`] if it may not.
pub fn check_length(trials: &[Trial], plan_text: &str) -> Result<(), ClusterError> {
    match expected_bytes(trials, plan_text) {
        expected_bytes if expected_bytes > MAX_JOURNAL_BYTES => Err(ClusterError::JournalTooLong {
            trials: trials.len(),
            expected_bytes,
            limit_bytes: MAX_JOURNAL_BYTES,
        }),
        _ => Ok(()),
    }
}

/// Writes a journal between its markers. The caller must not write to either of the container's streams meanwhile: the
/// runtime splits lines above 16 KiB, and a line of the other stream can come between the parts.
///
/// # Errors
/// Returns an error if `out` cannot be written to.
pub fn write_journal(journal: &[u8], out: &mut dyn Write) -> io::Result<()> {
    // Without the last line if it is cut: readers of a journal ignore it anyway.
    let whole = journal
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    writeln!(out, "{BEGIN}")?;
    out.write_all(&journal[..whole])?;
    writeln!(out, "{END}")?;
    out.flush()
}

/// Name of the ConfigMap with the summary.
pub fn summary_name(job: &str) -> String {
    format!("{job}-summary")
}

/// Applies the ConfigMap with the summary: files with their texts, the most important first.
///
/// # Errors
/// Returns an error if the API server refuses it.
pub async fn write_summary(
    cluster: &Cluster,
    owner: &Owner,
    job: &str,
    files: Vec<(String, String)>,
) -> Result<(), ClusterError> {
    let name = summary_name(job);
    let summary = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some([(RUN_LABEL.to_owned(), owner.run_id.clone())].into()),
            owner_references: Some(vec![owner.reference.clone()]),
            ..ObjectMeta::default()
        },
        data: Some(fitting(files)),
        ..ConfigMap::default()
    };
    apply(&cluster.api::<ConfigMap>(), "ConfigMap", &name, &summary).await
}

/// The texts, cut at the end of a line if a ConfigMap cannot hold them all: each has an equal share of the room that those
/// before it leave.
fn fitting(files: Vec<(String, String)>) -> BTreeMap<String, String> {
    let mut room = MAX_SUMMARY_BYTES;
    let mut after = files.len();
    let mut fitting = BTreeMap::new();
    for (name, mut text) in files {
        let share = room / after.max(1);
        if text.len() > share {
            let line = text.as_bytes()[..share].iter().rposition(|byte| *byte == b'\n');
            text.truncate(line.map_or(0, |at| at + 1));
            text.push_str("(cut: the journal has the rest)\n");
        }
        room = room.saturating_sub(text.len());
        after -= 1;
        fitting.insert(name, text);
    }
    fitting
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use trials::plan::Plan;

    const CLASSIC: &str = include_str!("../../../plans/classic.yaml");

    /// Bytes of a kept journal, and those expected for its plan.
    fn kept(journal: &str, plan: &str) -> (u64, u64) {
        let trials = Plan::parse(plan, "plan").unwrap().trials();
        (journal.len() as u64, expected_bytes(&trials, plan))
    }

    #[test]
    fn journals_are_shorter_than_expected() {
        for (journal, plan) in [
            (
                include_str!("../../../results/2026-11-23-classic/journal.jsonl"),
                CLASSIC,
            ),
            (
                include_str!("../../../results/2026-11-23-start-rules/journal.jsonl"),
                include_str!("../../../plans/start-rules.yaml"),
            ),
        ] {
            let (took, expected) = kept(journal, plan);
            assert!(expected > took * 3 / 2, "{expected} {took}");
            assert!(expected < took * 6, "{expected} {took}");
        }
    }

    #[test]
    fn a_journal_that_may_be_too_long_is_refused() {
        let trials = Plan::parse(CLASSIC, "plan").unwrap().trials();
        check_length(&trials, CLASSIC).unwrap();
        let many: Vec<Trial> = std::iter::repeat_n(trials, 20).flatten().collect();
        let error = check_length(&many, CLASSIC).unwrap_err();
        assert!(error.is_wrong_use());
        assert!(
            error
                .to_string()
                .starts_with("the journal of 480 trials may take")
        );
    }

    #[test]
    fn a_journal_is_written_between_its_markers() {
        let mut out = Vec::new();
        write_journal(b"{\"a\":1}\n{\"b\":2}\n{\"cut", &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("{BEGIN}\n{{\"a\":1}}\n{{\"b\":2}}\n{END}\n")
        );
    }

    #[test]
    fn a_summary_fits_into_a_config_map() {
        let file = |name: &str, text: String| (name.to_owned(), text);
        let line = "ü,1,2,3\n";
        let long = line.repeat((2 << 20) / line.len());
        let both = fitting(vec![
            file("summary.md", long.clone()),
            file("summary.csv", long.clone()),
        ]);
        assert!(both.values().map(String::len).sum::<usize>() < 1 << 20);
        assert!(both["summary.csv"].ends_with("ü,1,2,3\n(cut: the journal has the rest)\n"));
        let short = fitting(vec![
            file("summary.md", "# a\n".to_owned()),
            file("summary.csv", long),
        ]);
        assert_eq!(short["summary.md"], "# a\n");
        assert!(
            short["summary.csv"].len() > 800 << 10,
            "it has the rest of the room"
        );
    }
}
