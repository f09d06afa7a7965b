//! Metrics of the process under the names that Prometheus's client libraries share
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>), read anew for each scrape.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use rustix::time::{ClockId, clock_gettime};

use crate::proc::{Stat, children};

/// This process, including its child processes if they do part of its work.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    started: SystemTime,
    children: bool,
}

impl Process {
    /// This process alone, started now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the start is reported as wall time; no duration is measured by it"
    )]
    pub fn alone() -> Self {
        Self {
            started: SystemTime::now(),
            children: false,
        }
    }

    /// This process, started now, with its children; the processor time of ended children counts too.
    pub fn with_children() -> Self {
        Self {
            children: true,
            ..Self::alone()
        }
    }

    /// A registry with the process's metrics, the program's version, and what `fill` registers under the program's
    /// name.
    pub fn registry(
        &self,
        program: &'static str,
        version: &'static str,
        fill: impl FnOnce(&mut Registry),
    ) -> Registry {
        let mut registry = Registry::default();
        registry
            .sub_registry_with_prefix("process")
            .register_collector(Box::new(*self));
        let program_registry = registry.sub_registry_with_prefix(program);
        program_registry.register(
            "build",
            "Version of the program",
            Info::new([("version", version)]),
        );
        fill(program_registry);
        registry
    }

    /// Processor time, user and system, and, on systems with `/proc`, resident memory in bytes.
    fn usage(&self) -> (Duration, Option<u64>) {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        let mut cpu = Duration::try_from(now).unwrap_or_default();
        let pid = std::process::id();
        let Some(own) = Stat::read(pid) else {
            return (cpu, None);
        };
        let mut resident_bytes = own.resident_bytes;
        if self.children {
            cpu += own.ended_children_cpu;
            for child in children(pid).into_iter().filter_map(Stat::read) {
                cpu += child.cpu;
                resident_bytes += child.resident_bytes;
            }
        }
        (cpu, Some(resident_bytes))
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (cpu, resident_bytes) = self.usage();
        one(
            &mut encoder,
            "cpu",
            "User and system processor time, a process pool's children included.",
            Unit::Seconds,
            ConstCounter::new(cpu.as_secs_f64()),
        )?;
        if let Some(bytes) = resident_bytes {
            one(
                &mut encoder,
                "resident_memory",
                "Resident memory, a process pool's children included.",
                Unit::Bytes,
                ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX)),
            )?;
        }
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        one(
            &mut encoder,
            "start_time",
            "Start of the process since the Unix epoch.",
            Unit::Seconds,
            ConstGauge::new(started.as_secs_f64()),
        )
    }
}

fn one(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Unit,
    metric: impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, Some(&unit), metric.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_with_their_units() {
        let registry = Process::alone().registry("program", "1.2.3", |_| {});
        let text = crate::metrics::text(&registry).unwrap();
        for part in [
            "# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\nprocess_cpu_seconds_total ",
            "# TYPE process_start_time_seconds gauge\n",
            "\nprogram_build_info{version=\"1.2.3\"} 1\n",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
