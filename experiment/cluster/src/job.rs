//! An experiment inside a Job: nothing that it writes outlives its pod but its log and what it applies. So the journal goes
//! to standard output between two marker lines, and the summary into a ConfigMap that belongs to the Job.

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

/// What a journal may take: the kubelet rotates a container's log at 10 MiB (`containerLogMaxSize`), and what comes before
/// the journal, and the runtime's own mark on every line, want room as well.
pub const MAX_JOURNAL_BYTES: u64 = 8 << 20;

/// A ConfigMap may take 1 MiB with everything in it (Kubernetes' `core.MaxSecretSize`).
const MAX_SUMMARY_BYTES: usize = 900 << 10;

/// The line of the run, its plan's text apart: measured at most 0.7 KiB.
const BYTES_PER_RUN: u64 = 4 << 10;

/// Of the line of a trial with few events, its windows apart: measured at most 3.5 KiB on the local engine and 4.6 KiB in a
/// cluster, with Numaflow's figures.
const BYTES_PER_TRIAL: u64 = 8 << 10;

/// Of one window: measured at most 260 bytes.
const BYTES_PER_WINDOW: u64 = 512;

/// By which a trial's four histograms grow with the number of different durations in them: measured at most 2.4 bytes per
/// event up to 1,600 events, and less beyond.
const BYTES_PER_EVENT: u64 = 4;

/// Beyond so many bytes the histograms hardly grow: measured at most 15 KiB at 16,000 events.
const MAX_HISTOGRAM_BYTES: u64 = 32 << 10;

/// What the journal of these trials may take in bytes: twice to five times what journals took that were measured.
pub fn expected_bytes(trials: &[Trial], plan_text: &str) -> u64 {
    // A line of the plan is escaped as JSON: a line feed takes two bytes, hardly anything takes more.
    let run = BYTES_PER_RUN.saturating_add(2 * plan_text.len() as u64);
    trials.iter().fold(run, |sum, trial| {
        let windows = u64::from(trial.settings.warmup).saturating_add(u64::from(trial.settings.windows));
        let events = trial.settings.events_per_window().saturating_mul(windows);
        sum.saturating_add(BYTES_PER_TRIAL)
            .saturating_add(BYTES_PER_WINDOW.saturating_mul(windows))
            .saturating_add(BYTES_PER_EVENT.saturating_mul(events).min(MAX_HISTOGRAM_BYTES))
    })
}

/// Refuses trials whose journal might not fit into the log, before the first of them.
///
/// # Errors
/// [`ClusterError::JournalTooLong`].
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

/// Writes a journal between its markers. Nothing else may be written to either of the container's streams meanwhile: the
/// runtime splits lines above 16 KiB, and another stream's line can come between the parts.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn write_journal(journal: &[u8], out: &mut dyn Write) -> io::Result<()> {
    // Of a line that was cut only the markers would tell; a reader takes it as absent.
    let whole = journal
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    writeln!(out, "{BEGIN}")?;
    out.write_all(&journal[..whole])?;
    writeln!(out, "{END}")?;
    out.flush()
}

/// Name of the ConfigMap with the summary of a Job's experiment.
pub fn summary_name(job: &str) -> String {
    format!("{job}-summary")
}

/// Applies the summary: Markdown under `summary.md`, CSV under `summary.csv`.
///
/// # Errors
/// Where the API server refuses it.
pub async fn write_summary(
    cluster: &Cluster,
    owner: &Owner,
    job: &str,
    markdown: String,
    csv: String,
) -> Result<(), ClusterError> {
    let name = summary_name(job);
    let summary = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some([(RUN_LABEL.to_owned(), owner.run_id.clone())].into()),
            owner_references: Some(vec![owner.reference.clone()]),
            ..ObjectMeta::default()
        },
        data: Some(fitting(markdown, csv).into()),
        ..ConfigMap::default()
    };
    apply(&cluster.api::<ConfigMap>(), "ConfigMap", &name, &summary).await
}

/// The two texts, cut at a line's end where a ConfigMap could not hold both.
fn fitting(markdown: String, csv: String) -> [(String, String); 2] {
    let cut = |text: String, room: usize| {
        if text.len() <= room {
            return text;
        }
        let line = text.as_bytes()[..room].iter().rposition(|byte| *byte == b'\n');
        let line = line.map_or(0, |at| at + 1);
        format!("{}(cut: the journal has the rest)\n", &text[..line])
    };
    let csv = cut(csv, MAX_SUMMARY_BYTES / 2);
    let markdown = cut(markdown, MAX_SUMMARY_BYTES - csv.len());
    [
        ("summary.md".to_owned(), markdown),
        ("summary.csv".to_owned(), csv),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use trials::plan::Plan;

    const CLASSIC: &str = include_str!("../../../plans/classic.yaml");

    /// What a kept journal took, with what would have been expected of its plan.
    fn kept(journal: &str, plan: &str) -> (u64, u64) {
        let trials = Plan::parse(plan, "plan").unwrap().trials();
        (journal.len() as u64, expected_bytes(&trials, plan))
    }

    #[test]
    fn what_is_expected_is_more_than_what_journals_take() {
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
    fn a_journal_that_would_be_cut_is_refused() {
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
    fn a_journal_stands_between_its_markers() {
        let mut out = Vec::new();
        write_journal(b"{\"a\":1}\n{\"b\":2}\n{\"cut", &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("{BEGIN}\n{{\"a\":1}}\n{{\"b\":2}}\n{END}\n")
        );
    }

    #[test]
    fn a_summary_fits_into_a_config_map() {
        let line = "ü,1,2,3\n";
        let long = line.repeat((2 << 20) / line.len());
        let [(_, markdown), (_, csv)] = fitting(long.clone(), long);
        assert!(markdown.len() + csv.len() < 1 << 20);
        assert!(csv.ends_with("ü,1,2,3\n(cut: the journal has the rest)\n"));
        let [(_, markdown), _] = fitting("# a\n".to_owned(), "b\n".to_owned());
        assert_eq!(markdown, "# a\n");
    }
}
