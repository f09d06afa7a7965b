//! Journals of synthetic runs, so that the content of their reports is known.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use trials::journal::{JournalLine, RunFacts};
use trials::outcome::{
    CallAccount, Cost, Instruments, Ledger, TrialEnd, TrialOutcome, WindowMeasure, WindowResult,
};
use trials::predict::{Prediction, Verdict};
use trials::trial::{Trial, TrialSettings};
use wire::{Delay, Latencies, Outcome, OutcomeCounts, StartRule, StrategyKind};

/// Start of every synthetic run, microseconds since the epoch: 2026-11-23 20:00 UTC.
const STARTED_US: u64 = 1_795_464_000_000_000;

#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Keeps up with this close tail, give or take a twentieth.
    KeepsUp(Duration),
    /// Gives all its results, each window later than the one before by this much.
    FallsBehind(Duration),
    /// Gives results for the first windows only, then none.
    Censored(u32),
    /// Fails for this reason before its first window.
    Fails(String),
}

/// Random numbers that are the same on every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to 1.
    pub fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn number(value: u64) -> NonZeroU64 {
    NonZeroU64::new(value).unwrap()
}

/// Settings of the classic plan: 3 windows of warm-up and 13 measured ones of 10 s, one key.
pub fn settings(strategy: StrategyKind, rpu: u64, delay: &str) -> TrialSettings {
    TrialSettings {
        rpu: number(rpu),
        io_delay: delay.parse::<Delay>().unwrap(),
        strategy,
        start_rule: if strategy == StrategyKind::Async {
            StartRule::AtClose
        } else {
            StartRule::AtArrival
        },
        max_workers: number(match strategy {
            StrategyKind::Sequential => 1,
            StrategyKind::Async => 1_000,
            StrategyKind::ThreadPool | StrategyKind::ProcessPool => 100,
        }),
        warmup: 3,
        windows: 13,
        ..TrialSettings::defaults().unwrap()
    }
}

/// The outcome of a trial with these settings and this behaviour. Long because an outcome has many
/// fields.
pub fn trial(settings: TrialSettings, repeat: u32, behaviour: &Behaviour) -> TrialOutcome {
    let id = format!(
        "rpu={}_delay={}_{}_{}_workers={}_keys={}_repeat={repeat}",
        settings.rpu,
        settings.io_delay,
        settings.strategy,
        settings.start_rule,
        settings.max_workers,
        settings.keys
    );
    let mut dice = Dice::new(
        id.bytes()
            .fold(7, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte)),
    );
    let windows = windows(&settings, behaviour, &mut dice);
    let events = settings.events_per_window();
    let with_result = windows.iter().filter(|window| window.measured.is_some()).count() as u64;
    let offered = events * windows.len() as u64;
    let ok = events * with_result;
    let failed = matches!(behaviour, Behaviour::Fails(_));
    let (mut latency, mut slot_wait, mut exact) = (Latencies::new(), Latencies::new(), Latencies::new());
    let mean = settings.io_delay.mean();
    for _ in 0..if failed { 0 } else { 500 } {
        let overhead = Duration::from_micros(180 + (dice.roll().powi(6) * 4_000.0) as u64);
        latency.record(mean + overhead);
        slot_wait.record(Duration::from_micros((dice.roll() * 90.0) as u64));
        exact.record(Duration::from_micros((dice.roll().powi(4) * 300.0) as u64));
    }
    TrialOutcome {
        prediction: prediction(&settings),
        started_us: STARTED_US,
        ended_us: STARTED_US + 170_000_000,
        end: match behaviour {
            Behaviour::Fails(reason) => TrialEnd::Failed {
                reason: reason.clone(),
            },
            Behaviour::Censored(_) => TrialEnd::CutOff,
            Behaviour::KeepsUp(_) | Behaviour::FallsBehind(_) => TrialEnd::Completed,
        },
        ledger: (!failed).then(|| Ledger {
            offered,
            ok,
            open: offered - ok,
            ..Ledger::default()
        }),
        outcomes: if failed {
            OutcomeCounts::new()
        } else {
            BTreeMap::from([(Outcome::Ok, ok)])
        },
        latency: latency.into(),
        failed_latency: Some(Latencies::new().into()),
        slot_wait: slot_wait.into(),
        instruments: (!failed).then(|| Instruments {
            generator_lateness: exact.clone().into(),
            overdue: (dice.roll() * 9.0) as u64,
            endpoint_excess: Some(exact.into()),
            endpoint_given: None,
            endpoint_served: Some(offered),
            endpoint_peak_in_flight: Some(100),
            endpoint_repeats: Some(0),
            endpoint_failed: Some(0),
            endpoint_unanswered: Some(0),
            engine: BTreeMap::new(),
        }),
        cost: (!failed).then(|| cost(&settings, offered)),
        call_account: (!failed).then_some(CallAccount {
            attempts: ok,
            reconnects: 0,
            answered: ok,
        }),
        windows,
        trial: Trial { id, repeat, settings },
    }
}

fn cost(settings: &TrialSettings, calls: u64) -> Cost {
    let (memory, threads) = match settings.strategy {
        StrategyKind::Sequential => (14 << 20, 6),
        StrategyKind::Async => (38 << 20, 6),
        StrategyKind::ThreadPool => (52 << 20, 106),
        StrategyKind::ProcessPool => (610 << 20, 306),
    };
    Cost {
        cpu_us: calls * 190,
        calls,
        peak_memory_bytes: memory,
        peak_threads: threads,
    }
}

fn prediction(settings: &TrialSettings) -> Prediction {
    let delay = settings.io_delay.mean();
    let needed = settings.rpu.get() as f64 * delay.as_secs_f64();
    let load_factor = needed / settings.max_workers.get() as f64;
    let verdict = match load_factor {
        load if load < 0.9 => Verdict::KeepsUp,
        load if load <= 1.0 => Verdict::Critical,
        _ => Verdict::Cannot,
    };
    let tail = delay.as_micros() as u64 + 2_000;
    Prediction {
        load_factor,
        needed_in_flight: needed,
        close_tail_us: (verdict != Verdict::Cannot).then_some(tail),
        growth_per_window_us: None,
        close_tail_percentiles: None,
        stall_share: None,
        missed_share: None,
        verdict,
        why: "Little's law".to_owned(),
    }
}

fn windows(settings: &TrialSettings, behaviour: &Behaviour, dice: &mut Dice) -> Vec<WindowResult> {
    if matches!(behaviour, Behaviour::Fails(_)) {
        return Vec::new();
    }
    let window_us = settings.window.as_micros() as u64;
    let all = (0..settings.warmup + settings.windows).map(|index| {
        let wobble = 0.95 + dice.roll() * 0.1;
        let late = |by: &Duration| *by * (index + 1);
        let tail = match behaviour {
            Behaviour::KeepsUp(tail) => Some(tail.mul_f64(if index == 0 { 1.8 } else { wobble })),
            Behaviour::FallsBehind(by) => Some(late(by)),
            Behaviour::Censored(after) if index < *after => Some(late(&settings.window.mul_f64(0.7))),
            Behaviour::Censored(_) | Behaviour::Fails(_) => None,
        };
        let events = settings.events_per_window();
        WindowResult {
            index,
            warmup: index < settings.warmup,
            window_start_ms: STARTED_US / 1_000 + u64::from(index) * window_us / 1_000,
            measured: tail.map(|tail| {
                let tail_us = tail.as_micros() as u64;
                WindowMeasure {
                    keys: settings.keys.get(),
                    events,
                    ok: events,
                    failed: 0,
                    execution_time_us: window_us + 210_000 + tail_us,
                    close_tail_us: tail_us,
                    stream_tail_us: Some(tail_us + 350),
                    result_lag_us: tail_us + 240_000,
                    peak_in_flight: settings.max_workers.get().min(events),
                    reading_stopped: 0,
                    processes: Vec::new(),
                }
            }),
        }
    });
    all.collect()
}

/// A whole journal: the run's line, then its trials.
pub fn journal(plan_name: &str, trials: Vec<TrialOutcome>) -> Vec<JournalLine> {
    let facts = RunFacts {
        plan_name: plan_name.to_owned(),
        plan_text: format!(
            "name: {plan_name}\nfixed:\n  keys: 1\n  window: 10s\n  windows: 13\n  warmup: 3\naxes:\n  rpu: [10, 100]\n  \
             io_delay: [0, 200us, 1s]\n  strategy:\n    - sequential\n    - {{ async: {{ max_workers: 1000, \
             start_rule: at-close }} }}\n    - thread-pool\n    - process-pool\n"
        ),
        trials: trials.len(),
        engine: "local".to_owned(),
        started_us: STARTED_US,
        machine: [
            ("os", "Linux 6.1"),
            ("cpu", "Synthetic CPU @ 2.00GHz"),
            ("cores", "2"),
            ("memory", "24 GiB"),
            ("async-reduce", "0.1.0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        command: "experiment run plans/classic.yaml --engine local".to_owned(),
        references: Vec::new(),
        search: None,
    };
    let trials = trials
        .into_iter()
        .map(|trial| JournalLine::Trial(Box::new(trial)));
    std::iter::once(JournalLine::Run(facts)).chain(trials).collect()
}

/// The classic plan with outcomes as expected.
pub fn classic() -> Vec<JournalLine> {
    let mut trials = Vec::new();
    for (delay, base_us) in [("0", 900), ("200us", 1_300), ("1s", 1_003_000)] {
        for rpu in [10, 100] {
            for strategy in StrategyKind::ALL {
                let asked = settings(*strategy, rpu, delay);
                let behaviour = match (*strategy, rpu, delay) {
                    (StrategyKind::Sequential, 10, "1s") => Behaviour::Censored(1),
                    (StrategyKind::Sequential, 100, "1s") => Behaviour::Censored(0),
                    (StrategyKind::ThreadPool | StrategyKind::ProcessPool, 100, "1s") => {
                        Behaviour::FallsBehind(Duration::from_millis(620))
                    }
                    (StrategyKind::Async, ..) => {
                        Behaviour::KeepsUp(Duration::from_micros(base_us + rpu * 70))
                    }
                    (StrategyKind::ProcessPool, ..) => {
                        Behaviour::KeepsUp(Duration::from_micros(base_us + 450))
                    }
                    _ => Behaviour::KeepsUp(Duration::from_micros(base_us)),
                };
                trials.push(trial(asked, 0, &behaviour));
            }
        }
    }
    journal("classic", trials)
}

/// Every strategy under both start rules, two numbers of keys, two repeats, a failed trial and a bad ledger.
pub fn start_rules() -> Vec<JournalLine> {
    let mut trials = Vec::new();
    for (keys, rpu) in [1, 5]
        .into_iter()
        .flat_map(|keys| [10, 50, 100].map(|rpu| (keys, rpu)))
    {
        for (strategy, rule) in StrategyKind::ALL
            .iter()
            .flat_map(|strategy| StartRule::ALL.iter().map(move |rule| (*strategy, *rule)))
        {
            for repeat in 0..2 {
                let mut asked = settings(strategy, rpu, "100ms");
                asked.keys = number(keys);
                asked.start_rule = rule;
                asked.window = Duration::from_secs(2);
                let tail = if rule == StartRule::AtClose { 140 } else { 104 };
                let behaviour = match (strategy, rpu, rule) {
                    (StrategyKind::Sequential, 100, _) => Behaviour::Censored(9),
                    (StrategyKind::Sequential, 50, _) => Behaviour::FallsBehind(Duration::from_millis(900)),
                    (StrategyKind::ProcessPool, 100, StartRule::AtClose) => Behaviour::Fails(
                        "udf exited with status 101 before it was ready: <no socket>".to_owned(),
                    ),
                    _ => Behaviour::KeepsUp(Duration::from_millis(tail + rpu / 2)),
                };
                trials.push(trial(asked, repeat, &behaviour));
            }
        }
    }
    if let Some(ledger) = trials.iter_mut().find_map(|trial| trial.ledger.as_mut()) {
        ledger.ok -= 3;
        ledger
            .errors
            .push("3 events sent were neither in a result nor missing: key-0 117-119".to_owned());
    }
    let mut lines = journal("start-rules", trials);
    if let Some(JournalLine::Run(facts)) = lines.first_mut() {
        facts.trials += 4;
    }
    lines
}

/// A plan's grid of very many cells: ten rates, as many delays as it takes, the four strategies.
pub fn grid(trials: u64) -> Vec<JournalLine> {
    let all = (0..trials).map(|place| {
        let strategy = StrategyKind::ALL[(place % 4) as usize];
        let (rpu, delay_ms) = (10 * (place / 4 % 10 + 1), 5 * (place / 40));
        let asked = settings(strategy, rpu, &format!("{delay_ms}ms"));
        trial(asked, 0, &Behaviour::KeepsUp(Duration::from_millis(delay_ms + 2)))
    });
    journal("grid", all.collect())
}

/// A run of very many windows, spread over `trials`. Every thousandth is three times as slow.
pub fn huge(trials: u64, windows: u32) -> Vec<JournalLine> {
    let many = (0..trials).map(|place| {
        let strategy = StrategyKind::ALL[(place % 4) as usize];
        let mut asked = settings(strategy, 10 + place / 4, "1s");
        asked.windows = windows;
        let mut outcome = trial(asked, 0, &Behaviour::KeepsUp(Duration::from_secs(1)));
        for measured in outcome
            .windows
            .iter_mut()
            .skip(777)
            .step_by(1_000)
            .filter_map(|w| w.measured.as_mut())
        {
            measured.close_tail_us *= 3;
            measured.execution_time_us += 2_000_000;
        }
        outcome
    });
    journal("huge", many.collect())
}
