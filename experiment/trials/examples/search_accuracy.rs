//! Compares the limits that searches found with those of long sweeps of the same cells, and counts against goals.
//! `cargo run -p trials --example search_accuracy -- FOLDER`, with the sweeps in `FOLDER/truths/CELL/SEED`, and the searches of
//! `FOLDER/runs.txt` in `FOLDER/runs/CELL/NUMBER`.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use trials::journal;
use trials::search::Answer;
use trials::sustained::judgement;

/// Cells whose name begins so; the most that an estimate may be off, in per cent; the most trials; and how many of twenty runs must
/// keep both.
const GOALS: [(&str, f64, u64, usize); 2] = [("fixed-", 5.0, 14, 19), ("lognormal-", 10.0, 20, 18)];

/// What the sweeps say of each level, one answer for each sweep.
type Levels = BTreeMap<u64, Vec<Answer>>;

/// The levels around the limit.
struct Truth {
    low: f64,
    high: f64,
}

impl Truth {
    /// The border between levels with the fewest answers on its wrong side; the middle of several such by ratio. `None` if it
    /// lies at an end of the levels.
    fn of(levels: &Levels) -> Option<Self> {
        let wrong = |border: usize| {
            let wrong_at = |(index, answers): (usize, &Vec<Answer>)| {
                let is_wrong = |answer: &&Answer| match answer {
                    Answer::Sustained => index >= border,
                    Answer::NotSustained => index < border,
                    Answer::Undecided => false,
                };
                answers.iter().filter(is_wrong).count()
            };
            levels.values().enumerate().map(wrong_at).sum::<usize>()
        };
        let fewest = (0..=levels.len()).map(wrong).min()?;
        let best = |border: &usize| wrong(*border) == fewest;
        let first = (0..=levels.len()).find(best)?;
        let last = (0..=levels.len()).rfind(best)?;
        let level = |index: usize| levels.keys().nth(index).map(|level| *level as f64);
        Some(Self {
            low: level(first.checked_sub(1)?)?,
            high: level(last)?,
        })
    }

    fn limit(&self) -> f64 {
        (self.low * self.high).sqrt()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("expected FOLDER")?;
    let folder = Path::new(&folder);
    let truths = truths(&folder.join("truths"))?;
    println!("run             limit  first  found  error  trials");
    let mut kept: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for line in std::fs::read_to_string(folder.join("runs.txt"))?.lines() {
        let Some(run) = line.split_whitespace().next().filter(|run| *run != "#") else {
            continue;
        };
        let cell = run.split('/').next().unwrap_or_default();
        let limit = truths.get(cell).ok_or("a run of a cell without a sweep")?.limit();
        let path = folder.join("runs").join(run).join("search.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            println!("{run:<14} {limit:6.1}  not run");
            continue;
        };
        let json: serde_json::Value = serde_json::from_str(&text)?;
        let found = &json["cells"][0];
        let trials = found["trials"].as_u64().ok_or("a search without trials")?;
        let (goal, off, most, _) = GOALS
            .into_iter()
            .find(|goal| cell.starts_with(goal.0))
            .ok_or("no goal")?;
        let (all, good) = kept.entry(goal).or_default();
        *all += 1;
        let first = &found["predicted"];
        match found["estimate"].as_f64() {
            Some(estimate) => {
                let error = (estimate / limit - 1.0) * 100.0;
                let is_good = error.abs() <= off && trials <= most;
                *good += usize::from(is_good);
                let mark = if is_good { "" } else { "  missed" };
                println!("{run:<14} {limit:6.1} {first:>6} {estimate:6.1} {error:+5.1}%  {trials:>6}{mark}");
            }
            None => println!("{run:<14} {limit:6.1} {first:>6}      –      –  {trials:>6}  missed"),
        }
    }
    for (goal, off, most, needed) in GOALS {
        let (all, good) = kept.get(goal).copied().unwrap_or_default();
        println!(
            "{goal}*: {good} of {all} runs within {off} % in at most {most} trials; the goal is {needed} of 20"
        );
    }
    Ok(())
}

/// Judges the levels of the sweeps of each cell, and prints them.
fn truths(folder: &Path) -> Result<BTreeMap<String, Truth>, Box<dyn Error>> {
    let mut truths = BTreeMap::new();
    for cell in folders(folder)? {
        let name = cell
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut levels = Levels::new();
        for sweep in folders(&cell)? {
            let lines = journal::read(&sweep)?;
            for outcome in journal::latest(&lines).into_values() {
                // On how many cores it ran has no effect on the answer.
                let judged = judgement(&[outcome], &[], NonZeroUsize::MIN)?;
                let level = outcome.trial.settings.rpu.get();
                levels.entry(level).or_default().push(judged.answer);
            }
        }
        let marks = levels.iter().map(|(level, answers)| {
            let marks = answers.iter().map(|answer| match answer {
                Answer::Sustained => '✓',
                Answer::NotSustained => '✗',
                Answer::Undecided => '?',
            });
            format!(" {level}{}", marks.collect::<String>())
        });
        let marks: String = marks.collect();
        let truth = Truth::of(&levels).ok_or_else(|| format!("{name}: the limit is not within{marks}"))?;
        println!("{name:<14} {:6.1} of{marks}", truth.limit());
        truths.insert(name, truth);
    }
    println!();
    Ok(truths)
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries = std::fs::read_dir(parent)?.collect::<Result<Vec<_>, _>>()?;
    let mut folders: Vec<PathBuf> = entries
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    Ok(folders)
}
