//! Reads `/metrics` as Prometheus does, and checks the format before any value.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// One reading of `/metrics`.
#[derive(Debug)]
pub struct Scrape {
    /// Values by sample; a sample's name includes its labels, as in the text.
    samples: BTreeMap<String, f64>,
    text: String,
}

impl Scrape {
    /// Reads `/metrics` at an address.
    ///
    /// # Panics
    /// Panics if there is no answer or it is not valid OpenMetrics text.
    pub async fn of(address: SocketAddr) -> Self {
        crate::provide_tls();
        let answer = reqwest::get(format!("http://{address}/metrics"))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"]
            .to_str()
            .expect("text")
            .to_owned();
        assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        Self::parse(answer.text().await.expect("text"))
    }

    /// Reads `/metrics` at an address until all of these samples are 0.
    ///
    /// # Panics
    /// Panics if they are not within `patience`.
    pub async fn all_zero(address: SocketAddr, samples: &[&str], patience: Duration) {
        let mut last = None;
        let zero = async {
            loop {
                let scrape = last.insert(Self::of(address).await);
                if samples.iter().all(|sample| scrape.value(sample) == 0.0) {
                    return;
                }
            }
        };
        let reached = tokio::time::timeout(patience, zero).await;
        assert!(reached.is_ok(), "{samples:?} are not all 0 in {last:?}");
    }

    /// Parses OpenMetrics text strictly.
    ///
    /// # Panics
    /// Panics if the text is not valid.
    pub fn parse(text: String) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the end is marked");
        let (mut families, mut samples) = (BTreeSet::new(), BTreeMap::new());
        let (mut family, mut kind) = (String::new(), String::new());
        for line in body.lines() {
            if let Some(described) = line.strip_prefix("# ") {
                let mut words = described.splitn(3, ' ');
                let (what, name) = (words.next().expect("a word"), words.next().expect("a name"));
                let rest = words.next().expect("a description");
                if name != family {
                    assert!(
                        families.insert(name.to_owned()),
                        "{name} is described twice:\n{text}"
                    );
                    family = name.to_owned();
                }
                match what {
                    "TYPE" => kind = rest.to_owned(),
                    "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                    "HELP" => {}
                    other => panic!("{other} is not of OpenMetrics: {line}"),
                }
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
            let name = sample.split('{').next().expect("a name");
            let suffix = name
                .strip_prefix(&family)
                .expect("samples follow their description");
            let suffixes: &[&str] = match &*kind {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_sum", "_count", "_bucket"],
                other => panic!("{other} is not used here"),
            };
            assert!(suffixes.contains(&suffix), "{line} of a {kind}");
            let value: f64 = value.parse().expect("a number");
            assert!(
                samples.insert(sample.to_owned(), value).is_none(),
                "{line} stands twice"
            );
        }
        Self { samples, text }
    }

    /// The value of a sample, named with its labels as in the text.
    ///
    /// # Panics
    /// Panics if there is none.
    pub fn value(&self, sample: &str) -> f64 {
        *self
            .samples
            .get(sample)
            .unwrap_or_else(|| panic!("no {sample} in\n{}", self.text))
    }

    /// Every metric: its name as in samples, its kind, its labels and its description.
    pub fn families(&self) -> Vec<[String; 4]> {
        let described = |what: &str| -> BTreeMap<&str, &str> {
            let lines = self.text.lines().filter_map(|line| line.strip_prefix(what));
            lines.filter_map(|line| line.split_once(' ')).collect()
        };
        let (kinds, helps) = (described("# TYPE "), described("# HELP "));
        let families = kinds.into_iter().map(|(family, kind)| {
            let name = match kind {
                "counter" => format!("{family}_total"),
                "info" => format!("{family}_info"),
                _ => family.to_owned(),
            };
            let labels: BTreeSet<&str> = self
                .samples
                .keys()
                .filter_map(|sample| sample.strip_prefix(&name)?.strip_prefix('{'))
                .flat_map(|labels| labels.split("\",").filter_map(|label| label.split_once('=')))
                .map(|(label, _)| label)
                .collect();
            let help = helps
                .get(family)
                .copied()
                .unwrap_or_default()
                .trim_end_matches('.');
            let labels = labels.into_iter().collect::<Vec<_>>().join(", ");
            [name, kind.to_owned(), labels, help.to_owned()]
        });
        families.collect()
    }

    /// Counts of a histogram's buckets with their upper bounds; cumulative, as in the text.
    ///
    /// # Panics
    /// Panics if there are none, or if they do not rise up to the count.
    pub fn buckets(&self, histogram: &str) -> Vec<(f64, f64)> {
        let prefix = format!("{histogram}_bucket{{le=\"");
        let mut buckets: Vec<(f64, f64)> = self
            .samples
            .iter()
            .filter_map(|(sample, count)| {
                let bound = sample.strip_prefix(&prefix)?.strip_suffix("\"}")?;
                Some((bound.parse().expect("a bound"), *count))
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{buckets:?}");
        let last = *buckets.last().expect("a bucket");
        assert_eq!(last, (f64::INFINITY, self.value(&format!("{histogram}_count"))));
        buckets
    }
}
