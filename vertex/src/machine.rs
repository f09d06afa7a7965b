//! Facts of the machine and of the versions of a run: without them its measurements cannot be compared.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

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
    fn fields_are_found_by_name() {
        let text = "NAME=\"X\"\nPRETTY_NAME=\"X 1 (y)\"\n";
        assert_eq!(field(text, "PRETTY_NAME", '='), Some("X 1 (y)".to_owned()));
        assert_eq!(field(text, "NONE", '='), None);
    }
}
