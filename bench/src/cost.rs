//! What a process and its children have cost so far, from `/proc`. The kernel counts processor time in ticks of 10 ms, so a
//! figure needs a second of work to be good to a hundredth.

use std::time::Duration;

use crate::error::BenchError;

/// What a process and its children have cost so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// Processor time, user and system.
    pub time: Duration,
    /// Resident memory now, bytes.
    pub memory_bytes: u64,
}

/// Of the process `pid` and its descendants.
pub fn of(pid: u32) -> Result<Cpu, BenchError> {
    let usage = experiment::cost::sample(pid).ok_or(BenchError::Proc(pid))?;
    Ok(Cpu {
        time: Duration::from_micros(usage.cpu_us),
        memory_bytes: usage.peak_memory_bytes,
    })
}

/// Of this process alone: the data plane, as children are measured by themselves.
pub fn own() -> Result<Cpu, BenchError> {
    let pid = std::process::id();
    let usage = experiment::cost::sample_alone(pid).ok_or(BenchError::Proc(pid))?;
    Ok(Cpu {
        time: Duration::from_micros(usage.cpu_us),
        memory_bytes: usage.peak_memory_bytes,
    })
}

impl Cpu {
    /// The processor time since `before`, with the memory of now.
    pub fn since(self, before: Self) -> Self {
        Self {
            time: self.time.saturating_sub(before.time),
            ..self
        }
    }
}
