//! Draws trials by a seed, as a plan each, with predictions for a machine with two cores, and judges these by runs.
//! `cargo run -p trials --example drawn_predictions -- plans FOLDER TRIALS SEED` writes `predicted.jsonl` and `plans/`;
//! `… -- judge FOLDER` reads them and `runs/`. `again` in place of `judge` predicts with the present model, to develop it.
//! `learnt` learns costs from the trials with odd numbers and compares the predicted tails of the others.

use std::error::Error;
use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;

use trials::journal::{self, JournalLine};
use trials::learn::Learned;
use trials::outcome::TrialOutcome;
use trials::plan::Plan;
use trials::predict::{self, Prediction};
use trials::verdict::{Kind, Verdict};
use wire::{Delay, StrategyKind};

/// Time in which a trial is measured, in seconds.
const MEASURED_S: u64 = 200;
const RATES: std::ops::RangeInclusive<f64> = 8.0..=150.0;
/// Tails are near each other within the larger of both.
const NEAR_US: f64 = 20_000.0;
const NEAR: f64 = 0.1;

/// The delay of the service that `of_service` calls, and the one that its plans say.
const SERVICE: &str = "lognormal(50=100ms,99=450ms)";
const BELIEVED: &str = "lognormal(50=80ms,99=400ms)";
const CORES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
const PREDICTED: &str = "predicted.jsonl";
const USAGE: &str = "expected `plans FOLDER TRIALS SEED`, `service FOLDER TRIALS SEED`, `judge FOLDER`, `again FOLDER` or `learnt FOLDER`";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["plans", folder, trials, seed] => {
            let (trials, seed): (u64, u64) = (trials.parse()?, seed.parse()?);
            plans(folder.as_ref(), trials, seed, drawn)?;
        }
        ["service", folder, trials, seed] => {
            let (trials, seed): (u64, u64) = (trials.parse()?, seed.parse()?);
            plans(folder.as_ref(), trials, seed, of_service)?;
        }
        ["learnt", folder] => learnt(folder.as_ref())?,
        ["judge", folder] => judge(folder.as_ref(), false)?,
        ["again", folder] => judge(folder.as_ref(), true)?,
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

type DrawPlan = fn(&str, &mut Draw) -> Result<String, Box<dyn Error>>;

fn plans(folder: &Path, trials: u64, seed: u64, drawn: DrawPlan) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder.join("plans"))?;
    let mut predicted = String::new();
    for number in 1..=trials {
        let name = format!("{number:03}");
        let mut draw = Draw {
            seed: wire::splitmix64(seed, number),
            index: 0,
        };
        let plan = drawn(&name, &mut draw)?;
        let prediction = predict::predict(&Plan::parse(&plan, "plan")?.trials().remove(0).settings, CORES);
        predicted += &(serde_json::to_string(&(&name, prediction))? + "\n");
        fs::write(folder.join("plans").join(name + ".yaml"), plan)?;
    }
    fs::write(folder.join(PREDICTED), predicted)?;
    Ok(())
}

struct Draw {
    seed: u64,
    index: u64,
}

impl Draw {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.index += 1;
        let unit = (wire::splitmix64(self.seed, self.index) >> 11) as f64 / (1u64 << 53) as f64;
        low + (high - low) * unit
    }

    fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        self.uniform(low.ln(), high.ln()).exp()
    }

    fn whole(&mut self, low: u64, high: u64) -> u64 {
        self.uniform(low as f64, high as f64 + 1.0) as u64
    }

    fn chance(&mut self, share: f64) -> bool {
        self.uniform(0.0, 1.0) < share
    }
}

/// The plan of a trial, drawn until its load is met by a rate that many trials at once can have.
fn drawn(name: &str, draw: &mut Draw) -> Result<String, Box<dyn Error>> {
    for _ in 0..10_000 {
        let window_s = draw.log_uniform(1.0, 5.5) as u64;
        let load = draw.uniform(0.3, 1.3);
        let strategy = StrategyKind::ALL[draw.whole(0, 3) as usize];
        let start_rule = ["at-arrival", "at-close"][draw.whole(0, 1) as usize];
        let median_ms = draw.log_uniform(5.0, 500.0).round();
        let io_delay = match draw.uniform(0.0, 1.0) {
            kind if kind < 0.4 => format!("{median_ms}ms"),
            kind if kind < 0.85 => {
                let tail_ms = (median_ms * draw.uniform(2.0, 5.0)).round();
                format!("lognormal(50={median_ms}ms,99={tail_ms}ms)")
            }
            _ => format!("uniform({}ms,{}ms)", median_ms / 2.0, median_ms * 1.5),
        };
        let max_workers = match strategy {
            StrategyKind::ProcessPool => draw.whole(2, 12),
            _ => draw.whole(2, 64),
        };
        let keys = draw.whole(1, 20);
        let skew = if draw.chance(0.5) {
            (draw.uniform(0.3, 1.5) * 100.0).round() / 100.0
        } else {
            0.0
        };
        let capacity = draw.chance(0.25).then(|| draw.whole(2, max_workers));
        let (fail_status, retries) = match draw.chance(0.25) {
            true => ((draw.uniform(0.01, 0.1) * 1000.0).round() / 1000.0, 3),
            false => (0.0, 0),
        };
        let seed = draw.whole(1, 1_000_000);
        let plan = |rate: f64| {
            let capacity = capacity.map_or_else(String::new, |capacity| format!(", capacity: {capacity}"));
            let max_workers = match strategy {
                StrategyKind::Sequential => String::new(),
                _ => format!(", max_workers: {max_workers}"),
            };
            format!(
                "name: drawn-{name}\nwindow: {window_s}s\nwarmup: 2\nwindows: {}\ncut_off: 5s\n\
                 fixed: {{rpu: {}, io_delay: \"{io_delay}\", strategy: {strategy}{max_workers}, \
                 start_rule: {start_rule}, keys: {keys}, key_skew: {skew}{capacity}, fail_status: {fail_status}, \
                 retries: {retries}}}\nseed: {seed}\n",
                MEASURED_S / window_s,
                rate.round(),
            )
        };
        // Calls in flight at the load, by the calls of one event a second.
        let one = Plan::parse(&plan(1.0), "plan")?.trials().remove(0).settings;
        let long = wire::settings::TrialSettings {
            rpu: NonZeroU64::MIN.saturating_add(999),
            start_rule: wire::StartRule::AtArrival,
            window: std::time::Duration::from_secs(1),
            ..one
        };
        let rate = 1_000.0 * load / predict::predict(&long, CORES).load_factor;
        if RATES.contains(&rate) {
            return Ok(plan(rate));
        }
    }
    Err("no trial has such a load".into())
}

/// The plan of a trial that keeps up, with a service whose delay the plan gets wrong.
fn of_service(name: &str, draw: &mut Draw) -> Result<String, Box<dyn Error>> {
    let window_s = draw.whole(1, 3);
    let strategy = ["async", "thread-pool"][draw.whole(0, 1) as usize];
    let start_rule = ["at-arrival", "at-close"][draw.whole(0, 1) as usize];
    let max_workers = draw.whole(4, 24);
    let (keys, seed) = (draw.whole(1, 20), draw.whole(1, 1_000_000));
    let mean_s = SERVICE.parse::<Delay>()?.mean().as_secs_f64();
    let rate = draw.uniform(0.3, 0.85) * max_workers as f64 / mean_s;
    Ok(format!(
        "name: service-{name}\nwindow: {window_s}s\nwarmup: 2\nwindows: {}\ncut_off: 5s\ncalls: none\n\
         fixed: {{rpu: {rate:.0}, io_delay: \"{BELIEVED}\", strategy: {strategy}, max_workers: {max_workers}, \
         start_rule: {start_rule}, keys: {keys}}}\nseed: {seed}\n",
        MEASURED_S / window_s,
    ))
}

/// What is judged of a trial.
struct Judged {
    name: String,
    prediction: Prediction,
    verdict: Verdict,
    tails: Option<(f64, f64)>,
}

fn judge(folder: &Path, again: bool) -> Result<(), Box<dyn Error>> {
    let all: Vec<Judged> = runs(folder)?
        .into_iter()
        .map(|(name, prediction, _, outcome)| {
            let prediction = match again {
                true => predict::predict(&outcome.trial.settings, CORES),
                false => prediction,
            };
            judged(&name, prediction, &outcome)
        })
        .collect();
    for one in &all {
        println!("{}", one.line());
    }
    let judges: Vec<&Judged> = all.iter().filter(|one| one.verdict.judges_prediction()).collect();
    let critical = |one: &&&Judged| one.prediction.verdict == predict::Verdict::Critical;
    let decided: Vec<&&Judged> = judges.iter().filter(|one| !critical(one)).collect();
    let right = decided.iter().filter(|one| one.is_right()).count();
    println!(
        "{} trials: {} judge a prediction, {} of their predictions are critical; the verdict is right in {right} of the other {} ({})",
        all.len(),
        judges.len(),
        judges.iter().filter(critical).count(),
        decided.len(),
        percent(right, decided.len()),
    );
    let tails: Vec<(f64, f64)> = all.iter().filter_map(|one| one.tails).collect();
    let near = tails
        .iter()
        .filter(|(predicted, measured)| is_near(*predicted, *measured))
        .count();
    println!(
        "the close tail is within the larger of 10 % and 20 ms in {near} of {} that kept up ({})",
        tails.len(),
        percent(near, tails.len()),
    );
    Ok(())
}

/// Name, prediction and run of each trial that was run.
type Runs = Vec<(String, Prediction, Vec<JournalLine>, TrialOutcome)>;

fn runs(folder: &Path) -> Result<Runs, Box<dyn Error>> {
    let mut runs = Vec::new();
    for line in fs::read_to_string(folder.join(PREDICTED))?.lines() {
        let (name, prediction): (String, Prediction) = serde_json::from_str(line)?;
        let run = folder.join("runs").join(&name);
        if !run.exists() {
            println!("{name}: not run");
            continue;
        }
        let lines = journal::read(&run)?;
        let outcome = journal::latest(&lines).into_values().next().cloned();
        runs.push((
            name,
            prediction,
            lines,
            outcome.ok_or("a journal without a trial")?,
        ));
    }
    Ok(runs)
}

/// Compares tails predicted by default costs with those by what the other half of the trials says.
fn learnt(folder: &Path) -> Result<(), Box<dyn Error>> {
    let (odd, even): (Runs, Runs) = runs(folder)?
        .into_iter()
        .partition(|(name, ..)| name.parse::<u64>().is_ok_and(|number| number % 2 == 1));
    let mut lines = Vec::new();
    for (name, _, of_run, _) in odd {
        // Each plan has one trial, of the same id.
        lines.extend(of_run.into_iter().map(|line| match line {
            JournalLine::Trial(mut outcome) => {
                outcome.trial.id.clone_from(&name);
                JournalLine::Trial(outcome)
            }
            facts => facts,
        }));
    }
    let learned = Learned::from_run(&lines, "odd trials")?;
    let mut errors: [Vec<f64>; 2] = Default::default();
    for (name, assumed, _, outcome) in &even {
        let by_learned = learned.predict(&outcome.trial.settings, CORES);
        let [assumed, by_learned] =
            [assumed.clone(), by_learned].map(|prediction| judged(name, prediction, outcome).tails);
        let (Some(assumed), Some(by_learned)) = (assumed, by_learned) else {
            continue;
        };
        let error = |(predicted, measured): (f64, f64)| (predicted - measured).abs() / 1e3;
        println!(
            "{name}: {:.0} ms, wrong by {:.1} ms, learnt by {:.1} ms",
            assumed.1 / 1e3,
            error(assumed),
            error(by_learned)
        );
        errors[0].push(error(assumed));
        errors[1].push(error(by_learned));
    }
    let [assumed, by_learned] = errors.map(|mut errors| {
        errors.sort_by(f64::total_cmp);
        let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        let median = errors.get(errors.len() / 2).copied().unwrap_or_default();
        (mean, median, errors.len())
    });
    println!(
        "the close tail of {} trials is wrong by {:.1} ms (median {:.1} ms), and by {:.1} ms (median {:.1} ms) with costs learnt from the other half",
        assumed.2, assumed.0, assumed.1, by_learned.0, by_learned.1
    );
    Ok(())
}

fn judged(name: &str, prediction: Prediction, outcome: &TrialOutcome) -> Judged {
    let verdict = Verdict::of(outcome);
    let windows = outcome.windows.iter().filter(|window| !window.warmup);
    let mut measured: Vec<u64> = windows
        .filter_map(|window| window.measured.as_ref().map(|measured| measured.close_tail_us))
        .collect();
    measured.sort_unstable();
    let median = (!measured.is_empty()).then(|| {
        let (low, high) = (measured[(measured.len() - 1) / 2], measured[measured.len() / 2]);
        (low + high) as f64 / 2.0
    });
    let kept_up = verdict.kind == Kind::KeptUp && verdict.has_predicted_calls();
    Judged {
        name: name.to_owned(),
        tails: prediction
            .close_tail_us
            .map(|tail_us| tail_us as f64)
            .zip(median)
            .filter(|_| kept_up),
        prediction,
        verdict,
    }
}

impl Judged {
    fn is_right(&self) -> bool {
        let kept_up = self.verdict.kind == Kind::KeptUp;
        kept_up == (self.prediction.verdict == predict::Verdict::KeepsUp)
    }

    fn line(&self) -> String {
        let predicted = self.prediction.verdict;
        let mark = match (self.verdict.judges_prediction(), predicted) {
            (false, _) => "not judged",
            (_, predict::Verdict::Critical) => "critical",
            _ if self.is_right() => "right",
            _ => "WRONG",
        };
        let tails = self.tails.map_or_else(String::new, |(predicted, measured)| {
            let near = if is_near(predicted, measured) {
                "near"
            } else {
                "FAR"
            };
            format!(
                ", tail {:.0} ms for {:.0} ms ({near})",
                predicted / 1e3,
                measured / 1e3
            )
        });
        format!(
            "{}: load {:.2}, {predicted:?}, {}: {mark}{tails}",
            self.name,
            self.prediction.load_factor,
            self.verdict.brief()
        )
    }
}

fn is_near(predicted: f64, measured: f64) -> bool {
    (predicted - measured).abs() <= NEAR_US.max(NEAR * predicted)
}

fn percent(part: usize, all: usize) -> String {
    format!("{:.0} %", 100.0 * part as f64 / all.max(1) as f64)
}
