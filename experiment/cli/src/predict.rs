//! `experiment predict`: the prediction for every trial of a plan, and how long the plan will take.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use serde::Serialize;
use trials::learn::Learned;
use trials::metric::{Unit, micros};
use trials::predict::{Prediction, STALLED_FROM, Verdict, predict as predict_trial};
use trials::text::counted;
use trials::trial::Trial;
use vertex::machine;
use wire::Delay;

use crate::failure::Failure;
use crate::learn::{self, LearnArgs};
use crate::output::{TableRow, print, table, width, wrapped};
use crate::plan_args::PlanArgs;
use crate::progress::{self, rough};
use crate::scale::{Scale, ScaleArgs};

#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print the reason of every prediction, not only of those that do not keep up
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    scale: ScaleArgs,
    #[command(flatten)]
    learn: LearnArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for people
    Text,
    /// One JSON object for programs; its fields are in docs/metrics.md
    Json,
}

/// What `--format json` prints.
#[derive(Debug, Serialize)]
struct Predicted<'a> {
    plan: &'a str,
    /// Cores of this machine, which bound computations and calls without delay.
    cores: usize,
    /// The plan's delays that are distributions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    delays: Vec<DelayFigures>,
    trials: Vec<PredictedTrial>,
    /// Where what the settings do not say was learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    learned: Option<&'a str>,
    /// Seconds that the plan takes with each engine.
    takes_s: Takes,
    /// Present with `--scale`.
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<Scale>,
}

/// Figures of a delay, in microseconds.
#[derive(Debug, PartialEq, Serialize)]
struct DelayFigures {
    delay: String,
    mean_us: f64,
    p50_us: f64,
    p99_us: f64,
}

#[derive(Debug, Serialize)]
struct PredictedTrial {
    #[serde(flatten)]
    trial: Trial,
    prediction: Prediction,
}

/// Expected duration of a plan, in seconds.
#[derive(Debug, Serialize)]
struct Takes {
    local: f64,
    cluster: f64,
}

pub fn predict(args: &PredictArgs) -> Result<(), Failure> {
    let learned = args.learn.learn()?;
    let delay = learned.as_ref().and_then(Learned::delay);
    let plan = args.plan.clone().or_delay(delay).read()?.plan;
    let cores = machine::cores();
    let trials = plan.trials();
    if let Some(note) = local::memory_note(&trials, machine::memory()) {
        progress::note(&note);
    }
    let trials: Vec<PredictedTrial> = trials
        .into_iter()
        .map(|trial| predicted(trial, learned.as_ref(), cores))
        .collect();
    let sum = |expected: &dyn Fn(&Trial) -> Duration| -> Duration {
        trials.iter().map(|predicted| expected(&predicted.trial)).sum()
    };
    let local = sum(&|trial| local::expected(&trial.settings, plan.cut_off));
    let cluster = sum(&|trial| cluster::expected(&trial.settings, plan.cut_off));
    let scale = args.scale.scale(&plan);
    let delays = delays(&trials);
    match args.format {
        Format::Json => {
            let predicted = Predicted {
                plan: &plan.name,
                cores: cores.get(),
                delays,
                trials,
                learned: learned.as_ref().map(Learned::source),
                takes_s: Takes {
                    local: local.as_secs_f64(),
                    cluster: cluster.as_secs_f64(),
                },
                scale,
            };
            let json = serde_json::to_string_pretty(&predicted);
            print(&(json.map_err(|error| anyhow!("cannot write JSON: {error}"))? + "\n"))
        }
        Format::Text => {
            let mut text = predictions(&trials, args.verbose);
            let takes = format!(
                "{}: about {} on this machine, or {} with --engine cluster.",
                counted(trials.len() as u64, "trial"),
                rough(local),
                rough(cluster)
            );
            text.push_str(&format!("\n{}", wrapped(&takes, "", width())));
            if let Some(learned) = &learned {
                text.push_str(&wrapped(&learn::sentence(learned), "", width()));
            }
            for one in &delays {
                text.push_str(&wrapped(&one.text(), "", width()));
            }
            if let Some(scale) = scale {
                text.push_str(&scale.text(width()));
            }
            print(&text)
        }
    }
}

/// By what was learned, if anything was; then its delay may be another than the plan's.
fn predicted(mut trial: Trial, learned: Option<&Learned>, cores: NonZeroUsize) -> PredictedTrial {
    let Some(learned) = learned else {
        return PredictedTrial {
            prediction: predict_trial(&trial.settings, cores),
            trial,
        };
    };
    trial.settings = learned.settings(&trial.settings);
    PredictedTrial {
        prediction: learned.predict(&trial.settings, cores),
        trial,
    }
}

/// Each distribution once, in the order of the trials.
fn delays(trials: &[PredictedTrial]) -> Vec<DelayFigures> {
    let mut all: Vec<DelayFigures> = Vec::new();
    for PredictedTrial { trial, .. } in trials {
        let delay = &trial.settings.io_delay;
        let figures = DelayFigures {
            delay: delay.to_string(),
            mean_us: micros(delay.mean()),
            p50_us: micros(delay.quantile(0.5)),
            p99_us: micros(delay.quantile(0.99)),
        };
        if !matches!(delay, Delay::Fixed(_)) && !all.contains(&figures) {
            all.push(figures);
        }
    }
    all
}

impl DelayFigures {
    fn text(&self) -> String {
        let [mean, p50, p99] =
            [self.mean_us, self.p50_us, self.p99_us].map(|figure| Unit::Duration.text(figure));
        format!("{}: mean {mean}, p50 {p50}, p99 {p99}", self.delay)
    }
}

/// Whether the reason warns that the pod stands still for too long.
fn stalls(prediction: &Prediction) -> bool {
    prediction.stall_share.is_some_and(|share| share > STALLED_FROM)
}

/// The table of predictions.
fn predictions(trials: &[PredictedTrial], verbose: bool) -> String {
    let rows: Vec<TableRow<6>> = trials
        .iter()
        .map(|PredictedTrial { trial, prediction }| TableRow {
            cells: [
                trial.id.clone(),
                report::predicted_verdict(prediction.verdict).to_owned(),
                trials::text::ratio(prediction.load_factor),
                trials::text::ratio(prediction.needed_in_flight),
                prediction.close_tail_in_words(),
                prediction
                    .close_tail_percentiles
                    .map_or_else(String::new, |tails| {
                        trials::text::duration(Duration::from_micros(tails.p99_us))
                    }),
            ],
            below: match prediction.verdict {
                Verdict::KeepsUp if !verbose && !stalls(prediction) => String::new(),
                _ => prediction.why.clone(),
            },
        })
        .collect();
    let names = ["trial", "verdict", "load", "in flight", "close tail", "p99"];
    table(names, &names[2..], &rows, width())
}
