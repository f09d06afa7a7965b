//! `experiment predict PLAN --scale RATE`: for each cell of a plan, the capacity of one pod and the deployment for a rate.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use trials::plan::Plan;
use trials::predict::deployment::{Bound, Limits, MAX_PROCESSOR_UTILIZATION, deployment, pod};
use trials::trial::{Trial, TrialSettings};
use wire::settings::whole_number;

use crate::output::aligned;

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

impl ScaleArgs {
    /// The section's text; `None` without `--scale`.
    pub fn section(&self, plan: &Plan) -> Option<String> {
        let rate = self.scale?;
        let limits = self.limits();
        let mut rows = vec![
            [
                "cell",
                "capacity of a pod",
                "limited by",
                "partitions",
                "busiest",
                "source pods",
                "jetstream servers",
                "calls in flight",
            ]
            .map(str::to_owned),
        ];
        let mut bounds = BTreeSet::new();
        for (name, settings) in cells(plan, self.scale_keys) {
            rows.push(row(&name, &settings, &limits, rate, &mut bounds));
        }
        let mut text = format!(
            "\n{rate} events per second by Numaflow, {} cores a pod:\n",
            limits.cores
        );
        text.push_str(&aligned(&rows));
        for bound in bounds {
            text.push_str(&format!("{bound}\n"));
        }
        text.push_str(&format!(
            "A steady rate uses at most {} % of a pod's cores. Processor times of UDF and generator are measured here; read \
             batch, buffer and replicas are Numaflow's defaults; the rest is assumed. See docs/scaling.md.\n",
            MAX_PROCESSOR_UTILIZATION * 100.0
        ));
        Some(text)
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

fn row(
    name: &str,
    settings: &TrialSettings,
    limits: &Limits,
    rate: NonZeroU64,
    notes: &mut BTreeSet<&'static str>,
) -> [String; 8] {
    let none = || "–".to_owned();
    let (capacity, needed) = match deployment(settings, limits, rate) {
        Ok(found) => {
            let needed = [
                found.partitions.to_string(),
                format!("{:.0}/s", found.busiest_rate),
                found.source_pods.to_string(),
                found.jetstream_servers.to_string(),
                format!("{:.0}", found.in_flight),
            ];
            (found.pod, needed)
        }
        Err(bound) => {
            notes.insert(match bound {
                Bound::Slots => {
                    "cannot: too few calls in flight even with one partition per key; more keys, a higher max_workers or a \
                     higher capacity of the endpoint would be needed."
                }
                _ => "cannot: a key belongs to one partition, so more keys would be needed for more partitions.",
            });
            let needed = ["cannot".to_owned(), none(), none(), none(), none()];
            (pod(settings, limits), needed)
        }
    };
    let [partitions, busiest, source_pods, servers, in_flight] = needed;
    [
        name.to_owned(),
        format!("{}/s", capacity.rate),
        capacity.bound.words().to_owned(),
        partitions,
        busiest,
        source_pods,
        servers,
        in_flight,
    ]
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
            let section = scale.section(&plan).unwrap();
            let rows = section.lines().filter(|line| line.contains("strategy="));
            (
                rows.clone().count(),
                rows.filter(|line| line.contains("cannot")).count(),
            )
        };
        // Five keys are five partitions at most.
        assert_eq!(rows(&[]), (4, 4));
        assert_eq!(rows(&["--scale-keys", "100000"]), (2, 0));
        assert!(Only::parse_from(["predict"]).scale.section(&plan).is_none());
    }
}
