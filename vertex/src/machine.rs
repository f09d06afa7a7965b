//! Facts of the machine and of the versions of a run: without them its measurements cannot be compared.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

/// The version of Numaflow's Rust SDK that the processes are built with; a test compares it with the lock file.
pub const NUMAFLOW_SDK: &str = "0.6.0";

/// Number of cores available to this process; 1 if unknown.
pub fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The facts by name; unknown ones are absent.
pub fn facts() -> BTreeMap<String, String> {
    let limit = rlimit::Resource::NOFILE.get_soft().ok();
    let uname = rustix::system::uname();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    [
        (
            "os",
            field(&read("/etc/os-release"), "PRETTY_NAME", '=')
                .or_else(|| Some(std::env::consts::OS.to_owned())),
        ),
        ("kernel", uname.release().to_str().ok().map(str::to_owned)),
        ("architecture", Some(std::env::consts::ARCH.to_owned())),
        ("cpu", field(&read("/proc/cpuinfo"), "model name", ':')),
        ("cores", Some(cores().to_string())),
        ("memory", field(&read("/proc/meminfo"), "MemTotal", ':')),
        (
            "file descriptors",
            limit
                .filter(|limit| *limit != rlimit::INFINITY)
                .map(|limit| limit.to_string()),
        ),
        ("async-reduce", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("numaflow-sdk", Some(NUMAFLOW_SDK.to_owned())),
        (
            "build",
            // The profile's name: `dist` has link-time optimisation, `release` has not.
            Some(env!("BUILD_PROFILE").to_owned()),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// Memory that this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// How much.
    pub bytes: u64,
    /// Whether a control group, such as that of a container, sets the bound, not the machine.
    pub is_limited: bool,
}

/// The memory that this process may use; `None` if it is unknown.
pub fn memory() -> Option<Memory> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let limit = cgroup_memory(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup"));
    let total = field(&read("/proc/meminfo"), "MemTotal", ':');
    let kibibytes: Option<u64> = total.and_then(|total| total.strip_suffix(" kB")?.parse().ok());
    let machine = kibibytes.map(|kibibytes| kibibytes.saturating_mul(1_024));
    let bytes = limit.into_iter().chain(machine).min()?;
    Some(Memory {
        bytes,
        is_limited: limit == Some(bytes),
    })
}

/// Bytes of the events that may wait in a UDF where its settings do not say: half of the memory.
pub fn half_of(memory: Option<Memory>) -> u64 {
    memory.map_or(u64::MAX, |memory| memory.bytes / 2)
}

/// The lowest memory limit of a process' control groups (cgroups(7)) and those around them, of version 2 or 1.
fn cgroup_memory(root: &Path, own: &str) -> Option<u64> {
    let groups = own.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (folder, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            "memory" => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        Some((folder, path.trim_start_matches('/'), file))
    });
    let limits = groups.flat_map(|(folder, path, file)| {
        let around = Path::new(path)
            .ancestors()
            .map(move |group| folder.join(group).join(file));
        // `max` is no number: there is none.
        around.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok())
    });
    limits.min()
}

/// Local ports for connections to one address; `None` if it is unknown.
pub fn local_ports() -> Option<u64> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let (first, last) = range.trim().split_once(char::is_whitespace)?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.trim().parse().ok()?);
    last.checked_sub(first).map(|ports| ports + 1)
}

/// Raises the limit of open files for this process and its children to `wanted`, or as far as the system allows. Returns
/// the new limit, `u64::MAX` for none.
pub fn raise_descriptor_limit(wanted: u64) -> u64 {
    // If raising is refused the old limit stays.
    let raised = rlimit::increase_nofile_limit(wanted);
    raised
        .or_else(|_| rlimit::Resource::NOFILE.get_soft())
        .unwrap_or(u64::MAX)
}

/// The first value of `name` in lines of name, separator and value, without surrounding quotes.
fn field(text: &str, name: &str, separator: char) -> Option<String> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(separator)?;
        (found.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_have_versions_and_hardware() {
        let facts = facts();
        for name in [
            "os",
            "kernel",
            "architecture",
            "cores",
            "async-reduce",
            "numaflow-sdk",
            "build",
        ] {
            assert!(
                facts.get(name).is_some_and(|value| !value.is_empty()),
                "{name}: {facts:?}"
            );
        }
    }

    #[test]
    fn the_version_of_the_sdk_is_the_locked_one() {
        let lock = include_str!("../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"numaflow\"\nversion = \"{NUMAFLOW_SDK}\"")));
    }

    #[test]
    fn the_descriptor_limit_is_raised_to_the_hard_limit_and_never_lowered() {
        let before = rlimit::Resource::NOFILE.get().unwrap();
        assert_eq!(raise_descriptor_limit(1), before.0, "it is enough");
        assert_eq!(raise_descriptor_limit(u64::MAX), before.1);
        assert_eq!(rlimit::Resource::NOFILE.get().unwrap(), (before.1, before.1));
    }

    #[test]
    fn the_lowest_limit_of_the_control_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, limit: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, limit).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "300\n");
        write("memory/c/memory.limit_in_bytes", "200\n");
        let limit = |own: &str| cgroup_memory(root.path(), own);
        assert_eq!(limit("0::/a/b\n"), Some(300));
        assert_eq!(limit("0::/\n"), None);
        assert_eq!(limit("5:cpu,cpuacct:/a\n4:memory:/c\n0::/a/b\n"), Some(200));
        assert_eq!(limit(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory_and_ports() {
        assert!(memory().unwrap().bytes > 1 << 20);
        assert!(local_ports().unwrap() > 0);
    }

    #[test]
    fn fields_are_found_by_name() {
        let text = "NAME=\"X\"\nPRETTY_NAME=\"X 1 (y)\"\n";
        assert_eq!(field(text, "PRETTY_NAME", '='), Some("X 1 (y)".to_owned()));
        assert_eq!(field(text, "NONE", '='), None);
    }
}
