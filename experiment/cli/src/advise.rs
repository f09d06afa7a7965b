//! `experiment advise`: which settings are predicted to hold an objective, cheapest first, and what must change where none
//! does; with `--verify`, whether the first one holds it in a run.

mod text;
mod values;
mod verification;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use anyhow::anyhow;
use clap::ValueEnum;
use serde::Serialize;
use trials::advise::{Advice, Question, advise as answer, questions};
use trials::learn::Learned;
use vertex::machine;
use wire::settings::whole_number;

use crate::engines::EngineArgs;
use crate::failure::Failure;
use crate::learn::LearnArgs;
use crate::output::print;
use crate::plan_args::{PlanArgs, PlanText};
use crate::progress::ProgressArgs;
use crate::stop::on_runtime;

#[derive(Debug, clap::Args)]
pub struct AdviseArgs {
    // The first, because its `Given` takes what is read away.
    #[command(flatten)]
    verification: VerificationArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    learn: LearnArgs,
    /// What must hold beside keeping up, like `close_tail p95 < 1s`; several times for several. The plan's thresholds count
    /// too [default: close_tail p90 below half a window]
    #[arg(long, value_name = "THRESHOLD")]
    objective: Vec<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Cores of a pod, of all its containers together [default: those of this machine]
    #[arg(long, value_name = "N", value_parser = whole_number::<NonZeroU64>(1, 1_024))]
    cores: Option<NonZeroU64>,
    /// The most pods of the reduce [default: as many as there are keys]
    #[arg(long, value_name = "N", value_parser = whole_number::<NonZeroU64>(1, 100_000))]
    max_pods: Option<NonZeroU64>,
}

#[derive(Debug, clap::Args)]
struct VerificationArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// Run the first setting, also with half of its workers, and say whether each holds
    #[arg(long)]
    verify: bool,
    /// Let --verify call a service of your own, that of --endpoint-url or of your UDF: then the advised setting alone is run
    #[arg(long, requires = "verify")]
    load_my_service: bool,
    /// Folder for the journal and report of --verify [default: out/NAME-OF-THE-PLAN-verified]
    #[arg(long, requires = "verify", value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue an earlier verification: its trials count
    #[arg(long, requires = "verify")]
    resume: bool,
    #[command(flatten)]
    progress: ProgressArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table and sentences for people
    Text,
    /// One JSON object for programs; its fields are in docs/metrics.md
    Json,
    /// Values of the chart that install the first setting
    Values,
}

/// What `--format json` prints.
#[derive(Debug, Serialize)]
struct Answers<'a> {
    /// Cores of a pod.
    cores: usize,
    questions: Vec<Answer<'a>>,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    name: &'a str,
    #[serde(flatten)]
    advice: &'a Advice,
}

pub fn advise(args: AdviseArgs) -> Result<(), Failure> {
    if let (Some(flag), false) = (args.verification.engine.given(), args.verification.verify) {
        return Err(Failure::wrong_use(anyhow!(
            "{flag}: has an effect with --verify only: leave it out, or add --verify"
        )));
    }
    let learned = args.learn.learn()?;
    let delay = learned.as_ref().and_then(Learned::delay);
    let written = args.plan.clone().or_delay(delay).for_advice(&args.objective)?;
    if let Some(threshold) = written.plan.thresholds.iter().find(|one| one.run().is_some()) {
        return Err(Failure::wrong_use(anyhow!(
            "--objective: `{threshold}`: a prediction is compared with no other run: write a bound in place of the change"
        )));
    }
    let answers: Vec<(Question, Advice)> = asked(&args, &written, learned.as_ref())
        .into_iter()
        .map(|question| {
            let advice = answer(&question);
            (question, advice)
        })
        .collect();
    let only = match (answers.as_slice(), args.format, args.verification.verify) {
        ([only], ..) => Some(only),
        (_, Format::Text | Format::Json, false) => None,
        (all, ..) => {
            return Err(Failure::wrong_use(anyhow!(
                "the plan asks {} questions, and --format values and --verify take one: leave one level of each setting",
                all.len()
            )));
        }
    };
    show(&args, &answers)?;
    finish(&answers)?;
    let Some((_, advice)) = only.filter(|_| args.verification.verify) else {
        return Ok(());
    };
    on_runtime(|stop| async move { verification::verify(&args.verification, &written, advice, &stop).await })
}

fn asked(args: &AdviseArgs, written: &PlanText, learned: Option<&Learned>) -> Vec<Question> {
    let cores = args.cores.and_then(|cores| NonZeroUsize::try_from(cores).ok());
    let cores = cores.unwrap_or_else(machine::cores);
    questions(
        &written.plan.trials(),
        &written.plan.thresholds,
        cores,
        args.max_pods,
        learned,
    )
}

fn show(args: &AdviseArgs, answers: &[(Question, Advice)]) -> Result<(), Failure> {
    match args.format {
        Format::Text => {
            let texts: Vec<String> = answers
                .iter()
                .map(|(question, advice)| text::text(question, advice))
                .collect();
            print(&texts.join("\n"))
        }
        Format::Json => {
            let json = serde_json::to_string_pretty(&Answers {
                cores: answers.first().map_or(1, |(question, _)| question.cores.get()),
                questions: answers
                    .iter()
                    .map(|(question, advice)| Answer {
                        name: &question.name,
                        advice,
                    })
                    .collect(),
            });
            print(&(json.map_err(|error| anyhow!("cannot write JSON: {error}"))? + "\n"))
        }
        Format::Values => {
            let first = answers
                .iter()
                .find_map(|(question, advice)| Some((question, advice.settings.first()?)));
            first.map_or(Ok(()), |(question, first)| {
                print(&values::values(first, question.cores))
            })
        }
    }
}

/// Fails if no setting holds the objective of a question.
fn finish(answers: &[(Question, Advice)]) -> Result<(), Failure> {
    let unmet = answers.iter().filter(|(_, advice)| advice.settings.is_empty());
    let error = match (unmet.count(), answers.len()) {
        (0, _) => return Ok(()),
        (_, 1) => anyhow!("no setting is predicted to hold the objective: see what must change"),
        (unmet, all) => anyhow!("{unmet} of {all} questions have no setting that holds the objective"),
    };
    Err(Failure { error, exit: 3 })
}
