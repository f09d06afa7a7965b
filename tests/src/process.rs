//! Memory, descriptors, addresses, signals and the end of a process.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use launcher::Child;
use rustix::process::{Pid, Signal, kill_process};

use vertex::proc::{Stat, children, peak_resident_bytes};

/// Peak resident memory of a process and its children, in bytes.
///
/// # Panics
/// Panics if the process is gone.
pub fn peak_memory_bytes(process: u32) -> u64 {
    let children = children(process).into_iter().filter_map(peak_resident_bytes);
    peak_resident_bytes(process).expect("the process runs") + children.sum::<u64>()
}

/// Resident memory of a process in bytes; `None` if it is gone.
pub fn memory_bytes(process: u32) -> Option<u64> {
    Some(Stat::read(process)?.resident_bytes)
}

/// Number of file descriptors of a process; `None` if it is gone.
pub fn descriptors(process: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

/// The TCP addresses on which a process listens.
///
/// # Panics
/// Panics if the process is gone.
pub fn listening(process: u32) -> Vec<SocketAddr> {
    let held: BTreeSet<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .expect("the process runs")
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.ok()?.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    ["tcp", "tcp6"]
        .iter()
        .flat_map(|family| {
            let table = std::fs::read_to_string(format!("/proc/{process}/net/{family}"));
            let table = table.expect("a table of sockets");
            let of_process = |line: &str| listener(line).filter(|(_, inode)| held.contains(inode));
            table.lines().filter_map(of_process).collect::<Vec<_>>()
        })
        .map(|(address, _)| address)
        .collect()
}

/// Address and inode of a line of `/proc/PID/net/tcp` (proc_pid_net(5)), if its state is 0A: listening.
fn listener(line: &str) -> Option<(SocketAddr, String)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (ip, port) = address.split_once(':')?;
    // 32-bit words in memory order, each in hexadecimal.
    let words = ip.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    (*state == "0A").then(|| (SocketAddr::new(ip, port), (*inode).to_owned()))
}

/// Whether the process exists and is not a zombie.
pub fn runs(process: u32) -> bool {
    Stat::read(process).is_some_and(|stat| !stat.is_zombie)
}

/// Sends a signal.
///
/// # Panics
/// Panics if the process is gone.
pub fn signal(process: u32, signal: Signal) {
    let id = i32::try_from(process).ok().and_then(Pid::from_raw);
    kill_process(id.expect("a process id"), signal).expect("the process is there");
}

/// Sends SIGTERM to a child and waits for its end; its standard input stays open.
///
/// # Panics
/// Panics if it does not end within `patience`.
pub async fn terminate(child: &mut Child, patience: Duration) -> ExitStatus {
    signal(child.id().expect("it runs"), Signal::TERM);
    ended(child, patience).await
}

/// Waits for a child's end; its standard input stays open.
///
/// # Panics
/// Panics if it does not end within `patience`.
pub async fn ended(child: &mut Child, patience: Duration) -> ExitStatus {
    let status = tokio::time::timeout(patience, child.wait()).await;
    status.expect("it ends in time").expect("it can be waited for")
}

/// Polls until `condition` holds.
///
/// # Panics
/// Panics if it does not hold within `patience`.
pub async fn until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
