//! Memory and descriptors of every process of the run, sampled again and again.

use std::collections::BTreeMap;
use std::process::Child;
use std::time::{Duration, Instant};

use tests::children_of;
use tests::process::{descriptors, memory_bytes};

/// Pause between two samples.
const PERIOD: Duration = Duration::from_secs(2);

/// How much memory may grow once it has settled.
const GROWTH: f64 = 0.05;

/// Smaller growth is the allocator's granularity and no leak: a process of 15 MB varies by more than a twentieth.
const GRAIN_BYTES: f64 = 1024.0 * 1024.0;

/// Growth of the runner, which keeps its results until the trial ends: packed records of five keys, 5 to 9 KiB per
/// window.
const RUNNER_BYTES_PER_WINDOW: f64 = 16.0 * 1024.0;

/// The name of the runner itself.
const RUNNER: &str = "experiment";

/// Descriptors beside those of calls; the latter depend on the calls in flight.
const DESCRIPTORS: usize = 16;

/// One sample of one process.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    memory_bytes: u64,
    descriptors: usize,
}

/// All samples.
#[derive(Debug, Default)]
pub struct Watched {
    /// By process id, with the latest name: a process that has just been forked has its parent's name.
    looks: BTreeMap<u32, (String, Vec<Look>)>,
}

/// Samples a run and what it has started until it ends.
pub fn until_ended(run: &mut Child) -> Watched {
    let start = Instant::now();
    let mut watched = Watched::default();
    while matches!(run.try_wait(), Ok(None)) {
        let processes = std::iter::once(run.id()).chain(children_of(run.id()));
        for id in processes {
            watched.look(id, start.elapsed());
        }
        std::thread::sleep(PERIOD);
    }
    watched
}

impl Watched {
    fn look(&mut self, id: u32, at: Duration) {
        // Processes that are gone by now are left out.
        let look = || {
            let name = std::fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
            let look = Look {
                at,
                memory_bytes: memory_bytes(id)?,
                descriptors: descriptors(id)?,
            };
            Some((name.trim().to_owned(), look))
        };
        if let Some((name, look)) = look() {
            let of_process = self.looks.entry(id).or_default();
            of_process.0 = name;
            of_process.1.push(look);
        }
    }

    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.looks.keys().copied()
    }

    /// What grew after it had settled; prints all values.
    pub fn check(&self, settles: Duration, windows: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        let names = self.looks.values().filter(|(name, _)| name != RUNNER).count();
        if names != 4 {
            wrong.push(format!("four processes beside the runner, not {names}"));
        }
        println!("process      memory settled  at the end  change  descriptors settled  at the end");
        for (name, looks) in self.looks.values() {
            // The last seconds do not count, because processes stop.
            let end = looks
                .last()
                .map_or(Duration::ZERO, |look| look.at)
                .saturating_sub(PERIOD * 5);
            let steady: Vec<&Look> = looks
                .iter()
                .filter(|look| look.at >= settles && look.at <= end)
                .collect();
            if steady.len() < 10 {
                wrong.push(format!("{name}: only {} looks", steady.len()));
                continue;
            }
            let tenth = steady.len().div_ceil(10);
            let (first, last) = (&steady[..tenth], &steady[steady.len() - tenth..]);
            let memory = |looks: &[&Look]| median(looks.iter().map(|look| look.memory_bytes).collect());
            let open = |looks: &[&Look]| looks.iter().map(|look| look.descriptors).max().unwrap_or(0);
            let (before, after) = (memory(first), memory(last));
            println!(
                "{name:<12} {:>11.1} MiB {:>7.1} MiB {:>6.1}% {:>20} {:>11}",
                before / 1048576.0,
                after / 1048576.0,
                (after / before - 1.0) * 100.0,
                open(first),
                open(last),
            );
            let allowed = match name.as_str() {
                RUNNER => GRAIN_BYTES + RUNNER_BYTES_PER_WINDOW * windows as f64,
                _ => (before * GROWTH).max(GRAIN_BYTES),
            };
            if after - before > allowed {
                wrong.push(format!(
                    "{name}: its memory grew by {:.0} bytes, {allowed:.0} are allowed",
                    after - before
                ));
            }
            if open(last) > open(first) + DESCRIPTORS {
                wrong.push(format!(
                    "{name}: {} descriptors became {}",
                    open(first),
                    open(last)
                ));
            }
        }
        wrong
    }
}

fn median(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    values[values.len() / 2] as f64
}
