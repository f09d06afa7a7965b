use std::collections::BTreeSet;

use proptest::prelude::*;
use wire::settings::{Form, Limit, Setting, TABLE};
use wire::{Delay, StartRule, StrategyKind};

use super::*;

mod refusals;
mod spellings;

const SMALL: &str = "\
name: small
window: 2s
read_timeout: 100ms
windows: 3
warmup: 1
fixed:
  keys: 2
axes:
  rpu: [10, 100]
  io_delay: [0, 200us, 1s]
  strategy:
    - sequential
    - {strategy: async, start_rule: at-close, max_workers: 1000}
    - strategy: thread-pool
    - process-pool
";

fn parse(text: &str) -> Result<Plan, PlanError> {
    Plan::parse_for(text, "plans/x.yaml", NonZeroUsize::new(2).unwrap())
}

#[test]
fn a_plan_becomes_its_trials() {
    let plan = parse(SMALL).unwrap();
    let trials = plan.trials();
    assert_eq!(trials.len(), 24);
    assert_eq!(trials[0].id, "rpu=10,io_delay=0,strategy=sequential,repeat=0");
    assert_eq!(trials[5].id, "rpu=10,io_delay=200us,strategy=async,repeat=0");
    assert_eq!(
        trials[23].id,
        "rpu=100,io_delay=1s,strategy=process-pool,repeat=0"
    );
    let workers = |index: usize| trials[index].settings.max_workers.get();
    assert_eq!(
        [workers(0), workers(1), workers(2), workers(3)],
        [1, 1_000, 6, 2],
        "Python's defaults on 2 cores"
    );
    let settings = &trials[5].settings;
    assert_eq!((settings.rpu.get(), settings.keys.get()), (10, 2));
    assert_eq!(settings.io_delay, Delay::Fixed(Duration::from_micros(200)));
    assert_eq!(
        (settings.strategy, settings.start_rule),
        (StrategyKind::Async, StartRule::AtClose)
    );
    assert_eq!((settings.timeout, settings.retries), (Duration::from_secs(30), 0));
    assert_eq!(
        (settings.max_waiting.get(), settings.capacity),
        (1_000_000, Limit(None))
    );
    assert_eq!(
        (settings.window, settings.read_timeout),
        (Duration::from_secs(2), Duration::from_millis(100))
    );
    assert_eq!((settings.warmup, settings.windows, settings.seed), (1, 3, 1));
    assert_eq!(trials[0].settings.start_rule, StartRule::AtArrival);
    assert_eq!(plan.cut_off, Duration::from_secs(30));
    assert_eq!(plan.duration(), Duration::from_secs(24 * 13));
}

#[test]
fn everything_that_has_a_default_may_be_left_out() {
    let plan = parse("name: least\nfixed: {rpu: 1, io_delay: 0, strategy: async}\n").unwrap();
    let settings = &plan.trials()[0].settings;
    assert_eq!(plan.trials().len(), 1);
    assert_eq!(plan.trials()[0].id, "repeat=0");
    assert_eq!(
        (settings.window, settings.read_timeout),
        (Duration::from_secs(10), Duration::from_millis(200))
    );
    assert_eq!((plan.windows, plan.warmup, plan.repeats), (16, 2, 1));
}

#[test]
fn every_setting_can_be_fixed_or_an_axis() {
    let axes: Vec<&Setting> = TABLE.iter().filter(|setting| setting.is_axis()).collect();
    assert!(axes.len() >= 15, "{}", axes.len());
    for setting in axes {
        let name = setting.name;
        let levels = match setting.form {
            Form::Count { least, most } => format!("[{least}, {most}]"),
            Form::Limit { most } => format!("[unlimited, {most}]"),
            Form::Number { .. } => "[0, 1.2]".to_owned(),
            Form::Share => "[0, 0.5, 1]".to_owned(),
            Form::Duration | Form::Wait | Form::Deadline | Form::Millis => "[1s, 10s]".to_owned(),
            Form::Delay => "[0, 'uniform(1ms,2ms)', 'percentiles(50=10ms,99=1s)']".to_owned(),
            Form::Statuses => "[none, 503, '429 503']".to_owned(),
            Form::Switch => "[false, true]".to_owned(),
            Form::Name { names, .. } => format!("[{}]", names.join(", ")),
            Form::Path | Form::Text => "[a, b]".to_owned(),
            Form::Pointer => "[/a, /b]".to_owned(),
        };
        let rest: String = [("rpu", "1"), ("io_delay", "0"), ("strategy", "async")]
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(other, value)| format!("  {other}: {value}\n"))
            .collect();
        let plan = parse(&format!("name: x\nfixed:\n{rest}axes: {{{name}: {levels}}}\n")).expect(name);
        let ids: BTreeSet<String> = plan.trials().into_iter().map(|trial| trial.id).collect();
        assert_eq!(ids.len(), plan.trials().len(), "{ids:?}");
        let safe = |c: char| c.is_ascii_alphanumeric() || "-_.,=".contains(c);
        assert!(ids.iter().all(|id| id.chars().all(safe)), "{ids:?}");
    }
}

#[test]
fn levels_with_the_same_strategy_have_different_ids() {
    let text = "name: x\nfixed: {rpu: 1, io_delay: 0}\naxes:\n  strategy: [async, {max_workers: 5, strategy: async}, thread-pool]\n";
    let ids: Vec<String> = parse(text)
        .unwrap()
        .trials()
        .into_iter()
        .map(|trial| trial.id)
        .collect();
    assert_eq!(
        ids,
        [
            "strategy=async,repeat=0",
            "strategy=async,max_workers=5,repeat=0",
            "strategy=thread-pool,repeat=0"
        ]
    );
}

#[test]
fn repeats_follow_the_whole_grid_with_seeds_of_their_own() {
    let trials = parse(&SMALL.replace("warmup: 1", "repeats: 2\nseed: 7"))
        .unwrap()
        .trials();
    assert_eq!(trials.len(), 48);
    assert_eq!(trials[24].id, "rpu=10,io_delay=0,strategy=sequential,repeat=1");
    assert_eq!((trials[23].settings.seed, trials[24].settings.seed), (7, 8));
}

#[test]
fn a_shuffled_order_is_the_same_every_time() {
    let shuffled = |seed: u64| {
        let text = SMALL.replace("warmup: 1", &format!("warmup: 1\norder: shuffled\nseed: {seed}"));
        parse(&text)
            .unwrap()
            .trials()
            .into_iter()
            .map(|trial| trial.id)
            .collect::<Vec<_>>()
    };
    let written: Vec<String> = parse(SMALL)
        .unwrap()
        .trials()
        .into_iter()
        .map(|trial| trial.id)
        .collect();
    assert_eq!(shuffled(1), shuffled(1));
    assert_ne!(shuffled(1), shuffled(2));
    assert_ne!(shuffled(1), written);
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(sorted(shuffled(1)), sorted(written));
}

#[test]
fn the_hash_is_that_of_the_meaning() {
    let hash = |text: &str| parse(text).unwrap().hash();
    assert_eq!(hash(SMALL), hash(&format!("# a comment\n{SMALL}")));
    assert_eq!(hash(SMALL), hash(&SMALL.replace("1s]", "1000ms]")));
    assert_ne!(hash(SMALL), hash(&SMALL.replace("windows: 3", "windows: 4")));
    assert_ne!(hash(SMALL), hash(&SMALL.replace("[10, 100]", "[10, 101]")));
    assert_ne!(hash(SMALL), hash(&SMALL.replace("name: small", "name: other")));
}

#[test]
fn a_trial_with_many_long_levels_has_a_name_that_a_file_can_have() {
    let delay = |last: u32| {
        let points: Vec<String> = (1..60).map(|percent| format!("{percent}={percent}ms")).collect();
        format!("'percentiles({},99={last}s)'", points.join(","))
    };
    let text = format!(
        "name: x\nfixed: {{rpu: 1, strategy: async}}\naxes:\n  io_delay: [{}, {}]\n",
        delay(1),
        delay(2)
    );
    let trials = parse(&text).unwrap().trials();
    assert!(trials.iter().all(|trial| trial.id.len() <= 180));
    assert_ne!(trials[0].id, trials[1].id);
}

#[test]
fn the_plans_that_are_shipped_can_be_run_in_their_time() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plans");
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (name, trials, longest) in [
        ("quick", 4, Duration::from_secs(50)),
        ("classic", 24, minutes(67)),
        ("start-rules", 8, minutes(12)),
        ("keys", 16, minutes(19)),
        ("cpu", 10, minutes(8)),
    ] {
        let file = format!("{folder}/{name}.yaml");
        let plan = Plan::parse(&std::fs::read_to_string(&file).expect(&file), &file).unwrap();
        assert_eq!(plan.name, name);
        assert_eq!(plan.trials().len(), trials, "{name}");
        assert!(plan.duration() <= longest, "{name} takes {:?}", plan.duration());
        let window = plan.trials()[0].settings.window;
        let time_limit = window * (plan.warmup + plan.windows) + plan.cut_off;
        let censored = time_limit + window + TRIAL_OVERHEAD;
        assert!(
            censored < window * (plan.warmup + plan.windows + 4),
            "{name}: cut off after {censored:?}"
        );
    }
}

proptest! {
    #[test]
    fn an_error_is_one_line_with_file_and_line(
        text in "\\PC{0,200}", at in 0..SMALL.len(), byte in "[ -~\n]",
    ) {
        let mut changed = SMALL.to_owned();
        changed.replace_range(at..=at, &byte);
        for text in [text, changed] {
            match parse(&text) {
                Ok(plan) => prop_assert!((1..=MAX_TRIALS).contains(&plan.trials().len())),
                Err(PlanError { file, refusal }) => {
                    prop_assert_eq!(file, "plans/x.yaml");
                    // A message may name the line after the last.
                    prop_assert!((1..=text.lines().count() + 1).contains(&refusal.line), "{}", refusal);
                    prop_assert!(!refusal.to_string().contains('\n'), "{}", refusal);
                }
            }
        }
    }
}
