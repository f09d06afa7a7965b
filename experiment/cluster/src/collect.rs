//! Collects the journal of an experiment that runs as a Job: waits for the Job's end, reads the log of its pod and extracts
//! what is between the markers, whole or not at all.

mod extract;
mod find;

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use wire::format_duration;

use crate::client::requests::get;
use crate::client::{Cluster, ClusterError};
use crate::completion::pod_has_ended;
use crate::diagnosis::{Scene, explain};
use crate::job::END;
use crate::poll::Poll;
use trials::journal::FILE_NAME;

pub use self::extract::{ExtractError, extract};

/// Between two checks of the Job.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Between two lines about the progress.
const NOTE_EVERY: Duration = Duration::from_secs(30);

/// Why a journal could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The folder holds a journal already.
    #[error("--out: `{}` holds a journal already: choose another folder", .0.display())]
    Exists(PathBuf),
    /// The journal could not be written; no part of it has been.
    #[error("--out: cannot write to `{}`: {source}", folder.display())]
    Write { folder: PathBuf, source: std::io::Error },
    /// The Job had not ended when the time was up.
    #[error("Job {job} still runs after {}: collect again later, or wait longer with --within", format_duration(*within))]
    Runs { job: String, within: Duration },
    /// The Job has no pod whose log could be read.
    #[error("Job {job} {how}, and its pod is gone, and with it the log and the journal")]
    NoPod {
        job: String,
        /// How the Job ended, as part of the sentence.
        how: String,
    },
    /// The log holds no whole journal.
    #[error("the log of pod {pod}: {source}{}{last_lines}", if last_lines.is_empty() { "" } else { "; it ends with: " })]
    Extract {
        pod: String,
        source: ExtractError,
        /// The end of the log, in one line.
        last_lines: String,
    },
}

impl CollectError {
    /// Whether the arguments are wrong, rather than that something failed.
    pub fn is_wrong_use(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_wrong_use(),
            other => matches!(other, Self::Exists(_)),
        }
    }
}

/// A journal that was collected, and how its experiment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// Full name of the Job.
    pub job: String,
    /// The journal, as the experiment wrote it.
    pub journal: String,
    /// Exit status of the experiment; 1 if it is unknown.
    pub exit: u8,
    /// What the experiment logged after the journal, in one line.
    pub last_lines: String,
}

/// Waits until the Job called `name`, or the only one whose name starts with it, has ended, and extracts the journal from
/// its log. `note` receives lines about the progress.
///
/// # Errors
/// Returns an error if there is no such Job, it runs for longer than `within`, or its log holds no whole journal.
pub async fn collect(
    cluster: &Cluster,
    name: &str,
    within: Duration,
    note: &(dyn Fn(&str) + Sync),
) -> Result<Collected, CollectError> {
    let job = find::job(cluster, name).await?;
    let (pod, container) = ended_pod(cluster, &job, within, note).await?;
    let pod_name = pod.metadata.name.clone().unwrap_or_default();
    let log = log(cluster, &pod_name, &container, None).await?;
    match extract(&log) {
        Ok(found) => Ok(Collected {
            job,
            journal: found.journal,
            exit: exit_status(&pod, &container),
            last_lines: last_lines(found.after, 3),
        }),
        Err(source) => Err(CollectError::Extract {
            last_lines: last_lines(&log, 3),
            pod: pod_name,
            source,
        }),
    }
}

/// Checks that a folder holds no journal yet.
///
/// # Errors
/// Returns [`CollectError::Exists`] if it does.
pub fn check_folder(folder: &Path) -> Result<(), CollectError> {
    if folder.join(FILE_NAME).exists() {
        return Err(CollectError::Exists(folder.to_owned()));
    }
    Ok(())
}

/// Writes the journal into `folder`, which is created if it does not exist: whole or not at all, and never over another.
///
/// # Errors
/// Returns an error if the folder holds a journal or cannot be written to.
pub fn keep(folder: &Path, journal: &str) -> Result<(), CollectError> {
    let error = |source| CollectError::Write {
        folder: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(error)?;
    let mut file = tempfile::Builder::new()
        .prefix(".journal")
        // As any new file: the umask removes what the user does not want.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(error)?;
    file.write_all(journal.as_bytes()).map_err(error)?;
    file.as_file().sync_all().map_err(error)?;
    match file.persist_noclobber(folder.join(FILE_NAME)) {
        Ok(_) => Ok(()),
        Err(kept) if kept.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(CollectError::Exists(folder.to_owned()))
        }
        Err(kept) => Err(error(kept.error)),
    }
}

/// Waits for the end of the Job's pod. Returns the pod and the name of the experiment's container.
async fn ended_pod(
    cluster: &Cluster,
    job: &str,
    within: Duration,
    note: &(dyn Fn(&str) + Sync),
) -> Result<(Pod, String), CollectError> {
    let no_pod = |how: String| CollectError::NoPod {
        job: job.to_owned(),
        how,
    };
    let poll = Poll::new(CHECK_EVERY, within);
    let mut note_at = Duration::ZERO;
    let mut noted = String::new();
    loop {
        // The Job first: were it read after its pod, it might have ended in between and its pod seem to be lost.
        let found = get(&cluster.api::<Job>(), "Job", job).await?;
        match find::pod(cluster, job).await? {
            Some(pod) if pod_has_ended(&pod) => {
                let container = find::container(&pod);
                return Ok((pod, container));
            }
            Some(pod) if poll.elapsed() >= note_at => {
                note_at = poll.elapsed() + NOTE_EVERY;
                let progress = progress(cluster, &pod).await;
                if progress != noted {
                    note(&progress);
                    noted = progress;
                }
            }
            Some(_) => {}
            None => match found.as_ref().map(find::how_ended) {
                None => return Err(no_pod("is gone".to_owned())),
                Some(Some(how)) => return Err(no_pod(how)),
                Some(None) => {}
            },
        }
        if !poll.again().await {
            return Err(CollectError::Runs {
                job: job.to_owned(),
                within,
            });
        }
    }
}

/// The last line of the log, or why there is none yet.
async fn progress(cluster: &Cluster, pod: &Pod) -> String {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let scene = Scene {
        pods: std::slice::from_ref(pod),
        ..Scene::default()
    };
    if let Some(diagnosis) = explain(&scene) {
        return diagnosis.to_string();
    }
    // Before the container runs there is no log, which is no failure.
    let container = find::container(pod);
    let line = log(cluster, &name, &container, Some(1)).await.unwrap_or_default();
    match line.trim() {
        "" => format!("waiting for pod {name}"),
        // The last line before the pod counts as ended.
        END => format!("{name}: the journal is written"),
        line => format!("{name}: {line}"),
    }
}

async fn log(
    cluster: &Cluster,
    pod: &str,
    container: &str,
    tail_lines: Option<i64>,
) -> Result<String, ClusterError> {
    let params = LogParams {
        container: Some(container.to_owned()),
        tail_lines,
        ..LogParams::default()
    };
    let log = cluster.api::<Pod>().logs(pod, &params).await;
    log.map_err(|error| ClusterError::request("read", format!("the log of pod {pod}"), error))
}

/// The exit status of the container; 1 if it is unknown.
fn exit_status(pod: &Pod, container: &str) -> u8 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let code = statuses
        .into_iter()
        .flatten()
        .find(|status| status.name == container)
        .and_then(|status| status.state.as_ref()?.terminated.as_ref())
        .map(|end| end.exit_code);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The last `count` lines that are not blank, in one line.
fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join(" | ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_journal_is_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        check_folder(&out).unwrap();
        keep(&out, "one\n").unwrap();
        assert!(matches!(check_folder(&out), Err(CollectError::Exists(_))));
        let again = keep(&out, "two\n").unwrap_err();
        assert!(again.is_wrong_use(), "{again}");
        assert_eq!(std::fs::read_to_string(out.join(FILE_NAME)).unwrap(), "one\n");
        let names: Vec<_> = std::fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, [FILE_NAME]);
        assert_eq!(last_lines("a\n\nb\nc\nd\n", 2), "c | d");
    }
}
