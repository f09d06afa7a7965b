//! `summary.json`: the figures of each cell and what came of the thresholds, for other programs. Numbers have the unit that
//! stands beside them; what was not measured is absent.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use trials::cell::{CellKey, cell_name};
use trials::metric::{Metric, Sample, micros};
use trials::predict::Prediction;
use trials::statistics::rank;
use trials::text::for_programs;
use trials::threshold::{Judged, Status};
use trials::verdict::Verdict;
use wire::Latencies;

use crate::sentences::predicted_verdict;
use crate::summary::{Row, Summary};

/// Grows by one when a field changes its meaning or goes; fields are added without.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct File<'a> {
    format: u32,
    name: &'a str,
    engine: &'a str,
    command: &'a str,
    machine: Option<&'a BTreeMap<String, String>>,
    thresholds: Counts,
    cells: Vec<Cell<'a>>,
}

/// How many thresholds came to what, each counted once for every cell.
#[derive(Serialize)]
struct Counts {
    met: usize,
    undecided: usize,
    missed: usize,
}

/// A cell over all of its repeats.
#[derive(Serialize)]
struct Cell<'a> {
    name: String,
    settings: BTreeMap<String, String>,
    trials: usize,
    verdict: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    measured_windows: u64,
    censored_windows: u64,
    calls: BTreeMap<&'static str, u64>,
    metrics: BTreeMap<&'static str, Figures>,
    /// As computed before the run.
    predicted: Predicted,
    /// Computed again by what the trials measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    explained: Option<Predicted>,
    thresholds: Vec<Threshold<'a>>,
}

/// A prediction of a cell.
#[derive(Serialize)]
struct Predicted {
    load_factor: f64,
    /// Absent if it grows without bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    close_tail_us: Option<u64>,
    verdict: String,
}

/// A metric of a cell.
#[derive(Default, Serialize)]
struct Figures {
    unit: &'static str,
    /// Of a metric without percentiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    figure: Option<f64>,
    /// Windows or calls with a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// Windows without a result: longer than any.
    #[serde(skip_serializing_if = "Option::is_none")]
    censored: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    /// The figure of each repeat: of windows and calls the median.
    by_trial: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct Threshold<'a> {
    text: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    figure: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

pub(super) fn summary(summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    let count = |status| {
        summary
            .thresholds
            .iter()
            .filter(|judged| judged.status == status)
            .count()
    };
    let file = File {
        format: FORMAT,
        name: crate::name(summary),
        engine: summary.facts.map_or("", |facts| facts.engine.as_str()),
        command: summary.facts.map_or("", |facts| facts.command.as_str()),
        machine: summary.facts.map(|facts| &facts.machine),
        thresholds: Counts {
            met: count(Status::Met),
            undecided: count(Status::Undecided),
            missed: count(Status::Missed),
        },
        cells: summary.rows.iter().filter_map(|row| cell(summary, row)).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &file)?;
    out.write_all(b"\n")
}

fn cell<'a>(summary: &'a Summary<'_>, row: &'a Row<'_>) -> Option<Cell<'a>> {
    let first = row.trials.first()?;
    let key = CellKey::of(&first.trial.settings);
    let own = |judged: &&Judged| judged.key == key;
    let Verdict { kind, reason, .. } = &row.verdict;
    Some(Cell {
        name: cell_name(&first.trial.id).to_owned(),
        trials: row.trials.len(),
        verdict: kind.name(),
        reason,
        measured_windows: row.measured,
        censored_windows: row.censored,
        calls: row
            .outcomes
            .iter()
            .map(|(outcome, calls)| (outcome.name(), *calls))
            .collect(),
        metrics: Metric::ALL
            .into_iter()
            .filter_map(|metric| figures(metric, row))
            .collect(),
        predicted: predicted(&first.prediction),
        explained: summary.explained(row).map(predicted),
        thresholds: summary.thresholds.iter().filter(own).map(threshold).collect(),
        settings: key
            .settings()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    })
}

fn predicted(prediction: &Prediction) -> Predicted {
    Predicted {
        load_factor: for_programs(prediction.load_factor),
        close_tail_us: prediction.close_tail_us,
        verdict: predicted_verdict(prediction.verdict).replace(' ', "-"),
    }
}

fn threshold(judged: &Judged) -> Threshold<'_> {
    Threshold {
        text: judged.threshold.to_string(),
        status: judged.status.name(),
        figure: judged.figure.map(for_programs),
        bound: judged.bound.map(for_programs),
        reason: &judged.reason,
    }
}

/// `None` if the metric was not measured in any trial.
fn figures(metric: Metric, row: &Row<'_>) -> Option<(&'static str, Figures)> {
    let by_trial: Vec<Option<f64>> = row
        .trials
        .iter()
        .map(|outcome| metric.figure(outcome).map(for_programs))
        .collect();
    let mut figures = Figures {
        unit: metric.unit().name(),
        by_trial,
        ..Figures::default()
    };
    match metric.sample(&row.trials) {
        Sample::Figure(figure) => figures.figure = Some(for_programs(figure?)),
        Sample::Windows { micros, censored } => {
            let all = micros.len() + censored;
            // A percentile that no window lies beyond is not stated.
            let at = |share: f64, least: usize| {
                (all >= least)
                    .then(|| micros.get(rank(share, all)))
                    .flatten()
                    .map(|micros| *micros as f64)
            };
            (figures.median, figures.p99) = (at(0.5, 1), at(0.99, 100));
            figures.max = micros
                .last()
                .filter(|_| censored == 0)
                .map(|micros| *micros as f64);
            (figures.count, figures.censored) = (Some(micros.len() as u64), Some(censored as u64));
        }
        Sample::Calls(latencies) => {
            let quantile = |latencies: &Latencies, share| latencies.quantile(share).map(micros);
            figures.count = Some(latencies.count()).filter(|count| *count > 0);
            figures.count?;
            figures.median = quantile(&latencies, 0.5);
            figures.p99 = quantile(&latencies, 0.99);
            figures.max = latencies.max().map(micros);
        }
    }
    Some((metric.name(), figures))
}
