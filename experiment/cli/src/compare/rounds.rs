//! Runs a plan in rounds with two UDFs. In each round every cell is run by both, one directly after the other, so that
//! what slows the machine for minutes slows both; cells and the two are in an order that is drawn by the plan's seed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use engine::run_loop::remaining;
use engine::{Engine, TrialProgress};
use local::LocalConfig;
use report::comparison::Comparison;
use trials::comparison::Design;
use trials::journal::{self, Journal, JournalLine};
use trials::text::counted;
use trials::trial::Trial;
use vertex::machine;

use super::{CompareArgs, comparison};
use crate::engines::{self, LOCAL_PATIENCE, fixed_place};
use crate::failure::Failure;
use crate::one_trial::run_one;
use crate::own_payloads;
use crate::plan_args::PlanText;
use crate::progress::{Notes, RunProgress, Within, rough};
use crate::run_facts::run_facts;
use crate::stop::Stop;

const DEFAULT_ROUNDS: u32 = 5;

/// The folders of the two runs within that of the comparison.
const FOLDERS: [&str; 2] = ["first", "second"];

/// One UDF: its engine and its journal.
struct Candidate {
    engine: Box<dyn Engine>,
    journal: Journal,
    folder: PathBuf,
}

/// Runs what is missing, and compares.
pub(super) async fn run(args: &CompareArgs, stop: &Stop) -> Result<Comparison, Failure> {
    let [target] = args.targets.as_slice() else {
        return Err(Failure::wrong_use(anyhow!("give a plan, or two folders")));
    };
    let [old, new] = args.udf_command.as_slice() else {
        let given = args.udf_command.len();
        return Err(Failure::wrong_use(match (target.is_dir(), given) {
            (true, _) => anyhow!(
                "`{}`: is one folder: give the second run that it is compared with",
                target.display()
            ),
            _ => anyhow!("--udf-command: give two with a plan, the old UDF first, not {given}"),
        }));
    };
    let written = PlanText::in_rounds(target, args.rounds.unwrap_or(DEFAULT_ROUNDS))?;
    let trials = written.plan.trials();
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("out").join(format!("{}-compared", written.plan.name)));
    let payloads = own_payloads::check(&written)?;
    let place = fixed_place(args.udf_socket.as_ref(), args.udf_server_info.as_ref())?;
    let mut candidates = Vec::new();
    for (name, command) in FOLDERS.into_iter().zip([old, new]) {
        let config = LocalConfig {
            cut_off: written.plan.cut_off,
            patience: args.patience.unwrap_or(LOCAL_PATIENCE),
            udf_command: Some(command.clone()),
            udf_place: place.clone(),
            endpoint_url: args.endpoint_url.clone(),
            ca_file: args.ca_file.clone(),
            payloads: payloads.payloads.clone(),
        };
        let folder = out.join(name);
        candidates.push(candidate(args, &written, config, payloads.facts.clone(), folder, stop).await?);
    }
    let order = order(&trials, written.plan.seed);
    let missing = candidates
        .iter()
        .map(|one| remaining(&trials, one.journal.lines()));
    let missing: Vec<Vec<Trial>> = missing
        .map(|trials| trials.into_iter().cloned().collect())
        .collect();
    let left: Vec<(usize, &Trial)> = order
        .into_iter()
        .filter(|(which, trial)| missing[*which].iter().any(|one| one.id == trial.id))
        .collect();
    let ended = run_all(args, &left, &mut candidates, &out, stop).await;
    for one in &mut candidates {
        if let Err(error) = one.engine.finish(&Notes).await {
            Notes.note(&format!("experiment: {}", vertex::one_line(&error)));
        }
    }
    ended?;
    let mut lines = Vec::new();
    for one in &candidates {
        report::write(&one.folder, one.journal.lines()).map_err(anyhow::Error::from)?;
        lines.push(one.journal.lines().to_vec());
    }
    let lines: [Vec<JournalLine>; 2] = lines.try_into().map_err(|_| anyhow!("there are two runs"))?;
    let comparison = comparison(args, &lines, [old.clone(), new.clone()], Design::Rounds);
    let json = format!("{}\n", comparison.json());
    let texts = [
        ("comparison.md", comparison.markdown()),
        ("comparison.json", json),
    ];
    report::write_texts(&out, texts).map_err(anyhow::Error::from)?;
    Ok(comparison)
}

async fn candidate(
    args: &CompareArgs,
    written: &PlanText,
    config: LocalConfig,
    [file, template]: [Option<String>; 2],
    folder: PathBuf,
    stop: &Stop,
) -> Result<Candidate, Failure> {
    let trials = written.plan.trials();
    let endpoint = args.endpoint_url.as_ref().map(ToString::to_string);
    let replaced = [endpoint, config.udf_command.clone(), file, template];
    let engine = engines::local(config)?;
    stop.or(engine.check(&trials, &Notes)).await?;
    let mut facts = machine::facts();
    facts.extend(journal::replaced(replaced));
    let facts = run_facts(written, trials.len(), facts, engine.as_ref(), Vec::new()).await;
    let journal = Journal::open(&folder, facts, args.resume)?;
    written.keep(&folder)?;
    Ok(Candidate {
        engine,
        journal,
        folder,
    })
}

/// Every trial with every candidate: round by round, cells shuffled, and of each cell the candidates.
fn order(trials: &[Trial], seed: u64) -> Vec<(usize, &Trial)> {
    let mut drawn: Vec<(u32, u64, u64, usize, &Trial)> = Vec::new();
    for (position, trial) in (0u64..).zip(trials) {
        for which in 0..FOLDERS.len() {
            let cell = wire::splitmix64(seed, position * 3);
            let within = wire::splitmix64(seed, position * 3 + 1 + which as u64);
            drawn.push((trial.repeat, cell, within, which, trial));
        }
    }
    drawn.sort_by_key(|(round, cell, within, which, _)| (*round, *cell, *within, *which));
    drawn
        .into_iter()
        .map(|(.., which, trial)| (which, trial))
        .collect()
}

async fn run_all(
    args: &CompareArgs,
    left: &[(usize, &Trial)],
    candidates: &mut [Candidate],
    out: &Path,
    stop: &Stop,
) -> Result<(), Failure> {
    let expected: Vec<Duration> = left
        .iter()
        .map(|(which, trial)| candidates[*which].engine.expected(trial))
        .collect();
    let progress = RunProgress::on_stderr(args.progress, None);
    progress.say(&format!(
        "{}, about {}; journals and comparison: {}",
        counted(left.len() as u64, "trial"),
        rough(expected.iter().sum()),
        out.display()
    ));
    for (index, (which, trial)) in left.iter().enumerate() {
        let Candidate { engine, journal, .. } = &mut candidates[*which];
        let within = Within {
            all: &progress,
            position: index + 1,
            of: left.len(),
            left: expected[index..].iter().sum(),
            prefix: FOLDERS[*which],
        };
        let missing = Some(left.len() - index);
        run_one(trial, engine.as_mut(), journal, &within, missing, stop).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use trials::plan::Plan;

    #[test]
    fn a_round_runs_each_cell_by_both_one_after_the_other() {
        let plan = "name: a\nrepeats: 4\nfixed: {io_delay: 1ms}\naxes: {rpu: [1, 2, 3, 4, 5], strategy: [async, sequential]}\n";
        let trials = Plan::parse(plan, "plan").unwrap().trials();
        let drawn = order(&trials, 1);
        assert_eq!(drawn.len(), 80);
        let mut firsts = 0;
        for (index, pair) in drawn.chunks(2).enumerate() {
            assert_eq!(pair[0].1.id, pair[1].1.id);
            assert_ne!(pair[0].0, pair[1].0);
            assert_eq!(pair[0].1.repeat, (index / 10) as u32);
            firsts += pair[0].0;
        }
        assert!((8..=32).contains(&firsts), "{firsts} of 40 begin with the second");
        let ids = |drawn: &[(usize, &Trial)]| {
            drawn
                .iter()
                .map(|(which, trial)| format!("{which}{}", trial.id))
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&drawn), ids(&order(&trials, 1)));
        assert_ne!(ids(&drawn), ids(&order(&trials, 2)));
    }
}
