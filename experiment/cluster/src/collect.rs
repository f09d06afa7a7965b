//! Brings the journal of an experiment that runs as a Job: waits for its end, reads its pod's log and takes what stands
//! between the markers, whole or not at all.

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
use tokio::time::{Instant, sleep};
use wire::format_duration;

use crate::client::{Cluster, ClusterError};
use crate::diagnosis::{Scene, explain};
use crate::job::END;
use trials::journal::FILE_NAME;

pub use self::extract::{ExtractError, extract};

/// Between two looks at the Job.
const EVERY: Duration = Duration::from_secs(5);

/// Between two lines that say how far it is.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Why a journal could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The cluster did not do what was asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// There is a journal already.
    #[error("--out: `{}` holds a journal already: choose another folder", .0.display())]
    Exists(PathBuf),
    /// The journal could not be written; nothing of it was.
    #[error("--out: cannot write to `{}`: {source}", folder.display())]
    Write {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The Job goes on.
    #[error("Job {job} still runs after {}: collect again later, or wait longer with --within", format_duration(*within))]
    Runs {
        /// Its name.
        job: String,
        /// How long was waited.
        within: Duration,
    },
    /// The Job has no pod whose log could be read.
    #[error("Job {job} {how}, and its pod is gone, and with it the log and the journal")]
    NoPod {
        /// Its name.
        job: String,
        /// How it ended.
        how: String,
    },
    /// The log holds no whole journal.
    #[error("the log of pod {pod}: {source}{}{said}", if said.is_empty() { "" } else { "; it ends with: " })]
    Extract {
        /// The pod.
        pod: String,
        /// What is wrong.
        source: ExtractError,
        /// Its last lines, in one.
        said: String,
    },
}

impl CollectError {
    /// Whether the command was wrong, in contrast to something that failed.
    pub fn is_wrong_use(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_wrong_use(),
            other => matches!(other, Self::Exists(_)),
        }
    }
}

/// What was brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// Name of the Job.
    pub job: String,
    /// The journal, as the experiment wrote it.
    pub journal: String,
    /// Exit status of the experiment.
    pub exit: u8,
    /// Its last words, in one line.
    pub said: String,
}

/// Waits until the Job called `name` (or the only one whose name begins so) has ended, and takes the journal from its log.
/// `tell` hears how far it is.
///
/// # Errors
/// Where there is no such Job, it goes on for longer than `within`, or its log holds no whole journal.
pub async fn collect(
    cluster: &Cluster,
    name: &str,
    within: Duration,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Collected, CollectError> {
    let job = find::job(cluster, name).await?;
    let (pod, container) = ended_pod(cluster, &job, within, tell).await?;
    let pod_name = pod.metadata.name.clone().unwrap_or_default();
    let log = log(cluster, &pod_name, &container, None).await?;
    let said = |log: &str| last_lines(log, 3);
    match extract(&log) {
        Ok(found) => Ok(Collected {
            job,
            journal: found.journal,
            exit: exit_status(&pod, &container),
            said: said(found.after),
        }),
        Err(source) => Err(CollectError::Extract {
            said: said(&log),
            pod: pod_name,
            source,
        }),
    }
}

/// Refuses a folder that has a journal.
///
/// # Errors
/// [`CollectError::Exists`].
pub fn check_folder(folder: &Path) -> Result<(), CollectError> {
    if folder.join(FILE_NAME).exists() {
        return Err(CollectError::Exists(folder.to_owned()));
    }
    Ok(())
}

/// Writes the journal into `folder`, which is made if need be: whole or not at all, and never over another.
///
/// # Errors
/// Where there is one, or the folder cannot be written to.
pub fn keep(folder: &Path, journal: &str) -> Result<(), CollectError> {
    let error = |source| CollectError::Write {
        folder: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(error)?;
    let mut file = tempfile::Builder::new()
        .prefix(".journal")
        // As of any file that is made: the system takes off what the user's umask forbids.
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

/// Waits for the end of the Job's pod; returns it with the name of the container that is the experiment.
async fn ended_pod(
    cluster: &Cluster,
    job: &str,
    within: Duration,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<(Pod, String), CollectError> {
    let until = Instant::now() + within;
    let mut say_at = Instant::now();
    let mut told = String::new();
    loop {
        let found = cluster.api::<Job>().get_opt(job).await;
        let found = found.map_err(|error| ClusterError::request("read", format!("Job {job}"), error))?;
        let pod = find::pod(cluster, job).await?;
        let over = pod.as_ref().is_some_and(find::is_over);
        let Some(pod) = pod else {
            match found.as_ref().map(find::how_ended) {
                None => return Err(no_pod(job, "is gone".to_owned())),
                Some(Some(how)) => return Err(no_pod(job, how)),
                Some(None) if Instant::now() >= until => return Err(runs(job, within)),
                Some(None) => {}
            }
            sleep(EVERY).await;
            continue;
        };
        let container = find::container(&pod);
        if over {
            return Ok((pod, container));
        }
        if Instant::now() >= until {
            return Err(runs(job, within));
        }
        if Instant::now() >= say_at {
            say_at = Instant::now() + SAY_EVERY;
            let now = progress(cluster, &pod, &container).await;
            if now != told {
                tell(&now);
                told = now;
            }
        }
        sleep(EVERY).await;
    }
}

fn runs(job: &str, within: Duration) -> CollectError {
    CollectError::Runs {
        job: job.to_owned(),
        within,
    }
}

fn no_pod(job: &str, how: String) -> CollectError {
    CollectError::NoPod {
        job: job.to_owned(),
        how,
    }
}

/// The last line of the log, or why there is none.
async fn progress(cluster: &Cluster, pod: &Pod, container: &str) -> String {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let scene = Scene {
        pods: std::slice::from_ref(pod),
        ..Scene::default()
    };
    if let Some(diagnosis) = explain(&scene) {
        return diagnosis.to_string();
    }
    // Before the container runs there is no log; that is no failure.
    let line = log(cluster, &name, container, Some(1)).await.unwrap_or_default();
    match line.trim() {
        "" => format!("waiting for pod {name}"),
        // Its last line before the pod counts as ended.
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

/// What the process ended with; 1 where that cannot be told.
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

/// The last lines of a text, in one.
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
