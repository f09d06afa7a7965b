//! `experiment predict`: the prediction for every trial of a plan.

use trials::predict::{Verdict, predict as predict_trial};
use vertex::machine;

use crate::failure::Failure;
use crate::output::{aligned, print};
use crate::plan_args::PlanArgs;
use crate::scale::ScaleArgs;

#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    scale: ScaleArgs,
}

pub fn predict(args: &PredictArgs) -> Result<(), Failure> {
    let plan = args.plan.read()?.plan;
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

fn verdict_name(verdict: Verdict) -> String {
    match verdict {
        Verdict::KeepsUp => "keeps up",
        Verdict::Critical => "critical",
        Verdict::Cannot => "cannot",
    }
    .to_owned()
}
