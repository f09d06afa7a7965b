//! Reads `/proc`. The only reader of its files; on systems without them it returns nothing.

use std::fs;
use std::time::Duration;

/// A reading of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether it has ended but has not been waited for.
    pub is_zombie: bool,
    /// Process id of its parent.
    pub parent: u32,
    /// Processor time, user and system, in ticks of 10 ms.
    pub cpu: Duration,
    /// The same of children that have ended and have been waited for.
    pub ended_children_cpu: Duration,
    /// Number of threads.
    pub threads: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

impl Stat {
    /// Reads it of the process `pid`; `None` if there is no such process.
    pub fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let page_bytes = u64::try_from(rustix::param::page_size()).ok()?;
        Self::parse(&text, rustix::param::clock_ticks_per_second(), page_bytes)
    }

    fn parse(text: &str, ticks_per_second: u64, page_bytes: u64) -> Option<Self> {
        // The second field is the name in parentheses, which may itself contain spaces and parentheses.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Fields are numbered from 1, as in the manual; `rest` starts with field 3.
        let field = |number: usize| -> Option<u64> { fields.get(number - 3)?.parse().ok() };
        let time = |user: u64, system: u64| {
            Duration::from_micros((user + system).saturating_mul(1_000_000) / ticks_per_second.max(1))
        };
        Some(Self {
            is_zombie: *fields.first()? == "Z",
            parent: u32::try_from(field(4)?).ok()?,
            cpu: time(field(14)?, field(15)?),
            ended_children_cpu: time(field(16)?, field(17)?),
            threads: field(20)?,
            resident_bytes: field(24)?.saturating_mul(page_bytes),
        })
    }
}

/// Peak resident memory of a process in bytes (`VmHWM` of proc_pid_status(5)).
pub fn peak_resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Proportional share of memory of a process in bytes (`Pss` of proc_pid_smaps_rollup(5)): pages that processes share count
/// once for all of them.
pub fn proportional_bytes(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The children that the threads of a process have started (proc_pid_task_tid_children(5)).
pub fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let lists = tasks.into_iter().flatten().flatten();
    lists
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            let ids = list.split_whitespace().filter_map(|id| id.parse().ok());
            ids.collect::<Vec<_>>()
        })
        .collect()
}

/// All processes of the machine.
pub fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_by_the_manuals_numbers_whatever_the_name() {
        let line =
            "42 (a b) c) S 7 42 42 0 -1 4194304 900 0 0 0 150 50 20 5 20 0 12 0 100 1000000 300 184467 1 1";
        let stat = Stat {
            is_zombie: false,
            parent: 7,
            cpu: Duration::from_secs(2),
            ended_children_cpu: Duration::from_millis(250),
            threads: 12,
            resident_bytes: 300 * 4_096,
        };
        assert_eq!(Stat::parse(line, 100, 4_096), Some(stat));
        let zombie = Stat::parse(&line.replace(" S ", " Z "), 100, 4_096);
        assert_eq!(zombie.map(|stat| stat.is_zombie), Some(true));
        for broken in [
            "",
            "42 (x",
            "7 (a) S 1 2",
            "42 (x) S",
            "42 (x) S a b c d e f g h i j k l m n o p q r s t u",
        ] {
            assert_eq!(Stat::parse(broken, 100, 4_096), None, "{broken}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_and_a_child_of_it_are_found() {
        let own = std::process::id();
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let stat = Stat::read(child.id()).unwrap();
        assert_eq!((stat.parent, stat.threads, stat.is_zombie), (own, 1, false));
        assert!(children(own).contains(&child.id()) && processes().any(|id| id == child.id()));
        assert!(peak_resident_bytes(own).unwrap() >= Stat::read(own).unwrap().resident_bytes / 2);
        child.kill().unwrap();
        while !Stat::read(child.id()).unwrap().is_zombie {}
        child.wait().unwrap();
        assert_eq!(Stat::read(child.id()), None);
        assert_eq!(peak_resident_bytes(u32::MAX), None);
    }
}
