//! Runs an advised setting, and with half of its workers, and says whether each holds the objective. A service of the
//! user's own gets the load of the advised setting alone.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use engine::{Engine, TrialProgress};
use trials::advise::{Advice, Advised};
use trials::journal::{Journal, latest};
use trials::plan::Plan;
use trials::predict::deployment::busiest;
use trials::search::Answer;
use trials::sustained::{Judgement, judgement};
use trials::text::{count, counted};
use trials::threshold::Threshold;
use trials::trial::Trial;
use vertex::machine;

use super::VerificationArgs;
use crate::failure::Failure;
use crate::one_trial::run_one;
use crate::output::{check_folder, print};
use crate::own_payloads;
use crate::plan_args::PlanText;
use crate::progress::{Notes, RunProgress, Within, rough};
use crate::run_facts::run_facts;
use crate::stop::Stop;

/// A number of workers and its trials.
struct Level<'a> {
    workers: NonZeroU64,
    /// A trial and its repeats.
    trials: Vec<&'a Trial>,
}

pub(super) async fn verify(
    args: &VerificationArgs,
    asked: &PlanText,
    advice: &Advice,
    stop: &Stop,
) -> Result<(), Failure> {
    let Some(advised) = advice.settings.first() else {
        return Ok(()); // That was said.
    };
    args.engine.refuse_options_of_the_other()?;
    let own = args.engine.own_service();
    if let (Some(flag), false) = (own, args.load_my_service) {
        return Err(Failure::wrong_use(anyhow!(
            "{flag}: --verify would load your own service with {} events a second: add --load-my-service if it may",
            count(advised.settings.rpu.get())
        )));
    }
    let half = advised
        .halved()
        .map(|half| half.max_workers)
        .filter(|_| own.is_none());
    let workers: Vec<NonZeroU64> = [Some(advised.settings.max_workers), half]
        .into_iter()
        .flatten()
        .collect();
    let name = format!("{}-verified", asked.plan.name);
    let out = args.out.clone().unwrap_or_else(|| Path::new("out").join(&name));
    check_folder(&out)?;
    let pod = busiest(&advised.settings, advised.pods);
    let objective = objective(asked, advice);
    let (plan, text) = Plan::of_workers(&name, &pod, &workers, &objective).map_err(Failure::wrong_use)?;
    let written = PlanText::made(plan, text);
    written.check(&out)?;
    let own_payloads::CheckedPayloads { payloads, facts } = own_payloads::check(asked)?;
    let engine = args.engine.engine(written.plan.cut_off, payloads);
    let mut engine = stop.or(engine).await?;
    let trials = written.plan.trials();
    stop.or(engine.check(&trials, &Notes)).await?;
    let facts = args.engine.facts(facts);
    let facts = run_facts(&written, trials.len(), facts, engine.as_ref(), Vec::new()).await;
    let mut journal = Journal::open(&out, facts, args.resume)?;
    written.keep(&out)?;
    let levels = workers.iter().map(|workers| Level {
        workers: *workers,
        trials: trials
            .iter()
            .filter(|trial| trial.settings.max_workers == *workers)
            .collect(),
    });
    let levels: Vec<Level<'_>> = levels.collect();
    let judged = run_all(
        args,
        &levels,
        &written.plan,
        engine.as_mut(),
        &mut journal,
        &out,
        stop,
    )
    .await;
    if let Err(error) = engine.finish(&Notes).await {
        Notes.note(&format!("experiment: {}", vertex::one_line(&error)));
    }
    report::write(&out, journal.lines()).map_err(anyhow::Error::from)?;
    let judged = judged?;
    print(&said(advised, &levels, &judged))?;
    print(&format!("\nreport: {}\n", out.join("report.html").display()))?;
    match judged.first().map(|judgement| judgement.answer) {
        Some(Answer::Sustained) => Ok(()),
        _ => Err(Failure {
            error: anyhow!("the advised setting did not hold the objective: see the report"),
            exit: 3,
        }),
    }
}

/// The thresholds that are given, and the default one where none of them is predicted.
fn objective(asked: &PlanText, advice: &Advice) -> Vec<Threshold> {
    let mut objective = asked.plan.thresholds.clone();
    let given: Vec<String> = objective.iter().map(ToString::to_string).collect();
    let others = advice.objective.iter().filter(|text| !given.contains(text));
    objective.extend(others.filter_map(|text| text.parse().ok()));
    objective
}

/// Runs the trials of each level until one decides.
async fn run_all(
    args: &VerificationArgs,
    levels: &[Level<'_>],
    plan: &Plan,
    engine: &mut dyn Engine,
    journal: &mut Journal,
    out: &Path,
    stop: &Stop,
) -> Result<Vec<Judgement>, Failure> {
    let progress = RunProgress::on_stderr(args.progress, Some(out.to_owned()));
    let firsts = levels.iter().filter_map(|level| level.trials.first());
    let expected: Duration = firsts.map(|trial| engine.expected(trial)).sum();
    progress.say(&format!(
        "{}, about {}; journal and report: {}",
        counted(levels.len() as u64, "trial"),
        rough(expected),
        out.display()
    ));
    let mut judged = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        let within = Within {
            all: &progress,
            position: index + 1,
            of: levels.len(),
            left: expected * (levels.len() - index) as u32 / levels.len() as u32,
            prefix: "",
        };
        judged.push(run_level(level, plan, engine, journal, &within, stop).await?);
    }
    Ok(judged)
}

async fn run_level(
    level: &Level<'_>,
    plan: &Plan,
    engine: &mut dyn Engine,
    journal: &mut Journal,
    progress: &Within<'_>,
    stop: &Stop,
) -> Result<Judgement, Failure> {
    let mut last = None;
    for (repeat, trial) in level.trials.iter().enumerate() {
        if !latest(journal.lines()).contains_key(trial.id.as_str()) {
            run_one(trial, engine, journal, progress, None, stop).await?;
        }
        let known = latest(journal.lines());
        let so_far = level.trials.iter().take(repeat + 1);
        let outcomes: Vec<_> = so_far
            .filter_map(|trial| known.get(trial.id.as_str()).copied())
            .collect();
        let judgement = judgement(&outcomes, &plan.thresholds, machine::cores())
            .map_err(|none| Failure::from(anyhow!("{}: {}", trial.id, none.reason)))?;
        let is_decided = judgement.answer != Answer::Undecided;
        last = Some(judgement);
        if is_decided {
            break;
        }
    }
    last.ok_or_else(|| anyhow!("no trial was run").into())
}

/// What was found, a line for each number of workers.
fn said(advised: &Advised, levels: &[Level<'_>], judged: &[Judgement]) -> String {
    let mut out = match advised.pods.get() {
        1 => String::new(),
        pods => format!("Of {} the one with most events was run.\n", counted(pods, "pod")),
    };
    for (level, judgement) in levels.iter().zip(judged) {
        let says = match judgement.answer {
            Answer::Sustained => "✓ held",
            Answer::NotSustained => "✗ did not hold",
            Answer::Undecided => "? undecided",
        };
        let reason = match judgement.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        out.push_str(&format!(
            "{says} with {}{reason}\n",
            counted(level.workers.get(), "worker")
        ));
    }
    out
}
