//! `experiment predict`: the prediction for every trial of a plan.

use std::path::{Path, PathBuf};

use anyhow::Context;
use trials::plan::Plan;
use trials::predict::{Verdict, predict as predict_trial};
use vertex::machine;

use crate::failure::Failure;
use crate::output::{aligned, print};
use crate::scale::ScaleArgs;

#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    /// The plan, in YAML
    plan: PathBuf,
    #[command(flatten)]
    scale: ScaleArgs,
}

pub fn predict(args: &PredictArgs) -> Result<(), Failure> {
    let (plan, _) = read_plan(&args.plan)?;
    let cores = machine::cores();
    let mut rows = vec![["trial", "verdict", "load", "in flight", "close tail", "why"].map(str::to_owned)];
    for trial in plan.trials() {
        let prediction = predict_trial(&trial.settings, cores);
        let tail = prediction
            .close_tail()
            .map(|tail| format!("{:.3} s", tail.as_secs_f64()));
        rows.push([
            trial.id,
            verdict_name(prediction.verdict),
            format!("{:.2}", prediction.load_factor),
            format!("{:.1}", prediction.needed_in_flight),
            tail.unwrap_or_else(|| "grows".to_owned()),
            prediction.why,
        ]);
    }
    print(&(aligned(&rows) + &args.scale.section(&plan).unwrap_or_default()))
}

/// Reads a plan and returns it with its text.
pub fn read_plan(path: &Path) -> Result<(Plan, String), Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the plan `{name}`"));
    let text = text.map_err(Failure::wrong_use)?;
    let plan = Plan::parse(&text, &name).map_err(Failure::wrong_use)?;
    Ok((plan, text))
}

fn verdict_name(verdict: Verdict) -> String {
    match verdict {
        Verdict::KeepsUp => "keeps up",
        Verdict::Critical => "critical",
        Verdict::Cannot => "cannot",
    }
    .to_owned()
}
