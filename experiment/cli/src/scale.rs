//! `experiment predict PLAN --scale RATE`: for each cell of a plan, the capacity of one pod and the deployment for a rate.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use trials::plan::Plan;
use trials::predict::deployment::{Bound, Limits, MAX_PROCESSOR_UTILIZATION, deployment, keys_needed, pod};
use trials::text::count;
use trials::trial::{Trial, TrialSettings};
use wire::settings::whole_number;

use crate::output::{TableRow, table, wrapped};

/// The defaults are those of [`Limits`]. Each help text says where its default comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Beyond one machine")]
pub struct ScaleArgs {
    /// Also print the capacity of one pod under Numaflow, and the deployment for this many events per second
    #[arg(long, value_name = "RATE", value_parser = whole_number::<NonZeroU64>(1, u64::MAX))]
    scale: Option<NonZeroU64>,
    /// Number of keys at that rate [default: the plan's]
    #[arg(long, value_name = "N", requires = "scale", value_parser = whole_number::<NonZeroU64>(1, u64::MAX))]
    scale_keys: Option<NonZeroU64>,
    /// Processor time of an event in the UDF (measured: `make bench`)
    #[arg(long, value_name = "DURATION", default_value = "60us", requires = "scale", value_parser = wire::parse_duration)]
    udf_time: Duration,
    /// Processor time of an event in the generator (measured: `make bench`)
    #[arg(long, value_name = "DURATION", default_value = "5us", requires = "scale", value_parser = wire::parse_duration)]
    source_time: Duration,
    /// Processor time of an event in Numaflow's own container (assumed)
    #[arg(long, value_name = "DURATION", default_value = "80us", requires = "scale", value_parser = wire::parse_duration)]
    data_plane_time: Duration,
    /// Cores of a pod, of all its containers together (chosen)
    #[arg(long, value_name = "N", default_value = "2", requires = "scale", value_parser = whole_number::<NonZeroU64>(1, u64::MAX))]
    cores_per_pod: NonZeroU64,
    /// Messages in a read batch (Numaflow's default)
    #[arg(long, value_name = "N", default_value = "500", requires = "scale", value_parser = whole_number::<NonZeroU64>(1, u64::MAX))]
    read_batch: NonZeroU64,
    /// Time to write and acknowledge a read batch before the next read (assumed)
    #[arg(long, value_name = "DURATION", default_value = "10ms", requires = "scale", value_parser = wire::parse_duration)]
    batch_time: Duration,
    /// Time that each key adds to the close of its window (assumed)
    #[arg(long, value_name = "DURATION", default_value = "100us", requires = "scale", value_parser = wire::parse_duration)]
    key_time: Duration,
    /// Messages a second that one JetStream server stores (assumed)
    #[arg(long, value_name = "RATE", default_value = "50000", requires = "scale", value_parser = whole_number::<NonZeroU64>(1, u64::MAX))]
    jetstream_rate: NonZeroU64,
    /// JetStream servers that store each message (Numaflow's default)
    #[arg(long, value_name = "N", default_value = "3", requires = "scale", value_parser = whole_number::<NonZeroU64>(1, u64::MAX))]
    jetstream_replicas: NonZeroU64,
}

/// The deployment of each cell for a rate; its JSON form is in docs/metrics.md.
#[derive(Debug, Serialize)]
pub struct Scale {
    /// Events per second.
    rate: u64,
    cores_per_pod: u64,
    cells: Vec<ScaledCell>,
}

#[derive(Debug, Serialize)]
struct ScaledCell {
    cell: String,
    /// Highest steady rate of one pod, events per second.
    pod_rate: u64,
    /// What limits a pod, in words.
    limited_by: &'static str,
    /// `None` if no number of partitions sustains the rate.
    #[serde(flatten)]
    deployment: Option<Needed>,
    /// Why there is no deployment, and what would be needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    cannot: Option<String>,
}

#[derive(Debug, Serialize)]
struct Needed {
    partitions: u64,
    /// Events per second of the busiest partition.
    busiest_rate: f64,
    source_pods: u64,
    jetstream_servers: u64,
    calls_in_flight: f64,
}

impl ScaleArgs {
    /// `None` without `--scale`.
    pub fn scale(&self, plan: &Plan) -> Option<Scale> {
        let rate = self.scale?;
        let limits = self.limits();
        let cells = cells(plan, self.scale_keys).into_iter();
        Some(Scale {
            rate: rate.get(),
            cores_per_pod: limits.cores.get(),
            cells: cells
                .map(|(name, settings)| ScaledCell::new(name, &settings, &limits, rate))
                .collect(),
        })
    }

    fn limits(&self) -> Limits {
        Limits {
            udf_time: self.udf_time,
            source_time: self.source_time,
            data_plane_time: self.data_plane_time,
            cores: self.cores_per_pod,
            read_batch: self.read_batch,
            batch_time: self.batch_time,
            key_time: self.key_time,
            jetstream_rate: self.jetstream_rate,
            jetstream_replicas: self.jetstream_replicas,
        }
    }
}

impl ScaledCell {
    fn new(cell: String, settings: &TrialSettings, limits: &Limits, rate: NonZeroU64) -> Self {
        let (capacity, deployment, cannot) = match deployment(settings, limits, rate) {
            Ok(found) => {
                let needed = Needed {
                    partitions: found.partitions,
                    busiest_rate: found.busiest_rate,
                    source_pods: found.source_pods,
                    jetstream_servers: found.jetstream_servers,
                    calls_in_flight: found.in_flight,
                };
                (found.pod, Some(needed), None)
            }
            Err(bound) => (
                pod(settings, limits),
                None,
                Some(cannot(settings, limits, rate, bound)),
            ),
        };
        Self {
            cell,
            pod_rate: capacity.rate,
            limited_by: capacity.bound.words(),
            deployment,
            cannot,
        }
    }
}

/// Why no number of partitions sustains the rate: a key belongs to one partition, so either there are too few keys, or more
/// of them would not help.
fn cannot(settings: &TrialSettings, limits: &Limits, rate: NonZeroU64, bound: Bound) -> String {
    let keys = settings.keys.get();
    let has = match keys {
        1 => "1 key is".to_owned(),
        keys => format!("{} keys are", count(keys)),
    };
    match keys_needed(settings, limits, rate) {
        Some(enough) => format!(
            "{has} too few: a key belongs to one partition, and with a partition for each the busiest one exceeds the limit \
             \"{}\"; {} keys would do (--scale-keys).",
            bound.words(),
            count(enough)
        ),
        None => format!(
            "more keys would not help: the busiest partition exceeds the limit \"{}\" with any number of them{}.",
            bound.words(),
            match bound {
                Bound::Slots => "; a higher capacity of the endpoint or equal keys would be needed",
                _ => "",
            }
        ),
    }
}

impl Scale {
    /// The section below the predictions.
    pub fn text(&self, width: usize) -> String {
        let names = [
            "cell",
            "per pod",
            "limited by",
            "partitions",
            "busiest",
            "sources",
            "jetstream",
            "in flight",
        ];
        let rows: Vec<TableRow<8>> = self.cells.iter().map(ScaledCell::row).collect();
        let numbers = [
            "per pod",
            "partitions",
            "busiest",
            "sources",
            "jetstream",
            "in flight",
        ];
        let head = format!(
            "\n{} events per second by Numaflow, {} cores a pod:\n",
            count(self.rate),
            self.cores_per_pod
        );
        let foot = format!(
            "per pod, busiest: events per second of one pod, and of the busiest partition. sources, jetstream: pods of the \
             source, JetStream servers. A steady rate uses at most {} % of a pod's cores. Processor times of UDF and generator \
             are measured; read batch, buffer and replicas are Numaflow's defaults; the rest is assumed. See docs/scaling.md.",
            MAX_PROCESSOR_UTILIZATION * 100.0
        );
        head + &table(names, &numbers, &rows, width) + &wrapped(&foot, "", width)
    }
}

impl ScaledCell {
    fn row(&self) -> TableRow<8> {
        let needed = match &self.deployment {
            Some(needed) => [
                count(needed.partitions),
                count(needed.busiest_rate.round() as u64),
                count(needed.source_pods),
                count(needed.jetstream_servers),
                count(needed.calls_in_flight.round() as u64),
            ],
            None => ["cannot", "–", "–", "–", "–"].map(str::to_owned),
        };
        let [partitions, busiest, sources, jetstream, in_flight] = needed;
        TableRow {
            cells: [
                self.cell.clone(),
                count(self.pod_rate),
                self.limited_by.to_owned(),
                partitions,
                busiest,
                sources,
                jetstream,
                in_flight,
            ],
            below: self.cannot.clone().unwrap_or_default(),
        }
    }
}

/// The plan's cells without their rate, each once, with its name.
fn cells(plan: &Plan, keys: Option<NonZeroU64>) -> Vec<(String, TrialSettings)> {
    let mut cells: Vec<(String, TrialSettings)> = Vec::new();
    for Trial { id, settings, .. } in plan.trials() {
        let kept = |part: &&str| match part.split_once('=') {
            Some(("rpu" | "repeat", _)) => false,
            Some(("keys", _)) => keys.is_none(),
            _ => true,
        };
        let name: Vec<&str> = id.split(',').filter(kept).collect();
        let settings = TrialSettings {
            rpu: NonZeroU64::MIN,
            keys: keys.unwrap_or(settings.keys),
            seed: 0,
            ..settings
        };
        if !cells.iter().any(|(_, known)| *known == settings) {
            cells.push((name.join(","), settings));
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        scale: ScaleArgs,
    }

    #[test]
    fn the_defaults_are_the_librarys() {
        assert_eq!(Only::parse_from(["predict"]).scale.limits(), Limits::default());
    }

    #[test]
    fn each_cell_is_shown_once_whatever_its_rates() {
        let plan = "name: two\nfixed: {io_delay: 0}\naxes: {rpu: [10, 100], keys: [1, 5], strategy: [async, sequential]}";
        let plan = Plan::parse(plan, "plan").unwrap();
        let rows = |arguments: &[&str]| {
            let scale = Only::parse_from([&["predict", "--scale", "1000000"], arguments].concat()).scale;
            let cells = scale.scale(&plan).unwrap().cells;
            let without = cells.iter().filter(|cell| cell.deployment.is_none()).count();
            (cells.len(), without)
        };
        // Five keys are five partitions at most.
        assert_eq!(rows(&[]), (4, 4));
        assert_eq!(rows(&["--scale-keys", "100000"]), (2, 0));
        assert!(Only::parse_from(["predict"]).scale.scale(&plan).is_none());
    }

    #[test]
    fn too_few_keys_are_said_with_the_number_that_would_do() {
        let plan = |more: &str| {
            let text = format!(
                "name: one\nfixed: {{rpu: 10, io_delay: 100ms, strategy: thread-pool, max_workers: 100{more}}}"
            );
            let plan = Plan::parse(&text, "plan").unwrap();
            let scale = Only::parse_from(["predict", "--scale", "1000000"]).scale;
            scale.scale(&plan).unwrap().text(120)
        };
        let few = plan(", keys: 1000");
        assert!(
            few.contains("1,000 keys are too few") && few.contains("8,000 keys would do"),
            "{few}"
        );
        let capacity = plan(", keys: 1000, capacity: 10");
        assert!(
            capacity.contains("more keys would not help") && capacity.contains("capacity of the endpoint"),
            "{capacity}"
        );
        for line in few.lines().chain(capacity.lines()) {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }
}
