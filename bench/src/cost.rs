//! Processor time and memory of a process and its children from `/proc`. The kernel counts processor time in ticks of
//! 10 ms, so a figure needs a second of work to be accurate to a hundredth.

use std::time::Duration;

use launcher::Child;

use crate::error::BenchError;

/// Processor time and memory of a process and its children.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// Processor time, user and system.
    pub time: Duration,
    /// Current resident memory in bytes.
    pub memory_bytes: u64,
}

/// Of a process and its descendants.
pub fn of(child: &Child) -> Result<Cpu, BenchError> {
    let pid = child.id().unwrap_or_default();
    let usage = vertex::cost::sample(pid).ok_or(BenchError::Proc(pid))?;
    Ok(Cpu {
        time: Duration::from_micros(usage.cpu_us),
        memory_bytes: usage.peak_memory_bytes,
    })
}

/// Of this process alone, which is the data plane's; children are measured by themselves.
pub fn own() -> Result<Cpu, BenchError> {
    let pid = std::process::id();
    let usage = vertex::cost::sample_alone(pid).ok_or(BenchError::Proc(pid))?;
    Ok(Cpu {
        time: Duration::from_micros(usage.cpu_us),
        memory_bytes: usage.peak_memory_bytes,
    })
}

/// Processor time of the machine so far, in ticks.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    worked: u64,
    stolen: u64,
}

/// From `/proc/stat` (proc(5)); `None` without it.
pub fn machine() -> Option<Machine> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    machine_of(text.lines().next()?)
}

fn machine_of(line: &str) -> Option<Machine> {
    let ticks: Vec<u64> = line
        .strip_prefix("cpu ")?
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _wait, interrupts, soft, stolen, ..] = ticks[..] else {
        return None;
    };
    Some(Machine {
        worked: user + nice + system + interrupts + soft,
        stolen,
    })
}

impl Machine {
    /// Of the processor time wanted since `before`, the fraction that the host gave to other machines.
    pub fn stolen_since(self, before: Self) -> f64 {
        let stolen = self.stolen.saturating_sub(before.stolen) as f64;
        let worked = self.worked.saturating_sub(before.worked) as f64;
        stolen / (stolen + worked).max(1.0)
    }
}

impl Cpu {
    /// The processor time since `before`, and the current memory.
    pub fn since(self, before: Self) -> Self {
        Self {
            time: self.time.saturating_sub(before.time),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stolen_is_a_share_of_what_was_wanted() {
        let before = machine_of("cpu  100 0 50 900 3 0 10 5 0 0").unwrap();
        let after = machine_of("cpu  150 10 60 990 3 5 15 25 0 0").unwrap();
        assert_eq!(after.stolen_since(before), 20.0 / 100.0);
        assert_eq!(before.stolen_since(before), 0.0);
        assert!(machine_of("cpu0 1 2 3").is_none());
    }
}
