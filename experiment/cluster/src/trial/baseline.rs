//! Compares pods with their state at the start of a trial: the processor time that the UDF has used, and pods that were
//! restarted or replaced.

use std::time::Duration;

use super::metrics;
use super::snapshot::{Snapshot, VERTICES};
use crate::client::pod_client::{PodClient, PodTarget, Port};
use crate::diagnosis::restarts;
use vertex::cost::Usage;

/// Meters of the UDF's processes, one for each pod.
#[derive(Debug, Default)]
pub(super) struct Meters(Vec<(PodTarget, Meter)>);

#[derive(Debug, Clone, Copy, Default)]
struct Meter {
    first_seconds: Option<f64>,
    last_seconds: f64,
    peak_bytes: u64,
}

impl Meter {
    fn take(&mut self, text: &str) {
        if let Some((seconds, bytes)) = metrics::process(text) {
            self.first_seconds.get_or_insert(seconds);
            self.last_seconds = seconds;
            self.peak_bytes = self.peak_bytes.max(bytes);
        }
    }
}

impl Meters {
    pub fn new(snapshot: &Snapshot) -> Self {
        let pods = snapshot.all_of_vertex("udf");
        Self(
            pods.map(|pod| (PodTarget::of("udf", pod), Meter::default()))
                .collect(),
        )
    }

    /// Reads all meters once. A UDF that is not ours need not have metrics.
    pub async fn read(&mut self, client: &PodClient) {
        for (udf, meter) in &mut self.0 {
            if let Ok(text) = client.text(udf, Port::Program, "/metrics").await {
                meter.take(&text);
            }
        }
    }

    /// The sum over the pods. `None` if one of them was never read.
    pub fn usage(&self) -> Option<Usage> {
        let (mut seconds, mut peak_memory_bytes) = (0.0, 0);
        for (_, meter) in &self.0 {
            seconds += (meter.last_seconds - meter.first_seconds?).max(0.0);
            peak_memory_bytes += meter.peak_bytes;
        }
        Some(Usage {
            cpu_us: Duration::from_secs_f64(seconds).as_micros() as u64,
            peak_memory_bytes,
            // There is no metric of it.
            peak_threads: 0,
        })
    }
}

/// The pods that were restarted, replaced or deleted: their counters started again.
pub(super) fn voided(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut voided = Vec::new();
    for part in VERTICES.into_iter().chain(["endpoint"]) {
        let after = after.all_of(part);
        for pod in before.all_of(part) {
            let same = after.iter().find(|other| other.metadata.uid == pod.metadata.uid);
            let how = match same.map(|same| restarts(same).saturating_sub(restarts(pod))) {
                Some(0) => continue,
                Some(1) => "restarted".to_owned(),
                Some(times) => format!("restarted {times} times"),
                None if after.is_empty() => "was deleted".to_owned(),
                None => "was replaced".to_owned(),
            };
            voided.push(format!(
                "the {part} pod {how} during the trial: what it counted is not complete"
            ));
        }
    }
    voided
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use k8s_openapi::serde_json::{from_value, json};

    use super::*;

    fn snapshot(udf: Option<(&str, u32)>) -> Snapshot {
        let pod = |part: &str, uid: &str, restarts: u32| -> Pod {
            from_value(json!({
                "metadata": {"name": part, "uid": uid, "labels": {"numaflow.numaproj.io/vertex-name": part}},
                "status": {"containerStatuses": [
                    {"name": "numa", "ready": true, "restartCount": restarts, "image": "i", "imageID": ""},
                ]},
            }))
            .unwrap()
        };
        let mut pods = vec![pod("generator", "1", 3), pod("sink", "2", 0)];
        pods.extend(udf.map(|(uid, restarts)| pod("udf", uid, restarts)));
        Snapshot {
            pods,
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_pod_that_was_restarted_or_replaced_is_reported() {
        let before = snapshot(Some(("9", 1)));
        assert_eq!(voided(&before, &before), Vec::<String>::new());
        for (after, how) in [
            (Some(("9", 2)), "the udf pod restarted during"),
            (Some(("9", 4)), "the udf pod restarted 3 times during"),
            (Some(("7", 0)), "the udf pod was replaced during"),
            (None, "the udf pod was deleted during"),
        ] {
            let reported = voided(&before, &snapshot(after));
            assert!(
                reported.len() == 1 && reported[0].starts_with(how),
                "{reported:?}"
            );
        }
    }

    #[test]
    fn processor_time_is_counted_from_the_first_read_to_the_last() {
        let text = |seconds: f64, bytes: u64| {
            format!("process_cpu_seconds_total {seconds}\nprocess_resident_memory_bytes {bytes}\n")
        };
        let mut meters = Meters::new(&snapshot(Some(("9", 0))));
        assert_eq!(meters.usage(), None);
        for (seconds, bytes) in [(2.0, 10), (2.5, 30), (3.25, 20)] {
            meters.0[0].1.take(&text(seconds, bytes));
        }
        let usage = Usage {
            cpu_us: 1_250_000,
            peak_memory_bytes: 30,
            peak_threads: 0,
        };
        assert_eq!(meters.usage(), Some(usage));
    }
}
