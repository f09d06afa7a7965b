//! What a running process holds and how it ends, as the system tells it.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use crate::children_of;

/// Most resident memory that a process and its children have had so far, in bytes.
///
/// # Panics
/// Where the process is gone.
pub fn peak_memory_bytes(process: u32) -> u64 {
    let peak = |process| status_bytes(process, "VmHWM:");
    let children = children_of(process).into_iter().filter_map(peak);
    peak(process).expect("the process runs") + children.sum::<u64>()
}

/// Resident memory of a process, in bytes; nothing where it is gone.
pub fn memory_bytes(process: u32) -> Option<u64> {
    status_bytes(process, "VmRSS:")
}

/// How many file descriptors a process has open; nothing where it is gone.
pub fn descriptors(process: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

/// Whether there is such a process that is not just waiting to be collected.
pub fn runs(process: u32) -> bool {
    // The state is the field after the name, which is in brackets (proc_pid_stat(5)).
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Sends a signal.
///
/// # Panics
/// Where the process is gone.
pub fn signal(process: u32, signal: Signal) {
    let id = i32::try_from(process).ok().and_then(Pid::from_raw);
    kill_process(id.expect("a process id"), signal).expect("the process is there");
}

/// Tells a child to stop and waits for its end; its standard input stays open, which `Child::wait` would close first.
///
/// # Panics
/// Where it does not end within `patience`.
pub async fn terminate(child: &mut Child, patience: Duration) -> ExitStatus {
    signal(child.id().expect("it runs"), Signal::TERM);
    ended(child, patience).await
}

/// Waits for a child's end; its standard input stays open, which `Child::wait` would close first.
///
/// # Panics
/// Where it does not end within `patience`.
pub async fn ended(child: &mut Child, patience: Duration) -> ExitStatus {
    let stdin = child.stdin.take();
    let status = tokio::time::timeout(patience, child.wait()).await;
    drop(stdin);
    status.expect("it ends in time").expect("it can be waited for")
}

/// Looks until it is so.
///
/// # Panics
/// Where it is not so within `patience`.
pub async fn until(what: &str, patience: Duration, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !so() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A field of `/proc/PID/status` that is in kB (proc_pid_status(5)).
fn status_bytes(process: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}
