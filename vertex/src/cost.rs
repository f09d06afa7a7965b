//! Processor time, memory and threads of a process with its descendants, sampled from `/proc`. A separate thread takes the
//! samples, so that they do not delay the runtime that drives the trial. Linux only.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::proc::{Stat, processes};

/// Between two samples: short compared with a window, long compared with a sample of some tens of microseconds.
const PERIOD: Duration = Duration::from_millis(200);

/// Samples between two searches for new children; a search reads a file of every process of the machine.
const SEARCH_EVERY: u32 = 5;

/// Resources used by a process and its descendants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, user and system, of running and of reaped processes, µs.
    pub cpu_us: u64,
    /// Highest resident memory of a sample, bytes, summed over processes.
    pub peak_memory_bytes: u64,
    /// Highest number of threads of a sample, summed over processes.
    pub peak_threads: u64,
}

/// Takes samples until it is finished or dropped.
#[derive(Debug)]
pub struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Option<Usage>>,
}

impl Sampler {
    /// Starts to sample the process `pid` and its descendants; `None` without `/proc` or such a process.
    pub fn start(pid: u32) -> Option<Self> {
        Stat::read(pid)?;
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("cost".to_owned())
            .spawn(move || {
                let mut usage = None;
                let mut pids = vec![pid];
                for sample in 0u32.. {
                    let ended = stopped.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout);
                    if ended || sample % SEARCH_EVERY == 0 {
                        pids = descendants(pid);
                    }
                    add_sample(&mut usage, pids.iter().filter_map(|pid| Stat::read(*pid)));
                    if ended {
                        break;
                    }
                }
                usage
            })
            .ok()?;
        Some(Self { stop, thread })
    }

    /// Takes a last sample and stops; `None` if no sample could be taken. Blocks for the duration of a sample.
    pub fn finish(self) -> Option<Usage> {
        drop(self.stop);
        self.thread.join().ok().flatten()
    }
}

/// One sample of the process `pid` and its descendants; `None` without `/proc` or such a process.
pub fn sample(pid: u32) -> Option<Usage> {
    let mut usage = None;
    add_sample(&mut usage, descendants(pid).into_iter().filter_map(Stat::read));
    usage
}

/// One sample of the process `pid` alone; `None` without `/proc` or such a process.
pub fn sample_alone(pid: u32) -> Option<Usage> {
    let mut usage = None;
    add_sample(&mut usage, Stat::read(pid).into_iter());
    usage
}

fn add_sample(usage: &mut Option<Usage>, stats: impl Iterator<Item = Stat>) {
    let sample = stats.fold(None, |sum: Option<Usage>, stat| {
        let sum = sum.unwrap_or_default();
        Some(Usage {
            cpu_us: sum.cpu_us + micros(stat.cpu + stat.ended_children_cpu),
            peak_memory_bytes: sum.peak_memory_bytes + stat.resident_bytes,
            peak_threads: sum.peak_threads + stat.threads,
        })
    });
    if let Some(sample) = sample {
        let highest = usage.unwrap_or_default();
        *usage = Some(Usage {
            cpu_us: highest.cpu_us.max(sample.cpu_us),
            peak_memory_bytes: highest.peak_memory_bytes.max(sample.peak_memory_bytes),
            peak_threads: highest.peak_threads.max(sample.peak_threads),
        });
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The process and its descendants.
fn descendants(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in processes() {
        if let Some(stat) = Stat::read(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        // Removed, so that a process id that is reused while reading cannot make a cycle.
        found.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_counted_with_its_children() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        // The outer shell reports once its child runs, then waits for it; the child ends with standard input.
        let mut outer = Command::new("sh")
            .args(["-c", "sh -c 'echo up; read line; exit'; exit"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(outer.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "up\n");
        let usage = Sampler::start(outer.id()).unwrap().finish().unwrap();
        assert_eq!(usage.peak_threads, 2, "two shells of one thread each");
        assert!(usage.peak_memory_bytes > 100_000, "{usage:?}");
        assert!(Sampler::start(u32::MAX).is_none());
        drop(outer.stdin.take());
        outer.wait().unwrap();
    }
}
