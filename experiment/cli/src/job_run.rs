//! A run inside a Job: checks before it, and publishing of its journal and summary at its end.

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cluster::ownership::Owner;
use cluster::{Cluster, ClusterError, job};
use trials::journal;
use trials::trial::Trial;

use crate::failure::Failure;
use crate::progress;

/// The files of a summary, those of a search among them.
const SUMMARY: [&str; 4] = ["search.md", "search.json", "summary.md", "summary.csv"];

/// A run that belongs to a Job.
pub struct JobRun {
    cluster: Cluster,
    name: String,
}

impl JobRun {
    /// # Errors
    /// Returns an error if the journal of these trials would not fit into the log of the Job `name`.
    pub fn new(cluster: Cluster, name: String, trials: &[Trial], plan_text: &str) -> Result<Self, Failure> {
        job::check_length(trials, plan_text)?;
        Ok(Self { cluster, name })
    }

    /// Default folder for journal and report: the root file system is read-only.
    pub fn folder(&self) -> PathBuf {
        std::env::temp_dir().join(&self.name)
    }

    /// Writes the summary, if there is one, to the cluster and the journal to standard output.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read or written.
    pub async fn publish(&self, folder: &Path) -> Result<(), Failure> {
        if let Err(error) = self.publish_summary(folder).await {
            // Not fatal: the summary can be drawn from the journal.
            progress::note(&format!("no summary: {}", vertex::one_line(&error)));
        }
        let path = folder.join(journal::FILE_NAME);
        if !path.exists() {
            // The run ended before its first trial; its error says why.
            return Ok(());
        }
        let text = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        // Locked, because a line on the other stream could split a line of the journal in the pod's log.
        let mut stderr = stderr().lock();
        let _ = stderr.flush();
        job::write_journal(&text, &mut stdout().lock())
            .context("cannot write the journal to standard output")?;
        Ok(())
    }

    async fn publish_summary(&self, folder: &Path) -> Result<(), ClusterError> {
        let read = |name: &str| Some((name.to_owned(), std::fs::read_to_string(folder.join(name)).ok()?));
        let files: Vec<(String, String)> = SUMMARY.into_iter().filter_map(read).collect();
        if files.is_empty() {
            return Ok(());
        }
        let owner = Owner::job(&self.cluster, &self.name).await?;
        job::write_summary(&self.cluster, &owner, &self.name, files).await
    }
}
